//go:build wasip1

package brrr

import _ "unsafe" // for linkname

// A component is a library to Go's linker, of which main is not run. So brrr-build has it run, once: there it binds the
// handlers, and its return ends nothing.
func bind() {
	mainMain()
	if len(tasks) == 0 {
		panic("brrr: the program has no tasks: call brrr.Handle in main")
	}
}

// See reseed.go for how it is had.
//
//go:linkname mainMain main.main
func mainMain()
