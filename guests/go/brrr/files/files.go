// Package files reads and writes in the folders that the worker opens to its handlers (`run --dir HOST_PATH::GUEST_PATH`):
// in a component, package os sees no files. Outside one, in tests, it is package os.
//
// Errors are of the type *fs.PathError, and fs.ErrNotExist or fs.ErrPermission where that is why.
package files

// ReadFile gives the bytes of a file.
func ReadFile(path string) ([]byte, error) { return readFile(path) }

// WriteFile writes a file, in place of the one that is there.
func WriteFile(path string, data []byte) error { return writeFile(path, data) }

// ReadDir gives the names of what is in a folder, sorted.
func ReadDir(path string) ([]string, error) { return readDir(path) }
