//go:build !wasip1

package brrr

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

type n struct {
	N int `json:"n"`
}

func init() {
	Handle("same", func(_ context.Context, in n) (int, error) { return in.N, nil })
	Handle("fib", func(ctx context.Context, in n) (int, error) {
		if in.N < 2 {
			return in.N, nil
		}
		both, err := Gather(ctx, Prepare[int]("fib", n{in.N - 2}), Prepare[int]("fib", n{in.N - 1}))
		if err != nil {
			return 0, err
		}
		return both[0] + both[1], nil
	})
	Handle("flaky", func(ctx context.Context, in n) (int, error) {
		if attempt := RequestOf(ctx).Attempt; attempt < in.N {
			return 0, fmt.Errorf("attempt %d fails", attempt)
		}
		return in.N, nil
	}, Options{MaxRetries: 2})
	Handle("permanent", func(context.Context, n) (int, error) {
		return 0, fmt.Errorf("around: %w", Permanent(errors.New("no use")))
	}, Options{MaxRetries: 5})
	Handle("panics", func(context.Context, n) (int, error) {
		var nothing map[string]int
		nothing["x"] = 1
		return 0, nil
	})
	Handle("parent", func(ctx context.Context, in n) (int, error) {
		_, err := Call[int](ctx, "permanent", in)
		return 0, fmt.Errorf("wrapped: %w", err)
	}, Options{MaxRetries: 5})
	Handle("patient", func(ctx context.Context, _ n) (int, error) {
		turns := 0
		for IsActive(ctx) {
			time.Sleep(10 * time.Millisecond)
			turns++
		}
		return turns, nil
	}, Options{Timeout: 100 * time.Millisecond})
	HandleRaw("raw", func(_ context.Context, payload []byte) ([]byte, error) { return append(payload, '!'), nil })
}

var same = Task[n, int]{Name: "same"}

