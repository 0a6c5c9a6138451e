//! What the gateway needs for components that clients upload.

use std::sync::Arc;

use brrr_protocol::shipping::LARGEST_COMPONENT;
use tokio::sync::{OnceCell, Semaphore};

use super::body::{Bodies, Room};
use super::pace::Pace;
use crate::wasm::Engine;

/// The most bytes of all components that are received at once: one of the largest, or several of the usual size.
const RECEIVED: usize = LARGEST_COMPONENT as usize;

/// The memory and the compiler for uploads.
pub struct Uploads {
    /// The memory for components that are received.
    pub room: Room,
    /// The compiler, which is made for the first upload. It asks components for their tasks.
    pub engine: OnceCell<Arc<Engine>>,
    /// One component is compiled at a time: that takes all cores, and much memory.
    pub compiling: Semaphore,
}

impl Uploads {
    /// Uploads whose clients must keep this pace.
    pub fn new(pace: Pace) -> Self {
        let components =
            Bodies { most: LARGEST_COMPONENT as usize, all: RECEIVED, too_large: "a component has at most 256 MiB" };
        Self { room: Room::of(components, pace), engine: OnceCell::new(), compiling: Semaphore::new(1) }
    }
}
