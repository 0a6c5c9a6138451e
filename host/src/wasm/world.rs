//! The worlds that a guest may be built for. The one place to add another: a further version of `brrr:worker`, or one
//! whose `handle` is asynchronous, is a variant here, with bindings of its own, chosen by what the component exports.
//!
//! Two can be linked side by side, as their interfaces differ by version. Today there is one.

use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use super::bindings::exports::brrr::worker::handler;
use super::bindings::{Worker, WorkerPre};
use super::calls;
use super::outcome::Returned;
use super::state::State;

/// The version of `brrr:worker` that this host speaks.
pub const WIT_VERSION: &str = "0.1.0";

/// The interface by which a component is known to be a guest; its version is the guest's.
pub(super) const HANDLER: &str = "brrr:worker/handler";

/// Can a guest that exports this version of [`HANDLER`] be served?
pub(super) fn serves(version: &str) -> bool {
    same_minor(version, WIT_VERSION)
}

/// Links what guests of every world import.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    calls::add_to_linker(linker)
}

/// A component of one of the worlds, ready to be instantiated.
pub(super) struct Template(WorkerPre<State>);

/// An instance, in the store that it was made in.
pub(super) struct Instance(Worker);

impl Template {
    pub fn new(linker: &Linker<State>, component: &Component) -> wasmtime::Result<Self> {
        linker.instantiate_pre(component).and_then(WorkerPre::new).map(Self)
    }

    pub async fn instantiate(&self, store: &mut Store<State>) -> wasmtime::Result<Instance> {
        self.0.instantiate_async(store).await.map(Instance)
    }
}

impl Instance {
    pub async fn describe(&self, store: &mut Store<State>) -> wasmtime::Result<Vec<handler::Task>> {
        self.0.brrr_worker_handler().call_describe(store).await
    }

    pub async fn handle(&self, store: &mut Store<State>, request: &handler::Request) -> Returned {
        self.0.brrr_worker_handler().call_handle(store, request).await
    }
}

/// Before 1.0, the minor version is the one that promises compatibility.
fn same_minor(a: &str, b: &str) -> bool {
    let minor = |v: &str| v.rsplit_once('.').map(|(head, _)| head.to_owned());
    a == b || (minor(a).is_some() && minor(a) == minor(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_agree_by_their_minor() {
        assert!(same_minor("0.1.0", "0.1.0"));
        assert!(same_minor("0.1.7", "0.1.0"));
        assert!(!same_minor("0.9.0", "0.1.0"));
        assert!(!same_minor("", "0.1.0"));
    }
}
