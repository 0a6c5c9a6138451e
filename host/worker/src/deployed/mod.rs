//! Serves the code that was pushed to a topic. Which revision runs a job is decided by `brrr_protocol::shipping`, so all workers
//! decide alike.
//!
//! - `handler`: finds the handler of a job; `follow`: looks for new revisions and loads them; `states`: which revisions are
//!   loaded, for people

mod follow;
mod handler;
mod states;

pub use follow::{DeployedLoader, Follower};
pub use handler::DeployedHandler;
pub use states::RevisionStates;
