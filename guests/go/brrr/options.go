package brrr

import (
	"strconv"
	"time"
)

// NoRetries as MaxRetries: the task is run once. (0 leaves the choice to the worker.)
const NoRetries = -1

// MiB is a mebibyte, for Options.Memory.
const MiB = 1 << 20

// Backoff is how the pauses before retries grow.
type Backoff string

const (
	// Exponential pauses are each twice the one before, which is how it is where nothing is said.
	Exponential Backoff = "exponential"
	// Fixed pauses are all alike.
	Fixed Backoff = "fixed"
)

// Scope says who shares the outcome of a call: ScopeFleet, ScopeJob, or what ScopeFor gives.
type Scope string

const (
	// ScopeFleet: every job. This is so where nothing else is said.
	ScopeFleet Scope = "fleet"
	// ScopeJob: this job, and the jobs that retry it.
	ScopeJob Scope = "job"
)

// ScopeFor is every job, for at most so long, in whole seconds and at least one.
func ScopeFor(d time.Duration) Scope {
	return Scope(strconv.FormatInt(int64(max(d/time.Second, 1)), 10) + "s")
}

// Options of a task say how it is run and what it is. What is zero is the worker's choice.
type Options struct {
	// How long one run may take, its waiting for calls not counted.
	Timeout time.Duration
	// How often it is run again after a failure that may pass: an error, a panic, running out of time or memory.
	MaxRetries int
	// The pause before the first of those, and how the further ones grow.
	RetryDelay    time.Duration
	Backoff       Backoff
	MaxRetryDelay time.Duration
	// Runs of the task that one worker has at once.
	MaxRunning int
	// What one run may have, in bytes; the worker may allow less.
	Memory int64
	// It calls nobody, so it is never replayed, and has the real clock, sleep and random numbers.
	Leaf bool
	// Who shares its outcomes, where the call does not say so.
	Scope Scope

	// A text for people.
	Description string
	// JSON Schemas of the arguments and of the value, in place of those that are made of the handler's types.
	InputSchema, OutputSchema string
}

// CallOptions say where and as what one call is made, and how it is run, in place of what its task says. How it is run
// is no part of its identity: of two parents in one job that make the same call, the first decides.
type CallOptions struct {
	// The queue that serves the task; none: that of the call at hand.
	Topic string
	// An identity of its own in place of the hash of task and arguments. Calls of one hash share one value.
	Hash string
	// Who shares the outcome, where there is no Hash.
	Scope Scope
	// A name by which events and listings show the call.
	Label string

	Timeout       time.Duration
	MaxRetries    int
	RetryDelay    time.Duration
	Backoff       Backoff
	MaxRetryDelay time.Duration
}

type pair struct{ name, value string }

func (o *Options) pairs() []pair {
	var pairs []pair
	addRetrying(&pairs, o.Timeout, o.MaxRetries, o.RetryDelay, o.Backoff, o.MaxRetryDelay)
	if o.MaxRunning > 0 {
		add(&pairs, "max-running", strconv.Itoa(o.MaxRunning))
	}
	if o.Memory > 0 {
		add(&pairs, "memory-bytes", strconv.FormatInt(o.Memory, 10))
	}
	if o.Leaf {
		add(&pairs, "leaf", "true")
	}
	add(&pairs, "scope", clean(string(o.Scope)))
	add(&pairs, "description", clean(o.Description))
	add(&pairs, "input-schema", clean(o.InputSchema))
	add(&pairs, "output-schema", clean(o.OutputSchema))
	return pairs
}

func (o *CallOptions) pairs() []pair {
	if *o == (CallOptions{Topic: o.Topic, Hash: o.Hash}) {
		return nil
	}
	var pairs []pair
	addRetrying(&pairs, o.Timeout, o.MaxRetries, o.RetryDelay, o.Backoff, o.MaxRetryDelay)
	add(&pairs, "scope", string(o.Scope))
	// For people, as a message is.
	add(&pairs, "label", clean(o.Label))
	return pairs
}

// The options that a task and a call share.
func addRetrying(pairs *[]pair, timeout time.Duration, retries int, delay time.Duration, backoff Backoff, longest time.Duration) {
	add(pairs, "timeout-ms", milliseconds(timeout))
	if retries != 0 {
		add(pairs, "max-retries", strconv.Itoa(max(retries, 0)))
	}
	add(pairs, "retry-delay-ms", milliseconds(delay))
	add(pairs, "retry-backoff", string(backoff))
	add(pairs, "max-retry-delay-ms", milliseconds(longest))
}

func add(pairs *[]pair, name, value string) {
	if value != "" {
		*pairs = append(*pairs, pair{name, value})
	}
}

// Rounded up: what is not nothing must not become nothing.
func wholeMilliseconds(d time.Duration) int64 {
	ms := d.Milliseconds()
	if time.Duration(ms)*time.Millisecond < d {
		ms++
	}
	return ms
}

func milliseconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(wholeMilliseconds(d), 10)
}

// At most one set of options is given.
func only[O any](options []O) O {
	switch len(options) {
	case 0:
		var none O
		return none
	case 1:
		return options[0]
	default:
		panic("brrr: more than one set of options")
	}
}
