//! Finds out whether a component is up to date with its sources.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use brrr_protocol::model::hex;
use sha2::{Digest as _, Sha256};

use super::Project;
use crate::{sdk, trust};

/// Folders that contain no sources: the output of tools, installed packages, and the data of other programs.
pub const NO_SOURCES: &[&str] = &[".brrr", ".git", "target", "node_modules", "__pycache__", ".venv", "venv"];

/// The environment variables that change what the compilers produce.
const SETTINGS: &[&str] = &["WASI_SDK_PATH", "BRRR_CC", "BRRR_CXX", "WASM_TOOLS", "GOFLAGS", "RUSTFLAGS"];

/// Can the component depend on this file? The path is relative to the project.
#[must_use]
pub fn is_source(path: &Path) -> bool {
    let skipped = |part: &std::ffi::OsStr| NO_SOURCES.iter().any(|name| part == *name);
    // Editors keep copies in hidden files like these for a moment. A hidden file is no source in any language.
    let hidden =
        |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.') || name.to_string_lossy().ends_with('~');
    !path.iter().any(skipped) && !path.file_name().is_some_and(hidden) && path.extension().is_none_or(|e| e != "wasm")
}

/// One digest of the bytes of all files that the component is made of.
///
/// # Errors
/// When a file can't be read.
pub fn inputs(project: &Project) -> io::Result<String> {
    let mut files = BTreeMap::new();
    collect(&project.folder, Path::new(""), &mut files)?;
    let mut hash = Sha256::new();
    hash.update(sdk::digest(project.language));
    // A folder can have several components, so the sources are part of the digest. The version is part of the digest
    // because another version of this program may build in another way.
    hash.update(format!("{} {:?}", env!("CARGO_PKG_VERSION"), project.sources));
    for name in SETTINGS {
        hash.update(format!("{name}={:?}\n", std::env::var_os(name)));
    }
    for (name, path) in files {
        let bytes = fs::read(&path)?;
        hash.update(format!("{} {}\n", name.display(), bytes.len()));
        hash.update(bytes);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(root: &Path, below: &Path, files: &mut BTreeMap<PathBuf, PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        if !is_source(&name) {
            continue;
        }
        // Links to files are followed. Links to folders are not, because they can form a cycle.
        if entry.file_type()?.is_dir() {
            collect(root, &name, files)?;
        } else if entry.path().is_file() {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// Records that `component` was made of `inputs`.
///
/// # Errors
/// When the record can't be written.
pub fn write(project: &Project, component: &Path, inputs: &str) -> io::Result<()> {
    let path = stamp(project, component)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, format!("{inputs}\n{}\n", state(component)?))
}

/// Was `component` made of `inputs`, and is the file unchanged since then?
#[must_use]
pub fn holds(project: &Project, component: &Path, inputs: &str) -> bool {
    let written = stamp(project, component).and_then(fs::read_to_string).unwrap_or_default();
    let mut lines = written.lines();
    lines.next() == Some(inputs) && state(component).is_ok_and(|now| lines.next() == Some(&now))
}

/// The path of the stamp. Each component has one, because a folder can have several components.
fn stamp(project: &Project, component: &Path) -> io::Result<PathBuf> {
    let path = component.to_string_lossy();
    let name = &hex(&Sha256::digest(path.as_bytes()))[..16];
    trust::below(&project.folder, &Path::new(".brrr/built").join(name))
}

/// The size and the time of the file stand for its content: a component of 20 MB is too large to read each time.
fn state(component: &Path) -> io::Result<String> {
    let meta = component.metadata()?;
    let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} bytes, {} ns", meta.len(), modified.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_no_sources() {
        for path in ["app.py", "src/lib.rs", "deep/er/x.go", "Cargo.toml"] {
            assert!(is_source(Path::new(path)), "{path}");
        }
        for path in
            [".brrr/sdk/c/x.c", "target/debug/x.rs", "a/node_modules/b.js", "hello.wasm", ".app.py.swp", "app.py~"]
        {
            assert!(!is_source(Path::new(path)), "{path}");
        }
    }
}