func expect(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestGoroutinesThatWaitAreOneBatch(t *testing.T) {
	Test(t, func(ctx context.Context) {
		var group sync.WaitGroup
		sum := make(chan int, 100)
		for i := range 100 {
			group.Go(func() {
				x, _ := same.Call(ctx, n{i})
				// Those that go on are again one.
				y, _ := same.Call(ctx, n{x + 1000})
				sum <- y
			})
		}
		group.Wait()
		close(sum)
		total := 0
		for y := range sum {
			total += y
		}
		expect(t, total, 100*99/2+100*1000)
		expect(t, Batches(ctx), []int{100, 100})
	})
}

func TestGoroutinesThatWaitForEachOtherMeet(t *testing.T) {
	Test(t, func(ctx context.Context) {
		// The second call depends on a goroutine that has to run first, through a channel.
		values := make(chan int)
		go func() {
			x, _ := same.Call(ctx, n{1})
			values <- x
		}()
		go func() { values <- 10 }()
		a, b := <-values, <-values
		expect(t, a+b, 11)
		expect(t, Batches(ctx), []int{1})
	})
}

func TestACallWhoseContextEndsIsNotMade(t *testing.T) {
	Test(t, func(ctx context.Context) {
		limited, cancel := context.WithCancel(ctx)
		ended := make(chan error)
		go func() {
			_, err := same.Call(limited, n{1})
			ended <- err
		}()
		go cancel()
		expect(t, <-ended, context.Canceled)
		got, _ := same.Call(ctx, n{2})
		expect(t, got, 2)
		expect(t, Batches(ctx), []int{1})
	})
}

func TestGatherAndRaces(t *testing.T) {
	Test(t, func(ctx context.Context) {
		got, err := Call[int](ctx, "fib", n{12})
		expect(t, err, nil)
		expect(t, got, 144)

		i, first, err := First(ctx, same.Prepare(n{5}), same.Prepare(n{6}))
		expect(t, []any{i, first, err}, []any{0, 5, nil})

		some, err := Some(ctx, 2, same.Prepare(n{1}), same.Prepare(n{2}), same.Prepare(n{3}))
		expect(t, err, nil)
		expect(t, []any{some[0].Value, some[1].Value, some[2] == nil}, []any{1, 2, true})

		none, err := Gather[int](ctx)
		expect(t, []any{len(none), err}, []any{0, nil})
		_, err = Some(ctx, 2, same.Prepare(n{1}))
		expect(t, err.Error(), "2 of 1 calls can never end")
	})
}

func TestFailures(t *testing.T) {
	Test(t, func(ctx context.Context) {
		got, err := Call[int](ctx, "flaky", n{3})
		expect(t, []any{got, err}, []any{3, nil})

		failure := func(task string, in n, options ...CallOptions) *Failure {
			t.Helper()
			_, err := Call[int](ctx, task, in, options...)
			var failure *Failure
			if !errors.As(err, &failure) {
				t.Fatalf("%s gives %v", task, err)
			}
			return failure
		}
		expect(t, failure("flaky", n{9}).Attempts, 3)
		expect(t, failure("flaky", n{8}, CallOptions{MaxRetries: NoRetries}).Attempts, 1)
		permanent := failure("permanent", n{})
		expect(t, []any{permanent.Attempts, permanent.Message}, []any{1, "around: no use"})
		parent := failure("parent", n{})
		expect(t, []any{parent.Attempts, len(parent.Chain)}, []any{1, 2})
		expect(t, failure("nobody", n{}).Kind, KindUnknownTask)

		panicked := failure("panics", n{}).Message
		for _, part := range []string{"panic: assignment to entry in nil map", "batches_test.go:"} {
			if !strings.Contains(panicked, part) {
				t.Errorf("%s lacks %s", panicked, part)
			}
		}
		results, err := GatherResults(ctx, same.Prepare(n{1}), Prepare[int]("permanent", n{}))
		expect(t, []any{results[0].Value, results[0].Err, results[1].Err, err}, []any{1, nil, error(permanent), nil})

		_, err = Call[int](ctx, "same", 5)
		if kind, _ := classify(err); err == nil || kind != 1 {
			t.Errorf("%v", err)
		}
		_, err = Call[string](ctx, "same", n{5})
		if err == nil || !strings.Contains(err.Error(), "the value of same does not fit") {
			t.Errorf("%v", err)
		}
	})
}

func TestBytesAndTime(t *testing.T) {
	Test(t, func(ctx context.Context) {
		got, err := CallRaw(ctx, "raw", []byte("\xff"))
		expect(t, []any{string(got), err}, []any{"\xff!", nil})
		turns, err := Call[int](ctx, "patient", n{})
		expect(t, []any{turns, err}, []any{10, nil})
	})
	if _, err := same.Call(context.Background(), n{}); err == nil {
		t.Error("a call without a handler's context")
	}
}

func TestOptionsAsTheHostReadsThem(t *testing.T) {
	expect(t, (&CallOptions{Topic: "t", Hash: "h"}).pairs(), []pair(nil))
	all := CallOptions{
		Timeout: 1500 * time.Microsecond, MaxRetries: NoRetries, RetryDelay: time.Second, MaxRetryDelay: time.Minute,
		Backoff: Fixed, Label: "throw 1", Scope: ScopeFor(90 * time.Second),
	}
	expect(t, all.pairs(), []pair{
		{"timeout-ms", "2"}, {"max-retries", "0"}, {"retry-delay-ms", "1000"}, {"retry-backoff", "fixed"},
		{"max-retry-delay-ms", "60000"}, {"scope", "90s"}, {"label", "throw 1"},
	})
	task := Options{
		Timeout: time.Second, MaxRetries: 3, Backoff: Exponential, MaxRetryDelay: time.Second, MaxRunning: 2, Memory: 64 * MiB,
		Leaf: true, Scope: ScopeJob, Description: "Counts.",
	}
	expect(t, task.pairs(), []pair{
		{"timeout-ms", "1000"}, {"max-retries", "3"}, {"retry-backoff", "exponential"}, {"max-retry-delay-ms", "1000"},
		{"max-running", "2"}, {"memory-bytes", "67108864"}, {"leaf", "true"}, {"scope", "job"}, {"description", "Counts."},
	})
	expect(t, []Scope{ScopeFor(time.Hour), ScopeFor(time.Millisecond), ScopeFleet}, []Scope{"3600s", "1s", "fleet"})

	// The host derives the hash of a call in JSON, so that a scope can apply; bytes have the host's own.
	expect(t, same.Prepare(n{1}, CallOptions{Scope: ScopeJob}).invocation.options, []pair{{"scope", "job"}, {"hash-of", "python"}})
	expect(t, same.Prepare(n{1}, CallOptions{Hash: "h"}).invocation.options, []pair(nil))
	expect(t, PrepareRaw("raw", nil).invocation.options, []pair(nil))
	expect(t, Promise[int]("a").invocation, invocation{task: "brrr.promise", payload: []byte("a")})
}
