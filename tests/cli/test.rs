//! `brrr-host test`: which mistakes it finds, and what it says.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{Ended, Env, guest};
use crate::http_server::HttpServer;

fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/support/fixtures/test").join(name);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn component(path: &str) -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(path);
    built.canonicalize().unwrap_or_else(|_| panic!("{path} is missing: build it with scripts/guests.sh"))
}

/// Runs `test` on the Rust conformance guest with these cases.
fn with_cases(env: &Env, cases: &str, more: &[&str]) -> Ended {
    let cases = env.write("cases.toml", cases);
    run(env, &guest(), &cases, more)
}

fn run(env: &Env, component: &Path, cases: &Path, more: &[&str]) -> Ended {
    let paths = [component.to_str().expect("UTF-8"), cases.to_str().expect("UTF-8")];
    env.run(["test"].iter().chain(&paths).chain(more))
}

fn contains_all(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stdout.contains(word) || ended.stderr.contains(word), "{word:?} is not in {ended:#?}");
    }
}

/// The findings of a case: level and word.
fn found<'a>(document: &'a Value, case: &str) -> Vec<(&'a str, &'a str)> {
    let cases = document["cases"].as_array().expect("cases");
    let named = cases.iter().find(|found| found["name"].as_str().is_some_and(|name| name.starts_with(case)));
    let named = named.unwrap_or_else(|| panic!("no case {case} in {document:#}"));
    let findings = named["findings"].as_array();
    let text = |finding: &'a Value, key: &str| finding[key].as_str().expect("a text");
    findings.expect("findings").iter().map(|finding| (text(finding, "level"), text(finding, "what"))).collect()
}

const PASSES: &str = r#"
[[case]]
name = "greets"
task = "hello"
input = { greetee = "John" }
result = "Hello, John!"

[[case]]
task = "gather"
input = { n = 3 }
result = [0, 10, 2]
children = [{ task = "leaf", input = { i = 1 }, result = 10 }]
"#;

