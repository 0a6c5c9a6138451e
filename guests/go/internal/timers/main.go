// Timers is a guest for the tests of cmd/brrr-build.
package main

import (
	"context"
	"runtime"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func main() {
	brrr.Handle("cancels", cancels)
	brrr.Handle("ticks", ticks)
	brrr.Handle("spawns_beside", spawnsBeside)
}

type napArgs struct {
	Ms  int    `json:"ms"`
	Tag string `json:"tag"`
}

func nap(ctx context.Context, ms int, tag string) (string, error) {
	return brrr.Call[string](ctx, "nap", napArgs{ms, tag})
}

// A limit that is cancelled, among others that are not.
func cancels(ctx context.Context, _ struct{}) (string, error) {
	for i := range 8 {
		long, cancel := context.WithTimeout(ctx, time.Duration(i+1)*time.Hour)
		defer cancel()
		_ = long
	}
	if err := limited(ctx, 2*time.Second); err != nil {
		return "", err
	}
	return nap(ctx, 5000, "b")
}

func limited(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := nap(ctx, 0, "a")
	return err
}

// A goroutine that does something else every second while a call is waited for.
func ticks(ctx context.Context, _ struct{}) (int, error) {
	ticks, done := 0, make(chan struct{})
	go func() {
		for range 3 {
			time.Sleep(time.Second)
			ticks++
		}
		close(done)
	}()
	if _, err := nap(ctx, 2500, "a"); err != nil {
		return 0, err
	}
	atTheEnd := ticks
	<-done
	return atTheEnd*10 + ticks, nil
}

// A detached job while a goroutine waits for a call already.
func spawnsBeside(ctx context.Context, _ struct{}) ([]string, error) {
	slow := brrr.Prepare[string]("nap", napArgs{5000, "a"}).Start(ctx)
	runtime.Gosched()
	job, err := brrr.Spawn(ctx, "fib", struct{}{})
	if err != nil {
		return nil, err
	}
	got := <-slow
	return []string{got.Value, job}, got.Err
}
