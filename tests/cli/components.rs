//! Components that can't be served: each gives one clear line and an exit code.

use crate::harness::{Env, guest};

fn run(env: &Env, files: &[&str]) -> crate::harness::Ended {
    env.run(["run"].iter().chain(files))
}

#[test]
fn no_such_file() {
    Env::new().run(["run", "missing.wasm"]).refused(10, &["missing.wasm", "no such file"]);
}

#[test]
fn not_wasm() {
    let env = Env::new();
    env.write("text.wasm", "print('hello')");
    run(&env, &["text.wasm"]).refused(10, &["text.wasm", "not WebAssembly"]);
    env.write("empty.wasm", "");
    run(&env, &["empty.wasm"]).refused(10, &["empty.wasm"]);
}

#[test]
fn a_core_module() {
    let env = Env::new();
    env.write("core.wasm", wat::parse_str("(module)").expect("a module"));
    run(&env, &["core.wasm"]).refused(10, &["core.wasm", "core WebAssembly module"]);
}

#[test]
fn another_world() {
    let env = Env::new();
    env.write("other.wasm", wat::parse_str("(component)").expect("a component"));
    run(&env, &["other.wasm"]).refused(10, &["other.wasm", "brrr:worker/handler"]);
}

#[test]
fn another_version() {
    let env = Env::new();
    let text = r#"(component
        (component $empty)
        (instance $handler (instantiate $empty))
        (export "brrr:worker/handler@9.0.0" (instance $handler)))"#;
    env.write("future.wasm", wat::parse_str(text).expect("a component"));
    run(&env, &["future.wasm"]).refused(10, &["future.wasm", "9.0.0", "0.1.0 and 0.2.0"]);
}

#[test]
fn two_components_that_claim_one_task() {
    let env = Env::new();
    std::fs::copy(guest(), env.path("a.wasm")).expect("a copy");
    std::fs::copy(guest(), env.path("b.wasm")).expect("a copy");
    run(&env, &["a.wasm", "b.wasm"]).refused(10, &["a.wasm", "b.wasm", "claim the task"]);
}

#[test]
fn inspect_shows_what_a_component_is() {
    let env = Env::new();
    let path = guest();
    let path = path.to_str().expect("UTF-8");
    let text = env.run(["inspect", path]);
    for word in ["fib", "wit        brrr:worker@0.1.0", "sha256:", "brrr:worker/tasks", "max-retries=0"] {
        assert!(text.ok().contains(word), "{word}: {text:#?}");
    }
    let json = env.run(["inspect", path, "--output", "json"]).json();
    assert_eq!((&json["wit"], &json["asynchronous"]), (&"0.1.0".into(), &false.into()));
    assert!(json["size"].as_u64().expect("a size") > 10_000);
    let names: Vec<_> = json["tasks"].as_array().expect("tasks").iter().map(|t| t["name"].clone()).collect();
    assert!(names.contains(&"fan_out".into()), "{names:?}");
    assert!(!env.path(".brrr").exists(), "inspect needs no backend");

    let path = path.replace("rust-conformance.wasm", "rust-conformance-async.wasm");
    assert!(env.run(["inspect", &path]).ok().contains("wit        brrr:worker@0.2.0, asynchronous\n"));
    assert_eq!(env.run(["inspect", &path, "--output", "json"]).json()["asynchronous"], true);
}
