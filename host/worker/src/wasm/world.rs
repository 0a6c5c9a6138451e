//! The worlds that a guest may be built for. Only this module knows how they differ. The interface that a component exports
//! tells its world. Guests of all worlds can run in one worker and call each other, because a call does not depend on a
//! world.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::brrr::worker::types;
use super::bindings::{self, Worker, WorkerPre};
use super::outcome::Returned;
use super::state::State;
use super::{calls, concurrent};

/// The version of `brrr:worker` that this host supports. Components of a later patch version are served as well.
pub const WIT_VERSION: &str = "0.2.0";

/// A world of `brrr:worker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `worker`: the guest asks for the outcomes of calls with `poll`, and waits.
    Plain,
    /// `worker-async`: `poll`, and the handler itself, are asynchronous functions.
    Concurrent,
}

impl World {
    const ALL: [Self; 2] = [Self::Plain, Self::Concurrent];

    /// The world of a component that exports this interface, whatever its version is.
    pub(super) fn find(interface: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|world| interface == world.handler())
    }

    /// The interface that its components export.
    fn handler(self) -> &'static str {
        match self {
            Self::Plain => "brrr:worker/handler",
            Self::Concurrent => "brrr:worker/handler-async",
        }
    }

    /// The interface of `brrr:worker` by which its guests call.
    pub(super) fn tasks(self) -> &'static str {
        match self {
            Self::Plain => "tasks",
            Self::Concurrent => "tasks-async",
        }
    }

    /// The name of the world.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "worker",
            Self::Concurrent => "worker-async",
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

/// Does this host support this version of `brrr:worker`? Before 1.0, versions with the same minor number are compatible.
pub(super) fn is_supported(version: &str) -> bool {
    let minor = |v: &str| v.rsplit_once('.').map(|(head, _)| head.to_owned());
    minor(version).is_some() && minor(version) == minor(WIT_VERSION)
}

/// A component of one of the worlds, ready to be instantiated.
#[derive(Clone)]
pub(super) enum Template {
    Plain(WorkerPre<State>),
    Concurrent(bindings::concurrent::WorkerAsyncPre<State>),
}

/// An instance, in the store that it was made in.
pub(super) enum Instance {
    Plain(Worker),
    Concurrent(bindings::concurrent::WorkerAsync),
}

impl Template {
    /// Resolves the imports of a component, and checks the types of its exports.
    pub fn new(world: World, linker: &Linker<State>, component: &Component) -> wasmtime::Result<Self> {
        let component = linker.instantiate_pre(component)?;
        Ok(match world {
            World::Plain => Self::Plain(WorkerPre::new(component)?),
            World::Concurrent => Self::Concurrent(bindings::concurrent::WorkerAsyncPre::new(component)?),
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
    /// Asks the guest what it is.
    pub async fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<types::Component> {
        match self {
            Self::Plain(guest) => guest.brrr_worker_handler().call_describe(store).await,
            Self::Concurrent(guest) => guest.brrr_worker_handler_async().call_describe(store).await,
        }
    }

    /// Runs the guest's handler of a call.
    pub async fn handle(&self, store: &mut Store<State>, request: &types::Request) -> Returned {
        match self {
            Self::Plain(guest) => guest.brrr_worker_handler().call_handle(store, request).await,
            // This future is large. Boxing it keeps it out of the future of a plain guest.
            Self::Concurrent(guest) => Box::pin(concurrent::handle(guest, store, request)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_the_same_minor_are_supported() {
        assert!(is_supported("0.2.0") && is_supported("0.2.7"));
        assert!(!is_supported("0.1.0") && !is_supported("0.3.0") && !is_supported("") && !is_supported("2"));
    }

    #[test]
    fn the_exported_interface_tells_the_world() {
        assert_eq!(World::find("brrr:worker/handler"), Some(World::Plain));
        assert_eq!(World::find("brrr:worker/handler-async"), Some(World::Concurrent));
        assert_eq!(World::find("brrr:worker/tasks"), None);
    }
}
