package brrr

import (
	"context"
	"errors"
	"time"
)

// A Request is the call that a handler is run for.
type Request struct {
	// The task's name.
	Task string
	// Its arguments, as they came.
	Payload []byte
	// The call's identity.
	CallHash string
	// The job on whose behalf it runs.
	JobID string
	// The topic on which it arrived.
	Topic string
	// 1 for the first attempt. Replays of one attempt have the same number.
	Attempt int
	// By when the call must have ended: the job's deadline, if it has one; of a leaf also that of this run. Zero: never.
	Deadline time.Time
}

// One run of a handler.
type run struct {
	request Request
	host    host
	batches batches
}

type runKey struct{}

func newRun(parent context.Context, host host, request Request) (context.Context, *run) {
	r := &run{request: request, host: host}
	r.batches.host = host
	return context.WithValue(parent, runKey{}, r), r
}

var errNoRun = errors.New("brrr: this needs the context that the handler was given, or one made from it")

func runOf(ctx context.Context) (*run, error) {
	r, ok := ctx.Value(runKey{}).(*run)
	if !ok {
		return nil, Permanent(errNoRun)
	}
	return r, nil
}

func mustRun(ctx context.Context) *run {
	r, err := runOf(ctx)
	if err != nil {
		panic(err)
	}
	return r
}

// RequestOf tells about the call that is being handled.
func RequestOf(ctx context.Context) *Request {
	return &mustRun(ctx).request
}

// TimeLeft is how long until this run is stopped, whatever it does: by the timeout of its task or of its job. Zero once it
// is over.
//
// It differs from replay to replay, so nothing that is called or returned may depend on it, except in a leaf.
func TimeLeft(ctx context.Context) time.Duration {
	const longest = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(mustRun(ctx).host.timeLeftMs(), longest)) * time.Millisecond
}

// IsActive says whether there is any TimeLeft, for work that would rather stop early by itself:
//
//	for brrr.IsActive(ctx) { … }
func IsActive(ctx context.Context) bool {
	return TimeLeft(ctx) > 0
}
