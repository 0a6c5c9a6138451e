//! Looks for new revisions of a topic, and loads them before they take jobs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::digest::Digest;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_protocol::records::{DeploymentsRecord, Revision, RevisionState, TaskInfos};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::loader::{NotLoaded, Room};
use super::{DeployedHandler, DeployedLoader, RevisionStates};
use crate::served::ServedTopic;
use crate::topic_worker::{Shutdown, announce};
use crate::wasm::{Guest, WasmHandler};

/// The time between two looks. Behind a network, a look costs more.
const LOOK: Duration = Duration::from_secs(1);
const LOOK_REMOTE: Duration = Duration::from_secs(3);

/// How many revisions are loaded at once. One that takes long does not hold up the others.
const AT_ONCE: usize = 2;

/// How long a worker that starts waits for the newest revision. After that it serves the topic, and calls wait for the revision.
const BEGIN: Duration = Duration::from_secs(30);

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
    room: Arc<Room>,
    /// The revisions that are being loaded.
    loads: JoinSet<Load>,
    loading: HashMap<u64, BTreeSet<Digest>>,
    /// Revisions for which there was no room.
    no_room: BTreeSet<u64>,
    announced: TaskInfos,
}

/// What became of a revision that was loaded.
struct Load {
    number: u64,
    guests: HashMap<Digest, Guest>,
    handler: std::result::Result<WasmHandler, NotLoaded>,
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
            room: Arc::default(),
            loads: JoinSet::new(),
            loading: HashMap::new(),
            no_room: BTreeSet::new(),
            announced: TaskInfos::new(),
        }
    }

    /// Loads the revision that takes new jobs, if there is one. Returns the topic for a worker to serve. If the revision takes long,
    /// the worker serves before it is loaded.
    ///
    /// # Errors
    /// When the store can't be read, or the queue can't be used.
    pub async fn begin(&mut self) -> Result<ServedTopic> {
        self.read().await?;
        if self.known.revisions.is_empty() {
            tracing::info!(
                "nothing is deployed on topic {}; `brrr-host push --topic {} COMPONENT` deploys",
                self.topic,
                self.topic
            );
        }
        let until = Instant::now() + BEGIN;
        self.start_loads();
        // The older ones follow later, unless the newest can't be loaded.
        while self.waits_for_newest() {
            let Ok(load) = tokio::time::timeout_at(until, self.next_load()).await else {
                tracing::warn!("topic {}: its newest revision takes long to load; calls wait for it", self.topic);
                break;
            };
            let Some(load) = load else { break };
            self.take(load).await?;
            self.start_loads();
        }
        let newest = self.handler.newest();
        Ok(ServedTopic {
            topic: self.topic.clone(),
            handler: self.handler.clone().into(),
            tasks: newest.as_ref().map(|handler| handler.infos()).unwrap_or_default(),
            longest_run: newest.map_or(self.loader.limits.wall, |handler| handler.longest_run()),
            revisions: Some(self.states.clone()),
            components: Arc::default(),
        })
    }

    /// True until the newest revision is loaded, or can't be and another one is.
    fn waits_for_newest(&self) -> bool {
        let Some(newest) = self.known.revisions.last() else { return false };
        match self.states.get().get(&newest.number) {
            Some(RevisionState::Loaded) => false,
            Some(RevisionState::Failed(_)) => self.handler.newest().is_none(),
            Some(RevisionState::Loading) | None => true,
        }
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
            let is_loading = !self.loads.is_empty();
            tokio::select! {
                load = self.next_load(), if is_loading => {
                    let taken = match load {
                        Some(load) => self.take(load).await,
                        None => Ok(()),
                    };
                    if let Err(error) = taken {
                        tracing::warn!("a revision of topic {} can't be loaded now: {error}; trying again", self.topic);
                        // Not at once: the next look may have better luck.
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            _ = shutdown.wait() => return,
                        }
                    }
                }
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.wait() => return,
            }
        }
    }

    /// One look: begins to load what is new.
    async fn look(&mut self) -> Result<()> {
        let read = self.read().await;
        self.announce().await;
        read?;
        self.start_loads();
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
        let is_loading = |digest: &Digest| self.loading.values().any(|digests| digests.contains(digest));
        self.room.keep(|digest| self.guests.contains_key(digest) || is_loading(digest));
        if record.resent != self.known.resent {
            // What was missing, damaged or not signed may be there now.
            self.states.forget_failures();
        } else if self.known.revisions.iter().any(|revision| !is_there(revision.number)) {
            // There is room again.
            for number in std::mem::take(&mut self.no_room) {
                self.states.retain(|known| known != number);
            }
        }
        self.known = record;
        Ok(())
    }

    /// Begins to load the newest revisions that are not loaded and may be loaded. They are loaded before they take jobs; older ones
    /// may be needed by jobs that go on.
    fn start_loads(&mut self) {
        let states = self.states.get();
        for revision in self.known.revisions.iter().rev() {
            if self.loads.len() >= AT_ONCE {
                return;
            }
            // Of one that is loading, the store has failed before, unless it is still being loaded.
            let is_wanted = matches!(states.get(&revision.number), None | Some(RevisionState::Loading));
            if !is_wanted || self.loading.contains_key(&revision.number) {
                continue;
            }
            let digests: BTreeSet<Digest> = revision.components.iter().map(|part| part.digest).collect();
            // What another revision is loading is not loaded twice.
            if self.loading.values().any(|others| !others.is_disjoint(&digests)) {
                continue;
            }
            self.states.set(revision.number, RevisionState::Loading);
            let known = self.guests.iter().filter(|(digest, _)| digests.contains(digest));
            let known = known.map(|(digest, guest)| (*digest, guest.clone())).collect();
            self.loading.insert(revision.number, digests);
            self.loads.spawn(load(
                self.loader.clone(),
                self.backend.clone(),
                self.room.clone(),
                revision.clone(),
                known,
            ));
        }
    }

    /// The next revision that was loaded, or could not be. `None`: none is being loaded.
    async fn next_load(&mut self) -> Option<Load> {
        match self.loads.join_next().await? {
            Ok(load) => Some(load),
            // A load never panics, and is aborted only together with this value.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Serves a revision that was loaded. A revision that this worker can't load stays out, and the worker says so.
    async fn take(&mut self, load: Load) -> Result<()> {
        let Load { number, guests, handler } = load;
        self.loading.remove(&number);
        if !self.known.revisions.iter().any(|revision| revision.number == number) {
            // It was removed meanwhile.
            self.states.retain(|known| known != number);
            return Ok(());
        }
        self.guests.extend(guests);
        let reason = match handler {
            Ok(handler) => {
                self.backend.queue().check(&self.topic, handler.longest_run()).await?;
                let tasks: Vec<_> = handler.tasks().map(|task| task.name.clone()).collect();
                self.handler.add(number, Arc::new(handler));
                self.states.set(number, RevisionState::Loaded);
                tracing::info!("topic {}: revision {number} is loaded: {}", self.topic, tasks.join(", "));
                return Ok(());
            }
            Err(NotLoaded::Now(error)) => return Err(error),
            Err(NotLoaded::NoRoom(reason)) => {
                self.no_room.insert(number);
                reason
            }
            Err(NotLoaded::For(reason)) => reason,
        };
        tracing::error!("topic {}: revision {number} can't be loaded: {reason}", self.topic);
        self.states.set(number, RevisionState::Failed(reason));
        Ok(())
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

async fn load(
    loader: DeployedLoader,
    backend: Arc<dyn Backend>,
    room: Arc<Room>,
    revision: Revision,
    known: HashMap<Digest, Guest>,
) -> Load {
    let (guests, handler) = loader.revision(&*backend, &room, &revision, known).await;
    Load { number: revision.number, guests, handler }
}
