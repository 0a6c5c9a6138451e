//! What a backend costs a call, in CPU: a salted fib(16) tree (3,193 calls, of which each inner one has two children and
//! runs twice) and a fan-out, with a native handler that does next to nothing.
//!
//! `cargo bench -p brrr-backends [-- MODE...]` with MODE one of memory, sqlite, fan, chain, idle; all of them by default.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

#[path = "../../../tests/backends/support/tree.rs"]
mod tree;

use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_backends::{Memory, Sqlite};
use brrr_protocol::ports::Backend;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

async fn job(backend: &Arc<dyn Backend>, payload: &str) {
    let job = tree::schedule(backend, payload).await;
    tree::result(backend, &job).await;
}

async fn measure(name: &str, backend: Arc<dyn Backend>, payloads: &[String]) {
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    job(&backend, "fib/3/warm").await;
    let (before, start) = (cpu(), Instant::now());
    for payload in payloads {
        job(&backend, payload).await;
    }
    let (used, took) = (cpu() - before, start.elapsed());
    worker.abort();
    let calls: u64 = payloads.iter().map(|payload| tree::count(payload)).sum();
    println!(
        "{name:<34} {calls:>6} calls: {:>7.1} us CPU, {:>7.1} us a call; {:>6.0} calls/s",
        used.as_secs_f64() * 1e6 / calls as f64,
        took.as_secs_f64() * 1e6 / calls as f64,
        calls as f64 / took.as_secs_f64(),
    );
}

async fn idle(backend: Arc<dyn Backend>) {
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (before, start) = (cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let share = (cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0;
    worker.abort();
    println!("{:<34} {share:.3} % of a core", "sqlite, an idle worker");
}

fn main() {
    let modes: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |mode: &str| modes.is_empty() || modes.iter().any(|m| m == mode);
    let folder = tempfile::tempdir().unwrap();
    let mut files = 0;
    let mut sqlite = || -> Arc<dyn Backend> {
        files += 1;
        Arc::new(Sqlite::open(folder.path().join(format!("{files}.db"))).unwrap())
    };
    let memory = || -> Arc<dyn Backend> { Arc::new(Memory::new()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fib: Vec<String> = (0..5).map(|salt| format!("fib/16/{salt}")).collect();
        if wanted("memory") {
            measure("memory, fib(16) five times", memory(), &fib).await;
        }
        if wanted("sqlite") {
            measure("sqlite, fib(16) five times", sqlite(), &fib).await;
        }
        for n in [100, 1000] {
            let fan = [format!("fan/{n}/")];
            if wanted("fan") {
                measure(&format!("memory, fan-out of {n}"), memory(), &fan).await;
                measure(&format!("sqlite, fan-out of {n}"), sqlite(), &fan).await;
            }
        }
        let chain = ["chain/300/".to_owned()];
        if wanted("chain") {
            measure("memory, 300 calls one by one", memory(), &chain).await;
            measure("sqlite, 300 calls one by one", sqlite(), &chain).await;
        }
        if wanted("idle") {
            idle(sqlite()).await;
        }
    });
}
