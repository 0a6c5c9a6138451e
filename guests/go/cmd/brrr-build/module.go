package main

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Sections of a WebAssembly module that a snapshot changes, by their numbers in the binary format.
const (
	sectionMemory    = 5
	sectionGlobal    = 6
	sectionExport    = 7
	sectionStart     = 8
	sectionData      = 11
	sectionDataCount = 12
)

// Kinds of exports.
const exportGlobal = 3

// The types of numbers.
const (
	typeI32 = 0x7f
	typeI64 = 0x7e
)

type section struct {
	id   byte
	body []byte
}

var header = []byte("\x00asm\x01\x00\x00\x00")

func parseModule(wasm []byte) ([]section, error) {
	if len(wasm) < len(header) || string(wasm[:len(header)]) != string(header) {
		return nil, errors.New("not a WebAssembly module")
	}
	r := &reader{rest: wasm[len(header):]}
	var sections []section
	for len(r.rest) > 0 && r.err == nil {
		id := r.byte()
		sections = append(sections, section{id, r.bytes(int(r.u32()))})
	}
	return sections, r.err
}

func writeModule(sections []section) []byte {
	out := append([]byte(nil), header...)
	for _, s := range sections {
		out = append(out, s.id)
		out = appendBytes(out, s.body)
	}
	return out
}

type global struct {
	kind    byte
	mutable byte
	value   int64
}

// The globals of a Go program: numbers that begin as constants.
func parseGlobals(body []byte) ([]global, error) {
	r := &reader{rest: body}
	globals := make([]global, 0, 8)
	for range r.u32() {
		g := global{kind: r.byte(), mutable: r.byte()}
		op := r.byte()
		if !(g.kind == typeI32 && op == 0x41 || g.kind == typeI64 && op == 0x42) {
			return nil, fmt.Errorf("a global of type %#x that begins with %#x", g.kind, op)
		}
		g.value = r.s64()
		r.byte() // end
		globals = append(globals, g)
	}
	return globals, r.err
}

func writeGlobals(globals []global) []byte {
	out := binary.AppendUvarint(nil, uint64(len(globals)))
	for _, g := range globals {
		// i32.const or i64.const
		op := byte(0x41)
		if g.kind == typeI64 {
			op = 0x42
		}
		out = appendSigned(append(out, g.kind, g.mutable, op), g.value)
		out = append(out, 0x0b) // end
	}
	return out
}

type export struct {
	name  string
	kind  byte
	index uint32
}

func parseExports(body []byte) ([]export, error) {
	r := &reader{rest: body}
	var exports []export
	for range r.u32() {
		name := string(r.bytes(int(r.u32())))
		exports = append(exports, export{name, r.byte(), r.u32()})
	}
	return exports, r.err
}

func writeExports(exports []export) []byte {
	out := binary.AppendUvarint(nil, uint64(len(exports)))
	for _, e := range exports {
		out = append(appendBytes(out, []byte(e.name)), e.kind)
		out = binary.AppendUvarint(out, uint64(e.index))
	}
	return out
}

// The one memory of a Go program, which may grow without a limit of its own.
func writeMemory(pages uint32) []byte {
	return binary.AppendUvarint([]byte{1, 0}, uint64(pages))
}

// A shorter run of zeros is cheaper written than left out: a segment of its own takes about as much.
const gap = 16

// Validators take no more segments than this.
const maxSegments = 100_000

// The segments that make a memory, which begins as zeros.
func writeData(memory []byte) []byte {
	// A large program (net/http) has more gaps than there may be segments: then only wider ones are left out.
	for width := gap; ; width *= 2 {
		if count, segments := segmentsOf(memory, width); count <= maxSegments {
			return append(binary.AppendUvarint(nil, uint64(count)), segments...)
		}
	}
}

// The segments between runs of so many zeros, and how many they are.
func segmentsOf(memory []byte, gap int) (int, []byte) {
	var segments []byte
	count := 0
	for at := 0; at < len(memory); {
		if memory[at] == 0 {
			at++
			continue
		}
		end, zeros := at, 0
		for i := at; i < len(memory) && zeros < gap; i++ {
			if memory[i] == 0 {
				zeros++
			} else {
				end, zeros = i+1, 0
			}
		}
		segments = append(segments, 0, 0x41) // active, in memory 0, at i32.const
		segments = appendSigned(segments, int64(int32(at)))
		segments = append(segments, 0x0b)
		segments = appendBytes(segments, memory[at:end])
		count++
		at = end
	}
	return count, segments
}

func appendBytes(out, bytes []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(bytes))), bytes...)
}

func appendSigned(out []byte, n int64) []byte {
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(out, low)
		}
		out = append(out, low|0x80)
	}
}

// reader reads the binary format. After the first error it reads zeros.
type reader struct {
	rest []byte
	err  error
}

var errShort = errors.New("the module ends too early")

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.rest, r.err = nil, errShort
		return nil
	}
	bytes := r.rest[:n]
	r.rest = r.rest[n:]
	return bytes
}

func (r *reader) byte() byte {
	if bytes := r.bytes(1); bytes != nil {
		return bytes[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 {
		r.rest, r.err = nil, errShort
		return 0
	}
	r.bytes(length)
	return uint32(n)
}

func (r *reader) s64() int64 {
	n := int64(0)
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b&0x40 != 0 && shift+7 < 64 {
				n |= -1 << (shift + 7)
			}
			break
		}
	}
	return n
}
