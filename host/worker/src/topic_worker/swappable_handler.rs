//! The handler of a worker. It can be replaced while the worker runs.

use std::sync::{Arc, PoisonError, RwLock};

use brrr_protocol::ports::Handler;

/// The handler that a worker uses for the next message. All clones share the handler.
///
/// A message is processed to its end with the handler that was there when the message was received. So the task's
/// options and its code are of the same version.
#[derive(Clone)]
pub struct SwappableHandler(Arc<RwLock<Arc<dyn Handler>>>);

impl SwappableHandler {
    /// The current handler.
    #[must_use]
    pub fn get(&self) -> Arc<dyn Handler> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the handler. Runs that have begun end on the old handler, which is dropped with the last of them.
    pub fn replace(&self, handler: Arc<dyn Handler>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = handler;
    }
}

impl From<Arc<dyn Handler>> for SwappableHandler {
    fn from(handler: Arc<dyn Handler>) -> Self {
        Self(Arc::new(RwLock::new(handler)))
    }
}

impl<H: Handler + 'static> From<Arc<H>> for SwappableHandler {
    fn from(handler: Arc<H>) -> Self {
        Self::from(handler as Arc<dyn Handler>)
    }
}
