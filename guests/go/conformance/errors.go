package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
	_ "time/tzdata" // a component has no time zones of its own

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindErrors() {
	once := brrr.Options{MaxRetries: 1, RetryDelay: 10 * time.Millisecond}
	brrr.Handle("cut", cut, once)
	brrr.Handle("causes", causes, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("several", several, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("nothing", nothing)
	brrr.Handle("no_number", noNumber, once)
	brrr.Handle("zone", zone)
}

type cutArgs struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// Up to the middle of the first character of four bytes.
func upToTheMiddle(text string) string {
	for i, c := range text {
		if c > 0xffff {
			return text[:i+2]
		}
	}
	return text
}

func cut(_ context.Context, in cutArgs) (string, error) {
	part := "cut: " + upToTheMiddle(in.Text)
	switch in.Kind {
	case "output":
		fmt.Println(part)
	case "log":
		slog.Warn(part)
	case "error":
		return "", errors.New(part)
	case "permanent":
		return "", brrr.Permanent(errors.New(part))
	case "panic":
		panic(part)
	}
	return "done", nil
}

func causes(context.Context, struct{}) (any, error) {
	return nil, fmt.Errorf("outer trouble: %w", errors.New("inner trouble"))
}

func several(context.Context, struct{}) (any, error) {
	return nil, errors.Join(errors.New("first trouble"), errors.New("second trouble"))
}

func nothing(context.Context, struct{}) (any, error) { return nil, nil }

func noNumber(context.Context, struct{}) (map[string][]float64, error) {
	return map[string][]float64{"values": {1, math.NaN()}}, nil
}

func zone(context.Context, struct{}) (string, error) {
	zurich, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		return "", err
	}
	return time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC).In(zurich).Format("15:04 MST"), nil
}
