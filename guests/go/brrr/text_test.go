//go:build !wasip1

package brrr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// An error that does not say its cause.
type silent struct{ cause error }

func (silent) Error() string   { return "something went wrong" }
func (s silent) Unwrap() error { return s.cause }

// An error that can't be asked for anything when it is nil.
type fragile struct{ text string }

func (f *fragile) Error() string { return f.text }
func (f *fragile) Unwrap() error { return errors.New(f.text) }

func TestNothingIsLostOfAnError(t *testing.T) {
	inner := errors.New("inner")
	for _, c := range []struct {
		err      error
		expected string
	}{
		{inner, "inner"},
		{fmt.Errorf("outer: %w", inner), "outer: inner"},
		{errors.Join(inner, errors.New("other")), "inner\nother"},
		{silent{inner}, "something went wrong\n  caused by: inner"},
		{fmt.Errorf("outer: %w", silent{errors.Join(inner, errors.New("other"))}),
			"outer: something went wrong\n  caused by: inner\nother"},
		{Permanent(silent{inner}), "something went wrong\n  caused by: inner"},
		{(*fragile)(nil), "<nil>"},
		{errors.New("half \xf0\x9f"), "half \uFFFD"},
		{&os.PathError{Op: "open", Path: "\xff", Err: inner}, "open \uFFFD: inner"},
	} {
		if got := messageOf(c.err); got != c.expected {
			t.Errorf("%q instead of %q", got, c.expected)
		}
	}
	// A chain of causes that has no end is shown to an end.
	endless := &circular{}
	if got := messageOf(endless); !strings.HasPrefix(got, "round") {
		t.Error(got)
	}
}

type circular struct{}

func (c *circular) Error() string { return "round" }
func (c *circular) Unwrap() error { return c }

func TestWhatAnErrorIsDoesNotDependOnItsText(t *testing.T) {
	failure := &Failure{Kind: "error", Task: "a", Message: "half \xf0", Chain: []string{"a: \xf0"}}
	for _, c := range []struct {
		err  error
		kind errorKind
	}{
		{errors.New("\xf0"), retryable},
		{Permanent(errors.New("\xf0")), permanent},
		{errors.Join(errors.New("x"), Permanent(errors.New("y"))), permanent},
		{failure, child},
		{(*fragile)(nil), retryable},
	} {
		if kind, _ := classify(c.err); kind != c.kind {
			t.Errorf("%v is %d", c.err, kind)
		}
	}
	_, passed := classify(failure)
	if passed.Message != "half \uFFFD" || passed.Chain[0] != "a: \uFFFD" {
		t.Errorf("%+v", passed)
	}
	// What was said on the way is not lost.
	_, passed = classify(errors.Join(fmt.Errorf("asking: %w", failure), errors.New("and more")))
	if !strings.Contains(passed.Message, "asking: ") || !strings.Contains(passed.Message, "and more") {
		t.Errorf("%+v", passed)
	}
}

type rank int

func (rank) MarshalText() ([]byte, error) { return []byte("same"), nil }

type spot struct {
	X     float64            `json:"x"`
	Ranks map[rank]int       `json:"ranks,omitempty"`
	More  []any              `json:"more"`
	By    map[string]float64 `json:"by"`
}

type itself float64

func (itself) MarshalJSON() ([]byte, error) { return []byte(`"own"`), nil }

