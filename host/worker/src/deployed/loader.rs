//! Makes handlers of components that come from the store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use brrr_protocol::Error;
use brrr_protocol::digest::Digest;
use brrr_protocol::ports::Backend;
use brrr_protocol::records::{DeployedComponent, Revision};
use brrr_protocol::shipping::{get_manifest, read_component};
use tokio::sync::Semaphore;

use crate::permissions::Grants;
use crate::signatures::TrustedKeys;
use crate::text::shortened;
use crate::wasm::{Engine, Guest, LoadError, Output, Overrides, RunLimits, WasmHandler};

/// How many components are fetched and compiled at once. Each may take as much memory as the largest component and its compilation
/// need, and a core. With two, one that takes long does not hold up the others.
const AT_ONCE: usize = 2;

/// The most bytes of all components that are loaded from the store at once, as WebAssembly. Compiled they take some times as much,
/// most of it in files that the system can drop. Ten revisions of four components as large as `CPython` have 800 MB.
const MOST_LOADED: u64 = 1 << 30;

/// The most bytes of the name of a component that are shown. Those who push choose it.
const LONGEST_NAME: usize = 100;

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
    /// The keys whose signatures count. Without keys, all components may run.
    pub trust: TrustedKeys,
}

/// Why a component or revision is not loaded.
pub(super) enum NotLoaded {
    /// It can't be loaded by this worker.
    For(String),
    /// There is no room for it beside those that are loaded.
    NoRoom(String),
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

/// The room for components that are loaded. Whoever can write the store can push many large ones.
pub(super) struct Room {
    taken: Mutex<HashMap<Digest, u64>>,
    loading: Semaphore,
}

impl Default for Room {
    fn default() -> Self {
        Self { taken: Mutex::default(), loading: Semaphore::new(AT_ONCE) }
    }
}

impl Room {
    /// Takes room for a component. A component that has room already needs no more.
    fn take(&self, digest: Digest, size: u64) -> std::result::Result<(), NotLoaded> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let others: u64 = taken.iter().filter(|(known, _)| **known != digest).map(|(_, size)| size).sum();
        if others + size > MOST_LOADED {
            return Err(NotLoaded::NoRoom(format!(
                "the components that this worker has loaded would have more than {} MiB together; remove revisions",
                MOST_LOADED >> 20
            )));
        }
        taken.insert(digest, size);
        Ok(())
    }

    /// Frees the room of all other components.
    pub fn keep(&self, is_kept: impl Fn(&Digest) -> bool) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).retain(|digest, _| is_kept(digest));
    }
}

impl DeployedLoader {
    /// Fetches a component, compiles it unless it is in the cache, and asks for its tasks. `name`: what to call it.
    async fn guest(
        &self,
        backend: &dyn Backend,
        room: &Room,
        digest: &Digest,
        name: &str,
    ) -> std::result::Result<Guest, NotLoaded> {
        let loaded = self.guest_with_room(backend, room, digest, name).await;
        if loaded.is_err() {
            room.keep(|known| known != digest);
        }
        loaded
    }

    async fn guest_with_room(
        &self,
        backend: &dyn Backend,
        room: &Room,
        digest: &Digest,
        name: &str,
    ) -> std::result::Result<Guest, NotLoaded> {
        let missing = || NotLoaded::For(format!("component {name} (sha256:{digest}) is not in the store"));
        // The semaphore is never closed.
        let _turn = room.loading.acquire().await;
        let manifest = get_manifest(backend.store(), digest).await?.ok_or_else(missing)?;
        room.take(*digest, manifest.size)?;
        let bytes = read_component(backend.store(), &manifest).await?;
        let trust = (&self.trust, manifest.signatures);
        let guest = Guest::from_signed(&self.engine, Path::new(name), bytes.into(), trust, &|_| {}).await?;
        if let Some(signer) = &guest.signer {
            tracing::info!("component {name} (sha256:{digest}) is signed by {signer}");
        }
        Ok(guest.allowing(self.grants.clone()))
    }

    /// Loads a component that a call has brought along.
    pub(super) async fn accepted(
        &self,
        backend: &dyn Backend,
        room: &Room,
        digest: Digest,
    ) -> std::result::Result<WasmHandler, NotLoaded> {
        let guest = self.guest(backend, room, &digest, "component").await?;
        let handler = WasmHandler::at(guest, digest, self.limits.clone(), &self.overrides, self.output.clone());
        handler.map_err(NotLoaded::from)
    }

    /// Loads a revision. `known`: components that are loaded. Returns those that were loaded now as well, also if not all could be.
    pub(super) async fn revision(
        &self,
        backend: &dyn Backend,
        room: &Room,
        revision: &Revision,
        mut known: HashMap<Digest, Guest>,
    ) -> (HashMap<Digest, Guest>, std::result::Result<WasmHandler, NotLoaded>) {
        let mut guests = Vec::with_capacity(revision.components.len());
        for DeployedComponent { digest, name } in &revision.components {
            let guest = match known.get(digest) {
                Some(guest) => guest.clone(),
                None => match self.guest(backend, room, digest, &shortened(name, LONGEST_NAME)).await {
                    Ok(guest) => guest,
                    Err(reason) => return (known, Err(reason)),
                },
            };
            known.insert(*digest, guest.clone());
            guests.push(guest);
        }
        let handler = WasmHandler::new(guests, self.limits.clone(), &self.overrides, self.output.clone());
        (known, handler.map_err(NotLoaded::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_bounded() {
        let room = Room::default();
        let digest = |n: u8| Digest::of(&[n]);
        for n in 0..4 {
            assert!(room.take(digest(n), 256 << 20).is_ok());
        }
        assert!(matches!(room.take(digest(9), 1), Err(NotLoaded::NoRoom(_))));
        assert!(room.take(digest(0), 256 << 20).is_ok(), "it has its room");
        room.keep(|known| *known != digest(0));
        assert!(room.take(digest(9), 1).is_ok());
    }
}
