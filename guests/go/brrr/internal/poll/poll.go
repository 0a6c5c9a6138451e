//go:build wasip1

// Package poll waits for the host without holding up other goroutines.
package poll

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"
)

//go:wasmimport wasi:io/poll@0.2.0 poll
func importPoll(pollables unsafe.Pointer, length uint32, ready *abi.List)

//go:wasmimport wasi:io/poll@0.2.0 [resource-drop]pollable
func dropPollable(pollable uint32)

//go:wasmimport wasi:clocks/monotonic-clock@0.2.0 subscribe-duration
func subscribeDuration(nanoseconds uint64) uint32

// Leaf says that nobody waits for calls: every timer counts. Elsewhere there may be one of 1 ns, by which the SDK learns
// that its scheduler is idle (batches.go), and it is not: what is waited for here comes before calls.
var Leaf bool

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
	next := timeSleepUntil()
	if left := next - nanotime(); next != math.MaxInt64 && (Leaf || left > 1) {
		alarm := subscribeDuration(uint64(max(0, left)))
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

// NextTimer is the time until the program's next timer is due, and whether there is one. Right after another one has
// fired, no timer counts that was stopped: the scheduler has let go of those that came next.
func NextTimer() (time.Duration, bool) {
	next := timeSleepUntil()
	if next == math.MaxInt64 {
		return 0, false
	}
	return time.Duration(next - nanotime()), true
}

// When the next timer of the program is due: nobody else tells. See reseed.go of the SDK for how these are had.
//
//go:linkname timeSleepUntil runtime.timeSleepUntil
func timeSleepUntil() int64

//go:linkname nanotime runtime.nanotime
func nanotime() int64
