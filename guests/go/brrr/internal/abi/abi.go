//go:build wasip1

// Package abi is the canonical ABI's part that the SDK's packages share: values as they lie in memory, and the memory that
// the host puts its own into.
package abi

import (
	"structs"
	"unsafe"
)

// A function of the adapter (cmd/brrr-build/adapter.wat).
//
//go:wasmimport wasi_snapshot_preview1 hold_clock
func holdClock(hold uint32)

// Receive calls a function of the host that gives more than numbers. While the host passes values, Go must not ask it for
// the time.
func Receive(call func()) {
	holdClock(1)
	call()
	holdClock(0)
}

// LetClockGo ends the hold that a run begins with.
func LetClockGo() { holdClock(0) }

// An Address is a pointer as it lies in memory: of 32 bits, which Go's collector does not see. So what it points to is kept
// alive otherwise, and never on a stack, which may move.
type Address uint32

// AddressOf gives the address of what a pointer points to.
func AddressOf(p unsafe.Pointer) Address { return Address(uintptr(p)) }

func (a Address) pointer() unsafe.Pointer { return unsafe.Pointer(uintptr(a)) }

// A List is a list or a string.
type List struct {
	_      structs.HostLayout
	At     Address
	Length uint32
}

// ListOf gives a list of these.
func ListOf[T any](items []T) List {
	return List{At: AddressOf(unsafe.Pointer(unsafe.SliceData(items))), Length: uint32(len(items))}
}

// ListOfString gives a string.
func ListOfString(text string) List {
	return List{At: AddressOf(unsafe.Pointer(unsafe.StringData(text))), Length: uint32(len(text))}
}

// Items gives what is in a list, without copying it.
func Items[T any](l List) []T { return unsafe.Slice((*T)(l.At.pointer()), l.Length) }

// String gives a copy of a string.
func (l List) String() string { return string(Items[byte](l)) }

// Keeps alive what the host has put into memory, until there are Go pointers to it.
var received arena

// Release lets go of what the host has put into memory so far.
func Release() { received.kept = nil }

// Reset makes it as if nothing had ever come.
func Reset() { received = arena{} }

// An arena gives memory from chunks that it keeps alive. The host makes many small allocations at a time, each through
// the export below, where collecting garbage is better not begun.
type arena struct {
	chunk []byte
	kept  [][]byte
}

// Enough for the request of an ordinary call.
const chunkSize = 4 << 10

func (a *arena) allocate(size, align uintptr) unsafe.Pointer {
	if size > chunkSize/4 {
		// Of 8-byte words, for their alignment.
		words := make([]uint64, (size+7)/8)
		block := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), size)
		a.kept = append(a.kept, block)
		return unsafe.Pointer(unsafe.SliceData(block))
	}
	start := (uintptr(unsafe.Pointer(unsafe.SliceData(a.chunk))) + align - 1) &^ (align - 1)
	skipped := start - uintptr(unsafe.Pointer(unsafe.SliceData(a.chunk)))
	if skipped+size > uintptr(len(a.chunk)) {
		a.chunk = unsafe.Slice((*byte)(unsafe.Pointer(new([chunkSize / 8]uint64))), chunkSize)
		a.kept = append(a.kept, a.chunk)
		skipped = 0
	}
	block := a.chunk[skipped:]
	a.chunk = block[size:]
	return unsafe.Pointer(unsafe.SliceData(block))
}

// Realloc is how the host gets its memory.
//
//go:wasmexport cabi_realloc
func Realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	block := received.allocate(uintptr(size), uintptr(align))
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(block), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return block
}
