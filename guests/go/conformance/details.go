package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindDetails() {
	brrr.Handle("attaches", attaches, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("reads_details", readsDetails)
	brrr.Handle("logs_fields", logsFields)
	brrr.Handle("described", described, brrr.Options{MaxRetries: brrr.NoRetries, Description: "Repeats a text."})
}

type code struct {
	Code int `json:"code"`
}

func attaches(_ context.Context, in code) (any, error) {
	return nil, brrr.Permanent(brrr.WithDetails(errors.New("attached"), in))
}

func readsDetails(ctx context.Context, in code) (int, error) {
	_, err := brrr.Call[any](ctx, "attaches", in)
	var failure *brrr.Failure
	if !errors.As(err, &failure) {
		return 0, errNoFailure
	}
	var details code
	err = failure.DecodeDetails(&details)
	return details.Code, err
}

func logsFields(context.Context, struct{}) (any, error) {
	slog.Info("with fields", "a", 1, "b", "two")
	return nil, nil
}

type describedArgs struct {
	Text  string `json:"text"`
	Times int    `json:"times"`
}

// Its schemas are made of its types.
func described(_ context.Context, in describedArgs) (string, error) {
	return strings.Repeat(in.Text, in.Times), nil
}
