//! `push --verify`: changes of code that break the replay of calls, and changes that do not, in three languages.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::each_backend::redis_and_dynamodb;
use crate::harness::{Env, TOPIC, guest};
use crate::redis;
use crate::servers::redis::Flavour;

/// The tasks whose other version asks for other calls or gives another value, and what the replay says of each: before, and now.
/// Spaces in payloads are left out.
const PLANTED: [(&str, &str, &str); 10] = [
    ("planted_argument", r#"calls double [{"n":3}]"#, r#"calls double [{"n":4}]"#),
    ("planted_branch", r#"calls double [{"n":3}]"#, r#"calls triple [{"n":3}]"#),
    ("planted_child", r#"calls double [{"n":3}]"#, r#"calls triple [{"n":3}]"#),
    ("planted_failure", "gives 6", "fails: error: "),
    ("planted_fewer_children", r#"calls inc [{"n":3}]"#, "does not make this call"),
    ("planted_more_children", "does not make this call", r#"calls inc [{"n":3}]"#),
    ("planted_order", r#"calls double [{"n":3}]"#, r#"calls double [{"n":4}]"#),
    ("planted_result", "gives 7", "gives 8"),
    ("planted_scope", r#"calls double [{"n":3}]"#, r#"calls double [{"n":3}]"#),
    ("planted_type", "gives 6", r#"gives "6""#),
];

/// The tasks whose other version does the same.
const HARMLESS: [&str; 10] = [
    "harmless_batch",
    "harmless_guard",
    "harmless_log",
    "harmless_loop",
    "harmless_names",
    "harmless_options",
    "harmless_order_of_a_batch",
    "harmless_refactoring",
    "harmless_speed",
    "harmless_type",
];

fn component(version: &str, of: &str) -> PathBuf {
    let path = guest().parent().expect("a folder").join("..").join(of.replace("VERSION", version));
    assert!(path.exists(), "{} is missing: `make guests` builds it", path.display());
    path
}

/// Runs each task with its first version, then verifies the second version.
fn changes_are_told_apart(env: &Env, of: &str) {
    let worker = env.start(["run", "--topic", TOPIC]);
    worker.wait_for_stderr("serving topic");
    let [before, after] = ["before", "after"].map(|version| component(version, of));
    env.run(["push", before.to_str().expect("UTF-8")]).ok();
    for task in PLANTED.iter().map(|(task, ..)| task).chain(&HARMLESS) {
        env.run(["call", task, r#"{"n": 3}"#]).ok();
    }
    let refused = env.run(["push", "--verify", "1000", after.to_str().expect("UTF-8"), "--output", "json"]);
    assert_eq!(refused.code, Some(42), "{refused:?}");
    let report = refused.json();
    // Their children are replayed as well.
    let tasks = u64::try_from(PLANTED.len() + HARMLESS.len()).expect("a number");
    assert!(report["compared"].as_u64() >= Some(tasks), "{report:#}");
    assert_eq!(report["unknown"], json!(0), "{report:#}");
    let text = |found: &Value, key: &str| found[key].as_str().expect("text").replace("\": ", "\":");
    let found: BTreeMap<String, (String, String)> = report["differences"]
        .as_array()
        .expect("differences")
        .iter()
        .map(|found| {
            let what = text(found, "what");
            let task = what.strip_suffix(r#" [{"n":3}]"#).unwrap_or_else(|| panic!("{what}"));
            (task.to_owned(), (text(found, "before"), text(found, "now")))
        })
        .collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), PLANTED.map(|(task, ..)| task), "{report:#}");
    for (task, before, now) in PLANTED {
        assert_eq!(found[task].0, before, "{task}");
        assert!(found[task].1.starts_with(now), "{task}: {}", found[task].1);
    }
    // Nothing was pushed, and the same code is no change.
    let again = env.run(["push", "--verify", "1000", before.to_str().expect("UTF-8"), "--output", "json"]);
    assert_eq!((again.code, &again.json()["new"]), (Some(0), &json!(false)), "{again:?}");
    worker.stop().ok();
}

#[test]
fn changes_in_rust_are_told_apart() {
    changes_are_told_apart(&Env::new(), "rust/rust-changes-VERSION.wasm");
}

#[test]
fn changes_are_told_apart_on_redis() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    changes_are_told_apart(&redis::env_on(redis::url(&server)), "rust/rust-changes-VERSION.wasm");
}

#[test]
fn changes_are_told_apart_on_redis_and_dynamodb() {
    let Some((env, _server)) = redis_and_dynamodb() else { return };
    changes_are_told_apart(&env, "rust/rust-changes-VERSION.wasm");
}

#[test]
fn changes_in_python_are_told_apart() {
    changes_are_told_apart(&Env::new(), "python/changes-VERSION.wasm");
}

#[test]
fn changes_in_typescript_are_told_apart() {
    changes_are_told_apart(&Env::new(), "typescript/changes-VERSION.wasm");
}

/// Without a revision there are only the records of the calls. They name the children that a call had to wait for.
#[test]
fn calls_of_components_from_files_are_compared_with_their_records() {
    let env = Env::new();
    let [before, after] =
        ["before", "after"].map(|version| component(version, "rust/rust-changes-VERSION.wasm").display().to_string());
    let worker = env.start(["run", "--topic", TOPIC, &before]);
    worker.wait_for_stderr("serving topic");
    for task in ["planted_child", "planted_result", "harmless_batch"] {
        env.run(["call", task, r#"{"n": 3}"#]).ok();
    }
    worker.stop().ok();
    let refused = env.run(["push", "--verify", "1000", &after, "--output", "json"]);
    assert_eq!(refused.code, Some(42), "{refused:?}");
    let report = refused.json();
    let what = report["differences"].as_array().expect("differences").iter();
    let what: Vec<_> = what.map(|found| found["what"].as_str().expect("text").split(' ').next()).collect();
    assert_eq!(what, [Some("planted_result"), Some("planted_child")], "{report:#}");
}
