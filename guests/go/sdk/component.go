//go:build wasip1

package brrr

import (
	"context"
	"runtime"
	"structs"
	"time"
	"unsafe"
)

// What the component imports and exports, by the canonical ABI: `wit/worker.wit`, of which these are the memory layouts.
//
// By hand, as the bindings that wit-bindgen makes need a module that the Go proxy does not have, and pin every string of
// a batch by itself.

//go:wasmimport brrr:worker/tasks@0.1.0 poll
func importPoll(calls unsafe.Pointer, length, hasNeed, need uint32, came *list)

//go:wasmimport brrr:worker/control@0.1.0 time-left-ms
func importTimeLeftMs() uint64

//go:wasmimport brrr:worker/log@0.1.0 write
func importLog(level uint32, message unsafe.Pointer, length uint32)

// A function of the adapter (adapter/adapter.wat): while the host passes values, Go must not ask it for the time.
//
//go:wasmimport wasi_snapshot_preview1 hold_clock
func holdClock(hold uint32)

// A pointer as it lies in memory: of 32 bits, which Go's collector does not see. So what it points to is kept alive
// otherwise, and never on a stack, which may move.
type address uint32

func addressOf(p unsafe.Pointer) address { return address(uintptr(p)) }

func (a address) pointer() unsafe.Pointer { return unsafe.Pointer(uintptr(a)) }

// A string or a list.
type list struct {
	_      structs.HostLayout
	at     address
	length uint32
}

func listOf[T any](items []T) list {
	return list{at: addressOf(unsafe.Pointer(unsafe.SliceData(items))), length: uint32(len(items))}
}

func listOfString(text string) list {
	return list{at: addressOf(unsafe.Pointer(unsafe.StringData(text))), length: uint32(len(text))}
}

func items[T any](l list) []T { return unsafe.Slice((*T)(l.at.pointer()), l.length) }

func (l list) string() string { return string(items[byte](l)) }

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

type optionalU64 struct {
	_     structs.HostLayout
	some  uint64
	value uint64
}

type optionalU32 struct {
	_     structs.HostLayout
	some  uint32
	value uint32
}

type pairRecord struct {
	_           structs.HostLayout
	name, value list
}

func pairRecords(pairs []pair) []pairRecord {
	if len(pairs) == 0 {
		return nil
	}
	records := make([]pairRecord, len(pairs))
	for i, pair := range pairs {
		records[i] = pairRecord{name: listOfString(pair.name), value: listOfString(pair.value)}
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
}

func (f *failureRecord) failure() *Failure {
	failure := &Failure{
		Kind: f.kind.string(), Task: f.task.string(), Message: f.message.string(), Attempts: int(f.attempts),
	}
	for _, line := range items[list](f.chain) {
		failure.Chain = append(failure.Chain, line.string())
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

func (component) poll(calls []invocation, need int) []*outcome {
	records := make([]invocationRecord, len(calls))
	kept := make([][]pairRecord, len(calls))
	for i := range calls {
		call := &calls[i]
		kept[i] = pairRecords(call.options)
		records[i] = invocationRecord{
			task: listOfString(call.task), payload: listOf(call.payload),
			topic: optional(call.topic), hash: optional(call.hash), options: listOf(kept[i]),
		}
	}
	came := new(list)
	holdClock(1)
	importPoll(unsafe.Pointer(unsafe.SliceData(records)), uint32(len(records)), 1, uint32(need), came)
	holdClock(0)
	runtime.KeepAlive(kept)
	runtime.KeepAlive(calls)
	runtime.KeepAlive(records)
	outcomes := make([]*outcome, came.length)
	for i, record := range items[outcomeRecord](*came) {
		switch {
		case record.some&1 == 0:
		case record.failed&1 == 1:
			outcomes[i] = &outcome{failure: record.failure.failure()}
		default:
			outcomes[i] = &outcome{value: items[byte](record.failure.kind)}
		}
	}
	received.release()
	return outcomes
}

func (component) timeLeftMs() uint64 { return importTimeLeftMs() }

// received keeps alive what the host has put into memory, until there are Go pointers to it.
var received arena

// An arena gives memory from chunks that it keeps alive. The host makes many small allocations at a time, each through
// the export below, where collecting garbage is better not begun.
type arena struct {
	chunk []byte
	kept  [][]byte
}

// Enough for the request of an ordinary call.
const chunkSize = 4 << 10

func (a *arena) allocate(size, align uintptr) unsafe.Pointer {
	if size > chunkSize/4 {
		// Of 8-byte words, for their alignment.
		words := make([]uint64, (size+7)/8)
		block := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), size)
		a.kept = append(a.kept, block)
		return unsafe.Pointer(unsafe.SliceData(block))
	}
	start := (uintptr(unsafe.Pointer(unsafe.SliceData(a.chunk))) + align - 1) &^ (align - 1)
	skipped := start - uintptr(unsafe.Pointer(unsafe.SliceData(a.chunk)))
	if skipped+size > uintptr(len(a.chunk)) {
		a.chunk = unsafe.Slice((*byte)(unsafe.Pointer(new([chunkSize / 8]uint64))), chunkSize)
		a.kept = append(a.kept, a.chunk)
		skipped = 0
	}
	block := a.chunk[skipped:]
	a.chunk = block[size:]
	return unsafe.Pointer(unsafe.SliceData(block))
}

func (a *arena) release() { a.kept = nil }

//go:wasmexport cabi_realloc
func exportRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	block := received.allocate(uintptr(size), uintptr(align))
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(block), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return block
}

