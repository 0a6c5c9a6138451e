//go:build !wasip1

package brrr

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

// The calls of the Python peer, to the byte.
func TestCallsAreThoseOfThePythonPeer(t *testing.T) {
	text, err := os.ReadFile("../../../tests/support/vectors/json_calls_python.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		TaskName string `json:"task_name"`
		Payload  struct {
			Hex, Text string
		}
		CallHash string `json:"call_hash"`
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, v := range vectors {
		arguments := strings.TrimSuffix(strings.TrimPrefix(v.Payload.Text, "["), "]")
		// A remark; and what Go's JSON doesn't have: lone surrogates, NaN and infinities.
		if arguments == "" || strings.Contains(v.Payload.Text, `\ud800"`) || strings.Contains(v.Payload.Text, "NaN") {
			continue
		}
		payload, err := encodeArguments(json.RawMessage(arguments))
		if err != nil {
			t.Errorf("%s: %v", arguments, err)
			continue
		}
		if hex.EncodeToString(payload) != v.Payload.Hex {
			t.Errorf("%s\nis %s", payload, v.Payload.Text)
		}
		if hash := callHash(v.TaskName, payload); hash != v.CallHash {
			t.Errorf("%s: the hash is %s, not %s", payload, hash, v.CallHash)
		}
		tested++
	}
	if tested < 10 {
		t.Errorf("only %d vectors", tested)
	}
}

type base struct {
	ID     int `json:"id"`
	Hidden int `json:"-"`
}

type named struct {
	Inner string `json:"inner"`
}

type point struct{ x, y int }

func (p point) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%d/%d", p.x, p.y), nil }

type own struct{ n float64 }

func (o *own) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `{"b": %v,"a":1.50}`, o.n), nil }

type everything struct {
	base
	named   `json:"named"`
	Float   float64 `json:"float"`
	Single  float32
	Small   float64        `json:"small"`
	Bytes   []byte         `json:"bytes"`
	None    []int          `json:"none"`
	Left    string         `json:"left,omitempty"`
	When    time.Time      `json:"when,omitzero"`
	Quoted  int            `json:"quoted,string"`
	Pointer *bool          `json:"pointer"`
	Point   point          `json:"point"`
	Points  map[point]int  `json:"points"`
	Own     *own           `json:"own"`
	Any     any            `json:"any"`
	Keys    map[int]string `json:"keys"`
	Array   [2]uint8       `json:"array"`
	private int
}

// As encoding/json names and leaves out, and as Python writes.
func TestArgumentsFollowTheirTags(t *testing.T) {
	yes := true
	in := everything{
		base: base{ID: 1, Hidden: 2}, named: named{"é"}, Float: 1, Single: 0.1, Small: 1e-5, Bytes: []byte("hi"),
		Quoted: 7, Pointer: &yes, Point: point{1, 2}, Points: map[point]int{{3, 4}: 5}, Own: &own{2},
		Any: []any{1.5, "x", nil, json.Number("1e3")}, Keys: map[int]string{10: "a", 9: "b"}, private: 1,
	}
	want := `[{"Single": 0.1, "any": [1.5, "x", null, 1000.0], "array": [0, 0], "bytes": "aGk=", "float": 1.0, "id": 1, ` +
		`"keys": {"10": "a", "9": "b"}, "named": {"inner": "\u00e9"}, "none": null, "own": {"a": 1.5, "b": 2}, ` +
		`"point": "1/2", "pointer": true, "points": {"3/4": 5}, "quoted": "7", "small": 1e-05}]`
	payload, err := encodeArguments(in)
	if err != nil || string(payload) != want {
		t.Errorf("%v\n%s\n%s", err, payload, want)
	}
	// Whatever it looks like, it says what encoding/json would say.
	theirs, _ := json.Marshal([]any{in})
	if got, want := normal(t, payload), normal(t, theirs); got != want {
		t.Errorf("\n%s\n%s", got, want)
	}
}

func normal(t *testing.T, text []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(value)
	return string(out)
}

func TestWhatIsNoArgumentIsRefused(t *testing.T) {
	endless := map[string]any{}
	endless["again"] = endless
	for _, in := range []any{1, "x", []int{1}, struct{ C chan int }{}, struct{ F float64 }{math.NaN()},
		json.RawMessage(`{"a"`), endless} {
		if payload, err := encodeArguments(in); err == nil {
			t.Errorf("%T gives %s", in, payload)
		}
	}
}

func TestArgumentsAreRead(t *testing.T) {
	type args struct {
		N    int     `json:"n"`
		Salt *string `json:"salt"`
	}
	for text, want := range map[string]string{
		`[{"n": 1}]`:                "1",
		` [ {"n":1,"salt":null} ] `: "1",
		`{"n": 1}`:                  "1",
		`[]`:                        "0",
		`[{}]`:                      "0",
		`[{"m": 1}]`:                "unknown field",
		`[{"n": 1}, {"n": 2}]`:      "more than one",
		`[1]`:                       "cannot unmarshal array",
		`[{"n": "1"}]`:              "cannot unmarshal string",
		``:                          "EOF",
		"\xff":                      "invalid character",
	} {
		var in args
		err := decodeArguments([]byte(text), &in)
		got := fmt.Sprint(in.N)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: %s, not %s", text, got, want)
		}
	}
}

func TestFloatsAreThoseOfPython(t *testing.T) {
	for float, want := range map[float64]string{
		0: "0.0", math.Copysign(0, -1): "-0.0", 1: "1.0", 0.0001: "0.0001", 0.00001: "1e-05", 1e15: "1000000000000000.0",
		1e16: "1e+16", 123456789012345680: "1.2345678901234568e+17", 5e-324: "5e-324", 1e100: "1e+100",
	} {
		if got, _ := appendPythonFloat(nil, float, 64); string(got) != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