func TestWhatJSONDoesNotHaveIsRefusedWithItsPlace(t *testing.T) {
	nan, infinite := math.NaN(), math.Inf(-1)
	for _, c := range []struct {
		value    any
		expected string
	}{
		{nan, "NaN, which"},
		{[]float64{1, nan}, "NaN at [1], which"},
		{map[string][]float64{"values": {1, nan}}, "NaN at values[1], which"},
		{spot{X: infinite}, "an infinite number at x, which"},
		{&spot{More: []any{1, &spot{By: map[string]float64{"a": nan}}}}, "NaN at more[1].by.a, which"},
		{spot{Ranks: map[rank]int{1: 1, 2: 2}}, "a key that comes twice at ranks.same, which"},
		{map[string]int{"\xf0": 1, "\xf1": 2}, "a key that comes twice at \uFFFD, which"},
		{[]any{map[string]int{"a": 1}, itself(nan), spot{}, nil, "x", []byte{1}}, ""},
	} {
		for what, write := range map[string]func(any) ([]byte, error){
			"value":     marshal,
			"arguments": func(value any) ([]byte, error) { return encodeArguments(map[string]any{"in": value}) },
		} {
			_, err := write(c.value)
			expected := c.expected
			if what == "arguments" {
				expected = strings.ReplaceAll(strings.ReplaceAll(expected, " at ", " at in."), "in.[", "in[")
				expected = strings.Replace(expected, "NaN, which", "NaN at in, which", 1)
			}
			switch {
			case expected == "" && err != nil:
				t.Errorf("%s of %v: %v", what, c.value, err)
			case expected != "" && (err == nil || !strings.HasPrefix(err.Error(), expected)):
				t.Errorf("%s of %v: %v instead of %s", what, c.value, err, expected)
			}
		}
	}
}

type broken struct{}

func (broken) MarshalJSON() ([]byte, error) { return nil, errors.New("no idea") }

func TestAValueThatCannotWriteItselfIsToldWithItsPlace(t *testing.T) {
	value := map[string]any{"values": []any{1, &broken{}}}
	for what, err := range map[string]error{"value": second(marshal(value)), "arguments": second(encodeArguments(value))} {
		if err == nil || !strings.Contains(err.Error(), "no idea") || !strings.HasSuffix(err.Error(), " at values[1]") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := second(marshal(broken{})); err == nil || strings.Contains(err.Error(), " at ") {
		t.Error(err)
	}
}

func second[A any](_ A, err error) error { return err }

func TestNamesOfCallsAreNotMended(t *testing.T) {
	Test(t, func(ctx context.Context) {
		for _, options := range []CallOptions{{Topic: "\xff"}, {Hash: "\xff"}} {
			if _, err := Call[int](ctx, "x", nil, options); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
				t.Error(err)
			}
		}
		if _, err := CallRaw(ctx, "\xff", nil); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
			t.Error(err)
		}
	})
	if pairs := (&CallOptions{Label: "\xff", Timeout: time.Second}).pairs(); pairs[1].value != "\uFFFD" {
		t.Error(pairs)
	}
}

func TestAPanicShowsTheProgramsFunctions(t *testing.T) {
	task := &registered{name: "panics", handle: func(context.Context, []byte) ([]byte, error) {
		strings.Map(func(rune) rune { panic(silent{errors.New("inner \xf0")}) }, "x")
		return nil, nil
	}}
	_, err := task.run(context.Background(), nil)
	message := messageOf(err)
	for _, word := range []string{"panic: something went wrong\n  at ", "text_test.go:", "caused by: inner \uFFFD"} {
		if !strings.Contains(message, word) {
			t.Errorf("%q is not in %q", word, message)
		}
	}
	if strings.Contains(message, "strings.Map") || strings.Contains(message, "runtime.") {
		t.Error(message)
	}
	if kind, _ := classify(err); kind != retryable {
		t.Error(kind)
	}
	for function, foreign := range map[string]bool{
		"strings.Map": true, "net/http.Get": true, "main.main": false, "main.f.func1": false,
		"github.com/a/b.F": false, "example.com/x/y.(*T).M": false, "mainly.F": true,
	} {
		if isForeign(function) != foreign {
			t.Error(function)
		}
	}
}

// Tasks of bytes and other workers give nothing in this way.
func TestAValueWithoutBytesIsNull(t *testing.T) {
	if value, err := decodeValue[any](nil); value != nil || err != nil {
		t.Error(value, err)
	}
	value, err := decodeValue[json.RawMessage](nil)
	if text, failed := marshal(value); err != nil || failed != nil || string(text) != "null" {
		t.Error(string(text), err, failed)
	}
}
