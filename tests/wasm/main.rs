//! The module `wasm` of `brrr-worker`, from outside. The components are small hand-written modules, so no guest
//! toolchain is needed. The SDKs' guests are used where they are built.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod cache;
mod fixture;
mod floor;
mod limits;
mod load;
mod polls;
mod rig;
mod semantics;
mod system;
