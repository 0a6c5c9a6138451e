//! Serves the code that was pushed to a topic. Which revision runs a job is decided by `brrr_protocol::shipping`, so all workers
//! decide alike.
//!
//! - `loader`: makes handlers of components that come from the store, within bounds
//! - `accept`: runs code that a call brings along
//! - `handler`: finds the handler of a job; `follow`: looks for new revisions and loads them; `states`: which revisions are
//!   loaded, for people

mod accept;
mod follow;
mod handler;
mod loader;
mod states;

pub use accept::AcceptingHandler;
pub use follow::Follower;
pub use handler::DeployedHandler;
pub use loader::DeployedLoader;
pub use states::RevisionStates;
