//! The real binary, as a user runs it: in a temporary folder, with its arguments, signals, output and exit code.
//!
//! Needs the Rust guest: `scripts/guests/rust.sh`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod api;
mod aws;
mod backends;
mod bad_components;
mod bad_servers;
mod calls;
#[path = "../support/servers/certificates.rs"]
mod certificates;
mod clocks;
#[path = "../support/servers/collector.rs"]
mod collector;
mod components;
mod config;
mod control;
mod cron;
mod damage;
mod deploy;
mod dlq;
mod doctor;
mod each_backend;
mod events;
mod faults;
mod fetch;
#[path = "../wasm/fixture.rs"]
mod fixture;
mod gateway;
mod gateway_limits;
mod harness;
mod health;
mod help;
mod hostile;
mod hostile_pushers;
#[path = "../support/servers/http.rs"]
mod http_server;
#[path = "../support/servers/https.rs"]
mod https_server;
mod identity;
mod jobs;
mod joining;
mod languages;
mod logs;
mod makespan;
mod metrics;
mod new;
mod oci;
mod oci_tls;
mod oci_tokens;
mod permissions;
mod processes;
mod promises;
#[path = "../support/servers/proxy.rs"]
mod proxy_server;
mod push_http;
mod redis;
mod redis_keys;
#[path = "../support/servers/registry.rs"]
mod registry_server;
#[path = "../support/servers/mod.rs"]
mod servers;
mod signals;
mod signatures;
mod starting;
mod test;
#[path = "../support/servers/tokens.rs"]
mod token_server;
mod top;
mod traces;
mod trust;
mod usage;
mod verify;
mod watch;
mod workers;
