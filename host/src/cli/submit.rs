//! What `call` and `schedule` share: a call, the conditions of its job, and getting it accepted.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::time::{Duration, Instant};

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, Millis, Root, system_now};
use brrr_protocol::options::{Backoff, Options};
use brrr_protocol::ports::{NewJob, Scheduled};

use super::Told;
use super::encode::{self, CallArgs, Encoded};
use super::options::{BackendArgs, TopicArgs, duration, moment, new_root};
use super::output::say;
use crate::config::RetryBackoff;
use crate::exit::Exit;

/// How long a client goes on that can't reach its backend, from its first failure.
const PERSISTENCE: Duration = Duration::from_secs(5);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// A call, and the job that is to be made of it.
#[derive(Debug, clap::Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub call: CallArgs,

    #[command(flatten)]
    pub topic: TopicArgs,

    /// Run it again even if its value is there: under a new call hash.
    #[arg(long)]
    pub fresh: bool,

    #[command(flatten)]
    pub backend: BackendArgs,

    #[command(flatten)]
    conditions: ConditionArgs,
}

/// What holds for the whole job. The environment has these too, and `[job]` of brrr.toml.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Of the job")]
struct ConditionArgs {
    /// The job ends as timed out after this time, and its running handlers are stopped. None: it may take as long as it
    /// takes.
    #[arg(long, env = "BRRR_JOB_TIMEOUT", hide_env = true, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,

    /// As `--timeout`, at this moment (RFC 3339); of both the earlier.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    deadline: Option<Millis>,

    /// The time that one run of any of its tasks may take.
    #[arg(long, env = "BRRR_JOB_TASK_TIMEOUT", hide_env = true, value_name = "TIME", value_parser = duration)]
    task_timeout: Option<Duration>,

    /// How often a call that failed is run again, if its failure may pass.
    #[arg(long, env = "BRRR_JOB_MAX_RETRIES", hide_env = true, value_name = "N")]
    max_retries: Option<u32>,

    /// The pause before the first of them.
    #[arg(long, env = "BRRR_JOB_RETRY_DELAY", hide_env = true, value_name = "TIME", value_parser = duration)]
    retry_delay: Option<Duration>,

    /// How the pauses grow.
    #[arg(long, env = "BRRR_JOB_RETRY_BACKOFF", hide_env = true, value_enum, value_name = "HOW")]
    retry_backoff: Option<RetryBackoff>,

    /// The longest pause.
    #[arg(long, env = "BRRR_JOB_MAX_RETRY_DELAY", hide_env = true, value_name = "TIME", value_parser = duration)]
    max_retry_delay: Option<Duration>,

    /// Messages that the job may send, in place of what its workers allow.
    #[arg(long, env = "BRRR_JOB_SPAWN_LIMIT", hide_env = true, value_name = "N")]
    spawn_limit: Option<NonZeroU32>,
}

/// What holds for the whole job.
#[derive(Debug, Default, PartialEq)]
struct Conditions {
    /// 0: whenever.
    deadline: Millis,
    /// 0: as its workers allow.
    spawn_limit: u64,
    options: Options,
}

/// A call as it was asked for, checked, before anything was touched.
pub struct Request {
    pub encoded: Encoded,
}

/// A job that was handed to the backend.
pub struct Job {
    pub root: Root,
    pub hash: CallHash,
    pub scheduled: Scheduled,
}

impl SubmitArgs {
    /// # Errors
    /// When the payload can't be read, or something makes no sense.
    pub fn request(&self) -> anyhow::Result<Request> {
        self.conditions_at(system_now())?;
        Ok(Request { encoded: self.call.encode()? })
    }

    fn conditions_at(&self, now: Millis) -> anyhow::Result<Conditions> {
        Ok(self.conditions.from(now).map_err(|text| Told::new(Exit::Usage, text))?)
    }

    /// Schedules the call as a new job. Its time runs from now, by the backend's clock.
    ///
    /// # Errors
    /// When its deadline has passed by that clock.
    /// When the backend fails: whether the job was accepted is then unknown.
    pub async fn submit(&self, client: &Client, request: Request) -> anyhow::Result<Job> {
        let (root, at) = (new_root()?, client.now());
        let Request { encoded } = request;
        let Conditions { deadline, spawn_limit, options } = self.conditions_at(at)?;
        let hash = if self.fresh { encode::fresh(&encoded.hash, &root) } else { encoded.hash };
        let call = Call {
            hash: hash.clone(),
            task: self.call.task.clone(),
            payload: encoded.payload,
            topic: self.topic.topic.clone(),
            options: Options::default(),
        };
        let job = NewJob { deadline, spawn_limit, options, ..NewJob::new(root.clone(), call) };
        let scheduled = persist(&root, || Box::pin(client.schedule(&job, at))).await?;
        Ok(Job { root, hash, scheduled })
    }
}

impl ConditionArgs {
    /// Those of a job that begins now.
    fn from(&self, now: Millis) -> std::result::Result<Conditions, String> {
        let after = self.timeout.map(|time| now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)));
        if self.deadline.is_some_and(|at| at <= now) {
            return Err("--deadline: that moment has passed; a job can't end before it begins".to_owned());
        }
        Ok(Conditions {
            // What an `i64` of a record can't hold is for ever.
            deadline: after.into_iter().chain(self.deadline).min().filter(|at| i64::try_from(*at).is_ok()).unwrap_or(0),
            spawn_limit: self.spawn_limit.map_or(0, |n| n.get().into()),
            options: Options {
                timeout: self.task_timeout,
                max_retries: self.max_retries,
                retry_delay: self.retry_delay,
                max_retry_delay: self.max_retry_delay,
                backoff: self.retry_backoff.map(Backoff::from),
                ..Options::default()
            },
        })
    }
}

type Try<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Does what makes a job, again while the backend can't be reached: under one root that does nothing twice.
///
/// # Errors
/// The last one, when patience is over, or the first that is of another kind.
pub async fn persist<'a, T>(root: &Root, mut attempt: impl FnMut() -> Try<'a, T>) -> Result<T> {
    let mut until = None;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() => {
                let until = *until.get_or_insert_with(|| {
                    say(format_args!("{error}; trying again under the same job id, {root}"));
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
            deadline: None,
            task_timeout: None,
            max_retries: None,
            retry_delay: None,
            retry_backoff: None,
            max_retry_delay: None,
            spawn_limit: None,
        }
    }

    #[test]
    fn of_two_ends_the_earlier_counts() {
        let second = Some(Duration::from_secs(1));
        let deadline = |timeout, deadline| {
            let args = ConditionArgs { timeout, deadline, ..args() };
            args.from(5000).map(|conditions| conditions.deadline)
        };
        assert_eq!(deadline(None, None), Ok(0));
        assert_eq!(deadline(second, None), Ok(6000));
        assert_eq!(deadline(second, Some(5500)), Ok(5500));
        assert_eq!(deadline(second, Some(9000)), Ok(6000));
        assert_eq!(deadline(Some(Duration::MAX), None), Ok(0));
        assert!(deadline(None, Some(5000)).is_err());
    }
}
