//go:build wasip1

// Package poll waits for the host without holding up other goroutines.
package poll

import (
	"context"
	"math"
	"runtime"
	"sync"
	"unsafe"

	"github.com/brrr-host/brrr-host/guests/go/sdk/internal/abi"
)

//go:wasmimport wasi:io/poll@0.2.0 poll
func importPoll(pollables unsafe.Pointer, length uint32, ready *abi.List)

//go:wasmimport wasi:io/poll@0.2.0 [resource-drop]pollable
func dropPollable(pollable uint32)

//go:wasmimport wasi:clocks/monotonic-clock@0.2.0 subscribe-duration
func subscribeDuration(nanoseconds uint64) uint32

// TimePasses says that the clock moves while the handler waits: in a leaf. Elsewhere a clock moves by sleeping alone, so
// there what is waited for here comes before every timer.
var TimePasses bool

type waiting struct {
	pollable uint32
	ready    chan struct{}
}

var (
	mu      sync.Mutex
	pending []*waiting
	watched bool
)

// Wait returns once the pollable, which it disposes of, is ready; or with the context's error.
func Wait(ctx context.Context, pollable uint32) error {
	defer dropPollable(pollable)
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &waiting{pollable, make(chan struct{})}
	add(w)
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		forget(w)
		return ctx.Err()
	}
}

func add(w *waiting) {
	mu.Lock()
	defer mu.Unlock()
	pending = append(pending, w)
	if !watched {
		watched = true
		go watch()
	}
}

func forget(w *waiting) {
	mu.Lock()
	defer mu.Unlock()
	for i, other := range pending {
		if other == w {
			pending = append(pending[:i], pending[i+1:]...)
			return
		}
	}
}

// watch asks the host whenever all other goroutines wait: meanwhile none of them could run.
func watch() {
	for {
		// There is one thread, and who yields comes after all that can run; but for every 61st turn of the scheduler, so
		// twice.
		runtime.Gosched()
		runtime.Gosched()
		if !resumeReady() {
			return
		}
	}
}

// Waits for the host, or until a timer is due. False if nobody waits for the host any more.
func resumeReady() bool {
	mu.Lock()
	defer mu.Unlock()
	watched = len(pending) > 0
	if !watched {
		return false
	}
	pollables := make([]uint32, len(pending), len(pending)+1)
	for i, w := range pending {
		pollables[i] = w.pollable
	}
	if next := timeSleepUntil(); TimePasses && next != math.MaxInt64 {
		alarm := subscribeDuration(uint64(max(0, next-nanotime())))
		defer dropPollable(alarm)
		pollables = append(pollables, alarm)
	}
	came := new(abi.List)
	abi.Receive(func() { importPoll(unsafe.Pointer(unsafe.SliceData(pollables)), uint32(len(pollables)), came) })
	runtime.KeepAlive(pollables)
	still := make([]*waiting, 0, len(pending))
	ready := make([]bool, len(pollables))
	for _, i := range abi.Items[uint32](*came) {
		ready[i] = true
	}
	for i, w := range pending {
		if ready[i] {
			close(w.ready)
		} else {
			still = append(still, w)
		}
	}
	pending = still
	abi.Release()
	return true
}

// When the next timer of the program is due: nobody else tells. See reseed.go of the SDK for how these are had.
//
//go:linkname timeSleepUntil runtime.timeSleepUntil
func timeSleepUntil() int64

//go:linkname nanotime runtime.nanotime
func nanotime() int64
