//! Finds the handler of a job among the revisions of its topic.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Ended, Handler, JobHandler, Request, Task};
use brrr_protocol::records::DeploymentsRecord;
use brrr_protocol::replay::Replay;
use brrr_protocol::shipping::revision_for;
use brrr_protocol::{Error, ErrorKind, Result};

use crate::wasm::WasmHandler;

/// After this time, a message comes again whose revision is not loaded here. Another worker may have the revision.
const NOT_HERE: Duration = Duration::from_secs(1);

/// The handlers of all revisions of a topic that are loaded.
#[derive(Default)]
pub struct DeployedHandler(RwLock<Arc<Loaded>>);

#[derive(Clone, Default)]
struct Loaded {
    record: DeploymentsRecord,
    handlers: BTreeMap<u64, Arc<WasmHandler>>,
}

impl DeployedHandler {
    /// Goes by this record from now on. Handlers of revisions that are not in it are dropped, once their last run has ended.
    pub fn goes_by(&self, record: DeploymentsRecord) {
        let mut loaded = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut handlers = loaded.handlers.clone();
        handlers.retain(|number, _| record.revisions.iter().any(|revision| revision.number == *number));
        *loaded = Arc::new(Loaded { record, handlers });
    }

    /// Adds the handler of a revision.
    pub fn add(&self, number: u64, handler: Arc<WasmHandler>) {
        let mut loaded = self.0.write().unwrap_or_else(PoisonError::into_inner);
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
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Handler for DeployedHandler {
    fn of_job(&self, job_id: &JobId, created: Option<Millis>) -> JobHandler {
        let loaded = self.get();
        // Jobs of other SDKs have no record. They are run by the newest code.
        let revision = revision_for(&loaded.record, created.unwrap_or(Millis::MAX), job_id);
        match revision.and_then(|revision| loaded.handlers.get(&revision.number)) {
            Some(handler) => JobHandler::Other(handler.clone()),
            None => JobHandler::NotHere(NOT_HERE),
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
