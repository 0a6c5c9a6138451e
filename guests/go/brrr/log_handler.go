package brrr

import (
	"context"
	"log/slog"
	"runtime"
	"slices"
	"strings"
)

// logHandler gives the host a message with its attributes as fields. The names of groups come before an attribute's own,
// with a dot.
type logHandler struct {
	write  func(level slog.Level, message string, fields []pair)
	fields []pair
	group  string
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	// A copy, as handlers that were made of one another share what they begin with.
	fields := slices.Clone(h.fields)
	record.Attrs(func(a slog.Attr) bool {
		fields = appendAttribute(fields, h.group, a)
		return true
	})
	level := record.Level
	// Only what comes from package log has no place. What it says before it ends the run is why the run failed.
	if record.PC == 0 && isFatal() {
		level = slog.LevelError
	}
	h.write(level, clean(record.Message), fields)
	return nil
}

func isFatal() bool {
	var pcs [16]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "log.Fatal") || strings.HasPrefix(frame.Function, "log.(*Logger).Fatal") {
			return true
		}
		if !more {
			return false
		}
	}
}

func (h *logHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	fields := slices.Clone(h.fields)
	for _, a := range attributes {
		fields = appendAttribute(fields, h.group, a)
	}
	return &logHandler{h.write, fields, h.group}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{h.write, h.fields, h.group + name + "."}
}

func appendAttribute(fields []pair, group string, a slog.Attr) []pair {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		// slog's handlers leave out an attribute without name and value.
		if a.Key == "" && value.Any() == nil {
			return fields
		}
		return append(fields, pair{clean(group + a.Key), clean(value.String())})
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, inner := range value.Group() {
		fields = appendAttribute(fields, group, inner)
	}
	return fields
}
