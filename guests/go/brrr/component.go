//go:build wasip1

package brrr

import (
	"bytes"
	"context"
	"runtime"
	"structs"
	"sync"
	"time"
	"unsafe"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"
	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/poll"
)

// What the component imports and exports, by the canonical ABI: `wit/worker.wit`, of which these are the memory layouts.
//
// By hand, as the bindings that wit-bindgen makes need a module that the Go proxy does not have, and pin every string of
// a batch by itself.

//go:wasmimport brrr:worker/tasks@0.2.0 poll
func importPoll(calls unsafe.Pointer, length, wish, count, isLimited uint32, until uint64, came *list)

//go:wasmimport brrr:worker/control@0.2.0 time-left-ms
func importTimeLeftMs() uint64

//go:wasmimport brrr:worker/log@0.2.0 write
func importLog(level uint32, message unsafe.Pointer, length uint32, fields unsafe.Pointer, count uint32)

type list = abi.List

func listOf[T any](items []T) list { return abi.ListOf(items) }

func listOfString(text string) list { return abi.ListOfString(text) }

type optionalString struct {
	_    structs.HostLayout
	some uint32
	text list
}

func optional(text string) optionalString {
	if text == "" {
		return optionalString{}
	}
	return optionalString{some: 1, text: listOfString(text)}
}

type optionalBytes struct {
	_     structs.HostLayout
	some  uint32
	bytes list
}

type pairRecord struct {
	_           structs.HostLayout
	name, value list
}

func pairRecords(pairs []pair) []pairRecord {
	return appendPairs(make([]pairRecord, 0, len(pairs)), pairs)
}

func appendPairs(records []pairRecord, pairs []pair) []pairRecord {
	for _, pair := range pairs {
		records = append(records, pairRecord{name: listOfString(pair.name), value: listOfString(pair.value)})
	}
	return records
}

type invocationRecord struct {
	_             structs.HostLayout
	task, payload list
	topic, hash   optionalString
	options       list
}

type failureRecord struct {
	_                   structs.HostLayout
	kind, task, message list
	attempts            uint32
	chain               list
	details             optionalBytes
}

func (f *failureRecord) failure() *Failure {
	failure := &Failure{
		Kind: Kind(f.kind.String()), Task: f.task.String(), Message: f.message.String(), Attempts: int(f.attempts),
	}
	for _, line := range abi.Items[list](f.chain) {
		failure.Chain = append(failure.Chain, line.String())
	}
	if f.details.some&1 == 1 {
		failure.Details = bytes.Clone(abi.Items[byte](f.details.bytes))
	}
	return failure
}

// option<result<list<u8>, failure>>
type outcomeRecord struct {
	_      structs.HostLayout
	some   uint32
	failed uint32
	// The value's bytes in its first two words, or the failure.
	failure failureRecord
}

type component struct{}

// Go may turn to another goroutine in the midst of a poll, when memory gets short, and that one may spawn. But what the host
// gives lies in memory that all polls share.
var polling sync.Mutex

func (component) poll(calls []invocation, want want, until int64) []*outcome {
	polling.Lock()
	defer polling.Unlock()
	records := make([]invocationRecord, len(calls))
	// The options of all calls in one piece: a large batch makes few allocations.
	total := 0
	for i := range calls {
		total += len(calls[i].options)
	}
	options := make([]pairRecord, 0, total)
	for i := range calls {
		call := &calls[i]
		start := len(options)
		options = appendPairs(options, call.options)
		records[i] = invocationRecord{
			task: listOfString(call.task), payload: listOf(call.payload),
			topic: optional(call.topic), hash: optional(call.hash), options: listOf(options[start:]),
		}
	}
	isLimited := uint32(0)
	if until != 0 {
		isLimited = 1
	}
	came := new(list)
	abi.Receive(func() {
		importPoll(unsafe.Pointer(unsafe.SliceData(records)), uint32(len(records)), uint32(want.wish), uint32(want.count),
			isLimited, uint64(until), came)
	})
	runtime.KeepAlive(options)
	runtime.KeepAlive(calls)
	runtime.KeepAlive(records)
	outcomes := make([]*outcome, came.Length)
	has := false
	for i, record := range abi.Items[outcomeRecord](*came) {
		switch {
		case record.some&1 == 0:
			continue
		case record.failed&1 == 1:
			outcomes[i] = &outcome{failure: record.failure.failure()}
		default:
			outcomes[i] = &outcome{value: abi.Items[byte](record.failure.kind)}
		}
		has = true
	}
	abi.Release()
	if !has && until == 0 {
		// The next poll would ask for the same, and so on without end.
		panic("brrr: the host gives none of the outcomes that are waited for, and no time has passed")
	}
	return outcomes
}

