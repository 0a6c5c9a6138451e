//! Finds the login of a registry as docker does: in `config.json` of `~/.docker` (or `DOCKER_CONFIG`), or by the credential helper
//! that this file names.

use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};

/// Docker Hub's name in docker's file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A login. (It is secret, so it has no `Debug`.)
#[derive(Clone)]
pub enum Login {
    None,
    /// A user name, and a password or an access token.
    Password(String, String),
    /// What a server of tokens gives to `docker login` in place of the password. It is good for tokens only.
    IdentityToken(String),
}

impl Login {
    pub fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// The login of a registry, as docker knows it. May run a helper, and wait for it.
///
/// # Errors
/// Why the login can't be used, as text without secrets.
pub fn find(registry: &str) -> Result<Login, String> {
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(Login::Password(name, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Login::IdentityToken(token)),
        Err(Failure::ConfigNotFound | Failure::NoCredentialConfigured) => Ok(Login::None),
        Err(Failure::ConfigReadError) if !file().is_some_and(|file| file.exists()) => Ok(Login::None),
        // A helper says in this way that it has no login for the server.
        Err(Failure::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => Ok(Login::None),
        // What a helper has printed may be secret.
        Err(Failure::HelperFailure { helper, .. }) => Err(format!("the credential helper {helper} has failed")),
        Err(Failure::HelperCommunicationError) => {
            Err("the credential helper that docker's config.json names can't be run".to_owned())
        }
        Err(other) => Err(other.to_string()),
    }
}

/// The file of docker's settings.
pub fn file() -> Option<PathBuf> {
    let folder = match std::env::var_os("DOCKER_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".docker"),
    };
    Some(folder.join("config.json"))
}
