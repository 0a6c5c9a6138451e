//go:build !wasip1

package brrr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sync"
)

type nap struct {
	Ms  int    `json:"ms"`
	Tag string `json:"tag"`
}

type code struct {
	Code int `json:"code"`
}

var napTask = Task[nap, string]{Name: "nap"}

func init() {
	napTask.Handle(func(_ context.Context, in nap) (string, error) {
		time.Sleep(time.Duration(in.Ms) * time.Millisecond)
		return in.Tag, nil
	}, Options{Leaf: true})
	Handle("attaches", func(_ context.Context, in code) (any, error) {
		return nil, WithDetails(Permanent(errors.New("attached")), in)
	})
	Handle("passes", func(ctx context.Context, in code) (any, error) {
		_, err := Call[any](ctx, "attaches", in)
		return nil, fmt.Errorf("on its way: %w", err)
	})
	Handle("waits_for_promise", func(ctx context.Context, in n) (int, error) { return Promise[int]("answer").Wait(ctx) })
}

func TestACallIsGivenUpAfterItsTime(t *testing.T) {
	Test(t, func(ctx context.Context) {
		start := time.Now()
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := napTask.Call(limited, nap{5000, "a"})
		expect(t, []any{err, time.Since(start).Round(time.Millisecond)}, []any{context.DeadlineExceeded, time.Second})
		// It has gone on.
		got, err := napTask.Call(ctx, nap{5000, "a"})
		expect(t, []any{got, err, time.Since(start).Round(time.Millisecond)}, []any{"a", nil, 5 * time.Second})
	})
}

func TestASelectLimitsACallAsWell(t *testing.T) {
	Test(t, func(ctx context.Context) {
		for _, c := range []struct {
			ms       int
			expected string
		}{{5000, "late"}, {500, "a"}} {
			limited, cancel := context.WithCancel(ctx)
			got := ""
			select {
			case result := <-napTask.Prepare(nap{c.ms, "a"}).Start(limited):
				got = result.Value
			case <-time.After(time.Second):
				got = "late"
			}
			cancel()
			expect(t, got, c.expected)
		}
	})
}

// What is given up does not hold up others: a group fails with its first error, long before the other call ends.
func TestAFailureIsThereAtOnce(t *testing.T) {
	Test(t, func(ctx context.Context) {
		start := time.Now()
		ctx, cancel := context.WithCancelCause(ctx)
		var group sync.WaitGroup
		group.Go(func() {
			_, err := Call[int](ctx, "permanent", n{})
			cancel(err)
		})
		group.Go(func() { _, _ = napTask.Call(ctx, nap{6000, "a"}) })
		group.Wait()
		expect(t, time.Since(start).Round(time.Millisecond), time.Duration(0))
		var failure *Failure
		if !errors.As(context.Cause(ctx), &failure) {
			t.Error(context.Cause(ctx))
		}
	})
}

func TestChainsGoOnWithoutEachOther(t *testing.T) {
	Test(t, func(ctx context.Context) {
		start := time.Now()
		var group sync.WaitGroup
		for k := range 4 {
			group.Go(func() {
				for i := range 4 {
					ms := 0
					if i == k {
						ms = 3000
					}
					_, err := napTask.Call(ctx, nap{ms, fmt.Sprint(k, " ", i)})
					expect(t, err, nil)
				}
			})
		}
		group.Wait()
		if took := time.Since(start); took > 7*time.Second {
			t.Error(took)
		}
		for _, poll := range jobOf(ctx).allPolls() {
			if poll.calls > 1 && poll.want.wish != wantProgress {
				t.Error(poll)
			}
		}
	})
}

