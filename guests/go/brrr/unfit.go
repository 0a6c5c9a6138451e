package brrr

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"sync"
	"unicode/utf8"
)

// unfit finds in a value what JSON does not have, and says where: NaN and the infinities, and keys that come twice, because
// two keys of a map have one text. encoding/json refuses the first without the place, and writes the second.
func unfit(value any) error {
	f := finder{}
	if what := f.look(reflect.ValueOf(value), 0); what != "" {
		return fmt.Errorf("%s%s, which JSON does not have", what, f.place())
	}
	return nil
}

// placed is an error of writing a value, with the place where that is known.
func placed(value any, err error) error {
	if refused := unfit(value); refused != nil {
		return refused
	}
	f := finder{themselves: true}
	if f.look(reflect.ValueOf(value), 0) != "" && f.place() != "" {
		return fmt.Errorf("%w%s", err, f.place())
	}
	return err
}

// mayRepeat says whether a value of this type may have keys that come twice: for others nobody has to look.
func mayRepeat(t reflect.Type) bool {
	if known, ok := repeats.Load(t); ok {
		return known.(bool)
	}
	found := reaches(t, map[reflect.Type]bool{})
	repeats.Store(t, found)
	return found
}

var repeats sync.Map // reflect.Type → bool

// Of a map with ordinary keys there can't be two of one text, but of texts that are not UTF-8, whose difference is lost.
func reaches(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Interface, reflect.Map:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return reaches(t.Elem(), seen)
	case reflect.Struct:
		for i := range t.NumField() {
			if reaches(t.Field(i).Type, seen) {
				return true
			}
		}
	}
	return false
}

// finder goes through a value as encoding/json does. On the way back from what it found it notes the place.
type finder struct {
	// Innermost first.
	steps []string
	// Looks for values that write themselves, and can't.
	themselves bool
}

func (f *finder) place() string {
	place := ""
	for i := len(f.steps) - 1; i >= 0; i-- {
		step := f.steps[i]
		if place != "" && step[0] != '[' {
			place += "."
		}
		place += step
	}
	if place == "" {
		return ""
	}
	return " at " + clean(place)
}

func (f *finder) look(v reflect.Value, depth int) string {
	// What is deeper, encoding/json refuses.
	if !v.IsValid() || depth > maxDepth {
		return ""
	}
	if writesItself(v) {
		return f.itself(v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return f.look(v.Elem(), depth+1)
	case reflect.Float32, reflect.Float64:
		switch float := v.Float(); {
		case f.themselves:
		case math.IsNaN(float):
			return "NaN"
		case math.IsInf(float, 0):
			return "an infinite number"
		}
	case reflect.Map:
		return f.mapping(v, depth)
	case reflect.Struct:
		return f.structure(v, depth)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return ""
		}
		for i := range v.Len() {
			if what := f.look(v.Index(i), depth+1); what != "" {
				f.steps = append(f.steps, "["+strconv.Itoa(i)+"]")
				return what
			}
		}
	}
	return ""
}

func (f *finder) itself(v reflect.Value) string {
	if !f.themselves || !v.CanInterface() {
		return ""
	}
	if _, err := json.Marshal(v.Interface()); err != nil {
		return "a value that can't write itself"
	}
	return ""
}

func writesItself(v reflect.Value) bool {
	t := v.Type()
	if t.Implements(marshalerType) || t.Implements(textMarshalType) {
		return true
	}
	if !v.CanAddr() || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false
	}
	t = reflect.PointerTo(t)
	return t.Implements(marshalerType) || t.Implements(textMarshalType)
}

func (f *finder) mapping(v reflect.Value, depth int) string {
	seen := map[string]bool{}
	for entries := v.MapRange(); entries.Next(); {
		name, err := keyName(entries.Key())
		if err != nil {
			return ""
		}
		if ordinary := isOrdinary(entries.Key()); !ordinary {
			name = clean(name)
			if seen[name] {
				f.steps = append(f.steps, name)
				return "a key that comes twice"
			}
			seen[name] = true
		}
		if what := f.look(entries.Value(), depth+1); what != "" {
			f.steps = append(f.steps, name)
			return what
		}
	}
	return ""
}

// Is the text of a key its own? Not that of one that writes itself, nor of text that is not UTF-8.
func isOrdinary(key reflect.Value) bool {
	if key.Kind() == reflect.String {
		return utf8.ValidString(key.String())
	}
	_, own := key.Interface().(encoding.TextMarshaler)
	return !own
}

func (f *finder) structure(v reflect.Value, depth int) string {
	for _, field := range fieldsOf(v.Type()) {
		value, err := v.FieldByIndexErr(field.index)
		if err != nil || field.omitEmpty && isEmpty(value) || field.omitZero && isZero(value) {
			continue
		}
		if what := f.look(value, depth+1); what != "" {
			f.steps = append(f.steps, field.name)
			return what
		}
	}
	return ""
}

// marshal is a task's value in JSON.
func marshal(value any) ([]byte, error) {
	if mayRepeat(reflect.TypeOf(value)) {
		if err := unfit(value); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, placed(value, err)
	}
	return text, nil
}
