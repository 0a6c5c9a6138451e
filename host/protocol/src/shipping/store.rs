//! Puts a component into a store, and gets it.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use super::LEAST_AGE;
use super::chunks::{self, Component};
use super::manifest::{self, About};
use super::upload::{Upload, is_collecting};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::{Key, Store};
use crate::records::{ChunkEntry, ManifestRecord};

/// The number of keys of one look at what is there.
const LOOK: usize = 1_000;

/// Records are written until they have so many bytes together, and then the next ones are compressed.
const WRITTEN_TOGETHER: usize = 1 << 20;

/// Records are read until they have so many bytes together, or are so many. (Not every store counts the bytes.)
const READ_TOGETHER: (usize, usize) = (4 << 20, 32);

/// Which chunks are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sending {
    /// Those that are not there.
    #[default]
    Absent,
    /// All of them: chunks that are damaged are replaced.
    All,
}

/// What was sent of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the component.
    pub digest: Digest,
    /// The number of its chunks. Chunks that are the same count once.
    pub chunks: usize,
    /// The number of chunks that were sent.
    pub new_chunks: usize,
    /// The bytes of the records of these chunks. They are compressed.
    pub new_bytes: u64,
    /// The component was there before, and some of it was sent again: chunks, or another signature.
    pub resent: bool,
}

/// Puts a component into a store: chunks, and then the manifest. Safe to repeat: what was sent is not sent again. While a
/// collection (`gc`) goes on, all chunks are sent. A component that no revision names stays for [`super::LEAST_AGE`] at least.
///
/// # Errors
/// When the store fails. `Limit` if `about` is too long.
pub async fn put_component(
    store: &dyn Store,
    component: &Component,
    about: &About,
    sending: Sending,
) -> Result<Pushed> {
    let key = Key::manifest(&component.digest());
    let found = store.get(&key).await?;
    let (before, extra) = match found.as_deref().map(ManifestRecord::decode) {
        // A later version knows what it wrote, and this one would lose it.
        Some(Err(error)) if error.kind == ErrorKind::NewerRecord => return Err(error.of(&key)),
        Some(Ok(before)) => (before.signatures, before.extra),
        Some(Err(_)) | None => (Vec::new(), Vec::new()),
    };
    let mut manifest = manifest::of(component, about, &before, store.now())?;
    manifest.extra = extra;
    let mut upload = Upload::begin(store, component).await?;
    let mut unsent = to_send(store, component, sending).await?;
    let chunks = unsent.len();
    unsent.retain(|_, is_to_send| *is_to_send);
    let new_chunks = unsent.len();
    let resent = found.is_some() && (new_chunks > 0 || manifest.signatures != before);
    let mut pushed = Pushed { digest: component.digest(), chunks, new_chunks, new_bytes: 0, resent };
    let (mut records, mut bytes) = (Vec::new(), 0);
    for (chunk, piece) in component.pieces() {
        if unsent.remove(&chunk.digest).is_none() {
            continue;
        }
        let record = chunks::record(&piece, store.now())?;
        bytes += record.len();
        records.push((Key::chunk(&chunk.digest), record));
        if bytes >= WRITTEN_TOGETHER || unsent.is_empty() {
            store.put_many(&records).await?;
            upload.renew().await?;
            pushed.new_bytes += bytes as u64;
            records.clear();
            bytes = 0;
        }
    }
    upload.renew().await?;
    manifest.at = store.now();
    store.put(&key, manifest.encode()).await?;
    upload.end().await?;
    Ok(pushed)
}

/// The chunks of a component, each with whether it must be sent.
async fn to_send(store: &dyn Store, component: &Component, sending: Sending) -> Result<HashMap<Digest, bool>> {
    // In an order, so that a simulated history can be repeated.
    let digests: BTreeSet<Digest> = component.chunks().iter().map(|chunk| chunk.digest).collect();
    let digests: Vec<Digest> = digests.into_iter().collect();
    if sending == Sending::All || is_collecting(store).await? {
        return Ok(digests.into_iter().map(|digest| (digest, true)).collect());
    }
    let mut absent = HashMap::with_capacity(digests.len());
    for page in digests.chunks(LOOK) {
        let there = store.has_many(&page.iter().map(Key::chunk).collect::<Vec<_>>()).await?;
        absent.extend(page.iter().zip(there).map(|(digest, is_there)| (*digest, !is_there)));
    }
    Ok(absent)
}

