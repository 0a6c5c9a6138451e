package brrr

// invocation is a call as the host is asked for it.
type invocation struct {
	task    string
	payload []byte
	topic   string
	hash    string
	options []pair
}

// outcome is the end of a call: the bytes of its value, or its failure.
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
	// How many outcomes wantSome asks for.
	count int
}

// The host of one run: the real one in a component, a small one in native tests.
//
// A detached call is polled for alone, by whichever goroutine makes it, and its outcome is there at once.
type host interface {
	// It returns one entry for each call, nil where there is no outcome yet. It returns at the time `until` in any case (Unix
	// milliseconds; 0: there is no such time).
	poll(calls []invocation, want want, until int64) []*outcome
	// The time at which the earliest timer of the program is due, in Unix milliseconds, rounded up. 0: there is no timer, or
	// timers fire by themselves while the host polls.
	nextTimer() int64
	// Tells the host that a goroutine has begun or ceased to wait. Where timers fire while the host polls, the poll is to
	// return then.
	waitersChanged()
	timeLeftMs() uint64
}
