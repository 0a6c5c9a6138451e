//! `wit/worker.wit` in Rust.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "worker",
    imports: {
        // `poll` reads the backend, and stops the run by an error.
        "brrr:worker/tasks.poll": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

/// `wit/async/worker.wit` in Rust; its types are those above.
pub mod concurrent {
    wasmtime::component::bindgen!({
        path: "../../wit/async",
        world: "worker",
        with: { "brrr:worker/types": super::brrr::worker::types },
        imports: {
            "brrr:worker/tasks": async | store | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}
