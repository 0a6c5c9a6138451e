//! How the cost of a call grows with the shape and the size of its job. The handlers are Rust functions, without a guest,
//! so the figures show the engine and the backend. A ratio compares a size with the one before it: a ratio of 1 means that
//! the cost of one call does not depend on the size of its job.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_backends::BackendConfig;
use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Ended, Handler, NewJob, Request, Task};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_worker::job_list::{JobList, WantedJobs};
use brrr_worker::topic_worker::StopReason;
use brrr_worker::topic_worker::now;
use brrr_worker::view::job::JobView;

use crate::measure::{Cost, cost, median};
use crate::remote;
use crate::servers::redis::Flavour;
use crate::trees::{self, Opened, RUNNING, start};

/// Runs of each figure. The median is printed.
const RUNS: usize = 3;

/// How many listings and how many schedulings are measured among many jobs.
const LOOKS: usize = 21;

/// How many long calls run at once.
const SLOTS: u32 = 4;
const LONG_CALLS: u64 = 24;
const LONG: Duration = Duration::from_millis(200);

/// Prints the same figures for each backend.
pub async fn graphs() {
    for backend in ["memory", "sqlite"] {
        measure(backend, async || trees::open(backend)).await;
    }
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    measure("redis", async || remote::open(BackendConfig::at(remote::url(&server))).await).await;
}

async fn measure<B: Opened>(name: &str, open: impl AsyncFn() -> B) {
    let mut before = None;
    for n in [200, 400] {
        let cost = job(&open, RUNNING, "pair", &n.to_string()).await;
        before = Some(line(&format!("{name}: chain of {n} shared calls"), "call", n + 1, cost, before));
    }
    let mut before = None;
    for n in [250, 500, 1_000, 4_000] {
        let cost = job(&open, RUNNING, "all", &format!("parent {n}")).await;
        before = Some(line(&format!("{name}: one child of {n} parents"), "parent", n, cost, before));
    }

    let cost = job(&open, SLOTS, "all", &format!("long {LONG_CALLS}")).await;
    let ideal = LONG.as_secs_f64() * LONG_CALLS as f64 / f64::from(SLOTS);
    let took = cost.wall.as_secs_f64();
    let what = format!("{name}: {LONG_CALLS} calls of {:.1} s, {SLOTS} at once", LONG.as_secs_f64());
    println!("{what:<44} {:>8.1} ms   {:.3} times the ideal of {:.0} ms", took * 1e3, took / ideal, ideal * 1e3);

    let (mut listing, mut scheduling) = (None, None);
    for n in [200, 2_000] {
        let (list, schedule) = among_jobs(&open, n).await;
        listing = Some(line(&format!("{name}: list 50 of {n} ended jobs"), "listing", 1, list, listing));
        scheduling = Some(line(&format!("{name}: schedule after {n} ended jobs"), "job", 1, schedule, scheduling));
    }

    // Each figure has a share of the parent's work. In the second figure it is spread over three times as many runs.
    let at_once = job(&open, RUNNING, "all", "leaf 200").await;
    let before = line(&format!("{name}: 200 calls that succeed at once"), "run", 200, at_once, None);
    let with_retries = job(&open, RUNNING, "all", "stumble 200").await;
    line(&format!("{name}: 200 calls that fail twice first"), "run", 600, with_retries, Some(before));
}

/// Prints the cost of `units`, the cost of one unit, and the ratio of the latter to that of the line before. Returns
/// the cost of one unit.
fn line(name: &str, unit: &str, units: u64, cost: Cost, before: Option<Cost>) -> Cost {
    let one = |time: Duration| Duration::from_secs_f64(time.as_secs_f64() / units as f64);
    let each = Cost { wall: one(cost.wall), cpu: one(cost.cpu) };
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let ratio = before.map_or_else(String::new, |before| {
        let ratio = |now: Duration, before: Duration| now.as_secs_f64() / before.as_secs_f64();
        format!("   ratio {:.2}, of CPU {:.2}", ratio(each.wall, before.wall), ratio(each.cpu, before.cpu))
    });
    let wall = cost.wall.as_secs_f64() * 1e3;
    println!(
        "{name:<44} {wall:>8.1} ms   {:>7.1} µs, {:>6.1} µs CPU a {unit}{ratio}",
        micros(each.wall),
        micros(each.cpu)
    );
    each
}

