package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// snapshot runs a program up to where it waits for its first call: Go's runtime starts, packages initialise. It gives the
// program as it is then, so that no run of the component does this again.
//
// It sees a clock that stands still, random numbers that are all alike, and nothing else of the world, so that the same
// program always gives the same component. What the SDK draws anew in each run is in its reseed.go.
func snapshot(wasm []byte) ([]byte, error) {
	sections, err := parseModule(wasm)
	if err != nil {
		return nil, err
	}
	var globals []global
	var exports []export
	for _, s := range sections {
		switch s.id {
		case sectionGlobal:
			globals, err = parseGlobals(s.body)
		case sectionExport:
			exports, err = parseExports(s.body)
		case sectionStart:
			err = errors.New("it has a start function, which no Go program has")
		}
		if err != nil {
			return nil, err
		}
	}
	if !slices.ContainsFunc(exports, func(e export) bool { return e.name == handle }) {
		return nil, errors.New("it handles no tasks: import github.com/brrr-host/brrr-host/guests/go/brrr and call " +
			"its Handle in main")
	}
	visible := append([]export(nil), exports...)
	for i := range globals {
		visible = append(visible, export{globalName(i), exportGlobal, uint32(i)})
	}
	memory, values, err := initialise(writeModule(replace(sections, sectionExport, writeExports(visible))), len(globals))
	if err != nil {
		return nil, err
	}
	for i := range globals {
		globals[i].value = values[i]
		if globals[i].kind == typeI32 {
			globals[i].value = int64(int32(values[i]))
		}
	}
	kept := exports[:0]
	for _, e := range exports {
		if e.name != "_initialize" && e.name != "brrr_bind" && e.name != "brrr_warm" {
			kept = append(kept, e)
		}
	}
	sections = replace(sections, sectionExport, writeExports(kept))
	sections = replace(sections, sectionGlobal, writeGlobals(globals))
	sections = replace(sections, sectionMemory, writeMemory(uint32(len(memory)>>16)))
	sections = replace(sections, sectionData, writeData(memory))
	return writeModule(replace(sections, sectionDataCount, nil)), nil
}

// What the SDK exports.
const handle = "brrr:worker/handler@0.2.0#handle"

func globalName(index int) string { return fmt.Sprintf("global %d", index) }

// The sections with another body for those of this number; nil: without them.
func replace(sections []section, id byte, body []byte) []section {
	var replaced []section
	for _, s := range sections {
		if s.id == id {
			s.body = body
		}
		if s.body != nil {
			replaced = append(replaced, s)
		}
	}
	return replaced
}

// Memory and globals once the program is initialised.
func initialise(wasm []byte, globals int) ([]byte, []int64, error) {
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer runtime.Close(ctx)
	compiled, err := runtime.CompileModule(ctx, wasm)
	if err != nil {
		return nil, nil, err
	}
	if err := provide(ctx, runtime, compiled, nil); err != nil {
		return nil, nil, err
	}
	module, err := runtime.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return nil, nil, err
	}
	if _, err := module.ExportedFunction("_initialize").Call(ctx); err != nil {
		return nil, nil, fmt.Errorf("its packages can't be initialised: %w", err)
	}
	for _, step := range []struct{ export, failed string }{
		{"brrr_bind", "its main fails, which is to bind the handlers and return"},
		{"brrr_warm", "a first call of the SDK fails"},
	} {
		function := module.ExportedFunction(step.export)
		if function == nil {
			return nil, nil, fmt.Errorf("its SDK has no %s: take brrr-build and the SDK of one version", step.export)
		}
		if _, err := function.Call(ctx); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", step.failed, err)
		}
	}
	memory, _ := module.Memory().Read(0, module.Memory().Size())
	values := make([]int64, globals)
	for i := range values {
		values[i] = int64(module.ExportedGlobal(globalName(i)).Get())
	}
	return append([]byte(nil), memory...), values, nil
}

// The time at build, which only sleeping moves: 1, as the adapter's clock while it is held. Go takes 0 for a broken one.
var clock = uint64(1)

// Any number but zero will do.
const randomByte = 0x2a

