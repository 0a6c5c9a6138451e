//! The seeds of the random numbers that a call sees. They are the same in every replay of an attempt.

use brrr_protocol::model::{CallHash, JobId};
use sha2::{Digest as _, Sha256};

/// The seed of one source of random numbers. `purpose` identifies the source within the call.
pub(crate) fn seed(purpose: &str, job_id: &JobId, call: &CallHash, attempt: u32) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [purpose, job_id.as_str(), call.as_str()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    // Another attempt gets other numbers.
    if attempt > 1 {
        digest.update(attempt.to_be_bytes());
    }
    digest.finalize().into()
}
