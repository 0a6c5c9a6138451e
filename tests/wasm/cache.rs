//! The cache of compiled components. Its contents are never trusted without checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use brrr_worker::wasm::{Engine, EngineOptions, Guest, LoadStage};

use crate::fixture::Fixture;

fn engine(folder: &Path) -> Arc<Engine> {
    Engine::new(&EngineOptions { max_running: 1, cache_dir: Some(folder.to_owned()) }).unwrap()
}

/// Loads the component. Returns whether it came from the cache.
async fn cached(engine: &Arc<Engine>, path: &Path) -> bool {
    let stages = Mutex::new(Vec::new());
    Guest::load(engine, path, &|stage| stages.lock().unwrap().push(stage)).await.unwrap();
    stages.into_inner().unwrap().contains(&LoadStage::Cached)
}

fn artifact(folder: &Path) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.find(|path| path.extension().is_some_and(|e| e == "cwasm")).unwrap()
}

#[tokio::test]
async fn compiled_once_and_again_when_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let path = Fixture::default().write(folder.path());
    assert!(!cached(&engine(&cache), &path).await);
    assert!(cached(&engine(&cache), &path).await);

    let artifact = artifact(&cache);
    let mut code = fs::read(&artifact).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    fs::write(&artifact, &code).unwrap();
    assert!(!cached(&engine(&cache), &path).await, "one flipped bit");
    assert!(cached(&engine(&cache), &path).await, "mended");

    fs::write(&artifact, b"").unwrap();
    assert!(!cached(&engine(&cache), &path).await, "cut off");
}

#[cfg(unix)]
#[tokio::test]
async fn only_a_private_folder_is_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let path = Fixture::default().write(folder.path());
    assert!(!cached(&engine(&cache), &path).await);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);

    fs::set_permissions(artifact(&cache), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(!cached(&engine(&cache), &path).await, "an artifact that others can write");

    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(!cached(&engine(&cache), &path).await, "a folder that others can write");

    let link = folder.path().join("link");
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(&cache, &link).unwrap();
    assert!(!cached(&engine(&link), &path).await, "a link");
}

#[tokio::test]
async fn without_a_folder_it_compiles() {
    let folder = tempfile::tempdir().unwrap();
    let path = Fixture::default().write(folder.path());
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let engine = engine(&file.join("cache"));
    assert!(!cached(&engine, &path).await);
    assert!(!cached(&engine, &path).await);
}

/// Another user can change the contents of a folder of theirs at any time. This also holds for a folder of ours inside of it.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_in_a_folder_of_another_user_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = Fixture::default().write(folder.path());
    let theirs = folder.path().join("theirs");
    let cache = theirs.join("deeper").join("cache");
    assert!(!cached(&engine(&cache), &path).await);
    assert!(cached(&engine(&cache), &path).await);
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(!cached(&engine(&cache), &path).await, "other users can rename files in it");
    fs::set_permissions(&theirs, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(cached(&engine(&cache), &path).await, "as /tmp");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
        assert!(!cached(&engine(&cache), &path).await, "belongs to another user");
    } else {
        eprintln!("SKIPPED: only root can give a folder to another user");
    }
}

/// The folder that was checked is the one that is read, also if another folder takes its path.
#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_is_swapped_afterwards_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = Fixture::default().write(folder.path());
    let (cache, away) = (folder.path().join("cache"), folder.path().join("away"));
    assert!(!cached(&engine(&cache), &path).await);
    let opened = engine(&cache);
    fs::rename(&cache, &away).unwrap();
    fs::create_dir(&cache).unwrap();
    // The new folder belongs to an attacker. All its files are damaged, and none is read.
    for file in fs::read_dir(&away).unwrap() {
        fs::write(cache.join(file.unwrap().file_name()), "native code of a stranger").unwrap();
    }
    assert!(cached(&opened, &path).await, "from the folder that was opened");
    assert!(!cached(&engine(&cache), &path).await);
}
