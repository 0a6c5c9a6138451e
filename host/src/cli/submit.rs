//! The code that `call` and `schedule` share: a call, the options of its job, and the submission to the backend.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{CallHash, JobId, Millis, system_now};
use brrr_protocol::options::{Backoff, Options, Scope};
use brrr_protocol::ports::Scheduled;
use brrr_protocol::starting::{BadStart, StartRequest, StartTime, Started, check_key};

use super::ExitError;
use super::encode::CallArgs;
use super::options::{BackendArgs, TopicArgs, duration, moment, new_job_id};
use super::output::say;
use crate::config::RetryBackoff;
use crate::exit::Exit;

/// How long a client retries after its first failure to reach the backend.
const PERSISTENCE: Duration = Duration::from_secs(5);

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// A call, and the options of the new job.
#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub call: CallArgs,

    #[command(flatten)]
    pub topic: TopicArgs,

    /// Run the call, and all calls that it leads to, again, even if their values are in the store. The same as
    /// `--scope job`.
    #[arg(long, conflicts_with = "scope")]
    pub fresh: bool,

    /// Start the job only once for this key, which is a text of yours (an order number, for example), however often it is
    /// asked for on this topic. Asked for again, the command shows the first job.
    #[arg(long, value_name = "KEY", value_parser = key)]
    pub id: Option<String>,

    /// Start the job after this time. Its `--timeout` counts from then.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "at")]
    pub delay: Option<Duration>,

    /// Start the job at this moment (RFC 3339).
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    pub at: Option<Millis>,

    #[command(flatten)]
    pub backend: BackendArgs,

    #[command(flatten)]
    conditions: ConditionArgs,

    /// As `--timeout`, but a moment (RFC 3339). If both are given, the earlier one holds.
    #[arg(long, value_name = "MOMENT", value_parser = moment, help_heading = "Of the job")]
    deadline: Option<Millis>,

    /// Who shares the outcomes of the job's calls for which nothing else says it: `fleet` (all jobs), `job` (this job and
    /// those that retry it), or a duration such as `1h` (all jobs, for so long).
    #[arg(long, env = "BRRR_JOB_SCOPE", hide_env = true, value_name = "SCOPE", value_parser = Scope::parse, help_heading = "Of the job")]
    scope: Option<Scope>,
}

/// Options of the whole job. The environment and `[job]` of brrr.toml can set them too.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Of the job")]
pub struct ConditionArgs {
    /// The longest time of the job. After it, the job ends as timed out, and its running handlers are stopped. Not
    /// given: no limit.
    #[arg(long, env = "BRRR_JOB_TIMEOUT", hide_env = true, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// The longest time of one run of any task in the job.
    #[arg(long, env = "BRRR_JOB_TASK_TIMEOUT", hide_env = true, value_name = "TIME", value_parser = duration)]
    task_timeout: Option<Duration>,

    /// How often a failed call is retried, if a retry can help.
    #[arg(long, env = "BRRR_JOB_MAX_RETRIES", hide_env = true, value_name = "N")]
    max_retries: Option<u32>,

    /// The pause before the first retry.
    #[arg(long, env = "BRRR_JOB_RETRY_DELAY", hide_env = true, value_name = "TIME", value_parser = duration)]
    retry_delay: Option<Duration>,

    /// How the pauses between retries grow.
    #[arg(long, env = "BRRR_JOB_RETRY_BACKOFF", hide_env = true, value_enum, value_name = "HOW")]
    retry_backoff: Option<RetryBackoff>,

    /// The longest pause before a retry.
    #[arg(long, env = "BRRR_JOB_MAX_RETRY_DELAY", hide_env = true, value_name = "TIME", value_parser = duration)]
    max_retry_delay: Option<Duration>,

    /// The most messages that the job may send. It replaces the limit of the workers.
    #[arg(long, env = "BRRR_JOB_MAX_MESSAGES", hide_env = true, value_name = "N")]
    max_messages: Option<NonZeroU32>,
}

/// A job that the backend has accepted.
pub struct Job {
    pub job_id: JobId,
    pub hash: CallHash,
    pub state: Accepted,
}

/// What became of a request to start a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// The job is new, and alive.
    Queued,
    /// The job is new, and over: the value of its call was there.
    Done,
    /// An earlier command with the same key has started the job.
    Existing,
}

impl Accepted {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Done => "done",
            Self::Existing => "existing",
        }
    }
}

impl From<Scheduled> for Accepted {
    fn from(scheduled: Scheduled) -> Self {
        if scheduled == Scheduled::AlreadyDone { Self::Done } else { Self::Queued }
    }
}

