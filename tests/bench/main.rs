//! `make bench`: what things cost on this machine, from one run. Nothing is asserted, because machines differ and are
//! noisy. Compare the figures of one run with each other, by their ratios.
//!
//! `cargo bench --bench bench -- memory` runs one section alone: `floor`, `languages` (one language: `languages go`),
//! `memory`, `sqlite`, `redis`, `redis-dynamodb`, `graphs`, `jobs`, `binary`, `processes`, `telemetry` or `http` (a worker of another
//! binary: `http PATH`).

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod binary;
mod graphs;
mod http;
mod jobs;
mod languages;
mod measure;
#[path = "../backends/support/proxy.rs"]
#[allow(dead_code, reason = "shared with tests that also lose answers")]
mod proxy;
mod remote;
#[path = "../support/servers/mod.rs"]
mod servers;
mod telemetry;
mod trees;

use measure::{load_average, section};

// The binary uses this allocator too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The path of the Rust conformance guest.
fn guest() -> &'static std::path::Path {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../build/guests/rust/rust-conformance.wasm").as_ref()
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    if let [first, component, cache] = &arguments[..]
        && first == languages::BUSY_PROCESS
    {
        return runtime.block_on(languages::busy_process(component, cache));
    }
    if let [first, redis] = &arguments[..]
        && first == jobs::ON_DYNAMODB
    {
        return runtime.block_on(jobs::on_dynamodb(redis));
    }
    if let [first, redis, runs] = &arguments[..]
        && first == remote::MEASURED
    {
        return runtime.block_on(remote::measured(redis, runs.parse().expect("a number")));
    }
    let guest = guest();
    assert!(guest.exists(), "{} is missing: scripts/guests/rust.sh builds it", guest.display());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!("{cores} cores, load {} at the start", load_average());

    let wanted = arguments.first();
    let wants = |section: &str| wanted.is_none_or(|wanted| wanted == section);
    section("in this process: the guest, the transitions and the backend, no messages over processes");
    if wants("floor") {
        runtime.block_on(trees::floor(guest));
    }
    if wants("languages") {
        section("one run in each language, no queue and no store");
        runtime.block_on(languages::table(arguments.get(1).map(String::as_str)));
    }
    for backend in ["memory", "sqlite"] {
        if wants(backend) {
            runtime.block_on(trees::trees(guest, backend));
        }
    }
    if wants("redis") || wants("redis-dynamodb") {
        section("on servers of this machine; they take part of its cores");
    }
    if wants("redis") {
        runtime.block_on(remote::redis());
    }
    if wants("redis-dynamodb") {
        remote::redis_dynamodb();
    }
    if wants("graphs") {
        section("how costs grow with the shape and the size of a job, without a guest");
        runtime.block_on(graphs::graphs());
    }
    if wants("jobs") {
        section("lists of jobs and collections, by the number of jobs in the store");
        runtime.block_on(jobs::jobs());
    }
    if ["binary", "processes", "telemetry", "http"].into_iter().any(wants) {
        section("the binary, as a user runs it, on SQLite");
    }
    if wants("binary") {
        binary::memory_of_a_worker(guest);
        binary::cached_call(guest);
    }
    if wants("processes") {
        binary::processes();
    }
    if wants("telemetry") {
        runtime.block_on(telemetry::overhead(guest));
    }
    if wants("http") {
        runtime.block_on(http::gateway(guest, arguments.get(1).map(String::as_str)));
    }
    println!("load {} at the end", load_average());
}
