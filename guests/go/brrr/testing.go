//go:build !wasip1

package brrr

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Test runs a function natively as a handler is run, with the tasks of this program: no component, no host, no queue.
//
//	func init() { main() } // binds the handlers
//
//	func TestFib(t *testing.T) {
//		brrr.Test(t, func(ctx context.Context) {
//			got, err := brrr.Call[int](ctx, "fib", FibArgs{N: 10})
//			if err != nil || got != 55 {
//				t.Error(got, err)
//			}
//		})
//	}
//
// Each call is run once, and again after an error as often as its options or its task's say, without a pause. The calls of
// a batch run side by side. Of calls that end at the same time, a race is won by those that come first in it. The clock
// stands still but for sleeps and limits, which don't wait (testing/synctest). Resolve and Reject answer promises. Detached jobs
// are not run: see Spawned.
func Test(t *testing.T, handler func(ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		// Children that still run when the handler has returned end with it.
		ctx, cancel := context.WithCancel(t.Context())
		job := &testJob{ctx: ctx, children: map[string]*testChild{}}
		ctx, _ = newRun(ctx, newTestHost(job), Request{Task: "test", CallHash: "test", JobID: "test", Attempt: 1})
		defer func() {
			cancel()
			job.running.Wait()
			// The goroutines that look for the next batch find out that there is none.
			time.Sleep(time.Microsecond)
		}()
		handler(ctx)
	})
}

// Batches are the numbers of calls that each poll of this test has had so far, its children's included, in the order in
// which they were made. A call that was not there yet is asked for again by the next one.
func Batches(ctx context.Context) []int {
	var sizes []int
	for _, poll := range jobOf(ctx).allPolls() {
		sizes = append(sizes, poll.calls)
	}
	return sizes
}

// Resolve gives the promise of this name its value, as `brrr-host resolve` does.
func Resolve(ctx context.Context, name string, value any) error {
	text, err := marshal(value)
	if err != nil {
		return err
	}
	return jobOf(ctx).answer(name, &outcome{value: text})
}

// Reject fails the promise of this name, as `brrr-host reject` does.
func Reject(ctx context.Context, name, message string) error {
	return jobOf(ctx).answer(name, &outcome{failure: &Failure{
		Kind: KindRejected, Task: promiseTask, Message: message, Chain: []string{promiseTask + ": " + message},
	}})
}

// Spawned are the detached jobs that handlers of this test have started, in order: their tasks, payloads, topics (none: that of
// the call at hand) and ids, of which the n-th is n, as 32 hexadecimal digits.
func Spawned(ctx context.Context) []Request {
	job := jobOf(ctx)
	job.mu.Lock()
	defer job.mu.Unlock()
	return slices.Clone(job.spawned)
}

func jobOf(ctx context.Context) *testJob { return mustRun(ctx).host.(*testHost).job }

// testJob is shared by all handlers of a test.
type testJob struct {
	ctx context.Context
	// Children, and the goroutines that wait for them.
	running sync.WaitGroup

	mu       sync.Mutex
	polls    []testPoll
	children map[string]*testChild // by call hash, as the real host has them
	spawned  []Request
}

type testPoll struct {
	calls int
	want  want
}

// testChild is a call that runs or has ended.
type testChild struct {
	// Closed when there is an outcome.
	done    chan struct{}
	outcome *outcome
}

func (c *testChild) isDone() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

func (j *testJob) allPolls() []testPoll {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]testPoll(nil), j.polls...)
}

// The child of this hash, and whether it is new.
func (j *testJob) child(hash string) (child *testChild, isNew bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	child = j.children[hash]
	if child == nil {
		child, isNew = &testChild{done: make(chan struct{})}, true
		j.children[hash] = child
	}
	return child, isNew
}

// Notes a detached job.
func (j *testJob) spawn(call *invocation) *outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	id := fmt.Sprintf("%032x", len(j.spawned)+1)
	j.spawned = append(j.spawned, Request{Task: call.task, Payload: call.payload, Topic: call.topic, JobID: id})
	return &outcome{value: []byte(`"` + id + `"`)}
}

func (j *testJob) answer(name string, answer *outcome) error {
	child, _ := j.child(callHash(promiseTask, []byte(name)))
	if child.isDone() {
		return fmt.Errorf("the promise %q has its answer already", name)
	}
	child.outcome = answer
	close(child.done)
	return nil
}

type testHost struct {
	job *testJob
	// When the run would be stopped; zero: never.
	stopped time.Time
	// Goroutines have begun or ceased to wait since the last poll began.
	changed chan struct{}
}

func newTestHost(job *testJob) *testHost { return &testHost{job: job, changed: make(chan struct{}, 1)} }

func (h *testHost) timeLeftMs() uint64 {
	if h.stopped.IsZero() {
		return math.MaxUint64
	}
	return uint64(max(time.Until(h.stopped).Milliseconds(), 0))
}

// The timers of a test fire by themselves while it polls.
func (h *testHost) nextTimer() int64 { return 0 }

