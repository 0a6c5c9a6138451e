//! Exports traces by OTLP: a span for each call of the traced jobs, from the worker that ends the call.
//!
//! The trace id is the job's id, and a span's id follows from the hash of its call. So workers need not agree on either, and on
//! which jobs are traced: the sampler decides by the trace id alone.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brrr_protocol::events::{Event, Observer};
use brrr_protocol::model::{CallHash, JobId, Millis};
use brrr_protocol::trace::{CallSpan, SpanEventKind, parse_traceparent};
use brrr_worker::wasm::{Output, OutputLine, Touched};
use opentelemetry::trace::{
    Event as TraceEvent, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Config, SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use sha2::{Digest as _, Sha256};

use super::client::OtlpClient;
use crate::cli::ExitError;
use crate::exit::Exit;

/// Sends the spans of traced jobs.
pub struct TracesExport {
    sampler: Box<dyn ShouldSample>,
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl TracesExport {
    /// # Errors
    /// When a variable of OpenTelemetry can't be followed.
    pub fn start(resource: &Resource) -> anyhow::Result<Arc<Self>> {
        let exporter = SpanExporter::builder().with_http().with_http_client(OtlpClient::new()?).build();
        let exporter = exporter.map_err(|error| ExitError::new(Exit::Usage, format!("traces by OTLP: {error}")))?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        processor.set_resource(resource);
        let scope = InstrumentationScope::builder("brrr").with_version(env!("CARGO_PKG_VERSION")).build();
        // The configuration follows OTEL_TRACES_SAMPLER. A job has no parent, so a sampler that is `parentbased` decides as its
        // root does.
        Ok(Arc::new(Self { sampler: Config::default().sampler, processor, scope }))
    }

    /// The observer, with the spans of calls sent.
    pub fn of_observer(self: &Arc<Self>, inner: Option<Arc<dyn Observer>>) -> Arc<dyn Observer> {
        Arc::new(TracingObserver { inner, traces: self.clone() })
    }

    /// The output, with `traceparent` for the requests of guests.
    pub fn of_output(self: &Arc<Self>, inner: Arc<dyn Output>) -> Arc<dyn Output> {
        Arc::new(TracingOutput { inner, traces: self.clone() })
    }

    /// Sends the spans that were not sent yet.
    pub fn finish(&self) {
        if let Err(error) = self.processor.shutdown() {
            tracing::warn!("the last spans were not sent: {error}");
        }
    }

    fn samples(&self, job_id: &JobId) -> bool {
        let result = self.sampler.should_sample(None, trace_id(job_id), "", &SpanKind::Internal, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    fn data(&self, span: &CallSpan<'_>) -> SpanData {
        let mut attributes = vec![
            KeyValue::new("brrr.job", span.job_id.as_str().to_owned()),
            KeyValue::new("brrr.call", span.call.as_str().to_owned()),
            KeyValue::new("brrr.task", span.task.to_owned()),
            KeyValue::new("brrr.topic", span.topic.as_str().to_owned()),
            KeyValue::new("brrr.attempts", i64::from(span.attempt)),
            KeyValue::new("brrr.outcome", span.state.as_str()),
        ];
        attributes.extend(span.label.map(|label| KeyValue::new("brrr.label", label.to_owned())));
        let mut events = SpanEvents::default();
        for event in &span.events {
            let name = match event.what {
                SpanEventKind::Run => "run",
                SpanEventKind::Wait => "wait",
                SpanEventKind::Failure => "attempt failed",
            };
            events.events.push(TraceEvent::new(name, time(event.at), Vec::new(), 0));
        }
        let mut links = SpanLinks::default();
        links.links.extend(span.links.iter().map(|(job_id, call)| link(self.context(job_id, call))));
        if let Some((trace, id, flags)) = span.traceparent.and_then(parse_traceparent) {
            let (trace, id) = (TraceId::from_bytes(trace.to_be_bytes()), SpanId::from_bytes(id.to_be_bytes()));
            links.links.push(link(SpanContext::new(trace, id, TraceFlags::new(flags), true, TraceState::default())));
        }
        SpanData {
            span_context: self.context(span.job_id, span.call),
            parent_span_id: span.parent.as_ref().map_or(SpanId::INVALID, span_id),
            parent_span_is_remote: true,
            span_kind: SpanKind::Consumer,
            name: span.label.unwrap_or(span.task).to_owned().into(),
            start_time: time(span.start),
            end_time: time(span.end),
            attributes,
            dropped_attributes_count: 0,
            events,
            links,
            status: span.failure.map_or(Status::Ok, |failure| Status::error(failure.to_string())),
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn context(&self, job_id: &JobId, call: &CallHash) -> SpanContext {
        let flags = if self.samples(job_id) { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        SpanContext::new(trace_id(job_id), span_id(call), flags, true, TraceState::default())
    }
}

fn link(to: SpanContext) -> Link {
    Link::new(to, Vec::new(), 0)
}

fn time(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at)
}

/// The job's 128 bits. The ids of other clients' jobs may be any text; of those it is a hash.
fn trace_id(job_id: &JobId) -> TraceId {
    let bits = Some(job_id.as_str()).filter(|id| id.len() == 32).and_then(|id| u128::from_str_radix(id, 16).ok());
    let bytes = bits.filter(|bits| *bits != 0).map_or_else(|| first_bytes(job_id.as_str()), u128::to_be_bytes);
    TraceId::from_bytes(bytes)
}

fn span_id(call: &CallHash) -> SpanId {
    SpanId::from_bytes(first_bytes(call.as_str()))
}

/// The first bytes of the SHA-256 of a text. (They are never all zero, which would be no id.)
fn first_bytes<const N: usize>(text: &str) -> [u8; N] {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    std::array::from_fn(|n| hash[n])
}

struct TracingObserver {
    inner: Option<Arc<dyn Observer>>,
    traces: Arc<TracesExport>,
}

impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        if let Some(inner) = &self.inner {
            inner.observe(event);
        }
    }

    fn traces(&self, job_id: &JobId) -> bool {
        self.traces.samples(job_id)
    }

    fn span(&self, span: &CallSpan<'_>) {
        self.traces.processor.on_end(self.traces.data(span));
    }
}

struct TracingOutput {
    inner: Arc<dyn Output>,
    traces: Arc<TracesExport>,
}

impl Output for TracingOutput {
    fn write(&self, line: OutputLine<'_>) {
        self.inner.write(line);
    }

    fn touched(&self, touched: Touched<'_>) {
        self.inner.touched(touched);
    }

    fn used_memory(&self, task: &str, bytes: u64) {
        self.inner.used_memory(task, bytes);
    }

    fn traceparent(&self, job_id: &JobId, call: &CallHash) -> Option<String> {
        let sampled = self.traces.samples(job_id);
        sampled.then(|| format!("00-{}-{}-01", trace_id(job_id), span_id(call)))
    }
}
