package brrr

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// schemaOf gives the JSON Schema (2020-12) of the JSON that encoding/json makes of a type. It is empty if any JSON is valid.
//
// The SDK reads a missing argument as the field's zero. The schema is stricter: a field is required unless its type or its
// tag says that it may be left out, because a missing argument is likely a mistake.
func schemaOf(t reflect.Type, isInput bool) string {
	s := &schemas{isInput: isInput, active: map[reflect.Type]bool{}, names: map[reflect.Type]string{}, defs: schema{}}
	root := s.of(t)
	if len(root) == 0 {
		return ""
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	if len(s.defs) > 0 {
		root["$defs"] = s.defs
	}
	text, err := json.Marshal(root)
	if err != nil {
		return ""
	}
	return string(text)
}

type schema map[string]any

// properties are in the order of the fields, for people who read the schema.
type properties []property

type property struct {
	name string
	of   schema
}

func (p properties) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, property := range p {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(property.name)
		if err != nil {
			return nil, err
		}
		of, err := json.Marshal(property.of)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, name...), ':'), of...)
	}
	return append(text, '}'), nil
}

// schemas goes through a type. A struct that contains itself becomes one of the definitions.
type schemas struct {
	isInput bool
	active  map[reflect.Type]bool
	// The definitions' names.
	names map[reflect.Type]string
	defs  schema
}

var (
	timeType      = reflect.TypeFor[time.Time]()
	unmarshalType = reflect.TypeFor[json.Unmarshaler]()
)

func (s *schemas) of(t reflect.Type) schema {
	if own, ok := s.itself(t); ok {
		return own
	}
	switch t.Kind() {
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return schema{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Pointer:
		return orNull(s.of(t.Elem()))
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return orNull(schema{"type": "string", "contentEncoding": "base64"})
		}
		return orNull(schema{"type": "array", "items": s.of(t.Elem())})
	case reflect.Array:
		return schema{"type": "array", "items": s.of(t.Elem()), "minItems": t.Len(), "maxItems": t.Len()}
	case reflect.Map:
		return orNull(schema{"type": "object", "additionalProperties": s.of(t.Elem())})
	case reflect.Struct:
		return s.structure(t)
	}
	return schema{}
}

// A type that writes or reads itself.
func (s *schemas) itself(t reflect.Type) (schema, bool) {
	switch {
	case t == timeType:
		return schema{"type": "string", "format": "date-time"}, true
	case t == numberType:
		return schema{"type": "number"}, true
	case t.Kind() == reflect.Pointer:
		return nil, false
	}
	pointer := reflect.PointerTo(t)
	switch {
	case pointer.Implements(marshalerType), pointer.Implements(unmarshalType):
		return schema{}, true
	case pointer.Implements(textMarshalType):
		return schema{"type": "string"}, true
	}
	return nil, false
}

func (s *schemas) structure(t reflect.Type) schema {
	if s.active[t] {
		if s.names[t] == "" {
			s.names[t] = s.newName(t)
		}
		return schema{"$ref": "#/$defs/" + s.names[t]}
	}
	s.active[t] = true
	defer delete(s.active, t)
	has, required := properties{}, []string{}
	for _, field := range fieldsOf(t) {
		of := t.FieldByIndex(field.index).Type
		value := schema{"type": "string"}
		if !field.quoted {
			value = s.of(of)
		}
		has = append(has, property{field.name, value})
		optional := field.omitEmpty || field.omitZero || s.isInput && of.Kind() == reflect.Pointer
		if !optional {
			required = append(required, field.name)
		}
	}
	made := schema{"type": "object", "properties": has}
	if len(required) > 0 {
		made["required"] = required
	}
	if s.isInput {
		made["additionalProperties"] = false
	}
	if name := s.names[t]; name != "" {
		s.defs[name] = made
		return schema{"$ref": "#/$defs/" + name}
	}
	return made
}

// newName gives the type's name without its package. If another type has that name, a number is added.
func (s *schemas) newName(t reflect.Type) string {
	base, _, _ := strings.Cut(t.Name(), "[")
	if base == "" {
		base = "struct"
	}
	name := base
	for i := 2; s.isTaken(name); i++ {
		name = fmt.Sprintf("%s%d", base, i)
	}
	return name
}

func (s *schemas) isTaken(name string) bool {
	for _, taken := range s.names {
		if taken == name {
			return true
		}
	}
	return false
}

// The schema of a value that may be null as well.
func orNull(of schema) schema {
	switch kind := of["type"].(type) {
	case string:
		of["type"] = []string{kind, "null"}
	case nil:
		if len(of) > 0 {
			return schema{"anyOf": []schema{of, {"type": "null"}}}
		}
	}
	return of
}
