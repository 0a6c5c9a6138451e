package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// These tests run guests as plain modules, before they become components, in a small host with virtual time. So the polls
// are those of Go's real scheduler and timers, in the real memory layouts.

// fakeHost runs the calls `nap` and `fails`, and promises that nobody answers.
type fakeHost struct {
	// The guest's folder; none: the conformance guest's.
	folder string
	// When each call ends, in milliseconds, by its payload.
	ends  map[string]uint64
	start uint64
	// One line a poll.
	polls []string
	logs  []string
}

func (h *fakeHost) guest() string { return cmp.Or(h.folder, conformance) }

type asked struct{ task, payload, options string }

// Milliseconds of the virtual clock, which `provide` shows to the guest in nanoseconds.
func nowMs() uint64 { return clock / 1_000_000 }

func (a asked) fails() bool { return a.task == "fails" }

// The call's name in a line of polls.
func (a asked) name() string {
	var arguments []map[string]any
	if json.Unmarshal([]byte(a.payload), &arguments) == nil && a.task == "nap" {
		return arguments[0]["tag"].(string)
	}
	if strings.Contains(a.options, "detached=true") {
		return "job of " + a.task
	}
	return a.task
}

// The call's value. Those of `fib` give a number.
func (a asked) value() string {
	if name := a.name(); name != "fib" {
		return `"` + name + `"`
	}
	return "1"
}

func (h *fakeHost) endOf(call asked) uint64 {
	key := call.task + call.payload
	if end, ok := h.ends[key]; ok {
		return end
	}
	end := nowMs()
	var arguments []map[string]any
	switch {
	case call.task == "brrr.promise":
		end = 1 << 60
	case json.Unmarshal([]byte(call.payload), &arguments) == nil:
		if ms, ok := arguments[0]["ms"].(float64); ok {
			end += uint64(ms)
		}
	}
	h.ends[key] = end
	return end
}

// Lets time pass until there is what the guest wants, and says which calls have ended by then.
func (h *fakeHost) answer(calls []asked, wish, count uint32, until uint64) []bool {
	var names []string
	var ends []uint64
	for _, call := range calls {
		names, ends = append(names, call.name()), append(ends, h.endOf(call))
	}
	line := []string{"all", fmt.Sprintf("some(%d)", count), "progress"}[wish] + " " + strings.Join(names, " ")
	if until != 0 {
		line += fmt.Sprintf(" until %d", until-h.start)
	}
	h.polls = append(h.polls, line)
	sorted := slices.Sorted(slices.Values(ends))
	at := sorted[len(sorted)-1]
	if wish == 1 {
		at = sorted[count-1]
	} else {
		for i, call := range calls {
			if call.fails() {
				at = min(at, ends[i])
			}
		}
	}
	if wish == 2 {
		at = min(at, sorted[0]+1000)
	}
	if until != 0 {
		at = min(at, until)
	}
	if now := nowMs(); at > now {
		clock = at * 1_000_000
	}
	ended := make([]bool, len(calls))
	left := len(calls)
	if wish == 1 {
		left = int(count)
	}
	for i := range calls {
		if left > 0 && ends[i] <= nowMs() {
			ended[i] = true
			left--
		}
	}
	return ended
}

// The module's memory and its allocator.
type guest struct {
	api.Module
	ctx context.Context
}

func (g guest) u32(at uint32) uint32 {
	n, _ := g.Memory().ReadUint32Le(at)
	return n
}

func (g guest) text(at uint32) string {
	bytes, _ := g.Memory().Read(g.u32(at), g.u32(at+4))
	return string(bytes)
}

func (g guest) put(bytes []byte) uint32 {
	got, err := g.ExportedFunction("cabi_realloc").Call(g.ctx, 0, 0, 8, uint64(len(bytes)))
	if err != nil {
		panic(err)
	}
	g.Memory().Write(uint32(got[0]), bytes)
	return uint32(got[0])
}

func (g guest) list(words []byte, text string) []byte {
	words = binary.LittleEndian.AppendUint32(words, g.put([]byte(text)))
	return binary.LittleEndian.AppendUint32(words, uint32(len(text)))
}

func (g guest) pairs(at, length uint32) string {
	var all []string
	for i := range length {
		all = append(all, g.text(at+16*i)+"="+g.text(at+16*i+8))
	}
	return strings.Join(all, " ")
}

// The sizes of an `invocation` and of an `option<outcome>`.
const (
	invocationSize = 48
	outcomeSize    = 56
)

