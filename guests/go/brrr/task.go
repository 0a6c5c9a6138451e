package brrr

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"unicode/utf8"
)

// A task with its handler, as the host sees it.
type registered struct {
	name    string
	options Options
	handle  func(ctx context.Context, payload []byte) ([]byte, error)
	// Reads and writes nothing of the types that it takes and gives.
	types func()
	// Of its arguments and its value, as the types say.
	schemas func() (input, output string)
}

// The options that the host is told.
func (t *registered) described() []pair {
	options := t.options
	if t.schemas != nil {
		input, output := t.schemas()
		options.InputSchema = cmp.Or(options.InputSchema, input)
		options.OutputSchema = cmp.Or(options.OutputSchema, output)
	}
	return options.pairs()
}

// In the order in which they were given.
var tasks []*registered

func register(task *registered) {
	if !utf8.ValidString(task.name) {
		panic(fmt.Sprintf("brrr: the name of the task %q is not UTF-8", task.name))
	}
	if find(task.name) != nil {
		panic(fmt.Sprintf("brrr: two handlers for the task %q", task.name))
	}
	tasks = append(tasks, task)
}

func find(name string) *registered {
	for _, task := range tasks {
		if task.name == name {
			return task
		}
	}
	return nil
}

// Handle makes a function the handler of the task of this name. It is to be called by `main`, or by an `init`: both run
// once, when the component is built.
//
// The arguments are a struct (or a map), whose fields are the task's arguments by name, in JSON; one that the struct does
// not have is refused. The value is anything that encoding/json can write.
func Handle[In, Out any](name string, handler func(context.Context, In) (Out, error), options ...Options) {
	handle := func(ctx context.Context, payload []byte) ([]byte, error) {
		var in In
		if err := decodeArguments(payload, &in); err != nil {
			return nil, Permanent(fmt.Errorf("the arguments do not fit: %w", err))
		}
		out, err := handler(ctx, in)
		if err != nil {
			return nil, err
		}
		value, err := marshal(out)
		if err != nil {
			return nil, Permanent(fmt.Errorf("the value can't be written as JSON: %w", err))
		}
		return value, nil
	}
	types := func() {
		var in In
		var out Out
		_ = decodeArguments([]byte("{}"), &in)
		_, _ = encodeArguments(in)
		_, _ = marshal(out)
	}
	schemas := func() (input, output string) {
		return schemaOf(reflect.TypeFor[In](), true), schemaOf(reflect.TypeFor[Out](), false)
	}
	register(&registered{name, only(options), handle, types, schemas})
}

// HandleRaw is like Handle, for a function of the payload's bytes that gives the value's.
func HandleRaw(name string, handler func(context.Context, []byte) ([]byte, error), options ...Options) {
	register(&registered{name: name, options: only(options), handle: handler})
}

// A Task is a task with the types of its arguments and its value, here or at another worker, so that calls of it are
// checked by the compiler:
//
//	var lucas = brrr.Task[LucasArgs, int]{Name: "lucas", Topic: "brrr-ts-demo"}
//
//	n, err := lucas.Call(ctx, LucasArgs{N: 11})
type Task[In, Out any] struct {
	Name string
	// The queue that serves it; none: that of the call at hand.
	Topic string
}

// Handle makes a function the task's handler, as the function Handle does.
func (t Task[In, Out]) Handle(handler func(context.Context, In) (Out, error), options ...Options) {
	Handle(t.Name, handler, options...)
}

// Call makes a call, as the function Call does.
func (t Task[In, Out]) Call(ctx context.Context, in In, options ...CallOptions) (Out, error) {
	return t.Prepare(in, options...).Wait(ctx)
}

// Prepare makes a call for Gather, First, Some or Start, as the function Prepare does.
func (t Task[In, Out]) Prepare(in In, options ...CallOptions) Prepared[Out] {
	o := only(options)
	if o.Topic == "" {
		o.Topic = t.Topic
	}
	return Prepare[Out](t.Name, in, o)
}

// Runs the handler that the request names.
func dispatch(ctx context.Context, request *Request) ([]byte, error) {
	task := find(request.Task)
	if task == nil {
		return nil, Permanent(fmt.Errorf("this worker has no task %q", request.Task))
	}
	return task.run(ctx, request.Payload)
}

func (t *registered) run(ctx context.Context, payload []byte) (value []byte, err error) {
	// Only here: a panic in a goroutine of the handler's own ends the program, as it does everywhere in Go.
	defer func() {
		if cause := recover(); cause != nil {
			value, err = nil, panicked(cause)
		}
	}()
	return t.handle(ctx, payload)
}

// What a panic says, and where it happened.
func panicked(cause any) error {
	err, isError := cause.(error)
	if !isError {
		err = fmt.Errorf("%v", cause)
	}
	return &panicError{err, textOf(err), callers()}
}

type panicError struct {
	cause error
	text  string
	// Lines, each with a line break before it.
	frames string
}

func (p *panicError) Error() string { return "panic: " + p.text + p.frames }

func (p *panicError) Unwrap() error { return p.cause }

// Frames that are shown: the place, and how one got there.
const shownFrames = 6

// The functions between the panic and the handler, innermost first. Those of the standard library and of the SDK are left
// out.
func callers() string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	var lines strings.Builder
	shown, inPanic := 0, true
	for shown < shownFrames {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "runtime.") {
			inPanic = false
		} else if !inPanic {
			if strings.HasPrefix(frame.Function, ownPackage+"Handle") || frame.Function == ownPackage+"(*registered).run" {
				break
			}
			// The SDK's own tests are in its package.
			isOwn := strings.HasPrefix(frame.Function, ownPackage) && !strings.HasSuffix(frame.File, "_test.go")
			if !isOwn && !isForeign(frame.Function) {
				file := frame.File[strings.LastIndexByte(frame.File, '/')+1:]
				fmt.Fprintf(&lines, "\n  at %s (%s:%d)", frame.Function, file, frame.Line)
				shown++
			}
		}
		if !more {
			break
		}
	}
	return lines.String()
}

const ownPackage = "github.com/brrr-host/brrr-host/guests/go/brrr."
