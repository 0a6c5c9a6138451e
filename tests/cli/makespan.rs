//! How soon a fleet finishes: work that an idle worker could do does not wait in a busy worker. On SQLite and Redis.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use brrr_protocol::client::Client;
use brrr_protocol::codec::python;
use brrr_protocol::model::{Call, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, NewJob};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Env, Running, TOPIC, block_on, eventually, skip};
use crate::redis::{env_on, url};
use crate::servers::Server;
use crate::servers::redis::Flavour;

/// A folder whose commands use one backend, for several workers.
pub struct TestFleet {
    pub env: Env,
    pub backend: String,
    server: Option<Server>,
}

pub fn on_each_backend(test: impl Fn(&TestFleet)) {
    let env = Env::new();
    let backend = env.url();
    test(&TestFleet { env, backend, server: None });
    match Flavour::Redis.start(None, &[]) {
        Some(server) => {
            let url = url(&server);
            test(&TestFleet { env: env_on(&url), backend: url, server: Some(server) });
        }
        None => skip("no Redis"),
    }
}

impl TestFleet {
    /// Schedules a job for each of these calls. This process does so itself, because one command for each job would
    /// take most of the time.
    fn schedule(&self, task: &str, payloads: impl IntoIterator<Item = Value>) {
        block_on(async {
            let backend: Arc<dyn Backend> = brrr_backends::open(&self.backend).await.expect("a backend");
            let client = Client::new(backend);
            for kwargs in payloads {
                let hash = python::call_hash(task, &kwargs);
                let call = Call {
                    hash: hash.as_str().into(),
                    task: task.into(),
                    payload: python::payload(&kwargs).into(),
                    topic: TOPIC.into(),
                    options: Options::default(),
                };
                let job = NewJob::new(JobId::from(hash.as_str()), call);
                client.schedule(&job, brrr_worker::topic_worker::now()).await.expect("scheduled");
            }
        });
    }

    /// A worker that writes its events to the file `events`.
    pub fn worker(&self, events: &str, more: &[&str]) -> Running {
        self.env.worker(&[&["--events", events], more].concat())
    }

    /// How many events in this file say that a call of the task reached this state.
    pub fn count(&self, events: &str, task: &str, state: &str) -> usize {
        let text = std::fs::read_to_string(self.env.path(events)).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|e| e["subject"] == "task" && e["task"] == *task && e["to"] == *state).count()
    }

    pub fn until(&self, what: &str, files: &[&str], task: &str, state: &str, count: usize) {
        eventually(what, || {
            let counts: Vec<_> = files.iter().map(|file| self.count(file, task, state)).collect();
            if counts.iter().sum::<usize>() >= count { Ok(()) } else { Err(format!("{}: {counts:?}", self.backend)) }
        });
    }

    /// Waits until the store has this many completed jobs.
    pub fn until_ended(&self, count: usize) {
        eventually("all jobs have completed", || {
            let jobs = self.env.run(["jobs", "--counts", "--output", "json"]).json();
            let completed = jobs["counts"]["completed"] == count;
            if completed { Ok(()) } else { Err(format!("{}: {jobs}", self.backend)) }
        });
    }

    /// How many commands of this name the server has executed, also inside of scripts. `None`: the backend has no
    /// server that counts.
    fn commands(&self, name: &str) -> Option<usize> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.as_ref()?.port)).expect("the server");
        stream.write_all(b"INFO commandstats\r\n").expect("a command");
        let mut reader = BufReader::new(stream);
        let mut length = String::new();
        reader.read_line(&mut length).expect("an answer");
        let mut text = vec![0; length.trim().trim_start_matches('$').parse().expect("a length")];
        reader.read_exact(&mut text).expect("an answer");
        let text = String::from_utf8_lossy(&text).into_owned();
        let line =
            text.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")).map(str::to_owned));
        let count = line.and_then(|line| line.split(',').next()?.parse().ok());
        Some(count.unwrap_or(0))
    }
}

fn naps(count: usize, seconds: f64) -> impl Iterator<Item = Value> {
    (0..count).map(move |i| json!({ "seconds": seconds + i as f64 / 1e6 }))
}

#[test]
fn a_worker_that_starts_later_gets_its_share() {
    on_each_backend(|fleet| {
        fleet.schedule("sleeper", naps(18, 0.5));
        let first = fleet.worker("first", &["--max-running", "3"]);
        fleet.until("the first worker is busy", &["first"], "sleeper", "running", 3);
        let second = fleet.worker("second", &["--max-running", "3"]);
        fleet.until_ended(18);
        let share = fleet.count("second", "sleeper", "completed");
        assert!(share >= 3, "{}: the second worker ran {share}", fleet.backend);
        first.stop().ok();
        second.stop().ok();
    });
}

#[test]
fn a_long_call_delays_no_other() {
    on_each_backend(|fleet| {
        fleet.schedule("sleeper", naps(1, 600.0));
        fleet.schedule("hello", (0..5).map(|i| json!({ "greetee": i.to_string() })));
        let workers = ["first", "second"].map(|events| fleet.worker(events, &["--max-running", "1"]));
        fleet.until("the quick ones are done", &["first", "second"], "hello", "completed", 5);
        fleet.until("the long one runs", &["first", "second"], "sleeper", "running", 1);
        assert_eq!(fleet.count("first", "sleeper", "completed") + fleet.count("second", "sleeper", "completed"), 0);
        workers.iter().for_each(|worker| worker.signal(Signal::KILL));
    });
}

#[test]
fn a_task_that_runs_one_at_a_time_costs_a_bounded_number_of_commands() {
    on_each_backend(|fleet| {
        let calls = 100;
        fleet.env.write("brrr.toml", "[tasks.sleeper]\nmax-running = 1\n");
        fleet.schedule("sleeper", naps(calls, 0.005));
        let before = fleet.commands("zadd");
        let worker = fleet.worker("events", &[]);
        fleet.until("all are done", &["events"], "sleeper", "completed", calls);
        assert_eq!(fleet.count("events", "sleeper", "running"), calls, "no event says that a waiting call runs");
        // One `ZADD` for each lease, and one each time a message is given back with a delay.
        if let Some(used) = fleet.commands("zadd").zip(before).map(|(after, before)| after - before) {
            eprintln!("{used} for {calls} calls");
            assert!(used < 12 * calls, "{used}");
        }
        worker.stop().ok();
    });
}
