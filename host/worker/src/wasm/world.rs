//! The worlds that a guest may be built for. Only this module knows how the versions of `brrr:worker` differ. The
//! version of the exported `handler` tells the world. Guests of all worlds can run in one worker and call each other,
//! because a call does not depend on a world.

use std::fmt;

use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::exports::brrr::worker::handler;
use super::bindings::{self, Worker, WorkerPre};
use super::outcome::Returned;
use super::state::State;
use super::{calls, concurrent};

/// The interface that identifies a component as a guest. Its version is the guest's version.
pub(super) const HANDLER: &str = "brrr:worker/handler";

/// The versions of `brrr:worker` that this host supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// 0.1: the guest asks for the outcomes of calls with `poll`, and waits.
    Plain,
    /// 0.2: calls, and the handler itself, are asynchronous functions.
    Concurrent,
}

impl World {
    const ALL: [Self; 2] = [Self::Plain, Self::Concurrent];

    /// The world of this version of [`HANDLER`].
    pub(super) fn find(version: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| same_minor(version, world.version()))
    }

    /// The newest version of the world.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Plain => "0.1.0",
            Self::Concurrent => "0.2.0",
        }
    }

    /// Links what the world's guests import from `brrr:worker`.
    pub(super) fn add_to_linker(self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        match self {
            Self::Plain => calls::add_to_linker(linker),
            Self::Concurrent => concurrent::add_to_linker(linker),
        }
    }
}

/// All versions, for messages.
pub(super) struct Versions;

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&World::ALL.map(World::version).join(" and "))
    }
}

/// A component of one of the worlds, ready to be instantiated.
pub(super) enum Template {
    Plain(WorkerPre<State>),
    Concurrent(bindings::concurrent::WorkerPre<State>),
}

/// An instance, in the store that it was made in.
pub(super) enum Instance {
    Plain(Worker),
    Concurrent(bindings::concurrent::Worker),
}

impl Template {
    /// Resolves the imports of a component, and checks the types of its exports.
    pub fn new(world: World, linker: &Linker<State>, component: &Component) -> wasmtime::Result<Self> {
        let component = linker.instantiate_pre(component)?;
        Ok(match world {
            World::Plain => Self::Plain(WorkerPre::new(component)?),
            World::Concurrent => Self::Concurrent(bindings::concurrent::WorkerPre::new(component)?),
        })
    }

    /// Makes an instance in this store.
    pub async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        Ok(match self {
            Self::Plain(template) => Instance::Plain(template.instantiate_async(store).await?),
            Self::Concurrent(template) => Instance::Concurrent(template.instantiate_async(store).await?),
        })
    }
}

impl Instance {
    /// Asks the guest for its tasks.
    pub async fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<Vec<handler::Task>> {
        match self {
            Self::Plain(guest) => guest.brrr_worker_handler().call_describe(store).await,
            Self::Concurrent(guest) => concurrent::describe(guest, store).await,
        }
    }

    /// Runs the guest's handler of a call.
    pub async fn handle(&self, store: &mut Store<State>, request: &handler::Request) -> Returned {
        match self {
            Self::Plain(guest) => guest.brrr_worker_handler().call_handle(store, request).await,
            // This future is large. Boxing it keeps it out of the future of a plain guest.
            Self::Concurrent(guest) => Box::pin(concurrent::handle(guest, store, request)).await,
        }
    }
}

/// Before 1.0, versions with the same minor number are compatible.
fn same_minor(a: &str, b: &str) -> bool {
    let minor = |v: &str| v.rsplit_once('.').map(|(head, _)| head.to_owned());
    a == b || (minor(a).is_some() && minor(a) == minor(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_the_same_minor_are_compatible() {
        assert!(same_minor("0.1.0", "0.1.0"));
        assert!(same_minor("0.1.7", "0.1.0"));
        assert!(!same_minor("0.9.0", "0.1.0"));
        assert!(!same_minor("", "0.1.0"));
        assert_eq!(World::find("0.1.3"), Some(World::Plain));
        assert_eq!(World::find("0.2.0"), Some(World::Concurrent));
        assert_eq!(World::find("0.3.0"), None);
        assert_eq!(Versions.to_string(), "0.1.0 and 0.2.0");
    }
}
