//! Code that is pushed through the gateway: the push token, uploads, revisions, and jobs that name their component.

use std::path::Path;

use brrr_protocol::digest::Digest;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::problem;
use crate::deploy::{follower, patched};
use crate::each_backend::on_each_backend;
use crate::gateway::{Answer, Http};
use crate::harness::{Env, Running, TOPIC, eventually, guest};

pub const PUSH: [(&str, &str); 1] = [("authorization", "Bearer push-0123456789abcdef")];

/// A gateway alone that takes code.
pub fn gateway(env: &mut Env) -> (Running, Http) {
    env.set("BRRR_PUSH_TOKEN", "push-0123456789abcdef");
    let gateway = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&gateway);
    (gateway, http)
}

fn upload(http: &Http, component: &Path) -> Answer {
    let bytes = std::fs::read(component).expect("a component");
    http.send_bytes("/v1/components", &[PUSH[0], ("content-type", "application/wasm")], bytes)
}

fn digest(uploaded: &Answer) -> String {
    uploaded.json()["digest"].as_str().unwrap_or_else(|| panic!("{}", uploaded.body)).to_owned()
}

fn push(http: &Http, body: &Value, wait: &str) -> Answer {
    http.send("POST", "/v1/topics/demo/deployments", &[PUSH[0], ("prefer", wait)], Some(&body.to_string()))
}

fn hello(http: &Http, name: &str) -> Value {
    let body = json!({"task": "hello", "input": {"greetee": name}}).to_string();
    http.send("POST", "/v1/jobs", &[("prefer", "wait=30")], Some(&body)).json()["result"].clone()
}

fn refused(answer: &Answer, status: u16, name: &str) {
    assert_eq!((answer.status, problem(answer).as_str()), (status, name), "{}", answer.body);
}

on_each_backend! { revisions_are_pushed_ramped_rolled_back_and_removed }

fn revisions_are_pushed_ramped_rolled_back_and_removed(env: &mut Env) {
    let worker = follower(env);
    let (gateway, http) = gateway(env);
    let first = upload(&http, &guest());
    assert_eq!((first.status, &first.json()["chunks"]), (201, &first.json()["new_chunks"]), "{}", first.body);
    assert!(first.json()["tasks"].as_array().is_some_and(|tasks| tasks.contains(&json!("hello"))), "{}", first.body);
    let again = upload(&http, &guest());
    assert_eq!((again.status, &again.json()["new_bytes"]), (200, &json!(0)), "{}", again.body);
    let known = http.get(&format!("/v1/components/{}", digest(&first)));
    assert_eq!((known.status, &known.json()["tasks"]), (200, &first.json()["tasks"]));
    let second = upload(&http, &patched(env, "second.wasm", &[("Hello, ", "Howdy, ")]));
    assert!(second.json()["new_chunks"].as_u64() < second.json()["chunks"].as_u64(), "{}", second.body);

    let body = json!({"components": [{"digest": digest(&first), "name": "app"}], "note": "one", "by": "Ann"});
    let pushed = push(&http, &body, "wait=60");
    assert_eq!((pushed.status, &pushed.json()["percent"]), (201, &json!(100)), "{}", pushed.body);
    assert_eq!(pushed.json()["loaded"].as_array().map(Vec::len), Some(1), "{}", pushed.body);
    assert_eq!(hello(&http, "a"), "Hello, a!");
    assert_eq!(push(&http, &body, "wait=60").status, 200, "it is there");
    let body = json!({"components": [{"digest": digest(&second)}], "keep": 5, "follow": "pinned"});
    let pushed = push(&http, &body, "wait=60");
    assert_eq!((pushed.status, &pushed.json()["revision"]), (201, &json!(2)), "{}", pushed.body);
    assert_eq!(hello(&http, "b"), "Howdy, b!");

    // A worker that is frozen loads nothing. The revision waits for it, and the same request goes on.
    worker.signal(Signal::STOP);
    let third = upload(&http, &patched(env, "third.wasm", &[("Hello, ", "Hallo, ")]));
    let body = json!({"components": [{"digest": digest(&third)}]});
    let waits = push(&http, &body, "wait=1");
    assert_eq!((waits.status, &waits.json()["percent"]), (202, &json!(0)), "{}", waits.body);
    assert_eq!(waits.json()["silent"].as_array().map(Vec::len), Some(1), "{}", waits.body);
    worker.signal(Signal::CONT);
    let goes_on = push(&http, &body, "wait=60");
    assert_eq!((goes_on.status, &goes_on.json()["percent"]), (200, &json!(100)), "{}", goes_on.body);
    assert_eq!((&goes_on.json()["revision"], hello(&http, "c")), (&json!(3), json!("Hallo, c!")));

    let revisions = "/v1/topics/demo/deployments";
    let send = |method, path: &str, body: Option<&str>| http.send(method, &format!("{revisions}/{path}"), &PUSH, body);
    let back = send("POST", "1/rollback", Some("{\"note\": \"back\"}"));
    assert_eq!((back.status, &back.json()["revision"], &back.json()["restores"]), (200, &json!(4), &json!(1)));
    assert_eq!(send("POST", "1/rollback", Some("{}")).json()["revision"], 4, "safe to repeat");
    assert_eq!(hello(&http, "d"), "Hello, d!");
    let ramped = send("POST", "4/ramp", Some("{\"percent\": 0}"));
    assert_eq!((ramped.status, &ramped.json()["percent"]), (200, &json!(0)), "{}", ramped.body);
    assert_eq!(hello(&http, "e"), "Hallo, e!");
    assert_eq!([send("DELETE", "3", None).status, send("DELETE", "3", None).status], [204, 204]);
    assert_eq!(hello(&http, "f"), "Howdy, f!");
    let listed = http.get(revisions).json()["revisions"].clone();
    let numbers: Vec<_> = listed.as_array().expect("revisions").iter().map(|one| one["revision"].clone()).collect();
    assert_eq!(numbers, [4, 2, 1]);
    assert_eq!((&listed[2]["note"], &listed[2]["by"]), (&json!("one"), &json!("Ann")));

    refused(&send("POST", "9/ramp", Some("{\"percent\": 1}")), 404, "no-such-revision");
    refused(&send("POST", "1/ramp", Some("{\"percent\": 101}")), 400, "bad-request");
    refused(&send("DELETE", "x", None), 400, "bad-request");
    let absent = format!("sha256:{}", "ab".repeat(32));
    refused(&push(&http, &json!({"components": [{"digest": absent}]}), "wait=0"), 404, "no-such-component");
    refused(&http.get(&format!("/v1/components/{absent}")), 404, "no-such-component");
    let twice = json!({"components": [{"digest": digest(&first)}, {"digest": digest(&first)}]});
    refused(&push(&http, &twice, "wait=0"), 400, "bad-request");
    worker.stop().ok();
    gateway.stop().ok();
}

