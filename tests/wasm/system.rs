//! WASI: each replay has the same clock, random numbers and output. A leaf has the real ones.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use brrr_protocol::model::FailureKind;
use brrr_protocol::ports::Ended;
use brrr_worker::permissions::Permissions;
use brrr_worker::wasm::RunLimits;
use bytes::Bytes;

use crate::fixture::Fixture;
use crate::rig::{FIRST_RUN, Rig, Run};

async fn system(wall: Duration) -> Rig {
    let tasks = [("system", false, None), ("leaf", true, None)];
    let fixture = Fixture { name: "system", world: "system", tasks: &tasks, ..Fixture::default() };
    Rig::new(&fixture, RunLimits { wall, ..RunLimits::default() }).await
}

/// What the guest saw: random, seed (2 numbers), monotonic clock, wall clock seconds and nanoseconds; and after a sleep
/// of 5 s: monotonic clock, wall clock seconds and nanoseconds.
fn seen(value: &[u8]) -> [u64; 9] {
    let mut words = value.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let mut seen = [(); 9].map(|()| words.next().unwrap());
    // This number is a u32 with padding.
    seen[5] &= 0xffff_ffff;
    seen[8] &= 0xffff_ffff;
    seen
}

#[tokio::test]
async fn a_replay_sees_the_same_world() {
    let rig = system(Duration::from_mins(1)).await;
    let (value, runs) = rig.value_with_sleeps("system", b"t", "call").await;
    let first = seen(&value);
    assert_eq!(runs, 2, "it was dropped while it slept");
    assert_eq!(first, seen(&rig.value_with_sleeps("system", b"t", "call").await.0));

    let [_, _, _, before, seconds, nanos, after, later_seconds, later_nanos] = first;
    assert_eq!((seconds, nanos), (FIRST_RUN / 1000, 0));
    assert_eq!(after - before, 5_000_000_000);
    assert_eq!((later_seconds, later_nanos), (FIRST_RUN / 1000 + 5, 0));

    let (other, _) = rig.value_with_sleeps("system", b"t", "another call").await;
    assert_ne!(first[..3], seen(&other)[..3], "another call has other random numbers");
}

/// The clock moves when a wait ends, to the time of the run that goes on. It is the same in every later run, and never goes back.
#[tokio::test]
async fn the_clock_moves_when_a_wait_ends() {
    for (third, seen) in [(9_000, 9_000), (7_000, 7_000), (1_000, 7_000)] {
        let rig = system(Duration::from_mins(1)).await;
        let run = |before, outcomes| Run { task: "system", payload: b"w", call: "call", before, outcomes };
        let there = || Some(Ok(Bytes::from_static(b"x")));
        let (_, replay) = rig.run_at(FIRST_RUN, run(None, vec![])).await.unwrap();
        let before = replay.record(replay.wait().unwrap(), String::new());
        let (_, replay) = rig.run_at(FIRST_RUN + 7_000, run(Some(before), vec![there()])).await.unwrap();
        let before = replay.record(replay.wait().expect("the second poll waits"), String::new());
        let first = brrr_protocol::model::CallHash::derive("child", &[0]);
        rig.backend.store().put(&brrr_protocol::ports::Key::value(&first), Bytes::from_static(b"x")).await.unwrap();
        let (ended, _) = rig.run_at(FIRST_RUN + third, run(Some(before), vec![there()])).await.unwrap();
        let Ended::Completed(value) = ended else { panic!("{ended:?}") };
        let word = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().unwrap());
        assert_eq!([word(0), word(16), word(32)].map(|s| s * 1_000 - FIRST_RUN), [0, 7_000, seen]);
    }
}

#[tokio::test]
async fn a_leaf_sees_the_real_world() {
    let rig = system(Duration::from_mins(1)).await;
    let start = Instant::now();
    let [random, _, _, before, seconds, _, after, ..] = seen(&rig.value("leaf", b"t").await);
    assert!(start.elapsed() >= Duration::from_secs(5), "a leaf really sleeps");
    assert!(after - before >= 5_000_000_000);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now - seconds < 60, "{now} {seconds}");
    assert_ne!(random, seen(&rig.value("leaf", b"t").await)[0]);
}

#[tokio::test]
async fn the_earliest_of_several_timers_ends_a_wait() {
    let (value, _) = system(Duration::from_mins(1)).await.value_with_sleeps("system", b"s", "call").await;
    let word = |at: usize| u32::from_le_bytes(value[at..at + 4].try_into().unwrap());
    assert_eq!(u64::from_le_bytes(value[..8].try_into().unwrap()), 1_000_000_000);
    assert_eq!((word(8), word(12)), (1, 1), "one is ready, the second");
}

#[tokio::test]
async fn a_leaf_that_sleeps_too_long_is_stopped() {
    let rig = system(Duration::from_millis(100)).await;
    let start = Instant::now();
    let failure = rig.failure("leaf", b"h").await;
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(start.elapsed() < Duration::from_secs(5));
    let (value, _) = rig.value_with_sleeps("system", b"h", "call").await;
    assert_eq!(value, "h", "no run of a handler that may call takes that long");
}

