//go:build wasip1

package brrr

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"unsafe"
)

// The standard library's loggers write to the host's log, which knows levels and needs no second clock: `log` as
// information, `log/slog` by its level.
func init() {
	slog.SetDefault(slog.New(&logHandler{}))
}

// logHandler shows a message with its attributes as `message name=value`.
type logHandler struct {
	attributes string
	group      string
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	var text strings.Builder
	text.WriteString(record.Message)
	text.WriteString(h.attributes)
	record.Attrs(func(a slog.Attr) bool {
		appendAttribute(&text, h.group, a)
		return true
	})
	level := record.Level
	// Only what comes from package log has no place. What it says before it ends the run is why the run failed.
	if record.PC == 0 && isFatal() {
		level = slog.LevelError
	}
	write(level, text.String())
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
	var text strings.Builder
	text.WriteString(h.attributes)
	for _, a := range attributes {
		appendAttribute(&text, h.group, a)
	}
	return &logHandler{text.String(), h.group}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &logHandler{h.attributes, h.group + name + "."}
}

func appendAttribute(text *strings.Builder, group string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() != slog.KindGroup {
		text.WriteString(" " + group + a.Key + "=" + value.String())
		return
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, inner := range value.Group() {
		appendAttribute(text, group, inner)
	}
}

// The numbers of the WIT's levels.
func write(level slog.Level, message string) {
	message = clean(message)
	number := uint32(0)
	for _, least := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if level >= least {
			number++
		}
	}
	importLog(number, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}
