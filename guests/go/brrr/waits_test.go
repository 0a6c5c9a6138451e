//go:build !wasip1

package brrr

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// scriptedHost answers each poll as the test says, and notes it.
type scriptedHost struct {
	start   time.Time
	polls   []string
	answers []string
	timers  []int64
}

func (h *scriptedHost) timeLeftMs() uint64 { return 0 }
func (h *scriptedHost) waitersChanged()    {}

func (h *scriptedHost) nextTimer() int64 {
	if len(h.timers) == 0 {
		return 0
	}
	next := h.timers[0]
	h.timers = h.timers[1:]
	return next
}

// A poll is noted as `progress 1 2 until 5`: the wish, the arguments of the calls, and the time. An answer has a sign for
// each call: `.` for no outcome, `v` for its value, `x` for a failure.
func (h *scriptedHost) poll(calls []invocation, want want, until int64) []*outcome {
	wishes := []string{"all", fmt.Sprintf("some(%d)", want.count), "progress"}
	text := wishes[want.wish]
	for _, call := range calls {
		text += " " + number(call)
	}
	if until != 0 {
		text += fmt.Sprintf(" until %d", until)
	}
	h.polls = append(h.polls, text)
	if until != 0 {
		time.Sleep(time.Until(h.start.Add(time.Duration(until) * time.Millisecond)))
	}
	outcomes := make([]*outcome, len(calls))
	for i, sign := range h.answers[len(h.polls)-1] {
		switch sign {
		case 'v':
			outcomes[i] = &outcome{value: []byte(number(calls[i]))}
		case 'x':
			outcomes[i] = &outcome{failure: &Failure{Kind: KindError, Task: "same", Message: "no " + number(calls[i])}}
		}
	}
	return outcomes
}

func number(call invocation) string { return strings.Trim(string(call.payload), `[{"n: }]`) }

// Runs a handler with a host that answers so and knows these timers, in milliseconds since the start. Gives the polls.
func script(t *testing.T, answers string, timers []int64, handler func(ctx context.Context)) (polls []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		host := &scriptedHost{start: time.Now(), answers: strings.Fields(answers), timers: timers}
		ctx, _ := newRun(t.Context(), host, Request{})
		handler(ctx)
		time.Sleep(2)
		polls = host.polls
	})
	return polls
}

func calls(numbers ...int) (prepared []Prepared[int]) {
	for _, i := range numbers {
		prepared = append(prepared, same.Prepare(n{i}))
	}
	return prepared
}

func TestACallAndAGatherWaitForAll(t *testing.T) {
	polls := script(t, "v vvv", nil, func(ctx context.Context) {
		one, err := same.Call(ctx, n{1})
		expect(t, []any{one, err}, []any{1, nil})
		values, err := Gather(ctx, calls(2, 3, 4)...)
		expect(t, []any{values, err}, []any{[]int{2, 3, 4}, nil})
	})
	expect(t, polls, []string{"all 1", "all 2 3 4"})
}

func TestAGatherEndsWithTheFirstFailure(t *testing.T) {
	polls := script(t, ".x.", nil, func(ctx context.Context) {
		_, err := Gather(ctx, calls(1, 2, 3)...)
		expect(t, err.Error(), "same failed (error): no 2")
	})
	expect(t, polls, []string{"all 1 2 3"})
}

func TestAGatherOfResultsWaitsForEachOutcome(t *testing.T) {
	polls := script(t, "vxv", nil, func(ctx context.Context) {
		results, err := GatherResults(ctx, calls(1, 2, 3)...)
		expect(t, []any{results[0].Value, results[1].Err != nil, results[2].Value, err}, []any{1, true, 3, nil})
	})
	expect(t, polls, []string{"some(3) 1 2 3"})
}

