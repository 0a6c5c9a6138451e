package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	"github.com/brrr-host/brrr-host/guests/go/brrr/files"
)

func bindOutside() {
	brrr.Handle("prints", prints)
	brrr.Handle("clock", clock)
	brrr.Handle("sleeps", sleeps)
	brrr.Handle("random", random)
	brrr.Handle("real", real, brrr.Options{Leaf: true})
	brrr.Handle("sleeper", sleeper, brrr.Options{Leaf: true})
	brrr.Handle("forbidden", forbidden)
}

type lineArgs struct {
	Line string `json:"line"`
}

// Each line must be seen once, though the handler runs twice.
func prints(ctx context.Context, in lineArgs) (string, error) {
	fmt.Println("before " + in.Line)
	slog.Warn("warning " + in.Line)
	if _, err := leafTask.Call(ctx, leafArgs{1}); err != nil {
		return "", err
	}
	fmt.Println("after " + in.Line)
	return in.Line, nil
}

func clock(ctx context.Context, _ struct{}) ([2]int, error) {
	t := int(time.Now().UnixMilli())
	got, err := leafTask.Call(ctx, leafArgs{t})
	return [2]int{t, got}, err
}

type msArgs struct {
	Ms int `json:"ms"`
}

// No leaf, so the run is dropped while it sleeps.
func sleeps(ctx context.Context, in msArgs) (int, error) {
	before := time.Now()
	time.Sleep(time.Duration(in.Ms) * time.Millisecond)
	moved := int(time.Since(before).Round(time.Millisecond) / time.Millisecond)
	_, err := leafTask.Call(ctx, leafArgs{moved})
	return moved, err
}

func randomInt() int { return rand.IntN(1 << 53) }

func random(ctx context.Context, _ struct{}) ([3]int, error) {
	before := randomInt()
	got, err := leafTask.Call(ctx, leafArgs{before})
	return [3]int{before, got, randomInt()}, err
}

type realWorld struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	Random int   `json:"random"`
}

func real(_ context.Context, in msArgs) (realWorld, error) {
	before := time.Now().UnixMilli()
	time.Sleep(time.Duration(in.Ms) * time.Millisecond)
	return realWorld{before, time.Now().UnixMilli(), randomInt()}, nil
}

type secondsArgs struct {
	Seconds float64 `json:"seconds"`
}

func sleeper(_ context.Context, in secondsArgs) (float64, error) {
	before := time.Now()
	time.Sleep(time.Duration(in.Seconds * float64(time.Second)))
	return time.Since(before).Seconds(), nil
}

type forbiddenArgs struct {
	Port int    `json:"port"`
	Path string `json:"path"`
}

type world struct {
	Network     string   `json:"network"`
	Files       string   `json:"files"`
	Environment []string `json:"environment"`
}

// What a handler tries that it may not.
func forbidden(_ context.Context, in forbiddenArgs) (world, error) {
	connection, network := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", in.Port), time.Second)
	if network == nil {
		connection.Close()
	}
	if response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d", in.Port)); err == nil {
		response.Body.Close()
		network = nil
	}
	var refused error
	for _, attempt := range []func() error{
		func() error { _, err := os.ReadFile(in.Path); return err },
		func() error { return os.WriteFile(in.Path+".new", []byte("x"), 0o600) },
		func() error { _, err := files.ReadFile(in.Path); return err },
		func() error { return files.WriteFile(in.Path+".new", []byte("x")) },
	} {
		if refused = attempt(); refused == nil {
			break
		}
	}
	names := []string{}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		names = append(names, name)
	}
	return world{refusal(network), refusal(refused), names}, nil
}

func refusal(err error) string {
	if err == nil {
		return "got it"
	}
	return "refused: " + err.Error()
}
