//! `--trust`: only components that a trusted key has signed are run. The keys and signatures are minisign's.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::deploy::{follower_with, hello, patched, push};
use crate::each_backend::on_each_backend;
use crate::harness::{Env, TOPIC, eventually, guest};
use crate::oci::{publish, text};
use crate::push_http::{PUSH, gateway};
use crate::registry_server::{Registry, Wants};
use crate::servers::missing;

/// Is minisign there?
fn has_minisign() -> bool {
    let found = Command::new("minisign").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        missing("minisign", "scripts/setup/registry.sh");
    }
    found
}

fn minisign(env: &Env, args: &[&str]) -> String {
    let done = Command::new("minisign").args(args).current_dir(env.path("")).output().expect("minisign");
    assert!(done.status.success(), "minisign {args:?}: {done:?}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// A pair of keys without a password: `NAME.pub` and `NAME.sec`.
fn keys(env: &Env, name: &str) -> String {
    minisign(env, &["-G", "-f", "-W", "-p", &format!("{name}.pub"), "-s", &format!("{name}.sec")]);
    format!("{name}.pub")
}

/// Signs a component. The signature is beside it.
fn sign(env: &Env, component: &Path, key: &str, comment: &str) -> PathBuf {
    minisign(env, &["-S", "-s", &format!("{key}.sec"), "-m", text(component), "-t", comment]);
    PathBuf::from(format!("{}.minisig", component.display()))
}

/// A copy of the guest that greets in this way.
fn copy(env: &Env, name: &str, greeting: &str) -> PathBuf {
    patched(env, name, &[("Hello, ", greeting)])
}

/// A worker that trusts these keys runs app.wasm, and other commands see who has signed it.
fn a_worker_says_who_signed(env: &Env, trusted: &[&str], comment: &str) {
    let flags = trusted.iter().flat_map(|key| ["--trust", key]);
    let worker = env.start(["run", "app.wasm"].into_iter().chain(flags));
    worker.wait_for_stderr("app is signed by key");
    worker.wait_for_stderr("serving topic");
    assert!(worker.stderr().contains(&format!("({comment})")), "{}", worker.stderr());
    assert_eq!(hello(env, "a"), "Hello, a!");
    let workers = env.run(["workers", "--output", "json"]).json();
    assert!(workers[0]["components"][0]["signed_by"].to_string().contains(comment), "{workers}");
    worker.stop().ok();
}

#[test]
fn a_worker_runs_only_files_that_are_signed() {
    if !has_minisign() {
        return;
    }
    let mut env = Env::new();
    let (me, other) = (keys(&env, "me"), keys(&env, "other"));
    let component = copy(&env, "app.wasm", "Hello, ");
    let run = |more: &[&str]| env.run([&["run", "app.wasm"], more].concat());
    run(&["--trust", &me]).refused(10, &["app.wasm", "--trust", "not signed", "trusted: "]);
    run(&["--trust", "absent.pub"]).refused(2, &["absent.pub", "can't be read"]);
    run(&["--trust", "app.wasm"]).refused(2, &["app.wasm"]);
    let signature = sign(&env, &component, "me", "release 7, by me");
    run(&["--trust", &other]).refused(10, &["signed by key", "which is not trusted"]);
    a_worker_says_who_signed(&env, &[&other, &me], "release 7, by me");
    // `inspect` shows who says to have signed it, and verifies that.
    let shown = env.run(["inspect", "app.wasm"]);
    assert!(shown.ok().contains("(release 7, by me), as the signature says"), "{shown:?}");
    let verified = env.run(["inspect", "app.wasm", "--trust", &me, "--output", "json"]).json();
    assert_eq!(verified["verified"]["comment"], json!("release 7, by me"));
    env.run(["inspect", "app.wasm", "--trust", &other]).refused(10, &["not trusted"]);

    // Another comment, other bytes, and the old kind of signatures.
    let good = std::fs::read_to_string(&signature).expect("the signature");
    env.write("app.wasm.minisig", good.replace("by me", "by us"));
    run(&["--trust", &me]).refused(10, &["of other bytes, or forged"]);
    env.write("app.wasm.minisig", &good);
    copy(&env, "app.wasm", "Howdy, ");
    run(&["--trust", &me]).refused(10, &["of other bytes, or forged"]);
    minisign(&env, &["-S", "-l", "-s", "me.sec", "-m", "app.wasm"]);
    run(&["--trust", &me]).refused(10, &["old kind"]);
    env.write("app.wasm.minisig", "no signature");
    run(&[]).refused(2, &["app.wasm.minisig", "no signature"]);

    // brrr.toml names keys. Those of the user replace them, so a file that was found adds none.
    sign(&env, &component, "other", "by another");
    std::fs::create_dir(env.path("keys")).expect("a folder");
    std::fs::copy(env.path(&other), env.path("keys/other.pub")).expect("a copy");
    let settings =
        format!("topic = \"{TOPIC}\"\n[worker]\ntrust = [\"keys/other.pub\"]\n[[components]]\npath = \"app.wasm\"\n");
    env.write("brrr.toml", settings);
    let worker = env.start(["run"]);
    worker.wait_for_stderr("serving topic");
    worker.stop().ok();
    env.run(["run", "--trust", &me]).refused(10, &["not trusted"]);
    env.set("BRRR_TRUST", env.path(&me).display().to_string());
    env.run(["run"]).refused(10, &["not trusted"]);
}

on_each_backend! { others_see_who_signed_a_file }

fn others_see_who_signed_a_file(env: &Env) {
    if !has_minisign() {
        return;
    }
    let me = keys(env, "me");
    let component = copy(env, "app.wasm", "Hello, ");
    env.run(["run", "app.wasm", "--trust", &me]).refused(10, &["app.wasm", "--trust", "not signed", "trusted: "]);
    sign(env, &component, "me", "of a file");
    a_worker_says_who_signed(env, &[&me], "of a file");
}

on_each_backend! { revisions_and_code_of_calls_must_be_signed }

fn revisions_and_code_of_calls_must_be_signed(env: &Env) {
    if !has_minisign() {
        return;
    }
    let me = keys(env, "me");
    keys(env, "other");
    let worker = follower_with(env, &["--trust", &me, "--accept-code"]);
    let first = copy(env, "first.wasm", "Hello, ");
    // The worker refuses what nobody has signed, and says so.
    let refused = env.run(["push", text(&first), "--output", "json"]);
    assert_eq!(refused.code, Some(42), "{refused:?}");
    assert!(refused.json()["failed"][0]["reason"].to_string().contains("not signed"), "{refused:?}");
    // The signature comes later, with the same component. Nothing else is sent.
    let signature = sign(env, &first, "me", "the first");
    let moved = env.path("elsewhere.minisig");
    std::fs::rename(&signature, &moved).expect("a file");
    let again = env.run(["push", text(&first), "--signature", text(&moved), "--output", "json"]);
    let again = (again.ok(), again.json()).1;
    assert_eq!((&again["new"], &again["resent"]), (&json!(false), &json!(true)), "{again}");
    assert_eq!(again["components"][0]["new_chunks"], json!(0));
    worker.wait_for_stderr("revision 1 is loaded");
    worker.wait_for_stderr("(the first)");
    assert_eq!(hello(env, "a"), "Hello, a!");
    let shown = env.run(["deploy", "show", "1"]);
    assert!(shown.ok().contains("(the first), as the signature says"), "{shown:?}");
    env.run(["pull", "--revision", "1", "-o", "out"]).ok();
    minisign(env, &["-V", "-p", &me, "-m", "out/first.wasm"]);

    // Signed by another: refused, and the rest goes on.
    let second = copy(env, "second.wasm", "Howdy, ");
    sign(env, &second, "other", "the second");
    let refused = env.run(["push", text(&second)]);
    assert_eq!(refused.code, Some(42), "{refused:?}");
    assert!(refused.stderr.contains("which is not trusted"), "{refused:?}");
    assert_eq!(hello(env, "b"), "Hello, b!");
    // One more signature, beside that of the other.
    sign(env, &second, "me", "the second, by me");
    env.run(["push", text(&second)]).ok();
    worker.wait_for_stderr("revision 2 is loaded");
    env.run(["deploy", "ramp", "2", "100"]).ok();
    assert_eq!(hello(env, "c"), "Howdy, c!");
    let shown = env.run(["deploy", "show", "2", "--output", "json"]).json();
    assert_eq!(shown["components"][0]["signed_by"].as_array().map(Vec::len), Some(2), "{shown}");

    // A call brings its code along.
    let third = copy(env, "third.wasm", "Hallo, ");
    let call = |name: &str| env.run(["call", "--with", text(&third), "hello", &format!("{{\"greetee\": \"{name}\"}}")]);
    let refused = call("d");
    assert_eq!(refused.code, Some(31), "{refused:?}");
    assert!(refused.stderr.contains("not signed"), "{refused:?}");
    sign(env, &third, "me", "the third");
    // It was refused a moment ago, and is looked at again after a while.
    let answer = eventually("the signed code runs", || match call(&fastrand::u64(..).to_string()) {
        called if called.code == Some(0) => Ok(called.stdout),
        called => Err(called.stderr),
    });
    assert!(answer.starts_with("Hallo, "), "{answer}");
    worker.stop().ok();
}

on_each_backend! { signatures_come_by_http }

fn signatures_come_by_http(env: &mut Env) {
    if !has_minisign() {
        return;
    }
    let me = keys(env, "me");
    let component = copy(env, "app.wasm", "Hello, ");
    let worker = follower_with(env, &["--trust", &me]);
    let (gateway, http) = gateway(env);
    let upload = |more: &[(&str, &str)]| {
        let headers = [&[PUSH[0], ("content-type", "application/wasm")], more].concat();
        http.send_bytes("/v1/components", &headers, std::fs::read(&component).expect("the component"))
    };
    let signature = std::fs::read(sign(env, &component, "me", "by http")).expect("a signature");
    for bad in ["%", "bm8gc2lnbmF0dXJl"] {
        let refused = upload(&[("component-signature", bad)]);
        assert!(refused.status == 400 && refused.body.contains("minisign -S"), "{}", refused.body);
    }
    let uploaded = upload(&[]);
    assert_eq!(uploaded.status, 201, "{}", uploaded.body);
    // The signature comes later, with the same component.
    let signed = upload(&[("component-signature", &STANDARD.encode(signature))]);
    assert_eq!((signed.status, &signed.json()["new_bytes"]), (200, &json!(0)), "{}", signed.body);
    let body = json!({"components": [{"digest": signed.json()["digest"]}]}).to_string();
    let headers = [PUSH[0], ("prefer", "wait=60")];
    let pushed = http.send("POST", "/v1/topics/demo/deployments", &headers, Some(&body));
    assert_eq!((pushed.status, &pushed.json()["percent"]), (201, &json!(100)), "{}", pushed.body);
    worker.wait_for_stderr("(by http)");
    assert_eq!(hello(env, "a"), "Hello, a!");
    gateway.stop().ok();
    worker.stop().ok();
}

#[test]
fn signatures_go_through_a_registry() {
    if !has_minisign() {
        return;
    }
    let env = Env::new();
    let Some(registry) = Registry::start(&env.path(""), Wants::Nothing) else { return };
    let me = keys(&env, "me");
    let component = copy(&env, "app.wasm", "Hello, ");
    let name = registry.name("app:1");
    publish(&env, &component, &name);
    env.run(["run", &name, "--trust", &me]).refused(10, &["oci://", "not signed"]);
    // Signed later: the same component under the same tag.
    sign(&env, &component, "me", "from the registry");
    let pinned = publish(&env, &component, &name);
    let worker = env.start(["run", &name, "--trust", &me]);
    worker.wait_for_stderr("app is signed by key");
    worker.wait_for_stderr("serving topic");
    assert_eq!(hello(&env, "a"), "Hello, a!");
    worker.stop().ok();
    env.run(["pull", &pinned, "-o", "pulled.wasm"]).ok();
    minisign(&env, &["-V", "-p", &me, "-m", "pulled.wasm"]);
    // A push from the registry has the signature too.
    let worker = follower_with(&env, &["--trust", &me]);
    push(&env, Path::new(&pinned), &[]);
    assert_eq!(hello(&env, "b"), "Hello, b!");
    worker.stop().ok();
    assert!(guest().exists());
}
