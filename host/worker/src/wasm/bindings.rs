//! The Rust bindings of `wit/worker.wit`.

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "worker",
    imports: {
        // `poll` reads the backend, and stops the run with an error.
        "brrr:worker/tasks.poll": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});

/// The Rust bindings of `wit/async/worker.wit`. They use the types above.
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
