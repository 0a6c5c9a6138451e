//! A native handler of call trees, and a worker for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::client::Client;
use brrr_protocol::error::Result;
use brrr_protocol::gate::Always;
use brrr_protocol::model::{Call, CallHash, JobId, Topic};
use brrr_protocol::options::Options;
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{Backend, Ended, Handler, NewJob, Request, Task};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::step::{Limits, Site, step};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// The number of calls that run at once.
const PERMITS: usize = 32;

/// The topic of every call here.
pub const TOPIC: &str = "tree";

/// Runs `fib/N/SALT` (a tree in which no two calls are the same), `fan/N/SALT`, `chain/N/SALT` and `fibm/N/SALT` (`fib` with
/// shared calls). Each returns the number of its leaves.
pub struct Tree;

fn children(payload: &str) -> Vec<String> {
    let mut parts = payload.splitn(3, '/');
    let (task, n, path) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let n: u32 = n.parse().unwrap();
    match task {
        "fib" if n > 1 => vec![format!("fib/{}/{path}l", n - 2), format!("fib/{}/{path}r", n - 1)],
        "fan" => (0..n).map(|i| format!("leaf/0/{path}{i}")).collect(),
        // Shared calls: two parents ask for each of them.
        "fibm" if n > 1 => vec![format!("fibm/{}/{path}", n - 1), format!("fibm/{}/{path}", n - 2)],
        "chain" if n > 0 => vec![format!("chain/{}/{path}", n - 1)],
        _ => Vec::new(),
    }
}

/// The number of calls of a tree.
pub fn count(payload: &str) -> u64 {
    1 + children(payload).iter().map(|child| count(child)).sum::<u64>()
}

#[async_trait]
impl Handler for Tree {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(Arc::new(Task::new("native", Options::default())))
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        let payload = String::from_utf8_lossy(&request.payload).into_owned();
        let calls: Vec<Invocation> = children(&payload)
            .into_iter()
            .map(|payload| Invocation {
                task: "tree".into(),
                payload: payload.into(),
                topic: None,
                hash: None,
                peer_hash: None,
                options: Options::default(),
                detached: false,
            })
            .collect();
        if calls.is_empty() {
            return Ok((Ended::Completed(Bytes::from_static(b"1")), replay));
        }
        let ended = match replay.poll(calls, Want::All, None).await? {
            Polled::Suspended => Ended::Suspended,
            Polled::Ready(outcomes) => {
                let values = outcomes.into_iter().flatten().flatten();
                let leaves = values.map(|v| String::from_utf8_lossy(&v).parse::<u64>().unwrap());
                let sum = leaves.fold(0, u64::wrapping_add);
                Ended::Completed(sum.to_string().into())
            }
        };
        Ok((ended, replay))
    }
}

/// A worker like the real one. It takes as many messages as it has permits, and runs each message as a task. Only one run of a
/// call is active at a time. `done` is called for each message.
pub async fn work(backend: Arc<dyn Backend>, done: impl Fn() + Clone + Send + 'static) {
    let topic = Topic::from(TOPIC);
    let permits = Arc::new(Semaphore::new(PERMITS));
    let outcomes = Arc::new(OutcomeCache::default());
    let mutexes: Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>> = Arc::default();
    loop {
        let mut free = vec![permits.clone().acquire_owned().await.unwrap()];
        while let Ok(permit) = permits.clone().try_acquire_owned() {
            free.push(permit);
        }
        let deliveries = backend.queue().receive(&topic, free.len(), Duration::from_secs(10)).await.unwrap();
        for (delivery, permit) in deliveries.into_iter().zip(free) {
            let (backend, done, outcomes) = (backend.clone(), done.clone(), outcomes.clone());
            let mutex = mutexes.lock().unwrap().entry(delivery.body.clone()).or_default().clone();
            tokio::spawn(async move {
                let _guard = mutex.lock().await;
                let limits = Limits::default();
                let site = Site {
                    backend: &backend,
                    handler: &Tree,
                    limits: &limits,
                    outcomes: &outcomes,
                    gate: &Always,
                    log: &brrr_protocol::records::RunLog::default(),
                    observer: None,
                    clock: &|| 1,
                };
                step(&site, &delivery, false).await.unwrap();
                drop(permit);
                done();
            });
        }
    }
}

/// Schedules a tree. Returns the arguments for `result`.
pub async fn schedule(backend: &Arc<dyn Backend>, payload: &str) -> (JobId, CallHash) {
    let call = Call {
        hash: CallHash::derive("tree", payload.as_bytes()),
        task: "tree".into(),
        payload: payload.to_owned().into(),
        topic: TOPIC.into(),
        options: Options::default(),
    };
    let (job_id, hash) = (JobId::from_random(fastrand::u128(..)), call.hash.clone());
    Client::new(backend.clone()).schedule(&NewJob::new(job_id.clone(), call), 1).await.unwrap();
    (job_id, hash)
}

/// Waits for a tree's result.
pub async fn result(backend: &Arc<dyn Backend>, (job_id, hash): &(JobId, CallHash)) -> String {
    let client = Client::new(backend.clone());
    let outcome = tokio::time::timeout(Duration::from_mins(2), client.wait(job_id, hash, || 1)).await;
    let outcome = outcome.expect("an outcome within two minutes").unwrap();
    String::from_utf8(outcome.unwrap().to_vec()).unwrap()
}
