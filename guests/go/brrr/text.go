package brrr

import (
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
)

// clean is the text with U+FFFD in place of what is not UTF-8. Of what a component logs or fails with the host takes
// nothing else: it would end the run.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Causes that are shown, of one error.
const shownCauses = 32

// messageOf is all that an error says. A wrapped error that its message does not contain is told below it.
func messageOf(err error) string {
	message := textOf(err)
	told := 0
	var tell func(err error)
	tell = func(err error) {
		for _, cause := range causesOf(err) {
			if told == shownCauses {
				return
			}
			told++
			if text := textOf(cause); !strings.Contains(message, text) {
				message += "\n  caused by: " + text
			}
			tell(cause)
		}
	}
	tell(err)
	return clean(message)
}

// By fmt, as an Error method may panic: with a nil receiver, above all, which is what a function gives that returns a nil
// *MyError as an error.
func textOf(err error) string { return fmt.Sprint(err) }

func causesOf(err error) (causes []error) {
	// Like Error, it may panic.
	defer func() { _ = recover() }()
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		if cause := err.Unwrap(); cause != nil {
			return []error{cause}
		}
	case interface{ Unwrap() []error }:
		for _, cause := range err.Unwrap() {
			if cause != nil {
				causes = append(causes, cause)
			}
		}
	}
	return causes
}

// isForeign says whether a function is of the standard library: neither the program's own nor of a module that it uses.
func isForeign(function string) bool {
	for _, path := range modulePaths() {
		if rest, ok := strings.CutPrefix(function, path); ok && rest != "" && (rest[0] == '.' || rest[0] == '/') {
			return false
		}
	}
	// main.f, and modules whose path is a host's, which no package of the standard library has.
	first, _, _ := strings.Cut(function, "/")
	if first != function {
		return !strings.Contains(first, ".")
	}
	return !strings.HasPrefix(function, "main.")
}

// The paths of the program's modules.
var modulePaths = sync.OnceValue(func() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	paths := []string{info.Main.Path}
	for _, module := range info.Deps {
		paths = append(paths, module.Path)
	}
	return paths
})
