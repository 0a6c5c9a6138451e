package brrr

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// appendPython appends what Python's `json.dumps(value, sort_keys=True)` writes, for what encoding/json makes of a value:
// its struct tags and its interfaces count. By hand, as encoding/json writes a float64 of 1 like an integer, and Python
// doesn't.
func appendPython(out []byte, value any) ([]byte, error) {
	return (&pythonWriter{}).value(out, reflect.ValueOf(value))
}

var errTooDeep = errors.New("it is nested too deeply")

// As deep as encoding/json reads. A value that contains itself is deeper.
const maxDepth = 10_000

type pythonWriter struct{ depth int }

func (w *pythonWriter) value(out []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(out, "null"...), nil
	}
	if w.depth++; w.depth > maxDepth {
		return nil, errTooDeep
	}
	defer func() { w.depth-- }()
	if out, done, err := w.marshaled(out, v); done || err != nil {
		return out, err
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(out, v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(out, v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(out, v.Uint(), 10), nil
	case reflect.Float32:
		return appendPythonFloat(out, v.Float(), 32)
	case reflect.Float64:
		return appendPythonFloat(out, v.Float(), 64)
	case reflect.String:
		if v.Type() == numberType {
			return appendNumber(out, v.String())
		}
		return appendPythonString(out, v.String()), nil
	case reflect.Pointer, reflect.Interface:
		return w.value(out, v.Elem())
	case reflect.Map:
		return w.mapping(out, v)
	case reflect.Struct:
		return w.structure(out, v)
	case reflect.Slice:
		if v.IsNil() {
			return append(out, "null"...), nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			out = append(out, '"')
			out = base64.StdEncoding.AppendEncode(out, v.Bytes())
			return append(out, '"'), nil
		}
		return w.list(out, v)
	case reflect.Array:
		return w.list(out, v)
	default:
		return nil, fmt.Errorf("JSON has no %s", v.Type())
	}
}

var (
	numberType      = reflect.TypeFor[json.Number]()
	marshalerType   = reflect.TypeFor[json.Marshaler]()
	textMarshalType = reflect.TypeFor[encoding.TextMarshaler]()
)

// A type that writes itself, itself or (where the value has an address) by its pointer.
func (w *pythonWriter) marshaled(out []byte, v reflect.Value) ([]byte, bool, error) {
	t := v.Type()
	if !v.CanInterface() {
		return out, false, nil
	}
	if t.NumMethod() == 0 && (t.Name() == "" || !v.CanAddr()) {
		return out, false, nil
	}
	if (t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface) && v.IsNil() {
		return out, false, nil
	}
	if !t.Implements(marshalerType) && !t.Implements(textMarshalType) && v.CanAddr() {
		v, t = v.Addr(), reflect.PointerTo(t)
	}
	switch {
	case t.Implements(marshalerType):
		text, err := v.Interface().(json.Marshaler).MarshalJSON()
		if err != nil {
			return nil, true, err
		}
		out, err = appendJSON(out, text)
		return out, true, err
	case t.Implements(textMarshalType):
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		return appendPythonString(out, string(text)), true, err
	}
	return out, false, nil
}

// JSON as somebody wrote it, in Python's form. Its numbers are floats where they look like it.
func appendJSON(out, text []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return appendPython(out, value)
}

func (w *pythonWriter) list(out []byte, v reflect.Value) ([]byte, error) {
	out = append(out, '[')
	var err error
	for i := range v.Len() {
		if i > 0 {
			out = append(out, ", "...)
		}
		if out, err = w.value(out, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

type member struct {
	name   string
	value  reflect.Value
	quoted bool
}

// UTF-8 sorts as code points do, which is Python's order.
func (w *pythonWriter) object(out []byte, members []member) ([]byte, error) {
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	out = append(out, '{')
	var err error
	for i, member := range members {
		if i > 0 {
			out = append(out, ", "...)
		}
		out = append(appendPythonString(out, member.name), ": "...)
		if member.quoted {
			var text []byte
			if text, err = w.value(nil, member.value); err == nil {
				out = appendPythonString(out, string(text))
			}
		} else {
			out, err = w.value(out, member.value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", member.name, err)
		}
	}
	return append(out, '}'), nil
}

func (w *pythonWriter) mapping(out []byte, v reflect.Value) ([]byte, error) {
	if v.IsNil() {
		return append(out, "null"...), nil
	}
	members := make([]member, 0, v.Len())
	for entries := v.MapRange(); entries.Next(); {
		name, err := keyName(entries.Key())
		if err != nil {
			return nil, err
		}
		members = append(members, member{name: name, value: entries.Value()})
	}
	return w.object(out, members)
}

func keyName(key reflect.Value) (string, error) {
	if key.Kind() == reflect.String {
		return key.String(), nil
	}
	if marshaler, ok := key.Interface().(encoding.TextMarshaler); ok {
		text, err := marshaler.MarshalText()
		return string(text), err
	}
	switch {
	case key.CanInt():
		return strconv.FormatInt(key.Int(), 10), nil
	case key.CanUint():
		return strconv.FormatUint(key.Uint(), 10), nil
	}
	return "", fmt.Errorf("JSON has no %s as a key", key.Type())
}

func (w *pythonWriter) structure(out []byte, v reflect.Value) ([]byte, error) {
	members := make([]member, 0, v.NumField())
	for _, field := range fieldsOf(v.Type()) {
		value, err := v.FieldByIndexErr(field.index)
		// A field of an embedded struct that is not there.
		if err != nil || field.omitEmpty && isEmpty(value) || field.omitZero && isZero(value) {
			continue
		}
		members = append(members, member{field.name, value, field.quoted})
	}
	return w.object(out, members)
}

func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	default:
		return v.IsZero()
	}
}

func isZero(v reflect.Value) bool {
	if v.CanInterface() {
		if own, ok := v.Interface().(interface{ IsZero() bool }); ok {
			return own.IsZero()
		}
	}
	return v.IsZero()
}

// As `ensure_ascii` does: everything outside printable ASCII is escaped, beyond the BMP as a surrogate pair.
func appendPythonString(out []byte, text string) []byte {
	out = append(out, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', byte(c))
		case c == '\n':
			out = append(out, `\n`...)
		case c == '\r':
			out = append(out, `\r`...)
		case c == '\t':
			out = append(out, `\t`...)
		case c == '\b':
			out = append(out, `\b`...)
		case c == '\f':
			out = append(out, `\f`...)
		case ' ' <= c && c <= '~':
			out = append(out, byte(c))
		case c > 0xffff && c <= utf8.MaxRune:
			high, low := utf16.EncodeRune(c)
			out = appendEscape(appendEscape(out, high), low)
		default:
			out = appendEscape(out, c)
		}
	}
	return append(out, '"')
}

func appendEscape(out []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[unit>>12&15], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}

// A number as somebody wrote it.
func appendNumber(out []byte, text string) ([]byte, error) {
	switch {
	case text == "", text == "-0":
		// The integer of that value, which Python has no second one of.
		return append(out, '0'), nil
	case !strings.ContainsAny(text, ".eE"):
		return append(out, text...), nil
	}
	float, err := strconv.ParseFloat(text, 64)
	if math.IsInf(float, 0) {
		// Too large for a float, it is an infinity in Python, and `json.dumps` writes that so.
		if float < 0 {
			out = append(out, '-')
		}
		return append(out, "Infinity"...), nil
	}
	if err != nil {
		return nil, err
	}
	return appendPythonFloat(out, float, 64)
}

// Python's `repr`: the fewest digits that read back as the same float, without an exponent from 1e-4 to below 1e16.
func appendPythonFloat(out []byte, float float64, bits int) ([]byte, error) {
	if math.IsInf(float, 0) || math.IsNaN(float) {
		return nil, fmt.Errorf("JSON has no %v", float)
	}
	if size := math.Abs(float); size != 0 && (size < 1e-4 || size >= 1e16) {
		// Go writes an exponent of at least two digits as well.
		return strconv.AppendFloat(out, float, 'e', -1, bits), nil
	}
	start := len(out)
	out = strconv.AppendFloat(out, float, 'f', -1, bits)
	if !bytes.ContainsRune(out[start:], '.') {
		out = append(out, ".0"...)
	}
	return out, nil
}
