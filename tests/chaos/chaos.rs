//! Chaos: faults for a while, then a pause until all work has ended, then the checks.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::model::JobId;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::backend_servers::{BackendServers, Durability, Kind, Ports};
use crate::clients::Clients;
use crate::faults::{self, Blows, WORKERS};
use crate::fleet::{Worker, brrr, install};
use crate::ledger::{Ledger, Runs};
use crate::verdict::Rest;

/// How long the faults go on unless `BRRR_CHAOS_MINUTES` is set.
const SHORT: Duration = Duration::from_secs(20);

/// The time after the faults in which all queued work must end, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// One job in this many may end as a dead letter: its message was delivered ten times, and its worker was killed each time.
const MOST_DEAD: u64 = 200;

/// A job that takes this long is reported.
const SLOW: Duration = Duration::from_secs(30);

/// How many clients run at once. Each has one open job.
fn clients(kind: Kind) -> u64 {
    match kind {
        Kind::Sqlite | Kind::Redis => 32,
        // Servers of this kind handle a few hundred calls a second here.
        Kind::AwsLocal => 8,
    }
}

/// The tests run one after the other, whatever the test harness does, because each one needs the whole machine.
static TURN: Mutex<()> = Mutex::new(());

pub fn run(kind: Kind) {
    let _turn = TURN.lock();
    let length =
        crate::setting("BRRR_CHAOS_MINUTES").map_or(SHORT, |minutes: f64| Duration::from_secs_f64(60.0 * minutes));
    let seed: u64 = crate::setting("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("chaos on {} for {length:?}, BRRR_SEED={seed}", kind.name());
    // The folder is kept unless all checks succeed.
    let folder = tempfile::Builder::new().prefix("brrr-chaos-").disable_cleanup(true).tempdir().expect("a folder");
    install(folder.path());
    let Some(servers) = BackendServers::start(kind, folder.path(), Durability::Disk) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let report = runtime.block_on(chaos(servers, length, seed));
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

/// The results of a test.
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

async fn chaos(mut servers: BackendServers, length: Duration, seed: u64) -> Report {
    servers.prepare().await;
    let (kind, folder) = (servers.kind, servers.folder.clone());
    let ledger = Arc::new(Ledger::default());
    let mut workers: Vec<_> = (0..WORKERS)
        .map(|i| Worker::start(format!("worker-{i}"), servers.route(), &folder, kind.lease(), ledger.clone()))
        .collect();
    let route = servers.route();
    let clients = Clients::new(Client::new(route.ports().open().await), route.ports(), folder.clone(), seed);
    let running: Vec<_> = (0..self::clients(kind)).map(|number| tokio::spawn(clients.clone().run(number))).collect();

    let mut rng = Rng::with_seed(seed);
    let until = Instant::now() + length;
    let dealt = tokio::task::block_in_place(|| faults::deal(&mut servers, &mut workers, &route, &mut rng, until));
    clients.stopping.store(true, Ordering::Relaxed);
    let blows = dealt.unwrap_or_else(|error| {
        clients.complain(error);
        Blows::default()
    });

    let rest = Rest { backend: servers.direct().open().await, ports: servers.direct() };
    let calm = Instant::now();
    // The time of `doctor` itself does not count: on DynamoDB Local it takes a minute.
    let mut waiting_since = calm;
    let all = futures_util::future::join_all(running);
    tokio::pin!(all);
    let mut clients_ended = false;
    // At rest: the clients have their answers, all their jobs are over, and the queue is empty. Jobs of killed commands
    // are not waited for. Where scheduling is multi-step, such a job may have no message, and only `doctor` can repair it.
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
    // Parents that jobs left registered when they ended do no harm. `doctor --fix` removes them.
    for more in [&["--fix"][..], &[]] {
        doctor(&folder, &rest.ports, more).unwrap_or_else(|found| clients.complain(found));
    }
    let dead_letters = rest.dead_letters().await;
    let (dead, ended) = (clients.counts.dead.load(Ordering::Relaxed), clients.ended.lock().expect("no panic").len());
    if dead > ended as u64 / MOST_DEAD || dead_letters.len() as u64 > dead {
        clients.complain(format!("{dead} of {ended} jobs ended as dead letters:\n{}", dead_letters.join("\n")));
    }
    let ended = std::mem::take(&mut *clients.ended.lock().expect("no panic"));
    for complaint in rest.replaced(&ended).await {
        clients.complain(complaint);
    }
    *clients.ended.lock().expect("no panic") = ended;
    for entry in live {
        clients.complain(format!("nothing will notify it: {entry}"));
    }
    for (name, left) in rest.remains() {
        clients.complain(format!("{left} {name} are left"));
    }
    let (_, jobs_in_store) = rest.jobs().await;
    let slowest = clients.slowest.lock().expect("no panic").clone();
    if let Some(job_id) = slowest.job_id.filter(|_| slowest.took > SLOW) {
        let tree = brrr(&folder, &rest.ports).args(["job", job_id.as_str()]).output().expect("the binary");
        println!("the job that took so long:\n{}", String::from_utf8_lossy(&tree.stdout));
    }
    let routes = workers.iter().map(|worker| &worker.route).chain([&route]);
    let connections_cut = routes.flat_map(|route| &route.proxies).map(|proxy| proxy.count()).sum();
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

/// What `brrr-host doctor` finds when all work has ended, except calls that only ended jobs wait for.
fn stuck(folder: &Path, ports: &Ports) -> Vec<String> {
    let look = ["doctor", "--older-than", "0s", "--output", "json"];
    let output = brrr(folder, ports).args(look).output().expect("the binary");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let Some(findings) = found["findings"].as_array() else { return vec![format!("brrr-host doctor: {output:?}")] };
    findings.iter().filter(|finding| finding["kind"] != "abandoned").map(|f| format!("stuck: {f}")).collect()
}

/// Runs `brrr-host doctor` when all work has ended.
///
/// # Errors
/// What `doctor` found and did not repair.
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
