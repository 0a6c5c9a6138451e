//! Clients that submit jobs of mixed shapes without a pause, and check the result of each job.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use brrr_protocol::client::{Cancelled, Client, Retried};
use brrr_protocol::model::{CallHash, FailureKind, JobId, Millis, Outcome};
use brrr_protocol::ports::NewJob;
use brrr_protocol::records::JobState;
use brrr_protocol::{Error, Result};
use fastrand::Rng;
use serde_json::Value;

use crate::backend_servers::Ports;
use crate::fleet::brrr;
use crate::shapes::{self, Expected, Shape};

/// The pause before a request that the backend did not answer is repeated.
const PAUSE: Duration = Duration::from_millis(50);

/// An accepted job and its outcome.
pub struct Accepted {
    pub call: CallHash,
    pub shape: &'static str,
    /// The digest of the outcome. The outcome must stay the same.
    pub digest: u64,
}

pub struct Clients {
    client: Client,
    /// For the commands, which connect through the same proxies.
    ports: Ports,
    folder: PathBuf,
    seed: u64,
    pub stopping: AtomicBool,
    /// Jobs that have not ended yet.
    pub open: Mutex<BTreeMap<JobId, (&'static str, Instant)>>,
    pub ended: Mutex<HashMap<JobId, Accepted>>,
    pub wrong: Mutex<Vec<String>>,
    pub counts: Counts,
    /// The job that took longest.
    pub slowest: Mutex<Slowest>,
}

#[derive(Clone, Default)]
pub struct Slowest {
    pub took: Duration,
    pub shape: &'static str,
    pub job_id: Option<JobId>,
}

#[derive(Default)]
pub struct Counts {
    pub cancels: AtomicU64,
    pub deadlines: AtomicU64,
    pub retries: AtomicU64,
    pub commands: AtomicU64,
    /// Commands that were killed, or that could not reach the backend. Nobody knows how their jobs ended.
    pub unknown: AtomicU64,
    /// Errors of the backend that clients saw. The clients tried again.
    pub errors: AtomicU64,
    /// Jobs that ended as dead letters, see `Clients::check`.
    pub dead: AtomicU64,
    /// Calls that the ended jobs made.
    pub calls: AtomicU64,
}

pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    u64::try_from(since.as_millis()).expect("before the end of time")
}

pub fn digest(outcome: &Outcome) -> u64 {
    let mut hasher = DefaultHasher::new();
    match outcome {
        Ok(value) => value.hash(&mut hasher),
        Err(failure) => (failure.kind.as_str(), &failure.message, &failure.chain).hash(&mut hasher),
    }
    hasher.finish()
}

