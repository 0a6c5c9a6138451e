package brrr

import (
	"context"
	"slices"
)

// Spawn starts a detached job and gives its id at once. The call of the task of this name is the first one of the new job, which
// goes on by itself, also after this job has ended. Arguments and options are those of Call.
//
// Each replay and each further attempt gets the same ids, so start the same jobs in the same order in each.
func Spawn(ctx context.Context, task string, in any, options ...CallOptions) (job string, err error) {
	return Prepare[any](task, in, options...).Spawn(ctx)
}

// Spawn starts a detached job, as the function Spawn does.
func (t Task[In, Out]) Spawn(ctx context.Context, in In, options ...CallOptions) (job string, err error) {
	return t.Prepare(in, options...).Spawn(ctx)
}

// Spawn starts a detached job, in place of waiting for the call: `brrr.PrepareRaw("blob", bytes).Spawn(ctx)`. See the function
// Spawn.
func (p Prepared[Out]) Spawn(ctx context.Context) (job string, err error) {
	run, err := runOf(ctx)
	if err != nil {
		return "", err
	}
	if p.err != nil {
		return "", p.err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	call := p.invocation
	// Calls that are made of the same Prepared share the list.
	call.options = append(slices.Clip(call.options), detached)
	start := Prepared[string]{invocation: call, decode: decodeValue[string]}
	// The host answers it at once, so no other goroutine has to wait first.
	result := start.result(run.host.poll([]invocation{call}, want{wish: wantAll}, 0)[0])
	return result.Value, result.Err
}

// The option of a call that is a job of its own.
var detached = pair{"detached", "true"}

func (c *invocation) isDetached() bool { return slices.Contains(c.options, detached) }
