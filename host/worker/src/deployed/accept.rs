//! Runs code that a call brings along: a task `TASK@sha256:…` is run by the component of that digest, whatever the topic's own code
//! is. Only workers that were told to accept such code do it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::digest::Digest;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Backend, Ended, Handler, JobHandler, Request, Task};
use brrr_protocol::replay::Replay;
use brrr_protocol::shipping::named_component;

use super::DeployedLoader;
use crate::wasm::WasmHandler;

/// A message comes again after this time, while the component of its call is being fetched and compiled.
const LOADING: Duration = Duration::from_millis(200);

/// The most components that are kept ready. The one that was asked for longest ago goes first.
const MOST: usize = 32;

/// A handler of a topic that also runs code that calls bring along.
pub struct AcceptingHandler {
    own: Arc<dyn Handler>,
    shared: Arc<Shared>,
}

struct Shared {
    backend: Arc<dyn Backend>,
    loader: DeployedLoader,
    /// The component that was asked for last is the last one.
    components: Mutex<VecDeque<(Digest, Known)>>,
}

#[derive(Clone)]
enum Known {
    Loading,
    Loaded(Arc<WasmHandler>),
    /// It can't be run, for this reason.
    Refused(String),
}

impl AcceptingHandler {
    /// Accepts code beside the topic's own. What the code may do is what the loader grants.
    #[must_use]
    pub fn new(own: Arc<dyn Handler>, backend: Arc<dyn Backend>, loader: DeployedLoader) -> Self {
        Self { own, shared: Arc::new(Shared { backend, loader, components: Mutex::default() }) }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, VecDeque<(Digest, Known)>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a component. A component that nobody has asked for begins to be loaded.
    fn ask(self: &Arc<Self>, digest: Digest) -> Known {
        let mut components = self.lock();
        if let Some(index) = components.iter().position(|(known, _)| *known == digest)
            && let Some(found) = components.remove(index)
        {
            let known = found.1.clone();
            components.push_back(found);
            return known;
        }
        if components.len() >= MOST {
            components.pop_front();
        }
        components.push_back((digest, Known::Loading));
        let shared = self.clone();
        tokio::spawn(async move {
            let loaded = shared.load(digest).await;
            let mut components = shared.lock();
            match (components.iter_mut().find(|(known, _)| *known == digest), loaded) {
                (Some(entry), Ok(known)) => entry.1 = known,
                // The next message tries again.
                (Some(_), Err(error)) => {
                    tracing::warn!("component sha256:{digest} can't be fetched: {error}");
                    components.retain(|(known, _)| *known != digest);
                }
                (None, _) => {}
            }
        });
        Known::Loading
    }

    async fn load(&self, digest: Digest) -> Result<Known> {
        Ok(match self.loader.accepted(&*self.backend, digest).await? {
            Ok(handler) => {
                tracing::info!("component sha256:{digest} came with a call, and is loaded");
                Known::Loaded(Arc::new(handler))
            }
            Err(reason) => {
                tracing::warn!("component sha256:{digest} came with a call, and is refused: {reason}");
                Known::Refused(reason)
            }
        })
    }
}

#[async_trait]
impl Handler for AcceptingHandler {
    fn of_call(&self, task: &str, job_id: &JobId, created: Option<Millis>) -> JobHandler {
        let Some((_, digest)) = named_component(task) else {
            return self.own.of_call(task, job_id, created);
        };
        match self.shared.ask(digest) {
            Known::Loading => JobHandler::NotHere(LOADING),
            Known::Loaded(handler) => JobHandler::Other(handler),
            Known::Refused(reason) => JobHandler::Never(reason),
        }
    }

    async fn refresh(&self) -> Result<()> {
        self.own.refresh().await
    }

    fn task(&self, task: &str) -> Option<Arc<Task>> {
        self.own.task(task)
    }

    fn scopes(&self) -> Arc<Scopes> {
        self.own.scopes()
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        self.own.run(request, replay).await
    }
}
