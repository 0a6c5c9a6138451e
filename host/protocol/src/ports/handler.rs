//! `Handler`: runs calls.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::model::{CallHash, Failure, JobId, Millis, Topic};
use crate::options::{Options, Scopes};
use crate::replay::Replay;

/// One call that a handler is to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The name of the task to run.
    pub task: String,
    /// The call's arguments, as the codec of the caller encoded them.
    pub payload: Bytes,
    /// The call hash, which identifies the call.
    pub call: CallHash,
    /// The job that the call is run for.
    pub job_id: JobId,
    /// The topic that the call's message came from. A child goes to this topic too, unless the run names another one.
    pub topic: Topic,
    /// The number of the attempt, from 1. A replay has the same number as the run before it.
    pub attempt: u32,
    /// The time by which the job must have ended, in milliseconds since the Unix epoch. 0: no deadline.
    pub deadline: Millis,
    /// How long the run may take. `None`: the handler decides.
    pub timeout: Option<Duration>,
    /// Bytes of memory that the run may use. `None`: the handler decides.
    pub memory: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The handler has returned this value, encoded by its codec.
    Completed(Bytes),
    /// `Replay::poll` has answered `Suspended`. The replay knows which outcomes are missing.
    Suspended,
    /// The handler has failed. A failure that may pass (`retryable`) is tried again as the call's options say.
    Failed {
        /// Why the run failed.
        failure: Failure,
        /// True if another attempt may succeed.
        retryable: bool,
    },
}

/// A task that a handler handles.
#[derive(Debug, Default)]
pub struct Task {
    /// The SHA-256 digest of the component that handles the task.
    pub digest: String,
    /// The options that the component and its worker set for the task.
    pub options: Options,
}

impl Task {
    /// A task with the digest of its component, and the options that are set for the task.
    #[must_use]
    pub fn new(digest: impl Into<String>, options: Options) -> Self {
        Self { digest: digest.into(), options }
    }
}

/// Which handler runs a call of a job.
#[derive(Clone)]
pub enum JobHandler {
    /// The handler that was asked.
    This,
    /// Another one: the job has code of its own.
    Other(Arc<dyn Handler>),
    /// The code of the job is not loaded here. The message is given back, and delivered again after this time.
    NotHere(Duration),
    /// The code of the call can't be run, for this reason. The call fails.
    Never(String),
    /// The job is younger than what the handler knows. It must `refresh`, and then be asked again.
    TooYoung,
}

/// Runs calls. Dropping the future of `run` stops the run.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The handler of a call of this task in this job. `created` is when the job was created, in milliseconds since the Unix epoch; `None` if no
    /// record says it.
    fn of_call(&self, task: &str, job_id: &JobId, created: Option<Millis>) -> JobHandler {
        let _ = (task, job_id, created);
        JobHandler::This
    }

    /// Reads anew what decides which handler runs a job.
    async fn refresh(&self) -> Result<()> {
        Ok(())
    }

    /// The task of this name. `None`: this handler does not handle it.
    fn task(&self, task: &str) -> Option<Arc<Task>>;

    /// The scopes of those tasks that have one. They are part of the identity of the calls that the handler's runs make.
    fn scopes(&self) -> Arc<Scopes> {
        Arc::default()
    }

    /// Runs the call from its beginning. An `Err` means that something outside the call failed, for example that the backend
    /// can't be read. It does not mean that the call failed.
    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)>;
}
