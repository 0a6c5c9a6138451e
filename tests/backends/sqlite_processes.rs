//! Several processes on one file: they wake each other, share the work, and continue when one of them dies.
//!
//! The other processes are this same program, started again with `BRRR_CHILD=ROLE:PATH`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brrr_backends::Sqlite;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Outgoing};
use support::{tree, until};
use tempfile::tempdir;

const LEASE: Duration = Duration::from_millis(500);

fn open(path: &Path) -> Arc<dyn Backend> {
    Arc::new(Sqlite::options().lease(LEASE).open(path).unwrap())
}

fn message(topic: &str) -> Outgoing {
    Outgoing { topic: topic.into(), body: "x".into(), delay: Duration::ZERO }
}

/// Another process. It is killed when it goes out of scope.
struct Process(Child);

impl Process {
    fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env("BRRR_CHILD", format!("{role}:{}", path.display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("<ready>")), "the other process has not started");
        Self(child)
    }

    /// Kills the process, as `kill -9` does.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may be dead already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The work of the other processes. Does nothing when the suite itself runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(orders) = std::env::var("BRRR_CHILD") else { return };
    let (role, path) = orders.split_once(':').unwrap();
    let backend = open(Path::new(path));
    println!("<ready>");
    match role {
        "echo" => loop {
            let got = backend.queue().receive(&"ping".into(), 1, Duration::from_secs(60)).await.unwrap();
            for delivery in got {
                backend.queue().ack(&delivery.receipt).await.unwrap();
                backend.queue().send_many(&[message("pong")]).await.unwrap();
            }
        },
        "work" => {
            let done = Arc::new(AtomicUsize::new(0));
            let (counter, counting) = (done.clone(), backend.clone());
            tokio::spawn(async move {
                // From time to time prints how much it has done, so that the parent process can read it.
                let mut reported = 0;
                loop {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let now = counter.load(Ordering::Relaxed);
                    counting
                        .counters()
                        .incr(&format!("done by {}", std::process::id()), (now - reported) as u64)
                        .await
                        .unwrap();
                    reported = now;
                }
            });
            tree::work(backend, move || {
                done.fetch_add(1, Ordering::Relaxed);
            })
            .await;
        }
        other => panic!("no such role: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_wakes_an_idle_worker_of_another_process() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let here = open(&path);
    let _there = Process::start("echo", &path);
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        here.queue().send_many(&[message("ping")]).await.unwrap();
        let got = here.queue().receive(&"pong".into(), 1, Duration::from_secs(30)).await.unwrap();
        assert_eq!(got.len(), 1);
        times.push(start.elapsed());
        here.queue().ack(&got[0].receipt).await.unwrap();
        // Waits until the other process is idle again.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    times.sort();
    // To the other process and back: two wake-ups.
    println!("there and back: median {:?}, longest {:?}", times[10], times[19]);
    assert!(times[10] < Duration::from_secs(2), "{times:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_the_work() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let here = open(&path);
    let others = [Process::start("work", &path), Process::start("work", &path)];
    let job = tree::schedule(&here, "fib/15/x").await;
    assert_eq!(tree::result(&here, &job).await, "987");
    for other in &others {
        let counter = format!("done by {}", other.0.id());
        let done = until("both have reported what they did", || async {
            let done = here.counters().incr(&counter, 0).await.unwrap();
            (done > 0).then_some(done)
        })
        .await;
        println!("a worker did {done} messages");
    }
    until("nothing is left", || async {
        (here.queue().depth(&Topic::from(tree::TOPIC)).await.unwrap() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state.db");
    let here = open(&path);
    let job = tree::schedule(&here, "fib/15/x").await;
    for n in 0..4 {
        let worker = Process::start("work", &path);
        tokio::time::sleep(Duration::from_millis(60 + n * 20)).await;
        worker.kill();
        let check: String = rusqlite::Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
    let left = here.queue().depth(&Topic::from(tree::TOPIC)).await.unwrap();
    println!("after four kills {left} messages are left");
    let worker = tokio::spawn(tree::work(here.clone(), || ()));
    assert_eq!(tree::result(&here, &job).await, "987");
    until("every lease has come back", || async {
        (here.queue().depth(&Topic::from(tree::TOPIC)).await.unwrap() == 0).then_some(())
    })
    .await;
    worker.abort();
}
