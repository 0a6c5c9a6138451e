package files

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheCodesAreThoseOfTheWIT(t *testing.T) {
	world, err := os.ReadFile("../../cmd/brrr-build/program.wit")
	if err != nil {
		t.Fatal(err)
	}
	_, filesystem, _ := strings.Cut(string(world), "package wasi:filesystem")
	_, cases, _ := strings.Cut(filesystem, "enum error-code {")
	cases, _, _ = strings.Cut(cases, "}")
	names := regexp.MustCompile(`(?m)^\s+([\w-]+),$`).FindAllStringSubmatch(cases, -1)
	if len(names) != len(codes) {
		t.Fatalf("%d cases, %d texts", len(names), len(codes))
	}
	meant := map[string]error{
		"access": fs.ErrPermission, "not-permitted": fs.ErrPermission, "read-only": fs.ErrPermission,
		"no-entry": fs.ErrNotExist, "exist": fs.ErrExist,
	}
	for i, name := range names {
		for _, sentinel := range []error{fs.ErrPermission, fs.ErrNotExist, fs.ErrExist} {
			if errors.Is(code(i), sentinel) != (meant[name[1]] == sentinel) {
				t.Errorf("%s is %q, and %v", name[1], code(i), sentinel)
			}
		}
	}
}