func (component) nextTimer() int64 {
	left, ok := poll.NextTimer()
	if !ok {
		return 0
	}
	return time.Now().Add(left + time.Millisecond - 1).UnixMilli()
}

// While the host polls, nothing else of the program runs.
func (component) waitersChanged() {}

func (component) timeLeftMs() uint64 { return importTimeLeftMs() }

type taskRecord struct {
	_             structs.HostLayout
	name, options list
}

type componentRecord struct {
	_                      structs.HostLayout
	sdk, sdkVersion, tasks list
}

// What the host reads after an export has returned, when nothing else points to it. An instance is asked for one thing
// and thrown away, so it is never given back.
var (
	described []any
	returned  any
)

//go:wasmexport brrr:worker/handler@0.2.0#describe
func exportDescribe() unsafe.Pointer {
	records := make([]taskRecord, len(tasks))
	for i, task := range tasks {
		pairs := task.described()
		options := pairRecords(pairs)
		records[i] = taskRecord{name: listOfString(task.name), options: listOf(options)}
		described = append(described, pairs, options)
	}
	result := &componentRecord{sdk: listOfString("go"), sdkVersion: listOfString(Version), tasks: listOf(records)}
	returned = []any{result, records}
	return unsafe.Pointer(result)
}

// result<list<u8>, handler-error>
type resultRecord struct {
	_      structs.HostLayout
	failed uint32
	// The value's first word, or which error it is.
	word uint32
	// The value's length in the first word, or an errorRecord at its begin, or the failure.
	failure failureRecord
}

// error-info
type errorRecord struct {
	_       structs.HostLayout
	message list
	details optionalBytes
}

//go:wasmexport brrr:worker/handler@0.2.0#handle
func exportHandle(
	task unsafe.Pointer, taskLength uint32, payload unsafe.Pointer, payloadLength uint32,
	hash unsafe.Pointer, hashLength uint32, job unsafe.Pointer, jobLength uint32,
	topic unsafe.Pointer, topicLength uint32, attempt uint32, hasDeadline uint32, deadline uint64,
) unsafe.Pointer {
	abi.LetClockGo()
	reseed()
	text := func(at unsafe.Pointer, length uint32) string { return unsafe.String((*byte)(at), length) }
	request := Request{
		Task: text(task, taskLength), Payload: unsafe.Slice((*byte)(payload), payloadLength),
		CallHash: text(hash, hashLength), JobID: text(job, jobLength), Topic: text(topic, topicLength),
		Attempt: int(attempt),
	}
	if hasDeadline != 0 {
		request.Deadline = time.UnixMilli(int64(deadline))
	}
	abi.Release()
	if task := find(request.Task); task != nil {
		poll.Leaf = task.options.Leaf
	}
	ctx, run := newRun(context.Background(), component{}, request)
	value, err := dispatch(ctx, &run.request)
	return unsafe.Pointer(resultOf(value, err))
}

func resultOf(value []byte, err error) *resultRecord {
	result := new(resultRecord)
	returned = []any{result, value}
	if err == nil {
		result.word = uint32(listOf(value).At)
		result.failure.kind.At = abi.Address(len(value))
		return result
	}
	kind, failure := classify(err)
	result.failed, result.word = 1, uint32(kind)
	if kind == child {
		lines := make([]list, len(failure.Chain))
		for i, line := range failure.Chain {
			lines[i] = listOfString(line)
		}
		returned = []any{result, failure, lines}
		result.failure = failureRecord{
			kind: listOfString(string(failure.Kind)), task: listOfString(failure.Task), message: listOfString(failure.Message),
			attempts: uint32(failure.Attempts), chain: listOf(lines), details: optionalOf(failure.Details),
		}
		return result
	}
	details, problem := detailsOf(err)
	message := messageOf(err) + problem
	returned = []any{result, message, details}
	*(*errorRecord)(unsafe.Pointer(&result.failure)) = errorRecord{
		message: listOfString(message), details: optionalOf(details),
	}
	return result
}

func optionalOf(bytes []byte) optionalBytes {
	if bytes == nil {
		return optionalBytes{}
	}
	return optionalBytes{some: 1, bytes: listOf(bytes)}
}
