package main

import (
	"context"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindIdentity() {
	brrr.Handle("dice", dice, brrr.Options{Leaf: true})
	brrr.Handle("scoped", scoped)
}

func dice(context.Context, leafArgs) (int, error) { return randomInt(), nil }

type scopedArgs struct {
	Scope *brrr.Scope `json:"scope"`
	I     int         `json:"i"`
}

// The value of a die that is thrown once for everybody, for this job, or for a while.
func scoped(ctx context.Context, in scopedArgs) (int, error) {
	var options brrr.CallOptions
	if in.Scope != nil {
		options.Scope = *in.Scope
	}
	return brrr.Call[int](ctx, "dice", leafArgs{in.I}, options)
}
