//! A server that gives tokens for a registry, as the distribution's "token authentication" and "OAuth2 token authentication" say.
//!
//! The registry trusts the key by which the tokens are signed. Who may do what:
//!
//! - `tester` may pull and push everything, with the password or with `IDENTITY_TOKEN`
//! - `reader` may pull everything but `private/…`
//! - anybody may pull `public/…`

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::stream;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::certificates::Certificate;
use crate::registry_server::{PASSWORD, USER};

pub const READER: &str = "reader";
pub const READERS_PASSWORD: &str = "another good password";

/// What a login with `docker login` would have left for the tester in place of the password.
pub const IDENTITY_TOKEN: &str = "an identity token of the tester";

/// Names that the registry and this server have agreed on.
pub const SERVICE: &str = "registry.example.com";
pub const ISSUER: &str = "the token server of a test";

/// How the server answers.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With a token that is good for so many seconds.
    Tokens {
        seconds: u64,
    },
    Status(u16),
    Text(&'static str),
    Redirect(String),
    /// With a text that never ends.
    Endless,
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub method: String,
    /// Empty: nobody.
    pub user: String,
    pub scope: String,
    /// Empty: the login was refused, or the server answered in another way than with a token.
    pub token: String,
}

/// A server that runs in its own thread until it is dropped.
pub struct TokenServer {
    /// The address that clients are told.
    pub realm: String,
    /// The certificate of the key that signs tokens, as PEM.
    pub certificate: String,
    pub port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    key: EcdsaKeyPair,
    /// The certificate, as the header of a token has it.
    certificate: String,
    manner: Mutex<Manner>,
    asked: Mutex<Vec<Asked>>,
}

impl TokenServer {
    /// Starts a server on loopback, without TLS.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// Starts a server that speaks TLS with this certificate. Clients are told that it is on this host.
    pub fn start_tls(host: &str, certificate: &Certificate) -> Self {
        let mut server = Self::start_with(Some(certificate));
        server.realm = format!("https://{host}/token");
        server
    }

    fn start_with(tls: Option<&Certificate>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let made = CertificateParams::new(Vec::new()).expect("no names").self_signed(&key).expect("a certificate");
        let random = SystemRandom::new();
        let signing = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der(), &random);
        let shared = Arc::new(Shared {
            key: signing.expect("the key"),
            certificate: STANDARD.encode(made.der()),
            manner: Mutex::new(Manner::Tokens { seconds: 300 }),
            asked: Mutex::default(),
        });
        let app = Router::new().fallback(any(answer)).with_state(shared.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        match tls.map(acceptor) {
            None => runtime.spawn(async { axum::serve(listener, app).await.expect("it serves") }),
            Some(acceptor) => {
                let tls = Tls { listener, acceptor };
                runtime.spawn(async { axum::serve(tls, app).await.expect("it serves") })
            }
        };
        let realm = format!("http://127.0.0.1:{port}/token");
        Self { realm, certificate: made.pem(), port, shared, runtime: Some(runtime) }
    }

    /// Answers in this manner from now on.
    pub fn answer(&self, manner: Manner) {
        *self.shared.manner.lock().expect("no panic") = manner;
    }

    /// The requests since the last time that this was asked.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().expect("no panic"))
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (connection, address) = self.listener.accept().await.expect("a connection");
            // A client that does not trust the certificate closes the connection.
            if let Ok(stream) = self.acceptor.accept(connection).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_slice(certificate.chain.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("a certificate and its key");
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let method = request.method().clone();
    let basic = request.headers().get("authorization").map(|value| value.to_str().expect("text").to_owned());
    let fields = match method {
        Method::POST => to_bytes(request.into_body(), 1 << 20).await.expect("a form").to_vec(),
        _ => request.uri().query().unwrap_or_default().as_bytes().to_vec(),
    };
    let url = format!("http://x/?{}", String::from_utf8(fields).expect("UTF-8"));
    let fields: HashMap<String, String> =
        reqwest::Url::parse(&url).expect("fields").query_pairs().into_owned().collect();
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let user = match method {
        Method::POST if field("grant_type") != "refresh_token" || field("client_id").is_empty() => None,
        Method::POST => (field("refresh_token") == IDENTITY_TOKEN).then_some(USER),
        _ => user_of(basic.as_deref()),
    };
    let user = user.filter(|_| field("service") == SERVICE);
    let (manner, scope) = (shared.manner.lock().expect("no panic").clone(), field("scope"));
    let name = if method == Method::POST { "access_token" } else { "token" };
    let token = match (&manner, user) {
        (Manner::Tokens { seconds }, Some(user)) => shared.token(user, scope, *seconds),
        _ => String::new(),
    };
    let mut asked = shared.asked.lock().expect("no panic");
    asked.push(Asked {
        method: method.to_string(),
        user: user.unwrap_or_default().to_owned(),
        scope: scope.to_owned(),
        token: token.clone(),
    });
    let with = |status: u16, body: Body| Response::builder().status(status).body(body).expect("an answer");
    match manner {
        Manner::Tokens { .. } if user.is_none() && method == Method::POST => {
            with(400, r#"{"error": "invalid_grant"}"#.into())
        }
        Manner::Tokens { .. } if user.is_none() => with(401, r#"{"details": "incorrect username or password"}"#.into()),
        Manner::Tokens { seconds } => with(200, json!({(name): token, "expires_in": seconds}).to_string().into()),
        Manner::Status(status) => with(status, "".into()),
        Manner::Text(text) => with(200, text.into()),
        Manner::Redirect(to) => {
            Response::builder().status(307).header("location", to).body("".into()).expect("an answer")
        }
        Manner::Endless => {
            let more = || Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 16 << 10]));
            with(200, Body::from_stream(stream::repeat_with(more)))
        }
    }
}

/// The user of a request. `None`: the login is wrong.
fn user_of(basic: Option<&str>) -> Option<&'static str> {
    let Some(basic) = basic else { return Some("") };
    let login = STANDARD.decode(basic.strip_prefix("Basic ")?).ok()?;
    match String::from_utf8(login).ok()?.split_once(':')? {
        (USER, PASSWORD) => Some(USER),
        (READER, READERS_PASSWORD) => Some(READER),
        _ => None,
    }
}

impl Shared {
    /// A token of this user, with as much of the scope as the user may have.
    fn token(&self, user: &str, scope: &str, seconds: u64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let number = self.asked.lock().expect("no panic").len();
        let header = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.certificate]});
        let claims = json!({
            "iss": ISSUER, "sub": user, "aud": SERVICE, "exp": now + seconds, "nbf": now - 10, "iat": now,
            "jti": format!("{number}"), "access": granted(user, scope),
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What the user gets of a scope, `repository:NAME:ACTION,…`.
fn granted(user: &str, scope: &str) -> Value {
    let mut parts = scope.splitn(3, ':');
    let (Some("repository"), Some(name), Some(actions)) = (parts.next(), parts.next(), parts.next()) else {
        return json!([]);
    };
    let may = |action: &&str| match (user, *action) {
        (USER, "pull" | "push") => true,
        (READER, "pull") => !name.starts_with("private/"),
        ("", "pull") => name.starts_with("public/"),
        _ => false,
    };
    let actions: Vec<&str> = actions.split(',').filter(may).collect();
    json!([{"type": "repository", "name": name, "actions": actions}])
}