/// Adds one to the counter.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Clients {
    pub fn new(client: Client, ports: Ports, folder: PathBuf, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            client,
            ports,
            folder,
            seed,
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
            ended: Mutex::default(),
            wrong: Mutex::default(),
            counts: Counts::default(),
            slowest: Mutex::default(),
        })
    }

    pub fn has_ended(&self, job_id: &JobId) -> bool {
        self.ended.lock().expect("no panic").contains_key(job_id)
    }

    pub fn complain(&self, what: String) {
        eprintln!("WRONG: {what}");
        self.wrong.lock().expect("no panic").push(what);
    }

    /// Runs one client: one job after the other, until `stopping` is set.
    pub async fn run(self: Arc<Self>, number: u64) {
        let mut rng = Rng::with_seed(self.seed.wrapping_add(number));
        for n in 0.. {
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            let salt = format!("{:x}-{number}-{n}-", self.seed);
            if let Err(error) = self.one(&mut rng, &salt).await {
                self.complain(format!("client {number}, job {n}: {error}"));
            }
        }
    }

    async fn one(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        match rng.u32(0..100) {
            0..60 => drop(self.plain(&some(rng, salt)).await?),
            60..70 => self.cancelled(rng, salt).await?,
            70..78 => self.shared(rng, salt).await?,
            78..86 => self.in_time(rng, salt).await?,
            86..90 => self.retried(rng, salt).await?,
            _ => self.command(rng, salt).await?,
        }
        Ok(())
    }

    /// Runs a job to its end.
    async fn plain(&self, shape: &Shape) -> Result<JobId> {
        let (job_id, call) = self.submit(shape, 0).await?;
        let outcome = self.settle(&job_id, &call, shape).await?;
        self.check(&job_id, shape, shape.is_met_by(&outcome), &outcome);
        Ok(job_id)
    }

    async fn cancelled(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        let shape = if rng.bool() { shapes::sleeper(20.0) } else { some(rng, salt) };
        let (job_id, call) = self.submit(&shape, 0).await?;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..400))).await;
        self.cancel(&job_id, &call, &shape).await
    }

    async fn cancel(&self, job_id: &JobId, call: &CallHash, shape: &Shape) -> Result<()> {
        count(&self.counts.cancels);
        let cancelled = self.persist(|| self.client.cancel(job_id, now())).await?;
        let outcome = self.settle(job_id, call, shape).await?;
        // A repeated `cancel` may find that the first one succeeded.
        let is_fine = match cancelled {
            Cancelled::Done | Cancelled::Already(JobState::Cancelled) => is(&outcome, &FailureKind::Cancelled),
            Cancelled::Already(_) => shape.is_met_by(&outcome),
            Cancelled::Unknown => false,
        };
        self.check(job_id, shape, is_fine, &outcome);
        Ok(())
    }

    /// Two jobs for one tree. The first one may be cancelled.
    async fn shared(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        let (shape, below) = (shapes::tree(rng.u64(5..9), salt), shapes::tree(4, &format!("{salt}r")));
        let (first, call) = self.submit(&shape, 0).await?;
        let second = if rng.bool() { &shape } else { &below };
        let (second_id, second_call) = self.submit(second, 0).await?;
        if rng.bool() {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..200))).await;
            self.cancel(&first, &call, &shape).await?;
        } else {
            let outcome = self.settle(&first, &call, &shape).await?;
            self.check(&first, &shape, shape.is_met_by(&outcome), &outcome);
        }
        let outcome = self.settle(&second_id, &second_call, second).await?;
        self.check(&second_id, second, second.is_met_by(&outcome), &outcome);
        Ok(())
    }

    /// A job with a deadline, which it may meet or miss.
    async fn in_time(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        count(&self.counts.deadlines);
        let shape = if rng.bool() { shapes::sleeper(20.0) } else { some(rng, salt) };
        // The deadline is short, because the message that ends the job stays queued until then.
        let (job_id, call) = self.submit(&shape, now() + rng.u64(300..4_000)).await?;
        let outcome = self.settle(&job_id, &call, &shape).await?;
        self.check(&job_id, &shape, shape.is_met_by(&outcome) || is(&outcome, &FailureKind::Timeout), &outcome);
        Ok(())
    }

    /// A job that is cancelled and then retried.
    async fn retried(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        count(&self.counts.retries);
        let shape = shapes::tree(rng.u64(6..10), salt);
        let (job_id, call) = self.submit(&shape, 0).await?;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..300))).await;
        self.cancel(&job_id, &call, &shape).await?;
        let new = self.begin(&shape);
        let retried = self.persist(|| self.client.retry(&job_id, new.clone(), now())).await?;
        if !matches!(retried, Retried::As(..)) {
            self.complain(format!("retry of {job_id} as {new}: {retried:?}"));
            return Ok(());
        }
        let outcome = self.settle(&new, &call, &shape).await?;
        self.check(&new, &shape, shape.is_met_by(&outcome), &outcome);
        Ok(())
    }

    /// Runs `brrr-host call`. The command itself may be killed.
    async fn command(&self, rng: &mut Rng, salt: &str) -> Result<()> {
        count(&self.counts.commands);
        let shape = match rng.u32(0..4) {
            0 => shapes::chain(rng.u64(1..8), salt),
            1 => shapes::broken_mesh(rng, salt),
            _ => shapes::tree(rng.u64(2..8), salt),
        };
        let mut command = brrr(&self.folder, &self.ports);
        command.args(["call", "--log-level", "error", shape.task, &shape.arguments.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let dies_after = (rng.u32(0..4) == 0).then(|| Duration::from_millis(rng.u64(5..500)));
        let run = move || {
            let mut child = command.spawn().expect("the binary");
            if let Some(after) = dies_after {
                std::thread::sleep(after);
                // The command may already have ended.
                let _ = child.kill();
            }
            child.wait_with_output().expect("its end")
        };
        let output = tokio::task::spawn_blocking(run).await.expect("no panic");
        let is_fine = match (output.status.code(), &shape.expected) {
            // The command was killed, or it could not reach the backend.
            (None | Some(21), _) => {
                count(&self.counts.unknown);
                return Ok(());
            }
            (Some(0), Expected::Value(value)) => {
                serde_json::from_slice::<Value>(&output.stdout).is_ok_and(|got| got == *value)
            }
            (Some(30), Expected::Failure(_)) => true,
            _ => false,
        };
        if !is_fine {
            self.complain(format!("brrr-host call {} {}: {output:?}", shape.task, shape.arguments));
        }
        Ok(())
    }

    fn begin(&self, shape: &Shape) -> JobId {
        let job_id = JobId::from_random(fastrand::u128(..));
        self.open.lock().expect("no panic").insert(job_id.clone(), (shape.name, Instant::now()));
        job_id
    }

    /// Schedules a job until the backend answers, under the same job id each time.
    async fn submit(&self, shape: &Shape, deadline: Millis) -> Result<(JobId, CallHash)> {
        let job_id = self.begin(shape);
        let call = shape.call(&job_id);
        let hash = call.hash.clone();
        let job = NewJob { deadline, ..NewJob::new(job_id.clone(), call) };
        self.persist(|| self.client.schedule(&job, now())).await?;
        Ok((job_id, hash))
    }

    async fn settle(&self, job_id: &JobId, call: &CallHash, shape: &Shape) -> Result<Outcome> {
        let outcome = self.persist(|| self.client.wait(job_id, call, now)).await?;
        let accepted = Accepted { call: call.clone(), shape: shape.name, digest: digest(&outcome) };
        let begun = self.open.lock().expect("no panic").remove(job_id);
        let took = begun.map_or(Duration::ZERO, |(_, at)| at.elapsed());
        let mut slowest = self.slowest.lock().expect("no panic");
        if took > slowest.took {
            *slowest = Slowest { took, shape: shape.name, job_id: Some(job_id.clone()) };
        }
        drop(slowest);
        self.counts.calls.fetch_add(shape.calls, Ordering::Relaxed);
        self.ended.lock().expect("no panic").insert(job_id.clone(), accepted);
        Ok(outcome)
    }

    /// Repeats an attempt until the backend answers, because these tests make the backend unreachable on purpose.
    async fn persist<T, F: Future<Output = Result<T>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> std::result::Result<T, Error> {
        loop {
            match attempt().await {
                Err(error) if error.is_transient() => {
                    count(&self.counts.errors);
                    tokio::time::sleep(PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// A message that was delivered ten times and never acknowledged is taken for one that kills its workers. The
    /// workers here die so often that this can happen to any message. It is a recorded end of the job. `chaos` limits
    /// how many there may be.
    fn check(&self, job_id: &JobId, shape: &Shape, is_fine: bool, outcome: &Outcome) {
        if is(outcome, &FailureKind::DeadLetter) {
            count(&self.counts.dead);
        } else if !is_fine {
            let got = outcome.as_ref().map(|value| String::from_utf8_lossy(value));
            let (task, arguments) = (shape.task, &shape.arguments);
            self.complain(format!(
                "job {job_id}, {} ({task} {arguments}): {:?}, and not {got:?}",
                shape.name, shape.expected
            ));
        }
    }
}

fn is(outcome: &Outcome, kind: &FailureKind) -> bool {
    outcome.as_ref().is_err_and(|failure| failure.kind == *kind)
}

/// A shape that ends by itself, chosen at random.
fn some(rng: &mut Rng, salt: &str) -> Shape {
    match rng.u32(0..100) {
        0..25 => shapes::tree(rng.u64(3..10), salt),
        25..40 => shapes::chain(rng.u64(2..10), salt),
        40..55 => shapes::fan(rng.u64(2..50), salt),
        55..70 => shapes::mesh(rng, salt),
        70..80 => shapes::broken_mesh(rng, salt),
        80..87 => shapes::flaky(rng.u32(2..5)),
        87..93 => shapes::hopeless(rng.bool()),
        93..95 => shapes::spin(),
        95..98 => shapes::greeting(&format!("{salt}{}", "x".repeat(rng.usize(0..60_000)))),
        _ => shapes::sleeper(rng.f64()),
    }
}
