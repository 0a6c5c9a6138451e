//! The wasm ring, from outside: components from small hand-written modules, so that no guest toolchain is needed, and
//! the SDKs' guests where they have been built.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod cache;
mod fixture;
mod floor;
mod limits;
mod load;
mod rig;
mod semantics;
mod system;
