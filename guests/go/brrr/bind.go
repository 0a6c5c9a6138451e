//go:build wasip1

package brrr

import _ "unsafe" // for linkname

// A component is a library to Go's linker, so Go does not run its main. brrr-build calls this export in its place, before
// it takes its snapshot: main binds the handlers and returns.
//
//go:wasmexport brrr_bind
func exportBind() {
	mainMain()
	if len(tasks) == 0 {
		panic("brrr: the program has no tasks: call brrr.Handle in main")
	}
}

// See reseed.go for how it is had.
//
//go:linkname mainMain main.main
func mainMain()
