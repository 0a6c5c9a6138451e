//go:build wasip1

package brrrhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"structs"
	"unsafe"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/abi"
	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/poll"
)

// wasi:http/types and what it needs of wasi:io, by the canonical ABI, of which the records below are the memory layouts.

//go:wasmimport wasi:http/types@0.2.0 [static]fields.from-list
func fieldsFromList(entries unsafe.Pointer, length uint32, result *handleResult)

//go:wasmimport wasi:http/types@0.2.0 [method]fields.entries
func fieldsEntries(fields uint32, entries *abi.List)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]fields
func dropFields(fields uint32)

//go:wasmimport wasi:http/types@0.2.0 [constructor]outgoing-request
func newOutgoingRequest(fields uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-method
func setMethod(request, kind uint32, name unsafe.Pointer, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-scheme
func setScheme(request, some, kind uint32, name unsafe.Pointer, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-authority
func setAuthority(request, some uint32, text unsafe.Pointer, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.set-path-with-query
func setPathWithQuery(request, some uint32, text unsafe.Pointer, length uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-request.body
func outgoingRequestBody(request uint32, result *handleResult)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]outgoing-request
func dropOutgoingRequest(request uint32)

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-body.write
func outgoingBodyWrite(body uint32, result *handleResult)

//go:wasmimport wasi:http/types@0.2.0 [static]outgoing-body.finish
func outgoingBodyFinish(body, hasTrailers, trailers uint32, result *codeResult)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]outgoing-body
func dropOutgoingBody(body uint32)

//go:wasmimport wasi:http/outgoing-handler@0.2.0 handle
func handle(request, hasOptions, options uint32, result *codeResult)

//go:wasmimport wasi:http/types@0.2.0 [method]future-incoming-response.subscribe
func futureSubscribe(future uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]future-incoming-response.get
func futureGet(future uint32, result *futureResult)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]future-incoming-response
func dropFuture(future uint32)

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-response.status
func responseStatus(response uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-response.headers
func responseHeaders(response uint32) uint32

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-response.consume
func responseConsume(response uint32, result *handleResult)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]incoming-response
func dropResponse(response uint32)

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-body.stream
func incomingBodyStream(body uint32, result *handleResult)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]incoming-body
func dropIncomingBody(body uint32)

//go:wasmimport wasi:http/types@0.2.0 http-error-code
func httpErrorCode(err uint32, result *codeResult)

//go:wasmimport wasi:io/error@0.2.0 [method]error.to-debug-string
func errorToDebugString(err uint32, text *abi.List)

//go:wasmimport wasi:io/error@0.2.0 [resource-drop]error
func dropError(err uint32)

//go:wasmimport wasi:io/streams@0.2.0 [method]input-stream.read
func streamRead(stream uint32, length uint64, result *readResult)

//go:wasmimport wasi:io/streams@0.2.0 [method]input-stream.subscribe
func inputSubscribe(stream uint32) uint32

//go:wasmimport wasi:io/streams@0.2.0 [resource-drop]input-stream
func dropInput(stream uint32)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.check-write
func streamCheckWrite(stream uint32, result *checkResult)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.write
func streamWrite(stream uint32, bytes unsafe.Pointer, length uint32, result *writeResult)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.subscribe
func outputSubscribe(stream uint32) uint32

//go:wasmimport wasi:io/streams@0.2.0 [resource-drop]output-stream
func dropOutput(stream uint32)

// result<own<…>, …> with an error that is less than the handle, or nothing.
type handleResult struct {
	_      structs.HostLayout
	failed uint32
	handle uint32
}

// error-code: its payload begins at 8, as one of them is a number of 8 bytes. Only optional texts are read.
type codeRecord struct {
	_    structs.HostLayout
	kind uint64
	some uint32
	text abi.List
	_    [8]byte
}

func (c *codeRecord) error() error {
	kind := int(uint8(c.kind))
	if (kind == internalError || kind == transferCoding || kind == contentCoding) && c.some&1 == 1 {
		return errorCode(c.text.String())
	}
	if kind < len(errorCodes) {
		return errorCode(errorCodes[kind])
	}
	return errorCode(fmt.Sprintf("error %d of wasi:http", kind))
}

// result<own<…>, error-code>, result<_, error-code> and option<error-code>.
type codeResult struct {
	_      structs.HostLayout
	failed uint64
	// The handle is where the code would be.
	code codeRecord
}

func (r *codeResult) handle() uint32 { return uint32(r.code.kind) }

// option<result<result<own<incoming-response>, error-code>>>
type futureResult struct {
	_     structs.HostLayout
	some  uint64
	taken uint64
	inner codeResult
}

// stream-error, and in its place the number or list of a result's value.
type readResult struct {
	_      structs.HostLayout
	failed uint32
	// The list, or which error and its handle.
	at     abi.Address
	length uint32
}

type checkResult struct {
	_      structs.HostLayout
	failed uint64
	// The number, or which error (its low byte) and its handle (its high word).
	room uint64
}

type writeResult struct {
	_      structs.HostLayout
	failed uint32
	kind   uint32
	handle uint32
}

func textOf(text string) (unsafe.Pointer, uint32) {
	return unsafe.Pointer(unsafe.StringData(text)), uint32(len(text))
}

// A request that is ready to be sent.
type outgoing struct {
	request uint32
	body    outgoingBody
}

type outgoingBody uint32

// The methods that WASI has a case for, in their order.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

func newOutgoing(method string, tls bool, authority, path string, headers http.Header, hasBody bool) (*outgoing, error) {
	type field struct {
		_           structs.HostLayout
		name, value abi.List
	}
	var fields []field
	for name, values := range headers {
		for _, value := range values {
			fields = append(fields, field{name: abi.ListOfString(name), value: abi.ListOfString(value)})
		}
	}
	result := new(handleResult)
	fieldsFromList(unsafe.Pointer(unsafe.SliceData(fields)), uint32(len(fields)), result)
	runtime.KeepAlive(headers)
	runtime.KeepAlive(fields)
	if result.failed&1 == 1 {
		return nil, errors.New("brrrhttp: a header is not valid, or one that a handler may not set")
	}
	request := newOutgoingRequest(result.handle)
	refused := setTheMethod(request, method)
	scheme := uint32(0)
	if tls {
		scheme = 1
	}
	refused |= setScheme(request, 1, scheme, nil, 0)
	text, length := textOf(authority)
	refused |= setAuthority(request, 1, text, length)
	text, length = textOf(path)
	refused |= setPathWithQuery(request, 1, text, length)
	if refused&1 == 1 {
		dropOutgoingRequest(request)
		return nil, fmt.Errorf("brrrhttp: method, host or path can't be sent: %s of %q", method, authority)
	}
	out := &outgoing{request: request}
	if hasBody {
		outgoingRequestBody(request, result)
		if result.failed&1 == 1 {
			dropOutgoingRequest(request)
			return nil, errors.New("brrrhttp: the header Content-Length is not a number")
		}
		out.body = outgoingBody(result.handle)
	}
	return out, nil
}

func setTheMethod(request uint32, method string) uint32 {
	if method == "" {
		method = http.MethodGet
	}
	for kind, name := range methods {
		if name == method {
			return setMethod(request, uint32(kind), nil, 0)
		}
	}
	text, length := textOf(method)
	return setMethod(request, uint32(len(methods)), text, length)
}

func (o *outgoing) send() (future, error) {
	result := new(codeResult)
	abi.Receive(func() { handle(o.request, 0, 0, result) })
	defer abi.Release()
	if result.failed&1 == 1 {
		return 0, result.code.error()
	}
	return future(result.handle()), nil
}

// write sends all that is to be read.
func (b outgoingBody) write(ctx context.Context, from io.Reader) error {
	result := new(handleResult)
	outgoingBodyWrite(uint32(b), result)
	if result.failed&1 == 1 {
		dropOutgoingBody(uint32(b))
		return errors.New("brrrhttp: the body was written before")
	}
	stream := result.handle
	_, err := io.Copy(&outputStream{ctx, stream}, from)
	dropOutput(stream)
	if err != nil {
		// Without an end, so that the server does not take a part for the whole.
		dropOutgoingBody(uint32(b))
		return err
	}
	finished := new(codeResult)
	abi.Receive(func() { outgoingBodyFinish(uint32(b), 0, 0, finished) })
	abi.Release()
	return nil
}

type outputStream struct {
	ctx    context.Context
	stream uint32
}

var errBroken = errors.New("brrrhttp: the connection does not take the body any more")

func (s *outputStream) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		check := new(checkResult)
		streamCheckWrite(s.stream, check)
		if check.failed&1 == 1 {
			return written, errBroken
		}
		if check.room == 0 {
			if err := poll.Wait(s.ctx, outputSubscribe(s.stream)); err != nil {
				return written, err
			}
			continue
		}
		piece := p[written:min(uint64(len(p)), uint64(written)+check.room)]
		result := new(writeResult)
		streamWrite(s.stream, unsafe.Pointer(unsafe.SliceData(piece)), uint32(len(piece)), result)
		runtime.KeepAlive(piece)
		if result.failed&1 == 1 {
			return written, errBroken
		}
		written += len(piece)
	}
	return written, nil
}

