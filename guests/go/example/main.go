package main

import (
	"context"
	"fmt"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	"golang.org/x/sync/errgroup"
)

type HelloArgs struct {
	Greetee string `json:"greetee"`
}

func hello(ctx context.Context, in HelloArgs) (string, error) {
	greeting := fmt.Sprintf("Hello, %s!", in.Greetee)
	fmt.Println(greeting) // appears on the worker's output
	return greeting, nil
}

type FibArgs struct {
	N int `json:"n"`
}

func fib(ctx context.Context, in FibArgs) (int, error) {
	if in.N < 2 {
		return in.N, nil
	}
	var a, b int
	group, ctx := errgroup.WithContext(ctx) // two goroutines, one batch
	group.Go(func() (err error) {
		a, err = brrr.Call[int](ctx, "fib", FibArgs{N: in.N - 1})
		return err
	})
	group.Go(func() (err error) {
		b, err = brrr.Call[int](ctx, "fib", FibArgs{N: in.N - 2})
		return err
	})
	err := group.Wait()
	return a + b, err
}

func main() {
	brrr.Handle("hello", hello)
	brrr.Handle("fib", fib, brrr.Options{MaxRetries: 3})
}
