package brrr

// What is asked of the host for one call.
type invocation struct {
	task    string
	payload []byte
	topic   string
	hash    string
	options []pair
}

// What a call came to: the bytes of its value, or why there is none.
type outcome struct {
	value   []byte
	failure *Failure
}

// When a poll returns; the numbers are those of the WIT's variant.
type wish uint32

const (
	wantAll wish = iota
	wantSome
	wantProgress
)

type want struct {
	wish wish
	// Of wantSome: how many outcomes.
	count int
}

// The host of one run: the real one in a component, a small one in native tests.
type host interface {
	// One entry for each call, nil where there is no outcome yet. `until` is a time in Unix milliseconds at which it returns
	// in any case; 0: there is none.
	poll(calls []invocation, want want, until int64) []*outcome
	// When the earliest timer of the program is due, in Unix milliseconds, rounded up; 0: there is none, or the host itself
	// lets timers fire while it polls.
	nextTimer() int64
	// Goroutines have begun or ceased to wait while the host polls. It happens where the host lets timers fire.
	waitersChanged()
	timeLeftMs() uint64
}
