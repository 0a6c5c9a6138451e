//! A receiver of OTLP over HTTP, as an OpenTelemetry collector is one: it decodes and keeps what it is sent.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::runtime::Runtime;

/// A receiver that runs in a thread of its own until it is dropped.
pub struct Collector {
    address: SocketAddr,
    received: Arc<Received>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Received {
    metrics: Mutex<Vec<ExportMetricsServiceRequest>>,
    traces: Mutex<Vec<ExportTraceServiceRequest>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let received = Arc::new(Received::default());
        let app = Router::new().route("/v1/metrics", post(metrics)).route("/v1/traces", post(traces));
        let app = app.with_state(received.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, app).await.expect("it serves");
        });
        Self { address, received, runtime: Some(runtime) }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` takes.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests with metrics until now, the oldest first.
    pub fn metrics(&self) -> Vec<ExportMetricsServiceRequest> {
        self.received.metrics.lock().expect("no panic").clone()
    }

    /// All requests with spans until now, the oldest first.
    pub fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        self.received.traces.lock().expect("no panic").clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn metrics(State(received): State<Arc<Received>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    keep(&received.metrics, &headers, body)
}

async fn traces(State(received): State<Arc<Received>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    keep(&received.traces, &headers, body)
}

fn keep<T: Message + Default>(kept: &Mutex<Vec<T>>, headers: &HeaderMap, body: Bytes) -> StatusCode {
    if headers.get("content-type").is_none_or(|kind| kind != "application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    match T::decode(body) {
        Ok(request) => {
            kept.lock().expect("no panic").push(request);
            StatusCode::OK
        }
        Err(_) => StatusCode::BAD_REQUEST,
    }
}
