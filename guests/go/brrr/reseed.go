//go:build wasip1

package brrr

import "unsafe"

// A component is a snapshot of the program with its packages initialised (see brrr-build), and so with the random numbers
// that Go's runtime drew at its start. Each run draws its own: they seed `math/rand`, `hash/maphash`, and the order of
// maps and of `select`. `crypto/rand` asks the host every time.
//
// Go has no door for it, so this does again what its runtime does at the start (src/runtime/rand.go), by the linker's
// flag -checklinkname=0. Should Go change this, a run ends with "randinit twice", and the conformance tests fail.
func reseed() {
	globalRand.init = false
	randinit()
	mrandinit(getm())
}

//go:linkname globalRand runtime.globalRand
var globalRand struct {
	lock  uintptr
	seed  [32]byte
	state struct {
		buffer  [32]uint64
		seed    [4]uint64
		i, n, c uint32
	}
	init bool
}

//go:linkname randinit runtime.randinit
func randinit()

//go:linkname mrandinit runtime.mrandinit
func mrandinit(m unsafe.Pointer)

//go:linkname getm runtime.getm
func getm() unsafe.Pointer