/// The manifest of a component. `None`: nobody has pushed the component, or it was removed.
///
/// # Errors
/// When the store fails. `Malformed` or `NewerRecord` if the manifest can't be read, or lies.
pub async fn get_manifest(store: &dyn Store, digest: &Digest) -> Result<Option<ManifestRecord>> {
    let key = Key::manifest(digest);
    let Some(bytes) = store.get(&key).await? else { return Ok(None) };
    let manifest = ManifestRecord::decode(&bytes).map_err(|error| error.of(&key))?;
    manifest::check(digest, &manifest)?;
    Ok(Some(manifest))
}

/// Keeps a component that nothing may name: it stays for half of [`super::LEAST_AGE`] at least. One that was sent longer ago is put
/// once more. Returns the manifest. `None`: nobody has pushed the component, or it was removed.
///
/// # Errors
/// As `get_component` and `put_component`. Safe to repeat.
pub async fn renew_component(store: &dyn Store, digest: &Digest) -> Result<Option<ManifestRecord>> {
    let Some(manifest) = get_manifest(store, digest).await? else { return Ok(None) };
    let age = u128::from(store.now().saturating_sub(manifest.at));
    if age > LEAST_AGE.as_millis() / 2 {
        let Some(bytes) = get_component(store, digest).await? else { return Ok(None) };
        put_component(store, &Component::cut(bytes)?, &manifest::about(&manifest)?, Sending::Absent).await?;
    }
    Ok(Some(manifest))
}

/// The component of this digest, with all digests checked. `None`: nobody has pushed it, or it was removed. It is in memory at
/// once, with a few MiB of its chunks.
///
/// # Errors
/// When the store fails. `Malformed` or `NewerRecord` if the manifest or a chunk is missing, can't be read, or lies.
pub async fn get_component(store: &dyn Store, digest: &Digest) -> Result<Option<Bytes>> {
    match get_manifest(store, digest).await? {
        Some(manifest) => read_component(store, &manifest).await.map(Some),
        None => Ok(None),
    }
}

/// The component of a manifest that `get_manifest` has returned, as `get_component`.
///
/// # Errors
/// As `get_component`.
pub async fn read_component(store: &dyn Store, manifest: &ManifestRecord) -> Result<Bytes> {
    let digest = &manifest.digest;
    // The manifest was checked: this is bounded.
    let mut bytes = Vec::with_capacity(usize::try_from(manifest.size).unwrap_or_default());
    let mut rest = manifest.chunks.as_slice();
    while !rest.is_empty() {
        let (portion, after) = rest.split_at(rest.len().min(READ_TOGETHER.1));
        let keys: Vec<Key> = portion.iter().map(|chunk| Key::chunk(&chunk.digest)).collect();
        let mut unread = keys.as_slice();
        let mut chunks = portion.iter();
        while !unread.is_empty() {
            let found = store.get_some(unread, READ_TOGETHER.0).await?;
            unread = unread.get(found.len().max(1)..).unwrap_or_default();
            for (record, chunk) in found.into_iter().zip(&mut chunks) {
                let record = record.ok_or_else(|| missing(digest, chunk))?;
                bytes.extend_from_slice(&chunks::piece(&record, chunk)?);
            }
        }
        rest = after;
    }
    if Digest::of(&bytes) != *digest {
        let reason = "its chunks are those of another component; push the component again";
        return Err(Error::malformed(component(digest), reason));
    }
    Ok(bytes.into())
}

fn component(digest: &Digest) -> String {
    format!("the component sha256:{digest}")
}

fn missing(digest: &Digest, chunk: &ChunkEntry) -> Error {
    Error::malformed(component(digest), format!("its chunk {} is missing; push the component again", chunk.digest))
}