func TestPromises(t *testing.T) {
	Test(t, func(ctx context.Context) {
		// Answered before it is waited for, and while.
		expect(t, Resolve(ctx, "early", "yes"), nil)
		early, err := Promise[string]("early").Wait(ctx)
		expect(t, []any{early, err}, []any{"yes", nil})
		time.AfterFunc(time.Hour, func() { _ = Resolve(ctx, "late", code{7}) })
		late, err := Promise[code]("late").Wait(ctx)
		expect(t, []any{late, err}, []any{code{7}, nil})
		if err := Resolve(ctx, "late", code{8}); err == nil {
			t.Error("a second answer")
		}
		// In a race, and with a limit.
		i, got, err := First(ctx, Promise[string]("never"), napTask.Prepare(nap{10, "a"}))
		expect(t, []any{i, got, err}, []any{1, "a", nil})
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err = Promise[string]("never").Wait(limited)
		expect(t, err, context.DeadlineExceeded)
		// Rejected, and by a child of the same job.
		expect(t, Reject(ctx, "no", "not now"), nil)
		_, err = Promise[string]("no").Wait(ctx)
		var failure *Failure
		if !errors.As(err, &failure) || failure.Kind != KindRejected || failure.Message != "not now" {
			t.Error(err)
		}
		expect(t, Resolve(ctx, "answer", 42), nil)
		answer, err := Call[int](ctx, "waits_for_promise", n{})
		expect(t, []any{answer, err}, []any{42, nil})
		_, err = Promise[int]("\xff").Wait(ctx)
		if err == nil || !strings.Contains(err.Error(), "not UTF-8") {
			t.Error(err)
		}
	})
}

func TestDetailsOfAnErrorReachTheCaller(t *testing.T) {
	Test(t, func(ctx context.Context) {
		for _, task := range []string{"attaches", "passes"} {
			_, err := Call[any](ctx, task, code{402})
			var failure *Failure
			if !errors.As(err, &failure) {
				t.Fatal(err)
			}
			var details code
			expect(t, []any{failure.DecodeDetails(&details), details}, []any{nil, code{402}})
			if err := failure.DecodeDetails(new([]int)); err == nil || !strings.Contains(err.Error(), "do not fit") {
				t.Error(err)
			}
		}
	})
	if err := (&Failure{Task: "a"}).DecodeDetails(new(code)); err.Error() != "the failure of a has no details" {
		t.Error(err)
	}
}

func TestDetailsDoNotHideTheirError(t *testing.T) {
	expect(t, WithDetails(nil, 1), nil)
	expect(t, Permanent(nil), nil)
	for _, err := range []error{
		WithDetails(Permanent(errors.New("x")), 1), Permanent(WithDetails(errors.New("x"), 1)),
		fmt.Errorf("y: %w", WithDetails(Permanent(errors.New("x")), 1)),
	} {
		kind, _ := classify(err)
		details, problem := detailsOf(err)
		expect(t, []any{kind, string(details), problem}, []any{permanent, "1", ""})
		if strings.Contains(messageOf(err), "caused by") {
			t.Error(messageOf(err))
		}
	}
	details, problem := detailsOf(WithDetails(errors.New("x"), math.NaN()))
	expect(t, details, []byte(nil))
	if !strings.Contains(problem, "its details can't be written as JSON: NaN") {
		t.Error(problem)
	}
	// The handler's own say more than the child's.
	_, passed := classify(WithDetails(fmt.Errorf("y: %w", &Failure{Task: "a", Details: []byte("1")}), 2))
	expect(t, string(passed.Details), "2")
}

func TestAttributesOfALogAreItsFields(t *testing.T) {
	var lines []string
	logger := slog.New(&logHandler{write: func(level slog.Level, message string, fields []pair) {
		lines = append(lines, fmt.Sprint(level, " ", message, " ", fields))
	}})
	logger.Info("plain")
	logger.Warn("half \xf0", "a", 1, "b", "two\xff", slog.Group("g", "c", true))
	job := logger.With("job", 7).WithGroup("inner")
	job.Error("grouped", "d", 1.5)
	// What is added to one does not show in the other.
	one, other := job.With("e", 1), job.With("f", 2)
	one.Debug("one")
	other.Debug("other")
	expected := []string{
		"INFO plain []", "WARN half \uFFFD [{a 1} {b two\uFFFD} {g.c true}]", "ERROR grouped [{job 7} {inner.d 1.5}]",
		"DEBUG one [{job 7} {inner.e 1}]", "DEBUG other [{job 7} {inner.f 2}]",
	}
	if !slices.Equal(lines, expected) {
		t.Errorf("%q", lines)
	}
}
