//! Guests that attack their host (`guests/rust/hostile`). Each attack ends as a clear failure of its own call.
//! Well-behaved calls of the same worker go on. Afterwards the worker has as much memory as before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use brrr_protocol::client::Client;
use brrr_protocol::codec::python;
use brrr_protocol::model::{Call, Failure, JobId, Outcome};
use brrr_protocol::options::Options;
use brrr_protocol::ports::NewJob;
use brrr_worker::topic_worker::now;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::harness::{Env, TOPIC, guest};
use crate::redis;
use crate::servers::redis::Flavour;

/// The limits of the attacked worker. They are small, so that attacks reach them soon.
const LIMITS: &[&str] = &[
    "--memory",
    "64MiB",
    "--max-result",
    "4MiB",
    "--max-messages",
    "2000",
    "--max-running",
    "16",
    "--unknown-task-grace",
    "1s",
];

/// Attacks that never end by themselves. They get three seconds. The other attacks get as long as a busy machine needs.
const ENDLESS: [&str; 13] = [
    "spin",
    "spin_on_the_clock",
    "spin_on_random",
    "spin_on_one_call",
    "spin_on_races",
    "stdout",
    "stderr",
    "log",
    "one_line",
    "sleep",
    "never_ready",
    "request",
    "requests",
];

/// How many of the worker's sixteen slots run attacks at the same time.
const AT_ONCE: usize = 12;

/// How long the allocator may take to return the memory of the attacks. Its threads return memory while they work.
const PATIENCE: Duration = Duration::from_secs(60);

