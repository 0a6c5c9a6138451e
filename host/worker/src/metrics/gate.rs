//! A gate that measures the runs that it lets start.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use brrr_protocol::gate::{Entry, Gate};
use brrr_protocol::ports::Task;

use super::Metrics;

pub(crate) struct MeteredGate<'a> {
    pub inner: &'a dyn Gate,
    pub metrics: &'a Arc<Metrics>,
}

/// A current run. It ends when this is dropped.
struct MeteredRun {
    task: String,
    began: Instant,
    metrics: Arc<Metrics>,
    _inner: Box<dyn Send>,
}

#[async_trait]
impl Gate for MeteredGate<'_> {
    async fn enter(&self, name: &str, task: &Task) -> Entry {
        match self.inner.enter(name, task).await {
            Entry::Granted(inner) => Entry::Granted(Box::new(MeteredRun {
                task: name.to_owned(),
                began: Instant::now(),
                metrics: self.metrics.clone(),
                _inner: inner,
            })),
            refused @ Entry::NotNow(_) => refused,
        }
    }
}

impl Drop for MeteredRun {
    fn drop(&mut self) {
        self.metrics.ran(&self.task, self.began.elapsed());
    }
}
