//! What metrics and traces cost a worker of the real binary. The workers take turns, so that all of them meet the same machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::Router;
use tokio::net::TcpListener;

/// Calls of a tree of fib(15), all of them distinct.
const CALLS: f64 = 1_973.0;
const TREE: u32 = 15;

/// Many short rounds: what else this machine does is met by all workers alike.
const ROUNDS: usize = 61;

struct Measured {
    name: &'static str,
    folder: tempfile::TempDir,
    worker: Child,
    /// Where its metrics are read, if they are.
    metrics: Option<String>,
    /// CPU of one call in microseconds, by round.
    costs: Vec<f64>,
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

impl Measured {
    fn start(guest: &Path, name: &'static str, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_brrr-host"));
        command.current_dir(folder.path()).env("BRRR_TOPIC", "bench").envs(environment.iter().copied());
        command.arg("run").arg(guest).args(flags).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut worker = command.spawn().expect("a worker");
        let mut lines = BufReader::new(worker.stderr.take().expect("its output")).lines().map_while(Result::ok);
        let address = |line: String| Some(line.split_once("metrics and health on http://")?.1.trim().to_owned());
        let metrics = (!flags.is_empty()).then(|| lines.find_map(address).expect("an address"));
        // The worker must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { name, folder, worker, metrics, costs: Vec::new() }
    }

    /// CPU time of all threads until now, in microseconds.
    fn cpu(&self) -> f64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.worker.id())).expect("a running worker");
        let of = |task: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        tasks.filter_map(of).sum::<f64>() / 1e3
    }

    fn round(&mut self, salt: usize) -> f64 {
        let before = self.cpu();
        let arguments = format!(r#"{{"n": {TREE}, "salt": "{salt}"}}"#);
        let mut call = Command::new(env!("CARGO_BIN_EXE_brrr-host"));
        call.current_dir(self.folder.path()).env("BRRR_TOPIC", "bench").env("BRRR_LOG", "warn");
        let status = call.args(["call", "fib", &arguments]).stdout(Stdio::null()).status().expect("a call");
        assert!(status.success(), "{status}");
        // Prometheus would ask less often.
        if let Some(address) = &self.metrics {
            let mut stream = TcpStream::connect(address).expect("a connection");
            let request = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("a request");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            assert!(answer.contains("brrr_calls_total"), "{answer}");
        }
        (self.cpu() - before) / CALLS
    }
}

pub async fn overhead(guest: &Path) {
    let collector = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", collector.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(collector, Router::new().fallback(async || "")).await });
    let sampled = |share| {
        [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str()),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", share),
        ]
    };
    let mut workers = [
        Measured::start(guest, "neither", &[], &[]),
        Measured::start(guest, "neither, another worker", &[], &[]),
        Measured::start(guest, "metrics, read once a tree", &["--metrics", "127.0.0.1:0"], &[]),
        Measured::start(guest, "traces of 1 % of the jobs", &[], &sampled("0.01")),
        Measured::start(guest, "traces of all jobs", &[], &sampled("1")),
    ];
    for worker in &mut workers {
        worker.round(0);
    }
    for round in 1..=ROUNDS {
        let first = round % workers.len();
        workers.rotate_left(first);
        for worker in &mut workers {
            let cost = worker.round(round);
            worker.costs.push(cost);
        }
        workers.rotate_right(first);
    }
    let plain = workers[0].costs.clone();
    for worker in &workers {
        let ratios = worker.costs.iter().zip(&plain).map(|(cost, plain)| cost / plain).collect();
        let cost = quartiles(worker.costs.clone())[1];
        let [low, ratio, high] = quartiles(ratios);
        println!("{:<28} {cost:>7.1} µs CPU a call   ×{ratio:.3} ({low:.3} to {high:.3})", worker.name);
    }
}

/// The middle of the values, and what half of them are between.
fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}
