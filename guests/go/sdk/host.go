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

// The host of one run: the real one in a component, a small one in native tests.
type host interface {
	// One outcome a call, `need` of them present. It does not return before there are so many.
	poll(calls []invocation, need int) []*outcome
	timeLeftMs() uint64
}
