//! Pulls components from a registry, and publishes them.

use std::sync::Once;
use std::time::Duration;

use brrr_protocol::digest::Digest;
use brrr_worker::text::shortened;
use bytes::Bytes;
use futures_util::StreamExt as _;
use oci_client::client::{Client, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{RegistryOperation, secrets};

use super::error::error_chain;
use super::layout::{self, About, Layer};
use super::{Reference, RegistryError, login};

/// How long connecting may take, and how long the registry may send nothing.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(30);

/// How long the answer with a manifest may take, with the login.
const ANSWER: Duration = Duration::from_mins(1);

/// How long the largest component may take: 256 MiB by 3.5 Mbit/s.
const TRANSFER: Duration = Duration::from_mins(10);

/// The most bytes of a manifest. Registries themselves take 4 MiB.
const LARGEST_MANIFEST: usize = 4 << 20;

/// A component that was pulled.
pub struct Pulled {
    pub bytes: Vec<u8>,
    /// Its signatures, as far as the registry has them. They are not verified.
    pub signatures: Vec<String>,
    /// The component by the digest of its manifest.
    pub pinned: Reference,
}

/// A place in a registry, with the login for it.
pub struct Registry {
    client: Client,
    reference: Reference,
    auth: RegistryAuth,
}

impl Registry {
    /// Prepares to speak with the registry. Nothing is sent yet.
    ///
    /// # Errors
    /// When docker's login for the registry can't be used, or this machine has no certificates.
    pub async fn open(reference: &Reference) -> Result<Self, RegistryError> {
        use_our_tls();
        let protocol = match reference.is_local() {
            true => ClientProtocol::HttpsExcept(vec![reference.inner().resolve_registry().to_owned()]),
            false => ClientProtocol::Https,
        };
        // (`Client::new` would panic where `try_from` fails.)
        let client = Client::try_from(ClientConfig {
            protocol,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: concat!("brrr-host/", env!("CARGO_PKG_VERSION")),
            platform_resolver: None,
            ..ClientConfig::default()
        });
        let client =
            client.map_err(|error| RegistryError::NoClient { reason: shortened(&error_chain(&error), 300) })?;
        let registry = reference.registry().to_owned();
        // A helper is a program, which may ask the user.
        let found = tokio::task::spawn_blocking(move || login::find(&registry)).await;
        let found = found.unwrap_or_else(|panic| Err(format!("docker's login can't be read ({panic})")));
        let auth = found.map_err(|reason| RegistryError::BadLogin { reference: reference.clone(), reason })?;
        Ok(Self { client, reference: reference.clone(), auth })
    }

    /// What the tag stands for now: the component by the digest of its manifest.
    ///
    /// # Errors
    /// When there is no component, or the registry can't be used.
    pub async fn resolve(&self) -> Result<Reference, RegistryError> {
        self.manifest().await.map(|(_, pinned)| pinned)
    }

    /// Pulls the component. The manifest is checked by its digest, if the reference has one, and the component by that of the
    /// manifest.
    ///
    /// # Errors
    /// When there is no component, or the registry can't be used.
    pub async fn pull(&self) -> Result<Pulled, RegistryError> {
        let (layer, pinned) = self.manifest().await?;
        let digest = format!("sha256:{}", layer.digest);
        let pulling = async {
            let mut blob = self.client.pull_blob_stream(self.reference.inner(), digest.as_str()).await?;
            // The layout bounds the size.
            let mut bytes = Vec::with_capacity(usize::try_from(layer.size).unwrap_or_default());
            while let Some(part) = blob.stream.next().await {
                let part = part.map_err(OciDistributionError::IoError)?;
                if bytes.len() + part.len() > bytes.capacity() {
                    return Ok(None);
                }
                bytes.extend_from_slice(&part);
            }
            Ok(Some(bytes))
        };
        let bytes = self.within(TRANSFER, pulling).await?;
        let other = |what: &str| RegistryError::OtherBytes { reference: pinned.clone(), what: what.to_owned() };
        let bytes = bytes.ok_or_else(|| other("its component is larger than its manifest says"))?;
        if bytes.len() as u64 != layer.size || Digest::of(&bytes) != layer.digest {
            return Err(other("its component"));
        }
        Ok(Pulled { bytes, signatures: layer.signatures, pinned })
    }

    /// Publishes a component under the tag of the reference. What the registry has is not sent again.
    ///
    /// # Errors
    /// When the registry can't be used, or refuses.
    pub async fn publish(
        &self,
        component: Bytes,
        about: &About,
        signatures: &[String],
    ) -> Result<Reference, RegistryError> {
        let config = Bytes::from(layout::config(&component, about));
        let manifest = Bytes::from(layout::manifest(&component, &config, signatures));
        let digest = Digest::of(&manifest);
        let name = self.reference.inner();
        let publishing = async {
            self.client.auth(name, &self.auth, RegistryOperation::Push).await?;
            for blob in [component, config] {
                let digest = format!("sha256:{}", Digest::of(&blob));
                if !self.client.blob_exists(name, &digest).await? {
                    self.client.push_blob(name, blob, &digest).await?;
                }
            }
            let kind = layout::MANIFEST.parse().unwrap_or_else(|_| unreachable!("it is text"));
            self.client.push_manifest_raw(name, manifest, kind).await
        };
        self.within(TRANSFER, publishing).await?;
        Ok(self.reference.pinned(digest))
    }

    /// The component of the manifest, and the reference by the manifest's digest.
    async fn manifest(&self) -> Result<(Layer, Reference), RegistryError> {
        let name = self.reference.inner();
        let asked = self.client.pull_manifest_raw(name, &self.auth, &layout::ACCEPTED);
        let (manifest, _) = self.within(ANSWER, asked).await?;
        let not = |reason| RegistryError::NotAComponent { reference: self.reference.clone(), reason };
        if manifest.len() > LARGEST_MANIFEST {
            return Err(not(format!("its manifest has more than {} MiB", LARGEST_MANIFEST >> 20)));
        }
        let digest = Digest::of(&manifest);
        if self.reference.digest().is_some_and(|wanted| wanted != digest) {
            let what = format!("its manifest is that of sha256:{digest}");
            return Err(RegistryError::OtherBytes { reference: self.reference.clone(), what });
        }
        Ok((layout::component(&manifest).map_err(not)?, self.reference.pinned(digest)))
    }

    /// Waits for an answer of the registry, but not for ever.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, RegistryError> {
        let reference = &self.reference;
        let with_login = !matches!(self.auth, secrets::RegistryAuth::Anonymous);
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer.map_err(|error| RegistryError::of(reference, with_login, error)),
            Err(_) => {
                let reason = format!("it has not answered in full within {} s", limit.as_secs());
                Err(RegistryError::Unreachable { reference: reference.clone(), reason })
            }
        }
    }
}

/// The client uses the TLS that the process has chosen. Everything here uses ring's.
fn use_our_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // This fails if somebody has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
