//! The SDKs' guests, where they have been built (`make guests`).

use std::path::{Path, PathBuf};

use brrr_host::wasm::RunLimits;
use brrr_protocol::ports::Ended;

use crate::rig::{Rig, load};

fn built(language: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(language);
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "wasm")).collect();
    if files.is_empty() {
        eprintln!("no {language} guests are built; nothing to test");
    }
    files.sort();
    files
}

/// Loads all guests of a language; each must answer every task of its own with anything but a crash of the host.
async fn serves(language: &str) {
    for path in built(language) {
        let guest = load(&path).await.unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<_> = guest.tasks.iter().map(|task| task.name.clone()).collect();
        println!("{}: {names:?}", path.display());
        let rig = Rig::of(vec![guest], RunLimits::default());
        for name in names {
            let ended = rig.run(&name, b"not JSON").await;
            println!("  {name}: {ended:?} {:?}", rig.lines.take());
            if let Ended::Failed { failure, .. } = ended {
                assert!(!failure.message.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn rust() {
    serves("rust").await;
}

#[tokio::test]
async fn typescript() {
    serves("typescript").await;
}

#[tokio::test]
async fn python() {
    serves("python").await;
}
