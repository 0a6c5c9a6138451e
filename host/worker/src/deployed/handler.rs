//! Finds the handler of a job among the revisions of its topic.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::client::Client;
use brrr_protocol::model::{JobId, Millis, Topic};
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Ended, Handler, JobHandler, Request, Task};
use brrr_protocol::records::DeploymentsRecord;
use brrr_protocol::replay::Replay;
use brrr_protocol::shipping::revision_for;
use brrr_protocol::{Error, ErrorKind, Result};
use tokio::sync::Mutex;

use crate::wasm::WasmHandler;

/// After this time, a message comes again whose revision is not loaded here. Another worker may have the revision.
const NOT_HERE: Duration = Duration::from_secs(1);

/// The handlers of all revisions of a topic that are loaded.
pub struct DeployedHandler {
    client: Client,
    topic: Topic,
    loaded: RwLock<Arc<Loaded>>,
    /// Runs that begin at the same time read the record once.
    reading: Mutex<()>,
}

#[derive(Clone, Default)]
struct Loaded {
    record: DeploymentsRecord,
    /// When the record was read, in milliseconds since the Unix epoch. It decides for jobs that were created before. A change counts
    /// only for jobs that are created after it was written.
    as_of: Millis,
    handlers: BTreeMap<u64, Arc<WasmHandler>>,
}

impl DeployedHandler {
    /// A handler of this topic that knows of no revision yet.
    #[must_use]
    pub fn new(client: Client, topic: Topic) -> Self {
        Self { client, topic, loaded: RwLock::default(), reading: Mutex::new(()) }
    }

    /// Reads the revisions, and goes by them from now on. Handlers of revisions that are gone are dropped, once their last run has
    /// ended.
    ///
    /// # Errors
    /// When the store can't be read, or the record can't be read.
    pub async fn read(&self) -> Result<DeploymentsRecord> {
        let as_of = self.client.now();
        let record = self.client.deployments(&self.topic).await;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // Another read may have begun later, and ended earlier.
        if as_of >= loaded.as_of {
            match &record {
                Ok(record) => {
                    let is_there = |number: u64| record.revisions.iter().any(|revision| revision.number == number);
                    let loaded = Arc::make_mut(&mut loaded);
                    loaded.handlers.retain(|number, _| is_there(*number));
                    (loaded.record, loaded.as_of) = (record.clone(), as_of);
                }
                // Whoever wrote it must not stop the jobs of others: they go on with the code that is here.
                Err(error) if error.kind == ErrorKind::Malformed => Arc::make_mut(&mut loaded).as_of = as_of,
                Err(_) => {}
            }
        }
        record
    }

    /// Adds the handler of a revision.
    pub fn add(&self, number: u64, handler: Arc<WasmHandler>) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut loaded).handlers.insert(number, handler);
    }

    /// The newest revision that is loaded and takes jobs, or else the newest that is loaded.
    #[must_use]
    pub fn newest(&self) -> Option<Arc<WasmHandler>> {
        let loaded = self.get();
        let takes_jobs = |number: &u64| {
            loaded.record.revisions.iter().any(|revision| revision.number == *number && revision.weight() > 0)
        };
        let newest = loaded.handlers.iter().rev().find(|(number, _)| takes_jobs(number));
        newest.or(loaded.handlers.last_key_value()).map(|(_, handler)| handler.clone())
    }

    fn get(&self) -> Arc<Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Handler for DeployedHandler {
    fn of_call(&self, _: &str, job_id: &JobId, created: Option<Millis>) -> JobHandler {
        let loaded = self.get();
        if created.is_some_and(|created| created > loaded.as_of) {
            return JobHandler::TooYoung;
        }
        // Jobs of other SDKs have no record. They are run by the newest code.
        let revision = revision_for(&loaded.record, created.unwrap_or(Millis::MAX), job_id);
        match revision.and_then(|revision| loaded.handlers.get(&revision.number)) {
            Some(handler) => JobHandler::Other(handler.clone()),
            None => JobHandler::NotHere(NOT_HERE),
        }
    }

    async fn refresh(&self) -> Result<()> {
        let begun = self.client.now();
        let _one = self.reading.lock().await;
        // Somebody else has read it meanwhile.
        if self.get().as_of > begun {
            return Ok(());
        }
        match self.read().await {
            // The follower tells of it.
            Err(error) if error.kind == ErrorKind::Malformed => Ok(()),
            read => read.map(drop),
        }
    }

    fn task(&self, task: &str) -> Option<Arc<Task>> {
        self.newest()?.task(task)
    }

    fn scopes(&self) -> Arc<Scopes> {
        self.newest().map(|handler| handler.scopes()).unwrap_or_default()
    }

    async fn run(&self, request: Request, _: Replay) -> Result<(Ended, Replay)> {
        let operation = format!("run the task {}", request.task);
        Err(Error::new(ErrorKind::Internal, "worker", operation, "no revision was chosen for its job"))
    }
}