type future uint32

func (f future) subscribe() uint32 { return futureSubscribe(uint32(f)) }

func (f future) drop() { dropFuture(uint32(f)) }

func (f future) get() (*incoming, error) {
	result := new(futureResult)
	abi.Receive(func() { futureGet(uint32(f), result) })
	defer abi.Release()
	if result.some&1 == 0 || result.taken&1 == 1 {
		return nil, errors.New("brrrhttp: a response that is ready is not there")
	}
	if result.inner.failed&1 == 1 {
		return nil, result.inner.code.error()
	}
	return newIncoming(result.inner.handle())
}

// A response of which the body has not been read yet.
type incoming struct {
	status       int
	header       http.Header
	body, stream uint32
}

func newIncoming(response uint32) (*incoming, error) {
	defer dropResponse(response)
	in := &incoming{status: int(responseStatus(response)), header: http.Header{}}
	fields := responseHeaders(response)
	entries := new(abi.List)
	abi.Receive(func() { fieldsEntries(fields, entries) })
	for _, entry := range abi.Items[[2]abi.List](*entries) {
		in.header.Add(entry[0].String(), entry[1].String())
	}
	abi.Release()
	dropFields(fields)
	result := new(handleResult)
	responseConsume(response, result)
	if result.failed&1 == 0 {
		in.body = result.handle
		incomingBodyStream(in.body, result)
	}
	if result.failed&1 == 1 {
		return nil, errors.New("brrrhttp: the response has no body to read")
	}
	in.stream = result.handle
	return in, nil
}

func (i *incoming) subscribe() uint32 { return inputSubscribe(i.stream) }

func (i *incoming) drop() {
	dropInput(i.stream)
	dropIncomingBody(i.body)
}

// read gives what there is: nothing is possible.
func (i *incoming) read(p []byte) (int, error) {
	result := new(readResult)
	abi.Receive(func() { streamRead(i.stream, uint64(len(p)), result) })
	defer abi.Release()
	if result.failed&1 == 0 {
		return copy(p, abi.Items[byte](abi.List{At: result.at, Length: result.length})), nil
	}
	// closed, or last-operation-failed with an error
	if uint8(result.at) == 1 {
		return 0, io.EOF
	}
	return 0, streamError(result.length)
}

func streamError(handle uint32) error {
	defer dropError(handle)
	code := new(codeResult)
	abi.Receive(func() { httpErrorCode(handle, code) })
	if code.failed&1 == 1 { // there is a code
		return code.code.error()
	}
	text := new(abi.List)
	abi.Receive(func() { errorToDebugString(handle, text) })
	return errorCode(text.String())
}
