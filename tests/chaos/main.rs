//! The real binary as users run it, for a long time and with faults.
//!
//! - `chaos`: workers are killed, frozen and cut off, and a server is restarted, while clients submit jobs
//!   (`make chaos BACKEND=redis MINUTES=10`; `make test` does it for a few seconds)
//! - `soak`: one worker and a very large number of calls (`make soak`)

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod ask;
mod backend_servers;
mod chaos;
mod clients;
mod faults;
mod fleet;
mod ledger;
mod proxy;
#[path = "../support/servers/mod.rs"]
mod servers;
mod shapes;
mod soak;
mod verdict;

use backend_servers::Kind;

#[test]
fn sqlite() {
    chaos::run(Kind::Sqlite);
}

#[test]
fn redis() {
    chaos::run(Kind::Redis);
}

#[test]
fn aws_local() {
    chaos::run(Kind::AwsLocal);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn soak_sqlite() {
    soak::run(Kind::Sqlite);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn soak_redis() {
    soak::run(Kind::Redis);
}

/// A number from an environment variable.
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}
