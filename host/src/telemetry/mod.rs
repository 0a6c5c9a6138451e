//! Metrics and traces for systems that collect them. Both are off unless somebody asks for them: by `--metrics`, or by the
//! variables of OpenTelemetry (`OTEL_EXPORTER_OTLP_ENDPOINT`, …).
//!
//! - `settings`: what the variables ask for; `client`: sends OTLP over HTTP
//! - `metrics`: for Prometheus and by OTLP; `traces`: a span for each call

mod client;
mod metrics;
mod settings;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::events::Observer;
use brrr_worker::gateway::{Address, CannotListen, serve_probes};
use brrr_worker::topic_worker::{Shutdown, StopReason};
use brrr_worker::wasm::Output;
use brrr_worker::{Health, Metrics};
use opentelemetry_sdk::Resource;
use tokio::task::JoinHandle;

use metrics::MetricsExport;
use settings::Signal;
use traces::TracesExport;

/// How long the end of the program waits until the last metrics and spans are sent.
const LAST: Duration = Duration::from_secs(5);

/// What this process exports.
pub struct Telemetry {
    /// The instruments, if anything exports them.
    pub metrics: Option<Arc<Metrics>>,
    exported: Option<MetricsExport>,
    traces: Option<Arc<TracesExport>>,
}

/// The server of health and metrics.
pub struct Probes {
    serving: JoinHandle<()>,
    ended: Shutdown,
}

impl Telemetry {
    /// Starts what is asked for. `scraped`: the metrics can be read over HTTP.
    ///
    /// # Errors
    /// When a variable of OpenTelemetry can't be followed.
    pub fn start(scraped: bool) -> anyhow::Result<Self> {
        let resource = resource();
        let exported = MetricsExport::start(scraped, settings::is_on(Signal::Metrics)?, &resource)?;
        let traces = settings::is_on(Signal::Traces)?.then(|| TracesExport::start(&resource)).transpose()?;
        Ok(Self { metrics: exported.as_ref().map(MetricsExport::instruments), exported, traces })
    }

    /// The observer, with what is to be sent of events and spans.
    pub fn of_observer(&self, inner: Option<Arc<dyn Observer>>) -> Option<Arc<dyn Observer>> {
        match &self.traces {
            Some(traces) => Some(traces.of_observer(inner)),
            None => inner,
        }
    }

    /// The output, with what is to be measured and sent of runs.
    pub fn of_output(&self, output: Arc<dyn Output>) -> Arc<dyn Output> {
        let output = self.metrics.as_ref().map_or_else(|| output.clone(), |metrics| metrics.of_output(output.clone()));
        self.traces.as_ref().map_or_else(|| output.clone(), |traces| traces.of_output(output.clone()))
    }

    /// Serves health and metrics on this address.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub async fn serve(&self, address: &Address, health: &Health) -> Result<Probes, CannotListen> {
        let listener = address.listen_for_all().await?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!("metrics and health on http://{address}");
        }
        let (health, ended) = (health.clone(), Shutdown::default());
        let (render, until) = (self.exported.as_ref().and_then(MetricsExport::rendered), ended.clone());
        let serving = tokio::spawn(async move { serve_probes(listener, health, render, &until).await });
        Ok(Probes { serving, ended })
    }

    /// Sends what was not sent yet, and stops the server. A system that does not answer is not waited for.
    pub async fn finish(self, probes: Option<Probes>) {
        if let Some(Probes { serving, ended }) = probes {
            ended.begin(StopReason::Requested);
            let _ = tokio::time::timeout(LAST, serving).await;
        }
        // Sending blocks its thread.
        let sending = tokio::task::spawn_blocking(move || {
            if let Some(traces) = self.traces {
                traces.finish();
            }
            if let Some(metrics) = self.exported {
                metrics.finish();
            }
        });
        if tokio::time::timeout(LAST, sending).await.is_err() {
            tracing::warn!("the last metrics and spans were not sent within {LAST:?}");
        }
    }
}

/// What says where the data comes from. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are followed.
fn resource() -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|text| text.contains("service.name="));
    let builder = Resource::builder();
    let builder = if named { builder } else { builder.with_service_name("brrr-host") };
    builder.with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build()
}