func (h *fakeHost) poll(g guest, stack []uint64) {
	at, length, wish, count := uint32(stack[0]), uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	until := uint64(0)
	if stack[4] != 0 {
		until = stack[5]
	}
	var calls []asked
	for i := range length {
		record := at + invocationSize*i
		calls = append(calls, asked{g.text(record), g.text(record + 8), g.pairs(g.u32(record+40), g.u32(record+44))})
	}
	var outcomes []byte
	for i, ended := range h.answer(calls, wish, count, until) {
		record := make([]byte, 0, outcomeSize)
		word := func(n uint32) { record = binary.LittleEndian.AppendUint32(record, n) }
		switch {
		case ended && calls[i].fails():
			word(1)
			word(1)
			for _, text := range []string{"error", "fails", "it fails"} {
				record = g.list(record, text)
			}
			word(1)                                     // attempts
			record = append(record, make([]byte, 8)...) // chain
			word(1)
			record = g.list(record, `{"code": 7}`)
		case ended:
			word(1)
			word(0)
			record = g.list(record, calls[i].value())
		}
		outcomes = append(outcomes, append(record, make([]byte, outcomeSize-len(record))...)...)
	}
	result := uint32(stack[6])
	g.Memory().WriteUint32Le(result, g.put(outcomes))
	g.Memory().WriteUint32Le(result+4, length)
}

func (h *fakeHost) log(g guest, stack []uint64) {
	message, _ := g.Memory().Read(uint32(stack[1]), uint32(stack[2]))
	h.logs = append(h.logs, fmt.Sprintf("%d %s [%s]", uint32(stack[0]), message, g.pairs(uint32(stack[3]), uint32(stack[4]))))
}

const conformance, timers = "conformance", "internal/timers"

var programs = map[string][]byte{}

// A guest's snapshot.
func program(t *testing.T, folder string) []byte {
	t.Helper()
	if programs[folder] == nil {
		b := &builder{scratch: t.TempDir()}
		core, err := b.compile("../../"+folder, ".")
		if err != nil {
			t.Fatal(err)
		}
		wasm, err := os.ReadFile(core)
		if err != nil {
			t.Fatal(err)
		}
		if programs[folder], err = snapshot(wasm); err != nil {
			t.Fatal(err)
		}
	}
	return programs[folder]
}

// Starts the guest anew, as for each run.
func instantiate(t *testing.T, h *fakeHost) guest {
	t.Helper()
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	t.Cleanup(func() { runtime.Close(ctx) })
	compiled, err := runtime.CompileModule(ctx, program(t, h.guest()))
	if err != nil {
		t.Fatal(err)
	}
	own := func(f func(g guest, stack []uint64)) function {
		return func(m api.Module, stack []uint64) { f(guest{m, ctx}, stack) }
	}
	err = provide(ctx, runtime, compiled, map[string]function{
		"brrr:worker/tasks@0.2.0 poll":           own(h.poll),
		"brrr:worker/log@0.2.0 write":            own(h.log),
		"brrr:worker/control@0.2.0 time-left-ms": func(_ api.Module, stack []uint64) { stack[0] = 1 << 40 },
	})
	if err != nil {
		t.Fatal(err)
	}
	module, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		t.Fatal(err)
	}
	return guest{module, ctx}
}

var cache = wazero.NewCompilationCache()

// Runs a call. Gives its value, or `kind: message` and the details.
func run(t *testing.T, h *fakeHost, task, payload string) string {
	t.Helper()
	// Any time. It is not a whole millisecond.
	clock = 1_700_000_000_000_000_000 + 123
	h.ends, h.start = map[string]uint64{}, nowMs()
	g := instantiate(t, h)
	var arguments []uint64
	for _, text := range []string{task, payload, "hash", "job", "topic"} {
		arguments = append(arguments, uint64(g.put([]byte(text))), uint64(len(text)))
	}
	arguments = append(arguments, 1, 0, 0)
	got, err := g.ExportedFunction(handle).Call(g.ctx, arguments...)
	if err != nil {
		t.Fatal(err)
	}
	result := uint32(got[0])
	if g.u32(result) == 0 {
		return g.text(result + 4)
	}
	kind := []string{"retryable", "permanent", "child"}[g.u32(result+4)]
	if kind == "child" {
		return kind + ": " + g.text(result+8+16)
	}
	details := ""
	if g.u32(result+16) == 1 {
		details = " " + g.text(result+20)
	}
	return kind + ": " + g.text(result+8) + details
}

func check(t *testing.T, h *fakeHost, task, payload, value string, polls ...string) {
	t.Helper()
	if got := run(t, h, task, payload); got != value {
		t.Errorf("%s gives %s, not %s", task, got, value)
	}
	if !slices.Equal(h.polls, polls) {
		t.Errorf("%s asks for\n%s\nnot\n%s", task, strings.Join(h.polls, "\n"), strings.Join(polls, "\n"))
	}
}

