//! Clock, sleep and random numbers, the same in every replay of a call.
//!
//! The host keeps them so: the clock begins at the call's first run and moves when the handler has waited. A handler marked
//! `leaf`, which is never replayed, gets the real ones.
//!
//! With a WASI target the standard library's do the same; these work on every target. A component imports what it uses
//! of them, no more.

use std::time::{Duration, SystemTime};

#[cfg(target_family = "wasm")]
use bindings::wasi::{clocks, random as wasi_random};

#[cfg(target_family = "wasm")]
#[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "brrr:system/system", generate_all });
}

/// The time.
#[cfg(target_family = "wasm")]
pub fn now() -> SystemTime {
    let now = clocks::wall_clock::now();
    SystemTime::UNIX_EPOCH + Duration::new(now.seconds, now.nanoseconds)
}

/// The time. In a native test, a sleep moves it in no time.
#[cfg(not(target_family = "wasm"))]
pub fn now() -> SystemTime {
    crate::testing::clock::now()
}

/// Lets this much time pass, in a function that is not `async`, where [`brrr::sleep`](crate::sleep()) can't be awaited. Nothing
/// else of the handler goes on meanwhile. It is as durable: while a handler that may call sleeps, it does not exist.
#[cfg(target_family = "wasm")]
pub fn sleep(duration: Duration) {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    clocks::monotonic_clock::subscribe_duration(nanoseconds).block();
}

/// Lets this much time pass. In a native test it takes none.
#[cfg(not(target_family = "wasm"))]
pub fn sleep(duration: Duration) {
    crate::testing::clock::pass(duration);
}

/// A random number.
#[cfg(target_family = "wasm")]
pub fn random() -> u64 {
    wasi_random::random::get_random_u64()
}

/// A random number.
#[cfg(not(target_family = "wasm"))]
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Natively for tests only: each RandomState has keys of its own.
    RandomState::new().build_hasher().finish()
}
