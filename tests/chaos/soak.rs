//! Soak: one worker, and a very large number of calls. Its memory must not grow. The test also prints what a call costs
//! in the store.

use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::model::JobId;
use brrr_protocol::ports::NewJob;
use fastrand::Rng;
use serde_json::json;

use crate::backend_servers::{BackendServers, Durability, Kind};
use crate::clients::now;
use crate::fleet::{brrr, guests, install};
use crate::shapes::{self, Shape};

/// Calls after the warm-up, before the memory is measured for the first time.
const WARM: u64 = 10_000;

/// All calls, unless `BRRR_SOAK_CALLS` is set.
const CALLS: u64 = 1_000_000;

/// The largest allowed ratio of the memory at the end to the memory after the warm-up.
const GROWTH: f64 = 1.10;

/// How often the memory is measured in between.
const SAMPLES: u64 = 20;

/// Jobs at once.
const CLIENTS: u64 = 16;

/// The default number of guests that a worker runs at once on each core.
const SLOTS: usize = 8;

/// How many times each slot should be used. The engine decides which slot a guest gets.
const ROUNDS: usize = 3;

/// Bytes of a guest's memory that a slot keeps resident (`wasm/engine.rs`).
const KEPT: usize = 512 << 10;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A measurement of a worker and its store.
#[derive(Clone, Copy, Debug)]
struct Sample {
    calls: u64,
    /// KiB of the worker's own memory, and KiB of files that it has mapped.
    anonymous: u64,
    files: u64,
    /// Bytes of the database files, or of the memory of Redis.
    store: u64,
}

pub fn run(kind: Kind) {
    let total: u64 = crate::setting("BRRR_SOAK_CALLS").unwrap_or(CALLS).max(2 * WARM);
    let seed: u64 = crate::setting("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("soak on {} for {total} calls, BRRR_SEED={seed}", kind.name());
    let folder = tempfile::Builder::new().prefix("brrr-soak-").tempdir().expect("a folder");
    install(folder.path());
    let Some(servers) = BackendServers::start(kind, folder.path(), Durability::Memory) else { return };
    let log = std::fs::File::create(folder.path().join("worker.log")).expect("a log");
    let mut command = brrr(folder.path(), &servers.direct());
    command.arg("run").args(guests()).args(["--log-level", "error"]).stdout(Stdio::null()).stderr(log);
    let mut worker = Killed(command.spawn().expect("a worker"));

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let client = Client::new(runtime.block_on(servers.direct().open()));
    let done = Arc::new(AtomicU64::new(0));
    runtime.block_on(fill(&client));
    let clients: Vec<_> =
        (0..CLIENTS).map(|number| runtime.spawn(submit(client.clone(), seed, number, total, done.clone()))).collect();

    let begun = Instant::now();
    let mut samples: Vec<Sample> = Vec::new();
    println!("{:>9} {:>9} {:>10} {:>10} {:>12} {:>9}", "calls", "seconds", "RssAnon", "RssFile", "store", "calls/s");
    let (mut next, step) = (WARM, total / SAMPLES);
    loop {
        let calls = done.load(Ordering::Relaxed);
        let is_last = clients.iter().all(tokio::task::JoinHandle::is_finished);
        if calls >= next || is_last {
            let sample = look(&servers, worker.0.id(), calls);
            let seconds = begun.elapsed().as_secs_f64();
            println!(
                "{calls:>9} {seconds:>9.0} {:>6} KiB {:>6} KiB {:>8} KiB {:>9.0}",
                sample.anonymous,
                sample.files,
                sample.store >> 10,
                calls as f64 / seconds
            );
            samples.push(sample);
            next = (calls / step + 1) * step;
        }
        if is_last {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(worker.0.try_wait().expect("a status").is_none(), "the worker ended by itself");
    }
    for client in clients {
        runtime.block_on(client).expect("every answer was right");
    }
    judge(kind, &samples, begun.elapsed());
}

/// Fills everything that has a bound, because by itself it may need hours to get there. A tree in one job fills
/// SQLite's caches (writes of other processes empty them). A guest that touches as much memory as a slot keeps fills a
/// slot. To reach all slots, sleeping guests hold the others, one fewer each time, and the large guest takes a free one.
async fn fill(client: &Client) {
    settle(client, shapes::tree(20, "warm")).await;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for held in (0..SLOTS * cores).rev().cycle().take(ROUNDS * SLOTS * cores) {
        let sleepers = (0..held).map(|_| settle(client, shapes::sleeper(0.3)));
        let large = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            for _ in 0..3 {
                settle(client, shapes::large(KEPT)).await;
            }
        };
        futures_util::future::join(futures_util::future::join_all(sleepers), large).await;
    }
}

async fn settle(client: &Client, shape: Shape) {
    let job_id = JobId::from_random(fastrand::u128(..));
    let call = shape.call(&job_id);
    let hash = call.hash.clone();
    client.schedule(&NewJob::new(job_id.clone(), call), now()).await.expect("accepted");
    let outcome = client.wait(&job_id, &hash, now).await.expect("an outcome");
    assert!(shape.is_met_by(&outcome), "{shape:?}: {outcome:?}");
}

/// Runs one job after the other until there are enough calls.
async fn submit(client: Client, seed: u64, number: u64, total: u64, done: Arc<AtomicU64>) {
    let mut rng = Rng::with_seed(seed.wrapping_add(number));
    for n in 0.. {
        if done.load(Ordering::Relaxed) >= total {
            return;
        }
        let shape = some(&mut rng, &format!("{seed:x}-{number}-{n}-"));
        let calls = shape.calls;
        settle(&client, shape).await;
        done.fetch_add(calls, Ordering::Relaxed);
    }
}

/// Small and large jobs, about 55 calls each.
fn some(rng: &mut Rng, salt: &str) -> Shape {
    match rng.u32(0..100) {
        0..30 => shapes::tree(rng.u64(5..9), salt),
        30..32 => shapes::tree(13, salt),
        32..52 => shapes::fan(rng.u64(10..60), salt),
        52..62 => shapes::chain(rng.u64(5..20), salt),
        62..72 => shapes::mesh(rng, salt),
        72..77 => shapes::broken_mesh(rng, salt),
        77..82 => shapes::flaky(2),
        82..85 => shapes::hopeless(rng.bool()),
        _ => shapes::greeting(salt),
    }
}

fn look(servers: &BackendServers, worker: u32, calls: u64) -> Sample {
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).expect("Linux, and a worker that runs");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of the memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
    };
    Sample { calls, anonymous: field("RssAnon:"), files: field("RssFile:"), store: size(servers) }
}

