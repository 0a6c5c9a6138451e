//! Components that can't be served: each gives one clear line and an exit code.

use serde_json::json;

use crate::fixture::{Fixture, SDK};
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
    run(&env, &["future.wasm"]).refused(10, &["future.wasm", "9.0.0", "speaks 0.2.0"]);
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
    for word in [
        "fib",
        "sdk        rust ",
        "wit        brrr:worker@0.2.0, world worker\n",
        "sha256:",
        "brrr:worker/tasks",
        "max-retries=0",
        "Repeats a text.",
        "input   {text: string, times: integer}",
        "output  string",
    ] {
        assert!(text.ok().contains(word), "{word}: {text:#?}");
    }
    let json = env.run(["inspect", path, "--output", "json"]).json();
    assert_eq!((&json["wit"], &json["world"], &json["sdk"]), (&json!("0.2.0"), &json!("worker"), &json!("rust")));
    assert!(json["sdk_version"].as_str().is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())));
    assert!(json["size"].as_u64().expect("a size") > 10_000);
    let task = |name: &str| {
        let mut tasks = json["tasks"].as_array().expect("tasks").iter();
        tasks.find(|task| task["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
    };
    let keys: Vec<_> = task("described").as_object().expect("an object").keys().cloned().collect();
    assert_eq!(keys, ["description", "extra", "input_schema", "leaf", "name", "options", "output_schema"]);
    let described = task("described");
    assert_eq!((&described["description"], &described["leaf"]), (&json!("Repeats a text."), &json!(false)));
    assert_eq!((&described["options"], &described["extra"]), (&json!({"max-retries": "0"}), &json!({})));
    assert_eq!(described["input_schema"]["properties"]["times"]["type"], "integer");
    assert_eq!(described["output_schema"]["type"], "string");
    assert_eq!(task("nap")["leaf"], true);
    assert_eq!(task("hello")["input_schema"], json!(null));
    assert_eq!(task("patient")["options"]["timeout-ms"], "500");
    let names: Vec<_> = json["tasks"].as_array().expect("tasks").iter().map(|t| t["name"].clone()).collect();
    assert!(names.contains(&"fan_out".into()), "{names:?}");
    assert!(!env.path(".brrr").exists(), "inspect needs no backend");

    let path = path.replace("rust-conformance.wasm", "rust-conformance-async.wasm");
    assert!(env.run(["inspect", &path]).ok().contains("wit        brrr:worker@0.2.0, world worker-async\n"));
    assert_eq!(env.run(["inspect", &path, "--output", "json"]).json()["world"], "worker-async");
}

/// A component of a later SDK is served. `inspect` shows its options that this version does not know.
#[test]
fn inspect_shows_unknown_options_and_descriptions_as_text() {
    let env = Env::new();
    let options =
        [("colour", "blue"), ("description", "Says it.\u{1b}[2J\nTwice."), ("scope", "1h"), ("timeout-ms", "50")];
    let path = Fixture { options: &options, ..Fixture::default() }.write(&env.path(""));
    let path = path.to_str().expect("UTF-8");
    let text = env.run(["inspect", path]);
    for word in
        ["sdk        fixture 1.2.3", "colour=blue, which this version does not know", "scope=1h", "\n      Twice.\n"]
    {
        assert!(text.ok().contains(word), "{word}: {text:#?}");
    }
    assert!(!text.stdout.contains('\u{1b}'), "{text:#?}");
    let json = env.run(["inspect", path, "--output", "json"]).json();
    assert_eq!((&json["sdk"], &json["sdk_version"]), (&json!(SDK.0), &json!(SDK.1)));
    assert_eq!(json["tasks"][0]["options"], json!({"scope": "1h", "timeout-ms": "50"}));
    assert_eq!(json["tasks"][0]["extra"], json!({"colour": "blue"}));
}

/// One package has both worlds.
#[test]
fn wit_prints_the_interface() {
    let env = Env::new();
    let wit = env.run(["wit"]);
    assert_eq!(format!("{}\n", wit.ok()), include_str!("../../wit/worker.wit"));
    for word in ["package brrr:worker@0.2.0;", "world worker {", "world worker-async {"] {
        assert!(wit.stdout.contains(word), "{word}");
    }
    assert_eq!(env.run(["wit", "async"]).code, Some(2));
}
