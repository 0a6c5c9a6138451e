package brrr

import (
	"context"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Call makes a call to the task of this name, of this or any other worker, in any language, and waits for its value.
//
// The arguments are a struct or a map. Goroutines that call at the same time make one batch: it is asked for when all of
// them wait. The error is a *Failure if the task failed.
func Call[Out any](ctx context.Context, task string, in any, options ...CallOptions) (Out, error) {
	return Prepare[Out](task, in, options...).Wait(ctx)
}

// CallRaw is like Call for a task that takes and gives bytes; see HandleRaw.
func CallRaw(ctx context.Context, task string, payload []byte, options ...CallOptions) ([]byte, error) {
	return PrepareRaw(task, payload, options...).Wait(ctx)
}

// Prepared is a call that has not been made yet, or a promise that nobody has waited for yet.
type Prepared[Out any] struct {
	invocation invocation
	decode     func(value []byte) (Out, error)
	// The reason why it can't be made.
	err error
}

// Prepare makes a call for Gather, First, Some or Start; arguments as for Call.
func Prepare[Out any](task string, in any, options ...CallOptions) Prepared[Out] {
	payload, err := encodeArguments(in)
	o := only(options)
	call := prepare(task, payload, &o, decodeValue[Out])
	if err != nil {
		call.err = Permanent(fmt.Errorf("the arguments of %s can't be written: %w", task, err))
	} else if o.Hash == "" {
		call.invocation.options = append(call.invocation.options, pair{"hash-of", "python"})
	}
	return call
}

// PrepareRaw is like Prepare for a task that takes and gives bytes.
func PrepareRaw(task string, payload []byte, options ...CallOptions) Prepared[[]byte] {
	o := only(options)
	return prepare(task, payload, &o, decodeBytes)
}

func prepare[Out any](task string, payload []byte, options *CallOptions, decode func([]byte) (Out, error)) Prepared[Out] {
	call := Prepared[Out]{
		invocation: invocation{task, payload, options.Topic, options.Hash, options.pairs()},
		decode:     decode,
	}
	// Texts that decide which call is made are refused. In a message, U+FFFD would take the place of bad bytes.
	for _, named := range [...]pair{
		{"task's name", task}, {"topic", options.Topic}, {"hash", options.Hash}, {"scope", string(options.Scope)},
	} {
		if !utf8.ValidString(named.value) {
			call.err = Permanent(fmt.Errorf("the call's %s is not UTF-8: %q", named.name, named.value))
		}
	}
	return call
}

func decodeBytes(value []byte) ([]byte, error) { return value, nil }

func decodeValue[Out any](value []byte) (Out, error) {
	var out Out
	// The TypeScript worker's `undefined` has no bytes.
	if len(value) == 0 {
		return out, nil
	}
	err := json.Unmarshal(value, &out)
	return out, err
}

// Wait makes the call, or waits for the promise, and gives its value.
//
// If the context ends first, the error is the context's, and nobody waits for the call any more. The call itself goes on.
func (p Prepared[Out]) Wait(ctx context.Context) (Out, error) {
	results, err := wait(ctx, 1, true, []Prepared[Out]{p})
	if err != nil {
		var none Out
		return none, err
	}
	return results[0].Value, results[0].Err
}

// Start waits in a goroutine of its own. It gives a channel of the result, for a `select`:
//
//	select {
//	case receipt := <-charge.Start(ctx):
//		…
//	case <-time.After(30 * time.Second):
//		…
//	}
//
// The call is waited for until it ends or the context does. So end the context, by `context.WithCancel`, if the result is
// not wanted any more. For a race between calls, First is quicker: there the host knows that the first one is enough.
func (p Prepared[Out]) Start(ctx context.Context) <-chan Result[Out] {
	result := make(chan Result[Out], 1)
	go func() {
		value, err := p.Wait(ctx)
		result <- Result[Out]{value, err}
	}()
	return result
}

func (p *Prepared[Out]) result(o *outcome) *Result[Out] {
	if o == nil {
		return nil
	}
	if o.failure != nil {
		return &Result[Out]{Err: o.failure}
	}
	value, err := p.decode(o.value)
	if err != nil {
		err = Permanent(fmt.Errorf("the value of %s does not fit: %w", p.invocation.task, err))
	}
	return &Result[Out]{Value: value, Err: err}
}

// A Result is a call's value, or why there is none.
type Result[Out any] struct {
	Value Out
	Err   error
}

// Gather makes all of these calls in one batch and gives their values in order. If one fails, its error is returned at
// once: the others go on, but nobody waits for them. Of several that have failed by then, the first in this order counts.
func Gather[Out any](ctx context.Context, calls ...Prepared[Out]) ([]Out, error) {
	results, err := wait(ctx, len(calls), true, calls)
	if err != nil {
		return nil, err
	}
	for _, result := range results {
		if result != nil && result.Err != nil {
			return nil, result.Err
		}
	}
	values := make([]Out, len(results))
	for i, result := range results {
		values[i] = result.Value
	}
	return values, nil
}

// GatherResults is like Gather, with each call's own value or error: it waits for all. The error beside them is of the
// batch itself: its context has ended.
func GatherResults[Out any](ctx context.Context, calls ...Prepared[Out]) ([]Result[Out], error) {
	came, err := wait(ctx, len(calls), false, calls)
	if err != nil {
		return nil, err
	}
	results := make([]Result[Out], len(came))
	for i, result := range came {
		results[i] = *result
	}
	return results, nil
}

// First makes all of these calls and gives index and value of the first that ends, or the error that it ended with. The
// others go on, but nobody waits for them. Every replay gets the same one.
func First[Out any](ctx context.Context, calls ...Prepared[Out]) (int, Out, error) {
	results, err := Some(ctx, 1, calls...)
	if err != nil {
		var none Out
		return 0, none, err
	}
	for i, result := range results {
		if result != nil {
			return i, result.Value, result.Err
		}
	}
	panic("brrr: the host has given none of the outcomes that were needed")
}

// Some makes all of these calls and returns as soon as `need` of them have ended: values or errors in place, nil for the
// others. Every replay gets the same ones.
func Some[Out any](ctx context.Context, need int, calls ...Prepared[Out]) ([]*Result[Out], error) {
	if need < 0 || need > len(calls) {
		return nil, Permanent(fmt.Errorf("%d of %d calls can never end", need, len(calls)))
	}
	return wait(ctx, need, false, calls)
}

func wait[Out any](ctx context.Context, need int, failFast bool, calls []Prepared[Out]) ([]*Result[Out], error) {
	run, err := runOf(ctx)
	if err != nil || len(calls) == 0 {
		return nil, err
	}
	invocations := make([]invocation, len(calls))
	for i := range calls {
		if calls[i].err != nil {
			return nil, calls[i].err
		}
		invocations[i] = calls[i].invocation
	}
	results := make([]*Result[Out], len(calls))
	if need == 0 {
		return results, ctx.Err()
	}
	outcomes, err := run.batches.wait(ctx, invocations, need, failFast)
	if err != nil {
		return nil, err
	}
	for i := range calls {
		results[i] = calls[i].result(outcomes[i])
	}
	return results, nil
}
