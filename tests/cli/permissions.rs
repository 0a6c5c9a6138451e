//! What handlers may reach, with the real binary: `--allow-http`, `--env`, `--env-file`, `--dir`.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::harness::{Ended, Env, Running, eventually};
use crate::http_server::{HttpServer, TOGETHER};
use crate::https_server::HttpsServer;

/// A worker that may send requests to this server.
fn worker(env: &Env, server: &HttpServer, more: &[&str]) -> Running {
    let host = server.host();
    env.worker(&[&["--allow-http", &host], more].concat())
}

fn call(env: &Env, task: &str, args: &Value) -> Ended {
    env.run(["call", task, &args.to_string(), "--output", "json"])
}

fn value(env: &Env, task: &str, args: &Value) -> Value {
    call(env, task, args).json()["result"].clone()
}

/// Makes a call that must fail. Returns its message.
#[track_caller]
fn failure(env: &Env, task: &str, args: &Value) -> String {
    let ended = call(env, task, args);
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    ended.stdout + &ended.stderr
}

#[test]
fn a_request_goes_where_it_is_allowed() {
    let (env, server) = (Env::new(), HttpServer::start());
    let worker = worker(&env, &server, &[]);
    let got = value(&env, "http_get", &json!({"url": server.url("/hello")}));
    assert_eq!(got, json!({"status": 200, "body": "Hello!"}));
    let got = value(&env, "http_get", &json!({"url": server.url("/status?is=503")}));
    assert_eq!(got, json!({"status": 503, "body": "as asked"}));

    let body = "ä".repeat(40_000);
    let sent = json!({"method": "PUT", "url": server.url("/echo"), "headers": {"x-own": "mine"}, "body": body});
    let got = value(&env, "http_send", &sent);
    let echo: Value = serde_json::from_str(got["body"].as_str().unwrap()).unwrap();
    assert_eq!((&echo["method"], &echo["headers"]["x-own"]), (&json!("PUT"), &json!("mine")));
    assert_eq!(echo["headers"]["host"], json!(server.host()));
    assert_eq!(echo["body"], json!(body));
    worker.stop().ok();
}

#[test]
fn a_refused_request_names_host_and_flag_and_is_in_the_log_once() {
    let (env, server) = (Env::new(), HttpServer::start());
    let worker = env.worker(&["--allow-http", "example.com"]);
    let host = server.host();
    let refusal = format!("HTTP to {host} is not allowed: --allow-http {host}");
    for path in ["/hello", "/a", "/b"] {
        let said = failure(&env, "http_get", &json!({"url": server.url(path)}));
        assert!(said.contains(&refusal), "{said}");
    }
    // The refusal is an ordinary error, so a handler can catch it.
    let said = value(&env, "http_caught", &json!({"url": "https://localhost/"}));
    let expected = "error: GET https://localhost/: HTTP to localhost:443 is not allowed: --allow-http localhost";
    assert_eq!(said, json!(expected));
    let stderr = worker.stop().stderr;
    assert_eq!(stderr.matches(&format!("WARN http_get: {refusal}")).count(), 1, "{stderr}");
    assert_eq!(server.count("/hello"), 0);
}

#[test]
fn a_redirect_needs_permission_like_any_request() {
    let (env, server, other) = (Env::new(), HttpServer::start(), HttpServer::start());
    let _worker = worker(&env, &server, &[]);
    let to = |url: &str| server.url(&format!("/redirect?to={url}"));
    let got = value(&env, "http_get", &json!({"url": to("/hello")}));
    assert_eq!(got["body"], json!("Hello!"));
    let said = failure(&env, "http_get", &json!({"url": to(&other.url("/hello"))}));
    assert!(said.contains(&format!("--allow-http {}", other.host())), "{said}");
    assert_eq!(other.count("/hello"), 0);
    let said = failure(&env, "http_get", &json!({"url": server.url("/loop")}));
    assert!(said.contains("more than 10 redirects"), "{said}");
    assert_eq!(server.count("/loop"), 11);
    // With this status the redirected request keeps its method and body.
    let url = server.url("/redirect-307?to=/echo");
    let sent = json!({"method": "POST", "url": url, "headers": {"authorization": "Bearer x"}, "body": "b"});
    let got = value(&env, "http_send", &sent);
    let echo: Value = serde_json::from_str(got["body"].as_str().unwrap()).unwrap();
    assert_eq!((&echo["method"], &echo["body"]), (&json!("POST"), &json!("b")));
    assert_eq!(echo["headers"]["authorization"], json!("Bearer x"));
}

