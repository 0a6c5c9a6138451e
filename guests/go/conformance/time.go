package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	"golang.org/x/sync/errgroup"
)

func bindTime() {
	napTask.Handle(nap, brrr.Options{Leaf: true})
	brrr.Handle("sides", sides)
	brrr.Handle("fail_fast", failFast, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("too_late", tooLate)
	brrr.Handle("twice_late", twiceLate)
}

type napArgs struct {
	Ms  int    `json:"ms"`
	Tag string `json:"tag"`
}

var napTask = brrr.Task[napArgs, string]{Name: "nap"}

func nap(_ context.Context, in napArgs) (string, error) {
	time.Sleep(milliseconds(in.Ms))
	return in.Tag, nil
}

func milliseconds(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

type saltArgs struct {
	Ms   int    `json:"ms"`
	Salt string `json:"salt"`
}

// Four chains at once. The slow step of each is another one.
func sides(ctx context.Context, in saltArgs) ([4]string, error) {
	var last [4]string
	group, ctx := errgroup.WithContext(ctx)
	for k := range last {
		group.Go(func() error {
			for i := range 4 {
				ms := 0
				if i == k {
					ms = in.Ms
				}
				var err error
				if last[k], err = napTask.Call(ctx, napArgs{ms, fmt.Sprintf("%s%d%d", in.Salt, k, i)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return last, group.Wait()
}

// The group ends with the first error, by its context.
func failFast(ctx context.Context, in saltArgs) (any, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := brrr.Call[int](ctx, "fails", messageArgs{in.Salt})
		return err
	})
	group.Go(func() error {
		_, err := napTask.Call(ctx, napArgs{in.Ms, in.Salt})
		return err
	})
	return nil, group.Wait()
}

const late = "too late"

type limitArgs struct {
	Ms    int    `json:"ms"`
	Limit int    `json:"limit"`
	Tag   string `json:"tag"`
}

// The limit's timer is pending while the call's value comes. Go looks at timers whenever it schedules, also while the host
// passes it the value.
func tooLate(ctx context.Context, in limitArgs) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, milliseconds(in.Limit))
	defer cancel()
	value, err := napTask.Call(ctx, napArgs{in.Ms, in.Tag})
	if errors.Is(err, context.DeadlineExceeded) {
		return late, nil
	}
	return value, err
}

// By a select this time. Then the same call without a limit: it has gone on.
func twiceLate(ctx context.Context, in limitArgs) ([2]string, error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	call := napTask.Prepare(napArgs{in.Ms, in.Tag})
	first := brrr.Result[string]{Value: late}
	select {
	case first = <-call.Start(limited):
	case <-time.After(milliseconds(in.Limit)):
		cancel()
	}
	if first.Err != nil {
		return [2]string{}, first.Err
	}
	second, err := call.Wait(ctx)
	return [2]string{first.Value, second}, err
}
