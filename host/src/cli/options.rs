//! Arguments that several commands share, and their parsers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::BackendConfig;
use brrr_protocol::model::{CallHash, JobId, Topic, check_namespace, check_topic};
use brrr_protocol::ports::Backend;
use brrr_worker::gateway::{Origin, Token, TokenError};

use super::ExitError;
use crate::exit::Exit;
use crate::trust;
pub use crate::units::{duration, moment, size};

/// Where calls are queued and stored.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Where calls are queued and stored")]
pub struct BackendArgs {
    /// The backend for everything: `sqlite:PATH`, `redis://HOST`, or `memory:` (only this process can use it). Put a
    /// password into the environment: `redis:` alone takes the URL from REDIS_URL. Not given: `sqlite:.brrr/state.db`.
    #[arg(long, env = "BRRR_BACKEND", hide_env_values = true, value_name = "URL")]
    backend: Option<String>,

    /// The backend of the messages, if it is another one: as above, or `sqs://PREFIX`.
    #[arg(long, env = "BRRR_QUEUE", hide_env_values = true, value_name = "URL")]
    queue: Option<String>,

    /// The backend of the records, if it is another one: as above, or `dynamodb://TABLE` (`dynamodb:` alone takes the
    /// table from DYNAMODB_TABLE_NAME, or uses `brrr`).
    #[arg(long, env = "BRRR_STORE", hide_env_values = true, value_name = "URL")]
    store: Option<String>,

    /// The backend of the counters. Not given: the backend of the messages, or, if that can't count, the backend of the
    /// records.
    #[arg(long, env = "BRRR_COUNTERS", hide_env_values = true, value_name = "URL")]
    counters: Option<String>,

    /// Separates fleets that share a server. Workers of other brrr SDKs use no namespace.
    #[arg(long, env = "BRRR_NAMESPACE", default_value = "", value_name = "NAME", value_parser = namespace)]
    namespace: String,
}

impl BackendArgs {
    /// Is the fleet separated from others, and so from workers of other brrr SDKs?
    pub fn has_namespace(&self) -> bool {
        !self.namespace.is_empty()
    }

    /// The configuration that the arguments describe. `lease` replaces the backend's own lease if given.
    pub fn config(&self, lease: Option<Duration>) -> BackendConfig {
        for url in [&self.backend, &self.queue, &self.store, &self.counters].into_iter().flatten() {
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
            counters: self.counters.clone(),
            namespace: self.namespace.clone(),
            lease,
            must_exist: false,
        }
    }

    /// Opens a backend that this process shares with workers elsewhere.
    ///
    /// # Errors
    /// When the backend can't be opened, or only this process could use it: no worker would ever answer.
    pub async fn open_shared(&self) -> anyhow::Result<Arc<dyn Backend>> {
        self.open_for_others(false).await
    }

    /// As `open_shared`, for a command that has nothing to do when the backend does not exist yet. Creates no file and
    /// no folder.
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
            return Err(ExitError::new(Exit::BadBackend, text).into());
        }
        self.check_folder()?;
        Ok(config.open().await?)
    }

    /// Opens the backend. `lease` replaces the backend's own lease if given.
    ///
    /// # Errors
    /// When it can't be opened, or when it is in this folder's `.brrr` and `.brrr` does not belong to this user.
    pub async fn open(&self, lease: Option<Duration>) -> anyhow::Result<Arc<dyn Backend>> {
        self.check_folder()?;
        Ok(self.config(lease).open().await?)
    }

    /// Refuses a backend in this folder's `.brrr` if `.brrr` does not belong to this user.
    fn check_folder(&self) -> anyhow::Result<()> {
        let named = [&self.backend, &self.queue, &self.store].into_iter().flatten();
        if named.clone().count() == 0 || named.clone().any(|url| url == "sqlite:") {
            trust::check_own_folder(Path::new(""))
                .map_err(|error| ExitError::new(Exit::BadBackend, format!("{}: {error}", trust::OWN_FOLDER)))?;
        }
        Ok(())
    }
}

fn namespace(text: &str) -> Result<String, String> {
    check_namespace(text).map(|()| text.to_owned())
}

/// The topic of the tasks.
#[derive(Debug, clap::Args)]
pub struct TopicArgs {
    /// The topic: the queue of the tasks.
    #[arg(long, env = "BRRR_TOPIC", value_name = "TOPIC", value_parser = topic)]
    pub topic: Topic,
}

/// Parses the name of a topic.
pub fn topic(text: &str) -> Result<Topic, String> {
    check_topic(text).map(|()| text.into())
}

/// Who may use the gateway.
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    /// Answer only requests with the header `authorization: Bearer TOKEN`. This file contains the token. (The variable
    /// BRRR_HTTP_TOKEN can contain it instead. Other users can read a command line, so there is no flag for the token
    /// itself.)
    #[arg(long, env = "BRRR_HTTP_TOKEN_FILE", value_name = "FILE")]
    http_token_file: Option<PathBuf>,

    /// Let clients with this token upload components and push revisions. This file contains the token; the variable
    /// BRRR_PUSH_TOKEN can contain it instead. Such a client may do all that other clients may. Not given: nobody can push
    /// through the gateway.
    #[arg(long, env = "BRRR_PUSH_TOKEN_FILE", value_name = "FILE")]
    push_token_file: Option<PathBuf>,

    /// Let web pages of this origin use the gateway, for example `https://shop.example`. May be given several times.
    #[arg(long, env = "BRRR_HTTP_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub http_allow_origin: Vec<Origin>,
}

impl TokenArgs {
    /// The token that clients must send, and the one of clients that push code.
    ///
    /// # Errors
    /// When there is a token that can't be used.
    pub fn find(&self) -> anyhow::Result<(Option<Token>, Option<Token>)> {
        let unfit = |error: TokenError| ExitError::new(Exit::Usage, error.to_string());
        let token = Token::find(self.http_token_file.as_deref()).map_err(unfit)?;
        let push = Token::find_push(self.push_token_file.as_deref(), token.as_ref()).map_err(unfit)?;
        Ok((token, push))
    }
}

/// Parses the hash of a call.
pub fn call_hash(text: &str) -> Result<CallHash, String> {
    if text.is_empty() { Err("a call hash is not empty".to_owned()) } else { Ok(text.into()) }
}

/// Parses the id of a job.
pub fn job_id(text: &str) -> Result<JobId, String> {
    if text.is_empty() { Err("a job's id is not empty".to_owned()) } else { Ok(text.into()) }
}

/// A new job's id, from 128 random bits.
///
/// # Errors
/// When the system provides no random bits.
pub fn new_job_id() -> anyhow::Result<JobId> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|e| ExitError::new(Exit::Fault, format!("no random bits for a job's id: {e}")))?;
    Ok(JobId::from_random(u128::from_be_bytes(bits)))
}
