//go:build !wasip1

package brrr_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

type PayArgs struct {
	Account string `json:"account"`
	Cents   string `json:"cents"`
}

type FeeArgs struct {
	Cents int `json:"cents"`
}

// Word for word in the page's chapter on failures.
func pay(ctx context.Context, in PayArgs) (int, error) {
	if in.Account == "" {
		return 0, brrr.Permanent(errors.New("no account")) // never retried
	}
	cents, err := strconv.Atoi(in.Cents)
	if err != nil {
		return 0, err // retried
	}
	fee, err := brrr.Call[int](ctx, "fee", FeeArgs{Cents: cents}, brrr.CallOptions{Timeout: 5 * time.Second})
	var failure *brrr.Failure
	switch {
	case errors.As(err, &failure) && failure.Kind == brrr.KindTimeout:
		fee = 0 // caught
	case err != nil:
		return 0, err // passed on
	}
	return cents + fee, nil
}

type OrderArgs struct {
	Order int `json:"order"`
}

type Approval struct {
	By string `json:"by"`
}

// Word for word in the page's chapters on time and promises.
func order(ctx context.Context, in OrderArgs) (string, error) {
	week, cancel := context.WithTimeout(ctx, 7*24*time.Hour) // at most so long
	defer cancel()
	approval, err := brrr.Promise[Approval]("approval").Wait(week)
	var failure *brrr.Failure
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "nobody has answered", nil
	case errors.As(err, &failure) && failure.Kind == brrr.KindRejected:
		return "refused: " + failure.Message, nil
	case err != nil:
		return "", err
	}

	charging, stop := context.WithCancel(ctx)
	defer stop()
	select {
	case receipt := <-charge.Prepare(in).Start(charging):
		if receipt.Err != nil {
			return "", receipt.Err
		}
	case <-time.After(30 * time.Second):
		return "the card takes too long", nil
	}

	time.Sleep(3 * 24 * time.Hour) // no worker, no memory
	return "sent, approved by " + approval.By, nil
}

// Word for word in the page's chapter on detached jobs.
func placed(ctx context.Context, in OrderArgs) (string, error) {
	job, err := brrr.Spawn(ctx, "remind", in, brrr.CallOptions{Topic: "mail"}) // goes on by itself
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("order %d is placed, and %s reminds of it", in.Order, job), nil
}

var charge = brrr.Task[OrderArgs, string]{Name: "charge"}

// Word for word in the page's chapter on failures.
func refuse(_ context.Context, in OrderArgs) (string, error) {
	return "", brrr.Permanent(brrr.WithDetails(errors.New("the card was refused"), Refusal{Code: 402}))
}

type Refusal struct {
	Code int `json:"code"`
}

func whyRefused(ctx context.Context, in OrderArgs) (int, error) {
	_, err := brrr.Call[string](ctx, "refuse", in)
	var failure *brrr.Failure
	var refusal Refusal
	if errors.As(err, &failure) && failure.DecodeDetails(&refusal) == nil {
		return refusal.Code, nil
	}
	return 0, err
}

func init() {
	brrr.Handle("order", order)
	brrr.Handle("placed", placed)
	brrr.Handle("refuse", refuse)
	brrr.Handle("why_refused", whyRefused)
	charge.Handle(func(_ context.Context, in OrderArgs) (string, error) {
		time.Sleep(time.Duration(in.Order) * time.Second)
		return "receipt", nil
	}, brrr.Options{Leaf: true})
	brrr.Handle("pay", pay, brrr.Options{MaxRetries: 3})
	brrr.Handle("fee", func(_ context.Context, in FeeArgs) (int, error) {
		if in.Cents == 0 {
			return 0, errors.New("nothing to pay")
		}
		return in.Cents / 100, nil
	})
}

func TestThePagesHandlerPays(t *testing.T) {
	brrr.Test(t, func(ctx context.Context) {
		if got, err := brrr.Call[int](ctx, "pay", PayArgs{"a", "200"}); got != 202 || err != nil {
			t.Error(got, err)
		}
		for in, attempts := range map[PayArgs]int{{"a", "many"}: 4, {"", "200"}: 1, {"a", "0"}: 1} {
			_, err := brrr.Call[int](ctx, "pay", in)
			var failure *brrr.Failure
			if !errors.As(err, &failure) || failure.Attempts != attempts {
				t.Errorf("%v: %v", in, err)
			}
		}
	})
}

func TestThePagesOrderIsAnswered(t *testing.T) {
	for _, c := range []struct {
		order    int
		answer   func(ctx context.Context) error
		expected string
		takes    time.Duration
	}{
		{1, func(ctx context.Context) error { return brrr.Resolve(ctx, "approval", Approval{By: "Ann"}) },
			"sent, approved by Ann", 2*24*time.Hour + 3*24*time.Hour + time.Second},
		{60, func(ctx context.Context) error { return brrr.Resolve(ctx, "approval", Approval{By: "Ann"}) },
			"the card takes too long", 2*24*time.Hour + 30*time.Second},
		{1, func(ctx context.Context) error { return brrr.Reject(ctx, "approval", "too dear") }, "refused: too dear", 2 * 24 * time.Hour},
		{1, func(context.Context) error { return nil }, "nobody has answered", 7 * 24 * time.Hour},
	} {
		brrr.Test(t, func(ctx context.Context) {
			start := time.Now()
			time.AfterFunc(2*24*time.Hour, func() {
				if err := c.answer(ctx); err != nil {
					t.Error(err)
				}
			})
			got, err := brrr.Call[string](ctx, "order", OrderArgs{c.order})
			took := time.Since(start).Round(time.Millisecond)
			if got != c.expected || err != nil || took != c.takes {
				t.Error(got, err, took)
			}
		})
	}
}

func TestThePagesOrderIsPlaced(t *testing.T) {
	brrr.Test(t, func(ctx context.Context) {
		got, err := brrr.Call[string](ctx, "placed", OrderArgs{7})
		if got != "order 7 is placed, and 00000000000000000000000000000001 reminds of it" || err != nil {
			t.Error(got, err)
		}
		if jobs := brrr.Spawned(ctx); len(jobs) != 1 || jobs[0].Task != "remind" || jobs[0].Topic != "mail" {
			t.Error(jobs)
		}
	})
}

func TestThePagesRefusalHasItsCode(t *testing.T) {
	brrr.Test(t, func(ctx context.Context) {
		if got, err := brrr.Call[int](ctx, "why_refused", OrderArgs{1}); got != 402 || err != nil {
			t.Error(got, err)
		}
	})
}

func TestThePageShowsTheseHandlers(t *testing.T) {
	page, source := read(t, "../README.md"), read(t, "example_test.go")
	parts := strings.Split(source, "// Word for word in the page's ")[1:]
	for _, part := range parts[:len(parts)-1] { // the last is this test's
		_, code, _ := strings.Cut(part, "\n")
		code, _, _ = strings.Cut(code, "\n}\n\n")
		if !strings.Contains(page, code) {
			t.Errorf("guests/go/README.md lacks\n%s", code)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
