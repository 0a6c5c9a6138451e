// Stuck is a guest for the tests of cmd/brrr-build: its main does not return.
package main

import (
	"context"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func main() {
	brrr.Handle("nothing", func(context.Context, struct{}) (any, error) { return nil, nil })
	select {}
}