on_each_backend! { a_job_names_a_component_that_was_uploaded }

fn a_job_names_a_component_that_was_uploaded(env: &mut Env) {
    let (gateway, http) = gateway(env);
    let howdy = patched(env, "howdy.wasm", &[("Hello, ", "Howdy, ")]);
    let start = |task: &str, input: Value| {
        let body = json!({"task": task, "input": input}).to_string();
        http.send("POST", "/v1/jobs", &[("prefer", "wait=30")], Some(&body))
    };
    let task = format!("hello@{}", digest(&upload(&http, &howdy)));
    // A worker of the topic that does not accept code.
    let own = guest().with_file_name("rust-hello.wasm");
    let listed = |accepts: bool| {
        eventually("the worker is listed", || match http.get("/v1/topics/demo").json()["workers"].as_array() {
            Some(workers) if workers.iter().any(|worker| worker["accepts_code"] == accepts) => Ok(()),
            workers => Err(format!("{workers:?}")),
        });
    };
    let strict = env.start(["run", "--topic", TOPIC, own.to_str().expect("UTF-8")]);
    strict.wait_for_stderr("serving topic");
    listed(false);
    let nobody = start(&task, json!({"greetee": "a"}));
    refused(&nobody, 409, "code-not-accepted");
    assert!(nobody.body.contains("--accept-code"), "{}", nobody.body);
    let worker = env.start(["run", "--topic", TOPIC, "--accept-code", own.to_str().expect("UTF-8")]);
    worker.wait_for_stderr("serving topic");
    listed(true);
    // Only that one may take the call.
    strict.stop().ok();
    let done = start(&task, json!({"greetee": "a"}));
    assert_eq!((done.status, &done.json()["result"]), (201, &json!("Howdy, a!")), "{}", done.body);
    assert_eq!(start("hello", json!({"greetee": "a"})).json()["result"], "Hello, a!", "the topic's own code");
    // The component says what its tasks take.
    let described = start(&task.replace("hello", "described"), json!({"text": 1, "times": "two"}));
    refused(&described, 422, "invalid-input");
    refused(&start(&task.replace("hello", "helo"), json!({})), 404, "no-such-task");
    let absent = format!("hello@sha256:{}", "ab".repeat(32));
    refused(&start(&absent, json!({"greetee": "a"})), 404, "no-such-component");
    worker.stop().ok();
    gateway.stop().ok();
}

