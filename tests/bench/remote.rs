//! Trees and fan-outs on local servers, and the number of requests to these servers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use brrr_backends::BackendConfig;
use brrr_protocol::ports::Backend;

use crate::guest;
use crate::proxy::Proxy;
use crate::servers::redis::Flavour;
use crate::servers::{Server, dynamodb};
use crate::trees::{FAN, FIB, measure};

/// Runs of each figure.
const RUNS: usize = 5;

/// Runs of each figure where a run takes ten times as long.
const FEW: usize = 3;

/// The argument with which this program runs itself, with the environment of AWS.
pub const MEASURED: &str = "measured";

/// The name of the peers' table.
pub const TABLE: &str = "brrr";

/// Opens the backend in a new namespace each time, so that no earlier run has left values.
pub async fn open(config: BackendConfig) -> std::sync::Arc<dyn Backend> {
    let namespace = format!("{:016x}", fastrand::u64(..));
    BackendConfig { namespace, ..config }.open().await.expect("a backend")
}

pub fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// Redis alone.
pub async fn redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    for job in [FIB, FAN] {
        ask(&server, "CONFIG RESETSTAT");
        let calls = job.calls * RUNS as u64;
        measure(guest(), "redis", &[job], RUNS, async || open(BackendConfig::at(url(&server))).await).await;
        print_commands(&server, calls);
    }
}

/// The answer to an inline command.
fn ask(server: &Server, command: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("the server");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("a command");
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).expect("an answer");
    let length = first.strip_prefix('$').and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let mut text = vec![0; length];
    reader.read_exact(&mut text).expect("an answer");
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints the server's own counts. They include the commands in scripts, which need no round trip of their own.
fn print_commands(server: &Server, calls: u64) {
    let stats = ask(server, "INFO commandstats");
    let mut counts: Vec<(&str, u64)> = stats
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name, rest.split(',').next()?.parse().ok()?))
        })
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let per_call = |count: u64| count as f64 / calls as f64;
    let trips = counts.iter().filter(|(name, _)| matches!(*name, "evalsha" | "blmove")).map(|(_, count)| count).sum();
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    let most: Vec<String> = counts.iter().take(8).map(|(name, n)| format!("{name} {:.2}", per_call(*n))).collect();
    println!("  a call: {:.2} round trips (scripts and waiting), {:.1} commands", per_call(trips), per_call(all));
    println!("  {}", most.join(", "));
}

/// Messages and counters in Redis, records in DynamoDB Local. The fleets of the existing workers use this backend.
pub fn redis_dynamodb() {
    let (Some(redis), Some(records)) = (Flavour::Redis.start(None, &[]), dynamodb::start()) else { return };
    run_self(&redis, records.port, FEW);
    // Once more, through a proxy that counts requests. The proxy costs time.
    let proxy = Proxy::start(records.port);
    println!("  the same once, counted on the way to DynamoDB:");
    run_self(&redis, proxy.port, 1);
    let (counts, items) = (proxy.take_counts(), proxy.take_items());
    let calls = (FIB.calls + FAN.calls) as f64;
    let total: u64 = counts.values().sum();
    let each: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {:.2}", *n as f64 / calls)).collect();
    println!("  a call: {:.2} requests, {:.1} items: {}", total as f64 / calls, items as f64 / calls, each.join(", "));
}

fn run_self(redis: &Server, dynamodb: u16, runs: usize) {
    run_with(&[MEASURED, &url(redis), &runs.to_string()], dynamodb);
}

/// Runs this program with a section that needs Redis and DynamoDB Local.
pub fn run_self_on_dynamodb(section: &str, redis: &Server) {
    let Some(records) = dynamodb::start() else { return };
    run_with(&[section, &url(redis)], records.port);
}

fn run_with(arguments: &[&str], dynamodb: u16) {
    let status = Command::new(std::env::current_exe().expect("this program"))
        .args(arguments)
        .env("AWS_ENDPOINT_URL_DYNAMODB", format!("http://127.0.0.1:{dynamodb}"))
        // A local server accepts any credentials.
        .envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local")])
        .status();
    assert!(status.expect("this program").success());
}

/// The part of `redis_dynamodb` that runs in a separate process.
pub async fn measured(redis: &str, runs: usize) {
    let store = Some(format!("dynamodb:{TABLE}"));
    let config = BackendConfig { queue: Some(redis.to_owned()), store, ..BackendConfig::default() };
    config.open().await.expect("a backend").store().create().await.expect("a table");
    measure(guest(), "redis + dynamodb", &[FIB, FAN], runs, async || open(config.clone()).await).await;
}
