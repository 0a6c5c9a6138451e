package main

import (
	"os"
	"strings"
	"testing"
)

func TestAMainThatDoesNotReturnIsNamed(t *testing.T) {
	b := &builder{scratch: t.TempDir()}
	core, err := b.compile("../../internal/stuck", ".")
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := os.ReadFile(core)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = snapshot(wasm); err == nil || !strings.Contains(err.Error(), "its main fails") {
		t.Error(err)
	}
}
