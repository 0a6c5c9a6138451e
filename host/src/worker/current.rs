//! The handler of a worker, which another one may replace while it works.

use std::sync::{Arc, PoisonError, RwLock};

use brrr_protocol::ports::Handler;

/// The handler that a worker uses for the next message. Clones are one and the same.
///
/// A message is worked on with the handler that was there when it came, to its end: what it is told of a task and what
/// runs it are of one version.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<dyn Handler>>>);

impl Current {
    #[must_use]
    pub fn get(&self) -> Arc<dyn Handler> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs that have begun end on the old one, which is dropped with the last of them.
    pub fn replace(&self, handler: Arc<dyn Handler>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = handler;
    }
}

impl From<Arc<dyn Handler>> for Current {
    fn from(handler: Arc<dyn Handler>) -> Self {
        Self(Arc::new(RwLock::new(handler)))
    }
}

impl<H: Handler + 'static> From<Arc<H>> for Current {
    fn from(handler: Arc<H>) -> Self {
        Self::from(handler as Arc<dyn Handler>)
    }
}
