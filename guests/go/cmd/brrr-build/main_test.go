package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

func TestTheWorldIsTheHosts(t *testing.T) {
	theirs, err := os.ReadFile("../../../../wit/worker.wit")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(workerWorld, theirs) {
		t.Error("worker.wit is no longer a copy of wit/worker.wit: cp wit/worker.wit guests/go/cmd/brrr-build/")
	}
}

func TestNetHTTPWithoutTheHostsIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		packages []string
		warnings int
	}{
		{[]string{"fmt", "net/http"}, 1},
		{[]string{"net/http", brrrhttp}, 0},
		{[]string{"fmt", "net/http/httptest2"}, 0},
	} {
		if got := unfit(c.packages); len(got) != c.warnings {
			t.Errorf("%v: %v", c.packages, got)
		}
	}
}

func random(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestNumbersAreReadAsTheyWereWritten(t *testing.T) {
	r := random(t)
	numbers := []int64{0, 1, -1, 63, 64, -64, -65, 1<<31 - 1, -1 << 31, 1<<63 - 1, -1 << 63}
	for range 10_000 {
		numbers = append(numbers, int64(r.Uint64())>>r.IntN(64))
	}
	for _, n := range numbers {
		read := &reader{rest: appendSigned(nil, n)}
		if got := read.s64(); got != n || len(read.rest) > 0 || read.err != nil {
			t.Fatalf("%d is read as %d, with %d bytes left, %v", n, got, len(read.rest), read.err)
		}
	}
}

// The segments of a memory make that memory again.
func TestSegmentsMakeTheMemory(t *testing.T) {
	r := random(t)
	for range 100 {
		memory := make([]byte, r.IntN(1000))
		for range r.IntN(50) {
			at := r.IntN(len(memory) + 1)
			for i := at; i < min(at+r.IntN(40), len(memory)); i++ {
				memory[i] = byte(r.Uint32())
			}
		}
		made := make([]byte, len(memory))
		read := &reader{rest: writeData(memory)}
		for range read.u32() {
			read.bytes(2) // active, i32.const
			at := read.s64()
			read.byte() // end
			copy(made[at:], read.bytes(int(read.u32())))
		}
		if read.err != nil || len(read.rest) > 0 || !bytes.Equal(made, memory) {
			t.Fatalf("%v, %d bytes left\n%v\n%v", read.err, len(read.rest), memory, made)
		}
	}
}

func TestModulesAreReadAsTheyWereWritten(t *testing.T) {
	exports := []export{{"memory", 2, 0}, {"a b", 0, 300}}
	globals := []global{{typeI32, 1, -5}, {typeI64, 0, 1 << 40}}
	wasm := writeModule([]section{{sectionGlobal, writeGlobals(globals)}, {sectionExport, writeExports(exports)}})
	sections, err := parseModule(wasm)
	if err != nil {
		t.Fatal(err)
	}
	gotGlobals, err := parseGlobals(sections[0].body)
	if err != nil || gotGlobals[0] != globals[0] || gotGlobals[1] != globals[1] {
		t.Error(gotGlobals, err)
	}
	gotExports, err := parseExports(sections[1].body)
	if err != nil || gotExports[0] != exports[0] || gotExports[1] != exports[1] {
		t.Error(gotExports, err)
	}
	// Cut off anywhere but between sections, it is no module.
	whole := map[int]bool{len(header): true, len(header) + 2 + len(sections[0].body): true}
	for length := range len(wasm) {
		if _, err := parseModule(wasm[:length]); err == nil && !whole[length] {
			t.Errorf("a module of %d bytes", length)
		}
	}
	if got := replace(sections, sectionGlobal, nil); len(got) != 1 || got[0].id != sectionExport {
		t.Error(got)
	}
}
