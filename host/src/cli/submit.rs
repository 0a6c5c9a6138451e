//! The code that `call` and `schedule` share: a call, the options of its job, and the submission to the backend.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, JobId, Millis, system_now};
use brrr_protocol::options::{Backoff, Options, Scope};
use brrr_protocol::ports::{NewJob, Scheduled};

use super::ExitError;
use super::encode::{CallArgs, Encoded};
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

/// The options of the whole job.
#[derive(Debug, Default, PartialEq)]
struct Conditions {
    /// 0: no deadline.
    deadline: Millis,
    /// 0: the limit of the workers.
    max_messages: u64,
    options: Options,
}

/// A call with its options. They were checked before anything was written.
pub struct Request {
    pub encoded: Encoded,
}

/// A job that the backend has accepted.
pub struct Job {
    pub job_id: JobId,
    pub hash: CallHash,
    pub scheduled: Scheduled,
}

impl SubmitArgs {
    /// # Errors
    /// When the payload can't be read, or the options contradict each other.
    pub fn request(&self) -> anyhow::Result<Request> {
        self.conditions_at(system_now())?;
        Ok(Request { encoded: self.call.encode()? })
    }

    /// Do all jobs share the outcome of the call?
    pub fn is_shared_by_all(&self) -> bool {
        !self.fresh && self.scope.unwrap_or_default() == Scope::Fleet
    }

    fn conditions_at(&self, now: Millis) -> anyhow::Result<Conditions> {
        let conditions = self.conditions.from(now, self.deadline);
        Ok(conditions.map_err(|text| ExitError::new(Exit::Usage, text))?)
    }

    /// Schedules the call as a new job. The job's time begins now, by the backend's clock.
    ///
    /// # Errors
    /// When the deadline has passed by that clock, or the backend fails. After a failure of the backend it is unknown
    /// whether the job was accepted.
    pub async fn submit(&self, client: &Client, request: Request) -> anyhow::Result<Job> {
        let (job_id, at) = (new_job_id()?, client.now());
        let Request { encoded } = request;
        let Conditions { deadline, max_messages, options } = self.conditions_at(at)?;
        let options = Options { scope: self.fresh.then_some(Scope::Job).or(self.scope), ..options };
        let hash = encoded.hash.within(options.scope.unwrap_or_default(), &job_id, at);
        let call = Call {
            hash: hash.clone(),
            task: self.call.task.clone(),
            payload: encoded.payload,
            topic: self.topic.topic.clone(),
            options: Options::default(),
        };
        let job = NewJob { deadline, max_messages, options, ..NewJob::new(job_id.clone(), call) };
        let scheduled = persist(&job_id, || Box::pin(client.schedule(&job, at))).await?;
        Ok(Job { job_id, hash, scheduled })
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

    /// The options of a job that begins now.
    fn from(&self, now: Millis, deadline: Option<Millis>) -> std::result::Result<Conditions, String> {
        let JobOptions { timeout, max_messages, options } = self.parts();
        let after = timeout.map(|time| now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        if deadline.is_some_and(|at| at <= now) {
            return Err("--deadline: that moment has passed; a job can't end before it begins".to_owned());
        }
        // A deadline that does not fit into the `i64` of a record counts as no deadline.
        let deadline = after.into_iter().chain(deadline).min().filter(|at| i64::try_from(*at).is_ok()).unwrap_or(0);
        Ok(Conditions { deadline, max_messages, options })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ConditionArgs {
        ConditionArgs {
            timeout: None,
            task_timeout: None,
            max_retries: None,
            retry_delay: None,
            retry_backoff: None,
            max_retry_delay: None,
            max_messages: None,
        }
    }

    #[test]
    fn the_earlier_of_two_deadlines_counts() {
        let second = Some(Duration::from_secs(1));
        let deadline = |timeout, deadline| {
            let args = ConditionArgs { timeout, ..args() };
            args.from(5000, deadline).map(|conditions| conditions.deadline)
        };
        assert_eq!(deadline(None, None), Ok(0));
        assert_eq!(deadline(second, None), Ok(6000));
        assert_eq!(deadline(second, Some(5500)), Ok(5500));
        assert_eq!(deadline(second, Some(9000)), Ok(6000));
        assert_eq!(deadline(Some(Duration::MAX), None), Ok(0));
        assert!(deadline(None, Some(5000)).is_err());
    }
}
