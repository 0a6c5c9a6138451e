//go:build wasip1

package brrr

import (
	"errors"
	_ "unsafe" // for linkname
)

// A component has no files of time zones. What time.LoadLocation says of that, "unknown time zone", makes one look for a
// mistake in the name. So it gets an error that says what to do, unless the program has zones by `time/tzdata`, whose own
// init replaces this if it comes later.
func init() {
	if loadFromEmbeddedTZData == nil {
		loadFromEmbeddedTZData = func(name string) (string, error) {
			return "", errors.New("there is no time zone " + name + `: a component has no time zones of its own; add them by ` +
				`import _ "time/tzdata", which takes 450 KB`)
		}
	}
}

// Where time/tzdata puts its function; see reseed.go for how it is had.
//
//go:linkname loadFromEmbeddedTZData time.loadFromEmbeddedTZData
var loadFromEmbeddedTZData func(name string) (string, error)
