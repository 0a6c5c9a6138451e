package brrr

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kind says how a call came to have no value. More kinds may come.
type Kind string

const (
	// KindError: the handler returned an error as often as it may.
	KindError Kind = "error"
	// KindRejected: somebody has rejected the promise.
	KindRejected Kind = "rejected"
	// KindTrap: the handler crashed.
	KindTrap Kind = "trap"
	// KindTimeout: a run took longer than it may, or the job's time is over.
	KindTimeout Kind = "timeout"
	// KindLimit: a run needed more memory or calls than it may have.
	KindLimit Kind = "limit"
	// KindCancelled: the job was cancelled.
	KindCancelled Kind = "cancelled"
	// KindNondeterminism: a replay asked for other calls than the run before.
	KindNondeterminism Kind = "nondeterminism"
	// KindConflict: two different calls have one explicit hash.
	KindConflict Kind = "conflict"
	// KindCycle: the call waits for itself.
	KindCycle Kind = "cycle"
	// KindUnknownTask: no worker of the topic has the task.
	KindUnknownTask Kind = "unknown-task"
	// KindDeadLetter: the call's message was delivered too often.
	KindDeadLetter Kind = "dead-letter"
)

// A Failure is a call that ended without a value: it failed as often as its options allow, or can't be run at all. It is
// an ordinary error of the caller:
//
//	var failure *brrr.Failure
//	if errors.As(err, &failure) && failure.Kind == brrr.KindTimeout { … }
//
// A handler that returns one, wrapped or not, fails with the same first cause, and is not retried for it.
type Failure struct {
	Kind Kind
	// The task that failed.
	Task    string
	Message string
	// How often it was run.
	Attempts int
	// One line a call, from that task down to the first cause.
	Chain []string
	// The JSON that the handler attached to its error by WithDetails; nil: none. DecodeDetails reads it.
	Details []byte
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s failed (%s): %s", f.Task, f.Kind, f.Message)
}

// DecodeDetails stores the failure's details in what `into` points to, as json.Unmarshal does. Without details it is an
// error.
func (f *Failure) DecodeDetails(into any) error {
	if f.Details == nil {
		return fmt.Errorf("the failure of %s has no details", f.Task)
	}
	if err := json.Unmarshal(f.Details, into); err != nil {
		return fmt.Errorf("the details of the failure of %s do not fit: %w", f.Task, err)
	}
	return nil
}

type detailedError struct {
	error
	details any
}

func (d detailedError) Unwrap() error { return d.error }

// WithDetails attaches a value to an error, for the program that made the call: anything that encoding/json can write. The
// caller's Failure has it as its Details. For nil it returns nil.
//
//	return nil, brrr.Permanent(brrr.WithDetails(err, Refusal{Code: 402}))
func WithDetails(err error, details any) error {
	if err == nil {
		return nil
	}
	return detailedError{err, details}
}

// detailsOf gives the details of an error in JSON, nil if it has none. Details that can't be written must not hide the
// error: so `problem` is a text for the end of its message.
func detailsOf(err error) (details []byte, problem string) {
	// Methods of the errors and of the details are called, which may panic.
	defer func() {
		if cause := recover(); cause != nil {
			details, problem = nil, "\n  its details can't be written as JSON: "+clean(fmt.Sprint(cause))
		}
	}()
	var detailed detailedError
	if !errors.As(err, &detailed) {
		return nil, ""
	}
	details, err = marshal(detailed.details)
	if err != nil {
		return nil, "\n  its details can't be written as JSON: " + messageOf(err)
	}
	return details, ""
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
	passed := Failure{
		Kind: Kind(clean(string(f.Kind))), Task: clean(f.Task), Message: clean(f.Message), Attempts: f.Attempts, Details: f.Details,
	}
	for _, line := range f.Chain {
		passed.Chain = append(passed.Chain, clean(line))
	}
	if own, ok := err.(*Failure); !ok || own != f {
		passed.Message = messageOf(err)
		// Details of the handler's own say more of its error than those of the child.
		if details, problem := detailsOf(err); details != nil || problem != "" {
			passed.Details = details
			passed.Message += problem
		}
	}
	return &passed
}