func TestARaceSaysSo(t *testing.T) {
	polls := script(t, ".v. v.x", nil, func(ctx context.Context) {
		i, value, err := First(ctx, calls(1, 2, 3)...)
		expect(t, []any{i, value, err}, []any{1, 2, nil})
		results, err := Some(ctx, 2, calls(4, 5, 6)...)
		expect(t, []any{results[0].Value, results[1] == nil, results[2].Err != nil, err}, []any{4, true, true, nil})
	})
	expect(t, polls, []string{"some(1) 1 2 3", "some(2) 4 5 6"})
}

func TestGoroutinesAskForProgressAndKeepTheirOrder(t *testing.T) {
	polls := script(t, ".v v. vv v", nil, func(ctx context.Context) {
		var group sync.WaitGroup
		chain := func(numbers ...int) {
			for _, i := range numbers {
				value, err := same.Call(ctx, n{i})
				expect(t, []any{value, err}, []any{i, nil})
			}
		}
		group.Go(func() { chain(1, 2) })
		// The scheduler would let the second go first, now and then.
		synctest.Wait()
		group.Go(func() { chain(11, 12, 13) })
		group.Wait()
	})
	expect(t, polls, []string{"progress 1 11", "progress 1 12", "progress 12 2", "all 13"})
}

func TestARaceBesideACallTakesNoMoreThanItNeeds(t *testing.T) {
	polls := script(t, ".vvv v", nil, func(ctx context.Context) {
		var group sync.WaitGroup
		group.Go(func() {
			value, err := same.Call(ctx, n{1})
			expect(t, []any{value, err}, []any{1, nil})
		})
		synctest.Wait()
		results, err := Some(ctx, 2, calls(2, 3, 4)...)
		expect(t, []any{results[0].Value, results[1].Value, results[2] == nil, err}, []any{2, 3, true, nil})
		group.Wait()
	})
	expect(t, polls, []string{"progress 1 2 3 4", "all 1"})
}

func TestWhatHasComeIsNotAskedForAgain(t *testing.T) {
	// The timer of a goroutine wakes the handler, which waits for the rest as before.
	polls := script(t, "v.v v ..v.v ..v", []int64{7, 0, 17, 0}, func(ctx context.Context) {
		var group sync.WaitGroup
		group.Go(func() { time.Sleep(7 * time.Millisecond) })
		values, err := Gather(ctx, calls(1, 2, 3)...)
		expect(t, []any{values, err}, []any{[]int{1, 2, 3}, nil})
		results, err := Some(ctx, 3, calls(4, 5, 6, 7, 8)...)
		expect(t, []any{results[0] == nil, results[2].Value, results[1] == nil, results[3].Value, results[4].Value, err},
			[]any{true, 6, true, 7, 8, nil})
		group.Wait()
	})
	expect(t, polls, []string{"all 1 2 3 until 7", "all 2", "some(3) 4 5 6 7 8 until 17", "some(1) 4 5 7"})
}

func TestWhatHasEndedIsNotWaitedForAnyMore(t *testing.T) {
	polls := script(t, ".. v v", []int64{5, 0, 0}, func(ctx context.Context) {
		limited, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		other := same.Prepare(n{2}).Start(ctx)
		synctest.Wait()
		_, err := same.Call(limited, n{1})
		expect(t, err, context.DeadlineExceeded)
		expect(t, (<-other).Value, 2)
		// It may be asked for once more.
		value, err := same.Call(ctx, n{1})
		expect(t, []any{value, err}, []any{1, nil})
	})
	expect(t, polls, []string{"progress 2 1 until 5", "all 2", "all 1"})
}

func TestAnOutcomeThatIsThereWinsOverItsLimit(t *testing.T) {
	polls := script(t, "v", []int64{5}, func(ctx context.Context) {
		limited, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		value, err := same.Call(limited, n{1})
		expect(t, []any{value, err}, []any{1, nil})
	})
	expect(t, polls, []string{"all 1 until 5"})
}

func TestARaceForNothingAsksForNothing(t *testing.T) {
	polls := script(t, "", nil, func(ctx context.Context) {
		results, err := Some(ctx, 0, calls(1, 2)...)
		expect(t, []any{len(results), results[0] == nil, err}, []any{2, true, nil})
	})
	expect(t, polls, []string(nil))
}
