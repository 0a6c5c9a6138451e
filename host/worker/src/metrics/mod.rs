//! What a worker counts and measures, as instruments of OpenTelemetry. Without a meter of a program that exports them,
//! nothing is recorded.
//!
//! - `labels`: the values of labels, with a bound on their number
//! - `observer`: counts what events report; `gate`: measures runs; `output`: the memory of guests; `backend`: the backend's
//!   operations
//!
//! The names of instruments follow OpenTelemetry. In Prometheus, `brrr.run.duration` in seconds is
//! `brrr_run_duration_seconds`, and a counter such as `brrr.calls` is `brrr_calls_total`.

mod backend;
mod gate;
mod labels;
mod observer;
mod output;

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::events::Observer;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use brrr_protocol::{Error, ErrorKind};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::wasm::Output;
use backend::MeteredBackend;
pub(crate) use gate::MeteredGate;
use labels::Labels;
use observer::MeteredObserver;
use output::MeteredOutput;

/// Bounds of the buckets of a run's duration, in seconds: from a quick Rust guest to the longest useful timeout.
const RUN_SECONDS: [f64; 14] =
    [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0, 600.0];
/// Bounds of the buckets of a backend's operation, in seconds: from memory to a server that hardly answers.
const BACKEND_SECONDS: [f64; 12] =
    [0.000_01, 0.000_05, 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0];
/// Bounds of the buckets of a guest's memory, in bytes: from a small Rust guest to the largest instances.
const MEMORY_BYTES: [f64; 8] =
    [262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 134_217_728.0, 268_435_456.0, 1_073_741_824.0];

/// The instruments of a worker, or of a gateway without a worker.
pub struct Metrics {
    calls: Counter<u64>,
    jobs: Counter<u64>,
    retries: Counter<u64>,
    replays: Counter<u64>,
    dead_letters: Counter<u64>,
    runs: Histogram<f64>,
    memory: Histogram<u64>,
    operations: Histogram<f64>,
    errors: Counter<u64>,
    messages: Gauge<u64>,
    oldest: Gauge<f64>,
    slots: Gauge<u64>,
    slots_used: Gauge<u64>,
    tasks: Labels,
    topics: Labels,
}

impl Metrics {
    /// The instruments of this meter. Whoever made the meter decides what becomes of them.
    #[must_use]
    pub fn new(meter: &Meter) -> Arc<Self> {
        let counter = |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
        let gauge = |name: &'static str, text: &'static str| meter.u64_gauge(name).with_description(text).build();
        let seconds = |name: &'static str, text: &'static str, bounds: &[f64]| {
            meter.f64_histogram(name).with_description(text).with_unit("s").with_boundaries(bounds.to_vec()).build()
        };
        let memory = meter.u64_histogram("brrr.guest.memory").with_unit("By");
        let memory = memory.with_description("The most memory that each run of a component has used");
        let oldest = meter.f64_gauge("brrr.queue.oldest.age").with_unit("s");
        let oldest = oldest.with_description(
            "How long the oldest ready message of a topic has waited. On Redis, at least so long. Absent on SQS",
        );
        Arc::new(Self {
            calls: counter("brrr.calls", "Calls that this worker has ended, by outcome"),
            jobs: counter("brrr.jobs", "Jobs that ended with a call of this worker, by outcome"),
            retries: counter("brrr.call.retries", "Attempts that failed and are tried again"),
            replays: counter("brrr.replays", "Runs that went on after a wait, from their beginning"),
            dead_letters: counter("brrr.dead_letters", "Messages that became dead letters"),
            runs: seconds("brrr.run.duration", "How long each run of a handler took", &RUN_SECONDS),
            memory: memory.with_boundaries(MEMORY_BYTES.to_vec()).build(),
            operations: seconds(
                "brrr.backend.operation.duration",
                "How long each operation of the backend took",
                &BACKEND_SECONDS,
            ),
            errors: counter("brrr.backend.errors", "Operations of the backend that failed, by kind of error"),
            messages: gauge("brrr.queue.messages", "Messages of a topic that wait: ready, or delayed"),
            oldest: oldest.build(),
            slots: gauge("brrr.worker.slots", "How many runs this worker can have at once"),
            slots_used: gauge("brrr.worker.slots.used", "How many runs this worker has now"),
            tasks: Labels::new("task"),
            topics: Labels::new("topic"),
        })
    }

    /// The backend, with its transitions measured.
    #[must_use]
    pub fn of_backend(self: &Arc<Self>, inner: Arc<dyn Backend>) -> Arc<dyn Backend> {
        Arc::new(MeteredBackend::new(inner, self.clone()))
    }

    /// The output, with the memory of runs measured.
    #[must_use]
    pub fn of_output(self: &Arc<Self>, inner: Arc<dyn Output>) -> Arc<dyn Output> {
        Arc::new(MeteredOutput { inner, metrics: self.clone() })
    }

    /// The observer, with its events counted.
    #[must_use]
    pub fn of_observer(self: &Arc<Self>, inner: Option<Arc<dyn Observer>>) -> Arc<dyn Observer> {
        Arc::new(MeteredObserver { inner, metrics: self.clone() })
    }

    pub(crate) fn dead_letter(&self, topic: &Topic) {
        self.dead_letters.add(1, &[self.topics.label(topic.as_str())]);
    }

    fn ran(&self, task: &str, time: Duration) {
        self.runs.record(time.as_secs_f64(), &[self.tasks.label(task)]);
    }

    fn used_memory(&self, task: &str, bytes: u64) {
        self.memory.record(bytes, &[self.tasks.label(task)]);
    }

    fn operated(&self, operation: &'static str, time: Duration, error: Option<&Error>) {
        self.operations.record(time.as_secs_f64(), &[KeyValue::new("operation", operation)]);
        if let Some(error) = error {
            self.failed(operation, error);
        }
    }

    /// Counts a failed operation whose time says nothing, because it waits for messages.
    pub(crate) fn failed(&self, operation: &'static str, error: &Error) {
        // The rest says something of the call, not of the backend.
        if !matches!(error.kind, ErrorKind::Conflict | ErrorKind::Limit | ErrorKind::Malformed) {
            let kind = KeyValue::new("kind", kind(error.kind));
            self.errors.add(1, &[KeyValue::new("operation", operation), kind]);
        }
    }

    pub(crate) fn backlog(&self, topic: &Topic, ready: u64, delayed: u64, oldest: Option<Duration>) {
        let topic = self.topics.label(topic.as_str());
        self.messages.record(ready, &[topic.clone(), KeyValue::new("state", "ready")]);
        self.messages.record(delayed, &[topic.clone(), KeyValue::new("state", "delayed")]);
        if let Some(oldest) = oldest {
            self.oldest.record(oldest.as_secs_f64(), &[topic]);
        }
    }

    pub(crate) fn slots(&self, used: u64, of: u64) {
        self.slots.record(of, &[]);
        self.slots_used.record(used, &[]);
    }
}

/// The word for a kind of error, for labels.
fn kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Full => "full",
        ErrorKind::ReadOnly => "read-only",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::NewerSchema => "newer-schema",
        ErrorKind::NewerRecord => "newer-record",
        ErrorKind::NotSetUp => "not-set-up",
        ErrorKind::Config => "config",
        ErrorKind::Malformed => "malformed",
        ErrorKind::Limit => "limit",
        ErrorKind::Conflict => "conflict",
        ErrorKind::Internal => "internal",
    }
}