type optionsRecord struct {
	_          structs.HostLayout
	timeoutMs  optionalU64
	maxRetries optionalU32
	retryDelay optionalU64
	leaf       uint32
	extra      list
}

type taskRecord struct {
	_       structs.HostLayout
	name    list
	options optionsRecord
}

func (o *Options) record() optionsRecord {
	var record optionsRecord
	ms := func(d time.Duration) optionalU64 {
		if d <= 0 {
			return optionalU64{}
		}
		return optionalU64{some: 1, value: uint64(wholeMilliseconds(d))}
	}
	record.timeoutMs, record.retryDelay = ms(o.Timeout), ms(o.RetryDelay)
	if o.MaxRetries != 0 {
		record.maxRetries = optionalU32{some: 1, value: uint32(max(o.MaxRetries, 0))}
	}
	if o.Leaf {
		record.leaf = 1
	}
	extra := pairRecords(o.extra())
	described = append(described, extra)
	record.extra = listOf(extra)
	return record
}

// What the host reads after an export has returned, when nothing else points to it. An instance is asked for one thing
// and thrown away, so it is never given back.
var (
	described []any
	returned  any
)

//go:wasmexport brrr:worker/handler@0.1.0#describe
func exportDescribe() unsafe.Pointer {
	records := make([]taskRecord, len(tasks))
	for i, task := range tasks {
		records[i] = taskRecord{name: listOfString(task.name), options: task.options.record()}
	}
	described = append(described, records)
	result := listOf(records)
	returned = &result
	return unsafe.Pointer(&result)
}

// result<list<u8>, handler-error>
type resultRecord struct {
	_      structs.HostLayout
	failed uint32
	// The value's first word, or which error it is.
	word uint32
	// The value's length in the first word, or the message in the first two, or the failure.
	failure failureRecord
}

//go:wasmexport brrr:worker/handler@0.1.0#handle
func exportHandle(
	task unsafe.Pointer, taskLength uint32, payload unsafe.Pointer, payloadLength uint32,
	hash unsafe.Pointer, hashLength uint32, root unsafe.Pointer, rootLength uint32,
	topic unsafe.Pointer, topicLength uint32, attempt uint32, hasDeadline uint32, deadline uint64,
) unsafe.Pointer {
	holdClock(0)
	reseed()
	text := func(at unsafe.Pointer, length uint32) string { return unsafe.String((*byte)(at), length) }
	request := Request{
		Task: text(task, taskLength), Payload: unsafe.Slice((*byte)(payload), payloadLength),
		CallHash: text(hash, hashLength), RootID: text(root, rootLength), Topic: text(topic, topicLength),
		Attempt: int(attempt),
	}
	if hasDeadline != 0 {
		request.Deadline = time.UnixMilli(int64(deadline))
	}
	received.release()
	ctx, run := newRun(context.Background(), component{}, request)
	value, err := dispatch(ctx, &run.request)
	return unsafe.Pointer(resultOf(value, err))
}

func resultOf(value []byte, err error) *resultRecord {
	result := new(resultRecord)
	returned = []any{result, value}
	if err == nil {
		result.word = uint32(listOf(value).at)
		result.failure.kind.at = address(len(value))
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
			kind: listOfString(failure.Kind), task: listOfString(failure.Task), message: listOfString(failure.Message),
			attempts: uint32(failure.Attempts), chain: listOf(lines),
		}
		return result
	}
	message := err.Error()
	returned = []any{result, message}
	result.failure.kind = listOfString(message)
	return result
}
