package brrr

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
)

// encodeArguments is the payload of a call, in the Python worker's form: `json.dumps([kwargs], sort_keys=True)`, so that
// a call has the same hash, and thereby the same value, whoever makes it.
func encodeArguments(in any) ([]byte, error) {
	if in == nil {
		return []byte("[{}]"), nil
	}
	if mayRepeat(reflect.TypeOf(in)) {
		if err := unfit(in); err != nil {
			return nil, err
		}
	}
	payload, err := appendPython([]byte{'['}, in)
	if err != nil {
		return nil, placed(in, err)
	}
	if payload[1] != '{' {
		return nil, errors.New("they are a struct or a map, whose fields are the arguments by name")
	}
	return append(payload, ']'), nil
}

// decodeArguments reads a payload: `[{…}]` as the peers write it, or a bare `{…}`. An argument that nobody asked for is
// an error: it would be a misspelt one.
func decodeArguments(payload []byte, in any) error {
	text := bytes.TrimSpace(payload)
	if len(text) >= 2 && text[0] == '[' && text[len(text)-1] == ']' {
		inner := bytes.TrimSpace(text[1 : len(text)-1])
		if len(inner) == 0 {
			inner = []byte("{}")
		}
		// A list of anything else, which only the TypeScript peer can make, is by position.
		if inner[0] == '{' {
			text = inner
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(in); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("more than one object")
	}
	return nil
}
