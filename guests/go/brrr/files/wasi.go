//go:build wasip1

package files

import (
	"errors"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"structs"
	"unicode/utf8"
	"unsafe"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"
)

// wasi:filesystem by the canonical ABI, of which the records below are the memory layouts.

//go:wasmimport wasi:filesystem/preopens@0.2.0 get-directories
func getDirectories(directories *abi.List)

//go:wasmimport wasi:filesystem/types@0.2.0 [method]descriptor.open-at
func openAt(folder, pathFlags uint32, path unsafe.Pointer, length, openFlags, flags uint32, result *handleResult)

//go:wasmimport wasi:filesystem/types@0.2.0 [method]descriptor.read
func descriptorRead(file uint32, length, offset uint64, result *readResult)

//go:wasmimport wasi:filesystem/types@0.2.0 [method]descriptor.write
func descriptorWrite(file uint32, bytes unsafe.Pointer, length uint32, offset uint64, result *countResult)

//go:wasmimport wasi:filesystem/types@0.2.0 [method]descriptor.read-directory
func readDirectory(folder uint32, result *handleResult)

//go:wasmimport wasi:filesystem/types@0.2.0 [resource-drop]descriptor
func dropDescriptor(descriptor uint32)

//go:wasmimport wasi:filesystem/types@0.2.0 [method]directory-entry-stream.read-directory-entry
func readEntry(entries uint32, result *entryResult)

//go:wasmimport wasi:filesystem/types@0.2.0 [resource-drop]directory-entry-stream
func dropEntries(entries uint32)

const (
	followLinks = 1

	create    = 1
	directory = 2
	truncate  = 8

	reading = 1
	writing = 2
)

// Bytes that are read or written at once.
const piece = 256 << 10

// tuple<own<descriptor>, string>
type directoryRecord struct {
	_      structs.HostLayout
	folder uint32
	name   abi.List
}

// result<own<…>, error-code>: the handle, or the code in its low byte.
type handleResult struct {
	_      structs.HostLayout
	failed uint32
	handle uint32
}

// result<tuple<list<u8>, bool>, error-code>
type readResult struct {
	_      structs.HostLayout
	failed uint32
	// The list, or the code in the low byte of its address.
	list abi.List
	end  uint32
}

// result<u64, error-code>
type countResult struct {
	_      structs.HostLayout
	failed uint64
	count  uint64
}

// result<option<directory-entry>, error-code>
type entryResult struct {
	_      structs.HostLayout
	failed uint32
	// Is there one? Or the code in its low byte.
	some uint32
	kind uint32
	name abi.List
}

func readFile(name string) ([]byte, error) {
	file, err := open(name, 0, reading)
	if err != nil {
		return nil, err
	}
	defer dropDescriptor(file)
	var all []byte
	for {
		result := new(readResult)
		abi.Receive(func() { descriptorRead(file, piece, uint64(len(all)), result) })
		if result.failed&1 == 1 {
			return nil, failure("read", name, code(result.list.At))
		}
		all = append(all, abi.Items[byte](result.list)...)
		abi.Release()
		if result.end&1 == 1 {
			return all, nil
		}
	}
}

func writeFile(name string, data []byte) error {
	file, err := open(name, create|truncate, writing)
	if err != nil {
		return err
	}
	defer dropDescriptor(file)
	for at := 0; at < len(data); {
		part := data[at:min(len(data), at+piece)]
		result := new(countResult)
		descriptorWrite(file, unsafe.Pointer(unsafe.SliceData(part)), uint32(len(part)), uint64(at), result)
		runtime.KeepAlive(part)
		if result.failed&1 == 1 {
			return failure("write", name, code(result.count))
		}
		at += int(result.count)
	}
	return nil
}

func readDir(name string) ([]string, error) {
	folder, err := open(name, directory, reading)
	if err != nil {
		return nil, err
	}
	defer dropDescriptor(folder)
	opened := new(handleResult)
	readDirectory(folder, opened)
	if opened.failed&1 == 1 {
		return nil, failure("readdir", name, code(opened.handle))
	}
	defer dropEntries(opened.handle)
	var names []string
	for {
		result := new(entryResult)
		abi.Receive(func() { readEntry(opened.handle, result) })
		if result.failed&1 == 1 {
			return nil, failure("readdir", name, code(result.some))
		}
		if result.some&1 == 0 {
			slices.Sort(names)
			return names, nil
		}
		names = append(names, result.name.String())
		abi.Release()
	}
}

func open(name string, how, to uint32) (uint32, error) {
	folder, rest, err := place(name)
	if err != nil {
		return 0, err
	}
	defer dropDescriptor(folder)
	result := new(handleResult)
	openAt(folder, followLinks, unsafe.Pointer(unsafe.StringData(rest)), uint32(len(rest)), how, to, result)
	runtime.KeepAlive(rest)
	if result.failed&1 == 1 {
		return 0, failure("open", name, code(result.handle))
	}
	return result.handle, nil
}

type notAllowed string

func (n notAllowed) Error() string { return "not allowed: --dir HOST_PATH::" + string(n) }

func (notAllowed) Is(target error) bool { return target == fs.ErrPermission }

// The open folder that a path is in, the deepest, and the path in there.
func place(name string) (folder uint32, rest string, err error) {
	// The host would end the run.
	if !utf8.ValidString(name) {
		return 0, "", &fs.PathError{Op: "open", Path: name, Err: errors.New("the path is not UTF-8")}
	}
	directories := new(abi.List)
	abi.Receive(func() { getDirectories(directories) })
	defer abi.Release()
	var holder directoryRecord
	deepest := -1
	for _, each := range abi.Items[directoryRecord](*directories) {
		root := strings.TrimSuffix(each.name.String(), "/")
		if inside, ok := strings.CutPrefix(name, root); ok && len(root) > deepest && (inside == "" || inside[0] == '/') {
			if deepest >= 0 {
				dropDescriptor(holder.folder)
			}
			holder, deepest, rest = each, len(root), strings.Trim(inside, "/")
		} else {
			dropDescriptor(each.folder)
		}
	}
	if deepest < 0 {
		return 0, "", &fs.PathError{Op: "open", Path: name, Err: notAllowed(path.Dir(name))}
	}
	if rest == "" {
		rest = "."
	}
	return holder.folder, rest, nil
}

func failure(op, name string, err code) error {
	abi.Release()
	return &fs.PathError{Op: op, Path: name, Err: err}
}