func (h *testHost) waitersChanged() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// How long the real host lets outcomes wait for others, at first, before it finds them worth another run.
const aWhile = time.Second

func (h *testHost) poll(calls []invocation, want want, _ int64) []*outcome {
	if calls[0].isDetached() {
		return []*outcome{h.job.spawn(&calls[0])}
	}
	select {
	case <-h.changed:
	default:
	}
	children, arrived := h.begin(calls, want)
	var while <-chan time.Time
	for {
		// Calls that end at this moment are to end before they are counted.
		time.Sleep(1)
		came, failed := count(children)
		switch {
		case came == len(children), want.wish == wantSome && came >= want.count, want.wish != wantSome && failed:
			return pick(children, want)
		case want.wish == wantProgress && came > 0 && while == nil:
			while = time.After(aWhile)
		}
		select {
		case <-arrived:
		case <-while:
			return pick(children, want)
		// A timer of the handler has fired.
		case <-h.changed:
			return pick(children, want)
		case <-h.job.ctx.Done():
			return pick(children, want)
		}
	}
}

// Runs the calls that are new. Each arrival of an outcome is sent to `arrived`.
func (h *testHost) begin(calls []invocation, want want) (children []*testChild, arrived chan struct{}) {
	h.job.mu.Lock()
	h.job.polls = append(h.job.polls, testPoll{len(calls), want})
	h.job.mu.Unlock()
	children = make([]*testChild, len(calls))
	arrived = make(chan struct{}, len(calls))
	for i := range calls {
		call := calls[i]
		if call.hash == "" {
			call.hash = callHash(call.task, call.payload)
		}
		child, isNew := h.job.child(call.hash)
		children[i] = child
		if isNew && call.task != promiseTask {
			h.job.running.Go(func() {
				child.outcome = h.job.run(&call)
				close(child.done)
			})
		}
		if child.isDone() {
			continue
		}
		h.job.running.Go(func() {
			select {
			case <-child.done:
				arrived <- struct{}{}
			case <-h.job.ctx.Done():
			}
		})
	}
	return children, arrived
}

func count(children []*testChild) (came int, failed bool) {
	for _, child := range children {
		if child.isDone() {
			came++
			failed = failed || child.outcome.failure != nil
		}
	}
	return came, failed
}

// pick gives the outcomes that are there. A race gets no more of them than it asks for.
func pick(children []*testChild, want want) []*outcome {
	outcomes := make([]*outcome, len(children))
	left := len(children)
	if want.wish == wantSome {
		left = want.count
	}
	for i, child := range children {
		if left > 0 && child.isDone() {
			outcomes[i] = child.outcome
			left--
		}
	}
	return outcomes
}

// Runs a call until it has a value or is not to be run again.
func (j *testJob) run(call *invocation) *outcome {
	task := find(call.task)
	if task == nil {
		return failed(call.task, KindUnknownTask, 0, errors.New("no such task in this test"))
	}
	retries, timeout := max(task.options.MaxRetries, 0), task.options.Timeout
	for _, option := range call.options {
		number, _ := strconv.Atoi(option.value)
		switch option.name {
		case "max-retries":
			retries = number
		case "timeout-ms":
			timeout = time.Duration(number) * time.Millisecond
		}
	}
	topic := call.topic
	if topic == "" {
		topic = "test"
	}
	for attempt := 1; ; attempt++ {
		host := newTestHost(j)
		if timeout > 0 {
			host.stopped = time.Now().Add(timeout)
		}
		ctx, run := newRun(j.ctx, host, Request{
			Task: call.task, Payload: call.payload, CallHash: call.hash, JobID: "test", Topic: topic, Attempt: attempt,
		})
		value, err := dispatch(ctx, &run.request)
		if err == nil {
			return &outcome{value: value}
		}
		if kind, _ := classify(err); kind != retryable || attempt > retries || j.ctx.Err() != nil {
			return failed(call.task, KindError, attempt, err)
		}
	}
}

func failed(task string, kind Kind, attempts int, err error) *outcome {
	details, problem := detailsOf(err)
	failure := &Failure{Kind: kind, Task: task, Message: messageOf(err) + problem, Attempts: attempts, Details: details}
	failure.Chain = []string{fmt.Sprintf("%s: %s", task, failure.Message)}
	if what, cause := classify(err); what == child {
		failure.Chain = append(failure.Chain, cause.Chain...)
		failure.Details = cause.Details
	}
	return &outcome{failure: failure}
}

// callHash is the hash that the real host derives for a call in the Python worker's form. For raw bytes, any hash will do
// here.
func callHash(task string, payload []byte) string {
	preimage := appendPythonString(append(make([]byte, 0, len(task)+len(payload)+8), '['), task)
	preimage = append(preimage, ", "...)
	preimage = append(preimage, payload...)
	sum := sha256.Sum256(append(preimage, ']'))
	return hex.EncodeToString(sum[:])
}
