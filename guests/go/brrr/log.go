//go:build wasip1

package brrr

import (
	"log/slog"
	"runtime"
	"unsafe"
)

// The standard library's loggers write to the host's log, which knows levels and needs no second clock: `log` as
// information, `log/slog` by its level and with its attributes.
func init() {
	slog.SetDefault(slog.New(&logHandler{write: writeLog}))
}

// The numbers of the WIT's levels.
func writeLog(level slog.Level, message string, fields []pair) {
	number := uint32(0)
	for _, least := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if level >= least {
			number++
		}
	}
	records := pairRecords(fields)
	importLog(number, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)),
		unsafe.Pointer(unsafe.SliceData(records)), uint32(len(records)))
	runtime.KeepAlive(fields)
	runtime.KeepAlive(records)
}
