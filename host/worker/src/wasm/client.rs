//! The HTTP clients for requests of guests. All runs of the process share their connections.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;
use wasmtime_wasi_http::WasiBody;

use crate::permissions::{Reach, is_inside};

/// The time limit for resolving the name, connecting and TLS together. A host that takes longer counts as unreachable.
pub(super) const CONNECT: Duration = Duration::from_secs(10);

/// The most bytes of the head of a response, and of the part of a body that is read ahead. They are in the host's
/// memory. Servers and proxies send heads of at most 8 to 32 KiB.
pub(super) const HEAD: usize = 64 << 10;

/// The most idle connections that are kept for a host, and how long each is kept. Servers keep theirs longer.
const IDLE_PER_HOST: usize = 16;
const IDLE: Duration = Duration::from_secs(30);

pub(super) type GuestClient = hyper_util::client::legacy::Client<Timed, WasiBody>;

/// The clients of the process, one for each `Reach`. A connection of one component must not carry the requests of
/// another component to an address that this other component may not reach.
#[derive(Default)]
pub(super) struct Clients(Mutex<[Option<GuestClient>; 2]>);

impl Clients {
    /// The client for requests with this reach. It is created at its first use.
    ///
    /// # Errors
    /// When the certificates can't be read at the moment. The next call tries again.
    pub fn get(&self, reach: Reach) -> io::Result<GuestClient> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = &mut clients[reach as usize];
        if let Some(client) = known {
            return Ok(client.clone());
        }
        let client = new(reach, GaiResolver::new())?;
        *known = Some(client.clone());
        Ok(client)
    }
}

/// Creates a client with the certificates of the system (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name).
fn new(reach: Reach, names: Names) -> io::Result<GuestClient> {
    let mut http = HttpConnector::new_with_resolver(Within { reach, names });
    http.enforce_http(false);
    http.set_nodelay(true);
    let tls = tls()?;
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(http);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(IDLE_PER_HOST)
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .http1_max_buf_size(HEAD)
        .build(Timed(https));
    Ok(client)
}

/// The name has an address that the request may not reach.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to {0}")]
pub(super) struct LeadsInside(pub IpAddr);

type Names = GaiResolver;

/// Resolves names, and keeps only the addresses that a request may reach. The client connects to exactly these
/// addresses, so a name can't get another address between check and connection.
#[derive(Clone)]
pub(super) struct Within {
    reach: Reach,
    names: Names,
}

impl Service<Name> for Within {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Name>::poll_ready(&mut self.names, cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (resolving, reach) = (self.names.call(name), self.reach);
        Box::pin(async move { Ok(within(reach, resolving.await?)?.into_iter()) })
    }
}

/// The addresses of a name that a request may reach.
fn within(reach: Reach, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, LeadsInside> {
    let (inside, outside): (Vec<_>, Vec<_>) = found.partition(|address| is_inside(address.ip()));
    match (reach, inside.first()) {
        (Reach::Anywhere, _) => Ok(inside.into_iter().chain(outside).collect()),
        (Reach::Outside, Some(first)) if outside.is_empty() => Err(LeadsInside(first.ip())),
        (Reach::Outside, _) => Ok(outside),
    }
}

/// TLS for the clients of the process, with the certificates of the system (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name).
///
/// # Errors
/// When the certificates can't be read at the moment.
pub fn tls() -> io::Result<ClientConfig> {
    let mut job_ids = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    job_ids.add_parsable_certificates(native.certs);
    for error in native.errors {
        // A machine without certificates has no such file. If a file can't be opened at the moment, the next try may
        // succeed.
        if let rustls_native_certs::ErrorKind::Io { inner, .. } = &error.kind
            && passes(inner)
        {
            return Err(io::Error::new(inner.kind(), format!("certificates: {error}")));
        }
        tracing::warn!("certificates: {error}");
    }
    if job_ids.is_empty() {
        // A container without ca-certificates uses Mozilla's certificates, as of this build.
        job_ids.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    // The provider is named, because rustls makes no choice if another dependency adds another provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let Ok(config) = config else { unreachable!("ring has the default versions") };
    Ok(config.with_root_certificates(job_ids).with_no_client_auth())
}

/// Is this an error of a machine that lacks resources at the moment?
fn passes(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let code = error.raw_os_error();
        [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::INTR]
            .iter()
            .any(|e| code == Some(e.raw_os_error()))
    }
    #[cfg(not(unix))]
    {
        let _ = error;
        false
    }
}

/// A connector with a time limit.
#[derive(Clone)]
pub(super) struct Timed(HttpsConnector<HttpConnector<Within>>);

type Connected = <HttpsConnector<HttpConnector<Within>> as Service<Uri>>::Response;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> impl Iterator<Item = SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_name_with_a_private_address_is_refused_unless_granted() {
        let refused = within(Reach::Outside, addresses(&["127.0.0.1", "::1"])).unwrap_err();
        assert_eq!(refused.0, IpAddr::from([127, 0, 0, 1]));
        // A name with internal and public addresses keeps only the public addresses.
        let found = within(Reach::Outside, addresses(&["10.0.0.1", "1.1.1.1"])).unwrap();
        assert_eq!(found, addresses(&["1.1.1.1"]).collect::<Vec<_>>());
        assert_eq!(within(Reach::Anywhere, addresses(&["10.0.0.1", "1.1.1.1"])).unwrap().len(), 2);
        // The connector reports a name without addresses.
        assert!(within(Reach::Outside, addresses(&[])).unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_client_asks_its_own_resolver() {
        // Every machine resolves this name to itself.
        let get = async |reach| {
            let client = Clients::default().get(reach).unwrap();
            let uri: Uri = "http://localhost:9/".parse().unwrap();
            let body = http_body_util::BodyExt::boxed_unsync(http_body_util::BodyExt::map_err(
                http_body_util::Empty::new(),
                |never| match never {},
            ));
            let request = hyper::Request::builder().uri(uri).body(body).unwrap();
            let error = client.request(request).await.unwrap_err();
            let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
            std::iter::from_fn(|| {
                let this = cause?;
                cause = this.source();
                Some(this.is::<LeadsInside>())
            })
            .any(|inside| inside)
        };
        assert!(get(Reach::Outside).await);
        assert!(!get(Reach::Anywhere).await);
    }
}
