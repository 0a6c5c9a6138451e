//! Compiled components, kept in the user's cache folder.
//!
//! A compiled component is native code that wasmtime runs as it is, so only this program writes that folder, only files
//! of this user in a folder that nobody else can enter are read, and each is checked against its digest. An entry is two
//! files: `KEY` names, by its digest, the artifact `DIGEST.cwasm`; it is written last.

use std::fs;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use brrr_protocol::model::hex;
use etcetera::BaseStrategy as _;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

/// An entry that nobody has used for so long is of an old version of a guest or of this program.
const UNUSED: Duration = Duration::from_hours(30 * 24);

/// The folder of compiled components.
pub(super) struct Cache {
    /// `None`: there is no folder to trust, and every start compiles.
    folder: Option<PathBuf>,
    /// What wasmtime says that an artifact depends on: its version, settings and this processor.
    compatibility: String,
}

impl Cache {
    /// Opens the cache, creating its folder. Without a usable folder it warns, and is always empty.
    pub fn open(folder: Option<PathBuf>, engine: &wasmtime::Engine) -> Self {
        let mut digest = Digest(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut digest);
        let folder = folder.map_or_else(default_folder, Ok).and_then(|folder| {
            prepare(&folder).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
            Ok(folder)
        });
        let folder = folder
            .inspect_err(|error| {
                tracing::warn!("compiled components are not kept, so every start compiles them again: {error}");
            })
            .ok();
        Self { folder, compatibility: hex(&digest.0.finalize()) }
    }

    /// The compiled form of a component, if it is here and whole.
    pub fn load(&self, engine: &wasmtime::Engine, wasm: &str) -> Option<Component> {
        let entry = self.entry(wasm)?;
        let artifact = fs::read_to_string(&entry).ok()?;
        let path = entry.with_file_name(artifact_name(&artifact)?);
        if !is_ours(&path) || sha256_of_file(&path).ok()? != artifact {
            tracing::warn!("{}: damaged or not written by this user; compiling again", path.display());
            return None;
        }
        touch(&entry);
        touch(&path);
        // SAFETY: the file is an artifact of `Component::serialize` by this program: it lies in a folder that only this
        // user can write, belongs to this user, and has the digest under which it was written. Whether it is of this
        // very version and configuration, wasmtime checks itself.
        #[allow(unsafe_code, reason = "wasmtime has no safe way to load what it has compiled")]
        let component = unsafe { Component::deserialize_file(engine, &path) };
        component
            .inspect_err(|error| tracing::warn!("{}: not usable ({error:#}); compiling again", path.display()))
            .ok()
    }

    /// Keeps a compiled component. That it can't is worth a warning, not an error.
    pub fn store(&self, wasm: &str, component: &Component) {
        let Some(entry) = self.entry(wasm) else { return };
        if let Err(error) = write_entry(&entry, component) {
            tracing::warn!("the compiled component could not be kept in {}: {error}", entry.display());
        }
    }

    fn entry(&self, wasm: &str) -> Option<PathBuf> {
        let key = Sha256::digest(format!("{wasm}\n{}", self.compatibility));
        Some(self.folder.as_ref()?.join(hex(&key)))
    }
}

fn write_entry(entry: &Path, component: &Component) -> io::Result<()> {
    let folder = entry.parent().unwrap_or(Path::new("."));
    let code = component.serialize().map_err(io::Error::other)?;
    let digest = hex(&Sha256::digest(&code));
    remove_unused(folder);
    write_whole(&folder.join(format!("{digest}.cwasm")), &code)?;
    write_whole(entry, digest.as_bytes())
}

/// Writes a file so that nobody ever sees a part of it.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    // Not synced: a file that a power cut left half written has not its digest, and is made again.
    file.persist(path)?;
    Ok(())
}

fn artifact_name(digest: &str) -> Option<String> {
    let is_digest = digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit());
    is_digest.then(|| format!("{digest}.cwasm"))
}

fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut file = fs::File::open(path)?;
    // Read in pieces: an artifact of CPython is 60 MB, which need not all be in memory at once.
    let mut piece = vec![0; 256 << 10];
    loop {
        match io::Read::read(&mut file, &mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            n => digest.update(&piece[..n]),
        }
    }
}

fn touch(path: &Path) {
    // Only keeps it from being removed; if that can't be, it is compiled again some day.
    let _ = fs::File::options().append(true).open(path).and_then(|f| f.set_modified(SystemTime::now()));
}

fn remove_unused(folder: &Path) {
    let Ok(files) = fs::read_dir(folder) else { return };
    for file in files.flatten() {
        let age = file.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
        if age.is_some_and(|age| age > UNUSED) {
            let _ = fs::remove_file(file.path());
        }
    }
}

fn default_folder() -> io::Result<PathBuf> {
    let base = etcetera::choose_base_strategy().map_err(io::Error::other)?;
    Ok(base.cache_dir().join("brrr-host").join("components"))
}

#[cfg(unix)]
fn prepare(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    let problem = if !found.is_dir() {
        "is not a folder (a link is not followed)"
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        "belongs to another user"
    } else if found.mode() & 0o022 != 0 {
        "can be written by other users (chmod 700 it)"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

#[cfg(not(unix))]
fn prepare(folder: &Path) -> io::Result<()> {
    // The user's own cache folder has the rights of the user's profile.
    fs::create_dir_all(folder)
}

#[cfg(unix)]
fn is_ours(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::symlink_metadata(path).is_ok_and(|found| {
        found.is_file() && found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0
    })
}

#[cfg(not(unix))]
fn is_ours(path: &Path) -> bool {
    path.is_file()
}

/// Feeds what wasmtime hashes into a digest that is the same in every process.
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
