package brrr

import (
	"reflect"
	"strings"
	"sync"
)

// A field of a struct, as encoding/json sees it.
type field struct {
	name      string
	index     []int
	omitEmpty bool
	omitZero  bool
	// `string`: its value as a string.
	quoted bool
}

var fieldsOfTypes sync.Map // reflect.Type → []field

func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldsOfTypes.Load(t); ok {
		return known.([]field)
	}
	fields := collect(t)
	fieldsOfTypes.Store(t, fields)
	return fields
}

func collect(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if tag == "-" || hidden(t, f.Index) {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		embedded := f.Anonymous && structure(f.Type) != nil
		// The fields of an embedded struct stand for it, unless it has a name.
		if embedded && name == "" || !embedded && !f.IsExported() {
			continue
		}
		field := field{name: f.Name, index: f.Index}
		if name != "" {
			field.name = name
		}
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "omitempty":
				field.omitEmpty = true
			case "omitzero":
				field.omitZero = true
			case "string":
				field.quoted = isScalar(f.Type)
			}
		}
		fields = append(fields, field)
	}
	return shallowest(fields)
}

// The struct that a type is, or points to.
func structure(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return t
}

// Is the field within an embedded one that has a name of its own, or is left out?
func hidden(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		within := structure(t).Field(i)
		name, _, _ := strings.Cut(within.Tag.Get("json"), ",")
		if name != "" {
			return true
		}
		t = within.Type
	}
	return false
}

// Of several fields of one name the least nested one counts.
func shallowest(fields []field) []field {
	var kept []field
	for _, f := range fields {
		at := -1
		for i := range kept {
			if kept[i].name == f.name {
				at = i
			}
		}
		switch {
		case at < 0:
			kept = append(kept, f)
		case len(f.index) < len(kept[at].index):
			kept[at] = f
		}
	}
	return kept
}

func isScalar(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return reflect.Bool <= t.Kind() && t.Kind() <= reflect.Float64 || t.Kind() == reflect.String
}
