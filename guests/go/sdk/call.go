package brrr

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Call makes a call to the task of this name, of this or any other worker, in any language, and waits for its value.
//
// The arguments are a struct or a map. Goroutines that call at the same time make one batch: it is asked for when all of
// them wait. The error is a *Failure if the task failed.
func Call[Out any](ctx context.Context, task string, in any, options ...CallOptions) (Out, error) {
	return Prepare[Out](task, in, options...).Call(ctx)
}

// CallRaw is like Call for a task that takes and gives bytes; see HandleRaw.
func CallRaw(ctx context.Context, task string, payload []byte, options ...CallOptions) ([]byte, error) {
	return PrepareRaw(task, payload, options...).Call(ctx)
}

// Prepared is a call that has not been made yet.
type Prepared[Out any] struct {
	invocation invocation
	decode     func(value []byte) (Out, error)
	// Why it can't be made.
	err error
}

// Prepare makes a call for Gather, First or Some; arguments as for Call.
func Prepare[Out any](task string, in any, options ...CallOptions) Prepared[Out] {
	payload, err := encodeArguments(in)
	call := prepare(task, payload, only(options), decodeValue[Out])
	if err != nil {
		call.err = Permanent(fmt.Errorf("the arguments of %s can't be written: %w", task, err))
	} else if call.err == nil && call.invocation.hash == "" {
		// That of the Python worker; of bytes it is the host's own.
		call.invocation.hash = callHash(task, payload)
	}
	return call
}

// PrepareRaw is like Prepare for a task that takes and gives bytes.
func PrepareRaw(task string, payload []byte, options ...CallOptions) Prepared[[]byte] {
	return prepare(task, payload, only(options), func(value []byte) ([]byte, error) { return value, nil })
}

func prepare[Out any](task string, payload []byte, options CallOptions, decode func([]byte) (Out, error)) Prepared[Out] {
	call := Prepared[Out]{
		invocation: invocation{task, payload, options.Topic, options.Hash, options.pairs()},
		decode:     decode,
	}
	// They decide what is called, so they are not mended as a message is.
	for name, text := range map[string]string{"task's name": task, "topic": options.Topic, "hash": options.Hash} {
		if !utf8.ValidString(text) {
			call.err = Permanent(fmt.Errorf("the call's %s is not UTF-8: %q", name, text))
		}
	}
	return call
}

func decodeValue[Out any](value []byte) (Out, error) {
	var out Out
	// The TypeScript worker's `undefined` has no bytes.
	if len(value) == 0 {
		return out, nil
	}
	err := json.Unmarshal(value, &out)
	return out, err
}

// Call makes the call and waits for its value.
func (p Prepared[Out]) Call(ctx context.Context) (Out, error) {
	results, err := some(ctx, 1, []Prepared[Out]{p})
	if err != nil {
		var none Out
		return none, err
	}
	return results[0].Value, results[0].Err
}

func (p *Prepared[Out]) result(o *outcome) *Result[Out] {
	if o == nil {
		return nil
	}
	if o.failure != nil {
		return &Result[Out]{Err: o.failure}
	}
	value, err := p.decode(o.value)
	if err != nil {
		err = Permanent(fmt.Errorf("the value of %s does not fit: %w", p.invocation.task, err))
	}
	return &Result[Out]{Value: value, Err: err}
}

// A Result is a call's value, or why there is none.
type Result[Out any] struct {
	Value Out
	Err   error
}

// Gather makes all of these calls in one batch, and gives their values in order, or the first error in that order. It
// waits for all of them even so: a batch has one end.
func Gather[Out any](ctx context.Context, calls ...Prepared[Out]) ([]Out, error) {
	results, err := GatherResults(ctx, calls...)
	if err != nil {
		return nil, err
	}
	values := make([]Out, len(results))
	for i, result := range results {
		if result.Err != nil {
			return nil, result.Err
		}
		values[i] = result.Value
	}
	return values, nil
}

// GatherResults is like Gather, with each call's own value or error. The error beside them is of the batch itself: its
// context has ended.
func GatherResults[Out any](ctx context.Context, calls ...Prepared[Out]) ([]Result[Out], error) {
	came, err := some(ctx, len(calls), calls)
	if err != nil {
		return nil, err
	}
	results := make([]Result[Out], len(came))
	for i, result := range came {
		results[i] = *result
	}
	return results, nil
}

// First makes all of these calls and gives index and value of the first that ends, or the error that it ended with. The
// others go on. Every replay gets the same one.
func First[Out any](ctx context.Context, calls ...Prepared[Out]) (int, Out, error) {
	results, err := Some(ctx, 1, calls...)
	if err != nil {
		var none Out
		return 0, none, err
	}
	for i, result := range results {
		if result != nil {
			return i, result.Value, result.Err
		}
	}
	panic("brrr: the host has given none of the outcomes that were needed")
}

// Some makes all of these calls and returns as soon as `need` of them have ended: values or errors in place, nil for the
// others. A race beside other calls is asked for when those have ended.
func Some[Out any](ctx context.Context, need int, calls ...Prepared[Out]) ([]*Result[Out], error) {
	if need < 0 || need > len(calls) {
		return nil, Permanent(fmt.Errorf("%d of %d calls can never end", need, len(calls)))
	}
	return some(ctx, need, calls)
}

func some[Out any](ctx context.Context, need int, calls []Prepared[Out]) ([]*Result[Out], error) {
	run, err := runOf(ctx)
	if err != nil || len(calls) == 0 {
		return nil, err
	}
	invocations := make([]invocation, len(calls))
	for i := range calls {
		if calls[i].err != nil {
			return nil, calls[i].err
		}
		invocations[i] = calls[i].invocation
	}
	outcomes, err := run.batches.wait(ctx, invocations, need)
	if err != nil {
		return nil, err
	}
	results := make([]*Result[Out], len(calls))
	for i := range calls {
		results[i] = calls[i].result(outcomes[i])
	}
	return results, nil
}
