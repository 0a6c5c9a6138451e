//! What a handler may reach if the host allows it: requests, variables, files.

use std::time::Duration;

use brrr_protocol::model::{FailureKind, Outcome};
use brrr_protocol::options::Options;
use brrr_worker::permissions::Permissions;
use brrr_worker::wasm::Touch;
use serde_json::{Value, json};

use crate::fleet::{Fleet, Program, load, topic};
use crate::http_server::{HttpServer, TOGETHER};

/// A fleet of the same language with these permissions.
async fn with(fleet: &Fleet, permissions: &Permissions) -> Fleet {
    let guest = load(&fleet.language.component(fleet.language.conformance)).await;
    let program = Program::of(vec![guest.allowing(permissions.grant().unwrap())]);
    let allowed = Fleet::of(fleet.language, Box::leak(Box::new(program)));
    allowed.serve(topic(), allowed.program.handler.clone());
    allowed
}

/// A fleet that may send requests to this server.
async fn with_http(fleet: &Fleet, server: &HttpServer) -> Fleet {
    let permissions = Permissions { http: vec![server.host().parse().unwrap()], ..Permissions::default() };
    with(fleet, &permissions).await
}

fn message(outcome: Outcome) -> String {
    outcome.unwrap_err().message
}

pub async fn a_request(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    for (path, status, body) in [
        ("/hello", 200, "Hello!"),
        ("/status?is=503", 503, "as asked"),
        ("/nowhere", 404, "no such path"),
        ("/redirect?to=/hello", 200, "Hello!"),
    ] {
        let got = fleet.value("http_get", json!({"url": server.url(path)})).await;
        assert_eq!(got, json!({"status": status, "body": body}), "{path}");
    }
    const LARGE: usize = 3 << 20;
    let got = fleet.value("http_get", json!({"url": server.url(&format!("/large?bytes={LARGE}"))})).await;
    assert_eq!(got["body"].as_str().unwrap().len(), LARGE);
    fleet.stop().await;
}

pub async fn a_request_of_any_kind(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    for (method, body) in [("POST", "ä body"), ("PUT", ""), ("DELETE", "")] {
        let headers = json!({"x-own": "mine", "authorization": "Bearer token"});
        let args = json!({"method": method, "url": server.url("/echo"), "headers": headers, "body": body});
        let got = fleet.value("http_send", args).await;
        assert_eq!(got["status"], json!(200), "{got}");
        let echo: Value = serde_json::from_str(got["body"].as_str().unwrap()).unwrap();
        assert_eq!((&echo["method"], &echo["body"]), (&json!(method), &json!(body)));
        assert_eq!(echo["headers"]["x-own"], json!("mine"));
        assert_eq!(echo["headers"]["authorization"], json!("Bearer token"));
    }
    fleet.stop().await;
}

/// Without any permission the guest is still loaded. Each request is refused with a message.
pub async fn a_refused_request(fleet: &Fleet) {
    let server = HttpServer::start();
    let url = server.url("/hello");
    let told = format!("HTTP to {host} is not allowed: --allow-http {host}", host = server.host());
    let said = fleet.value("http_caught", json!({"url": url})).await;
    assert!(said.as_str().is_some_and(|said| said.starts_with("error: ") && said.contains(&told)), "{said}");
    let failure = fleet.call("http_get", json!({"url": url})).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Error);
    assert!(failure.message.contains(&told), "{failure:?}");
    assert!(fleet.touched(&fleet.hash("http_get", &json!({"url": url}))).is_empty());
    assert_eq!(server.count("/hello"), 0);
}

pub async fn a_redirect_to_a_refused_host(fleet: &Fleet) {
    let (server, other) = (HttpServer::start(), HttpServer::start());
    let fleet = with_http(fleet, &server).await;
    let url = server.url(&format!("/redirect?to={}", other.url("/hello")));
    let said = message(fleet.call("http_get", json!({"url": url})).await);
    assert!(said.contains(&format!("--allow-http {}", other.host())), "{said}");
    assert_eq!((server.count("/redirect"), other.count("/hello")), (1, 0));
    fleet.stop().await;
}

