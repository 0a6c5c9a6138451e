package files

import (
	"fmt"
	"io/fs"
)

// WASI's error-code, in its order.
var codes = [...]string{
	"permission denied", "would block", "already", "bad descriptor", "busy", "deadlock", "quota exceeded", "it exists",
	"file too large", "illegal byte sequence", "in progress", "interrupted", "invalid", "input/output error",
	"it is a folder", "too many links", "too many links", "message size", "name too long", "no device",
	"no such file or folder", "no lock", "insufficient memory", "no space left", "not a folder", "folder not empty",
	"not recoverable", "not supported", "no tty", "no such device", "overflow", notPermitted, "pipe",
	"only to be read", "invalid seek", "text file busy", "cross device",
}

// In a folder that is open, this is what its rule says.
const notPermitted = "not permitted: it is outside of what --dir opens, or only to be read"

type code uint8

func (c code) Error() string {
	if int(c) < len(codes) {
		return codes[c]
	}
	return fmt.Sprintf("error %d of wasi:filesystem", uint8(c))
}

func (c code) Is(target error) bool {
	switch codes[min(int(c), len(codes)-1)] {
	case "no such file or folder":
		return target == fs.ErrNotExist
	case "permission denied", notPermitted, "only to be read":
		return target == fs.ErrPermission
	case "it exists":
		return target == fs.ErrExist
	}
	return false
}
