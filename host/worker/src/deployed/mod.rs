//! Serves the code that was pushed to a topic. Which revision runs a job is decided by `brrr_protocol::shipping`, so all workers
//! decide alike.
//!
//! - `accept`: runs code that a call brings along
//! - `handler`: finds the handler of a job; `follow`: looks for new revisions and loads them; `states`: which revisions are
//!   loaded, for people

mod accept;
mod follow;
mod handler;
mod states;

pub use accept::AcceptingHandler;
pub use follow::{DeployedLoader, Follower};
pub use handler::DeployedHandler;
pub use states::RevisionStates;
