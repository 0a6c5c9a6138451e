//! Compiled components, kept in the user's cache folder.
//!
//! A compiled component is native code, and wasmtime runs it as it is. So only this program writes the folder. It
//! reads only files of this user, in a folder that nobody else can write. `folder` keeps that folder open, so that the
//! owner of a folder above it can't replace it. Each artifact is checked against its digest, so that a damaged artifact
//! is not run. An entry has two files: the file `KEY` contains the digest of the artifact, which is in the file
//! `DIGEST.cwasm`. `KEY` is written last.

mod folder;

use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use brrr_protocol::model::hex;
use etcetera::BaseStrategy as _;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use folder::Folder;

/// An entry that was not used for this time belongs to an old version of a guest or of this program.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// The folder of compiled components.
pub(super) struct Cache {
    /// `None`: there is no trustworthy folder, and every start compiles.
    folder: Option<Folder>,
    /// All that an artifact depends on, as reported by wasmtime: its version, its settings and this processor.
    compatibility: String,
}

impl Cache {
    /// Opens the cache, and creates its folder. Without a usable folder, this warns and the cache is always empty.
    pub fn open(folder: Option<PathBuf>, engine: &wasmtime::Engine) -> Self {
        let mut digest = Digest(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut digest);
        let folder = folder.map_or_else(default_folder, Ok).and_then(|path| Folder::open(&path));
        let folder = folder
            .inspect_err(|error| {
                tracing::warn!("compiled components are not kept, so every start compiles them again: {error}");
            })
            .ok();
        Self { folder, compatibility: hex(&digest.0.finalize()) }
    }

    /// The compiled form of a component, if it is in the cache and undamaged.
    pub fn load(&self, engine: &wasmtime::Engine, wasm: &str) -> Option<Component> {
        let folder = self.folder.as_ref()?;
        let entry = self.entry(wasm);
        let mut digest = String::new();
        let mut entry = folder.read(&entry).ok()?;
        // An entry has 64 bytes.
        entry.by_ref().take(100).read_to_string(&mut digest).ok()?;
        let name = artifact_name(&digest)?;
        let code = folder.read(&name).and_then(|mut file| {
            let mut code = Vec::new();
            file.read_to_end(&mut code)?;
            Ok((file, code))
        });
        let unusable = |why: &dyn std::fmt::Display| {
            tracing::warn!("{}: {why}; compiling again", folder.shown(&name).display());
        };
        let (file, code) = code.inspect_err(|error| unusable(error)).ok()?;
        if hex(&Sha256::digest(&code)) != digest {
            unusable(&"damaged");
            return None;
        }
        folder::touch(&entry);
        folder::touch(&file);
        // SAFETY: these bytes are an artifact of `Component::serialize` by this program. They were read once, from a
        // file that belongs to this user and that nobody else can write. The same is true of its folder, which was held
        // open. The bytes have the digest under which they were written. wasmtime itself checks their version and
        // configuration.
        #[expect(unsafe_code, reason = "wasmtime has no safe way to load what it has compiled")]
        let component = unsafe { Component::deserialize(engine, &code) };
        component.inspect_err(|error| unusable(&format!("not usable ({error:#})"))).ok()
    }

    /// Stores a compiled component. A failure causes a warning, not an error.
    pub fn store(&self, wasm: &str, component: &Component) {
        let Some(folder) = &self.folder else { return };
        let entry = self.entry(wasm);
        if let Err(error) = write_entry(folder, &entry, component) {
            tracing::warn!("the compiled component could not be kept in {}: {error}", folder.shown(&entry).display());
        }
    }

    fn entry(&self, wasm: &str) -> String {
        hex(&Sha256::digest(format!("{wasm}\n{}", self.compatibility)))
    }
}

fn write_entry(folder: &Folder, entry: &str, component: &Component) -> io::Result<()> {
    let code = component.serialize().map_err(io::Error::other)?;
    let digest = hex(&Sha256::digest(&code));
    folder.remove_older_than(UNUSED);
    folder.write(&format!("{digest}.cwasm"), &code)?;
    folder.write(entry, digest.as_bytes())
}

fn artifact_name(digest: &str) -> Option<String> {
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    is_digest.then(|| format!("{digest}.cwasm"))
}

fn default_folder() -> io::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
    Ok(base.cache_dir().join("brrr-host").join("components"))
}

/// A hasher that computes the same digest in every process from what wasmtime feeds into it.
struct Digest(Sha256);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
    }
}
