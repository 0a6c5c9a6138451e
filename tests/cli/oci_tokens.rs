//! A registry that wants tokens, as Docker Hub, ghcr.io and most others do: a real one, with a server of tokens.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::deploy::hello;
use crate::harness::{Env, guest};
use crate::oci::{docker_config, log_in, publish, text};
use crate::proxy_server::{Relay, Sent};
use crate::registry_server::{PASSWORD, Registry, USER, Wants};
use crate::token_server::{Asked, IDENTITY_TOKEN, Manner, READER, READERS_PASSWORD, TokenServer};

/// More than a hostile server may make a command keep, in MiB. The commands need some 30 for themselves.
const TOO_MUCH: u64 = 150;

struct Place {
    env: Env,
    tokens: TokenServer,
    registry: Registry,
    /// The registry in docker's settings.
    host: String,
}

impl Place {
    /// `None`: the registry is not available here.
    fn new() -> Option<Self> {
        let (mut env, tokens) = (Env::new(), TokenServer::start());
        let registry = Registry::start(&env.path(""), Wants::Token(&tokens))?;
        // Nothing on this machine is reached by a proxy.
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            env.set(name, "http://127.0.0.1:1");
        }
        let host = format!("127.0.0.1:{}", registry.port());
        Some(Self { env, tokens, registry, host })
    }

    fn log_in(&self, user: &str, password: &str) {
        log_in(&self.env, &self.host, user, password);
    }

    fn log_out(&self) {
        docker_config(&self.env, &json!({}));
    }

    /// Logs in as docker does with a server that gives identity tokens.
    fn log_in_by_token(&self, token: &str) {
        let auth = STANDARD.encode("00000000-0000-0000-0000-000000000000:");
        docker_config(&self.env, &json!({"auths": {(self.host.clone()): {"auth": auth, "identitytoken": token}}}));
    }

    /// Who has asked for which scopes, and how, since the last time that this was called.
    fn asked(&self) -> BTreeSet<(String, String, String)> {
        let asked = self.tokens.asked().into_iter();
        asked.map(|Asked { method, user, scope, .. }| (method, user, scope)).collect()
    }
}

#[test]
fn tokens_are_asked_for_by_the_login_of_docker() {
    let Some(place) = Place::new() else { return };
    let (env, registry) = (&place.env, &place.registry);
    let name = registry.name("team/hello:1");
    let component = guest();
    let publishing = ["publish", text(&component), &name];
    let one = |method: &str, user: &str, scope: &str| {
        BTreeSet::from([(method.to_owned(), user.to_owned(), format!("repository:{scope}"))])
    };
    // Who may not publish.
    env.run(publishing).refused(51, &[&name, "without a login", "docker login", "config.json"]);
    assert_eq!(place.asked(), one("GET", "", "team/hello:pull,push"));
    place.log_in(USER, "a wrong password");
    env.run(publishing).refused(51, &[&name, "refuses this login", "docker login"]);
    place.log_in(READER, READERS_PASSWORD);
    env.run(publishing).refused(51, &[&name, "does not let this login publish here", "docker login"]);
    place.asked();

    place.log_in(USER, PASSWORD);
    let pinned = publish(env, &component, &name);
    assert_eq!(place.asked(), one("GET", USER, "team/hello:pull,push"));
    assert_eq!(publish(env, &component, &name), pinned);
    for other in ["public/hello:1", "private/hello:1"] {
        publish(env, &component, &registry.name(other));
    }
    place.asked();

    // By tag and by digest.
    place.log_in(READER, READERS_PASSWORD);
    for (file, reference) in [("a.wasm", &name), ("b.wasm", &pinned)] {
        env.run(["pull", reference, "-o", file]).ok();
        assert!(std::fs::read(env.path(file)).expect("a file") == std::fs::read(&component).expect("the guest"));
        let inspected = env.run(["inspect", reference, "--output", "json"]).json();
        assert_eq!(inspected["from"], json!(pinned));
    }
    for reference in [&name, &pinned] {
        let worker = env.start(["run", reference]);
        worker.wait_for_stderr("serving topic");
        assert_eq!(hello(env, reference), format!("Hello, {reference}!"));
        worker.stop().ok();
    }
    assert_eq!(place.asked(), one("GET", READER, "team/hello:pull"));
    let private = registry.name("private/hello:1");
    env.run(["pull", &private]).refused(51, &[&private, "does not let this login pull this"]);
    let absent = registry.name("team/hello:2");
    env.run(["run", &absent]).refused(40, &[&absent, "no such component"]);
    place.log_in(READER, "a wrong password");
    env.run(["pull", &name]).refused(51, &[&name, "refuses this login"]);

    // Without a login.
    place.log_out();
    place.asked();
    env.run(["pull", &registry.name("public/hello:1"), "-o", "c.wasm"]).ok();
    assert_eq!(place.asked(), one("GET", "", "public/hello:pull"));
    env.run(["inspect", &name]).refused(51, &[&name, "without a login"]);

    // Nothing secret is in the log, at any level.
    place.log_in(USER, PASSWORD);
    place.asked();
    let logged = [
        env.run(["pull", &name, "-o", "d.wasm", "--log-level", "trace"]),
        env.run(["publish", "d.wasm", &registry.name("team/again:1"), "--log-level", "trace"]),
    ];
    let asked = place.tokens.asked();
    assert!(asked.len() > 1 && asked.iter().all(|asked| !asked.token.is_empty()), "{asked:?}");
    let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for ended in &logged {
        ended.ok();
        for secret in asked.iter().map(|asked| asked.token.as_str()).chain([PASSWORD, &login]) {
            assert!(!ended.stderr.contains(secret), "{secret} is in the log");
        }
    }
}

