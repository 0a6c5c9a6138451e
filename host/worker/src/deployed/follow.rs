//! Looks for new revisions of a topic, and loads them before they take jobs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::digest::Digest;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_protocol::records::{DeploymentsRecord, Revision, RevisionState, TaskInfos};
use brrr_protocol::shipping::get_component;
use brrr_protocol::{Error, Result};

use super::{DeployedHandler, RevisionStates};
use crate::permissions::Grants;
use crate::served::ServedTopic;
use crate::topic_worker::{Shutdown, announce};
use crate::wasm::{Engine, Guest, LoadError, Output, Overrides, RunLimits, WasmHandler};

/// The time between two looks. Behind a network, a look costs more.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_REMOTE: Duration = Duration::from_secs(3);

/// Makes handlers of components that come from the store. What they may do is the worker's to say: nothing in a pushed revision
/// grants anything.
#[derive(Clone)]
pub struct DeployedLoader {
    /// Runs the components.
    pub engine: Arc<Engine>,
    /// The limits of one run.
    pub limits: RunLimits,
    /// The worker's options of tasks.
    pub overrides: Overrides,
    /// Gets what the components print.
    pub output: Arc<dyn Output>,
    /// What the components may access.
    pub grants: Grants,
}

impl DeployedLoader {
    /// Compiles a component, unless it is in the cache, and asks for its tasks.
    async fn guest(&self, name: &str, bytes: Vec<u8>) -> std::result::Result<Guest, LoadError> {
        let guest = Guest::from_bytes(&self.engine, Path::new(name), bytes, &|_| {}).await?;
        Ok(guest.allowing(self.grants.clone()))
    }
}

impl DeployedLoader {
    /// Loads a component that a call has brought along. `Err` inside: it can't be run, for this reason.
    pub(super) async fn accepted(
        &self,
        backend: &dyn Backend,
        digest: Digest,
    ) -> Result<std::result::Result<WasmHandler, String>> {
        let bytes = match get_component(backend.store(), &digest).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Err("it is not in the store".to_owned())),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let guest = match self.guest("component", bytes.into()).await {
            Ok(guest) => guest,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let handler = WasmHandler::at(guest, digest, self.limits.clone(), &self.overrides, self.output.clone());
        Ok(handler.map_err(|error| error.to_string()))
    }
}

/// Why a revision is not loaded.
enum NotLoaded {
    /// It can't be loaded by this worker.
    For(String),
    /// The store failed. The next look tries again.
    Now(Error),
}

impl From<Error> for NotLoaded {
    fn from(error: Error) -> Self {
        if error.is_transient() { Self::Now(error) } else { Self::For(error.to_string()) }
    }
}

impl From<LoadError> for NotLoaded {
    fn from(error: LoadError) -> Self {
        Self::For(error.to_string())
    }
}

/// Follows the revisions of a topic.
pub struct Follower {
    backend: Arc<dyn Backend>,
    topic: Topic,
    loader: DeployedLoader,
    handler: Arc<DeployedHandler>,
    states: Arc<RevisionStates>,
    known: DeploymentsRecord,
    /// The components of the revisions that are loaded, by their digests. Two revisions may share some.
    guests: HashMap<Digest, Guest>,
    announced: TaskInfos,
}

