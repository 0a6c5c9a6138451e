//! Runs the same tests on every backend: opens the backends, counts the calls of their ports, and processes their queues until
//! they are empty.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::events::{Event, Observer, Subject};
use brrr_protocol::gate::{Always, Gate};
use brrr_protocol::model::{Call, JobId, Outcome, Topic};
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::options::Options;
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{
    Backend, BackendParts, Counters, Delivery, JobPage, JobQuery, Key, Kind, NewJob, Page, Queue, Store, Swap,
    message_counter,
};
use brrr_protocol::records::{JobRecord, JobState, RunLog};
use brrr_protocol::step::{Limits, Site, Step, step};
use bytes::Bytes;

use crate::native::{Native, hash};
use crate::support::{Fixture, Kind as Backends};

/// One backend that one test uses.
pub struct World {
    pub kind: Backends,
    pub backend: Arc<dyn Backend>,
    pub client: Client,
    pub limits: Limits,
    /// The outcome cache of its one worker.
    pub outcomes: OutcomeCache,
    /// The events that its workers reported.
    pub events: EventRecorder,
    _fixture: Fixture,
}

pub fn topic() -> Topic {
    "t".into()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Runs `test` on each backend, with transactional and with multi-step transitions.
pub async fn on_every_backend<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    for kind in Backends::ALL.into_iter().filter(|kind| kind.is_there()) {
        eprintln!("on {kind:?}");
        test(World::open(kind).await).await;
    }
}

impl World {
    pub async fn open(kind: Backends) -> Self {
        Self::of(kind, kind.open().await)
    }

    pub async fn open_with(kind: Backends, lease: Duration) -> Self {
        Self::of(kind, kind.open_with(lease).await)
    }

    fn of(kind: Backends, fixture: Fixture) -> Self {
        let backend = fixture.backend.clone();
        let client = Client::new(backend.clone());
        Self {
            kind,
            backend,
            client,
            limits: Limits::default(),
            outcomes: OutcomeCache::default(),
            events: EventRecorder::default(),
            _fixture: fixture,
        }
    }

    pub fn is_multi_step(&self) -> bool {
        !self.kind.is_transactional()
    }

    /// Schedules a job. Its job_id contains its name, so that the output of a failing test can be read.
    pub async fn schedule(&self, job_id: &str, task: &str, payload: &str) -> JobId {
        self.schedule_job(NewJob::new(job_id.into(), call(task, payload))).await
    }

    pub async fn schedule_job(&self, job: NewJob) -> JobId {
        self.client.schedule(&job, now()).await.unwrap();
        job.job_id
    }

    pub async fn step(&self, handler: &Native, delivery: &Delivery) -> Step {
        self.try_step(handler, delivery).await.unwrap()
    }

    pub async fn try_step(&self, handler: &Native, delivery: &Delivery) -> Result<Step> {
        work(&self.backend, handler, delivery, &self.limits, &self.outcomes, Some(&self.events)).await
    }

    /// One step of a worker with this gate.
    pub async fn step_at(&self, gate: &dyn Gate, handler: &Native, delivery: &Delivery) -> Step {
        let (backend, limits) = (&self.backend, &self.limits);
        let site = Site {
            backend,
            handler,
            limits,
            outcomes: &self.outcomes,
            gate,
            log: &RunLog::default(),
            observer: Some(&self.events),
            clock: &now,
        };
        step(&site, delivery, false).await.unwrap()
    }

    /// The messages that are ready now.
    pub async fn receive(&self) -> Vec<Delivery> {
        self.backend.queue().receive(&topic(), 100, Duration::ZERO).await.unwrap()
    }

    /// Processes messages until the job has its outcome, also messages that are due later.
    pub async fn work_for(&self, job_id: &JobId, handler: &Native) -> Vec<Step> {
        let mut steps = Vec::new();
        let call = self.job(job_id).await.call;
        while self.client.outcome(job_id, &call).await.unwrap().is_none() {
            for delivery in self.backend.queue().receive(&topic(), 1, Duration::from_secs(30)).await.unwrap() {
                steps.push(self.step(handler, &delivery).await);
            }
        }
        steps
    }

    pub async fn job(&self, job_id: &JobId) -> JobRecord {
        self.client.job(job_id).await.unwrap().unwrap()
    }

    /// The final state of the job, from its record.
    pub async fn state(&self, job_id: &JobId) -> Option<JobState> {
        self.job(job_id).await.end.map(|end| end.state)
    }

