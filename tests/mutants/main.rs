//! A test of the simulation: each rule of the protocol is broken on purpose, one at a time, and the simulation must find the
//! error.
//!
//! The mutants are in `list`. `copy` writes a copy of the protocol crate that contains all mutants, each behind a switch. The
//! copy and the unchanged simulation are built once. The simulation then runs once a mutant until it fails. It must fail in one
//! of its own checks: a panic in the protocol or a run without an end does not count.
//!
//! `BRRR_MUTANT=name cargo test --workspace --test mutants` runs only the mutant of that name. Mutants that are found by other
//! tests, or not yet, are built but run only with `BRRR_ALL=1`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod copy;
mod hunt;
mod list;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hunt::{Hunt, Verdict};
use list::{Claim, Mutant};

#[test]
fn the_simulation_finds_every_broken_rule() {
    let begun = Instant::now();
    let mutants = list::all();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    copy::write(&root, &target, &mutants).unwrap_or_else(|e| panic!("{e}"));
    let hunt = Hunt::build(&target);
    let built = begun.elapsed();

    let only = std::env::var("BRRR_MUTANT").ok();
    if only.is_none() {
        hunt.finds_nothing_without_a_mutant();
    }
    let all = only.is_some() || std::env::var_os("BRRR_ALL").is_some();
    // It takes long to miss a mutant, and nothing is learned from it when the mutant is one that may be missed.
    let is_run = |m: &&Mutant| all || matches!(m.claim, Claim::Found | Claim::Harmless(_));
    let chosen: Vec<&Mutant> = mutants.iter().filter(|m| only.as_deref().is_none_or(|name| m.name == name)).collect();
    let (chosen, left): (Vec<&Mutant>, Vec<&Mutant>) = chosen.into_iter().partition(is_run);
    assert!(!chosen.is_empty(), "there is no mutant {only:?}");
    let (found, wrong) = run(&hunt, &chosen);
    let count = |is: fn(&Claim) -> bool| chosen.iter().chain(&left).filter(|m| is(&m.claim)).count();
    println!(
        "{} mutants: {found} found; of the others {} are harmless, {} are found by other tests, {} are open; {} were not run; \
         built in {built:.0?}, all in {:.0?}",
        chosen.len() + left.len(),
        count(|claim| matches!(claim, Claim::Harmless(_))),
        count(|claim| matches!(claim, Claim::Elsewhere(_))),
        count(|claim| matches!(claim, Claim::Open(_))),
        left.len(),
        begun.elapsed()
    );
    assert!(wrong.is_empty(), "{} of {} mutants:\n{}", wrong.len(), chosen.len(), wrong.join("\n"));
}

/// Runs as many mutants at once as there are cores. Returns how many were found, and the mutants whose result is not the expected
/// one.
fn run(hunt: &Hunt, mutants: &[&Mutant]) -> (usize, Vec<String>) {
    let (next, found, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    let verdict = hunt.hunt(mutant);
                    let time = begun.elapsed();
                    found.fetch_add(usize::from(matches!(verdict, Verdict::Found { .. })), Ordering::Relaxed);
                    let (is_right, claim) = judge(&verdict, mutant.claim);
                    println!("{} [{time:.1?}]\n    {}\n    {verdict}{claim}", mutant.name, mutant.rule);
                    if !is_right {
                        wrong.lock().unwrap().push(format!("{}: {verdict}{claim}", mutant.name));
                    }
                }
            });
        }
    });
    (found.into_inner(), wrong.into_inner().unwrap())
}

/// Does the result agree with the expected result of the mutant? Also returns a note on the expected result.
fn judge(verdict: &Verdict, claim: Claim) -> (bool, String) {
    let (is_found, is_missed) = (matches!(verdict, Verdict::Found { .. }), matches!(verdict, Verdict::Missed));
    match claim {
        Claim::Found => (is_found, String::new()),
        Claim::Harmless(why) => (is_missed, format!("; it is said to be harmless: {why}")),
        Claim::Elsewhere(test) => (is_missed || is_found, format!("; found elsewhere: {test}")),
        Claim::Open(wanted) => (is_missed || is_found, format!("; open: {wanted}")),
    }
}
