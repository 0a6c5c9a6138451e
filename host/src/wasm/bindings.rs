//! `wit/worker.wit` in Rust.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "worker",
    imports: {
        // `poll` reads the backend, and stops the run by an error.
        "brrr:worker/tasks.poll": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
