//! Every decoder of this project as a function of bytes that panics when a promise is broken. The fuzzer calls them
//! (`libfuzzer/`, `make fuzz`), and `tests/corpus.rs` with all that the fuzzer has kept, in every `make test`.
//!
//! - `targets`: the decoders, by name; `properties`: what all of them promise
//! - `allocation`: what a decoder takes of memory, so that a length that somebody made up can't take all of it
//!
//! The decoders of the host and of the guest `dag` are compiled in by their files: the crates that they are in bring a
//! compiler (wasmtime) or WebAssembly bindings along, and an instrumented build of those would take a quarter of an hour.
//! The two small things that they need of the rest stand in here, marked *stand-in*.

#![allow(dead_code, unused_imports, reason = "each of those files is used in part")]
#![allow(clippy::all, clippy::pedantic, clippy::restriction, reason = "they are linted where they belong")]

// The files of `brrr-host` that are compiled in name the files of `brrr-worker` that are compiled in beside them.
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

mod cli {
    /// Stand-in for the number of processes, whose file starts some.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Processes(u32);

    impl std::str::FromStr for Processes {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            text.parse().map(Self).map_err(|_| "a number".to_owned())
        }
    }
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

    /// Stand-in for the worlds, whose file links them.
    mod world {
        pub const HANDLER: &str = "brrr:worker/handler";

        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum World {
            Plain,
            Concurrent,
        }

        impl World {
            pub fn find(version: &str) -> Option<Self> {
                match version.rsplit_once('.')?.0 {
                    "0.1" => Some(Self::Plain),
                    "0.2" => Some(Self::Concurrent),
                    _ => None,
                }
            }
        }

        pub struct Versions;

        impl std::fmt::Display for Versions {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("0.1.0 and 0.2.0")
            }
        }
    }
}

#[path = "."]
mod backends {
    #[path = "../../../host/backends/src/url.rs"]
    pub mod url;
}

// Of the guest `dag`, whose files name each other from its job_id.
#[path = "../../../guests/dag/src/fields.rs"]
mod fields;
#[path = "../../../guests/dag/src/job.rs"]
mod job;
#[path = "../../../guests/dag/src/order.rs"]
mod order;
