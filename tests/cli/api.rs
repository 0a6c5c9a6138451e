//! `/v1` of the gateway, with a real HTTP client.

use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Answer, Http};
use crate::harness::{Env, Running, eventually};

/// A worker with a gateway, and a client of it.
fn start(more: &[&str]) -> (Env, Running, Http) {
    let env = Env::new();
    let worker = env.worker(&[["--http", "127.0.0.1:0"].as_slice(), more].concat());
    let http = Http::of(&worker);
    (env, worker, http)
}

fn start_job(http: &Http, body: &Value, headers: &[(&str, &str)]) -> Answer {
    http.send("POST", "/v1/jobs", headers, Some(&body.to_string()))
}

fn id(answer: &Answer) -> String {
    answer.json()["job"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

/// The name at the end of a problem's type.
pub fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.body);
    let document = answer.json();
    assert_eq!(document["status"], answer.status, "{document}");
    assert!(document["detail"].as_str().is_some_and(|text| !text.is_empty()), "{document}");
    let name = document["type"].as_str().and_then(|text| text.strip_prefix("urn:brrr:problem:"));
    name.unwrap_or_else(|| panic!("{document}")).to_owned()
}

#[test]
fn a_job_is_started_waited_for_and_read() {
    let (_env, _worker, http) = start(&[]);
    let started = start_job(&http, &json!({"task": "fib", "input": {"n": 10}}), &[("prefer", "wait=30")]);
    assert_eq!(started.status, 201, "{}", started.body);
    let (job, job_id) = (started.json(), id(&started));
    assert_eq!((&job["state"], &job["result"]), (&json!("completed"), &json!(55)));
    assert_eq!(started.header("location"), Some(format!("/v1/jobs/{job_id}").as_str()));
    assert_eq!(started.header("preference-applied"), Some("wait=30"));
    let path = format!("/v1/jobs/{job_id}");
    assert_eq!(http.get(&path).json(), job);
    let result = http.get(&format!("{path}/result"));
    assert_eq!(
        (result.status, result.body.as_str(), result.header("content-type")),
        (200, "55", Some("application/json"))
    );
    // A client that has the answer is not sent it again.
    for path in [path.clone(), format!("{path}/result"), "/v1/openapi.json".to_owned()] {
        let tag = http.get(&path).header("etag").expect("an ETag").to_owned();
        let same = http.send("GET", &path, &[("if-none-match", &tag)], None);
        assert_eq!((same.status, same.body.as_str(), same.header("etag")), (304, "", Some(tag.as_str())), "{path}");
        assert_eq!(http.send("GET", &path, &[("if-none-match", "\"other\"")], None).status, 200, "{path}");
    }
    let tree = http.get(&format!("{path}/tree")).json();
    assert_eq!((&tree["tree"]["task"], &tree["tree"]["state"]), (&json!("fib"), &json!("completed")));
    // A request that does not wait has its answer at once.
    let slow = start_job(&http, &json!({"task": "sleeper", "input": {"seconds": 60}}), &[]);
    assert_eq!(slow.json()["state"], "running");
    let not_over = http.get(&format!("/v1/jobs/{}/result", id(&slow)));
    assert_eq!((not_over.status, problem(&not_over)), (409, "not-over".to_owned()));
    let begun = Instant::now();
    let waited = http.send("GET", &format!("/v1/jobs/{}", id(&slow)), &[("prefer", "wait=1")], None);
    assert!(begun.elapsed() >= Duration::from_secs(1) && waited.json()["state"] == "running", "{}", waited.body);
    let cancelled = http.send("POST", &format!("/v1/jobs/{}/cancel", id(&slow)), &[], None).json();
    assert_eq!((&cancelled["state"], &cancelled["failure"]["kind"]), (&json!("cancelled"), &json!("cancelled")));
}

