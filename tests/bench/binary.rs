//! The binary as a user runs it: the memory of a worker over 100,000 calls, the gain from a second process, and the
//! time of a cached `call`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Calls between the two measurements of a worker's memory.
const CALLS: u64 = 100_000;

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn brrr(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brrr-host"));
    command.current_dir(folder).env("BRRR_TOPIC", "bench").env("BRRR_LOG", "warn").stderr(Stdio::inherit());
    command
}

fn start(folder: &Path, guest: &Path) -> Worker {
    let worker = brrr(folder).arg("run").arg(guest).stdout(Stdio::null()).spawn().expect("a worker");
    let worker = Worker(worker);
    // After one answered call, everything is loaded and warm.
    call(folder, "noop", "{}");
    worker
}

fn call(folder: &Path, task: &str, arguments: &str) {
    let status = brrr(folder).args(["call", task, arguments]).stdout(Stdio::null()).status().expect("a call");
    assert!(status.success(), "call {task} {arguments}: {status}");
}

/// Resident memory in MiB.
fn resident(worker: &Worker) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", worker.0.id())).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

pub fn memory_of_a_worker(guest: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = start(folder.path(), guest);
    let idle = resident(&worker);
    let began = Instant::now();
    let (mut done, mut tenth) = (0, f64::NAN);
    for salt in 0.. {
        if done >= CALLS {
            break;
        }
        call(folder.path(), "fib", &format!(r#"{{"n": 16, "salt": "{salt}"}}"#));
        done += 3_193;
        if tenth.is_nan() && done >= CALLS / 10 {
            tenth = resident(&worker);
        }
    }
    let rate = done as f64 / began.elapsed().as_secs_f64();
    println!(
        "resident memory: idle {idle:.0} MiB, after 10,000 calls {tenth:.0} MiB, after {done} calls {:.0} MiB ({rate:.0} calls/s)",
        resident(&worker)
    );
    let bytes = std::fs::metadata(folder.path().join(".brrr/state.db")).map_or(0, |m| m.len());
    println!("the database: {} bytes a call", bytes / done);
}

/// Calls a second, by one process and by two. The job is a tree whose calls are all distinct, in guests that compute.
pub fn processes() {
    // A tree of fib(13) has 753 calls. This is long enough for the fastest of these guests, and short enough for the slowest.
    const CALLS: f64 = 753.0;
    for language in ["javascript", "go", "python"] {
        let guest =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(language).join("conformance.wasm");
        if !guest.exists() {
            println!("{language:<11} not built: scripts/guests.sh {language}");
            continue;
        }
        let rate = |processes: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            let mut command = brrr(folder.path());
            command.arg("run").arg(&guest).args(["--processes", processes]).stdout(Stdio::null()).stderr(Stdio::null());
            let mut worker = Worker(command.spawn().expect("a worker"));
            // This compiles the guest, and gives the second process the time to start.
            call(folder.path(), "fib", r#"{"n": 13, "salt": "warm"}"#);
            let mut rates: Vec<_> = (0..3)
                .map(|salt| {
                    let began = Instant::now();
                    call(folder.path(), "fib", &format!(r#"{{"n": 13, "salt": "{salt}"}}"#));
                    CALLS / began.elapsed().as_secs_f64()
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            kill_process(Pid::from_child(&worker.0), Signal::TERM).expect("a signal");
            worker.0.wait().expect("its end");
            rates[1]
        };
        let (one, two) = (rate("1"), rate("2"));
        println!("{language:<11} {one:>6.0} calls/s; with --processes 2: {two:>6.0} calls/s (×{:.2})", two / one);
    }
}

pub fn cached_call(guest: &Path) {
    let folder = tempfile::tempdir().expect("a folder");
    let worker = start(folder.path(), guest);
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    let timed = |arguments: &str| {
        let began = Instant::now();
        call(folder.path(), "hello", arguments);
        began.elapsed()
    };
    let fresh: Vec<_> = (0..21).map(|i| timed(&format!(r#"{{"greetee": "{i}"}}"#))).collect();
    let known: Vec<_> = (0..21).map(|_| timed(r#"{"greetee": "0"}"#)).collect();
    println!(
        "brrr-host call to its answer: {:.1} ms; with the answer in the store: {:.1} ms",
        median(fresh),
        median(known)
    );
    drop(worker);
    // The time to start a worker whose component is in the cache.
    let began = Instant::now();
    let _worker = start(folder.path(), guest);
    println!("a worker's start to its first answer: {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
}
