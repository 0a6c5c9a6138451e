//! The seeds of the random numbers that a call sees: the same in every replay of an attempt.

use brrr_protocol::model::{CallHash, Root};
use sha2::{Digest as _, Sha256};

/// The seed of one source of random numbers. `purpose` tells several sources of one call apart.
pub(crate) fn seed(purpose: &str, root: &Root, call: &CallHash, attempt: u32) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [purpose, root.as_str(), call.as_str()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    // Another attempt sees other numbers.
    if attempt > 1 {
        digest.update(attempt.to_be_bytes());
    }
    digest.finalize().into()
}