#[test]
fn cases_pass() {
    let env = Env::new();
    let ended = with_cases(&env, PASSES, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    contains_all(
        &ended,
        &["ok    greets (hello)", "11 orders", "PEAK MEMORY", "no case for: noop", "2 cases: 2 passed"],
    );
    // The file with the cases is beside the component, and no argument names it.
    std::fs::copy(guest(), env.path("guest.wasm")).expect("a copy");
    assert_eq!(env.run(["test", "guest.wasm"]).code, Some(0));
}

#[test]
fn a_failure_has_its_line_and_a_diff() {
    let env = Env::new();
    let cases = "[[case]]\ntask = \"gather\"\ninput = { n = 20 }\nresult = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 99, 15, 16, 17, 18, 19]\n";
    let ended = with_cases(&env, cases, &[]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(
        &ended,
        &["FAIL  gather", "cases.toml:1", "-expected +got", "-   99,", "+   14,", "1 case: 0 passed, 1 failed"],
    );
    let ended = with_cases(&env, "[[case]]\ntask = \"hello\"\ninput = { greetee = \"x\" }\nresult = \"Hi\"\n", &[]);
    contains_all(&ended, &["expected \"Hi\"", "got      \"Hello, x!\""]);
}

#[test]
fn a_call_without_a_result_is_named() {
    let env = Env::new();
    let ended = with_cases(&env, "[[case]]\ntask = \"unknown_child\"\n", &[]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(&ended, &["no_such_task {}", "[[case.child]]", "task = \"no_such_task\""]);
    let ended = with_cases(&env, "[[case]]\ntask = \"helo\"\n", &[]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(&ended, &["no task helo", "its tasks: hello"]);
}

/// A declared job over two languages.
#[test]
fn other_components_handle_its_calls() {
    let env = Env::new();
    let job = r#"{"name": "j", "context": {"fruit": ["banana"], "liquids": ["water"]}, "tasks": [
        {"name": "dice-banana", "handler": "dice", "arguments": {"fruit": "banana"}},
        {"name": "blend", "depends_on": ["dice-banana"]}, {"name": "garnish", "depends_on": ["blend"]}]}"#;
    let cases =
        env.write("cases.toml", format!("[[case]]\ntask = \"dag\"\nany-result = true\ninput-json = \'\'\'{job}\'\'\'"));
    let dag = component("rust/rust-dag.wasm");
    let alone = run(&env, &dag, &cases, &[]);
    assert_eq!(alone.code, Some(60), "{alone:#?}");
    contains_all(&alone, &["it calls dice", "banana", "[[case.child]]"]);
    let others = ["python/smoothie.wasm", "typescript/smoothie.wasm"].map(component);
    let with: Vec<&str> = others.iter().flat_map(|other| ["--with", other.to_str().expect("UTF-8")]).collect();
    let ended = run(&env, &dag, &cases, &[&with[..], &["--output", "json"]].concat());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let document: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let smoothie = document["cases"][0]["end"]["result"]["smoothie"].as_str().expect("a smoothie");
    assert!(smoothie.starts_with("sugar + "), "{document:#}");
    assert_eq!(document["untested"], serde_json::json!([]));
}

#[test]
fn an_unused_entry_is_a_warning() {
    let env = Env::new();
    let cases = "[[case]]\ntask = \"hello\"\ninput = { greetee = \"x\" }\nresult = \"Hello, x!\"\n\n[[case.child]]\ntask = \"leaf\"\nresult = 1\n";
    let ended = with_cases(&env, cases, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    contains_all(&ended, &["warning: nothing asked for", "leaf (line 6)", "1 warning"]);
}

#[test]
fn update_writes_only_missing_and_different_results() {
    let env = Env::new();
    let before = r#"# Kept.
[[case]]
task = "hello"   # also kept
input = { greetee = "John" }
result = "Hi"   # in its place

[[case]]
task = "noop"

[[case]]
task = "prints"
input = { line = "it" }
output = []

[[case]]
task = "fails"
input = { message = "no use" }

[[case]]
# A race: there is no one result to write.
task = "race"
input = { slow = "a", gate = "b" }
"#;
    let ended = with_cases(&env, before, &["--update"]);
    assert_eq!(ended.code, Some(60), "the race: {ended:#?}");
    let after = std::fs::read_to_string(env.path("cases.toml")).expect("the file");
    let expected = before
        .replace("\"Hi\"", "\"Hello, John!\"")
        .replace("\"noop\"\n", "\"noop\"\nresult-json = \"null\"\n")
        .replace("output = []\n", "output = [\"before it\", \"warning it\", \"after it\"]\nresult = \"it\"\n")
        .replace("{ message = \"no use\" }\n", "{ message = \"no use\" }\nerror = \"no use\"\n");
    assert_eq!(after, expected);
    contains_all(&ended, &["wrote result = \"Hello, John!\"", "4 of them written", "result-any-of"]);
    let again = run(&env, &guest(), &env.path("cases.toml"), &["--update", "--case", "hello"]);
    assert_eq!(again.code, Some(0), "{again:#?}");
    assert_eq!(std::fs::read_to_string(env.path("cases.toml")).expect("the file"), expected);
}

#[test]
fn filters_select_by_name_and_task() {
    let env = Env::new();
    let by_name = with_cases(&env, PASSES, &["--case", "gree"]);
    contains_all(&by_name, &["greets", "1 case: 1 passed"]);
    assert!(!by_name.stdout.contains("no case for: gather"), "a case that is left out is a case: {by_name:#?}");
    contains_all(&with_cases(&env, PASSES, &["--task", "gather"]), &["1 case: 1 passed"]);
    let none = with_cases(&env, PASSES, &["--case", "nothing"]);
    assert_eq!(none.code, Some(2), "{none:#?}");
    contains_all(&none, &["no case fits", "greets, gather"]);
}

#[test]
fn json_and_junit_say_the_same() {
    let env = Env::new();
    let cases = format!("{PASSES}\n[[case]]\nname = \"<wrong> & \\\"odd\\\"\"\ntask = \"noop\"\nresult = 1\n");
    let ended = with_cases(&env, &cases, &["--output", "json", "--junit", "report.xml"]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    let document: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&document["passed"], &document["failed"]), (&2.into(), &1.into()), "{document:#}");
    assert_eq!(found(&document, "<wrong>"), [("error", "result")]);
    assert!(document["cases"][1]["peak_memory"].as_u64().is_some_and(|bytes| bytes > 1000), "{document:#}");
    assert_eq!(document["tasks"]["gather"]["runs"], document["cases"][1]["runs"], "{document:#}");
    assert_eq!(document["cases"][1]["end"]["result"], serde_json::json!([0, 10, 2]));
    let xml = std::fs::read_to_string(env.path("report.xml")).expect("a report");
    let read = quick_junit::Report::deserialize_from_str(&xml).expect("a report in JUnit's form");
    let suite = &read.test_suites[0];
    assert_eq!((suite.tests, suite.failures), (3, 1), "{xml}");
    assert!(xml.contains("expected 1"), "{xml}");
}

#[test]
fn an_invalid_file_is_named_with_its_line() {
    let env = Env::new();
    for (cases, words) in [
        ("[[case]]\ntsak = \"hello\"\n", vec!["cases.toml, line 2 (tsak = \"hello\")", "task"]),
        ("\n[[case]]\ntask = \"hello\"\nresult = 1\nerror = \"x\"\n", vec!["cases.toml, line 2", "ends one way"]),
        ("", vec!["no [[case]]"]),
    ] {
        let ended = with_cases(&env, cases, &[]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        contains_all(&ended, &words);
    }
    std::fs::remove_file(env.path("cases.toml")).expect("removed");
    let ended = run(&env, &guest(), Path::new("cases.toml"), &[]);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    contains_all(&ended, &["no such file", "[[case]]", "task = \"hello\""]);
    assert_eq!(env.run(["test", "nothing.wasm"]).code, Some(10));
    // This folder is no project.
    assert_eq!(env.run(["test"]).code, Some(11));
}

#[test]
fn crashes_timeouts_and_memory_limits_are_reported() {
    let env = Env::new();
    let cases = r#"
[[case]]
task = "panics"
input = { message = "oh no" }
[[case]]
task = "loops"
[[case]]
task = "grows"
[[case]]
task = "grows"
name = "as expected"
error = { kind = "limit" }
[[case]]
task = "cycle_self"
name = "itself"
[[case]]
task = "cycle_a"
"#;
    let ended = with_cases(&env, cases, &["--timeout", "200ms", "--memory", "32MiB"]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(
        &ended,
        &[
            "oh no",
            "time limit of 200ms",
            "memory limit of 32 MiB",
            "ok    as expected",
            "waits for itself",
            "6 cases: 1 passed, 5 failed",
        ],
    );
}

#[test]
fn the_order_of_arrival_is_reported() {
    let env = Env::new();
    let race = "[[case]]\ntask = \"race\"\ninput = { slow = \"a\", gate = \"b\" }\n";
    let ended = with_cases(&env, &format!("{race}result = [0, 0, 2]\n"), &[]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(
        &ended,
        &[
            "depends on the order",
            "all results at once: [0,0,2]",
            "results one at a time, last to first: [1,1,2]",
            "result-any-of",
        ],
    );
    for accepts in ["result-any-of = [[0, 0, 2], [1, 1, 2]]\n", "result = [0, 0, 2]\nany-order = true\n"] {
        assert_eq!(with_cases(&env, &format!("{race}{accepts}"), &[]).code, Some(0));
    }
}

#[test]
fn two_thousand_calls_are_sampled() {
    let env = Env::new();
    let cases = "[[case]]\ntask = \"fan_out\"\ninput = { n = 2000 }\nresult = 1999000\n";
    let ended = with_cases(&env, cases, &["--orders", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    contains_all(&ended, &["replayed at 8 of 2000 points"]);
}

/// "Any result" is the same one in every order, unless the case says that the order may decide.
#[test]
fn any_result_is_one_result() {
    let env = Env::new();
    let race =
        "[[case]]\ntask = \"race\"\nfail-children = false\ninput = { slow = \"a\", gate = \"b\" }\nany-result = true\n";
    let ended = with_cases(&env, race, &[]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(&ended, &["the result depends on the order in which results arrive", "any-order = true"]);
    let ended = with_cases(&env, &format!("{race}any-order = true\n"), &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

/// What the SDK says of a handler that returns its result all the same, in its own task or in one that it calls.
#[test]
fn a_finding_of_the_sdk_fails_the_case() {
    let env = Env::new();
    let cases = env.write(
        "cases.toml",
        "[[case]]\ntask = \"forgets\"\nresult = 1\noutput = [\"in between\"]\n\n\
         [[case]]\ntask = \"calls_one_that_forgets\"\nresult = 1\n\n\
         [[case]]\ntask = \"wraps\"\nresult = 1\n",
    );
    let ended = run(&env, &component("rust/rust-mistakes.wasm"), &cases, &["--output", "json"]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    let document = ended.json();
    for case in ["forgets", "calls_one_that_forgets"] {
        assert_eq!(found(&document, case), [("error", "sdk"), ("error", "sdk")], "{document:#}");
    }
    contains_all(&ended, &["the call of leaf was never waited for", "forgets: the call of leaf was never waited for"]);
    // An error with a cause says why, if the cause does.
    assert_eq!(found(&document, "wraps"), [], "{document:#}");
}

/// There are no false alarms: the same cases pass in every language.
fn conformance(path: &str) {
    let env = Env::new();
    let guest = component(path);
    let ended = env.run(["conformance", guest.to_str().expect("UTF-8"), "--output", "json"]);
    let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    for case in document["cases"].as_array().expect("cases") {
        for finding in case["findings"].as_array().expect("findings") {
            assert!(finding["what"] == "clock-or-random", "{path}: {}: {finding:#}", case["name"]);
        }
    }
    assert_eq!(ended.code, Some(0), "{document:#}");
}

/// The component without an SDK does what its cases say, and what every guest does. A task that it lacks is named.
#[test]
fn a_component_without_an_sdk_is_tested_like_the_others() {
    let (env, bare) = (Env::new(), component("rust/rust-bare.wasm"));
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/bare/cases.toml");
    let ended = run(&env, &bare, &cases, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let bare = bare.to_str().expect("UTF-8");
    let ended = env.run(["conformance", bare, "--task", "fib"]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let ended = env.run(["conformance", bare, "--task", "gather"]);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    contains_all(&ended, &["has no task gather"]);
}

/// Which findings each mistake gives. For some mistakes the host prevents the harm. They give no error, and the result is right.
fn mistakes(path: &str) {
    let env = Env::new();
    let more = ["--output", "json", "--timeout", "2s", "--max-calls", "500"];
    let ended = run(&env, &component(path), &fixture("mistakes.toml"), &more);
    assert_eq!(ended.code, Some(60), "{ended:#?}");
    let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
    let errors = |case: &str| {
        let found = found(&document, case).into_iter().filter(|(level, _)| *level == "error");
        found.map(|(_, what)| what).collect::<Vec<_>>()
    };
    for case in ["clock", "random", "iteration_order", "mutable_global", "environment"] {
        assert_eq!(errors(case), [""; 0], "{path}: {case}: {document:#}");
    }
    assert!(found(&document, "clock").contains(&("note", "clock-or-random")), "{path}: {document:#}");
    assert!(found(&document, "random").contains(&("note", "clock-or-random")), "{path}: {document:#}");
    let hidden = found(&document, "uncaught_failure");
    let has_hidden_failure = hidden.iter().any(|(_, what)| ["child-failure", "failure-hidden"].contains(what));
    assert!(has_hidden_failure, "{path}: {hidden:?}");
    for (case, what) in [
        ("wrong_type", "result"),
        ("not_serialisable", "result"),
        ("race", "order"),
        ("leaf_calls", "result"),
        ("time_left", "time-left"),
        ("busy_wait", "result"),
        ("no_end", "no-end"),
    ] {
        assert_eq!(errors(case), [what], "{path}: {case}: {document:#}");
    }
}

/// Which findings a task gives that uses files or HTTP and also calls other tasks.
fn effects(path: &str) {
    let env = Env::new();
    let server = HttpServer::start();
    let (guest, host) = (component(path), server.host());
    let folder = env.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    let dir = format!("{}::/data", folder.display());
    let request = |per: u32| {
        let url = server.url(&format!("/turns?per={per}"));
        format!("[[case]]\ntask = \"request\"\ninput = {{ url = \"{url}\" }}\nany-result = true\n")
    };
    let file = "[[case]]\ntask = \"file\"\nany-result = true\n";
    for (cases, level, words) in [
        // The file has another number in each run.
        (file.to_owned(), "effects", vec!["know the same", "- leaf {\"i\":1}", "+ leaf {\"i\":2}", "HTTP or files"]),
        // The answer is the same in the first two runs, and another one in the replay.
        (
            request(2),
            "effects",
            vec!["a replay asks for other calls than the run before it", "- leaf", "HTTP or files"],
        ),
        // The answer is always the same, so the replay succeeds by luck.
        (request(1_000_000), "effects-repeated", vec!["uses HTTP and calls other tasks", "leaf"]),
    ] {
        let cases = env.write("cases.toml", cases);
        let ended = run(&env, &guest, &cases, &["--allow-http", &host, "--dir", &dir, "--output", "json"]);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"));
        let finding = &document["cases"][0]["findings"][0];
        assert_eq!(finding["what"], level, "{path}: {document:#}");
        let text = finding["text"].as_str().expect("a text");
        words.iter().for_each(|word| assert!(text.contains(word), "{path}: {word:?} is not in {text}"));
        assert_eq!(ended.code, Some(if level == "effects" { 60 } else { 0 }), "{document:#}");
        assert!(!ended.stderr.contains("WARN"), "the finding is reported once: {ended:#?}");
    }
    let refused = run(&env, &guest, &env.write("cases.toml", file), &[]);
    assert_eq!(refused.code, Some(60), "{refused:#?}");
    contains_all(&refused, &["/data/runs"]);
}

macro_rules! languages {
    ($($name:ident: $path:literal, $what:ident;)+) => {
        $(#[test] fn $name() { $what($path); })+
    };
}

languages! {
    no_alarm_in_rust: "rust/rust-conformance.wasm", conformance;
    no_alarm_in_python: "python/conformance.wasm", conformance;
    no_alarm_in_javascript: "javascript/conformance.wasm", conformance;
    no_alarm_in_typescript: "typescript/conformance.wasm", conformance;
    no_alarm_in_go: "go/conformance.wasm", conformance;
    no_alarm_in_c: "c/conformance.wasm", conformance;
    no_alarm_in_cpp: "cpp/conformance.wasm", conformance;
    no_alarm_in_the_asynchronous_world: "rust/rust-conformance-async.wasm", conformance;
    mistakes_in_rust: "rust/rust-mistakes.wasm", mistakes;
    mistakes_in_python: "python/mistakes.wasm", mistakes;
    mistakes_in_javascript: "javascript/mistakes.wasm", mistakes;
    effects_in_rust: "rust/rust-mistakes.wasm", effects;
    effects_in_python: "python/mistakes.wasm", effects;
    effects_in_javascript: "javascript/mistakes.wasm", effects;
}

/// The example of guests/TESTING.md, run on the task that it describes.
#[test]
fn the_example_of_the_page() {
    let page = include_str!("../../guests/TESTING.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let env = Env::new();
    let ended = run(&env, &component("rust/rust-hello.wasm"), &env.write("cases.toml", example), &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stdout.contains("warning"), "{ended:#?}");
}

/// The page lists every word that a finding can have.
#[test]
fn the_page_lists_all_words_of_findings() {
    let page = include_str!("../../guests/TESTING.md");
    let source = include_str!("../../host/src/testing/verdict.rs");
    let words = source.split("Level::").skip(1).filter_map(|rest| {
        let (_, rest) = rest.split_once(", \"")?;
        let (word, _) = rest.split_once('"')?;
        word.chars().all(|c| c.is_ascii_lowercase() || c == '-').then_some(word)
    });
    let words: Vec<&str> = words.collect();
    assert!(words.len() > 10, "{words:?}");
    words.iter().for_each(|word| assert!(page.contains(&format!("`{word}`")), "{word}"));
}
