//! `brrr-host test`: runs calls of a component in memory, again and again as a fleet might, and says what it must not do.
//!
//! - `cases`, `expected`, `payload`, `values`: what `cases.toml` says; `update`: writes results into it
//! - `life`: one call, run by run, with outcomes that arrive as they are given
//! - `children`: what its calls give: what the case says, or what this component makes of them
//! - `orders`: in which order outcomes arrive; `explore`: a case, in all orders
//! - `trace`: the calls of a run, and where two runs differ; `verdict`: what a case comes to
//! - `report`: what is told about it
//!
//! There is no worker, no queue, no store and no time that passes. What a run sees is what a worker would show it: the same
//! `WasmHandler`, the same `Replay`, the same `run` records.

mod cases;
mod children;
mod expected;
mod explore;
mod life;
mod orders;
mod payload;
mod report;
mod trace;
mod update;
mod values;
mod verdict;

pub use cases::{Case, Cases, CasesError, DEFAULT};
pub use explore::{Settings, Watcher, explore};
pub use life::{Lines, Runner};
pub use report::{CaseReport, Finding, Level};
pub use update::{Change, update};
