//! The version of Rust handlers: a digest of the program that they are part of.
//!
//! A replay that asks for other calls than the run before is a mistake of the handler if both had the same version. A new version may
//! ask for other calls.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, OnceLock};

use brrr_protocol::model::hex;
use sha2::{Digest as _, Sha256};

/// The digest of the running program. Read once, and in full.
pub(crate) async fn of_program() -> Arc<str> {
    static KNOWN: OnceLock<Arc<str>> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return known.clone();
    }
    // Without a digest, every version counts as the same one.
    let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
    let digest = read.unwrap_or_else(|error| {
        tracing::warn!("the program can't be read ({error}): its Rust handlers count as unchanged");
        "rust".to_owned()
    });
    KNOWN.get_or_init(|| digest.into()).clone()
}

fn read() -> io::Result<String> {
    let mut program = File::open(std::env::current_exe()?)?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match program.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            length => digest.update(&piece[..length]),
        }
    }
}
