//! `brrr-host test`: runs calls of a component in memory, repeatedly and in different orders, as a fleet might. Reports
//! what the handler must not do.
//!
//! - `cases`, `expected`, `payload`, `values`: the content of `cases.toml`; `update`: writes results into it
//! - `life`: the runs of one call, with outcomes that arrive one after the other
//! - `children`: the outcomes of the calls: from the case, or from this component
//! - `orders`: the orders in which outcomes arrive; `explore`: a case, in all orders
//! - `trace`: the calls of a run, and the differences between two runs; `verdict`: the findings about a case
//! - `report`: the report of a case
//!
//! There is no worker, no queue and no store, and no time passes. A run sees what it would see in a worker: the code is
//! the
//! same (`WasmHandler`, `Replay`, the `run` records).

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