#[test]
fn a_key_starts_one_job() {
    let (env, _worker, http) = start(&[]);
    let body = json!({"topic": "demo", "task": "fib", "input": {"n": 5, "salt": "key"}});
    let key = [("idempotency-key", "order-17")];
    let first = start_job(&http, &body, &key);
    assert_eq!(first.status, 201, "{}", first.body);
    let second = start_job(&http, &body, &key);
    assert_eq!((second.status, id(&second)), (200, id(&first)));
    let other = json!({"task": "fib", "input": {"n": 6, "salt": "key"}});
    let refused = start_job(&http, &other, &key);
    assert_eq!((refused.status, problem(&refused)), (409, "key-reused".to_owned()));
    assert_eq!(http.get("/v1/jobs").json()["jobs"].as_array().map(Vec::len), Some(1));
    // The command line has the same keys.
    let args = ["schedule", "fib", "{\"n\": 5, \"salt\": \"key\"}", "--id", "order-17", "--output", "json"];
    let shown = env.run(args).json();
    assert_eq!((&shown["status"], shown["job"].as_str()), (&json!("existing"), Some(id(&first).as_str())));
}

#[test]
fn a_job_may_start_later() {
    let (_env, _worker, http) = start(&[]);
    let begun = Instant::now();
    let body = json!({"task": "hello", "input": {"greetee": "later"}, "delay": "1500ms"});
    let later = start_job(&http, &body, &[]);
    assert_eq!(later.json()["state"], "scheduled", "{}", later.body);
    assert!(later.json()["starts"].is_string());
    let listed = http.get("/v1/jobs?state=scheduled").json();
    assert_eq!(listed["jobs"][0]["job"].as_str(), Some(id(&later).as_str()));
    let done = http.send("GET", &format!("/v1/jobs/{}", id(&later)), &[("prefer", "wait=30")], None);
    assert_eq!(done.json()["result"], "Hello, later!");
    assert!(begun.elapsed() >= Duration::from_millis(1_490), "{:?}", begun.elapsed());
    assert!(http.get("/v1/jobs?state=scheduled").json()["jobs"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn bad_requests_have_problem_documents() {
    let (_env, _worker, http) = start(&[]);
    for (body, status, name) in [
        ("{", 400, "bad-request"),
        ("[]", 400, "bad-request"),
        ("{}", 400, "bad-request"),
        (r#"{"task": ""}"#, 400, "bad-request"),
        (r#"{"task": "fib", "unknown": 1}"#, 400, "bad-request"),
        (r#"{"task": "fib", "input": [1]}"#, 400, "bad-request"),
        (r#"{"task": "fib", "input": {"n": 1e400}}"#, 400, "bad-request"),
        (r#"{"task": "fib", "input": {}, "payload_base64": ""}"#, 400, "bad-request"),
        (r#"{"task": "fib", "payload_base64": "?"}"#, 400, "bad-request"),
        (r#"{"task": "fib", "delay": "soon"}"#, 400, "bad-request"),
        (r#"{"task": "fib", "delay": "1s", "at": "2030-01-31T18:00:00Z"}"#, 400, "bad-request"),
        (r#"{"task": "fib", "options": {"timeout": 5}}"#, 400, "bad-request"),
        (r#"{"task": "fib", "options": {"deadline": "2001-01-31T18:00:00Z"}}"#, 400, "bad-request"),
        (r#"{"task": "fib", "options": {"scope": "world"}}"#, 400, "bad-request"),
        (r#"{"task": "none"}"#, 404, "no-such-task"),
        (r#"{"task": "fib", "topic": "other"}"#, 404, "no-such-topic"),
    ] {
        let answer = http.send("POST", "/v1/jobs", &[], Some(body));
        assert_eq!((answer.status, problem(&answer).as_str()), (status, name), "{body}: {}", answer.body);
    }
    let text = http.send("POST", "/v1/jobs", &[("content-type", "text/plain")], Some(r#"{"task": "fib"}"#));
    assert_eq!((text.status, problem(&text)), (415, "unsupported-media-type".to_owned()));
    for (method, path, status, name) in [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("PUT", "/v1/jobs", 405, "method-not-allowed"),
        ("GET", "/v1/jobs?limit=0", 400, "bad-request"),
        ("GET", "/v1/jobs?state=lost", 400, "bad-request"),
        ("GET", "/v1/jobs?cursor=x", 400, "bad-request"),
        ("GET", "/v1/jobs?since=yesterday", 400, "bad-request"),
        ("GET", "/v1/jobs?until=1", 400, "bad-request"),
        ("GET", "/v1/jobs?what=x", 400, "bad-request"),
        ("GET", "/v1/jobs/none", 404, "no-such-job"),
        ("GET", "/v1/jobs/none/result", 404, "no-such-job"),
        ("GET", "/v1/jobs/none/tree", 404, "no-such-job"),
        ("GET", "/v1/jobs/none/events", 404, "no-such-job"),
        ("GET", "/v1/jobs/none/promises", 404, "no-such-job"),
        ("POST", "/v1/jobs/none/cancel", 404, "no-such-job"),
        ("POST", "/v1/jobs/none/retry", 404, "no-such-job"),
        ("POST", "/v1/jobs/none/promises/p", 404, "no-such-job"),
        ("GET", "/v1/topics/other", 404, "no-such-topic"),
        ("DELETE", "/v1/topics/demo/dead-letters/7", 404, "no-such-dead-letter"),
    ] {
        let answer = http.send(method, path, &[], None);
        assert_eq!((answer.status, problem(&answer).as_str()), (status, name), "{method} {path}: {}", answer.body);
    }
    assert_eq!(http.send("PUT", "/v1/jobs", &[], None).header("allow"), Some("POST,GET,HEAD"));
    let options = http.send("OPTIONS", "/v1/jobs", &[], None);
    assert_eq!((options.status, options.header("allow")), (204, Some("POST,GET,HEAD")));
    assert_eq!((http.send("HEAD", "/v1/topics", &[], None).status, http.get("/v1/topics").status), (200, 200));
}

#[test]
fn jobs_are_listed_page_by_page() {
    let (_env, _worker, http) = start(&[]);
    let start_fib = |n: u32| id(&start_job(&http, &json!({"task": "fib", "input": {"n": 1, "salt": n}}), &[]));
    let mut started: Vec<String> = (0..7).map(start_fib).collect();
    started.reverse();
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/jobs?limit=3{cursor}")).json();
        let jobs = page["jobs"].as_array().expect("jobs").clone();
        found.extend(jobs.iter().map(|job| job["job"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, started);
    assert_eq!(http.get("/v1/jobs?task=hello").json()["jobs"], json!([]));
    let number = |query: &str| http.get(&format!("/v1/jobs?{query}")).json()["jobs"].as_array().map(Vec::len);
    assert_eq!(number("topic=demo&task=fib&limit=500"), Some(7));
    let call = json!({"task": "fib", "input": {"n": 1, "salt": 0}, "options": {"label": "again"}});
    let labelled = id(&start_job(&http, &call, &[("prefer", "wait=30")]));
    let found = http.get("/v1/jobs?label=again&task=fib").json();
    assert_eq!((&found["jobs"][0]["job"], found["jobs"].as_array().map(Vec::len)), (&json!(labelled), Some(1)));
    assert_eq!((number("label=other"), number("since=2020-01-01T00:00:00Z")), (Some(0), Some(8)));
    assert_eq!((number("until=2020-01-01T00:00:00Z"), number("since=2100-01-01T00:00:00%2B01:00")), (Some(0), Some(0)));
}

#[test]
fn a_failure_is_told_with_its_causes() {
    let (_env, _worker, http) = start(&[]);
    let body = json!({"task": "fails_child", "input": {"message": "no"}});
    let failed = start_job(&http, &body, &[("prefer", "wait=30")]).json();
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(failed["failure"]["chain"].as_array().is_some_and(|chain| chain.len() > 1), "{failed}");
    let path = format!("/v1/jobs/{}", failed["job"].as_str().expect("an id"));
    let result = http.get(&format!("{path}/result"));
    assert_eq!((result.status, problem(&result)), (409, "job-failed".to_owned()));
    assert_eq!(result.json()["failure"], failed["failure"]);
    let again = http.send("POST", &format!("{path}/retry"), &[("prefer", "wait=30")], None);
    assert_eq!((again.status, &again.json()["retry_of"]), (201, &failed["job"]), "{}", again.body);
}

#[test]
fn a_call_of_a_job_is_read_with_payload_and_result() {
    let (_env, _worker, http) = start(&[]);
    let done =
        start_job(&http, &json!({"task": "fib", "input": {"n": 4, "salt": "é"}}), &[("prefer", "wait=30")]).json();
    let path = format!("/v1/jobs/{}", done["job"].as_str().expect("an id"));
    let tree = http.get(&format!("{path}/tree")).json()["tree"].clone();
    let (asked, ended) = (tree["asked"].as_str(), tree["ended"].as_str());
    assert!(asked.is_some() && asked <= ended, "{tree}");
    let child = &tree["children"][0];
    let call = format!("{path}/calls/{}", child["call"].as_str().expect("a hash"));
    // The same document as in the tree, with one level of children.
    let read = http.get(&call).json();
    assert_eq!(
        (&read["tree"]["call"], &read["tree"]["task"], &read["tree"]["state"]),
        (&child["call"], &json!("fib"), &json!("completed"))
    );
    assert_eq!(read["tree"]["children"][0]["call"], child["children"][0]["call"]);
    let payload = http.get(&format!("{call}/payload"));
    assert_eq!((payload.status, payload.header("content-type")), (200, Some("application/json")));
    assert!(payload.body.contains("é") || payload.body.contains("\\u00e9"), "{}", payload.body);
    let result = http.get(&format!("{call}/result"));
    assert_eq!((result.status, result.header("content-type")), (200, Some("application/json")));
    // The payload of a call and its value are told apart also when both were just read.
    assert_eq!(http.get(&format!("{call}/payload")).body, payload.body);
    assert_ne!(payload.body, result.body);
    let tag = payload.header("etag").expect("an ETag").to_owned();
    assert_eq!(http.send("GET", &format!("{call}/payload"), &[("if-none-match", &tag)], None).status, 304);
    for (path, name) in [
        (format!("{path}/calls/none"), "no-such-call"),
        (format!("{path}/calls/none/payload"), "no-such-call"),
        ("/v1/jobs/none/calls/none".to_owned(), "no-such-job"),
    ] {
        let missing = http.get(&path);
        assert_eq!((missing.status, problem(&missing)), (404, name.to_owned()), "{path}");
    }
    let none = http.get(&format!("{path}/calls/none/result"));
    assert_eq!((none.status, problem(&none)), (409, "not-over".to_owned()));
}

#[test]
fn the_promises_of_all_running_jobs_are_listed() {
    let (_env, _worker, http) = start(&[]);
    let body =
        json!({"task": "asks", "input": {"name": "approval", "limit": 0}, "options": {"scope": "job", "label": "Ann"}});
    let job = id(&start_job(&http, &body, &[]));
    let open = eventually("the promise is open", || {
        let open = http.get("/v1/promises").json();
        if open["promises"].as_array().is_some_and(|all| all.len() == 1) { Ok(open) } else { Err(open.to_string()) }
    });
    let promise = &open["promises"][0];
    assert_eq!(
        (promise["job"].as_str(), &promise["task"], &promise["label"], &promise["name"], &promise["awaited_by"]),
        (Some(job.as_str()), &json!("asks"), &json!("Ann"), &json!("approval"), &json!("asks"))
    );
    assert_eq!((&promise["schema"], &open["cut"]), (&json!(null), &json!(false)));
    let of_job = http.get(&format!("/v1/jobs/{job}/promises")).json();
    assert_eq!(of_job["promises"][0]["call"], promise["call"]);
    assert_eq!(http.post(&format!("/v1/jobs/{job}/promises/approval"), "true").status, 200);
    let _ = http.send("GET", &format!("/v1/jobs/{job}"), &[("prefer", "wait=30")], None);
    assert_eq!(http.get("/v1/promises").json()["promises"], json!([]));
}

/// The page is served without a token, whether this binary has it or not. Everything else at its path needs the token.
#[test]
fn the_page_needs_no_token_and_says_what_it_may_do() {
    let mut env = Env::new();
    env.set("BRRR_HTTP_TOKEN", "0123456789abcdef");
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    for path in ["/ui", "/ui/", "/ui/jobs/5d41", "/ui/assets/none.js"] {
        let answer = http.get(path);
        assert!(matches!(answer.status, 200 | 404), "{path}: {}", answer.status);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let page = http.get("/ui/");
    let is_built = page.header("content-type") == Some("text/html; charset=utf-8");
    assert!(is_built || (page.status == 404 && page.body.contains("scripts/ui.sh")), "{}: {}", page.status, page.body);
    assert_eq!(http.get("/ui/assets/none.js").status, 404);
    for (method, path) in [("POST", "/ui"), ("POST", "/ui/jobs"), ("GET", "/uix"), ("GET", "/v1/jobs"), ("GET", "/")] {
        // A connection is closed after a refused request whose body was not read.
        assert_eq!(Http::of(&worker).send(method, path, &[], None).status, 401, "{method} {path}");
    }
}

/// The events of a stream, until it ends.
fn events(http: &Http, path: &str, after: Option<&str>) -> Vec<(String, Value)> {
    let stream = BufReader::new(http.stream(path, after));
    let (mut found, mut position) = (Vec::new(), String::new());
    for line in stream.lines() {
        let line = line.expect("a line");
        if let Some(text) = line.strip_prefix("id: ") {
            position = text.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            found.push((position.clone(), serde_json::from_str(data).expect("JSON")));
        }
    }
    found
}

#[test]
fn events_of_a_job_end_with_its_end_and_can_be_continued() {
    let (_env, _worker, http) = start(&[]);
    let job = id(&start_job(&http, &json!({"task": "fib", "input": {"n": 4, "salt": "events"}}), &[]));
    let path = format!("/v1/jobs/{job}/events");
    let all = events(&http, &path, None);
    let last = &all.last().expect("an event").1;
    assert_eq!((&last["subject"], &last["to"]), (&json!("job"), &json!("completed")));
    assert!(all.len() > 4 && all.iter().all(|(_, event)| event["job"] == job.as_str()), "{all:?}");
    // After an interruption the rest comes, and nothing twice.
    let middle = &all[all.len() / 2].0;
    assert_eq!(events(&http, &path, Some(middle)), all[all.len() / 2 + 1..]);
}

/// Also of a job whose worker publishes no events.
#[test]
fn the_end_of_a_job_always_comes() {
    let env = Env::new();
    let worker = env.worker(&[]);
    let serve = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    let job = id(&start_job(&http, &json!({"task": "sleeper", "input": {"seconds": 0.3}}), &[]));
    let found = events(&http, &format!("/v1/jobs/{job}/events"), None);
    let ends: Vec<_> = found.iter().map(|(_, event)| (&event["subject"], &event["to"])).collect();
    assert_eq!(ends, [(&json!("job"), &json!("completed"))]);
    worker.stop().ok();
}

#[test]
fn pages_of_allowed_origins_may_send_requests() {
    let (_env, _worker, http) = start(&["--http-allow-origin", "https://shop.example"]);
    let body = r#"{"task": "fib", "input": {"n": 1}}"#;
    let ask = |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "POST")];
        http.send("OPTIONS", "/v1/jobs", &headers, None)
    };
    let allowed = ask("https://shop.example");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert!(allowed.header("access-control-allow-headers").is_some_and(|names| names.contains("idempotency-key")));
    assert_eq!(ask("https://evil.example").header("access-control-allow-origin"), None);
    let post = |origin: &str| http.send("POST", "/v1/jobs", &[("origin", origin)], Some(body));
    assert_eq!(post("https://shop.example").status, 201);
    let refused = post("https://evil.example");
    assert_eq!((refused.status, problem(&refused)), (403, "other-origin".to_owned()));
}

#[test]
fn a_token_is_needed_and_browsers_may_ask_without_it() {
    let mut env = Env::new();
    env.set("BRRR_HTTP_TOKEN", "0123456789abcdef");
    let worker = env.worker(&["--http", "127.0.0.1:0", "--http-allow-origin", "https://shop.example"]);
    let http = Http::of(&worker);
    let refused = http.get("/v1/topics");
    assert_eq!((refused.status, problem(&refused)), (401, "unauthorized".to_owned()));
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"brrr-host\""));
    let token = [("authorization", "Bearer 0123456789abcdef")];
    assert_eq!(http.send("GET", "/v1/topics", &token, None).status, 200);
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "GET")];
    assert_eq!(http.send("OPTIONS", "/v1/topics", &preflight, None).status, 200);
}

#[test]
fn the_document_describes_each_path() {
    let (_env, _worker, http) = start(&[]);
    let document = http.get("/v1/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() >= 14, "{:?}", paths.keys());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().expect("methods") {
            let what = format!("{method} {path}");
            assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{what}");
            let filled = path
                .replace("{job}", "none")
                .replace("{topic}", "none")
                .replace("{name}", "x")
                .replace("{id}", "x")
                .replace("{call}", "none")
                .replace("{digest}", "x")
                .replace("{revision}", "1");
            // A stream of all events has no end.
            if path == "/v1/events" {
                continue;
            }
            let answer = http.send(&method.to_uppercase(), &filled, &[], None);
            let known: Vec<&String> = operation["responses"].as_object().expect("responses").keys().collect();
            assert!(
                known.iter().any(|status| **status == answer.status.to_string()),
                "{what}: {} {known:?}",
                answer.status
            );
        }
    }
}

#[test]
fn a_thousand_requests_wait_for_jobs() {
    let (_env, _worker, http) = start(&[]);
    let body = json!({"task": "sleeper", "input": {"seconds": 3}});
    let job = id(&start_job(&http, &body, &[]));
    let path = format!("/v1/jobs/{job}");
    std::thread::scope(|scope| {
        let wait = || http.send("GET", &path, &[("prefer", "wait=60")], None).json()["state"].clone();
        let waiting: Vec<_> = (0..1_000)
            .map(|_| std::thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, wait).expect("a thread"))
            .collect();
        // Meanwhile another client is served.
        let other = start_job(&http, &json!({"task": "fib", "input": {"n": 3}}), &[("prefer", "wait=20")]);
        assert_eq!(other.json()["result"], 2, "{}", other.body);
        for waiting in waiting {
            assert_eq!(waiting.join().expect("an answer"), "completed");
        }
    });
}

/// Requests that wait have an answer when the gateway stops.
#[test]
fn a_gateway_that_stops_answers_those_that_wait() {
    let env = Env::new();
    let serve = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&serve);
    let job = id(&start_job(&http, &json!({"task": "fib", "input": {"n": 3}}), &[]));
    let path = format!("/v1/jobs/{job}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| http.send("GET", &path, &[("prefer", "wait=60")], None));
        let follows = scope.spawn(|| events(&http, &format!("{path}/events"), None));
        eventually("both wait", || {
            let connections = http.connections();
            if connections >= 2 { Ok(()) } else { Err(format!("{connections} connections")) }
        });
        serve.signal(Signal::TERM);
        assert_eq!(waiting.join().expect("an answer").json()["state"], "running");
        assert_eq!(follows.join().expect("an end"), []);
    });
    serve.end().ok();
}

#[test]
fn lines_of_a_job_and_of_a_call_are_read_page_by_page() {
    let (_env, _worker, http) = start(&[]);
    let body = json!({"task": "prints", "input": {"line": "me"}});
    let job = id(&start_job(&http, &body, &[("prefer", "wait=30")]));
    let path = format!("/v1/jobs/{job}/logs");
    let page = |query: &str| http.get(&format!("{path}{query}")).json();
    let texts = |page: &Value| {
        let lines = page["lines"].as_array().expect("lines").iter();
        lines.map(|line| line["text"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let all = page("");
    assert_eq!(texts(&all), ["before me", "warning me", "after me"]);
    assert_eq!((&all["next"], &all["cut"]), (&Value::Null, &json!([])));
    let first = page("?limit=2");
    let rest = page(&format!("?limit=2&cursor={}", first["next"].as_str().expect("a cursor")));
    assert_eq!([texts(&first), texts(&rest)].concat(), texts(&all));
    assert_eq!(texts(&page("?level=warn")), ["warning me"]);

    let call = all["lines"][0]["call"].as_str().expect("a hash");
    let of_call = |query: &str| http.get(&format!("/v1/jobs/{job}/calls/{call}/logs{query}")).json();
    let first = of_call("?limit=2");
    assert_eq!((texts(&first).len(), &first["next"], &first["more"]), (2, &json!(2), &json!(true)));
    let rest = of_call("?from=2");
    assert_eq!((texts(&rest), &rest["next"], &rest["more"]), (vec!["after me".to_owned()], &json!(3), &json!(false)));
    assert_eq!(of_call("?from=3")["lines"], json!([]));

    for query in ["?level=loud", "?limit=0", "?limit=5001", "?cursor=x", "?since=1"] {
        assert_eq!(problem(&http.get(&format!("{path}{query}"))), "bad-request", "{query}");
    }
    assert_eq!(problem(&http.get("/v1/jobs/nobody/logs")), "no-such-job");
    assert_eq!(problem(&http.get(&format!("/v1/jobs/nobody/calls/{call}/logs"))), "no-such-job");
}
