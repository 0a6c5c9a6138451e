package brrr

import (
	"context"
	"slices"
	"sync"
	"time"
)

// batches lets the handler's goroutines run until all of them wait, then asks the host for every call that is waited for
// at once, and so on.
//
// A batch is complete when Go's scheduler has nothing left to run. A goroutine of ours finds that out by sleeping for the
// shortest time there is: a run's clock stands still while it runs (host/worker/src/wasm/clocks.rs), so no timer is due
// before the scheduler, out of runnable goroutines, itself waits for the first timer, and ours is the first. The
// handler's own timers go on beside the calls: the next of them limits how long the host waits.
//
// Every replay makes the same batches: a component has one thread, Go's scheduler on it has no preemption, and all that
// it depends on (memory, clock, random numbers, outcomes) is the same.
type batches struct {
	host host

	mu sync.Mutex
	// In the order in which they began to wait.
	list []*waiting
	// Is there a goroutine that sleeps until all others wait?
	watched bool
}

// waiting is one or more calls that a goroutine waits for.
type waiting struct {
	calls []invocation
	// The goroutine goes on when it has so many outcomes,
	need int
	// or, if this is set, when one of its calls has failed.
	failFast bool

	// The outcomes so far, in the order of the calls, and their number.
	outcomes []*outcome
	have     int
	failed   bool
	done     chan struct{}
}

// wait gives one outcome a call, nil where there is none.
func (b *batches) wait(ctx context.Context, calls []invocation, need int, failFast bool) ([]*outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &waiting{
		calls: calls, need: need, failFast: failFast, outcomes: make([]*outcome, len(calls)), done: make(chan struct{}, 1),
	}
	b.add(w)
	select {
	case <-w.done:
		return w.outcomes, nil
	case <-ctx.Done():
		b.forget(w)
		return nil, ctx.Err()
	}
}

func (b *batches) add(w *waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, w)
	if !b.watched {
		b.watched = true
		go b.watch()
	}
	b.host.waitersChanged()
}

func (b *batches) forget(w *waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = slices.DeleteFunc(b.list, func(other *waiting) bool { return other == w })
	b.host.waitersChanged()
}

func (b *batches) watch() {
	for {
		time.Sleep(1)
		list := b.waiters()
		if len(list) == 0 {
			return
		}
		outcomes := b.host.poll(missing(list), wantOf(list), b.host.nextTimer())
		b.deliver(list, outcomes)
	}
}

// Gives the waiters of this moment. Without any, the watch is over.
func (b *batches) waiters() []*waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watched = len(b.list) > 0
	return slices.Clone(b.list)
}

// missing gives the calls that have no outcome yet. Calls of earlier polls keep their order, and new calls come behind them.
func missing(list []*waiting) []invocation {
	if len(list) == 1 && list[0].have == 0 {
		return list[0].calls
	}
	total := 0
	for _, w := range list {
		total += len(w.calls) - w.have
	}
	calls := make([]invocation, 0, total)
	for _, w := range list {
		for i, o := range w.outcomes {
			if o == nil {
				calls = append(calls, w.calls[i])
			}
		}
	}
	return calls
}

// wantOf says how long the host is to wait. If several goroutines wait, the SDK can't know whether they need each other's
// results, so each of them is to go on as soon as it can.
func wantOf(list []*waiting) want {
	if len(list) > 1 {
		return want{wish: wantProgress}
	}
	w := list[0]
	if w.failFast {
		return want{wish: wantAll}
	}
	return want{wish: wantSome, count: w.need - w.have}
}

// Gives the waiters the outcomes of a poll. A waiter that has enough goes on.
func (b *batches) deliver(list []*waiting, came []*outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range list {
		came = w.take(came)
		if w.isReady() {
			w.done <- struct{}{}
		}
	}
	b.list = slices.DeleteFunc(b.list, (*waiting).isReady)
}

// Takes the outcomes of the waiter's missing calls from the front of a poll's, and returns the rest. A race takes no more
// than it needs, also where a poll for others has more.
func (w *waiting) take(came []*outcome) []*outcome {
	for i, o := range w.outcomes {
		if o != nil {
			continue
		}
		if came[0] != nil && w.have < w.need {
			w.outcomes[i] = came[0]
			w.have++
			w.failed = w.failed || came[0].failure != nil
		}
		came = came[1:]
	}
	return came
}

func (w *waiting) isReady() bool { return w.have >= w.need || w.failFast && w.failed }