#[test]
fn identity_tokens_are_exchanged() {
    let Some(mut place) = Place::new() else { return };
    let name = place.registry.name("team/hello:1");
    place.log_in_by_token(IDENTITY_TOKEN);
    publish(&place.env, &guest(), &name);
    let pulled = place.env.run(["pull", &name, "-o", "a.wasm", "--log-level", "trace"]);
    pulled.ok();
    let asked = place.tokens.asked();
    for secret in asked.iter().map(|asked| asked.token.as_str()).chain([IDENTITY_TOKEN]) {
        assert!(!pulled.stderr.contains(secret), "{secret} is in the log");
    }
    let scopes: BTreeSet<_> = asked.iter().map(|asked| asked.scope.as_str()).collect();
    assert_eq!(scopes, BTreeSet::from(["repository:team/hello:pull", "repository:team/hello:pull,push"]));
    assert!(asked.iter().all(|asked| asked.method == "POST" && asked.user == USER), "{asked:?}");
    place.log_in_by_token("an old identity token");
    let refused = place.env.run(["pull", &name]);
    refused.refused(51, &[&name, "refuses this login", "docker login"]);
    assert!(!refused.stderr.contains("an old identity token"), "{refused:?}");

    // A helper has it. It says so by the name of the user.
    let helper = place.env.write(
        "docker-credential-brrr",
        format!("#!/bin/sh\nread -r server\nprintf '{{\"ServerURL\":\"x\",\"Username\":\"<token>\",\"Secret\":\"{IDENTITY_TOKEN}\"}}'\n"),
    );
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let folders = format!("{}:{}", place.env.path("").display(), std::env::var("PATH").unwrap_or_default());
    place.env.set("PATH", folders);
    docker_config(&place.env, &json!({"credsStore": "brrr"}));
    place.env.run(["inspect", &name]).ok();

    // A registry that gives no tokens.
    let env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Login) else { return };
    let name = registry.name("team/hello:1");
    docker_config(&env, &json!({"auths": {(format!("127.0.0.1:{}", registry.port())): {"identitytoken": "x"}}}));
    env.run(["pull", &name]).refused(51, &[&name, "identity token", "a user name and a password"]);
}

#[test]
fn a_token_is_renewed_before_it_runs_out() {
    let Some(place) = Place::new() else { return };
    let relay = Relay::start(place.registry.port());
    let host = format!("127.0.0.1:{}", relay.port);
    log_in(&place.env, &host, USER, PASSWORD);
    // It has a custom section with zeros, so that it is sent in three pieces.
    let mut component = std::fs::read(guest()).expect("the guest");
    let section = 9 << 20_u32;
    component.extend([0, section as u8 & 0x7f | 0x80, (section >> 7) as u8 | 0x80, (section >> 14) as u8 | 0x80]);
    component.extend([(section >> 21) as u8, 1, b'x']);
    component.extend(vec![0; section as usize - 2]);
    let large = place.env.write("large.wasm", component);

    let tokens_of = |requests: &[Sent], method: &str, path: &str| -> Vec<String> {
        let these = requests.iter().filter(|sent| sent.method == method && sent.path.contains(path));
        these.map(|sent| sent.bearer.clone().unwrap_or_else(|| panic!("{sent:?} has no token"))).collect()
    };
    // Each of these tokens is about to run out.
    place.tokens.answer(Manner::Tokens { seconds: 5 });
    publish(&place.env, &large, &format!("oci://{host}/team/large:1"));
    let requests = relay.requests();
    let pieces = tokens_of(&requests, "PATCH", "/v2/team/large/blobs/uploads/");
    let manifest = tokens_of(&requests, "PUT", "/v2/team/large/manifests/1");
    assert_eq!((pieces.len(), manifest.len()), (4, 1), "{requests:#?}");
    let all: BTreeSet<_> = pieces.iter().chain(&manifest).collect();
    assert_eq!(all.len(), 5, "each has a token of its own: {requests:#?}");

    // A token that is good for long is used again.
    place.tokens.answer(Manner::Tokens { seconds: 300 });
    place.tokens.asked();
    let relay = Relay::start(place.registry.port());
    let host = format!("127.0.0.1:{}", relay.port);
    log_in(&place.env, &host, USER, PASSWORD);
    publish(&place.env, &guest(), &format!("oci://{host}/team/hello:1"));
    assert_eq!(place.tokens.asked().len(), 1);
    let all: BTreeSet<_> = relay.requests().into_iter().filter_map(|sent| sent.bearer).collect();
    assert_eq!(all.len(), 1);
}

