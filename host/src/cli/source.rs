//! Where a command gets a component from: a file, a project, which is built first, or a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::records::ServedComponent;
use brrr_worker::signatures::{Signer, TrustedKeys, read_signature};
use brrr_worker::text::line;
use brrr_worker::wasm::{Engine, Guest, LoadError};
use serde_json::json;

use super::progress::{Spinner, load_signed};
use super::{ExitError, build};
use crate::build::OwnBuild;
use crate::exit::Exit;
use crate::registry::{Pulled, Reference, Registry, is_reference};

/// The variable by which a parent process tells its workers what the tags of their components stand for, as JSON. So all of them
/// run the same code, also a worker that is started again later.
pub const PINNED: &str = "BRRR_PINNED";

/// A component that was read, and not loaded yet.
pub struct Source {
    /// Its file, or its place in the registry.
    pub path: PathBuf,
    /// A short name for it.
    pub name: String,
    pub bytes: Vec<u8>,
    /// Its signatures. They are not verified.
    pub signatures: Vec<String>,
    /// Its place in a registry, by the digest of its manifest.
    pub pinned: Option<Reference>,
}

/// Reads a component: the file `path`, the component of the project in this folder, or what a registry has under the name
/// `oci://…`. `own`: the user's command that builds it. A signature is read from the file beside the component
/// (`app.wasm.minisig`), or comes from the registry.
///
/// # Errors
/// When there is no component, or it can't be built, read or pulled.
pub async fn read(path: &Path, own: Option<&OwnBuild>) -> anyhow::Result<Source> {
    if is_reference(path) {
        if own.is_some() {
            let text = format!("{}: a component in a registry is not built; leave out `build`", path.display());
            return Err(ExitError::new(Exit::Usage, text).into());
        }
        let Pulled { bytes, signatures, pinned } = pull(&reference(path)?).await?;
        let (path, name) = (pinned.to_string().into(), pinned.short_name().to_owned());
        return Ok(Source { path, name, bytes, signatures, pinned: Some(pinned) });
    }
    let path = build::component(path, own).await?;
    // Read once: what is checked is what is loaded.
    let bytes = Guest::read(&path).await?;
    let signatures = signature_beside(&path)?.into_iter().collect();
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source { path, name, bytes, signatures, pinned: None })
}

/// Reads the notation of a component in a registry.
///
/// # Errors
/// When it is wrong.
pub fn reference(path: &Path) -> anyhow::Result<Reference> {
    let text = path.to_str().unwrap_or_default();
    Reference::parse(text).map_err(|reason| ExitError::new(Exit::Usage, reason).into())
}

/// Pulls a component from its registry. Shows the progress, and tells what a tag stands for.
///
/// # Errors
/// When there is none, or the registry can't be used.
pub async fn pull(reference: &Reference) -> anyhow::Result<Pulled> {
    let of_parent = pinned_by_parent(reference);
    let wanted = of_parent.as_ref().unwrap_or(reference);
    let _spinner = Spinner::after(Duration::from_millis(300), format!("pulling {reference}"));
    let pulled = Registry::open(wanted).await?.pull().await?;
    if reference.digest().is_none() {
        tracing::info!("{reference} is {}", pulled.pinned);
    }
    Ok(pulled)
}

/// What the tags of these components stand for now, for `PINNED`. `None`: there are no tags.
///
/// # Errors
/// When there is no such component, or the registry can't be used.
pub async fn pin<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> anyhow::Result<Option<String>> {
    let mut pins = BTreeMap::new();
    for path in paths.filter(|path| is_reference(path)) {
        let reference = reference(path)?;
        if reference.digest().is_none() {
            let pinned = Registry::open(&reference).await?.resolve().await?;
            tracing::info!("{reference} is {pinned}");
            pins.insert(reference.to_string(), pinned.to_string());
        }
    }
    Ok((!pins.is_empty()).then(|| json!(pins).to_string()))
}

fn pinned_by_parent(reference: &Reference) -> Option<Reference> {
    let pins: BTreeMap<String, String> = serde_json::from_str(&std::env::var(PINNED).ok()?).ok()?;
    Reference::parse(pins.get(&reference.to_string())?).ok()
}

/// The file of a component's signature.
pub fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The signature in the file beside a component. A file that is no signature is an error: whoever has signed wants to know it.
fn signature_beside(component: &Path) -> anyhow::Result<Option<String>> {
    let file = signature_file(component);
    if !file.exists() {
        return Ok(None);
    }
    signature(&file).map(Some)
}

/// The signature in a file.
///
/// # Errors
/// When it can't be read, or is none.
pub fn signature(file: &Path) -> anyhow::Result<String> {
    let wrong = |error| ExitError::new(Exit::Usage, format!("{}: {error}", file.display()));
    read_signature(file).map_err(|error| wrong(error).into())
}

impl Source {
    /// Loads the component, if one of these keys has signed it, or there are none.
    ///
    /// # Errors
    /// When this host can't serve it, or no trusted key has signed it.
    pub async fn load(self, engine: &Arc<Engine>, keys: &TrustedKeys) -> Result<Guest, LoadError> {
        let Self { path, name, bytes, signatures, .. } = self;
        let guest = load_signed(engine, &path, bytes, (keys, signatures)).await?;
        if let Some(signer) = &guest.signer {
            tracing::info!("{} is signed by {signer}", line(&name));
        }
        Ok(guest)
    }
}

/// A component as `brrr-host workers` lists it.
pub fn served(name: &str, pinned: Option<&Reference>, guest: &Guest) -> ServedComponent {
    ServedComponent {
        name: line(name).into_owned(),
        digest: format!("sha256:{}", guest.digest),
        from: pinned.map(ToString::to_string).unwrap_or_default(),
        signed_by: guest.signer.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}

/// What signatures say of themselves, for people. Nothing is verified.
pub fn said(signatures: &[String]) -> Vec<Signer> {
    signatures.iter().filter_map(|signature| Signer::said(signature)).collect()
}
