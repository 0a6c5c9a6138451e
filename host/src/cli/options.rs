//! Arguments that several commands share, and how they are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::BackendConfig;
use brrr_protocol::model::{CallHash, Root, Topic, check_namespace, check_topic};
use brrr_protocol::ports::Backend;
use brrr_worker::gateway::Token;

use super::Told;
use crate::exit::Exit;
use crate::trust;
pub use crate::units::{duration, moment, size};

/// Where calls are queued and stored.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where calls are queued and stored")]
pub struct BackendArgs {
    /// All of it: `sqlite:PATH`, `redis://HOST`, or `memory:` (of this process alone). A password belongs into the
    /// environment: `redis:` alone is what REDIS_URL says. `sqlite:.brrr/state.db` unless given.
    #[arg(long, env = "BRRR_BACKEND", hide_env_values = true, value_name = "URL")]
    backend: Option<String>,

    /// The messages, if they are elsewhere: as above, or `sqs://PREFIX`.
    #[arg(long, env = "BRRR_QUEUE", hide_env_values = true, value_name = "URL")]
    queue: Option<String>,

    /// The records, if they are elsewhere: as above, or `dynamodb://TABLE` (`dynamodb:` alone is what
    /// DYNAMODB_TABLE_NAME says, or `brrr`).
    #[arg(long, env = "BRRR_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,

    /// The counters, if they are not with the messages (or, where those can't count, with the records).
    #[arg(long, env = "BRRR_CACHE", hide_env_values = true, value_name = "URL")]
    cache: Option<String>,

    /// Keeps fleets apart that share a server. Workers of brrr's own SDKs know none.
    #[arg(long, env = "BRRR_NAMESPACE", default_value = "", value_name = "NAME", value_parser = namespace)]
    namespace: String,
}

impl BackendArgs {
    /// What was named, with leases of another length if given.
    pub fn config(&self, lease: Option<Duration>) -> BackendConfig {
        for url in [&self.backend, &self.queue, &self.store, &self.cache].into_iter().flatten() {
            if url.contains('@') && std::env::args().any(|arg| arg.contains(url.as_str())) {
                tracing::warn!(
                    "every user of this machine can read the password on the command line; give it by REDIS_URL (with \
                     `redis:` here) or BRRR_BACKEND"
                );
            }
        }
        BackendConfig {
            backend: self.backend.clone(),
            queue: self.queue.clone(),
            store: self.store.clone(),
            cache: self.cache.clone(),
            namespace: self.namespace.clone(),
            lease,
            must_exist: false,
        }
    }

    /// Opens a backend that this process shares with workers elsewhere.
    ///
    /// # Errors
    /// When the backend can't be opened, or is of this process alone: nobody would ever answer.
    pub async fn open_shared(&self) -> anyhow::Result<Arc<dyn Backend>> {
        self.open_for_others(false).await
    }

    /// As `open_shared`, for what has nothing to do where nothing is: makes neither a file nor a folder.
    ///
    /// # Errors
    /// As `open_shared`; `NotSetUp` when the file is missing.
    pub async fn open_existing(&self) -> anyhow::Result<Arc<dyn Backend>> {
        self.open_for_others(true).await
    }

    async fn open_for_others(&self, must_exist: bool) -> anyhow::Result<Arc<dyn Backend>> {
        let config = BackendConfig { must_exist, ..self.config(None) };
        if config.is_of_one_process() {
            let text = "`memory:` is of one process alone: no worker would see this; use sqlite:PATH, or `run --http`";
            return Err(Told::new(Exit::BadBackend, text).into());
        }
        self.check_folder()?;
        Ok(config.open().await?)
    }

    /// Opens the backend, with leases of another length if given.
    ///
    /// # Errors
    /// When it can't be opened, or is in this folder's `.brrr` and that is not this user's.
    pub async fn open(&self, lease: Option<Duration>) -> anyhow::Result<Arc<dyn Backend>> {
        self.check_folder()?;
        Ok(self.config(lease).open().await?)
    }

    /// Refuses this folder's `.brrr`, where the backend is in it, if it is not this user's.
    fn check_folder(&self) -> anyhow::Result<()> {
        let named = [&self.backend, &self.queue, &self.store].into_iter().flatten();
        if named.clone().count() == 0 || named.clone().any(|url| url == "sqlite:") {
            trust::check_own_folder(Path::new(""))
                .map_err(|error| Told::new(Exit::BadBackend, format!("{}: {error}", trust::OWN_FOLDER)))?;
        }
        Ok(())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    check_namespace(text).map(|()| text.to_owned())
}

/// The queue of the tasks.
#[derive(Debug, clap::Args)]
pub struct TopicArgs {
    /// The queue that the tasks are on.
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    pub topic: Topic,
}

/// A topic by its name.
pub fn topic(text: &str) -> Result<Topic, String> {
    check_topic(text).map(|()| text.into())
}

/// Who may use the gateway.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// Answer only requests with the header `authorization: Bearer TOKEN`, of the token in this file. (Or in the variable
    /// BRRR_HTTP_TOKEN; a command line can be read by others.)
    #[arg(long, env = "BRRR_HTTP_TOKEN_FILE", value_name = "FILE")]
    http_token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// # Errors
    /// When there is one that can't be used.
    pub fn find(&self) -> anyhow::Result<Option<Token>> {
        Token::find(self.http_token_file.as_deref()).map_err(|error| Told::new(Exit::Usage, error.to_string()).into())
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
