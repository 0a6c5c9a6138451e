//go:build !wasip1

package brrr

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Test runs a function natively as a handler is run, with the tasks of this program: no component, no host, no queue.
//
//	func TestFib(t *testing.T) {
//		brrr.Test(t, func(ctx context.Context) {
//			got, err := brrr.Call[int](ctx, "fib", FibArgs{N: 10})
//			if err != nil || got != 55 {
//				t.Error(got, err)
//			}
//		})
//	}
//
// Each call is run once, and again after an error as often as its options or its task's say, without a pause. A race is
// won by the calls that come first in it. The clock stands still but for sleeps, which don't wait (testing/synctest).
func Test(t *testing.T, handler func(ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, _ := newRun(t.Context(), &testHost{}, Request{Task: "test", CallHash: "test", RootID: "test", Attempt: 1})
		handler(ctx)
		// Its goroutine that looks for the next batch finds out that there is none.
		time.Sleep(2)
	})
}

// Batches are the numbers of calls that each batch of this test has had so far, its children's included, in the order in
// which they were asked for.
func Batches(ctx context.Context) []int {
	h := mustRun(ctx).host.(*testHost).root()
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]int(nil), h.batches...)
}

type testHost struct {
	// Of a child, the one that it was called from.
	parent *testHost
	// When the run would be stopped; zero: never.
	stopped time.Time

	mu       sync.Mutex
	batches  []int
	outcomes map[string]*outcome // by call hash, as the real host does
}

func (h *testHost) root() *testHost {
	for h.parent != nil {
		h = h.parent
	}
	return h
}

func (h *testHost) poll(calls []invocation, need int) []*outcome {
	root := h.root()
	root.mu.Lock()
	root.batches = append(root.batches, len(calls))
	root.mu.Unlock()
	outcomes := make([]*outcome, len(calls))
	for i := range need {
		outcomes[i] = h.outcome(&calls[i])
	}
	return outcomes
}

func (h *testHost) timeLeftMs() uint64 {
	if h.stopped.IsZero() {
		return math.MaxUint64
	}
	return uint64(max(time.Until(h.stopped).Milliseconds(), 0))
}

func (h *testHost) outcome(call *invocation) *outcome {
	if call.hash == "" {
		call.hash = callHash(call.task, call.payload)
	}
	root := h.root()
	root.mu.Lock()
	known := root.outcomes[call.hash]
	root.mu.Unlock()
	if known != nil {
		return known
	}
	came := h.run(call)
	root.mu.Lock()
	defer root.mu.Unlock()
	if root.outcomes == nil {
		root.outcomes = map[string]*outcome{}
	}
	root.outcomes[call.hash] = came
	return came
}

// Runs a call until it has a value or is not to be run again.
func (h *testHost) run(call *invocation) *outcome {
	task := find(call.task)
	if task == nil {
		return failed(call.task, "unknown-task", 0, errors.New("no such task in this test"))
	}
	retries, timeout := max(task.options.MaxRetries, 0), task.options.Timeout
	for _, option := range call.options {
		number, _ := strconv.Atoi(option.value)
		switch option.name {
		case "max-retries":
			retries = number
		case "timeout-ms":
			timeout = time.Duration(number) * time.Millisecond
		}
	}
	topic := call.topic
	if topic == "" {
		topic = "test"
	}
	for attempt := 1; ; attempt++ {
		child := &testHost{parent: h}
		if timeout > 0 {
			child.stopped = time.Now().Add(timeout)
		}
		ctx, run := newRun(context.Background(), child, Request{
			Task: call.task, Payload: call.payload, CallHash: call.hash, RootID: "test", Topic: topic, Attempt: attempt,
		})
		value, err := dispatch(ctx, &run.request)
		if err == nil {
			return &outcome{value: value}
		}
		if kind, _ := classify(err); kind != retryable || attempt > retries {
			return failed(call.task, "error", attempt, err)
		}
	}
}

func failed(task, kind string, attempts int, err error) *outcome {
	failure := &Failure{Kind: kind, Task: task, Message: messageOf(err), Attempts: attempts}
	failure.Chain = []string{fmt.Sprintf("%s: %s", task, failure.Message)}
	if what, cause := classify(err); what == child {
		failure.Chain = append(failure.Chain, cause.Chain...)
	}
	return &outcome{failure: failure}
}
