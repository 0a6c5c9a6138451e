//! Runs every kept input through its target.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use brrr_fuzz::{TARGETS, run};

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The inputs of each target, with their names.
type Inputs = BTreeMap<String, Vec<(String, Vec<u8>)>>;

/// Inputs that together reach all code that fuzzing has reached. `make fuzz MINIMISE=1` writes the archive.
fn corpus() -> Inputs {
    let mut inputs = Inputs::new();
    let mut archive = tar::Archive::new(File::open(folder("corpus.tar")).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let (target, name) = path.split_once('/').unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        inputs.entry(target.to_owned()).or_default().push((name.to_owned(), data));
    }
    inputs
}

/// Inputs that once broke a promise.
fn regressions() -> Inputs {
    let mut inputs = Inputs::new();
    for target in files(&folder("regressions")) {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = files(&target).iter().map(|file| (name(file), fs::read(file).unwrap())).collect();
        inputs.insert(name(&target), kept);
    }
    inputs
}

#[test]
fn the_corpus_breaks_no_promise() {
    let (corpus, regressions) = (corpus(), regressions());
    let (mut count, mut broken) = (0, Vec::new());
    for (target, _) in TARGETS {
        let kept = corpus.get(target).unwrap_or_else(|| panic!("{target} has no corpus"));
        for (name, data) in kept.iter().chain(regressions.get(target).into_iter().flatten()) {
            count += 1;
            if catch_unwind(|| run(target, data)).is_err() {
                broken.push(format!("{target}/{name}"));
            }
        }
    }
    println!("{count} inputs");
    assert!(broken.is_empty(), "see above for why: {broken:#?}");
}

/// Valid inputs that are cut short or have one wrong byte, as damaged records on disks.
#[test]
fn damaged_inputs_break_no_promise() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (target, inputs) in corpus() {
        for (name, data) in inputs {
            for _ in 0..4 {
                let mut damaged = data.clone();
                if let Some(offset) = (!data.is_empty()).then(|| random.usize(..data.len())) {
                    if random.bool() {
                        damaged.truncate(offset);
                    } else {
                        damaged[offset] = random.u8(..);
                    }
                }
                let broken = catch_unwind(|| run(&target, &damaged)).is_err();
                assert!(!broken, "SEED={seed}: {target}, from {name}: {:?}", damaged.escape_ascii());
            }
        }
    }
}

#[test]
fn each_target_has_its_program_and_its_corpus_and_nothing_else_is_there() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len());
    let programs: BTreeSet<String> = files(&folder("libfuzzer/fuzz_targets"))
        .iter()
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(programs, names);
    let (corpus, regressions) = (corpus(), regressions());
    assert_eq!(corpus.keys().cloned().collect::<BTreeSet<_>>(), names);
    assert!(regressions.keys().all(|target| names.contains(target)));
    let bytes: usize = corpus.values().chain(regressions.values()).flatten().map(|(_, data)| data.len()).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes are too many for a repository: make fuzz MINIMISE=1");
}

#[test]
fn a_broken_promise_is_noticed() {
    let data = b"d9000000000000000000:";
    run("bencode", data);
    let peak = brrr_fuzz::allocation::peak_of(|| drop(std::hint::black_box(vec![0u8; 1 << 20])));
    assert!(peak >= 1 << 20, "{peak}");
    assert!(catch_unwind(|| run("no such target", b"")).is_err());
}
