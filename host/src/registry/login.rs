//! Finds the login of a registry as docker does: in `config.json` of `~/.docker` (or `DOCKER_CONFIG`), or by the credential helper
//! that this file names.

use std::path::PathBuf;

use docker_credential::{CredentialRetrievalError as Failure, DockerCredential};
use oci_client::secrets::RegistryAuth;

/// Docker Hub's name in docker's file.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The login of a registry. `Anonymous`: docker knows none. May run a helper, and wait for it.
///
/// # Errors
/// Why the login can't be used, as text without secrets.
pub fn find(registry: &str) -> Result<RegistryAuth, String> {
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(_)) => Err(format!(
            "docker's login of {registry} is an identity token, which this program can't use; log in with a user name and \
             an access token"
        )),
        Err(Failure::ConfigNotFound | Failure::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        Err(Failure::ConfigReadError) if !file().is_some_and(|file| file.exists()) => Ok(RegistryAuth::Anonymous),
        // A helper says in this way that it has no login for the server.
        Err(Failure::HelperFailure { stdout, .. }) if stdout.contains("credentials not found") => {
            Ok(RegistryAuth::Anonymous)
        }
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
