package main

import (
	"context"
	"sync"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	"golang.org/x/sync/errgroup"
)

func bindGraph() {
	brrr.Handle("noop", noop)
	brrr.Handle("hello", hello)
	brrr.Handle("leaf", leaf)
	brrr.Handle("big_result", bigResult)
	brrr.Handle("fib", fib)
	brrr.Handle("spawns", spawns)
	brrr.Handle("spawns_between", spawnsBetween)
	brrr.Handle("fan_out", fanOut)
	brrr.Handle("gather", gather)
	brrr.Handle("sequential", sequential)
	brrr.Handle("chains", chains)
	brrr.Handle("race", race)
	brrr.Handle("race_of", raceOf)
}

func noop(context.Context, struct{}) (any, error) { return nil, nil }

type helloArgs struct {
	Greetee string `json:"greetee"`
}

func hello(_ context.Context, in helloArgs) (string, error) {
	return "Hello, " + in.Greetee + "!", nil
}

type leafArgs struct {
	I int `json:"i"`
}

// leafTask is the task with its types, so that its calls need no type arguments.
var leafTask = brrr.Task[leafArgs, int]{Name: "leaf"}

func leaf(_ context.Context, in leafArgs) (int, error) { return in.I, nil }

type bytesArgs struct {
	Bytes int `json:"bytes"`
}

// So many bytes of JSON, quotes included.
func bigResult(_ context.Context, in bytesArgs) (string, error) {
	text := make([]byte, max(in.Bytes-2, 0))
	for i := range text {
		text[i] = 'x'
	}
	return string(text), nil
}

type fibArgs struct {
	N    int     `json:"n"`
	Salt *string `json:"salt"`
}

// Without a salt every `fib(n)` is one call, however many ask for it. With one, the two children get salts of their own.
func fib(ctx context.Context, in fibArgs) (int, error) {
	if in.N < 2 {
		return in.N, nil
	}
	below := func(way string) *string {
		if in.Salt == nil {
			return nil
		}
		salt := *in.Salt + way
		return &salt
	}
	var a, b int
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		a, err = brrr.Call[int](ctx, "fib", fibArgs{in.N - 2, below("l")})
		return err
	})
	group.Go(func() (err error) {
		b, err = brrr.Call[int](ctx, "fib", fibArgs{in.N - 1, below("r")})
		return err
	})
	err := group.Wait()
	return a + b, err
}

type nArgs struct {
	N int `json:"n"`
}

// Detached jobs; their ids.
func spawns(ctx context.Context, in nArgs) ([]string, error) {
	jobs := make([]string, in.N)
	salt := "spawn"
	for i := range jobs {
		job, err := brrr.Spawn(ctx, "fib", fibArgs{N: i, Salt: &salt})
		if err != nil {
			return nil, err
		}
		jobs[i] = job
	}
	return jobs, nil
}

// A detached job before a call, which another run starts again, and one after it.
func spawnsBetween(ctx context.Context, _ struct{}) ([]string, error) {
	salt := "between"
	before, err := brrr.Spawn(ctx, "fib", fibArgs{N: 1, Salt: &salt})
	if err != nil {
		return nil, err
	}
	if _, err := brrr.Call[int](ctx, "fib", fibArgs{N: 2}); err != nil {
		return nil, err
	}
	after, err := brrr.Spawn(ctx, "fib", fibArgs{N: 3, Salt: &salt})
	return []string{before, after}, err
}

// The plainest way: a goroutine a call.
func fanOut(ctx context.Context, in nArgs) (int, error) {
	values, errs := make([]int, in.N), make([]error, in.N)
	var group sync.WaitGroup
	for i := range in.N {
		group.Go(func() { values[i], errs[i] = leafTask.Call(ctx, leafArgs{i}) })
	}
	group.Wait()
	sum := 0
	for i := range in.N {
		if errs[i] != nil {
			return 0, errs[i]
		}
		sum += values[i]
	}
	return sum, nil
}

// Without goroutines.
func gather(ctx context.Context, in nArgs) ([]int, error) {
	return brrr.Gather(ctx, leaves(in.N)...)
}

func leaves(n int) []brrr.Prepared[int] {
	calls := make([]brrr.Prepared[int], n)
	for i := range calls {
		calls[i] = leafTask.Prepare(leafArgs{i})
	}
	return calls
}

func sequential(ctx context.Context, in nArgs) (int, error) {
	sum := 0
	for i := range in.N {
		value, err := leafTask.Call(ctx, leafArgs{i})
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// n chains at once: each calls, and calls again with what came.
func chains(ctx context.Context, in nArgs) ([]int, error) {
	ends := make([]int, in.N)
	group, ctx := errgroup.WithContext(ctx)
	for k := range in.N {
		group.Go(func() error {
			x, err := leafTask.Call(ctx, leafArgs{k})
			if err != nil {
				return err
			}
			ends[k], err = leafTask.Call(ctx, leafArgs{x + in.N})
			return err
		})
	}
	return ends, group.Wait()
}

type raceArgs struct {
	Slow string `json:"slow"`
	Gate string `json:"gate"`
}

func race(ctx context.Context, in raceArgs) ([]int, error) {
	winner, value, err := brrr.First(ctx,
		leafTask.Prepare(leafArgs{0}, brrr.CallOptions{Topic: in.Slow}),
		leafTask.Prepare(leafArgs{1}),
	)
	if err != nil {
		return nil, err
	}
	last, err := leafTask.Call(ctx, leafArgs{2}, brrr.CallOptions{Topic: in.Gate})
	return []int{winner, value, last}, err
}

type raceOfArgs struct {
	Need int `json:"need"`
	N    int `json:"n"`
}

// The values of the first that end, null for the others.
func raceOf(ctx context.Context, in raceOfArgs) ([]*int, error) {
	results, err := brrr.Some(ctx, in.Need, leaves(in.N)...)
	values := make([]*int, len(results))
	for i, result := range results {
		if result == nil {
			continue
		}
		if result.Err != nil {
			return nil, result.Err
		}
		values[i] = &result.Value
	}
	return values, err
}
