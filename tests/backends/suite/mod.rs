//! The contract of backends, one file a port.

pub mod backend;
pub mod doctor;
pub mod events;
pub mod gc;
pub mod jobs;
pub mod joining;
pub mod leases;
pub mod listing;
pub mod logs;
pub mod parents;
pub mod queue;
pub mod shipping;
pub mod starting;
pub mod store;
