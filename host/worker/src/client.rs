//! Starts jobs and reads their results, from the worker's process or from another process.

use std::sync::Arc;
use std::time::Duration;

use brrr_backends::BackendConfig;
use brrr_protocol::Error;
use brrr_protocol::client::{Answered, Cancelled, Client as ProtocolClient};
use brrr_protocol::codec;
use brrr_protocol::model::{CallHash, Failure, JobId, Outcome, check_name, check_topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::Backend;
use brrr_protocol::starting::{StartRequest, Started};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::new_call::{new_job_id, with_arguments};

pub use brrr_protocol::starting::StartTime;

/// A client of one backend.
///
/// ```no_run
/// use brrr_worker::Client;
/// use serde_json::json;
///
/// # async fn example() -> Result<(), brrr_worker::ClientError> {
/// let client = Client::connect("sqlite:app.db").await?;
/// let job = client.start("demo", "double", json!({"n": 21})).await?;
/// let doubled: u64 = job.result().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    backend: Arc<dyn Backend>,
}

/// Why a client got no value.
///
/// ```no_run
/// use brrr_worker::{ClientError, Job};
///
/// # async fn example(job: Job) -> Result<(), ClientError> {
/// match job.result::<u64>().await {
///     Ok(value) => println!("the value is {value}"),
///     Err(ClientError::Failed(failure)) => println!("failed after {} attempts: {failure}", failure.attempts),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The call failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The backend can't be opened, or one of its operations failed.
    #[error(transparent)]
    Backend(#[from] Error),
    /// The key has started this job before, with another task or other arguments.
    #[error("the key has started job {0}, with another task or other arguments")]
    KeyReused(String),
    /// The arguments, a name or the value are not valid.
    #[error("{0}")]
    Unfit(String),
}

/// The options of a job. `default()` sets none.
#[derive(Clone, Debug, Default)]
pub struct JobOptions {
    /// With a key, the job is started once, however often it is asked for. The key counts within its topic.
    pub key: Option<String>,
    /// When the job starts.
    pub start: StartTime,
    /// The longest time of the job, from its start. After it the job ends in any case.
    pub timeout: Option<Duration>,
    /// The most messages that the job may send. `None`: the limit of the workers.
    pub max_messages: Option<u64>,
    /// Options of the job's calls. They override the options of the tasks.
    pub calls: Options,
}

impl Client {
    /// A client of a backend that is open already.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend }
    }

    /// Opens a backend: `sqlite:app.db`, `redis://HOST`, …
    ///
    /// # Errors
    /// When it can't be opened.
    pub async fn connect(url: impl Into<String>) -> Result<Self, ClientError> {
        Ok(Self::new(BackendConfig::at(url).open().await?))
    }

    /// Starts a job: a call of a task, with named arguments. The job is durable when this method returns.
    ///
    /// # Errors
    /// When the arguments have no names, or the backend fails. After a failure it is unknown whether the job was
    /// started.
    pub async fn start(
        &self,
        topic: impl Into<String>,
        task: impl Into<String>,
        arguments: impl Serialize,
    ) -> Result<Job, ClientError> {
        self.start_with(topic, task, arguments, JobOptions::default()).await
    }

    /// As `start`, with options.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brrr_worker::{Client, JobOptions};
    /// use serde_json::json;
    ///
    /// # async fn example(client: Client) -> Result<(), brrr_worker::ClientError> {
    /// let options = JobOptions { timeout: Some(Duration::from_secs(60)), ..JobOptions::default() };
    /// let job = client.start_with("demo", "double", json!({"n": 21}), options).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_with(
        &self,
        topic: impl Into<String>,
        task: impl Into<String>,
        arguments: impl Serialize,
        options: JobOptions,
    ) -> Result<Job, ClientError> {
        let (topic, task) = (topic.into(), task.into());
        check_topic(&topic).and(check_name("the task's name", &task)).map_err(ClientError::Unfit)?;
        let (payload, hash) = with_arguments(&task, &arguments).map_err(ClientError::Unfit)?;
        let request = StartRequest {
            key: options.key,
            start: options.start,
            timeout: options.timeout,
            max_messages: options.max_messages.unwrap_or(0),
            options: options.calls,
            ..StartRequest::new(topic.into(), task, payload, hash)
        };
        let client = ProtocolClient::new(self.backend.clone());
        let request = client.with_task_scope(request).await?;
        let (job_id, hash) = match client.start(&request, new_job_id()?).await? {
            Started::New { job_id, call, .. } => (job_id, call),
            Started::Existing { job_id, job } => (job_id, job.call),
            Started::KeyReused(job_id) => return Err(ClientError::KeyReused(job_id.to_string())),
            Started::Bad(bad) => return Err(ClientError::Unfit(bad.to_string())),
        };
        Ok(Job { client, job_id, hash })
    }
}

/// A job that was started.
#[derive(Clone)]
pub struct Job {
    client: ProtocolClient,
    job_id: JobId,
    hash: CallHash,
}

impl Job {
    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.job_id.as_str()
    }

    /// Waits until the job has ended, and returns the value of its call.
    ///
    /// # Errors
    /// When the call failed, its value is not JSON of this type, or the backend fails.
    pub async fn result<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let value = self.raw_result().await?;
        serde_json::from_slice(codec::json(&value))
            .map_err(|error| ClientError::Unfit(format!("the value does not fit: {error}")))
    }

    /// As `result`, but returns the value's bytes.
    ///
    /// # Errors
    /// When the call failed, or the backend fails.
    pub async fn raw_result(&self) -> Result<Bytes, ClientError> {
        Ok(self.outcome().await??)
    }

    /// As `result`, but returns the value's bytes, or the failure.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn outcome(&self) -> Result<Outcome, ClientError> {
        Ok(self.client.wait(&self.job_id, &self.hash, || self.client.now()).await?)
    }

    /// Gives a promise of the job its value. Returns false if the promise has another answer, or if the job is over.
    ///
    /// # Errors
    /// When the value is no JSON, or the backend fails.
    pub async fn resolve(&self, promise: &str, value: impl Serialize) -> Result<bool, ClientError> {
        let unfit = |error: &dyn std::fmt::Display| ClientError::Unfit(format!("the value is no JSON: {error}"));
        codec::unfit::check(&value).map_err(|error| unfit(&error))?;
        let value = Bytes::from(serde_json::to_vec(&value).map_err(|error| unfit(&error))?);
        let answered = self.client.resolve(&self.job_id, promise, value, self.client.now()).await?;
        Ok(matches!(answered, Answered::Done | Answered::Same))
    }

    /// Rejects a promise of the job. Returns false if the promise has another answer, or if the job is over.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn reject(&self, promise: &str, reason: &str) -> Result<bool, ClientError> {
        let answered = self.client.reject(&self.job_id, promise, reason, self.client.now()).await?;
        Ok(matches!(answered, Answered::Done | Answered::Same))
    }

    /// Ends the job. Returns whether it was still alive.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn cancel(&self) -> Result<bool, ClientError> {
        Ok(self.client.cancel(&self.job_id, self.client.now()).await? == Cancelled::Done)
    }
}