#[tokio::test]
async fn lines_are_shown_once_and_whole() {
    // The task prints "one\ntw", polls a child, prints "o\nth", polls two children, prints "ree\nfour".
    let rig = system(Duration::from_mins(1)).await;
    let run = |before, outcomes| Run { task: "system", payload: b"p", call: "call", before, outcomes };
    let there = || Some(Ok(Bytes::from_static(b"x")));

    let (ended, replay) = rig.run_after(run(None, vec![])).await.unwrap();
    assert_eq!(ended, Ended::Suspended);
    assert_eq!(rig.lines.take(), ["out one"]);

    let record = replay.record(replay.wait().unwrap(), String::new());
    let (ended, replay) = rig.run_after(run(Some(record), vec![there()])).await.unwrap();
    assert_eq!(ended, Ended::Suspended);
    assert_eq!(rig.lines.take(), ["out two"]);

    // From here on, the first child's value is in the store.
    let first = brrr_protocol::model::CallHash::derive("child", &[0]);
    rig.backend.store().put(&brrr_protocol::ports::Key::value(&first), Bytes::from_static(b"x")).await.unwrap();
    let record = replay.record(replay.wait().unwrap(), String::new());
    let (ended, _) = rig.run_after(run(Some(record), vec![there()])).await.unwrap();
    assert_eq!(ended, Ended::Completed(Bytes::from_static(b"p")));
    assert_eq!(rig.lines.take(), ["out three", "out four"]);
}

#[tokio::test]
async fn stderr_of_a_guest_is_in_its_failure() {
    let rig = system(Duration::from_mins(1)).await;
    let failure = rig.failure("system", b"e").await;
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.contains("stderr: two"), "{failure}");
    assert_eq!(rig.lines.take(), ["err one", "err two", "err three", "err four"]);
}

#[tokio::test]
async fn an_exit_is_a_failure() {
    let failure = system(Duration::from_mins(1)).await.failure("system", b"x").await;
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.message.contains("exited with status 1"), "{failure}");
}

#[tokio::test]
async fn there_is_no_environment() {
    assert_eq!(system(Duration::from_mins(1)).await.value("system", b"v").await, [0u8; 4][..]);
}

/// A guest with access to a folder that has a file and a pipe.
#[cfg(unix)]
async fn files(folder: &std::path::Path, limits: RunLimits) -> Rig {
    let fixture = Fixture { name: "files", world: "files", tasks: &[("files", true, None)], ..Fixture::default() };
    let guest = crate::rig::load(&fixture.write(folder)).await.unwrap();
    let dirs = vec![format!("{}::/data", folder.display()).parse().unwrap()];
    let grants = Permissions { dirs, ..Permissions::default() }.grant().unwrap();
    std::fs::write(folder.join("file"), b"x").unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
    assert!(made.success());
    Rig::of(vec![guest.allowing(grants)], limits)
}

#[cfg(unix)]
#[tokio::test]
async fn a_pipe_in_a_folder_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let rig = files(folder.path(), RunLimits { wall: Duration::from_secs(20), ..RunLimits::default() }).await;
    // `not-permitted` is error 31 of 37. The file beside the pipe can be opened.
    let value = rig.value("files", b"p").await;
    assert_eq!((value[0], value[4]), (1, 31));
    assert_eq!(rig.value("files", b"f").await[0], 0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_open_files_of_a_run_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let rig = files(folder.path(), RunLimits::default()).await;
    for _ in 0..3 {
        let failure = rig.failure("files", b"o").await;
        assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
        assert!(failure.message.contains("more than 256 files"), "{failure}");
    }
    assert_eq!(rig.value("files", b"f").await[0], 0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_listing_of_a_folder_counts_as_memory_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let rig = files(folder.path(), RunLimits { memory: 1 << 20, ..RunLimits::default() }).await;
    for n in 0..97 {
        std::fs::write(folder.path().join(format!("{n}{}", "long".repeat(50))), b"").unwrap();
    }
    // The guest lists the folder a thousand times. It has the file, the pipe, the component and 97 more files.
    assert_eq!(rig.value("files", b"c").await[0], 100);
    let failure = rig.failure("files", b"l").await;
    assert_eq!(failure.kind, FailureKind::Limit, "{failure}");
}

#[cfg(unix)]
#[tokio::test]
async fn no_run_goes_without_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let rig = files(folder.path(), RunLimits::default()).await;
    std::fs::remove_dir_all(folder.path()).unwrap();
    let run = Run { task: "files", payload: b"f", call: "call", before: None, outcomes: vec![] };
    let error = rig.run_after(run).await.err().unwrap();
    assert_eq!(error.kind, brrr_protocol::ErrorKind::Unavailable);
    assert!(error.to_string().contains("--dir "), "{error}");
}

#[tokio::test]
async fn a_run_with_little_memory_holds_few_things_of_its_host() {
    let tasks = [("system", false, None)];
    let fixture = Fixture { name: "system", world: "system", tasks: &tasks, ..Fixture::default() };
    let rig = Rig::new(&fixture, RunLimits { memory: 1 << 20, ..RunLimits::default() }).await;
    let failure = rig.failure("system", b"m").await;
    assert!(failure.message.contains("more than 39 things of its host"), "{failure}");
}
