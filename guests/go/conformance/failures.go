package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindFailures() {
	brrr.Handle("fails", fails, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("catches", catches)
	brrr.Handle("fails_child", failsChild)
	brrr.Handle("unknown_child", unknownChild)
	brrr.Handle("stubborn", stubborn, brrr.Options{MaxRetries: 3})
	brrr.Handle("always_fails", alwaysFails, brrr.Options{MaxRetries: 2, RetryDelay: 10 * time.Millisecond})
	brrr.Handle("calls_always_fails", callsAlwaysFails, brrr.Options{MaxRetries: 5})
	brrr.Handle("flaky", flaky, brrr.Options{
		MaxRetries: 3, RetryDelay: 10 * time.Millisecond, Backoff: brrr.Fixed,
	})
	brrr.Handle("panics", panics, brrr.Options{MaxRetries: brrr.NoRetries})
}

type messageArgs struct {
	Message string `json:"message"`
}

func fails(_ context.Context, in messageArgs) (int, error) {
	return 0, errors.New(in.Message)
}

var errNoFailure = brrr.Permanent(errors.New("the child should have failed"))

type caught struct {
	Kind    string `json:"kind"`
	Task    string `json:"task"`
	Message string `json:"message"`
	Fine    int    `json:"fine"`
}

// A child's failure is an error like any other; the value of a child that did not fail is there beside it.
func catches(ctx context.Context, in messageArgs) (caught, error) {
	var failed, leafErr error
	var fine int
	var group sync.WaitGroup
	group.Go(func() { _, failed = brrr.Call[int](ctx, "fails", in) })
	group.Go(func() { fine, leafErr = leafTask.Call(ctx, leafArgs{1}) })
	group.Wait()
	if leafErr != nil {
		return caught{}, leafErr
	}
	var failure *brrr.Failure
	if !errors.As(failed, &failure) {
		return caught{}, errNoFailure
	}
	return caught{string(failure.Kind), failure.Task, failure.Message, fine}, nil
}

// Wrapped, it is still the child's.
func failsChild(ctx context.Context, in messageArgs) (int, error) {
	value, err := brrr.Call[int](ctx, "fails", in)
	if err != nil {
		return 0, fmt.Errorf("asking for what fails: %w", err)
	}
	return value, nil
}

func unknownChild(ctx context.Context, _ struct{}) (int, error) {
	return brrr.Call[int](ctx, "no_such_task", nil)
}

// An error that no retry can mend, although it may be retried.
func stubborn(context.Context, struct{}) (int, error) {
	return 0, brrr.Permanent(errors.New("no use"))
}

func alwaysFails(context.Context, struct{}) (int, error) {
	return 0, errors.New("never works")
}

type catchArgs struct {
	Catch bool `json:"catch"`
}

type seen struct {
	Kind     string `json:"kind"`
	Task     string `json:"task"`
	Message  string `json:"message"`
	Attempts int    `json:"attempts"`
}

func callsAlwaysFails(ctx context.Context, in catchArgs) (seen, error) {
	_, err := brrr.Call[int](ctx, "always_fails", nil)
	var failure *brrr.Failure
	switch {
	case err == nil:
		return seen{}, errNoFailure
	case in.Catch && errors.As(err, &failure):
		return seen{string(failure.Kind), failure.Task, failure.Message, failure.Attempts}, nil
	default:
		return seen{}, err
	}
}

type untilArgs struct {
	Until int `json:"until"`
}

type attempt struct {
	Attempt int `json:"attempt"`
}

func flaky(ctx context.Context, in untilArgs) (attempt, error) {
	request := brrr.RequestOf(ctx)
	if request.Attempt < in.Until {
		return attempt{}, fmt.Errorf("attempt %d fails", request.Attempt)
	}
	return attempt{request.Attempt}, nil
}

func panics(_ context.Context, in messageArgs) (int, error) {
	panic(in.Message)
}
