//! Each decoder of this project as a function of bytes that panics if a promise is broken. The fuzzer calls these
//! functions (`libfuzzer/`, `make fuzz`). `tests/corpus.rs` calls them with all inputs that the fuzzer has kept, in
//! each `make test`.
//!
//! - `targets`: the decoders, by name; `properties`: what all of them promise
//! - `allocation`: how much memory a decoder takes, so that a made-up length in an input can't take all memory
//!
//! The decoders of the host and of the guest `dag` are compiled in by their files. Their crates depend on a compiler
//! (wasmtime) or on WebAssembly bindings, and an instrumented build of those would take a quarter of an hour. Two small
//! replacements for other code that the decoders need are here, marked *stand-in*.

#![allow(dead_code, unused_imports, reason = "each of those files is used in part")]
#![allow(clippy::all, clippy::pedantic, clippy::restriction, reason = "they are linted where they belong")]

// The included files of `brrr-host` refer to the included files of `brrr-worker` by this crate name.
extern crate self as brrr_worker;

pub mod allocation;
mod generate;
mod properties;
mod targets;

pub use targets::{TARGETS, run};

#[path = "../../../host/src/config/mod.rs"]
mod config;
#[path = "../../../host/worker/src/json.rs"]
mod json;
#[path = "../../../host/worker/src/permissions/mod.rs"]
mod permissions;
#[path = "../../../host/worker/src/text.rs"]
mod text;
#[path = "../../../host/src/units.rs"]
mod units;

#[path = "."]
mod gateway {
    #[path = "../../../host/worker/src/gateway/address.rs"]
    mod address;
    #[path = "../../../host/worker/src/gateway/arguments.rs"]
    pub mod arguments;

    pub use address::Address;
}

#[path = "."]
mod testing {
    #[path = "../../../host/src/testing/cases.rs"]
    pub mod cases;
    #[path = "../../../host/src/testing/expected.rs"]
    mod expected;
    #[path = "../../../host/src/testing/payload.rs"]
    mod payload;
    #[path = "../../../host/src/testing/values.rs"]
    mod values;
}

#[path = "."]
mod wasm {
    #[path = "../../../host/worker/src/wasm/error.rs"]
    mod error;
    #[path = "../../../host/worker/src/wasm/shape.rs"]
    mod shape;

    pub fn inspect(path: &std::path::Path, bytes: &[u8]) -> Result<(), error::LoadError> {
        shape::inspect(path, bytes).map(drop)
    }

    /// Stand-in for the worlds. The original's file links them.
    mod world {
        pub const WIT_VERSION: &str = "0.2.0";

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum World {
            Plain,
            Concurrent,
        }

        impl World {
            pub fn find(interface: &str) -> Option<Self> {
                match interface {
                    "brrr:worker/handler" => Some(Self::Plain),
                    "brrr:worker/handler-async" => Some(Self::Concurrent),
                    _ => None,
                }
            }

            pub fn tasks(self) -> &'static str {
                match self {
                    Self::Plain => "tasks",
                    Self::Concurrent => "tasks-async",
                }
            }
        }

        pub fn is_supported(version: &str) -> bool {
            version.starts_with("0.2.")
        }
    }
}

#[path = "."]
mod backends {
    #[path = "../../../host/backends/src/url.rs"]
    pub mod url;
}

// Files of the guest `dag`. They refer to each other from the root of their crate.
#[path = "../../../guests/dag/src/fields.rs"]
mod fields;
#[path = "../../../guests/dag/src/job.rs"]
mod job;
#[path = "../../../guests/dag/src/order.rs"]
mod order;
