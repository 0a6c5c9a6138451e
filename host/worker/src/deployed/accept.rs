//! Runs code that a call brings along: a task `TASK@sha256:…` is run by the component of that digest, whatever the topic's own code
//! is. Only workers that were told to accept such code do it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::digest::Digest;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::options::Scopes;
use brrr_protocol::ports::{Backend, Ended, Handler, JobHandler, Request, Task};
use brrr_protocol::replay::Replay;
use brrr_protocol::shipping::named_component;

use super::DeployedLoader;
use super::loader::{NotLoaded, Room};
use crate::wasm::WasmHandler;

/// A message comes again after this time, while the component of its call is being fetched and compiled.
const LOADING: Duration = Duration::from_millis(200);

/// The most components that are kept ready. The one that was asked for longest ago goes first.
const MOST: usize = 32;

/// A component that was refused is looked at again after this time, if a call asks for it: it may have been signed, or sent anew.
const REFUSED: Duration = Duration::from_secs(5);

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
    room: Room,
}

#[derive(Clone)]
enum Known {
    Loading,
    Loaded(Arc<WasmHandler>),
    /// It can't be run, for this reason. Since then.
    Refused(String, Instant),
}

impl AcceptingHandler {
    /// Accepts code beside the topic's own. What the code may do is what the loader grants.
    #[must_use]
    pub fn new(own: Arc<dyn Handler>, backend: Arc<dyn Backend>, loader: DeployedLoader) -> Self {
        let shared = Shared { backend, loader, components: Mutex::default(), room: Room::default() };
        Self { own, shared: Arc::new(shared) }
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
            let is_stale = matches!(found.1, Known::Refused(_, since) if since.elapsed() > REFUSED);
            if !is_stale {
                let known = found.1.clone();
                components.push_back(found);
                return known;
            }
        }
        if components.len() >= MOST {
            // One that is being loaded stays, or those that wait for it would load it again and again.
            match components.iter().position(|(_, known)| !matches!(known, Known::Loading)) {
                Some(oldest) => drop(components.remove(oldest)),
                None => return Known::Loading,
            }
        }
        // A component that is no longer kept ready has no room. Calls that it runs go on.
        self.room.keep(|digest| components.iter().any(|(known, _)| known == digest));
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
        loop {
            let reason = match self.loader.accepted(&*self.backend, &self.room, digest).await {
                Ok(handler) => {
                    tracing::info!("component sha256:{digest} came with a call, and is loaded");
                    return Ok(Known::Loaded(Arc::new(handler)));
                }
                Err(NotLoaded::Now(error)) => return Err(error),
                // Large components must not keep out what is asked for now.
                Err(NotLoaded::NoRoom(_)) if self.drop_oldest() => continue,
                Err(NotLoaded::For(reason) | NotLoaded::NoRoom(reason)) => reason,
            };
            tracing::warn!("component sha256:{digest} came with a call, and is refused: {reason}");
            return Ok(Known::Refused(reason, Instant::now()));
        }
    }

    /// Forgets the component that was asked for longest ago, and is not being loaded. False: there is none.
    fn drop_oldest(&self) -> bool {
        let mut components = self.lock();
        let Some(oldest) = components.iter().position(|(_, known)| matches!(known, Known::Loaded(_))) else {
            return false;
        };
        components.remove(oldest);
        self.room.keep(|digest| components.iter().any(|(known, _)| known == digest));
        true
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
            Known::Refused(reason, _) => JobHandler::Never(reason),
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
