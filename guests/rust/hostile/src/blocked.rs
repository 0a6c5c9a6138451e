//! Waiting in the host for what does not come.

use std::time::Duration;

use brrr::Result;

/// In real time.
#[brrr::handler(leaf)]
pub fn sleep() {
    brrr::system::sleep(Duration::from_secs(1_000_000));
}

/// For a time that is farther away than time can tell.
#[brrr::handler(leaf)]
pub fn never_ready() {
    #[cfg(target_family = "wasm")]
    wasip2::clocks::monotonic_clock::subscribe_instant(u64::MAX).block();
}

/// For an answer.
#[brrr::handler]
pub async fn request(url: String) -> Result<u16> {
    Ok(brrr::http::get(&url).send().await?.status)
}

/// For a line; how many bytes came.
#[brrr::handler]
pub fn stdin() -> Result<usize> {
    let mut line = String::new();
    Ok(std::io::stdin().read_line(&mut line)?)
}

/// Timers, and no end of them.
#[brrr::handler(leaf)]
pub fn timers() {
    #[cfg(target_family = "wasm")]
    {
        let mut kept = Vec::new();
        loop {
            kept.push(wasip2::clocks::monotonic_clock::subscribe_duration(1_000_000_000_000));
        }
    }
}