impl Follower {
    /// Follows the revisions of this topic. Nothing is read yet.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, topic: Topic, loader: DeployedLoader) -> Self {
        let handler = Arc::new(DeployedHandler::new(Client::new(backend.clone()), topic.clone()));
        Self {
            backend,
            topic,
            loader,
            handler,
            states: Arc::default(),
            known: DeploymentsRecord::default(),
            guests: HashMap::new(),
            announced: TaskInfos::new(),
        }
    }

    /// Loads the revision that takes new jobs, if there is one. Returns the topic for a worker to serve.
    ///
    /// # Errors
    /// When the store can't be read, or the queue can't be used.
    pub async fn begin(&mut self) -> Result<ServedTopic> {
        self.read().await?;
        match self.wanted() {
            Some(newest) => self.load(&newest).await?,
            None => tracing::info!(
                "nothing is deployed on topic {}; `brrr-host push --topic {} COMPONENT` deploys",
                self.topic,
                self.topic
            ),
        }
        let newest = self.handler.newest();
        Ok(ServedTopic {
            topic: self.topic.clone(),
            handler: self.handler.clone().into(),
            tasks: newest.as_ref().map(|handler| handler.infos()).unwrap_or_default(),
            longest_run: newest.map_or(self.loader.limits.wall, |handler| handler.longest_run()),
            revisions: Some(self.states.clone()),
            accepts_code: false,
        })
    }

    /// Looks for new revisions until the worker is asked to stop.
    pub async fn follow(mut self, shutdown: Shutdown) {
        let pause = if self.backend.is_remote() { LOOK_REMOTE } else { LOOK };
        let mut told = String::new();
        loop {
            let looked = tokio::select! {
                looked = self.look() => looked,
                _ = shutdown.wait() => return,
            };
            let text = looked.map_or_else(|error| error.to_string(), |()| String::new());
            if !text.is_empty() && text != told {
                tracing::warn!("the revisions of topic {} can't be followed: {text}; trying again", self.topic);
            }
            told = text;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.wait() => return,
            }
        }
    }

    /// One look: loads what is new.
    async fn look(&mut self) -> Result<()> {
        self.read().await?;
        // The newest first. It is loaded before it takes jobs; older ones may be needed by jobs that go on.
        while let Some(next) = self.wanted() {
            self.load(&next).await?;
            self.announce().await;
            self.read().await?;
        }
        self.announce().await;
        Ok(())
    }

    /// Reads the record, and goes by it.
    async fn read(&mut self) -> Result<()> {
        let record = self.handler.read().await?;
        if record == self.known {
            return Ok(());
        }
        let is_there = |number: u64| record.revisions.iter().any(|revision| revision.number == number);
        self.states.retain(is_there);
        let used = |digest: &Digest| {
            record.revisions.iter().any(|revision| revision.components.iter().any(|part| part.digest == *digest))
        };
        self.guests.retain(|digest, _| used(digest));
        self.known = record;
        Ok(())
    }

    /// The newest revision that is not loaded and may be loaded.
    fn wanted(&self) -> Option<Revision> {
        let states = self.states.get();
        let is_wanted = |revision: &&Revision| {
            // Of one that is loading, the store has failed before.
            matches!(states.get(&revision.number), None | Some(RevisionState::Loading))
        };
        self.known.revisions.iter().rev().find(is_wanted).cloned()
    }

    /// Loads a revision. A revision that this worker can't load stays out, and the worker says so.
    async fn load(&mut self, revision: &Revision) -> Result<()> {
        let number = revision.number;
        self.states.set(number, RevisionState::Loading);
        match self.handler_of(revision).await {
            Ok(handler) => {
                self.backend.queue().check(&self.topic, handler.longest_run()).await?;
                let tasks: Vec<_> = handler.tasks().map(|task| task.name.clone()).collect();
                self.handler.add(number, Arc::new(handler));
                self.states.set(number, RevisionState::Loaded);
                tracing::info!("topic {}: revision {number} is loaded: {}", self.topic, tasks.join(", "));
                Ok(())
            }
            Err(NotLoaded::Now(error)) => Err(error),
            Err(NotLoaded::For(reason)) => {
                tracing::error!("topic {}: revision {number} can't be loaded: {reason}", self.topic);
                self.states.set(number, RevisionState::Failed(reason));
                Ok(())
            }
        }
    }

    async fn handler_of(&mut self, revision: &Revision) -> std::result::Result<WasmHandler, NotLoaded> {
        let mut guests = Vec::with_capacity(revision.components.len());
        for part in &revision.components {
            let guest = match self.guests.get(&part.digest) {
                Some(guest) => guest.clone(),
                None => {
                    let bytes = get_component(self.backend.store(), &part.digest).await?;
                    let bytes = bytes.ok_or_else(|| {
                        NotLoaded::For(format!("component {} ({}) is not in the store", part.name, part.digest))
                    })?;
                    let guest = self.loader.guest(&part.name, bytes.into()).await?;
                    self.guests.insert(part.digest, guest.clone());
                    guest
                }
            };
            guests.push(guest);
        }
        let DeployedLoader { limits, overrides, output, .. } = &self.loader;
        Ok(WasmHandler::new(guests, limits.clone(), overrides, output.clone())?)
    }

    /// Announces the tasks of the revision that takes new jobs.
    async fn announce(&mut self) {
        let Some(newest) = self.handler.newest() else { return };
        let infos = newest.infos();
        if infos == self.announced {
            return;
        }
        match announce(&*self.backend, &self.topic, &infos).await {
            Ok(()) => self.announced = infos,
            // It only helps gateways, and the next look announces again.
            Err(error) => tracing::warn!("the tasks of topic {} are not announced: {error}", self.topic),
        }
    }
}
