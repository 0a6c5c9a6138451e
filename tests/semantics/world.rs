//! Every backend under the same tests: opens them, counts at their ports, and works their queues empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use brrr_backends::{Memory, Sqlite, Stepwise};
use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, Outcome, Root, Topic};
use brrr_protocol::ports::{Backend, Cache, Key, Kind, Queue, Store, Swap, spawn_counter};
use brrr_protocol::step::{Limits, Step, step};
use bytes::Bytes;

use crate::native::{Native, hash};

/// One backend in use by one test.
pub struct World {
    pub name: &'static str,
    pub backend: Arc<dyn Backend>,
    pub client: Client,
    pub limits: Limits,
    _folder: tempfile::TempDir,
}

pub fn topic() -> Topic {
    "t".into()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Runs `test` on each backend, fused and stepwise.
pub async fn on_every_backend<F: Future<Output = ()>>(test: impl Fn(World) -> F) {
    for name in ["memory", "sqlite", "memory, stepwise", "sqlite, stepwise"] {
        eprintln!("on {name}");
        test(World::open(name)).await;
    }
}

impl World {
    pub fn open(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let whole: Arc<dyn Backend> = if name.starts_with("sqlite") {
            Arc::new(Sqlite::open(&folder.path().join("state.db")).unwrap())
        } else {
            Arc::new(Memory::new())
        };
        let backend: Arc<dyn Backend> = if name.ends_with("stepwise") { Arc::new(Stepwise(whole)) } else { whole };
        let client = Client::new(backend.clone());
        Self { name, backend, client, limits: Limits::default(), _folder: folder }
    }

    pub fn is_stepwise(&self) -> bool {
        self.name.ends_with("stepwise")
    }

    /// Schedules a job; its root is named after it, so that a failing test can be read.
    pub async fn schedule(&self, root: &str, task: &str, payload: &str) -> Root {
        let call =
            Call { hash: hash(task, payload), task: task.into(), payload: payload.to_owned().into(), topic: topic() };
        self.client.schedule(root.into(), call, now()).await.unwrap();
        root.into()
    }

    /// Works until the queue is empty; what became of each message.
    pub async fn drain(&self, handler: &Native) -> Vec<Step> {
        let mut steps = Vec::new();
        loop {
            let batch = self.backend.queue().receive(&topic(), 16, Duration::ZERO).await.unwrap();
            if batch.is_empty() && self.backend.queue().depth(&topic()).await.unwrap() == 0 {
                return steps;
            }
            for delivery in batch {
                steps.push(step(&self.backend, handler, &delivery, &self.limits, now()).await.unwrap());
            }
        }
    }

    /// The same by several workers at once.
    pub async fn drain_by(&self, workers: usize, handler: &Arc<Native>) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let (backend, handler, limits) = (self.backend.clone(), handler.clone(), self.limits.clone());
            tasks.spawn(async move {
                while backend.queue().depth(&topic()).await.unwrap() > 0 {
                    let batch = backend.queue().receive(&topic(), 4, Duration::from_millis(5)).await.unwrap();
                    for delivery in batch {
                        step(&backend, &*handler, &delivery, &limits, now()).await.unwrap();
                    }
                }
            });
        }
        tasks.join_all().await;
    }

    pub async fn outcome(&self, root: &Root, task: &str, payload: &str) -> Option<Outcome> {
        self.client.outcome(root, &hash(task, payload)).await.unwrap()
    }

    /// The value as text; panics where there is a failure or nothing.
    pub async fn value(&self, root: &Root, task: &str, payload: &str) -> String {
        let outcome = self.outcome(root, task, payload).await;
        match outcome {
            Some(Ok(value)) => String::from_utf8(value.to_vec()).unwrap(),
            other => panic!("{}: {task}({payload}) came to {other:?}", self.name),
        }
    }

    /// Messages sent for a job so far.
    pub async fn messages(&self, root: &Root) -> u64 {
        self.backend.cache().incr(&spawn_counter(root), 0).await.unwrap()
    }
}

/// A stepwise backend that counts reads of values.
pub struct Counted {
    pub inner: Arc<dyn Backend>,
    pub value_reads: AtomicU64,
}

#[async_trait]
impl Store for Counted {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.value_reads.fetch_add(u64::from(key.kind == Kind::Value), Ordering::Relaxed);
        self.inner.store().get(key).await
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

    async fn list(&self, kind: &Kind, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
        self.inner.store().list(kind, after, limit).await
    }
}

#[async_trait]
impl Backend for Counted {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self.inner.queue()
    }

    fn cache(&self) -> &dyn Cache {
        self.inner.cache()
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.inner.changed(version, at_most).await
    }
}
