package main

import (
	"context"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindMixed() {
	brrr.Handle("go_greet", greet)
	brrr.Handle("go_gather", gatherOthers)
}

type nameArgs struct {
	Name string `json:"name"`
}

func greet(_ context.Context, in nameArgs) (string, error) {
	return in.Name + " from go", nil
}

type gatherArgs struct {
	Name   string    `json:"name"`
	Tasks  []string  `json:"tasks"`
	Topics []*string `json:"topics"`
}

// Children in other languages, in one batch.
func gatherOthers(ctx context.Context, in gatherArgs) ([]string, error) {
	calls := make([]brrr.Prepared[string], len(in.Tasks))
	for i, task := range in.Tasks {
		var options brrr.CallOptions
		if in.Topics[i] != nil {
			options.Topic = *in.Topics[i]
		}
		calls[i] = brrr.Prepare[string](task, nameArgs{in.Name}, options)
	}
	return brrr.Gather(ctx, calls...)
}
