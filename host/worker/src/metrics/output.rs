//! An output that also measures the memory of runs.

use std::sync::Arc;

use brrr_protocol::model::{CallHash, JobId};

use super::Metrics;
use crate::wasm::{Output, OutputLine, Touched};

pub(super) struct MeteredOutput {
    pub inner: Arc<dyn Output>,
    pub metrics: Arc<Metrics>,
}

impl Output for MeteredOutput {
    fn write(&self, line: OutputLine<'_>) {
        self.inner.write(line);
    }

    fn touched(&self, touched: Touched<'_>) {
        self.inner.touched(touched);
    }

    fn traceparent(&self, job_id: &JobId, call: &CallHash) -> Option<String> {
        self.inner.traceparent(job_id, call)
    }

    fn used_memory(&self, task: &str, bytes: u64) {
        self.metrics.used_memory(task, bytes);
        self.inner.used_memory(task, bytes);
    }
}