/// The cost of a job on a worker with `slots`. Each run has a new backend.
async fn job<B: Opened>(open: &impl AsyncFn() -> B, slots: u32, task: &str, payload: &str) -> Cost {
    let mut costs = Vec::new();
    for _ in 0..RUNS {
        let opened = open().await;
        let backend = opened.backend();
        let (worker, shutdown) = start(&backend, &handler(), slots);
        let client = Client::new(backend);
        costs.push(
            cost(async {
                let (job_id, call) = schedule(&client, task, payload).await;
                client.wait(&job_id, &call, now).await.expect("an outcome").expect("a value");
            })
            .await,
        );
        shutdown.begin(StopReason::Requested);
        worker.await.expect("no panic").expect("a clean end");
    }
    median(costs)
}

/// Runs `n` quick jobs to their ends. Then measures without a worker: the cost to list the newest 50 jobs, and the cost
/// to schedule one more.
async fn among_jobs<B: Opened>(open: &impl AsyncFn() -> B, n: u64) -> (Cost, Cost) {
    let opened = open().await;
    let backend = opened.backend();
    let (worker, shutdown) = start(&backend, &handler(), RUNNING);
    let client = Client::new(backend.clone());
    let mut jobs = Vec::new();
    for i in 0..n {
        jobs.push(schedule(&client, "leaf", &i.to_string()).await);
    }
    for (job_id, call) in jobs {
        client.wait(&job_id, &call, now).await.expect("an outcome").expect("a value");
    }
    shutdown.begin(StopReason::Requested);
    worker.await.expect("no panic").expect("a clean end");

    let (mut listings, mut schedulings) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        listings.push(cost(list(&*backend, &client)).await);
    }
    for i in 0..LOOKS {
        let payload = format!("more {i}");
        schedulings.push(cost(async { drop(schedule(&client, "leaf", &payload).await) }).await);
    }
    (median(listings), median(schedulings))
}

/// Reads the same as `jobs --limit 50`: 51 jobs, to know whether there are more, and the numbers of their messages.
async fn list(backend: &dyn Backend, client: &Client) {
    let list = JobList { backend, client, now: now() };
    let page = list.page(&WantedJobs::default(), None, 51, usize::MAX).await.expect("a page");
    assert_eq!(JobView::of_all(backend, &page.jobs, list.now).await.len(), 51);
}

async fn schedule(client: &Client, task: &str, payload: &str) -> (JobId, CallHash) {
    let hash = CallHash::derive(task, payload.as_bytes());
    let call = Call {
        hash: hash.clone(),
        task: task.into(),
        payload: payload.to_owned().into(),
        topic: trees::TOPIC.into(),
        options: Options::default(),
    };
    let job_id = JobId::from_random(fastrand::u128(..));
    client.schedule(&NewJob::new(job_id.clone(), call), now()).await.expect("accepted");
    (job_id, hash)
}

/// The tasks: `pair n` calls the two pairs before it, `all "task n"` calls a task n times, all `parent` calls call the
/// same leaf, `long` takes a fixed time, `stumble` succeeds in its third attempt.
struct Shapes(Arc<Task>);

fn handler() -> Arc<dyn Handler> {
    let retries = Options { max_retries: Some(2), retry_delay: Some(Duration::ZERO), ..Options::default() };
    Arc::new(Shapes(Arc::new(Task::new("native", retries))))
}

fn children(task: &str, payload: &str) -> Vec<Invocation> {
    let call = |task: &str, n: u64| {
        let (task, payload, options) = (task.to_owned(), n.to_string().into(), Options::default());
        Invocation { task, payload, topic: None, hash: None, peer_hash: None, options, detached: false }
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    match task {
        "pair" if number(payload) > 1 => vec![call("pair", number(payload) - 1), call("pair", number(payload) - 2)],
        "all" => {
            let (task, n) = payload.split_once(' ').expect("a task and a number");
            (0..number(n)).map(|i| call(task, i)).collect()
        }
        "parent" => vec![call("leaf", 0)],
        _ => Vec::new(),
    }
}

#[async_trait]
impl Handler for Shapes {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(self.0.clone())
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        if request.task == "stumble" && request.attempt < 3 {
            let failure = Failure::new(FailureKind::Error, &request.task, "not yet");
            return Ok((Ended::Failed { failure, retryable: true }, replay));
        }
        if request.task == "long" {
            tokio::time::sleep(LONG).await;
        }
        let calls = children(&request.task, std::str::from_utf8(&request.payload).expect("text"));
        if !calls.is_empty() && replay.poll(calls, Want::All, None).await? == Polled::Suspended {
            return Ok((Ended::Suspended, replay));
        }
        Ok((Ended::Completed("1".into()), replay))
    }
}