impl SubmitArgs {
    /// The job that the arguments ask for.
    ///
    /// # Errors
    /// When the payload can't be read, or the options contradict each other.
    pub fn request(&self) -> anyhow::Result<StartRequest> {
        let encoded = self.call.encode()?;
        let scope = self.fresh.then_some(Scope::Job).or(self.scope);
        let start = match (self.delay, self.at) {
            (Some(time), _) => StartTime::After(time),
            (None, Some(at)) => StartTime::At(at),
            (None, None) => StartTime::Now,
        };
        let JobOptions { timeout, max_messages, options } = self.conditions.parts();
        let request = StartRequest {
            key: self.id.clone(),
            start,
            timeout,
            deadline: self.deadline,
            max_messages,
            options: Options { scope, ..options },
            ..StartRequest::new(self.topic.topic.clone(), &self.call.task, encoded.payload, encoded.hash)
        };
        // Before a backend is opened. The backend's clock decides later. A job that the key has started already is shown, also
        // when its deadline has passed.
        if request.key.is_none() {
            request.job(new_job_id()?, system_now()).map_err(|bad| refused(&bad))?;
        }
        Ok(request)
    }

    /// Is it enough to read the value of the call, if it is there?
    pub fn is_answered_by_any_value(request: &StartRequest) -> bool {
        request.scope() == Scope::Fleet && request.key.is_none() && request.start == StartTime::Now
    }

    /// Starts the job. Its time begins now, by the backend's clock.
    ///
    /// # Errors
    /// When the deadline has passed by that clock, the key was used for another call, or the backend fails. After a failure of
    /// the backend it is unknown whether the job was accepted.
    pub async fn submit(&self, client: &Client, request: StartRequest) -> anyhow::Result<Job> {
        let new = new_job_id()?;
        let shown = request.key.as_ref().map_or_else(|| new.clone(), |key| JobId::of_key(&request.topic, key));
        match persist(&shown, || Box::pin(client.start(&request, new.clone()))).await? {
            Started::New { job_id, call, scheduled } => Ok(Job { job_id, hash: call, state: scheduled.into() }),
            Started::Existing { job_id, job } => Ok(Job { job_id, hash: job.call, state: Accepted::Existing }),
            Started::KeyReused(job_id) => {
                let text = format!(
                    "--id: this key has started job {job_id}, with another task or other arguments; choose another key \
                     (`brrr-host job {job_id}` shows the job)"
                );
                Err(ExitError::new(Exit::Refused, text).into())
            }
            Started::Bad(bad) => Err(refused(&bad).into()),
        }
    }
}

/// The options of jobs that begin at some time.
pub struct JobOptions {
    /// The longest time of a job.
    pub timeout: Option<Duration>,
    /// 0: the limit of the workers.
    pub max_messages: u64,
    pub options: Options,
}

impl ConditionArgs {
    /// The options of jobs that begin at some time.
    pub fn parts(&self) -> JobOptions {
        JobOptions {
            timeout: self.timeout,
            max_messages: self.max_messages.map_or(0, |n| n.get().into()),
            options: Options {
                timeout: self.task_timeout,
                max_retries: self.max_retries,
                retry_delay: self.retry_delay,
                max_retry_delay: self.max_retry_delay,
                backoff: self.retry_backoff.map(Backoff::from),
                ..Options::default()
            },
        }
    }
}

/// The error that names the flag.
fn refused(bad: &BadStart) -> ExitError {
    let flag = match bad {
        BadStart::Key(_) => "--id",
        BadStart::TooLate => "--delay, --at",
        BadStart::Deadline | BadStart::DeadlinePassed => "--deadline",
    };
    ExitError::new(Exit::Usage, format!("{flag}: {bad}"))
}

fn key(text: &str) -> std::result::Result<String, String> {
    check_key(text).map(|()| text.to_owned())
}

type Try<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Submits a job, and retries while the backend can't be reached. A second submission under the same job id changes
/// nothing.
///
/// # Errors
/// The last error, when the time for retries is over, or the first error of another kind.
pub async fn persist<'a, T>(job_id: &JobId, mut attempt: impl FnMut() -> Try<'a, T>) -> Result<T> {
    let mut until = None;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() => {
                let until = *until.get_or_insert_with(|| {
                    say(format_args!("{error}; trying again under the same job id, {job_id}"));
                    Instant::now() + PERSISTENCE
                });
                if Instant::now() >= until {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
            result => return result,
        }
    }
}
