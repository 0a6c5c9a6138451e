//! The gateway, with a real HTTP client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::ports::Key;
use brrr_protocol::records::JobState;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::{Env, Running, block_on, eventually};

pub struct Http {
    agent: ureq::Agent,
    base: String,
}

pub struct Answer {
    pub status: u16,
    location: Option<String>,
    headers: ureq::http::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Http {
    /// The client for a command that has printed its address.
    pub fn of(running: &Running) -> Self {
        let base = eventually("an address", || {
            let stderr = running.stderr();
            let found = stderr.split_once("on http://").and_then(|(_, rest)| rest.lines().next());
            found.map(|address| format!("http://{}", address.trim())).ok_or(stderr.clone())
        });
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { agent: config.new_agent(), base }
    }

    /// The client of whatever listens on this port of this machine.
    pub fn at(port: u16) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Self { agent: config.new_agent(), base: format!("http://127.0.0.1:{port}") }
    }

    pub fn get(&self, path: &str) -> Answer {
        answer(self.agent.get(format!("{}{path}", self.base)).call())
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        answer(self.agent.post(format!("{}{path}", self.base)).send(body))
    }

    /// Sends a request. A body is JSON, unless a header says otherwise.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        answer(self.request(method, path, headers, body))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let has_type = headers.iter().any(|(name, _)| *name == "content-type");
        let request =
            if body.is_some() && !has_type { request.header("content-type", "application/json") } else { request };
        let agent = &self.agent;
        match body {
            Some(body) => agent.run(request.body(body.to_owned()).expect("a request")),
            None => agent.run(request.body(()).expect("a request")),
        }
    }

    /// Sends a body that is no text.
    pub fn send_bytes(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let request = ureq::http::Request::builder().method("POST").uri(format!("{}{path}", self.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(self.agent.run(request.body(body).expect("a request")))
    }

    /// A stream of events, after this position.
    pub fn stream(&self, path: &str, after: Option<&str>) -> impl std::io::Read + use<> {
        let headers: Vec<_> = after.map(|after| ("last-event-id", after)).into_iter().collect();
        let response = self.request("GET", path, &headers, None).expect("an answer");
        assert_eq!(response.status(), 200);
        response.into_body().into_reader()
    }

    /// The number of connections to the gateway.
    pub fn connections(&self) -> usize {
        let port: u16 = self.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let local = format!("0100007F:{port:04X}");
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        fields.filter(|fields| fields.get(1) == Some(&&*local) && fields.get(3) == Some(&"01")).count()
    }

    fn ends_with(&self, path: &str, status: u16) -> Answer {
        eventually(&format!("GET {path} is {status}"), || {
            let answer = self.get(path);
            if answer.status == status { Ok(answer) } else { Err(format!("{}: {}", answer.status, answer.body)) }
        })
    }
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = result.expect("an answer");
    Answer {
        status: response.status().as_u16(),
        location: response.headers().get("location").map(|l| l.to_str().expect("text").to_owned()),
        headers: response.headers().clone(),
        body: response.body_mut().read_to_string().expect("a body"),
    }
}

#[test]
fn a_call_is_accepted_then_pending_then_complete() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let path = "/hello?greetee=John%20D%C3%B6e";
    assert_eq!(http.get(path).status, 404);
    let accepted = http.post(path, "");
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    assert_eq!(accepted.json()["status"], "accepted");
    let job = format!("/jobs/{}", accepted.json()["job"].as_str().expect("a job"));
    assert_eq!(accepted.location.as_deref(), Some(job.as_str()));
    let there = http.ends_with(path, 200);
    assert_eq!(there.body, r#"{"status":"ok","result":"Hello, John Döe!"}"#);
    assert_eq!(http.get(&job).json(), json!({"status": "ok", "result": "Hello, John Döe!"}));
    // The command line names the same call.
    assert_eq!(env.run(["read", "hello", "{\"greetee\": \"John Döe\"}"]).ok(), "Hello, John Döe!");
}

#[test]
fn a_body_can_hold_arguments_that_a_query_cannot() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let accepted = http.post("/fib", "{\"n\": 11}");
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let done = http.ends_with(accepted.location.as_deref().expect("a location"), 200);
    let done = if done.json()["status"] == "ok" {
        done
    } else {
        eventually("done", || {
            let answer = http.get(accepted.location.as_deref().expect("a location"));
            if answer.json()["status"] == "ok" { Ok(answer) } else { Err(answer.body) }
        })
    };
    assert_eq!(done.body, r#"{"status":"ok","result":89}"#);
    assert_eq!(http.post("/fib", "{\"n\": ").status, 400);
    assert_eq!(http.post("/fib?n=1", "{\"n\": 1}").status, 400);
    assert_eq!(http.post("/fib", "[11]").status, 400);
}

#[test]
fn nothing_is_null_and_numbers_keep_their_digits() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let answer_of = |path: &str, body: &str| {
        let accepted = http.post(path, body);
        assert_eq!(accepted.status, 202, "{}", accepted.body);
        eventually("done", || {
            let answer = http.get(accepted.location.as_deref().expect("a location"));
            if answer.json()["status"] == "pending" { Err(answer.body) } else { Ok(answer.body) }
        })
    };
    assert_eq!(answer_of("/nothing", ""), r#"{"status":"ok","result":null}"#);
    let number = r#"{"task": "leaf", "topic": null, "args": {"i": 9007199254740993}}"#;
    assert_eq!(answer_of("/relays", number), r#"{"status":"ok","result":9007199254740993}"#);
    assert_eq!(http.post("/leaf", r#"{"i": 1e400}"#).status, 400);
    // A raw handler that returns no bytes.
    let job = crate::control::schedule(&env, &["echo", "", "--codec", "raw"]);
    let answer = eventually("done", || {
        let answer = http.get(&format!("/jobs/{job}"));
        if answer.body.contains("\"ok\"") { Ok(answer.body) } else { Err(answer.body) }
    });
    assert_eq!(answer, r#"{"status":"ok","result":null}"#);
}

/// Completes a call as a worker of another SDK does: stores the value, and writes no other record.
fn complete(env: &Env, call: &str, value: &str) {
    let (backend, value) = (env.backend(), Bytes::copy_from_slice(value.as_bytes()));
    block_on(backend.store().put(&Key::value(&call.into()), value)).expect("stored");
}

#[test]
fn a_body_can_hold_everything_that_the_command_line_takes() {
    let env = Env::new();
    let serve = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    let nested = |depth: usize, open: &str, inner: &str, close: &str| {
        format!("{{\"x\":{}{inner}{}}}", open.repeat(depth), close.repeat(depth))
    };
    for (query, body, typed) in [
        ("", r#"{"text": "cut \uD83D off"}"#.to_owned(), None),
        ("", nested(1_000, "[", "", "]"), None),
        ("", nested(1_500, "{\"a\":", "\"\\ud83d\"", "}"), None),
        ("?b=%C3%B6", r#"{"a": "\udc00"}"#.to_owned(), Some(r#"{"a": "\udc00", "b": "ö"}"#)),
        // The host represents half of a surrogate pair by such a character. As ordinary text it must stay as it is.
        ("?a=%F4%8F%80%80", String::new(), Some("{\"a\": \"\u{10f000}\"}")),
    ] {
        let typed = typed.unwrap_or(&body);
        let accepted = http.post(&format!("/hello{query}"), &body);
        assert_eq!(accepted.status, 202, "{typed}: {}", accepted.body);
        let call = accepted.json()["call"].as_str().expect("a call").to_owned();
        let scheduled = env.run(["schedule", "hello", typed, "--output", "json"]);
        assert_eq!(
            (&scheduled.json()["call"], &scheduled.json()["status"]),
            (&json!(call), &json!("queued")),
            "{typed}"
        );

        // Values with type tags are shown unchanged.
        complete(&env, &call, typed);
        assert_eq!(env.run(["read", "hello", typed]).ok(), typed);
        let shown = format!("{{\"status\":\"ok\",\"result\":{typed}}}");
        assert_eq!(http.get(accepted.location.as_deref().expect("a location")).body, shown);
        let asked = http.agent.get(format!("{}/hello{query}", http.base)).force_send_body().send(&body);
        assert_eq!(answer(asked).body, shown);
        let scheduled = env.run(["schedule", "hello", typed, "--output", "json"]);
        assert_eq!(scheduled.json()["status"], "done", "{typed}");
    }
    for (query, body, why) in [
        ("", "{\"n\": 1e400}".to_owned(), "would read another number"),
        ("", "{\"n\": [{\"m\": -1e400}]}".to_owned(), ".n[0].m"),
        ("", r#"{"\ud83d": 1}"#.to_owned(), "in the name of an argument"),
        ("", nested(2_000, "[", "1", "]"), "nested deeper than 2000"),
        ("", nested(1_000_000, "{\"a\":", "1", "}"), "nested deeper than 2000"),
        ("", nested(1_000, "[", "1 2", "]"), "not JSON"),
        ("?b=%F4%8F%80%80", r#"{"a": "\ud83d"}"#.to_owned(), "U+10F000"),
    ] {
        let refused = http.post(&format!("/hello{query}"), &body);
        let message = refused.json()["message"].as_str().expect("a message").to_owned();
        assert!(refused.status == 400 && message.contains(why), "{why}: {} {message}", refused.status);
        if query.is_empty() {
            env.write("body.json", &body);
            let typed = env.run(["schedule", "hello", "@body.json"]);
            typed.refused(2, &[&message.replacen("the body", "the payload", 1)]);
        }
    }
    serve.stop().ok();
}

#[test]
fn asking_for_a_job_records_that_it_is_over() {
    let env = Env::new();
    let serve = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    let accepted = http.post("/hello?greetee=x", "").json();
    let (id, call) = (accepted["job"].as_str().expect("a job"), accepted["call"].as_str().expect("a call"));
    let end = || {
        let job = block_on(Client::new(env.backend()).job(&id.into())).expect("a record");
        job.expect("a job").end.map(|end| end.state)
    };
    let path = format!("/jobs/{id}");
    assert_eq!((&http.get(&path).json()["status"], end()), (&json!("pending"), None));
    complete(&env, call, "\"done elsewhere\"");
    assert_eq!(end(), None);
    assert_eq!(http.get(&path).json(), json!({"status": "ok", "result": "done elsewhere"}));
    assert_eq!(end(), Some(JobState::Completed));
    assert_eq!(http.get(&path).json()["result"], "done elsewhere");
    serve.stop().ok();
}

#[test]
fn a_failure_is_500_for_the_call_and_200_for_the_job() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let accepted = http.post("/fails?message=no", "");
    let failed = http.ends_with("/fails?message=no", 500).json();
    assert_eq!((&failed["status"], &failed["failure"]["task"]), (&json!("failed"), &json!("fails")));
    let job = http.get(accepted.location.as_deref().expect("a location"));
    assert_eq!((job.status, &job.json()["status"]), (200, &json!("failed")));
}

#[test]
fn unknown_paths_are_404_and_wrong_methods_405() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let unknown = http.post("/nobody?n=1", "");
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["message"].as_str().expect("a message").contains("nobody"), "{}", unknown.body);
    for path in ["/nobody", "/jobs/none", "/", "/a/b/c"] {
        assert_eq!(http.get(path).status, 404, "{path}");
    }
    assert_eq!(answer(http.agent.delete(format!("{}/fib", http.base)).call()).status, 405);
    // A request as a page of another site would send it.
    let request = http.agent.post(format!("{}/hello?greetee=x", http.base)).header("origin", "https://evil.example");
    assert_eq!(answer(request.send("")).status, 403);
}

#[test]
fn a_gateway_without_a_worker_knows_announced_tasks() {
    let env = Env::new();
    let serve = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    let early = http.post("/nobody", "");
    assert_eq!(early.status, 202, "nothing is announced yet: {}", early.body);
    assert_eq!(http.get(early.location.as_deref().expect("a location")).json()["status"], "pending");
    assert_eq!(http.get("/nobody").json()["status"], "pending");
    env.worker(&[]).stop().ok();
    assert_eq!(http.post("/nobody?again=1", "").status, 404);
    assert_eq!(http.post("/hello?greetee=x", "").status, 202);
    serve.stop().ok();
}

#[test]
fn slow_and_oversized_requests_harm_nobody() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    let address = http.base.trim_start_matches("http://").to_owned();
    let connect = || {
        let stream = TcpStream::connect(&address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    };
    // A client that never ends its head.
    let mut slow = connect();
    slow.write_all(b"GET /hello HTTP/1.1\r\nhost: x\r\n").expect("written");
    // A client whose head is too long.
    let mut large = connect();
    let _ = large.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)).as_bytes());
    let mut answer = String::new();
    let _ = large.read_to_string(&mut answer);
    assert!(!answer.contains("200 OK"), "{answer}");
    // A client that announces a larger body than the gateway accepts.
    let mut huge = connect();
    huge.write_all(b"POST /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 99000000\r\n\r\n")
        .expect("written");
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..20 {
        if huge.write_all(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(http.post("/hello?greetee=me", "").status, 202);
    let mut rest = Vec::new();
    // The server closes the slow connection itself.
    let _ = slow.read_to_end(&mut rest);
    worker.stop().ok();
}

#[test]
fn one_gateway_serves_all_topics_of_its_worker() {
    let env = Env::new();
    let two = crate::harness::guest();
    let one = two.with_file_name("rust-dag.wasm");
    let component = |path: &std::path::Path, topic| format!("[[components]]\npath = {path:?}\ntopic = {topic:?}\n");
    env.write("brrr.toml", component(&one, "one") + &component(&two, "two") + "[worker]\nhttp = \"127.0.0.1:0\"\n");
    let worker = env.start(["run"]);
    let http = Http::of(&worker);
    assert_eq!(http.post("/hello?greetee=John", "").status, 202);
    http.ends_with("/hello?greetee=John", 200);
    assert_eq!(http.post("/dag", "{\"tasks\": []}").status, 202);
    let unknown = http.post("/none", "");
    assert!(unknown.status == 404 && unknown.body.contains("topic one, two"), "{}", unknown.body);
    worker.stop().ok();
}