fn size(servers: &BackendServers) -> u64 {
    if servers.kind == Kind::Redis {
        let info = crate::ask::text(servers.ports[0], &["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("its memory");
        return line.trim().parse().expect("bytes");
    }
    // With the write-ahead log, which holds data that is not in the file yet.
    let files = std::fs::read_dir(&servers.folder).expect("a folder").flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("state.db"));
    files.map(|file| file.metadata().map_or(0, |file| file.len())).sum()
}

fn judge(kind: Kind, samples: &[Sample], took: Duration) {
    let (first, last) = (samples[0], samples[samples.len() - 1]);
    let resident = |sample: Sample| sample.anonymous + sample.files;
    let growth = resident(last) as f64 / resident(first) as f64;
    let per_call = (last.store.saturating_sub(first.store)) as f64 / (last.calls - first.calls) as f64;
    let rate = last.calls as f64 / took.as_secs_f64();
    println!(
        "resident (RssAnon + RssFile): {} KiB at {} calls, {} KiB at {}: {:+.1} %; the store grew by {per_call:.0} bytes a \
         call; {rate:.0} calls/s",
        resident(first),
        first.calls,
        resident(last),
        last.calls,
        (growth - 1.0) * 100.0
    );
    let report = json!({
        "backend": kind.name(), "calls": last.calls, "calls_a_second": rate.round(), "resident_kib_warm": resident(first),
        "resident_kib": resident(last), "growth": growth, "store_bytes_a_call": per_call.round(),
    });
    println!("{report}");
    assert!(growth <= GROWTH, "the worker's memory grew by more than {:.0} %", (GROWTH - 1.0) * 100.0);
}