/// An attack: task, arguments, the kind of its failure, and a part of the message.
type Attack = (&'static str, Value, &'static str, &'static str);

fn attacks(silent: &str) -> Vec<Attack> {
    let nothing = || json!({});
    let named = |name: &str, value: &str, n: usize| {
        let mut arguments = json!({"task": "quiet", "topic": "", "hash": "", "n": 1});
        arguments[name] = value.repeat(n).into();
        arguments
    };
    let request_line = |part: &str| {
        let mut arguments = json!({"url": silent, "path": 0, "method": 0, "host": 0});
        arguments[part] = 1_000_000.into();
        arguments
    };
    vec![
        ("spin", nothing(), "timeout", "its time limit of 3s"),
        ("spin_on_the_clock", nothing(), "timeout", "its time limit of 3s"),
        ("spin_on_random", nothing(), "timeout", "its time limit of 3s"),
        ("spin_on_one_call", nothing(), "timeout|limit", "limit of"),
        ("spin_on_races", nothing(), "timeout|limit", "limit of"),
        ("grow", nothing(), "limit", "the memory limit of 64 MiB"),
        ("crumbs", nothing(), "limit", "the memory limit of 64 MiB"),
        ("four_gib", nothing(), "limit", "the memory limit of 64 MiB"),
        ("recurse", nothing(), "trap", "its stack of 1 MiB overflowed"),
        ("recurse_in_host", nothing(), "trap", "its stack of 1 MiB overflowed"),
        ("many", json!({"n": 5_000}), "limit", "the job has sent its limit of 2000 messages"),
        ("many", json!({"n": 100_000}), "limit", "more than 4 MiB at once|more than 4 MiB of calls at once"),
        ("many", json!({"n": 1_000_000}), "limit", "limit of"),
        ("same", json!({"n": 1_000_000}), "limit", "limit of"),
        ("tree", json!({"id": 1}), "limit", "the job has sent its limit of 2000 messages"),
        ("itself", json!({"n": 1}), "cycle", "itself"),
        ("mutual", json!({"n": 0, "of": 20}), "cycle", "mutual"),
        ("chain", json!({"n": 50}), "error", "the bottom"),
        ("result", json!(100_000_000), "limit", "64 MiB"),
        ("results", json!({"calls": 24, "megabytes_each": 3}), "limit", "64 MiB"),
        (
            "results_in_turn",
            json!({"calls": 24, "megabytes_each": 3}),
            "limit",
            "their results take more than its memory limit",
        ),
        ("payload", json!({"bytes": 8_000_000}), "limit", "more than 4 MiB at once"),
        ("message", json!({"bytes": 3_000_000}), "error", "no no"),
        ("message", json!({"bytes": 30_000_000}), "limit", "more than 4 MiB at once"),
        ("made_up_failure", json!({"bytes": 300_000, "links": 3}), "x", "xxx"),
        ("made_up_failure", json!({"bytes": 100, "links": 100_000}), "limit", "more than 4 MiB at once"),
        ("named", named("task", "x", 1_000_000), "error", "at most 1000 are allowed"),
        ("named", named("topic", "x", 1_000_000), "error", "a topic has 1 to 75 letters"),
        ("named", named("hash", "x", 1_000_000), "error", "at most 1000 are allowed"),
        ("named", named("task", "\u{1b}[2J", 1), "error", "control character"),
        ("named", named("topic", "a\0", 1), "error", "a topic has 1 to 75 letters"),
        ("named", named("hash", "\n", 1), "error", "control character"),
        ("named", named("task", "", 1), "error", "name is empty"),
        ("named", named("task", "nobody", 1), "unknown-task", "has handled this task"),
        ("labelled", json!({"label": "x", "n": 100_000}), "error", "at most 1000 are allowed"),
        ("stdout", nothing(), "timeout", "its time limit of 3s"),
        ("stderr", nothing(), "timeout", "its time limit of 3s"),
        ("log", nothing(), "timeout", "its time limit of 3s"),
        ("one_line", nothing(), "timeout", "its time limit of 3s"),
        ("escapes", nothing(), "error", "gone"),
        ("sleep", nothing(), "timeout", "no answer|its time limit of 3s"),
        ("never_ready", nothing(), "timeout", "its time limit of 3s"),
        ("request", json!({"url": silent}), "timeout", "its time limit of 3s"),
        ("timers", nothing(), "limit", "more than 2532 things of its host"),
        ("headers", json!({"url": silent, "n": 10, "bytes": 10_000}), "limit", "requests take more than 16 KiB"),
        ("headers", json!({"url": silent, "n": 50_000, "bytes": 1}), "limit", "requests take more than 16 KiB"),
        ("headers", json!({"url": silent, "n": 10, "bytes": 1_000_000}), "limit", "more than 4 MiB at once"),
        ("request_line", request_line("path"), "error", "the path is not what HTTP takes"),
        ("request_line", request_line("method"), "error", "the method is not what HTTP takes"),
        ("request_line", request_line("host"), "error", "the host is not what HTTP takes"),
        ("requests", json!({"url": silent, "n": 1_000}), "timeout", "its time limit of 3s"),
        ("requests", json!({"url": silent, "n": 10_000}), "limit|timeout", "2532 things|its time limit of 3s"),
        ("parts", json!({"bytes": 500_000}), "error", "the host took 0 parts"),
        ("kept_headers", nothing(), "limit", "requests take more than 16 KiB"),
        ("kept_bodies", nothing(), "limit", "more than 2532 things of its host"),
    ]
}

/// Makes calls as clients do.
struct Fleet {
    client: Client,
    calls: AtomicU64,
}

impl Fleet {
    /// Makes a call under a new hash, so that equal arguments are run again.
    async fn call(&self, task: &str, arguments: &Value) -> Outcome {
        let n = self.calls.fetch_add(1, Ordering::Relaxed);
        let hash = format!("{}-{n}", python::call_hash(task, arguments)).as_str().into();
        let job_id = JobId::from(format!("{:032x}", fastrand::u128(..)).as_str());
        let payload = python::payload(arguments).into();
        let call = Call { hash, task: task.to_owned(), payload, topic: TOPIC.into(), options: Options::default() };
        let hash = call.hash.clone();
        self.client.schedule(&NewJob::new(job_id.clone(), call), now()).await.expect("accepted");
        let ended = tokio::time::timeout(Duration::from_mins(2), self.client.wait(&job_id, &hash, now)).await;
        ended.unwrap_or_else(|_| panic!("{task} {arguments} has no end")).expect("an outcome")
    }

    /// Makes a well-behaved call with two runs and three children. Returns how long it took.
    async fn neighbour(&self) -> Duration {
        let (begun, n) = (Instant::now(), self.calls.fetch_add(1, Ordering::Relaxed));
        let value = self.call("fib", &json!({"n": 2, "salt": n.to_string()})).await;
        assert_eq!(value.as_deref(), Ok(&b"1"[..]), "a neighbour's value");
        begun.elapsed()
    }
}

/// Makes neighbour calls, one after the other, at least `at_least` and as long as `go_on` says so. Returns how long each took.
async fn neighbours(fleet: &Fleet, at_least: usize, go_on: impl Fn() -> bool) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.len() < at_least || go_on() {
        took.push(fleet.neighbour().await);
    }
    took.sort_unstable();
    took
}

