package brrr

import (
	"context"
	"sync"
	"time"
)

// batches lets the handler's goroutines run until all of them wait, then asks the host for every call that is waited for
// at once, and so on.
//
// What makes a batch complete is that Go's scheduler has nothing left to run. A goroutine of ours finds that out by
// sleeping for the shortest time there is: a run's clock stands still while it runs (host/worker/src/wasm/clocks.rs), so no
// timer is due before the scheduler, out of runnable goroutines, itself waits for the first of them, and ours is the
// first. So calls go before timers too, and no timeout strikes while there is something to ask for.
//
// Every replay makes the same batches: a component has one thread, Go's scheduler on it has no preemption, and all that
// it depends on (memory, clock, random numbers, outcomes) is the same.
type batches struct {
	host host

	mu    sync.Mutex
	calls []*waiting
	races []*waiting
	// Is there a goroutine that sleeps until all others wait?
	watched bool
}

// waiting is one or more calls that a goroutine waits for, `need` outcomes of them.
type waiting struct {
	invocations []invocation
	need        int
	came        chan []*outcome
}

// wait asks for `need` outcomes of the calls, and gives one outcome a call, nil where there is none.
func (b *batches) wait(ctx context.Context, invocations []invocation, need int) ([]*outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w := &waiting{invocations: invocations, need: need, came: make(chan []*outcome, 1)}
	b.add(w)
	select {
	case outcomes := <-w.came:
		return outcomes, nil
	case <-ctx.Done():
		b.forget(w)
		return nil, ctx.Err()
	}
}

func (b *batches) add(w *waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.need == len(w.invocations) {
		b.calls = append(b.calls, w)
	} else {
		b.races = append(b.races, w)
	}
	if !b.watched {
		b.watched = true
		go b.watch()
	}
}

func (b *batches) forget(w *waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	without := func(list []*waiting) []*waiting {
		kept := list[:0]
		for _, other := range list {
			if other != w {
				kept = append(kept, other)
			}
		}
		return kept
	}
	b.calls, b.races = without(b.calls), without(b.races)
}

func (b *batches) watch() {
	for {
		time.Sleep(1)
		calls, races := b.take()
		if len(calls) == 0 && len(races) == 0 {
			return
		}
		// Nobody resumes before all are asked: what one round asks for must not depend on who resumes first.
		outcomes := b.pollAll(calls)
		for _, w := range races {
			outcomes = append(outcomes, b.host.poll(w.invocations, w.need))
		}
		for i, w := range append(calls, races...) {
			w.came <- outcomes[i]
		}
	}
}

// What is waited for now. Without anything, the watch is over.
func (b *batches) take() (calls, races []*waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls, races = b.calls, b.races
	b.calls, b.races = nil, nil
	b.watched = len(calls) > 0 || len(races) > 0
	return calls, races
}

// One poll for all of these, which need all their outcomes.
func (b *batches) pollAll(list []*waiting) [][]*outcome {
	if len(list) == 0 {
		return nil
	}
	all := list[0].invocations
	if len(list) > 1 {
		all = nil
		for _, w := range list {
			all = append(all, w.invocations...)
		}
	}
	came := b.host.poll(all, len(all))
	outcomes := make([][]*outcome, len(list), len(list)+1)
	for i, w := range list {
		outcomes[i], came = came[:len(w.invocations)], came[len(w.invocations):]
	}
	return outcomes
}
