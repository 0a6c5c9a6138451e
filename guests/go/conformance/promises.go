package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindPromises() {
	brrr.Handle("asks", asks)
	brrr.Handle("asks_or", asksOr)
	brrr.Handle("asks_caught", asksCaught)
}

type asksArgs struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"`
}

func asks(ctx context.Context, in asksArgs) (any, error) {
	if in.Limit > 0 {
		limited, cancel := context.WithTimeout(ctx, milliseconds(in.Limit))
		defer cancel()
		ctx = limited
	}
	// As it was given, whatever JSON is in it.
	value, err := brrr.Promise[json.RawMessage](in.Name).Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return late, nil
	}
	return value, err
}

type asksOrArgs struct {
	Name string `json:"name"`
	Ms   int    `json:"ms"`
	Tag  string `json:"tag"`
}

func asksOr(ctx context.Context, in asksOrArgs) (json.RawMessage, error) {
	_, value, err := brrr.First(ctx,
		brrr.Promise[json.RawMessage](in.Name),
		brrr.Prepare[json.RawMessage]("nap", napArgs{in.Ms, in.Tag}),
	)
	return value, err
}

type promiseArgs struct {
	Name string `json:"name"`
}

type rejection struct {
	Kind    brrr.Kind `json:"kind"`
	Message string    `json:"message"`
}

func asksCaught(ctx context.Context, in promiseArgs) (rejection, error) {
	_, err := brrr.Promise[any](in.Name).Wait(ctx)
	var failure *brrr.Failure
	switch {
	case errors.As(err, &failure):
		return rejection{failure.Kind, failure.Message}, nil
	case err == nil:
		return rejection{}, errNoFailure
	default:
		return rejection{}, err
	}
}
