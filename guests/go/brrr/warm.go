//go:build wasip1

package brrr

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"
)

// brrr-build calls this before it takes its snapshot: what Go makes at its first use, and would make again in each run,
// is there when a run begins. Measured on the conformance guest's hello, in a debug build of the host: 77 µs a run, 140
// without this, 327 without a snapshot.
//
//go:wasmexport brrr_warm
func exportWarm() {
	// Room on the heap, so that an ordinary run grows the memory no more, which costs the host a system call and a lock,
	// and Go a hundred pages that it clears.
	room = make([]byte, 1<<20)
	for _, task := range tasks {
		task.learn()
	}
	room = nil
	runtime.GC()
	aCall()
}

// Global, so that it is really allocated.
var room []byte

// Lets the JSON packages get to know the types of the task.
func (t *registered) learn() {
	if t.types == nil {
		return
	}
	// Types may read and write themselves, and not be prepared for nothing.
	defer func() { _ = recover() }()
	t.types()
}

// A call like any other: goroutines to use again, memory of each size, the timer.
func aCall() {
	type arguments struct {
		Text   string  `json:"text"`
		Number int     `json:"number"`
		None   *string `json:"none"`
	}
	before := tasks
	Handle("warm", func(ctx context.Context, in arguments) (string, error) {
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { _, _ = Call[string](ctx, "warm", in) })
		}
		group.Wait()
		return in.Text, nil
	})
	payload, _ := encodeArguments(arguments{Text: "text", Number: 1})
	// Its task, payload, hash, job and topic.
	for range 5 {
		abi.Realloc(nil, 0, 1, 32)
	}
	ctx, run := newRun(context.Background(), warmHost{}, Request{Task: "warm", Payload: payload})
	value, err := dispatch(ctx, &run.request)
	resultOf(value, err)
	tasks, returned = before, nil
	abi.Reset()
	// The goroutine that looks for the next batch finds that there is none.
	time.Sleep(2)
}

type warmHost struct{}

func (warmHost) timeLeftMs() uint64 { return 0 }

func (warmHost) nextTimer() int64 { return 0 }

func (warmHost) waitersChanged() {}

func (warmHost) poll(calls []invocation, _ want, _ int64) []*outcome {
	outcomes := make([]*outcome, len(calls))
	for i := range calls {
		outcomes[i] = &outcome{value: []byte(`"text"`)}
	}
	return outcomes
}
