//! The contract, one file a port.

pub mod backend;
pub mod events;
pub mod jobs;
pub mod leases;
pub mod queue;
pub mod store;