pub async fn several_requests_at_once(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    let urls = vec![server.url("/together"); TOGETHER];
    assert_eq!(fleet.value("http_several", json!({"urls": urls})).await, json!(vec!["together"; TOGETHER]));
    fleet.stop().await;
}

pub async fn a_request_beside_a_call(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    let args = json!({"url": server.url("/hello"), "i": 7});
    let got = fleet.value("http_beside", args.clone()).await;
    assert_eq!(got, json!(["Hello!", 7]));
    // This task is no leaf. It ran twice, and each run sent its request. The host reported this.
    let touched = fleet.touched(&fleet.hash("http_beside", &args));
    assert_eq!(touched.iter().filter(|what| **what == Touch::Http).count(), server.count("/hello"));
    assert!(touched.len() >= 2, "{touched:?}");
    fleet.stop().await;
}

pub async fn a_request_that_is_cut_off(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    let failure = fleet.call("http_get", json!({"url": server.url("/cut")})).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Error, "{failure:?}");
    fleet.stop().await;
}

/// The timeout of the run ends the call.
pub async fn a_request_without_an_answer(fleet: &Fleet) {
    let server = HttpServer::start();
    let fleet = with_http(fleet, &server).await;
    let brief = Options { timeout: Some(Duration::from_secs(2)), ..Options::default() };
    let failure = fleet.call_with("http_get", json!({"url": server.url("/never")}), brief).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure:?}");
    assert_eq!(server.count("/never"), 1);
    fleet.stop().await;
}

pub async fn variables(fleet: &Fleet) {
    let permissions = Permissions { env: vec!["GREETING=good morning".parse().unwrap()], ..Permissions::default() };
    let allowed = with(fleet, &permissions).await;
    assert_eq!(allowed.value("env_get", json!({"key": "GREETING"})).await, json!("good morning"));
    for fleet in [fleet, &allowed] {
        let said = fleet.value("env_get", json!({"key": "PATH"})).await;
        assert!(said.as_str().is_some_and(|said| said.starts_with("error: ") && said.contains("--env PATH")), "{said}");
    }
    allowed.stop().await;
}

pub async fn files(fleet: &Fleet) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("in")).unwrap();
    std::fs::create_dir(path("out")).unwrap();
    std::fs::write(path("in/a"), "from the host").unwrap();
    let rules = [format!("{}::/in:ro", path("in").display()), format!("{}::/out", path("out").display())];
    let dirs = rules.map(|rule| rule.parse().unwrap()).into();
    let fleet = with(fleet, &Permissions { dirs, ..Permissions::default() }).await;

    let read = fleet.value("file_read", json!({"path": "/in/a"})).await;
    if read != "absent" {
        assert_eq!(read, json!("from the host"));
        let written = fleet.value("file_write", json!({"path": "/out/b", "text": "from the guest"})).await;
        assert_eq!(written, json!("written"));
        assert_eq!(std::fs::read_to_string(path("out/b")).unwrap(), "from the guest");
        for (task, args) in [
            ("file_write", json!({"path": "/in/b", "text": "x"})),
            ("file_read", json!({"path": "/out/../in/a"})),
            ("file_read", json!({"path": "/etc/hostname"})),
        ] {
            let said = fleet.value(task, args.clone()).await;
            let said = said.as_str().unwrap_or_default();
            assert!(said.starts_with("error: "), "{args}: {said}");
            // Errors in C are numbers, so there is no message.
            let speaks = !["c", "cpp"].contains(&fleet.language.name);
            assert!(!speaks || said.contains("--dir"), "{args}: {said}");
        }
    }
    assert!(!path("in/b").exists());
    fleet.stop().await;
}
