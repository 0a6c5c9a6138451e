package brrr

import (
	"errors"
	"fmt"
)

// A Failure is a call that ended without a value: it failed as often as its options allow, or can't be run at all. It is
// an ordinary error of whoever called:
//
//	var failure *brrr.Failure
//	if errors.As(err, &failure) && failure.Kind == "timeout" { … }
//
// A handler that returns one, wrapped or not, fails with the same first cause, and is not retried for it.
type Failure struct {
	// error, trap, timeout, limit, cancelled, nondeterminism, cycle, unknown-task, dead-letter; more may come.
	Kind string
	// The task that failed.
	Task    string
	Message string
	// How often it was run.
	Attempts int
	// One line a call, from that task down to the first cause.
	Chain []string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s failed (%s): %s", f.Task, f.Kind, f.Message)
}

type permanentError struct{ error }

func (p permanentError) Unwrap() error { return p.error }

// Permanent marks an error that no further run can mend: the task is not retried for it. Any other error is, as often as
// the options of the call or its task say. Of nil it makes nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

// What a handler's error is to the host; the numbers are those of the WIT's variant.
type errorKind uint32

const (
	retryable errorKind = iota
	permanent
	child
)

// Whether a retry can mend it; of a child's failure, the failure, with all that was said about it on its way.
func classify(err error) (kind errorKind, failure *Failure) {
	// Methods of the errors are called, which may panic.
	defer func() {
		if recover() != nil {
			kind, failure = retryable, nil
		}
	}()
	var p permanentError
	if errors.As(err, &p) {
		return permanent, nil
	}
	if errors.As(err, &failure) && failure != nil {
		return child, failure.as(err)
	}
	return retryable, nil
}

// as gives the failure as the error says that wraps it, in texts that the host takes.
func (f *Failure) as(err error) *Failure {
	passed := Failure{Kind: clean(f.Kind), Task: clean(f.Task), Message: clean(f.Message), Attempts: f.Attempts}
	for _, line := range f.Chain {
		passed.Chain = append(passed.Chain, clean(line))
	}
	if own, ok := err.(*Failure); !ok || own != f {
		passed.Message = messageOf(err)
	}
	return &passed
}
