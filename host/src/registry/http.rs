//! The HTTP clients: of pulls and tokens, and of what is published. They follow the same rules.

use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, Client, ClientConfig, ClientProtocol};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, Url};

use super::Reference;
use super::error::with_causes;
use super::reference::is_loopback;

/// How long connecting may take, and how long the server may send nothing.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("brrr-host/", env!("CARGO_PKG_VERSION"));

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// Where a server may redirect to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// To any server. A login is not sent along to another one.
    Anywhere,
    /// To another path of the same server. The body of the request may be a secret.
    SameServer,
}

/// A client for a registry, or for its server of tokens. It uses the proxy that `HTTPS_PROXY` names. A registry on this machine is
/// reached without one.
///
/// # Errors
/// When the certificates can't be read at the moment, as text.
pub fn client(registry: &Reference, redirects: Redirects) -> Result<reqwest::Client, String> {
    let local = registry.is_local();
    let policy = Policy::custom(move |attempt: Attempt| {
        let is_same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        if attempt.previous().len() > REDIRECTS {
            attempt.error("too many redirects")
        } else if !is_safe(local, attempt.url()) {
            attempt.error("it redirects to a server without TLS")
        } else if redirects == Redirects::SameServer && !is_same {
            attempt.stop()
        } else {
            attempt.follow()
        }
    });
    let builder = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).user_agent(USER_AGENT);
    let builder = if local { builder.no_proxy() } else { builder };
    let tls = brrr_worker::wasm::tls().map_err(|error| with_causes(&error))?;
    let built = builder.redirect(policy).tls_backend_preconfigured(tls).build();
    built.map_err(|error| with_causes(&error))
}

/// The client that publishes. It is used after the other one, which finds out whether there is TLS.
///
/// # Errors
/// When this machine has no certificates, as text.
pub fn publisher(registry: &Reference) -> Result<Client, String> {
    // It uses the TLS that the process has chosen. This fails if somebody has chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = ClientConfig {
        protocol: ClientProtocol::Https,
        extra_root_certificates: named_certificates(),
        connect_timeout: Some(CONNECT),
        read_timeout: Some(SILENCE),
        user_agent: USER_AGENT,
        platform_resolver: None,
        ..ClientConfig::default()
    };
    if registry.is_local() {
        config.protocol = ClientProtocol::HttpsExcept(vec![registry.inner().resolve_registry().to_owned()]);
        // A proxy for no host at all: with it, the client does not look for one in the environment.
        config.http_proxy = Some("http://127.0.0.1".to_owned());
        config.no_proxy = Some("*,0.0.0.0/0,::/0".to_owned());
    }
    // (`Client::new` would panic where `try_from` fails.)
    Client::try_from(config).map_err(|error| with_causes(&error))
}

/// The certificates that `SSL_CERT_FILE` names. The verifier of macOS does not look there.
fn named_certificates() -> Vec<Certificate> {
    let file = std::env::var_os("SSL_CERT_FILE").and_then(|file| std::fs::read(file).ok());
    file.map(|data| Certificate { encoding: CertificateEncoding::Pem, data }).into_iter().collect()
}

/// True if what is sent to this server can't be read on the way: it has TLS, or it is on this machine, as its registry is.
pub fn is_safe(registry_is_local: bool, url: &Url) -> bool {
    url.scheme() == "https" || (registry_is_local && url.host_str().is_some_and(is_loopback))
}

/// Reads an answer to its end. `None`: it has more bytes than that.
///
/// # Errors
/// When the connection breaks.
pub async fn read(mut answer: Response, most: usize) -> reqwest::Result<Option<Vec<u8>>> {
    let length = answer.content_length().and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(most));
    while let Some(part) = answer.chunk().await? {
        if bytes.len() + part.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&part);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_without_tls_to_another_machine() {
        for (url, of_a_local_one, of_another) in [
            ("https://auth.example.com/token", true, true),
            ("http://auth.example.com/token", false, false),
            ("http://127.0.0.1:5001/token", true, false),
            ("http://localhost/token", true, false),
            ("http://[::1]:5001/token", true, false),
            ("http://10.0.0.1/token", false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!((is_safe(true, &parsed), is_safe(false, &parsed)), (of_a_local_one, of_another), "{url}");
        }
    }
}
