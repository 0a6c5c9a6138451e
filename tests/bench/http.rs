//! The gateway of a worker on SQLite: how long a client waits for a job of one call, and how many such jobs there are in
//! a second, with 1, 32 and 1,000 connections.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long each number of connections is measured.
const MEASURED: Duration = Duration::from_secs(5);

/// The pause of a client that asks again and again.
const POLL: Duration = Duration::from_millis(5);

/// A worker with a gateway.
struct Gateway {
    worker: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

impl Gateway {
    fn start(binary: &str, guest: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(binary);
        command.current_dir(folder.path()).env("BRRR_TOPIC", "bench").env("BRRR_LOG", "info").stdout(Stdio::null());
        command.arg("run").arg(guest).args(["--http", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut worker = command.spawn().expect("a worker");
        let mut lines = BufReader::new(worker.stderr.take().expect("its output")).lines().map_while(Result::ok);
        let address =
            lines.find_map(|line| Some(line.split_once("on http://")?.1.trim().to_owned())).expect("an address");
        // The worker must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { worker, address, _folder: folder }
    }

    async fn connect(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(&self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let (client, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        client
    }
}

/// A request, and its answer.
async fn send(client: &mut SendRequest<Full<Bytes>>, method: &str, path: &str, body: String) -> (StatusCode, String) {
    send_with(client, method, path, body, "respond-async").await
}

async fn send_with(
    client: &mut SendRequest<Full<Bytes>>,
    method: &str,
    path: &str,
    body: String,
    prefer: &str,
) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").header("prefer", prefer);
    client.ready().await.expect("a connection");
    let answer = client.send_request(request.body(Full::from(body)).expect("a request")).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// How a client gets the result of a job.
#[derive(Clone, Copy)]
enum Way {
    /// `POST /v1/jobs` with `prefer: wait=60`.
    Wait,
    /// The short routes: it starts the job, and asks again and again.
    Poll,
}

async fn one_job(client: &mut SendRequest<Full<Bytes>>, way: Way, name: u64) {
    match way {
        Way::Wait => {
            let body = format!(r#"{{"task":"hello","input":{{"greetee":"{name}"}}}}"#);
            let (status, body) = send_with(client, "POST", "/v1/jobs", body, "wait=60").await;
            assert!(status == 201 && body.contains(r#""state":"completed""#), "{status} {body}");
        }
        Way::Poll => {
            let path = format!("/hello?greetee={name}");
            let (status, body) = send(client, "POST", &path, String::new()).await;
            assert_eq!(status, 202, "{body}");
            while send(client, "GET", &path, String::new()).await.0 != 200 {
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

/// Prints how long a job takes for each client, and how many there are in a second.
async fn measure(gateway: &Arc<Gateway>, names: &Arc<AtomicU64>, way: Way, connections: usize) {
    let until = Instant::now() + MEASURED;
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            let (gateway, names) = (gateway.clone(), names.clone());
            tokio::spawn(async move {
                let (mut client, mut times) = (gateway.connect().await, Vec::new());
                while Instant::now() < until {
                    let began = Instant::now();
                    one_job(&mut client, way, names.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(began.elapsed());
                }
                times
            })
        })
        .collect();
    let began = Instant::now();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("its times"));
    }
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e3;
    let name = match way {
        Way::Wait => "POST /v1/jobs, prefer: wait",
        Way::Poll => "POST /TASK, then GET every 5 ms",
    };
    println!(
        "{name:<32} {connections:>5} connections: p50 {:>7.2} ms   p99 {:>7.2} ms   {rate:>6.0} jobs/s",
        at(50),
        at(99)
    );
}

/// The median time of requests that do only a part of what a start and a wait do.
async fn parts(gateway: &Gateway) {
    let mut client = gateway.connect().await;
    let start = |name: u32| format!(r#"{{"task":"hello","delay":"1h","input":{{"greetee":"part {name}"}}}}"#);
    for (name, method, path, body) in [
        ("a request that is refused at once", "GET", "/v1/nothing", None),
        ("a start that waits for nothing", "POST", "/v1/jobs", Some(start)),
    ] {
        let mut times = Vec::new();
        for i in 0..500 {
            let began = Instant::now();
            send(&mut client, method, path, body.map_or_else(String::new, |body| body(i))).await;
            times.push(began.elapsed());
        }
        times.sort();
        println!("{name:<48} p50 {:>7.2} ms", times[times.len() / 2].as_secs_f64() * 1e3);
    }
}

/// Measures a worker of this binary, or of the binary given: one of an older revision has only the short routes.
pub async fn gateway(guest: &Path, other: Option<&str>) {
    let names = Arc::new(AtomicU64::new(0));
    // Each way has a worker of its own, so that none has the jobs of another in its database.
    for way in [Way::Wait, Way::Poll] {
        let gateway = Arc::new(Gateway::start(other.unwrap_or(env!("CARGO_BIN_EXE_brrr-host")), guest));
        let mut client = gateway.connect().await;
        one_job(&mut client, Way::Poll, u64::MAX).await;
        let has_v1 = send(&mut client, "GET", "/v1/openapi.json", String::new()).await.0 == 200;
        if matches!(way, Way::Wait) {
            if !has_v1 {
                continue;
            }
            parts(&gateway).await;
        }
        for connections in [1, 32, 1_000] {
            measure(&gateway, &names, way, connections).await;
        }
    }
}
