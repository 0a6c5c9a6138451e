//! Pulls components from a registry, and publishes them.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::digest::Digest;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use oci_client::client::Client;
use oci_client::errors::{OciDistributionError, OciEnvelope};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;

use super::access::{Access, Operation};
use super::http::{self, Redirects};
use super::layout::{self, About, Layer};
use super::login::{self, Login};
use super::{Reference, RegistryError};

/// How long the answer with a manifest may take, with the login.
const ANSWER: Duration = Duration::from_mins(1);

/// How long the largest component may take: 256 MiB by 3.5 Mbit/s.
const TRANSFER: Duration = Duration::from_mins(10);

/// The most bytes of a manifest. Registries themselves take 4 MiB.
const LARGEST_MANIFEST: usize = 4 << 20;

/// The most bytes of an answer that says what is wrong.
const LARGEST_ERROR: usize = 64 << 10;

/// The bytes of a component that are sent at once.
const PIECE: usize = 4 << 20;

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
    http: reqwest::Client,
    reference: Reference,
    login: Login,
}

impl Registry {
    /// Prepares to speak with the registry. Nothing is sent yet.
    ///
    /// # Errors
    /// When docker's login for the registry can't be used, or this machine has no certificates.
    pub async fn open(reference: &Reference) -> Result<Self, RegistryError> {
        let http = http::client(reference, Redirects::Anywhere).map_err(RegistryError::no_client)?;
        let registry = reference.registry().to_owned();
        // A helper is a program, which may ask the user.
        let found = tokio::task::spawn_blocking(move || login::find(&registry)).await;
        let found = found.unwrap_or_else(|panic| Err(format!("docker's login can't be read ({panic})")));
        let login = found.map_err(|reason| RegistryError::BadLogin { reference: reference.clone(), reason })?;
        Ok(Self { http, reference: reference.clone(), login })
    }

    /// What the tag stands for now: the component by the digest of its manifest.
    ///
    /// # Errors
    /// When there is no component, or the registry can't be used.
    pub async fn resolve(&self) -> Result<Reference, RegistryError> {
        self.manifest(&self.access(Operation::Pull, None)).await.map(|(_, pinned)| pinned)
    }

    /// Pulls the component. The manifest is checked by its digest, if the reference has one, and the component by that of the
    /// manifest.
    ///
    /// # Errors
    /// When there is no component, or the registry can't be used.
    pub async fn pull(&self) -> Result<Pulled, RegistryError> {
        let access = self.access(Operation::Pull, None);
        let (layer, pinned) = self.manifest(&access).await?;
        let url = self.reference.blob_url(layer.digest);
        // The layout bounds the size.
        let most = usize::try_from(layer.size).unwrap_or_default();
        let bytes = self.within(TRANSFER, &access, self.get(&access, url, layout::ANY, most)).await?;
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
        let publisher = http::publisher(&self.reference).map_err(RegistryError::no_client)?;
        let access = self.access(Operation::Publish, Some(publisher.clone()));
        let publishing = async {
            for blob in [component, config] {
                self.push(&publisher, &access, blob).await?;
            }
            access.ready().await?;
            let kind = layout::MANIFEST.parse().unwrap_or_else(|_| unreachable!("it is text"));
            publisher.push_manifest_raw(self.reference.inner(), manifest, kind).await
        };
        self.within(TRANSFER, &access, publishing).await?;
        Ok(self.reference.pinned(digest))
    }

    /// Sends bytes, unless the registry has them.
    async fn push(&self, publisher: &Client, access: &Arc<Access>, blob: Bytes) -> Result<(), OciDistributionError> {
        let name = self.reference.inner();
        let digest = format!("sha256:{}", Digest::of(&blob));
        access.ready().await?;
        if publisher.blob_exists(name, &digest).await? {
            return Ok(());
        }
        let pieces = (0..blob.len()).step_by(PIECE).map(|from| blob.slice(from..blob.len().min(from + PIECE)));
        let pieces: Vec<Bytes> = pieces.collect();
        let renewing = access.clone();
        // A token may run out before a large component is sent.
        let pieces = stream::iter(pieces).then(move |piece| {
            let access = renewing.clone();
            async move { access.ready().await.map(|()| piece) }
        });
        match publisher.push_blob_stream(name, pieces, &digest, None).await {
            // Some registries take no pieces. This tries again without.
            Err(OciDistributionError::SpecViolationError(_)) => {
                access.ready().await?;
                publisher.push_blob(name, blob, &digest).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    /// The component of the manifest, and the reference by the manifest's digest.
    async fn manifest(&self, access: &Access) -> Result<(Layer, Reference), RegistryError> {
        let not = |reason| RegistryError::NotAComponent { reference: self.reference.clone(), reason };
        let kinds = layout::ACCEPTED.join(", ");
        let asked = self.get(access, self.reference.manifest_url(), &kinds, LARGEST_MANIFEST);
        let manifest = self.within(ANSWER, access, asked).await?;
        let too_large = || not(format!("its manifest has more than {} MiB", LARGEST_MANIFEST >> 20));
        let manifest = manifest.ok_or_else(too_large)?;
        let digest = Digest::of(&manifest);
        if self.reference.digest().is_some_and(|wanted| wanted != digest) {
            let what = format!("its manifest is that of sha256:{digest}");
            return Err(RegistryError::OtherBytes { reference: self.reference.clone(), what });
        }
        Ok((layout::component(&manifest).map_err(not)?, self.reference.pinned(digest)))
    }

    /// The bytes at an address of the registry. `None`: they are too many. (oci-client could get them as well, but reads manifests
    /// and answers with errors whatever their size.)
    async fn get(
        &self,
        access: &Access,
        url: String,
        kinds: &str,
        most: usize,
    ) -> Result<Option<Vec<u8>>, OciDistributionError> {
        let request = self.http.get(&url).header(ACCEPT, kinds);
        let answer = access.show(request).await?.send().await?;
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(http::read(answer, most).await?);
        }
        let said = http::read(answer, LARGEST_ERROR).await?;
        let envelope = said.and_then(|said| serde_json::from_slice::<OciEnvelope>(&said).ok());
        Err(match envelope.filter(|envelope| status.is_client_error() && !envelope.errors.is_empty()) {
            Some(envelope) => OciDistributionError::RegistryError { envelope, url },
            None => OciDistributionError::ServerError { code: status.as_u16(), url, message: String::new() },
        })
    }

    fn access(&self, operation: Operation, publisher: Option<Client>) -> Arc<Access> {
        Arc::new(Access::new(&self.reference, operation, self.login.clone(), self.http.clone(), publisher))
    }

    /// Waits for an answer of the registry, but not for ever.
    async fn within<T>(
        &self,
        limit: Duration,
        access: &Access,
        answer: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, RegistryError> {
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(access.failed(error).await),
            Err(_) => {
                let reason = format!("it has not answered in full within {} s", limit.as_secs());
                Err(RegistryError::Unreachable { reference: self.reference.clone(), reason })
            }
        }
    }
}
