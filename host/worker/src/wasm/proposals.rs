//! Names the proposals of WebAssembly that a refused component uses and that the engine has switched off. The engine's own
//! message is about the first instruction or type that it doesn't know.

use wasmparser::{Validator, WasmFeatures};

use super::world::World;

/// The proposals that are off, and how a user knows them. (`Cargo.toml` and `engine.rs` say why they are off.)
const OFF: [(WasmFeatures, &str); 12] = [
    (WasmFeatures::GC, "garbage collection (GC)"),
    (WasmFeatures::FUNCTION_REFERENCES, "typed function references"),
    (WasmFeatures::EXCEPTIONS, "exceptions (C++: -fno-exceptions)"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "exceptions in their old form (C++: -fno-exceptions)"),
    (WasmFeatures::THREADS, "threads: shared memory or atomics (C, C++: no -pthread)"),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "threads that share everything"),
    (WasmFeatures::MULTI_MEMORY, "several memories in one module"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic (no -mwide-arithmetic, no +wide-arithmetic)"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::CM_ASYNC, "asynchronous functions of the component model (WASI 0.3)"),
];

/// The proposals that this component can't do without, if it is valid with them. `None`: the reason is another one.
pub(super) fn switched_off(bytes: &[u8], world: World) -> Option<String> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(bytes).is_ok();
    if !is_valid(WasmFeatures::all()) {
        return None;
    }
    let off = OFF.into_iter().filter(|(feature, _)| *feature != WasmFeatures::CM_ASYNC || world == World::Plain);
    let used: Vec<&str> =
        off.filter(|(feature, _)| !is_valid(WasmFeatures::all().difference(*feature))).map(|(_, name)| name).collect();
    (!used.is_empty()).then(|| used.join(", and "))
}
