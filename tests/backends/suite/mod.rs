//! The contract, one file a port.

pub mod backend;
pub mod leases;
pub mod queue;
pub mod store;
