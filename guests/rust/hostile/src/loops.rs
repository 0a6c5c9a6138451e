//! Loops without end: in the guest alone, and through each door of the host.

use std::hint::black_box;
use std::time::Duration;

use brrr::system::{now, random};
use brrr::{Call, Result, first, sleep, timeout};

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

/// A durable sleep is as short as can be, and another one follows.
#[brrr::handler]
pub async fn spin_on_sleeps() -> u64 {
    loop {
        sleep(Duration::from_millis(1)).await;
    }
}

/// Each limit is far away, and its call is there at once: each leaves a timer behind.
#[brrr::handler]
pub async fn timers_left_behind(n: u64) -> Result<usize> {
    let mut sum = 0;
    for n in 0..n {
        sum += timeout(Duration::from_secs(3600), quiet(n)).await??.len();
    }
    Ok(sum)
}
