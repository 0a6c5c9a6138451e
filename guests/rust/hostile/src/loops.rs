//! Loops without end: in the guest alone, and through each door of the host.

use std::hint::black_box;

use brrr::system::{now, random};
use brrr::{Call, Result, first};

#[brrr::handler]
pub fn spin() -> u64 {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

#[brrr::handler]
pub fn spin_on_the_clock() -> u64 {
    loop {
        black_box(now());
    }
}

#[brrr::handler]
pub fn spin_on_random() -> u64 {
    loop {
        black_box(random());
    }
}

fn quiet(n: u64) -> Call<Vec<u8>> {
    Call::raw_named("quiet", n.to_string().into_bytes())
}

/// Asks for one and the same call, again and again.
#[brrr::handler]
pub async fn spin_on_one_call() -> Result<u64> {
    loop {
        quiet(1).await?;
    }
}

/// Each race is a decision that the host has to remember.
#[brrr::handler]
pub async fn spin_on_races() -> Result<u64> {
    brrr::try_join_all((0..100).map(quiet)).await?;
    loop {
        first((0..100).map(quiet)).await.1?;
    }
}