fn figures(what: &str, took: &[Duration]) {
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    println!("neighbours {what}: {} calls, p50 {:.1?}, p99 {:.1?}, max {:.1?}", took.len(), at(50), at(99), at(100));
}

fn expect(attack: &Attack, outcome: Outcome) -> Result<(), String> {
    let (task, arguments, kinds, words) = attack;
    let arguments: String = arguments.to_string().chars().take(60).collect();
    let Failure { kind, message, chain, task: failed, .. } = match outcome {
        Ok(value) => return Err(format!("{task} {arguments} got through: {} bytes", value.len())),
        Err(failure) => failure,
    };
    let short: String = message.chars().take(200).collect();
    let description = format!("{task} {arguments}: {kind}: {short}");
    let bytes = message.len() + failed.len() + kind.as_str().len() + chain.iter().map(String::len).sum::<usize>();
    if !kinds.split('|').any(|k| if k == "x" { kind.as_str().starts_with('x') } else { kind.as_str() == k }) {
        Err(format!("not {kinds}: {description}"))
    } else if !words.split('|').any(|w| message.contains(w)) {
        Err(format!("not a word of {words:?}: {description}"))
    } else if bytes > 100_000 {
        Err(format!("a failure of {bytes} bytes: {description}"))
    } else {
        Ok(())
    }
}

fn component(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../build/guests/rust/rust-{name}.wasm"));
    assert!(path.exists(), "{} is missing: build it with scripts/guests/rust.sh (or `make guests`)", path.display());
    path.canonicalize().expect("a path")
}

/// A server that accepts connections and never answers.
fn silent_server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let _kept: Vec<_> = listener.incoming().collect();
    });
    format!("http://{address}/")
}

/// What is attacked, and with which attacks.
struct Target<'a> {
    env: Env,
    /// The store that the commands of `env` use.
    url: String,
    /// The name of the hostile component.
    guest: &'a str,
    rounds: usize,
    /// The names of the attacks. Empty: all attacks.
    only: &'a [&'a str],
}

impl<'a> Target<'a> {
    fn sqlite(guest: &'a str, rounds: usize) -> Self {
        let env = Env::new();
        let url = env.url();
        Self { env, url, guest, rounds, only: &[] }
    }
}

