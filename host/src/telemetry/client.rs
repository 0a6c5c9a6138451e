//! Sends OTLP over HTTP, with the TLS of the program's other requests.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::runtime::Handle;

/// A collector that takes longer is not waited for. `OTEL_EXPORTER_OTLP_TIMEOUT` may set less.
const LONGEST: Duration = Duration::from_secs(60);
/// The most bytes of an answer. A collector answers with a few.
const ANSWER: usize = 64 << 10;

/// The client of the exporters. They have threads of their own, so the requests run on the program's runtime.
#[derive(Debug)]
pub struct OtlpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

impl OtlpClient {
    /// # Errors
    /// When the certificates can't be read at the moment.
    pub fn new() -> io::Result<Self> {
        let https = HttpsConnectorBuilder::new().with_tls_config(brrr_worker::wasm::tls()?);
        let connector = https.https_or_http().enable_http1().build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), runtime: Handle::current() })
    }
}

#[async_trait]
impl HttpClient for OtlpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.client.request(request.map(Full::new));
        let exchange = async {
            let (head, body) = sending.await?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        // The timer has to be made on the runtime too.
        self.runtime.spawn(async { tokio::time::timeout(LONGEST, exchange).await }).await??
    }
}
