//! The right to pull or to publish. A registry gets the login itself, or a token that another server gives for the login.

use std::io;
use std::time::{Duration, Instant};

use oci_client::RegistryOperation;
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use tokio::sync::Mutex;

use super::login::Login;
use super::token::{self, Challenge};
use super::{Reference, RegistryError};

/// A token is renewed this long before it runs out. A piece of a component may take as long.
const MARGIN: Duration = Duration::from_secs(30);

/// What is done in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Pull,
    Publish,
}

/// Who asks, as the registry sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Somebody without a login.
    Anybody,
    /// Somebody with a user name and a password, which the registry checks with each request.
    Login,
    /// Somebody whose login was accepted: there is a token for it.
    Known,
}

/// The right to do something in a registry.
pub struct Access {
    reference: Reference,
    operation: Operation,
    login: Login,
    http: reqwest::Client,
    /// oci-client, if something is published. It shows what `http` shows.
    publisher: Option<Client>,
    held: Mutex<Option<Held>>,
}

/// What the registry wants to see, and what it is shown.
struct Held {
    challenge: Challenge,
    shown: Shown,
    /// When it runs out.
    until: Option<Instant>,
}

#[derive(Clone)]
enum Shown {
    Nothing,
    Password(String, String),
    Token(HeaderValue),
}

impl Access {
    pub fn new(
        reference: &Reference,
        operation: Operation,
        login: Login,
        http: reqwest::Client,
        publisher: Option<Client>,
    ) -> Self {
        Self { reference: reference.clone(), operation, login, http, publisher, held: Mutex::new(None) }
    }

    /// Makes sure that oci-client can be used now: asks the registry what it wants to see, and renews a token that runs
    /// out soon.
    ///
    /// # Errors
    /// When the registry or its server of tokens can't be used, or refuses the login. `failed` finds the reason in the error.
    pub async fn ready(&self) -> Result<(), OciDistributionError> {
        self.shown().await.map(|_| ())
    }

    /// Adds what the registry wants to see.
    ///
    /// # Errors
    /// As with `ready`.
    pub async fn show(&self, request: RequestBuilder) -> Result<RequestBuilder, OciDistributionError> {
        Ok(match self.shown().await? {
            Shown::Nothing => request,
            Shown::Password(name, password) => request.basic_auth(name, Some(password)),
            Shown::Token(header) => request.header(AUTHORIZATION, header),
        })
    }

    /// An error of the client, in words of the user.
    pub async fn failed(&self, error: OciDistributionError) -> RegistryError {
        let asker = match self.held.lock().await.as_ref().map(|held| &held.shown) {
            None | Some(Shown::Nothing) => Asker::Anybody,
            Some(Shown::Password(..)) => Asker::Login,
            Some(Shown::Token(_)) if self.login.is_some() => Asker::Known,
            Some(Shown::Token(_)) => Asker::Anybody,
        };
        RegistryError::of(&self.reference, self.operation, asker, error)
    }

    async fn shown(&self) -> Result<Shown, OciDistributionError> {
        // oci-client has no error for this, so it is carried inside of one.
        self.get_shown().await.map_err(|error| OciDistributionError::IoError(io::Error::other(error)))
    }

    async fn get_shown(&self) -> Result<Shown, RegistryError> {
        let mut held = self.held.lock().await;
        let is_good = |held: &&Held| held.until.is_none_or(|until| until > Instant::now() + MARGIN);
        if let Some(held) = held.as_ref().filter(is_good) {
            return Ok(held.shown.clone());
        }
        let challenge = match held.take() {
            Some(held) => held.challenge,
            None => self.challenge().await?,
        };
        let (shown, until) = match &challenge {
            Challenge::Nothing => (Shown::Nothing, None),
            Challenge::Basic => (self.password().await?, None),
            Challenge::Bearer { realm, service } => self.token(realm, service.as_deref()).await?,
        };
        *held = Some(Held { challenge, shown: shown.clone(), until });
        Ok(shown)
    }

    /// Asks the registry what it wants to see.
    async fn challenge(&self) -> Result<Challenge, RegistryError> {
        let asked = self.http.get(self.reference.url("")).send().await;
        let failed = |error| RegistryError::of(&self.reference, self.operation, Asker::Anybody, error);
        Ok(Challenge::of(asked.map_err(|error| failed(error.into()))?.headers()))
    }

    /// The login, for a registry that checks it itself.
    async fn password(&self) -> Result<Shown, RegistryError> {
        let (name, password) = match &self.login {
            Login::None => return Ok(Shown::Nothing),
            Login::Password(name, password) => (name.clone(), password.clone()),
            Login::IdentityToken(_) => {
                let reason = format!(
                    "docker's login is an identity token, and the registry wants a user name and a password; log in with \
                     `docker login {}`",
                    self.reference.registry()
                );
                return Err(RegistryError::BadLogin { reference: self.reference.clone(), reason });
            }
        };
        let auth = RegistryAuth::Basic(name.clone(), password.clone());
        self.give(&auth, &RegistryTokenType::Basic(name.clone(), password.clone())).await;
        Ok(Shown::Password(name, password))
    }

    /// A token, and when it runs out.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<(Shown, Option<Instant>), RegistryError> {
        let token = token::ask(&self.reference, self.operation, realm, service, &self.login).await?;
        let auth = RegistryAuth::Bearer(token.text.clone());
        self.give(&auth, &RegistryTokenType::Bearer(RegistryToken::Token { token: token.text })).await;
        Ok((Shown::Token(token.header), Some(token.until)))
    }

    /// Gives oci-client what it is to show. Without this, it would ask for a token itself, without a bound for the answer.
    async fn give(&self, auth: &RegistryAuth, shown: &RegistryTokenType) {
        let (Some(publisher), name) = (&self.publisher, self.reference.inner()) else { return };
        // It keeps only the first one. That is what it falls back to if it can't read how long a later token is good.
        publisher.store_auth_if_needed(name.resolve_registry(), auth).await;
        for operation in [RegistryOperation::Pull, RegistryOperation::Push] {
            publisher.tokens.insert(name, operation, shown.clone()).await;
        }
    }
}
