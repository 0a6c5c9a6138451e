package main

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/brrr-host/brrr-host/guests/go/brrr"
)

func bindPayloads() {
	brrr.HandleRaw("echo", echo)
	brrr.Handle("call_raw", callRaw)
	brrr.Handle("call_topic", callTopic)
	brrr.Handle("call_hash", callHash)
	brrr.Handle("relays", relays)
	brrr.Handle("about", about, brrr.Options{Timeout: 30 * time.Second})
}

func echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

// A call in bytes that are no JSON; how many came back, and whether they are the same.
func callRaw(ctx context.Context, in bytesArgs) ([]any, error) {
	sent := make([]byte, in.Bytes)
	for i := range sent {
		sent[i] = byte(i)
	}
	got, err := brrr.CallRaw(ctx, "echo", sent)
	return []any{len(got), bytes.Equal(got, sent)}, err
}

type topicArgs struct {
	Topic string `json:"topic"`
	I     int    `json:"i"`
}

func callTopic(ctx context.Context, in topicArgs) (int, error) {
	return brrr.Call[int](ctx, "leaf", map[string]int{"i": in.I}, brrr.CallOptions{Topic: in.Topic})
}

type hashArgs struct {
	Hash string `json:"hash"`
}

// Two different calls that claim one identity: they share the first one's value.
func callHash(ctx context.Context, in hashArgs) ([2]int, error) {
	first, err := leafTask.Call(ctx, leafArgs{1}, brrr.CallOptions{Hash: in.Hash})
	if err != nil {
		return [2]int{}, err
	}
	second, err := leafTask.Call(ctx, leafArgs{2}, brrr.CallOptions{Hash: in.Hash})
	return [2]int{first, second}, err
}

type relaysArgs struct {
	Task  string          `json:"task"`
	Topic *string         `json:"topic"`
	Args  json.RawMessage `json:"args"`
}

// The arguments and the value as they are, whatever JSON is in them.
func relays(ctx context.Context, in relaysArgs) (json.RawMessage, error) {
	var options brrr.CallOptions
	if in.Topic != nil {
		options.Topic = *in.Topic
	}
	return brrr.Call[json.RawMessage](ctx, in.Task, in.Args, options)
}

type facts struct {
	Task        string `json:"task"`
	CallHash    string `json:"call_hash"`
	JobID       string `json:"root_id"`
	Topic       string `json:"topic"`
	Attempt     int    `json:"attempt"`
	HasDeadline bool   `json:"has_deadline"`
}

// What a handler is told about its call.
func about(ctx context.Context, _ struct{}) (facts, error) {
	r := brrr.RequestOf(ctx)
	return facts{r.Task, r.CallHash, r.JobID, r.Topic, r.Attempt, !r.Deadline.IsZero()}, nil
}
