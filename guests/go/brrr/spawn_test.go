//go:build !wasip1

package brrr

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func job(number int) string { return fmt.Sprintf("%032x", number) }

func TestADetachedJobIsNotWaitedFor(t *testing.T) {
	Test(t, func(ctx context.Context) {
		start := time.Now()
		slow := napTask.Prepare(nap{5000, "a"}).Start(ctx)
		synctest.Wait()
		for i := range 2 {
			// Two that are alike are two jobs.
			id, err := napTask.Spawn(ctx, nap{9000, "b"}, CallOptions{Topic: "t"})
			expect(t, []any{id, err}, []any{job(i + 1), nil})
		}
		id, err := Spawn(ctx, "no_such_task", map[string]int{"n": 1})
		expect(t, []any{id, err}, []any{job(3), nil})
		id, err = PrepareRaw("raw", []byte("x")).Spawn(ctx)
		expect(t, []any{id, err, time.Since(start)}, []any{job(4), nil, time.Duration(0)})
		expect(t, Spawned(ctx)[1:], []Request{
			{Task: "nap", Payload: []byte(`[{"ms": 9000, "tag": "b"}]`), Topic: "t", JobID: job(2)},
			{Task: "no_such_task", Payload: []byte(`[{"n": 1}]`), JobID: job(3)},
			{Task: "raw", Payload: []byte("x"), JobID: job(4)},
		})
		expect(t, (<-slow).Value, "a")
		expect(t, Batches(ctx), []int{1})
	})
}

func TestADetachedJobIsACallWithOneMoreOption(t *testing.T) {
	host := &optionsHost{}
	ctx, _ := newRun(t.Context(), host, Request{})
	call := same.Prepare(n{1}, CallOptions{Label: "l", MaxRetries: NoRetries})
	before := fmt.Sprint(call.invocation.options)
	id, err := call.Spawn(ctx)
	expect(t, []any{id, err}, []any{"id", nil})
	expect(t, fmt.Sprint(call.invocation.options), before)
	_, err = same.Spawn(ctx, n{2}, CallOptions{Hash: "h"})
	expect(t, err, nil)
	expect(t, host.asked, []invocation{
		{task: "same", payload: []byte(`[{"n": 1}]`), options: []pair{
			{"max-retries", "0"}, {"label", "l"}, {"hash-of", "python"}, {"detached", "true"},
		}},
		{task: "same", payload: []byte(`[{"n": 2}]`), hash: "h", options: []pair{{"detached", "true"}}},
	})
}

// optionsHost notes what it is asked for. The task `fails` fails.
type optionsHost struct {
	scriptedHost
	asked []invocation
}

func (h *optionsHost) poll(calls []invocation, want want, until int64) []*outcome {
	h.asked = append(h.asked, calls...)
	if want.wish != wantAll || len(calls) != 1 || until != 0 {
		panic("a detached job is asked for alone")
	}
	if calls[0].task == "fails" {
		return []*outcome{{failure: &Failure{Kind: KindError, Task: "fails", Message: "no such topic"}}}
	}
	return []*outcome{{value: []byte(`"id"`)}}
}

func TestADetachedJobThatCanNotBeStarted(t *testing.T) {
	host := &optionsHost{}
	ctx, _ := newRun(t.Context(), host, Request{})
	_, err := Spawn(ctx, "fails", n{1})
	var failure *Failure
	expect(t, errors.As(err, &failure) && failure.Message == "no such topic", true)
	_, err = Spawn(ctx, "same", map[string]any{"n": func() {}})
	expect(t, strings.HasPrefix(err.Error(), "the arguments of same can't be written"), true)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = Spawn(ended, "same", n{1})
	expect(t, err, context.Canceled)
	_, err = Spawn(context.Background(), "same", n{1})
	expect(t, errors.Is(err, errNoRun), true)
	expect(t, len(host.asked), 1)
}
