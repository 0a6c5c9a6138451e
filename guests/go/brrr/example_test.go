//go:build !wasip1

package brrr_test

import (
	"context"
	"errors"
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
	case errors.As(err, &failure) && failure.Kind == "timeout":
		fee = 0 // caught
	case err != nil:
		return 0, err // passed on
	}
	return cents + fee, nil
}

func init() {
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

func TestThePageShowsThatHandler(t *testing.T) {
	page, source := read(t, "../README.md"), read(t, "example_test.go")
	_, code, _ := strings.Cut(source, "in the page's chapter on failures.\n")
	code, _, _ = strings.Cut(code, "\nfunc init()")
	if !strings.Contains(page, code) {
		t.Error("guests/go/README.md has another pay than sdk/example_test.go")
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
