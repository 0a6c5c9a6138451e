package brrr

import (
	"fmt"
	"unicode/utf8"
)

// Promise is a value that somebody outside gives to this job, under this name: `brrr-host resolve JOB approval '"yes"'`.
//
//	approval, err := brrr.Promise[Approval]("approval").Wait(ctx)
//
// It is waited for as a call is, so it may be given to First and the others, and a context limits how long. If somebody
// rejects it, the error is a *Failure of KindRejected.
func Promise[Out any](name string) Prepared[Out] {
	promise := Prepared[Out]{
		// The host derives the identity from the job and the name.
		invocation: invocation{task: promiseTask, payload: []byte(name)},
		decode:     decodeValue[Out],
	}
	if !utf8.ValidString(name) {
		promise.err = Permanent(fmt.Errorf("the promise's name is not UTF-8: %q", name))
	}
	return promise
}

const promiseTask = "brrr.promise"
