//! The real binary on a real Redis.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::control::schedule;
use crate::harness::{Env, Running, TOPIC, block_on, eventually};
use crate::servers::redis::{Flavour, WITHOUT_SCRIPTS};
use crate::servers::{Server, free_port};

/// A folder whose commands use this server.
pub fn env_on(url: impl Into<String>) -> Env {
    let mut env = Env::new();
    env.set("BRRR_BACKEND", "redis:");
    env.set("REDIS_URL", url);
    env
}

/// The server's address as `BRRR_BACKEND` takes it.
pub fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

/// How many messages the topic has.
fn depth(server: &Server) -> u64 {
    let depth = async { brrr_backends::open(&url(server)).await?.queue().depth(&TOPIC.into()).await };
    block_on(depth).expect("a depth")
}

fn result(env: &Env, job: &str) -> String {
    eventually("the job ends", || {
        let read = env.run(["read", "--job", job]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    })
}

fn settled(server: &Server) {
    eventually("nothing is left in the queue", || match depth(server) {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
}

#[test]
fn a_password_works_and_is_never_shown() {
    let Some(server) = Flavour::Redis.start(None, &["--requirepass", "hunter2"]) else { return };
    let env = env_on(format!("redis://:hunter2@127.0.0.1:{}", server.port));
    let worker = env.worker(&["--log-level", "debug"]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 15}"]).ok(), "610");
    let jobs = env.run(["jobs"]);
    assert!(jobs.ok().contains("completed"), "{jobs:?}");
    let ended = worker.stop();
    assert!(ended.stderr.contains(&format!("of redis://127.0.0.1:{}", server.port)), "{ended:?}");
    assert!(!ended.stderr.contains("hunter2"), "{ended:?}");

    let wrong = env_on(format!("redis://:wrong@127.0.0.1:{}", server.port));
    wrong.run(["call", "fib", "{\"n\": 1}"]).refused(20, &["password"]);
    env_on(format!("redis://127.0.0.1:{}", free_port())).run(["jobs"]).refused(21, &["connect"]);
}

#[test]
fn a_killed_worker_loses_nothing() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let first = env.worker(&["--lease", "2s"]);
    let job = schedule(&env, &["fib", "{\"n\": 17, \"salt\": \"x\"}"]);
    eventually("the tree grows", || if depth(&server) > 100 { Ok(()) } else { Err(depth(&server).to_string()) });
    first.signal(Signal::KILL);
    drop(first);
    assert_eq!(env.run(["read", "--job", &job]).code, Some(40), "killed too late to prove anything");
    let second = env.worker(&["--lease", "2s"]);
    assert_eq!(result(&env, &job), "1597\n");
    settled(&server);
    second.stop().ok();
}

#[test]
fn a_frozen_worker_loses_its_messages_and_does_no_harm() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let lease = ["--lease", "1s"];
    let frozen = env.worker(&lease);
    let job = schedule(&env, &["fib", "{\"n\": 17, \"salt\": \"x\"}"]);
    eventually("the tree grows", || if depth(&server) > 100 { Ok(()) } else { Err(depth(&server).to_string()) });
    frozen.signal(Signal::STOP);
    let other = env.worker(&lease);
    assert_eq!(result(&env, &job), "1597\n");
    settled(&server);
    frozen.signal(Signal::CONT);
    // The worker runs again and takes new work. The messages that it held have no visible second effect.
    other.stop().ok();
    assert_eq!(env.run(["call", "fib", "{\"n\": 16, \"salt\": \"y\"}"]).ok(), "987");
    assert_eq!(env.run(["read", "--job", &job]).ok(), "1597");
    settled(&server);
    frozen.stop().ok();
}

#[test]
fn a_heartbeat_keeps_the_lease_of_a_long_run() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    // The calls run for three leases, on all cores, while a second worker waits for a message.
    let args = ["--lease", "1s", "--timeout", "3s"];
    let workers = [env.worker(&args), env.worker(&args)];
    let calls: Vec<Running> = (0..4).map(|_| env.start(["call", "--fresh", "loops"])).collect();
    for call in calls {
        let ended = call.end();
        assert_eq!(ended.code, Some(32), "{ended:#?}");
    }
    settled(&server);
    let failures: usize = workers.map(|w| w.stop().stderr.matches("failed: ").count()).iter().sum();
    assert_eq!(failures, 4, "each was run once");
}