    /// Processes messages until the queue is empty. Returns the result of each message.
    pub async fn drain(&self, handler: &Native) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let mut batch = self.backend.queue().receive(&topic(), 16, Duration::ZERO).await.unwrap();
            if batch.is_empty() {
                if self.backend.queue().depth(&topic()).await.unwrap() == 0 {
                    return steps;
                }
                batch = self.backend.queue().receive(&topic(), 16, Duration::from_secs(30)).await.unwrap();
            }
            for delivery in batch {
                steps.push(self.step(handler, &delivery).await);
            }
        }
    }

    /// As above, with several workers at once.
    pub async fn drain_by(&self, workers: usize, handler: &Arc<Native>) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let (backend, handler, limits) = (self.backend.clone(), handler.clone(), self.limits.clone());
            tasks.spawn(async move {
                let outcomes = OutcomeCache::default();
                while backend.queue().depth(&topic()).await.unwrap() > 0 {
                    let batch = backend.queue().receive(&topic(), 4, Duration::from_millis(5)).await.unwrap();
                    for delivery in batch {
                        work(&backend, &handler, &delivery, &limits, &outcomes, None).await.unwrap();
                    }
                }
            });
        }
        tasks.join_all().await;
    }

    pub async fn outcome(&self, job_id: &JobId, task: &str, payload: &str) -> Option<Outcome> {
        self.client.outcome(job_id, &hash(task, payload)).await.unwrap()
    }

    /// The value as text. Panics if there is a failure or no outcome.
    pub async fn value(&self, job_id: &JobId, task: &str, payload: &str) -> String {
        let outcome = self.outcome(job_id, task, payload).await;
        match outcome {
            Some(Ok(value)) => String::from_utf8(value.to_vec()).unwrap(),
            other => panic!("{:?}: {task}({payload}) came to {other:?}", self.kind),
        }
    }

    /// The number of messages that were sent for a job so far.
    pub async fn messages(&self, job_id: &JobId) -> u64 {
        self.backend.counters().incr(&message_counter(job_id), 0).await.unwrap()
    }
}

async fn work(
    backend: &Arc<dyn Backend>,
    handler: &Native,
    delivery: &Delivery,
    limits: &Limits,
    outcomes: &OutcomeCache,
    events: Option<&EventRecorder>,
) -> Result<Step> {
    let observer = events.map(|events| events as &dyn Observer);
    let site =
        Site { backend, handler, limits, outcomes, gate: &Always, log: &RunLog::default(), observer, clock: &now };
    step(&site, delivery, false).await
}

pub fn call(task: &str, payload: &str) -> Call {
    Call {
        hash: hash(task, payload),
        task: task.into(),
        payload: payload.to_owned().into(),
        topic: topic(),
        options: Options::default(),
    }
}

/// Records the events that workers report, one line an event.
#[derive(Default)]
pub struct EventRecorder(Mutex<Vec<String>>);

impl EventRecorder {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for EventRecorder {
    fn observe(&self, event: &Event<'_>) {
        let subject = match event.subject {
            Subject::Task => event.task.to_owned(),
            Subject::Job => format!("job of {}", event.call),
        };
        let label = event.label.map_or_else(String::new, |label| format!(" [{label}]"));
        let attempt = if event.attempt == 1 { String::new() } else { format!(", attempt {}", event.attempt) };
        let waiting = event.waiting.map_or_else(String::new, |n| format!(", waiting for {n}"));
        let failure = event.failure.map_or_else(String::new, |failure| format!(", {failure}"));
        let (from, to) = (event.from.as_str(), event.to.as_str());
        self.0.lock().unwrap().push(format!("{subject}{label}: {from} > {to}{attempt}{waiting}{failure}"));
    }
}

/// A multi-step backend that counts reads of values. A check whether a value exists does not count as a read.
pub struct Counted {
    pub inner: Arc<dyn Backend>,
    pub value_reads: AtomicU64,
    /// The number of reads of any record.
    pub reads: AtomicU64,
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.value_reads.fetch_add(u64::from(key.kind == Kind::Value), Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.store().get(key).await
    }

    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        self.inner.store().has_many(keys).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.inner.store().put(key, value).await
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        self.inner.store().swap(key, expected, new).await
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        self.inner.store().put_if(key, value, absent).await
    }

    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        self.inner.store().list(kind, cursor, limit).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        self.inner.store().jobs(query).await
    }
}

#[async_trait]
impl BackendParts for Counted {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self.inner.queue()
    }

    fn counters(&self) -> &dyn Counters {
        self.inner.counters()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.inner.changed(version, at_most).await
    }
}

impl MultiStepBackend for Counted {}