// A function of the host, on a stack that has its arguments and takes its result.
type function func(module api.Module, stack []uint64)

// provide gives the program what it imports: `others` by module and name, and WASI. What else a handler may use ends the
// build.
func provide(ctx context.Context, runtime wazero.Runtime, compiled wazero.CompiledModule, others map[string]function) error {
	modules := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if modules[module] == nil {
			modules[module] = runtime.NewHostModuleBuilder(module)
		}
		implementation := func(context.Context, api.Module, []uint64) {
			panic(fmt.Errorf("it uses %s %s before there is a call", module, name))
		}
		if other, ok := others[module+" "+name]; ok {
			implementation = func(_ context.Context, m api.Module, stack []uint64) { other(m, stack) }
		}
		if module == "wasi_snapshot_preview1" {
			// As the adapter answers what it refuses: EBADF.
			implementation = func(_ context.Context, _ api.Module, stack []uint64) { stack[0] = 8 }
			if own, ok := atBuild[name]; ok {
				implementation = func(_ context.Context, m api.Module, stack []uint64) { own(m.Memory(), stack) }
			}
		}
		modules[module].NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(implementation), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, module := range modules {
		if _, err := module.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// What WASI is at build time; see adapter.wat for what it is later. The first number of the stack is the result.
var atBuild = map[string]func(memory api.Memory, stack []uint64){
	"hold_clock":  func(api.Memory, []uint64) {},
	"sched_yield": func(_ api.Memory, stack []uint64) { stack[0] = 0 },
	// ENOENT, as later.
	"path_open":         func(_ api.Memory, stack []uint64) { stack[0] = 44 },
	"args_get":          func(_ api.Memory, stack []uint64) { stack[0] = 0 },
	"environ_get":       func(_ api.Memory, stack []uint64) { stack[0] = 0 },
	"args_sizes_get":    none,
	"environ_sizes_get": none,
	"clock_time_get": func(memory api.Memory, stack []uint64) {
		memory.WriteUint64Le(uint32(stack[2]), clock)
		stack[0] = 0
	},
	// Go waits for a clock only, the first subscription.
	"poll_oneoff": func(memory api.Memory, stack []uint64) {
		wait, _ := memory.ReadUint64Le(uint32(stack[0]) + 24)
		clock += wait
		userdata, _ := memory.ReadUint64Le(uint32(stack[0]))
		memory.WriteUint64Le(uint32(stack[1]), userdata)
		memory.WriteUint64Le(uint32(stack[1])+8, 0)
		memory.WriteUint32Le(uint32(stack[3]), 1)
		stack[0] = 0
	},
	"random_get": func(memory api.Memory, stack []uint64) {
		for i := range uint32(stack[1]) {
			memory.WriteByte(uint32(stack[0])+i, randomByte+byte(i))
		}
		stack[0] = 0
	},
	"fd_fdstat_get": func(memory api.Memory, stack []uint64) {
		if stack[0] > 2 {
			stack[0] = 8
			return
		}
		memory.WriteUint64Le(uint32(stack[1]), 2)
		memory.WriteUint64Le(uint32(stack[1])+8, 0x42)
		memory.WriteUint64Le(uint32(stack[1])+16, 0)
		stack[0] = 0
	},
	"fd_write": func(memory api.Memory, stack []uint64) {
		total := uint32(0)
		for i := range uint32(stack[2]) {
			at, _ := memory.ReadUint32Le(uint32(stack[1]) + 8*i)
			length, _ := memory.ReadUint32Le(uint32(stack[1]) + 8*i + 4)
			text, _ := memory.Read(at, length)
			_, _ = os.Stderr.Write(text)
			total += length
		}
		memory.WriteUint32Le(uint32(stack[3]), total)
		stack[0] = 0
	},
	"proc_exit": func(_ api.Memory, stack []uint64) {
		panic(fmt.Errorf("it ended with status %d", int32(stack[0])))
	},
}

func none(memory api.Memory, stack []uint64) {
	memory.WriteUint32Le(uint32(stack[0]), 0)
	memory.WriteUint32Le(uint32(stack[1]), 0)
	stack[0] = 0
}
