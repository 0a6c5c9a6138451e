//! Arguments that several commands share, and how they are read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::model::{CallHash, Root, Topic};
use brrr_protocol::ports::Backend;

use super::Told;
use crate::config::{Config, ConfigError};
use crate::exit::Exit;
pub use crate::units::{duration, moment, size};

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

/// The settings of the project.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// The project's settings; `brrr.toml` of this folder unless given, if there is one.
    #[arg(long, env = "BRRR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// # Errors
    /// When the file named is not there, or what is there can't be read or understood.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref())
    }
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
