package main

import (
	"context"
	"errors"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindLimits() {
	brrr.Handle("full_options", noop, brrr.Options{
		Timeout: 10 * time.Second, MaxRetries: 1, RetryDelay: 10 * time.Millisecond, Backoff: brrr.Exponential,
		MaxRetryDelay: time.Second, MaxRunning: 2, Memory: 128 * brrr.MiB,
	})
	brrr.Handle("loops", loops)
	brrr.Handle("spin_briefly_limited", loops,
		brrr.Options{Timeout: 300 * time.Millisecond, MaxRetries: brrr.NoRetries})
	brrr.Handle("with_options", withOptions)
	brrr.Handle("patient", patient, brrr.Options{Leaf: true, Timeout: 500 * time.Millisecond})
	brrr.Handle("grows", grows, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("recurses", recurses, brrr.Options{MaxRetries: brrr.NoRetries})
}

// Computes for ever.
func loops(context.Context, struct{}) (uint64, error) {
	turns := uint64(1)
	for turns != 0 {
		// It never gets to an even number, which the compiler doesn't know.
		turns = turns*6364136223846793005 + 2
	}
	return turns, nil
}

// Stopped by what its caller says of this one call.
func withOptions(ctx context.Context, _ struct{}) (string, error) {
	_, err := brrr.Call[int](ctx, "loops", nil, brrr.CallOptions{
		Timeout: 200 * time.Millisecond, MaxRetries: brrr.NoRetries, Label: "brief",
	})
	var failure *brrr.Failure
	if !errors.As(err, &failure) {
		return "", errNoFailure
	}
	return string(failure.Kind), nil
}

// Works until its time is nearly over, and stops by itself.
func patient(ctx context.Context, _ struct{}) (string, error) {
	for brrr.IsActive(ctx) && brrr.TimeLeft(ctx) > 100*time.Millisecond {
		time.Sleep(5 * time.Millisecond)
	}
	return "stopped in time", nil
}

// Takes memory until it is stopped.
func grows(context.Context, struct{}) (int, error) {
	var hoard [][]byte
	for {
		block := make([]byte, 1<<20)
		for page := 0; page < len(block); page += 4096 {
			block[page] = 1
		}
		hoard = append(hoard, block)
		if len(hoard) < 0 {
			return len(hoard), nil
		}
	}
}

// Recurses without end.
func recurses(context.Context, struct{}) (int, error) {
	return deeper(0), nil
}

func deeper(n int) int {
	var frame [64]int
	frame[n%64] = n
	return deeper(n+1) + frame[(n+1)%64]
}
