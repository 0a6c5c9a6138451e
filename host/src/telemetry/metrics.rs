//! Exports metrics: to Prometheus, which reads them, and by OTLP, which sends them.

use std::sync::Arc;

use brrr_worker::Metrics;
use brrr_worker::gateway::Rendered;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{MetricExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

use super::client::OtlpClient;
use crate::cli::ExitError;
use crate::exit::Exit;

pub struct MetricsExport {
    provider: SdkMeterProvider,
    registry: Option<Registry>,
}

impl MetricsExport {
    /// `None`: nobody wants metrics.
    ///
    /// # Errors
    /// When a variable of OpenTelemetry can't be followed.
    pub fn start(scraped: bool, sent: bool, resource: &Resource) -> anyhow::Result<Option<Self>> {
        if !scraped && !sent {
            return Ok(None);
        }
        let mut provider = SdkMeterProvider::builder().with_resource(resource.clone());
        let registry = scraped.then(Registry::new);
        if let Some(registry) = &registry {
            // The name of the scope would be a label of every number, and says nothing.
            let exporter =
                opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
            provider = provider.with_reader(exporter.build()?);
        }
        if sent {
            let exporter = MetricExporter::builder().with_http().with_http_client(OtlpClient::new()?).build();
            let exporter =
                exporter.map_err(|error| ExitError::new(Exit::Usage, format!("metrics by OTLP: {error}")))?;
            provider = provider.with_periodic_exporter(exporter);
        }
        Ok(Some(Self { provider: provider.build(), registry }))
    }

    pub fn instruments(&self) -> Arc<Metrics> {
        Metrics::new(&self.provider.meter("brrr"))
    }

    /// Renders all metrics as text. `None`: they are only sent.
    pub fn rendered(&self) -> Option<Rendered> {
        let registry = self.registry.clone()?;
        Some(Arc::new(move || TextEncoder::new().encode_to_string(&registry.gather()).ok()))
    }

    /// Sends what was not sent yet.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!("the last metrics were not sent: {error}");
        }
    }
}
