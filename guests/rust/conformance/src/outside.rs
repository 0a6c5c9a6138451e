//! The world outside: clock, sleep and random numbers, replayed or real, and what a component may not reach.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, net};

use brrr::system::{now, random as random_bits};
use brrr::{Result, sleep};
use serde::{Deserialize, Serialize};

use crate::graph::leaf;

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A whole number that JavaScript can hold too.
pub fn number() -> u64 {
    random_bits() >> 11
}

/// The time, and the same after a replay: a clock that had moved would ask for another child.
#[brrr::handler]
pub async fn clock() -> Result<(u64, u64)> {
    let time = milliseconds(now());
    Ok((time, leaf(time).await?))
}

/// A random number, the same after a replay, and another one.
#[brrr::handler]
pub async fn random() -> Result<(u64, u64, u64)> {
    let drawn = number();
    Ok((drawn, leaf(drawn).await?, number()))
}

/// Sleeps, then says how far the clock moved. Not a leaf, so it does not exist meanwhile.
#[brrr::handler]
pub async fn sleeps(ms: u64) -> Result<u64> {
    let before = now();
    sleep(Duration::from_millis(ms)).await;
    let moved = now().duration_since(before).map_or(0, |moved| moved.as_millis() as u64);
    Ok(leaf(moved).await?)
}

#[derive(Serialize, Deserialize)]
pub struct Real {
    before: u64,
    after: u64,
    random: u64,
}

/// A leaf's clock, sleep and random numbers.
#[brrr::handler(leaf)]
pub async fn real(ms: u64) -> Real {
    let before = milliseconds(now());
    sleep(Duration::from_millis(ms)).await;
    Real { before, after: milliseconds(now()), random: number() }
}

/// How far it got.
#[derive(Serialize, Deserialize)]
pub struct Tried {
    network: String,
    files: String,
    environment: Vec<String>,
}

/// Tries to reach out of its component.
#[brrr::handler]
pub fn forbidden(port: u16, path: String) -> Tried {
    let said = |tried: io::Result<()>| tried.map_or_else(|why| format!("refused: {why}"), |()| "got it".into());
    let files = fs::read(&path).map(drop).or_else(|_| fs::write(format!("{path}.new"), "x"));
    // By name: where there is no WASI, the list of all of them panics.
    let names = ["PATH", "HOME", "USER", "PWD", "LANG", "CARGO_MANIFEST_DIR"];
    Tried {
        network: said(net::TcpStream::connect(("127.0.0.1", port)).map(drop)),
        files: said(files),
        environment: names.into_iter().filter(|name| env::var_os(name).is_some()).map(str::to_owned).collect(),
    }
}
