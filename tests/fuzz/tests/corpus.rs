//! Every input that is kept, through the target that it is kept for.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use brrr_fuzz::{TARGETS, run};

/// `corpus`: what reaches all code that is known; `regressions`: what was wrong once.
const FOLDERS: [&str; 2] = ["corpus", "regressions"];

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(of)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_kept_breaks_no_promise() {
    let (mut inputs, mut broken) = (0, Vec::new());
    for (name, _) in TARGETS {
        let kept = files(&folder("corpus").join(name));
        assert!(!kept.is_empty(), "{name} has no corpus");
        for file in kept.into_iter().chain(files(&folder("regressions").join(name))) {
            let data = fs::read(&file).unwrap();
            inputs += 1;
            if catch_unwind(|| run(name, &data)).is_err() {
                broken.push(file);
            }
        }
    }
    println!("{inputs} inputs");
    assert!(broken.is_empty(), "see above for why: {broken:#?}");
}

/// A right input that is cut short, or that one byte of is another: what happens to records on disks.
#[test]
fn damaged_inputs_break_no_promise() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for (name, _) in TARGETS {
        for file in files(&folder("corpus").join(name)) {
            let data = fs::read(&file).unwrap();
            for _ in 0..4 {
                let mut damaged = data.clone();
                if let Some(place) = (!data.is_empty()).then(|| random.usize(..data.len())) {
                    if random.bool() {
                        damaged.truncate(place);
                    } else {
                        damaged[place] = random.u8(..);
                    }
                }
                let broken = catch_unwind(|| run(name, &damaged)).is_err();
                assert!(!broken, "SEED={seed}: {name}, from {}: {:?}", file.display(), damaged.escape_ascii());
            }
        }
    }
}

#[test]
fn each_target_has_its_program_and_its_corpus_and_nothing_else_is_there() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), TARGETS.len());
    let stems = |of: &str| -> BTreeSet<String> {
        files(&folder(of)).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stems("libfuzzer/fuzz_targets"), names);
    assert_eq!(stems("corpus"), names);
    assert!(stems("regressions").is_subset(&names));
    let bytes: u64 = FOLDERS
        .iter()
        .flat_map(|of| files(&folder(of)))
        .flat_map(|of| files(&of))
        .map(|file| fs::metadata(file).unwrap().len())
        .sum();
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