/// Whatever a gateway refuses leaves nothing in the store.
fn only_the_push_token_stores_something(env: &mut Env) {
    env.set("BRRR_HTTP_TOKEN", "http-0123456789abcdef");
    let (gateway, http) = gateway(env);
    let component = std::fs::read(guest()).expect("the guest");
    let known = format!("/v1/components/sha256:{}", Digest::of(&component));
    for (token, status, name) in
        [(None, 401, "unauthorized"), (Some("Bearer http-0123456789abcdef"), 403, "push-not-allowed")]
    {
        let headers: Vec<_> = token.iter().map(|token| ("authorization", *token)).collect();
        refused(&http.send_bytes("/v1/components", &headers, component.clone()), status, name);
        let deployments = "/v1/topics/demo/deployments";
        refused(&http.send("POST", deployments, &headers, Some("{}")), status, name);
        refused(&http.send("GET", &known, &PUSH, None), 404, "no-such-component");
        assert_eq!(http.send("GET", deployments, &PUSH, None).json()["revisions"], json!([]));
    }
    assert_eq!(upload(&http, &guest()).status, 201);
    assert_eq!(http.send("GET", &known, &PUSH, None).status, 200);
    gateway.stop().ok();
}

on_each_backend! { only_the_push_token_stores_something }

#[test]
fn code_needs_the_push_token() {
    let mut env = Env::new();
    let upload_with = |http: &Http, token: Option<&str>| {
        let token = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
        http.send_bytes("/v1/components", &headers, b"\0asm".to_vec())
    };
    // Without one nobody may push, also on loopback.
    let closed = env.start(["serve", "--http", "127.0.0.1:0"]);
    let answer = upload_with(&Http::of(&closed), None);
    refused(&answer, 403, "takes-no-code");
    assert!(answer.body.contains("--push-token-file"), "{}", answer.body);
    closed.stop().ok();

    let (open, http) = gateway(&mut env);
    let answer = upload_with(&http, None);
    refused(&answer, 401, "unauthorized");
    assert!(answer.header("www-authenticate").is_some_and(|text| text.starts_with("Bearer ")));
    refused(&upload_with(&http, Some("push-0123456789abcdeF")), 401, "unauthorized");
    // All routes, and not only the first one.
    for (method, path) in [("POST", ""), ("POST", "/1/ramp"), ("POST", "/1/rollback"), ("DELETE", "/1")] {
        let path = format!("/v1/topics/demo/deployments{path}");
        refused(&http.send(method, &path, &[], Some("{}")), 401, "unauthorized");
    }
    // A client that has the answer before its large body is sent gets the answer.
    let large = http.send_bytes("/v1/components", &[], vec![0; 20 << 20]);
    refused(&large, 401, "unauthorized");
    // What is no component.
    for bytes in [&b""[..], b"\0asm", b"no component"] {
        let answer = http.send_bytes("/v1/components", &PUSH, bytes.to_vec());
        refused(&answer, 422, "not-a-component");
    }
    let json = [PUSH[0], ("content-type", "application/json")];
    refused(&http.send_bytes("/v1/components", &json, b"{}".to_vec()), 415, "unsupported-media-type");
    // Pages of other sites may not push either. (The last request: the connection may be closed after it.)
    let page = [PUSH[0], ("origin", "https://evil.example")];
    refused(&http.send_bytes("/v1/components", &page, b"\0asm".to_vec()), 403, "other-origin");
    open.stop().ok();

    // The ordinary token does not push, and the push token does what the ordinary one does.
    env.set("BRRR_HTTP_TOKEN", "http-0123456789abcdef");
    let both = env.start(["serve", "--http", "127.0.0.1:0"]);
    let http = Http::of(&both);
    let ordinary = [("authorization", "Bearer http-0123456789abcdef")];
    let topics = |headers: &[(&str, &str)]| http.send("GET", "/v1/topics", headers, None).status;
    assert_eq!((topics(&ordinary), topics(&PUSH), topics(&[])), (200, 200, 401));
    refused(&upload_with(&http, Some("http-0123456789abcdef")), 403, "push-not-allowed");
    // As above: a client without any token gets the answer too.
    let large = http.send_bytes("/v1/components", &[], vec![0; 20 << 20]);
    refused(&large, 401, "unauthorized");
    assert_eq!(upload(&http, &guest()).status, 201);
    both.stop().ok();
    env.set("BRRR_HTTP_TOKEN", "push-0123456789abcdef");
    env.run(["serve", "--http", "127.0.0.1:0"]).refused(2, &["push token", "openssl"]);
    let file = env.write("token", "push-0123456789abcdef");
    env.run(["serve", "--http", "127.0.0.1:0", "--push-token-file", file.to_str().expect("UTF-8")])
        .refused(2, &["both --push-token-file and BRRR_PUSH_TOKEN"]);
}
