//! Components in an OCI registry, a real one: published, pulled, and run by tag and by digest.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::deploy::{follower, hello, patched};
use crate::harness::{Env, TOPIC, eventually, guest};
use crate::registry_server::{PASSWORD, Registry, USER, Wants};

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What `publish` prints: the component by the digest of its manifest.
pub fn publish(env: &Env, component: &Path, name: &str) -> String {
    let published = env.run(["publish", text(component), name]);
    let pinned = published.ok().to_owned();
    assert!(pinned.starts_with(name.rsplit_once(':').expect("a tag").0) && pinned.contains("@sha256:"), "{pinned}");
    pinned
}

/// The components of the workers that run.
fn components(env: &Env) -> Vec<Value> {
    let workers = env.run(["workers", "--output", "json"]).json();
    workers.as_array().expect("workers").iter().map(|worker| worker["components"].clone()).collect()
}

#[test]
fn a_component_is_published_and_used_everywhere() {
    let env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Nothing) else { return };
    let name = registry.name("team/hello:1.0");
    let pinned = publish(&env, &guest(), &name);
    assert_eq!(publish(&env, &guest(), &name), pinned, "the same component has the same digest");
    // Others read it: the layout is that of the CNCF.
    let manifest: Value = get(&registry.url("team/hello/manifests/1.0"));
    assert_eq!(manifest["config"]["mediaType"], json!("application/vnd.wasm.config.v0+json"));
    assert_eq!(manifest["layers"][0]["mediaType"], json!("application/wasm"));
    let config = get(&registry.url(&format!("team/hello/blobs/{}", manifest["config"]["digest"].as_str().unwrap())));
    assert_eq!(config["architecture"], json!("wasm"));
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    assert!(config["component"]["exports"].to_string().contains("brrr:worker/handler@"), "{config}");

    // By tag and by digest.
    env.run(["pull", &name, "-o", "pulled.wasm"]).ok();
    let bytes = std::fs::read(guest()).expect("the guest");
    assert!(std::fs::read(env.path("pulled.wasm")).expect("a file") == bytes, "the same bytes");
    std::fs::create_dir(env.path("folder")).expect("a folder");
    assert_eq!(env.run(["pull", &pinned, "-o", "folder"]).ok(), "folder/hello.wasm");
    let inspected = env.run(["inspect", &name, "--output", "json"]).json();
    assert_eq!((&inspected["from"], &inspected["digest"]), (&json!(pinned), &manifest["layers"][0]["digest"]));
    let cases =
        env.write("cases.toml", "[[case]]\ntask = \"hello\"\ninput = { greetee = \"x\" }\nresult = \"Hello, x!\"\n");
    env.run(["test", &pinned, text(&cases)]).ok();
    // From one place in the registry to another.
    let copied = env.run(["publish", &pinned, &registry.name("copy:2")]);
    assert!(copied.ok().ends_with(pinned.rsplit_once('@').expect("a digest").1), "{copied:?}");

    // A worker says what its tag stands for, and a new tag does not change it.
    let worker = env.start(["run", &name, "--accept-code"]);
    worker.wait_for_stderr(&format!("{name} is {pinned}"));
    worker.wait_for_stderr("serving topic");
    assert_eq!(hello(&env, "a"), "Hello, a!");
    let other = patched(&env, "other.wasm", &[("Hello, ", "Howdy, ")]);
    let newer = publish(&env, &other, &name);
    assert_ne!(newer, pinned);
    assert_eq!(hello(&env, "b"), "Hello, b!");
    eventually("the worker lists its component", || match components(&env).as_slice() {
        [one] if one[0]["from"] == json!(pinned) && one[0]["name"] == json!("hello") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(env.run(["workers"]).ok().contains("hello@sha256:"));
    // A call brings code from the registry along.
    assert_eq!(env.run(["call", "--with", &newer, "hello", "{\"greetee\": \"c\"}"]).ok(), "Howdy, c!");
    worker.stop().ok();
    env.run(["run", &name, "--watch"]).refused(2, &["--watch", "registry"]);

    // brrr.toml names it, in a folder of its own.
    let project = env.again();
    project.write("brrr.toml", format!("topic = \"{TOPIC}\"\n[[components]]\npath = \"{pinned}\"\n"));
    let worker = project.start(["run"]);
    worker.wait_for_stderr("serving topic");
    assert_eq!(hello(&project, "d"), "Hello, d!");
    worker.stop().ok();

    // A revision is pushed from the registry.
    let worker = follower(&env);
    env.run(["push", &newer]).ok();
    assert_eq!(hello(&env, "e"), "Howdy, e!");
    let shown = env.run(["deploy", "show", "1", "--output", "json"]).json();
    assert_eq!(shown["components"][0]["name"], json!("hello"));
    worker.stop().ok();
}

#[test]
fn all_processes_run_what_the_tag_stood_for() {
    let env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Nothing) else { return };
    let name = registry.name("app:latest");
    let pinned = publish(&env, &guest(), &name);
    let worker = env.start(["run", &name, "--processes", "2"]);
    worker.wait_for_stderr("2 processes serve");
    publish(&env, &patched(&env, "other.wasm", &[("Hello, ", "Howdy, ")]), &name);
    let pids = || -> Vec<i64> {
        let workers = env.run(["workers", "--output", "json"]).json();
        workers.as_array().expect("workers").iter().map(|worker| worker["pid"].as_i64().expect("a number")).collect()
    };
    let before = eventually("both are listed", || match pids() {
        both if both.len() == 2 => Ok(both),
        other => Err(format!("{other:?}")),
    });
    kill_process(Pid::from_raw(before[0] as i32).expect("a process"), Signal::KILL).expect("a signal");
    eventually("a new one is listed", || match pids() {
        now if now.iter().any(|pid| !before.contains(pid)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    for of_worker in components(&env) {
        assert_eq!(of_worker[0]["from"], json!(pinned));
    }
    worker.stop().ok();
}

#[test]
fn the_login_is_dockers() {
    let mut env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Login) else { return };
    let name = registry.name("private/app:1");
    let host = name.trim_start_matches("oci://").split('/').next().expect("a host").to_owned();
    let path = text(&guest()).to_owned();
    env.run(["publish", &path, &name]).refused(51, &["without a login", "docker login", "config.json"]);
    log_in(&env, &host, USER, "a wrong password");
    env.run(["publish", &path, &name]).refused(51, &["refuses this login"]);
    log_in(&env, &host, USER, PASSWORD);
    publish(&env, &guest(), &name);
    // Nothing secret is in the log, at any level.
    let pulled = env.run(["pull", &name, "-o", "a.wasm", "--log-level", "trace"]);
    pulled.ok();
    for secret in [PASSWORD, &STANDARD.encode(format!("{USER}:{PASSWORD}"))] {
        assert!(!pulled.stderr.contains(secret), "{secret} is in the log");
    }
    // A helper has the login. It is a program on the PATH.
    let helper = env.write(
        "docker-credential-brrr",
        format!("#!/bin/sh\nread -r server\n[ \"$server\" = \"{host}\" ] || {{ echo credentials not found in native keychain; exit 1; }}\nprintf '{{\"ServerURL\":\"x\",\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n"),
    );
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    env.set("PATH", format!("{}:{}", env.path("").display(), std::env::var("PATH").unwrap_or_default()));
    docker_config(&env, &json!({"credHelpers": {(host.clone()): "brrr"}}));
    env.run(["pull", &name, "-o", "b.wasm"]).ok();
    docker_config(&env, &json!({"credsStore": "brrr"}));
    env.run(["inspect", &name]).ok();
    // A helper that is not there, and one that fails.
    docker_config(&env, &json!({"credsStore": "missing"}));
    env.run(["pull", &name]).refused(51, &["credential helper"]);
    env.write("docker-credential-brrr", format!("#!/bin/sh\nread -r server\necho {PASSWORD}\nexit 3\n"));
    docker_config(&env, &json!({"credsStore": "brrr"}));
    let failed = env.run(["pull", &name]);
    failed.refused(51, &["docker-credential-brrr has failed"]);
    assert!(!failed.stderr.contains(PASSWORD), "{failed:?}");
    env.write(".docker/config.json", "no JSON");
    env.run(["pull", &name]).refused(51, &[&name]);
}

#[test]
fn what_is_no_component_is_refused_clearly() {
    let env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Nothing) else { return };
    let name = registry.name("app:1");
    // Nothing there, and names that are none.
    env.run(["run", &name]).refused(40, &[&name, "no such component"]);
    let absent = format!("{}@sha256:{}", name.trim_end_matches(":1"), "ab".repeat(32));
    env.run(["pull", &absent]).refused(40, &[&absent]);
    for wrong in ["oci://app:1", "oci://me/app:1", "oci://127.0.0.1:1/app", "oci://127.0.0.1:1/UPPER:1"] {
        env.run(["inspect", wrong]).refused(2, &[wrong, "oci://REGISTRY/NAME:TAG"]);
    }
    env.run(["publish", text(&guest()), &absent]).refused(2, &["tag"]);
    let broken = env.write("broken.wasm", "no component");
    env.run(["publish", text(&broken), &name]).refused(10, &["broken.wasm"]);

    // An image for containers.
    let (config, layer) = (blob(&registry, "image", b"{}"), blob(&registry, "image", b"a layer"));
    let image = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": layer, "size": 7}],
    });
    let put = ureq::put(registry.url("image/manifests/1"))
        .header("content-type", "application/vnd.docker.distribution.manifest.v2+json")
        .send(image.to_string());
    assert_eq!(put.expect("a manifest").status(), 201);
    env.run(["run", &registry.name("image:1")]).refused(10, &["image:1", "an image for containers"]);

    // Somebody changes the component on the registry's disk.
    let pinned = publish(&env, &guest(), &name);
    let inspected = env.run(["inspect", &pinned, "--output", "json"]).json();
    let file = registry.blob(inspected["digest"].as_str().expect("a digest"));
    let mut bytes = std::fs::read(&file).expect("the blob");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).expect("the blob");
    for reference in [&name, &pinned] {
        env.run(["run", reference]).refused(10, &["not what its digest says"]);
        env.run(["pull", reference, "-o", "x.wasm"]).refused(10, &["not what its digest says"]);
    }
    assert!(!env.path("x.wasm").exists());
    // A component that is longer than its manifest says.
    bytes[at] ^= 1;
    bytes.extend([0; 100]);
    std::fs::write(&file, &bytes).expect("the blob");
    env.run(["pull", &pinned]).refused(10, &["not what its digest says"]);
    // And the manifest.
    let manifest = registry.blob(pinned.rsplit_once('@').expect("a digest").1);
    let changed = std::fs::read_to_string(&manifest).expect("the manifest").replace("wasm", "WASM");
    std::fs::write(&manifest, changed).expect("the manifest");
    let refused = env.run(["pull", &pinned]);
    assert!(matches!(refused.code, Some(10 | 21 | 42)), "{refused:?}");

    // Nobody is there.
    drop(registry);
    let begun = Instant::now();
    env.run(["pull", &name]).refused(21, &[&name, "can't be reached"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Writes docker's settings.
pub fn docker_config(env: &Env, config: &Value) {
    std::fs::create_dir_all(env.path(".docker")).expect("a folder");
    env.write(".docker/config.json", config.to_string());
}

/// Logs in, as `docker login` does.
pub fn log_in(env: &Env, host: &str, user: &str, password: &str) {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    docker_config(env, &json!({"auths": {host: {"auth": auth}}}));
}

fn get(url: &str) -> Value {
    let answer = ureq::get(url).header("accept", "application/vnd.oci.image.manifest.v1+json").call();
    let text = answer.expect("an answer").body_mut().read_to_string().expect("text");
    serde_json::from_str(&text).expect("JSON")
}

/// Puts bytes into the registry. Returns their digest.
fn blob(registry: &Registry, name: &str, bytes: &[u8]) -> String {
    let digest = format!("sha256:{}", brrr_protocol::digest::Digest::of(bytes));
    let begun = ureq::post(registry.url(&format!("{name}/blobs/uploads/"))).send_empty().expect("an upload");
    let location = begun.headers()["location"].to_str().expect("text").to_owned();
    let sign = if location.contains('?') { '&' } else { '?' };
    let put = ureq::put(format!("{location}{sign}digest={digest}")).send(bytes).expect("a blob");
    assert_eq!(put.status(), 201);
    digest
}
