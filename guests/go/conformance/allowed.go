package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	_ "github.com/brrr-host/brrr-host/guests/go/brrr/brrrhttp"
	"github.com/brrr-host/brrr-host/guests/go/brrr/files"
	"golang.org/x/sync/errgroup"
)

func bindAllowed() {
	request := brrr.Options{Leaf: true, MaxRetries: brrr.NoRetries}
	brrr.Handle("http_get", httpGet, request)
	brrr.Handle("http_send", httpSend, request)
	brrr.Handle("http_several", httpSeveral, request)
	brrr.Handle("http_beside", httpBeside, brrr.Options{MaxRetries: brrr.NoRetries})
	brrr.Handle("http_caught", httpCaught, request)
	brrr.Handle("env_get", envGet, brrr.Options{Leaf: true})
	brrr.Handle("file_read", fileRead, brrr.Options{Leaf: true})
	brrr.Handle("file_write", fileWrite, brrr.Options{Leaf: true})
}

type got struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

func read(response *http.Response, err error) (got, error) {
	if err != nil {
		return got{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return got{response.StatusCode, string(body)}, err
}

type urlArgs struct {
	URL string `json:"url"`
}

// What is at a URL.
func httpGet(_ context.Context, in urlArgs) (got, error) { return read(http.Get(in.URL)) }

type sendArgs struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// A request of any kind, with headers and a body.
func httpSend(ctx context.Context, in sendArgs) (got, error) {
	request, err := http.NewRequestWithContext(ctx, in.Method, in.URL, strings.NewReader(in.Body))
	if err != nil {
		return got{}, err
	}
	for name, value := range in.Headers {
		request.Header.Set(name, value)
	}
	return read(http.DefaultClient.Do(request))
}

type urlsArgs struct {
	URLs []string `json:"urls"`
}

// All at once; their bodies, in order.
func httpSeveral(_ context.Context, in urlsArgs) ([]string, error) {
	bodies := make([]string, len(in.URLs))
	var group errgroup.Group
	for i, url := range in.URLs {
		group.Go(func() error {
			response, err := read(http.Get(url))
			bodies[i] = response.Body
			return err
		})
	}
	err := group.Wait()
	return bodies, err
}

type besideArgs struct {
	URL string `json:"url"`
	I   int    `json:"i"`
}

// A request beside a call.
func httpBeside(ctx context.Context, in besideArgs) ([2]any, error) {
	var response got
	var value int
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		response, err = read(http.Get(in.URL))
		return err
	})
	group.Go(func() (err error) {
		value, err = leafTask.Call(ctx, leafArgs{in.I})
		return err
	})
	err := group.Wait()
	return [2]any{response.Body, value}, err
}

// A request that fails is an ordinary error.
func httpCaught(_ context.Context, in urlArgs) (string, error) {
	response, err := read(http.Get(in.URL))
	return orError("status "+strconv.Itoa(response.Status), err), nil
}

// What was wanted, or why not.
func orError(value string, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return value
}

type keyArgs struct {
	Key string `json:"key"`
}

// A variable, or why not.
func envGet(_ context.Context, in keyArgs) (string, error) { return orError(brrr.Env(in.Key)), nil }

type fileArgs struct {
	Path string `json:"path"`
}

// A file's text, or why not.
func fileRead(_ context.Context, in fileArgs) (string, error) {
	data, err := files.ReadFile(in.Path)
	return orError(string(data), err), nil
}

type fileWriteArgs struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Writes a file, and says `written` or why not.
func fileWrite(_ context.Context, in fileWriteArgs) (string, error) {
	return orError("written", files.WriteFile(in.Path, []byte(in.Text))), nil
}