#[test]
fn a_server_that_never_answers_delays_nobody() {
    let (env, server) = (Env::new(), HttpServer::start());
    let worker = worker(&env, &server, &["--timeout", "2s"]);
    for path in ["/never", "/stalls"] {
        let start = Instant::now();
        // Different calls, because equal calls would share one run.
        let args = |n: i32| json!({"url": server.url(&format!("{path}?n={n}"))}).to_string();
        let stuck: Vec<_> = (0..4).map(|n| env.start(["call", "http_get", &args(n)])).collect();
        eventually("it is asked", || if server.count(path) > 0 { Ok(()) } else { Err("not asked".into()) });
        // Other calls run meanwhile, also calls that send requests.
        let got = value(&env, "http_get", &json!({"url": server.url("/hello")}));
        assert_eq!(got["body"], json!("Hello!"));
        assert_eq!(env.run(["call", "fib", "{\"n\": 20}"]).ok(), "6765");
        for call in stuck {
            let ended = call.end();
            assert_eq!(ended.code, Some(32), "{ended:#?}");
            assert!(ended.stderr.contains("time limit of 2s"), "{ended:#?}");
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
    worker.stop().ok();
}

#[test]
fn a_request_that_waits_can_be_cancelled() {
    let (env, server) = (Env::new(), HttpServer::start());
    let worker = worker(&env, &server, &[]);
    let args = json!({"url": server.url("/never")}).to_string();
    let scheduled = env.run(["schedule", "http_get", &args, "--output", "json"]).json();
    let id = scheduled["job"].as_str().expect("a job").to_owned();
    eventually("it is asked", || if server.count("/never") > 0 { Ok(()) } else { Err("not asked".into()) });
    let start = Instant::now();
    env.run(["cancel", &id]).ok();
    // The worker lets runs end before it stops. So it can stop only after the cancelled run has ended.
    worker.stop().ok();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_request_has_a_time_of_its_own() {
    let (env, server) = (Env::new(), HttpServer::start());
    let _worker = worker(&env, &server, &[]);
    for path in ["/never", "/stalls"] {
        let said = value(&env, "http_cut_short", &json!({"url": server.url(path), "ms": 200}));
        assert_eq!(said, json!(format!("error: GET {}: no whole answer in its time", server.url(path))));
    }
    let said = value(&env, "http_cut_short", &json!({"url": server.url("/hello"), "ms": 20_000}));
    assert_eq!(said, json!("status 200"));
    // This task is no leaf. Its own sleeps return at once, but time passes while it waits for a request.
    let said = value(&env, "http_patient", &json!({"url": server.url("/later?ms=300"), "ms": 20_000}));
    assert_eq!(said, json!(["status 200", 1]));
    let url = server.url("/never");
    let said = value(&env, "http_patient", &json!({"url": url, "ms": 200}));
    assert_eq!(said, json!([format!("error: GET {url}: no whole answer in its time"), 1]));
}

#[test]
fn a_broken_response_is_an_error_and_a_large_one_is_not() {
    let (env, server) = (Env::new(), HttpServer::start());
    let _worker = worker(&env, &server, &["--max-result", "64MiB"]);
    let said = failure(&env, "http_get", &json!({"url": server.url("/cut")}));
    assert!(said.contains("incomplete HTTP response"), "{said}");
    let said = failure(&env, "http_get", &json!({"url": server.url("/heads")}));
    assert!(said.contains("too large headers"), "{said}");
    const BYTES: usize = 20 << 20;
    let got = value(&env, "http_get", &json!({"url": server.url(&format!("/large?bytes={BYTES}"))}));
    assert_eq!(got["body"].as_str().unwrap().len(), BYTES);
    // An answer that is larger than the guest's memory runs into the guest's own limit.
    let said = failure(&env, "http_get", &json!({"url": server.url("/large?bytes=400000000")}));
    assert!(said.contains("memory limit"), "{said}");
}

#[test]
fn a_refused_connection_is_an_error() {
    let env = Env::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let _worker = env.worker(&["--allow-http", &address]);
    let said = failure(&env, "http_get", &json!({"url": format!("http://{address}/")}));
    assert!(said.contains("connection refused"), "{said}");
}

#[test]
fn https_trusts_the_configured_certificates() {
    let (mut env, server) = (Env::new(), HttpsServer::start());
    let allow = ["--allow-http", &format!("localhost:{}", server.port), "--allow-http", "127.0.0.1:*"];
    let url = |host: &str| json!({"url": format!("https://{host}:{}/", server.port)});
    let worker = env.worker(&allow);
    let said = value(&env, "http_caught", &url("localhost"));
    assert!(said.as_str().unwrap().contains("certificate"), "{said}");
    worker.stop().ok();

    let file = env.write("ca.pem", &server.certificate);
    env.set("SSL_CERT_FILE", file.to_str().unwrap());
    let worker = env.worker(&allow);
    let got = value(&env, "http_get", &url("localhost"));
    assert_eq!(got, json!({"status": 200, "body": "Hello!"}));
    // The server's certificate is not valid for this name.
    let said = value(&env, "http_caught", &url("127.0.0.1"));
    assert!(said.as_str().unwrap().contains("not valid for name"), "{said}");
    worker.stop().ok();
}

/// The certificates can't be read at the first request, so this request fails. The next request reads them.
#[cfg(target_os = "linux")]
#[test]
fn certificates_that_could_not_be_read_are_read_again() {
    let (mut env, server) = (Env::new(), HttpsServer::start());
    let certificates = env.path("certificates.pem");
    env.set("SSL_CERT_FILE", certificates.display().to_string());
    // A read of this file's first byte fails with EIO.
    symlink("/proc/self/mem", &certificates).expect("a link");
    let host = format!("localhost:{}", server.port);
    let worker = env.worker(&["--allow-http", &host]);
    let get =
        |path: &str| call(&env, "http_get", &json!({ "url": format!("https://localhost:{}/{path}", server.port) }));
    let first = get("first");
    assert!(first.code == Some(30) && first.stdout.contains("certificates"), "{first:?}");
    std::fs::remove_file(&certificates).expect("the link");
    std::fs::write(&certificates, &server.certificate).expect("a file");
    assert!(get("second").json()["result"].to_string().contains("Hello!"));
    worker.stop().ok();
}

#[test]
fn several_requests_are_under_way_at_once() {
    let (env, server) = (Env::new(), HttpServer::start());
    let _worker = worker(&env, &server, &["--timeout", "20s"]);
    // The server answers these requests only when all of them have arrived.
    let urls = vec![server.url("/together"); TOGETHER];
    assert_eq!(value(&env, "http_several", &json!({"urls": urls})), json!(vec!["together"; TOGETHER]));
    // More requests than a run may have open. The others wait until one is done.
    let urls = vec![server.url("/hello"); 100];
    assert_eq!(value(&env, "http_several", &json!({"urls": urls})), json!(vec!["Hello!"; 100]));
}

#[test]
fn a_request_beside_a_call_is_repeated_and_the_log_says_so_once() {
    let (env, server) = (Env::new(), HttpServer::start());
    let worker = worker(&env, &server, &[]);
    for i in 0..2 {
        let got = value(&env, "http_beside", &json!({"url": server.url("/hello"), "i": i}));
        assert_eq!(got, json!(["Hello!", i]));
    }
    assert_eq!(server.count("/hello"), 4, "two runs of each call");
    let stderr = worker.stop().stderr;
    assert_eq!(stderr.matches("http_beside: it sends requests").count(), 1, "{stderr}");
    assert!(!stderr.contains("http_get: it sends"), "{stderr}");
}

#[test]
fn only_allowed_variables_are_visible_and_no_log_has_their_values() {
    let mut env = Env::new();
    env.set("FROM_WORKER", "hunter1");
    env.set("NOT_ALLOWED", "hunter2");
    let file = env.write("secrets.env", "# of the test\nTOKEN=\"hunter3 $x\"\nOVER=file\n");
    let file = file.to_str().unwrap();
    let server = HttpServer::start();
    let host = server.host();
    let args = [
        "--allow-http",
        &host,
        "--env",
        "FROM_WORKER",
        "--env-file",
        file,
        "--env",
        "OVER=flag",
        "--log-level",
        "trace",
    ];
    let worker = env.worker(&args);
    let get = |key: &str| value(&env, "env_get", &json!({"key": key}));
    assert_eq!(get("FROM_WORKER"), json!("hunter1"));
    assert_eq!(get("TOKEN"), json!("hunter3 $x"));
    assert_eq!(get("OVER"), json!("flag"));
    assert_eq!(get("NOT_ALLOWED"), json!("error: the variable NOT_ALLOWED is not allowed: --env NOT_ALLOWED"));
    // The values in requests are not logged either, allowed or refused.
    for server in [&server, &HttpServer::start()] {
        let headers = json!({"authorization": "Bearer hunter4", "x-own": "hunter5"});
        let url = server.url("/echo?key=hunter6");
        call(&env, "http_send", &json!({"method": "POST", "url": url, "headers": headers, "body": "hunter7"}));
    }
    assert_eq!(server.count("/echo"), 1);
    let ended = worker.stop();
    let log = ended.stdout + &ended.stderr;
    assert!(log.contains("TRACE"), "{log}");
    let secret_lines: Vec<_> = log.lines().filter(|line| line.contains("hunter")).collect();
    assert!(secret_lines.is_empty(), "{secret_lines:?}");
}

#[test]
fn permissions_that_cannot_be_granted_are_refused_at_the_start() {
    let env = Env::new();
    let guest = crate::harness::guest();
    let refused = |args: &[&str], words: &[&str]| {
        env.run(["run", guest.to_str().unwrap()].iter().chain(args)).refused(2, words);
    };
    refused(&["--env", "BRRR_TEST_IS_NOT_SET"], &["--env BRRR_TEST_IS_NOT_SET", "--env-file"]);
    refused(&["--env-file", "nowhere"], &["--env-file nowhere"]);
    refused(&["--dir", "nowhere::/data"], &["--dir nowhere::/data"]);
    let file = env.write("bad.env", "A=1\nhunter2 is no line\n");
    let ended = env.run(["run", guest.to_str().unwrap(), "--env-file", file.to_str().unwrap()]);
    ended.refused(2, &["bad.env, line 2"]);
    assert!(!ended.stderr.contains("hunter2"), "{ended:#?}");
    let ended = env.run(["run", guest.to_str().unwrap(), "--allow-http", "https://example.com/x"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("the host is what is allowed: example.com"), "{ended:#?}");
}

#[test]
fn a_secret_on_the_command_line_causes_a_warning() {
    let env = Env::new();
    let worker = env.worker(&["--env", "API_TOKEN=hunter2", "--env", "COLOUR=red"]);
    worker.wait_for_stderr("can read the value of API_TOKEN");
    let stderr = worker.stop().stderr;
    let warned = |key: &str| stderr.lines().any(|line| line.contains("WARN") && line.contains(key));
    assert!(!warned("COLOUR") && !stderr.contains("hunter2"), "{stderr}");
    assert!(stderr.contains("may reach: env API_TOKEN=…, env COLOUR=…"), "{stderr}");
}

#[test]
fn only_allowed_directories_are_visible() {
    let env = Env::new();
    for folder in ["in", "out", "secret"] {
        std::fs::create_dir(env.path(folder)).unwrap();
    }
    env.write("in/a", "from the host");
    env.write("secret/b", "a secret");
    symlink(env.path("secret"), env.path("out/away")).unwrap();
    symlink("../secret/b", env.path("out/near")).unwrap();
    let _worker = env.worker(&["--dir", "in::/in:ro", "--dir", "out::/data/out"]);
    let read = |path: &str| value(&env, "file_read", &json!({"path": path}));
    let write = |path: &str| value(&env, "file_write", &json!({"path": path, "text": "from the guest"}));

    assert_eq!(read("/in/a"), json!("from the host"));
    assert_eq!(write("/data/out/c"), json!("written"));
    assert_eq!(read("/data/out/c"), json!("from the guest"));
    assert_eq!(std::fs::read_to_string(env.path("out/c")).unwrap(), "from the guest");

    let refused = |said: &Value| assert!(said.as_str().unwrap().starts_with("error: "), "{said}");
    refused(&write("/in/a"));
    refused(&write("/in/new"));
    assert_eq!(std::fs::read_to_string(env.path("in/a")).unwrap(), "from the host");
    assert!(!env.path("in/new").exists());
    for path in ["/in/../secret/b", "/data/out/../../secret/b", "/data/out/away/b", "/data/out/near"] {
        refused(&read(path));
    }
    refused(&write("/data/out/away/new"));
    assert!(!env.path("secret/new").exists());
    let absolute = env.path("secret/b");
    let said = read(absolute.to_str().unwrap());
    assert!(said.as_str().unwrap().contains("not allowed: --dir HOST_PATH::/"), "{said}");
}

/// A worker with few file handles. A run that would take more than half of them waits, and the log says what to do.
/// Other runs can still open files in their folder.
#[test]
fn all_runs_together_leave_handles_to_the_process() {
    let env = Env::new();
    let folder = env.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("file"), "x").expect("a file");
    let fixture = Fixture { name: "files", world: "files", tasks: &[("files", true, None)], ..Fixture::default() };
    fixture.write(&env.path(""));
    let plain = env.command(["run", "files.wasm", "--dir", "data::/data", "--max-running", "2"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 240; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.current_dir(env.path("")).stdin(Stdio::null());
    let worker = Running::start(limited);
    worker.wait_for_stderr("serving topic");
    // This run opens the file a thousand times.
    env.write("many", "o");
    env.run(["schedule", "files", "@many", "--codec", "raw"]).ok();
    worker.wait_for_stderr("`ulimit -n`");
    env.write("one", "f");
    let read = env.run(["call", "files", "@one", "--codec", "raw"]);
    assert!(read.code == Some(0) && read.stdout.starts_with('\0'), "{read:?}");
    let jobs = env.run(["jobs", "--counts", "--output", "json"]).json();
    assert_eq!(jobs["counts"]["failed"], 0, "{jobs}");
    worker.signal(rustix::process::Signal::KILL);
}
