//! Chaos: blows for a while, then rest, then the verdict.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::model::JobId;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::clients::Clients;
use crate::faults::{self, Blows, WORKERS};
use crate::fleet::{Worker, brrr, install};
use crate::ledger::{Ledger, Runs};
use crate::place::{Durability, Kind, Place, Ports};
use crate::verdict::Rest;

/// How long the blows go on unless `BRRR_CHAOS_MINUTES` says otherwise.
const SHORT: Duration = Duration::from_secs(20);

/// For everything to come to rest after the blows: what is queued is worked off, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// One job of so many may end as a dead letter: delivered ten times, and its worker was killed each time.
const MOST_DEAD: u64 = 200;

/// A job that takes so long is worth a look.
const SLOW: Duration = Duration::from_secs(30);

/// Clients at once: so many jobs are open.
fn clients(kind: Kind) -> u64 {
    match kind {
        Kind::Sqlite | Kind::Redis => 32,
        // Some hundred calls a second are what the servers of this kind do here.
        Kind::AwsLocal => 8,
    }
}

/// One after the other, whatever the test harness would do: each wants the machine for itself.
static TURN: Mutex<()> = Mutex::new(());

pub fn run(kind: Kind) {
    let _turn = TURN.lock();
    let length =
        crate::setting("BRRR_CHAOS_MINUTES").map_or(SHORT, |minutes: f64| Duration::from_secs_f64(60.0 * minutes));
    let seed: u64 = crate::setting("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("chaos on {} for {length:?}, BRRR_SEED={seed}", kind.name());
    // Kept unless all is well.
    let folder = tempfile::Builder::new().prefix("brrr-chaos-").disable_cleanup(true).tempdir().expect("a folder");
    install(folder.path());
    let Some(place) = Place::start(kind, folder.path(), Durability::Disk) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(chaos(place, length, seed));
    report.print();
    let wrong = report.wrong.len();
    if wrong == 0 {
        drop(std::fs::remove_dir_all(folder.path()));
    }
    assert_eq!(
        wrong,
        0,
        "BRRR_SEED={seed}; store and logs are in {}\n{}",
        folder.path().display(),
        report.wrong.join("\n")
    );
}

/// What came of it.
struct Report {
    kind: Kind,
    seed: u64,
    length: Duration,
    drained: Duration,
    blows: Blows,
    connections_cut: u64,
    clients: Arc<Clients>,
    jobs_in_store: usize,
    runs: Runs,
    left_registrations: usize,
    orphans: usize,
    wrong: Vec<String>,
}

async fn chaos(mut place: Place, length: Duration, seed: u64) -> Report {
    place.prepare().await;
    let (kind, folder) = (place.kind, place.folder.clone());
    let ledger = Arc::new(Ledger::default());
    let mut workers: Vec<_> = (0..WORKERS)
        .map(|i| Worker::start(format!("worker-{i}"), place.way(), &folder, kind.lease(), ledger.clone()))
        .collect();
    let way = place.way();
    let clients = Clients::new(Client::new(way.ports().open().await), way.ports(), folder.clone(), seed);
    let running: Vec<_> = (0..self::clients(kind)).map(|number| tokio::spawn(clients.clone().run(number))).collect();

    let mut rng = Rng::with_seed(seed);
    let until = Instant::now() + length;
    let dealt = tokio::task::block_in_place(|| faults::deal(&mut place, &mut workers, &way, &mut rng, until));
    clients.stopping.store(true, Ordering::Relaxed);
    let blows = dealt.unwrap_or_else(|error| {
        clients.complain(error);
        Blows::default()
    });

    let rest = Rest { backend: place.straight().open().await, ports: place.straight() };
    let calm = Instant::now();
    // The look of `doctor` itself is not waited for: DynamoDB Local takes a minute for it.
    let mut waiting_since = calm;
    let all = futures_util::future::join_all(running);
    tokio::pin!(all);
    let mut clients_ended = false;
    // At rest: the clients have their answers, every job is over, nothing is queued.
    // What a command began that was killed is nobody's to wait for; where a job is not scheduled in one step it may have no
    // message, and then it is for `doctor`.
    let is_known =
        |job_id: &JobId| clients.open.lock().expect("no panic").contains_key(job_id) || clients.has_ended(job_id);
    let mut orphans = 0;
    let restless = loop {
        if !clients_ended {
            clients_ended = tokio::time::timeout(Duration::from_millis(100), &mut all).await.is_ok();
        }
        let (open, _) = rest.jobs().await;
        let depth = rest.depth().await;
        if clients_ended && depth == 0 && !open.iter().any(is_known) {
            if open.is_empty() {
                break Vec::new();
            }
            if orphans == 0 {
                orphans = open.len();
                doctor(&folder, &rest.ports, &["--fix"]).unwrap_or_else(|found| clients.complain(found));
                waiting_since = Instant::now();
            }
        }
        if let Err(error) = faults::tend(&mut workers) {
            clients.complain(error);
        }
        if waiting_since.elapsed() > PATIENCE {
            let waited_for = clients.open.lock().expect("no panic").len();
            clients.complain(format!(
                "after {PATIENCE:?} of rest clients wait for {waited_for} jobs, {} are open and {depth} messages left",
                open.len()
            ));
            break open;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let drained = calm.elapsed();
    let unknown = clients.counts.unknown.load(Ordering::Relaxed);
    if orphans as u64 > unknown {
        clients.complain(format!("{orphans} jobs of commands are open, and only {unknown} commands did not end"));
    }
    for job_id in restless.iter().take(20) {
        let tree = brrr(&folder, &rest.ports).args(["job", job_id.as_str()]).output().expect("the binary");
        let shape = clients.open.lock().expect("no panic").get(job_id).map(|(shape, _)| *shape);
        clients.complain(format!("job {job_id} ({shape:?}) is open:\n{}", String::from_utf8_lossy(&tree.stdout)));
    }
    for worker in &mut workers {
        if let Some(status) = worker.finish().filter(|status| !status.success()) {
            clients.complain(format!("{}, asked to end: {status}, see {}", worker.name, worker.log().display()));
        }
        let log = std::fs::read_to_string(worker.log()).expect("a log");
        for line in log.lines().filter(|line| line.contains("fault of this program") || line.starts_with("thread '")) {
            clients.complain(format!("{}: {line}", worker.name));
        }
    }
    let (live, left_registrations) = rest.registrations().await;
    for what in stuck(&folder, &rest.ports) {
        clients.complain(what);
    }
    // What jobs that are over left registered is in nobody's way, and goes when somebody looks.
    for more in [&["--fix"][..], &[]] {
        doctor(&folder, &rest.ports, more).unwrap_or_else(|found| clients.complain(found));
    }
    let letters = rest.dead_letters().await;
    let (dead, ended) = (clients.counts.dead.load(Ordering::Relaxed), clients.ended.lock().expect("no panic").len());
    if dead > ended as u64 / MOST_DEAD || letters.len() as u64 > dead {
        clients.complain(format!("{dead} of {ended} jobs ended as dead letters:\n{}", letters.join("\n")));
    }
    let ended = std::mem::take(&mut *clients.ended.lock().expect("no panic"));
    for complaint in rest.replaced(&ended).await {
        clients.complain(complaint);
    }
    *clients.ended.lock().expect("no panic") = ended;
    for entry in live {
        clients.complain(format!("nobody will wake it: {entry}"));
    }
    for (name, left) in rest.remains() {
        clients.complain(format!("{left} {name} are left"));
    }
    let (_, jobs_in_store) = rest.jobs().await;
    let slowest = clients.slowest.lock().expect("no panic").clone();
    if let Some(job_id) = slowest.job_id.filter(|_| slowest.took > SLOW) {
        let tree = brrr(&folder, &rest.ports).args(["job", job_id.as_str()]).output().expect("the binary");
        println!("what took so long:\n{}", String::from_utf8_lossy(&tree.stdout));
    }
    let ways = workers.iter().map(|worker| &worker.way).chain([&way]);
    let connections_cut = ways.flat_map(|way| &way.proxies).map(|proxy| proxy.count()).sum();
    let wrong = clients.wrong.lock().expect("no panic").clone();
    let runs = ledger.runs();
    Report {
        kind,
        seed,
        length,
        drained,
        blows,
        connections_cut,
        clients,
        jobs_in_store,
        runs,
        left_registrations,
        orphans,
        wrong,
    }
}

/// What `brrr-host doctor` finds of what is at rest, but for what only jobs that are over wait for.
fn stuck(folder: &Path, ports: &Ports) -> Vec<String> {
    let look = ["doctor", "--older-than", "0s", "--output", "json"];
    let output = brrr(folder, ports).args(look).output().expect("the binary");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let Some(findings) = found["findings"].as_array() else { return vec![format!("brrr-host doctor: {output:?}")] };
    findings.iter().filter(|finding| finding["kind"] != "abandoned").map(|f| format!("stuck: {f}")).collect()
}

/// `brrr-host doctor`, on what is at rest.
///
/// # Errors
/// What it found and did not repair.
fn doctor(folder: &Path, ports: &Ports, more: &[&str]) -> Result<(), String> {
    let output = brrr(folder, ports).args(["doctor", "--older-than", "0s"]).args(more).output().expect("the binary");
    if output.status.success() { Ok(()) } else { Err(format!("brrr-host doctor: {output:?}")) }
}

impl Report {
    fn rows(&self) -> Vec<(&'static str, Value)> {
        let (blows, counts) = (&self.blows, &self.clients.counts);
        let slowest = self.clients.slowest.lock().expect("no panic");
        let get = |counter: &std::sync::atomic::AtomicU64| json!(counter.load(Ordering::Relaxed));
        let ended = self.clients.ended.lock().expect("no panic").len();
        let open = self.clients.open.lock().expect("no panic").len();
        vec![
            ("backend", json!(self.kind.name())),
            ("seed", json!(self.seed)),
            ("seconds of blows", json!(self.length.as_secs_f64().round())),
            ("workers killed", json!(blows.kills)),
            ("workers frozen beyond their lease", json!(blows.freezes)),
            ("servers killed and restarted", json!(blows.server_restarts)),
            ("connections cut", json!(self.connections_cut)),
            ("workers that found no server", json!(blows.exits)),
            ("errors that clients saw", get(&counts.errors)),
            ("jobs accepted", json!(ended + open)),
            ("jobs ended", json!(ended)),
            ("jobs in the store", json!(self.jobs_in_store)),
            ("of those, begun by killed commands and ended by doctor", json!(self.orphans)),
            ("cancelled", get(&counts.cancels)),
            ("with a deadline", get(&counts.deadlines)),
            ("tried again", get(&counts.retries)),
            ("commands", get(&counts.commands)),
            ("commands killed or cut off", get(&counts.unknown)),
            ("calls", get(&counts.calls)),
            ("runs", json!(self.runs.all)),
            ("extra runs", json!(self.runs.extra)),
            ("ended as dead letters", get(&counts.dead)),
            ("slowest job", json!(format!("{:.1} s, {}", slowest.took.as_secs_f64(), slowest.shape))),
            ("seconds until all was at rest", json!((self.drained.as_secs_f64() * 10.0).round() / 10.0)),
            ("registrations left by jobs that are over", json!(self.left_registrations)),
            ("wrong", json!(self.wrong.len())),
        ]
    }

    fn print(&self) {
        let rows = self.rows();
        for (name, value) in &rows {
            println!("{name:<56} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        let object: serde_json::Map<String, Value> =
            rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        println!("{}", Value::from(object));
    }
}
