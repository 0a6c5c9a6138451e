//! The client that carries requests of guests: one a process, with connections that are used again.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;
use wasmtime_wasi_http::WasiBody;

/// How long name, connection and TLS may take together: a host that takes longer is not there.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// The head of a response, and what is read ahead of a body: it lies in the host's memory. Servers and proxies send 8 to
/// 32 KiB at most.
pub(super) const HEAD: usize = 64 << 10;

/// Connections kept for later, and for how long: less than what servers keep theirs.
const IDLE_PER_HOST: usize = 16;
const IDLE: Duration = Duration::from_secs(30);

pub(super) type Client = hyper_util::client::legacy::Client<Timed, WasiBody>;

/// Reads the certificates of the system (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), once.
pub(super) fn new() -> Client {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1().wrap_connector(http);
    hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(HEAD)
        .build(Timed(https))
}

fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    for error in native.errors {
        tracing::warn!("certificates: {error}");
    }
    if roots.is_empty() {
        // A container without ca-certificates: those of Mozilla, as of this build.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // By name: another dependency may bring another provider, and then rustls does not choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let Ok(config) = config else { unreachable!("ring has the default versions") };
    config.with_root_certificates(roots).with_no_client_auth()
}

/// Connects in bounded time.
#[derive(Clone)]
pub(super) struct Timed(HttpsConnector<HttpConnector>);

type Connected = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
type BoxError = Box<dyn Error + Send + Sync>;

impl Service<Uri> for Timed {
    type Response = Connected;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connected, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            tokio::time::timeout(CONNECT, connecting)
                .await
                .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        })
    }
}