#[test]
fn a_bad_server_of_tokens_is_an_error() {
    let Some(place) = Place::new() else { return };
    let (env, name) = (&place.env, place.registry.name("team/hello:1"));
    place.log_in(USER, PASSWORD);
    publish(env, &guest(), &name);
    let server = format!("127.0.0.1:{}", place.tokens.port);
    let other = TokenServer::start();
    let elsewhere = Manner::Redirect(other.realm.clone());
    for (manner, code, words) in [
        (Manner::Status(503), 21, "answers with the status 503"),
        (Manner::Status(429), 21, "answers with the status 429"),
        (Manner::Status(404), 20, "answers with the status 404"),
        (Manner::Text("no JSON"), 20, "sends no token"),
        (Manner::Text("{\"token\": \"a\\r\\nb: c\"}"), 20, "sends no token"),
        (Manner::Endless, 20, "sends no token"),
        (elsewhere, 20, "answers with the status 307"),
    ] {
        place.tokens.answer(manner.clone());
        let pulled = env.run(["pull", &name]);
        pulled.refused(code, &[&name, &server, words]);
        assert!(pulled.peak < TOO_MUCH, "{manner:?}: {} MiB", pulled.peak);
    }
    env.run(["publish", text(&guest()), &name]).refused(20, &[&name, &server, "answers with the status 307"]);
    assert_eq!(other.asked(), [], "the login is sent to no other server");
    // A token that the registry does not take.
    place.tokens.answer(Manner::Text("{\"token\": \"a token\"}"));
    env.run(["pull", &name]).refused(51, &[&name, "does not let this login pull this"]);
    // Nobody is there.
    let Place { env, tokens, registry, host } = place;
    drop(tokens);
    env.run(["pull", &name]).refused(21, &[&name, &server, "server of tokens"]);

    // It is somewhere else, without TLS: the password is not sent.
    let mut tokens = TokenServer::start();
    tokens.realm = "http://auth.example.com/token".to_owned();
    drop(registry);
    let Some(registry) = Registry::start(&env.path(""), Wants::Token(&tokens)) else { return };
    log_in(&env, &format!("127.0.0.1:{}", registry.port()), USER, PASSWORD);
    assert_ne!(host, format!("127.0.0.1:{}", registry.port()));
    env.run(["pull", &registry.name("team/hello:1")]).refused(20, &["auth.example.com", "has no TLS"]);
    tokens.realm = "no address".to_owned();
    drop(registry);
    let Some(registry) = Registry::start(&env.path(""), Wants::Token(&tokens)) else { return };
    env.run(["pull", &registry.name("team/hello:1")]).refused(20, &["names no server that gives tokens"]);
}

#[test]
fn a_hostile_registry_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let registry = format!("oci://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || be_hostile(client));
        }
    });
    for (name, code, words) in [
        ("endless:1", 10, "its manifest has more than 4 MiB"),
        ("redirects:1", 20, "it redirects to a server without TLS"),
        ("loops:1", 20, "too many redirects"),
        ("fails:1", 21, "answers with the status 500"),
    ] {
        let name = format!("{registry}/{name}");
        let refused = Env::new().run(["pull", &name]);
        refused.refused(code, &[&name, words]);
        assert!(refused.peak < TOO_MUCH, "{name}: {} MiB", refused.peak);
    }
}

/// Answers that anybody may use the registry. Manifests are hostile.
fn be_hostile(mut client: TcpStream) -> Option<()> {
    let requests = BufReader::new(client.try_clone().ok()?).lines();
    for line in requests.map_while(Result::ok) {
        let Some(path) = line.strip_prefix("GET /v2/") else { continue };
        let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
        let (head, is_endless) = match path.split('/').next()? {
            "endless" => ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), true),
            "fails" => ("HTTP/1.1 500 Oh\r\n\r\n".to_owned(), true),
            "redirects" => (redirect("http://registry.example.com/v2/"), false),
            "loops" => (redirect("/v2/loops/manifests/1"), false),
            _ => ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(), false),
        };
        client.write_all(head.as_bytes()).ok()?;
        let more = b" ".repeat(64 << 10);
        while is_endless && client.write_all(&more).is_ok() {}
    }
    None
}
