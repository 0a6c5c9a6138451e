//go:build !wasip1

package brrr

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

type tree struct {
	Name string  `json:"name"`
	Sub  []*tree `json:"sub,omitempty"`
}

type kinds struct {
	base
	Text    string            `json:"text"`
	Maybe   *int              `json:"maybe"`
	Left    bool              `json:"left,omitempty"`
	Amount  float64           `json:"amount,string"`
	Count   uint8             `json:"count"`
	When    time.Time         `json:"when"`
	Bytes   []byte            `json:"bytes"`
	Pair    [2]int            `json:"pair"`
	By      map[string]string `json:"by"`
	Any     any               `json:"any"`
	Own     itself            `json:"own"`
	Rank    rank              `json:"rank"`
	Number  json.Number       `json:"number"`
	private int
}

// A schema, with the parts that each has left out.
func schemaText(t *testing.T, of reflect.Type, isInput bool) any {
	t.Helper()
	var made map[string]any
	if err := json.Unmarshal([]byte(schemaOf(of, isInput)), &made); err != nil {
		t.Fatal(err)
	}
	if made["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Error(made["$schema"])
	}
	delete(made, "$schema")
	return made
}

func TestSchemasAreMadeOfTypes(t *testing.T) {
	for _, c := range []struct {
		of       reflect.Type
		isInput  bool
		expected string
	}{
		{reflect.TypeFor[string](), false, `{"type": "string"}`},
		{reflect.TypeFor[[]int](), false, `{"type": ["array", "null"], "items": {"type": "integer"}}`},
		{reflect.TypeFor[struct{}](), true, `{"type": "object", "properties": {}, "additionalProperties": false}`},
		{reflect.TypeFor[n](), true, `{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"],
			"additionalProperties": false}`},
		{reflect.TypeFor[kinds](), true, `{"type": "object", "additionalProperties": false, "properties": {
			"id": {"type": "integer"}, "text": {"type": "string"}, "maybe": {"type": ["integer", "null"]}, "left": {"type": "boolean"},
			"amount": {"type": "string"}, "count": {"type": "integer", "minimum": 0},
			"when": {"type": "string", "format": "date-time"}, "bytes": {"type": ["string", "null"], "contentEncoding": "base64"},
			"pair": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
			"by": {"type": ["object", "null"], "additionalProperties": {"type": "string"}}, "any": {}, "own": {},
			"rank": {"type": "string"}, "number": {"type": "number"}},
			"required": ["id", "text", "amount", "count", "when", "bytes", "pair", "by", "any", "own", "rank", "number"]}`},
		{reflect.TypeFor[tree](), false, `{"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "required": ["name"],
			"properties": {"name": {"type": "string"},
			"sub": {"type": ["array", "null"], "items": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}}}}}}`},
	} {
		var expected any
		if err := json.Unmarshal([]byte(c.expected), &expected); err != nil {
			t.Fatal(err)
		}
		if got := schemaText(t, c.of, c.isInput); !reflect.DeepEqual(got, expected) {
			text, _ := json.Marshal(got)
			t.Errorf("%s is\n%s\nnot\n%s", c.of, text, c.expected)
		}
	}
	if got := schemaOf(reflect.TypeFor[any](), false); got != "" {
		t.Error(got)
	}
	_ = kinds{private: 1}
}

func TestPropertiesKeepTheOrderOfTheFields(t *testing.T) {
	text := schemaOf(reflect.TypeFor[struct {
		Z int `json:"z"`
		A int `json:"a"`
	}](), false)
	if strings.Index(text, `"z":`) > strings.Index(text, `"a":`) {
		t.Error(text)
	}
}