/// Makes the attacks, as many at once as `AT_ONCE`, each one `rounds` times. Neighbour calls run beside them.
fn under_attack(target: &Target<'_>) {
    let &Target { ref env, ref url, guest: name, rounds, only } = target;
    let (hostile, decent) = (component(name), guest());
    let paths = [hostile.to_str().expect("UTF-8"), decent.to_str().expect("UTF-8")];
    let times: String = ENDLESS.iter().map(|task| format!("[tasks.{task}]\ntimeout = \"3s\"\n")).collect();
    env.write("brrr.toml", times);
    let silent = silent_server();
    let allowed = silent.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let more = ["--allow-http", &allowed, "--log-level", "error"];
    let worker = env.start(["run"].iter().chain(&paths).chain(LIMITS).chain(&more));
    // At this log level the worker does not say that it is ready. The first answered call shows it.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let backend = brrr_backends::open(url).await.expect("the backend");
        let fleet = Arc::new(Fleet { client: Client::new(backend), calls: AtomicU64::new(0) });
        let mut attacks = attacks(&silent);
        attacks.retain(|(task, ..)| only.is_empty() || only.contains(task));
        let attacks = Arc::new(attacks);
        neighbours(&fleet, 20, || false).await;
        let alone = neighbours(&fleet, 200, || false).await;
        figures("alone", &alone);
        let before = worker.memory("VmRSS");

        let mut rss = Vec::new();
        for round in 1..=rounds {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            let left = Arc::new(AtomicU64::new(attacks.len() as u64));
            let storm: Vec<_> = (0..attacks.len())
                .map(|n| {
                    let (fleet, attacks, room, left) = (fleet.clone(), attacks.clone(), room.clone(), left.clone());
                    tokio::spawn(async move {
                        let _room = room.acquire().await;
                        let (task, arguments, ..) = &attacks[n];
                        let outcome = fleet.call(task, arguments).await;
                        left.fetch_sub(1, Ordering::Relaxed);
                        expect(&attacks[n], outcome)
                    })
                })
                .collect();
            let beside = neighbours(&fleet, 20, || left.load(Ordering::Relaxed) > 0).await;
            figures(&format!("under attack, round {round}"), &beside);
            let mut wrong = Vec::new();
            for attack in storm {
                wrong.extend(attack.await.expect("no panic").err());
            }
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
            // This is far less than the delay if each attack blocked its slot until its end.
            let half = beside[beside.len() / 2];
            assert!(half < Duration::from_secs(2), "neighbours wait {half:?}");
            rss.push(worker.memory("VmRSS"));
        }
        println!("resident: {before} MiB before, {rss:?} MiB after each round");
        let after = neighbours(&fleet, 100, || false).await;
        figures("afterwards", &after);
        // The most that the worker keeps, however often it is attacked: a stack and a memory for each of its sixteen
        // slots (2 MiB and 512 KiB), and the stacks of its threads. A leak of 64 MiB a round is more.
        let begun = Instant::now();
        while worker.memory("VmRSS") > before + 128 {
            let now = worker.memory("VmRSS");
            assert!(begun.elapsed() < PATIENCE, "{before} MiB before, {rss:?} after each round, {now} now");
            neighbours(&fleet, 20, || false).await;
        }
    });
    let ended = worker.stop();
    ended.ok();
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        let control = text.chars().find(|c| c.is_control() && *c != '\n' && *c != '\t');
        assert_eq!(control, None, "{stream} of the worker has control characters of a guest");
        let longest = text.lines().map(str::len).max().unwrap_or(0);
        assert!(longest < 70_000, "a line of {longest} bytes on {stream}");
    }
}

#[test]
fn a_guest_that_attacks_costs_its_own_calls_only() {
    under_attack(&Target::sqlite("hostile", 3));
}

#[test]
fn an_attacking_guest_of_the_asynchronous_world_costs_its_own_calls_only() {
    under_attack(&Target::sqlite("hostile-async", 1));
}

/// Attacks that reach the store: too many calls and messages, too large ones, and names that may become keys and queues there.
const OF_THE_STORE: [&str; 18] = [
    "spin_on_races",
    "many",
    "same",
    "tree",
    "itself",
    "mutual",
    "chain",
    "result",
    "results",
    "results_in_turn",
    "payload",
    "message",
    "made_up_failure",
    "named",
    "labelled",
    "stdout",
    "log",
    "escapes",
];

#[test]
fn attacks_do_not_harm_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let url = redis::url(&server);
    under_attack(&Target { env: redis::env_on(&url), url, guest: "hostile", rounds: 1, only: &OF_THE_STORE });
}
