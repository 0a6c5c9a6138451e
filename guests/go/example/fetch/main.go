package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
	_ "github.com/brrr-host/brrr-host/guests/go/brrr/brrrhttp" // net/http by the host
	"golang.org/x/sync/errgroup"
)

type SizesArgs struct {
	URLs []string `json:"urls"`
}

func sizes(ctx context.Context, in SizesArgs) ([]int64, error) {
	sizes := make([]int64, len(in.URLs))
	group, ctx := errgroup.WithContext(ctx) // all at once
	for i, url := range in.URLs {
		group.Go(func() (err error) {
			sizes[i], err = size(ctx, url)
			return err
		})
	}
	return sizes, group.Wait()
}

func size(ctx context.Context, url string) (int64, error) {
	token, err := brrr.Env("API_TOKEN")
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s", response.Status)
	}
	return io.Copy(io.Discard, response.Body)
}

func main() {
	brrr.Handle("sizes", sizes, brrr.Options{Leaf: true, Timeout: time.Minute, MaxRetries: 3})
}
