//! The Rust bindings of `wit/worker.wit`: of the world `worker`, and of `worker-async` in `concurrent`.

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

/// The world `worker-async`. It has the types and the other interfaces of the world above.
pub mod concurrent {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "worker-async",
        with: {
            "brrr:worker/types": super::brrr::worker::types,
            "brrr:worker/control": super::brrr::worker::control,
            "brrr:worker/log": super::brrr::worker::log,
        },
        imports: {
            "brrr:worker/tasks-async": async | store | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}