#[test]
fn a_worker_reconnects_to_a_restarted_server() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().to_str().expect("UTF-8");
    let port = free_port();
    let durable = ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder];
    let Some(server) = Flavour::Redis.start(Some(port), &durable) else { return };
    let env = env_on(url(&server));
    let worker = env.worker(&["--lease", "2s"]);
    let job = schedule(&env, &["fib", "{\"n\": 17, \"salt\": \"x\"}"]);
    eventually("the tree grows", || if depth(&server) > 100 { Ok(()) } else { Err(depth(&server).to_string()) });
    // The server is killed, not shut down.
    drop(server);
    env.run(["read", "--job", &job]).refused(21, &["connect"]);
    let server = Flavour::Redis.start(Some(port), &durable).expect("a server");
    assert_eq!(result(&env, &job), "1597\n");
    settled(&server);
    assert_eq!(env.run(["call", "hello", "{\"greetee\": \"John\"}"]).ok(), "Hello, John!");
    worker.stop().ok();
}

/// Makes a certificate authority and a certificate of this machine. Returns the files of the authority's certificate,
/// the server's certificate, and the server's key.
fn certificates(env: &Env) -> Option<[String; 3]> {
    let certify = |name: &str, subject: &str, more: &[&str]| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]);
        openssl.args(["-keyout", &key, "-out", &certificate, "-subj", subject]).args(more).current_dir(env.path(""));
        openssl.output().is_ok_and(|output| output.status.success())
    };
    let names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
    let signed: Vec<&str> = names.into_iter().chain(["-CA", "ca.crt", "-CAkey", "ca.key"]).collect();
    let made = certify("ca", "/CN=tests", &[]) && certify("server", "/CN=localhost", &signed);
    made.then(|| ["ca.crt", "server.crt", "server.key"].map(|name| env.path(name).display().to_string()))
}

#[test]
fn tls_is_used_and_verified() {
    let mut env = Env::new();
    let Some([authority, certificate, key]) = certificates(&env) else {
        return crate::servers::missing("openssl", "apt-get install openssl");
    };
    let (port, plain) = (free_port().to_string(), free_port());
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = Flavour::Redis.start(Some(plain), &tls) else { return };
    env.set("BRRR_BACKEND", format!("rediss://localhost:{port}"));
    // The client does not trust this authority yet.
    env.run(["jobs"]).refused(21, &["certificate"]);
    env.set("SSL_CERT_FILE", authority);
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 12}"]).ok(), "144");
    worker.stop().ok();
}

#[test]
fn a_worker_without_permission_for_scripts_works_and_says_so() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(format!("redis://{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@127.0.0.1:{}", server.port));
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 10}"]).ok(), "55");
    assert_eq!(env.run(["call", "flaky", "{\"until\": 2}"]).ok(), "{\"attempt\":2}");
    assert!(worker.stop().stderr.contains("does not let this user run scripts"));
}

#[test]
fn cancelling_and_retries_work_through_the_server() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    let env = env_on(url(&server));
    let worker = env.worker(&["--publish-events"]);
    assert_eq!(env.run(["call", "flaky", "{\"until\": 3}"]).ok(), "{\"attempt\":3}");
    let job = schedule(&env, &["loops", "{}"]);
    eventually("it runs", || {
        let doc: Value = env.run(["job", &job, "--output", "json"]).json();
        let events = env.run(["events", "--job", &job]).stdout;
        if events.contains("\"to\":\"running\"") { Ok(()) } else { Err(format!("{doc} {events}")) }
    });
    let start = Instant::now();
    assert_eq!(env.run(["cancel", &job]).code, Some(0));
    settled(&server);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(env.run(["read", "--job", &job]).code, Some(33));
    worker.stop().ok();
}
