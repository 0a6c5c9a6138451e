//! Arguments that several commands share, and how they are read.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{CallHash, Root, Topic};
use brrr_protocol::ports::Backend;
use bytesize::ByteSize;

use super::Told;
use crate::exit::Exit;

/// Where calls are queued and stored.
#[derive(Debug, clap::Args)]
pub struct BackendArgs {
    /// Where calls are queued and stored: `sqlite:PATH`, or `memory:` (of this process alone).
    #[arg(long, env = "BRRR_BACKEND", default_value = "sqlite:.brrr/state.db", value_name = "URL")]
    backend: String,
}

impl BackendArgs {
    /// # Errors
    /// When the backend can't be opened.
    pub fn open(&self) -> brrr_protocol::Result<Arc<dyn Backend>> {
        brrr_backends::open(&self.backend)
    }

    /// Opens it with leases of another length.
    ///
    /// # Errors
    /// When the backend can't be opened, or not so.
    pub fn open_with_lease(&self, lease: Option<Duration>) -> brrr_protocol::Result<Arc<dyn Backend>> {
        let Some(lease) = lease else { return self.open() };
        let separator = if self.backend.contains('?') { '&' } else { '?' };
        brrr_backends::open(&format!("{}{separator}lease={}ms", self.backend, lease.as_millis()))
    }

    /// Opens a backend that this process shares with workers elsewhere.
    ///
    /// # Errors
    /// When the backend can't be opened, or is of this process alone: nobody would ever answer.
    pub fn open_shared(&self) -> anyhow::Result<Arc<dyn Backend>> {
        if self.backend.starts_with("memory:") {
            let text = "`memory:` is of one process alone: no worker would see this; use sqlite:PATH, or `run --http`";
            return Err(Told::new(Exit::BadBackend, text).into());
        }
        Ok(self.open()?)
    }
}

/// The queue of the tasks.
#[derive(Debug, clap::Args)]
pub struct TopicArgs {
    /// The queue that the tasks are on.
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    pub topic: Topic,
}

fn topic(text: &str) -> Result<Topic, String> {
    if text.is_empty() { Err("a topic has a name".to_owned()) } else { Ok(text.into()) }
}

/// `5m`, `30s`, `250ms`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 30s, 5m or 1h"))
}

/// `256MiB`, `1GB`, `65536`.
pub fn size(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "not a size; write it as 16MiB, 1GiB or 65536".to_owned())?;
    if size.as_u64() == 0 { Err("must be more than 0".to_owned()) } else { Ok(size.as_u64()) }
}

/// A call by its hash.
pub fn call_hash(text: &str) -> Result<CallHash, String> {
    if text.is_empty() { Err("a call hash is not empty".to_owned()) } else { Ok(text.into()) }
}

/// A job by its id.
pub fn root(text: &str) -> Result<Root, String> {
    if text.is_empty() { Err("a job's id is not empty".to_owned()) } else { Ok(text.into()) }
}

/// A new job's id, from 128 random bits.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_root() -> anyhow::Result<Root> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|e| Told::new(Exit::Fault, format!("no random bits for a job's id: {e}")))?;
    Ok(Root::from_random(u128::from_be_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("65536"), Ok(65536));
        assert!(size("0").is_err() && size("many").is_err());
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("5").unwrap_err().contains("30s"));
    }
}
