//go:build wasip1

package brrrhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/brrr-host/brrr-host/guests/go/brrr/internal/poll"
)

func init() { http.DefaultTransport = Transport{} }

// A Transport sends requests by the host. Its zero value is ready.
type Transport struct{}

// RoundTrip sends one request and gives the response once its head is there.
func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	body := request.Body
	if body == nil || body == http.NoBody {
		body = nil
	} else {
		defer func() {
			if body != nil {
				_ = body.Close()
			}
		}()
	}
	prepared, err := prepare(request, body != nil)
	if err != nil {
		return nil, err
	}
	ctx := request.Context()
	future, err := prepared.send()
	if err != nil {
		return nil, explain(request, err)
	}
	defer future.drop()
	ctx, cancel := context.WithCancel(ctx)
	if body != nil {
		// Beside the response: a server may answer before it has read everything. Why writing failed, the answer says
		// better.
		go func(body io.ReadCloser) {
			defer body.Close()
			_ = prepared.body.write(ctx, body)
		}(body)
		body = nil
	}
	if err := poll.Wait(ctx, future.subscribe()); err != nil {
		cancel()
		return nil, err
	}
	incoming, err := future.get()
	if err != nil {
		cancel()
		return nil, explain(request, err)
	}
	response := incoming.response(request)
	response.Body = &responseBody{ctx: ctx, cancel: cancel, incoming: incoming, request: request}
	return response, nil
}

func prepare(request *http.Request, hasBody bool) (*outgoing, error) {
	scheme := strings.ToLower(request.URL.Scheme)
	if scheme != "http" && scheme != "https" {
		return nil, fmt.Errorf("brrrhttp: a URL begins with http:// or https://, not with %q", request.URL.Scheme)
	}
	authority := request.Host
	if authority == "" {
		authority = request.URL.Host
	}
	headers := request.Header.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	// WASI derives it from the authority, and refuses one of our own.
	headers.Del("Host")
	if _, ok := headers["User-Agent"]; !ok {
		// Some servers refuse requests that don't say who asks.
		headers.Set("User-Agent", "brrr")
	}
	switch {
	case hasBody && request.ContentLength > 0:
		headers.Set("Content-Length", strconv.FormatInt(request.ContentLength, 10))
	case !hasBody && (request.Method == http.MethodPost || request.Method == http.MethodPut):
		headers.Set("Content-Length", "0")
	}
	uri := request.URL.RequestURI()
	// The host would end the run. (Values of headers may be any bytes.)
	if !utf8.ValidString(request.Method) || !utf8.ValidString(authority) || !utf8.ValidString(uri) {
		return nil, errors.New("brrrhttp: the method or the URL is not UTF-8; escape what is no ASCII")
	}
	for name := range headers {
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("brrrhttp: the header's name %q is not UTF-8", name)
		}
	}
	return newOutgoing(request.Method, scheme == "https", authority, uri, headers, hasBody)
}

func (i *incoming) response(request *http.Request) *http.Response {
	length := int64(-1)
	if n, err := strconv.ParseInt(i.header.Get("Content-Length"), 10, 64); err == nil {
		length = n
	}
	return &http.Response{
		Status:     strings.TrimSpace(fmt.Sprintf("%d %s", i.status, http.StatusText(i.status))),
		StatusCode: i.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: i.header, ContentLength: length, Request: request,
	}
}

type responseBody struct {
	ctx      context.Context
	cancel   context.CancelFunc
	incoming *incoming
	request  *http.Request
	// Why there is nothing more to read.
	err error
	// Is there a goroutine that waits for more?
	waits bool
}

func (b *responseBody) Read(p []byte) (int, error) {
	for b.err == nil && len(p) > 0 {
		n, err := b.incoming.read(p)
		switch {
		case errors.Is(err, io.EOF):
			b.err = io.EOF
		case err != nil:
			b.err = explain(b.request, err)
		case n > 0:
			return n, nil
		default:
			b.wait()
		}
	}
	return 0, b.err
}

func (b *responseBody) wait() {
	b.waits = true
	err := poll.Wait(b.ctx, b.incoming.subscribe())
	b.waits = false
	switch {
	case b.err != nil: // closed by another goroutine
		b.incoming.drop()
	case err != nil:
		b.err = err
	}
}

var errClosed = errors.New("brrrhttp: the response's body is closed")

func (b *responseBody) Close() error {
	if !errors.Is(b.err, errClosed) {
		b.err = errClosed
		b.cancel()
		// What waits for a stream has to go before it.
		if !b.waits {
			b.incoming.drop()
		}
	}
	return nil
}

// Without path and query: they may hold secrets.
func explain(request *http.Request, err error) error {
	var code errorCode
	if errors.As(err, &code) {
		return fmt.Errorf("%s %s://%s failed: %w", request.Method, request.URL.Scheme, request.URL.Host, code)
	}
	return err
}