func TestALimitBesideACallIsTheTimeOfThePoll(t *testing.T) {
	check(t, &fakeHost{}, "too_late", `[{"ms": 5000, "limit": 1000, "tag": "a"}]`, `"too late"`, "all a until 1001")
	check(t, &fakeHost{}, "too_late", `[{"ms": 500, "limit": 1000, "tag": "a"}]`, `"a"`, "all a until 1001")
	check(t, &fakeHost{}, "twice_late", `[{"ms": 5000, "limit": 1000, "tag": "a"}]`, `["too late","a"]`, "all a until 1001", "all a")
	check(t, &fakeHost{}, "twice_late", `[{"ms": 500, "limit": 1000, "tag": "a"}]`, `["a","a"]`, "all a until 1001", "all a")
}

func TestAPromiseIsWaitedForAsACallIs(t *testing.T) {
	check(t, &fakeHost{}, "asks", `[{"name": "p", "limit": 1000}]`, `"too late"`, "all brrr.promise until 1001")
	check(t, &fakeHost{}, "asks_or", `[{"name": "p", "ms": 70, "tag": "a"}]`, `"a"`, "some(1) brrr.promise a")
}

func TestADetachedJobIsAskedForAloneAndAtOnce(t *testing.T) {
	check(t, &fakeHost{}, "spawns", `[{"n": 2}]`, `["job of fib","job of fib"]`, "all job of fib", "all job of fib")
	check(t, &fakeHost{}, "spawns_between", `[{}]`, `["job of fib","job of fib"]`, "all job of fib", "all fib", "all job of fib")
	// Beside a call that somebody waits for.
	check(t, &fakeHost{folder: timers}, "spawns_beside", `[{}]`, `["a","job of fib"]`, "all job of fib", "all a")
}

func TestAGroupEndsWithItsFirstError(t *testing.T) {
	host := &fakeHost{}
	if got := run(t, host, "fail_fast", `[{"ms": 6000, "salt": "s"}]`); !strings.HasPrefix(got, "child: it fails") {
		t.Error(got)
	}
	if len(host.polls) != 1 || !strings.HasPrefix(host.polls[0], "progress ") || nowMs()-host.start > 10 {
		t.Error(host.polls)
	}
}

// Four chains, each with one slow step, take about as long as one.
func TestChainsDoNotWaitForEachOther(t *testing.T) {
	host := &fakeHost{}
	if got := run(t, host, "sides", `[{"ms": 3000, "salt": "s"}]`); got != `["s03","s13","s23","s33"]` {
		t.Error(got)
	}
	if took := nowMs() - host.start; took > 7000 {
		t.Errorf("%d ms\n%s", took, strings.Join(host.polls, "\n"))
	}
	again := &fakeHost{}
	run(t, again, "sides", `[{"ms": 3000, "salt": "s"}]`)
	if !slices.Equal(host.polls, again.polls) {
		t.Errorf("another time it asks for\n%s\nnot\n%s", strings.Join(again.polls, "\n"), strings.Join(host.polls, "\n"))
	}
}

func TestALimitThatWasCancelledWakesNobody(t *testing.T) {
	check(t, &fakeHost{folder: timers}, "cancels", "[{}]", `"b"`, "all a until 2001", "all b until 3600001")
}

func TestASleepBesideACallEndsInTime(t *testing.T) {
	check(t, &fakeHost{folder: timers}, "ticks", "[{}]", "23", "all a until 1001", "all a until 2001", "all a until 3001")
}

func TestErrorsHaveTheirDetails(t *testing.T) {
	check(t, &fakeHost{}, "attaches", `[{"code": 4}]`, `permanent: attached {"code":4}`)
}

func TestLogsHaveTheirFields(t *testing.T) {
	host := &fakeHost{}
	check(t, host, "logs_fields", `[{}]`, "null")
	if !slices.Equal(host.logs, []string{"2 with fields [a=1 b=two]"}) {
		t.Error(host.logs)
	}
}

func TestTheComponentDescribesItself(t *testing.T) {
	g := instantiate(t, &fakeHost{})
	got, err := g.ExportedFunction("brrr:worker/handler@0.2.0#describe").Call(g.ctx)
	if err != nil {
		t.Fatal(err)
	}
	record := uint32(got[0])
	if g.text(record) != "go" || g.text(record+8) == "" {
		t.Errorf("%q %q", g.text(record), g.text(record+8))
	}
	tasks := map[string]string{}
	for i := range g.u32(record + 20) {
		task := g.u32(record+16) + 16*i
		tasks[g.text(task)] = g.pairs(g.u32(task+8), g.u32(task+12))
	}
	for _, part := range []string{
		"max-retries=0 description=Repeats a text. input-schema={", `"required":["text","times"]`, `"text":{"type":"string"}`,
		`"times":{"type":"integer"}`, " output-schema={", `"type":"string"}`,
	} {
		if !strings.Contains(tasks["described"], part) {
			t.Errorf("%s lacks %s", tasks["described"], part)
		}
	}
	if !strings.HasPrefix(tasks["nap"], "leaf=true ") || tasks["echo"] != "" {
		t.Errorf("%q %q", tasks["nap"], tasks["echo"])
	}
}
