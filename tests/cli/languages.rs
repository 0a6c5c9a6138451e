//! One fleet with several components: the job of `examples/smoothie`; and how to stop endless loops in each language.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Env, Running, block_on, eventually};

/// The path of a component of this repository. `scripts/guests.sh` builds it.
fn component(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/guests").join(name);
    assert!(path.exists(), "{} is missing: build it with `make guests`", path.display());
    path.canonicalize().expect("a path").to_str().expect("UTF-8").to_owned()
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // The last line may be incomplete.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// A worker with these components that writes its events.
fn worker(env: &Env, topic: &str, components: &[String], log: &Path, more: &[&str]) -> Running {
    let log = log.to_str().expect("UTF-8");
    let args = ["run", "--topic", topic, "--events", log].into_iter().chain(components.iter().map(String::as_str));
    let worker = env.start(args.chain(more.iter().copied()));
    worker.wait_for_stderr("serving topic");
    worker
}

#[test]
fn a_declared_job_runs_over_handlers_in_two_languages() {
    let env = Env::new();
    let log = env.path("events.jsonl");
    let components = ["rust/rust-dag.wasm", "python/smoothie.wasm", "typescript/smoothie.wasm"].map(component);
    let worker = worker(&env, "kitchen", &components, &log, &[]);
    let job = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/smoothie/smoothie.json");
    let job = format!("@{}", job.display());
    let context = env.run(["call", "--topic", "kitchen", "dag", &job, "--output", "json"]).json();
    let result = &context["result"];
    assert_eq!(result["fruit"], json!(["banana", "mango"]), "{context}");
    let smoothie = result["smoothie"].as_str().expect("a smoothie");
    assert!(smoothie.starts_with("sugar + "), "{smoothie}");
    worker.stop().ok();

    let all = events(&log);
    let of = |label: &str| -> Vec<(String, usize)> {
        let mine = all.iter().enumerate().filter(|(_, e)| e["label"] == label);
        mine.map(|(at, e)| (format!("{} -> {}", e["from"].as_str().unwrap(), e["to"].as_str().unwrap()), at)).collect()
    };
    for label in ["dice-banana", "dice-mango", "blend", "garnish"] {
        let states: Vec<String> = of(label).into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, ["unscheduled -> ready", "ready -> running", "running -> completed"], "{label}");
    }
    let (begins, ends) = (|label| of(label)[0].1, |label| of(label)[2].1);
    assert!(ends("dice-banana").max(ends("dice-mango")) < begins("blend"));
    assert!(ends("blend") < begins("garnish"));
    let jobs: Vec<&str> = all.iter().filter(|e| e["subject"] == "job").map(|e| e["to"].as_str().unwrap()).collect();
    assert_eq!(jobs, ["ready", "running", "completed"]);
}

#[test]
fn an_invalid_job_is_refused_before_anything_runs() {
    let env = Env::new();
    let log = env.path("events.jsonl");
    let worker = worker(&env, "kitchen", &[component("rust/rust-dag.wasm")], &log, &[]);
    let refused = |tasks: Value, words: &[&str]| {
        let job = json!({"name": "j", "tasks": tasks}).to_string();
        let ended = env.run(["call", "--topic", "kitchen", "dag", &job]);
        assert_eq!(ended.code, Some(30), "{ended:#?}");
        words.iter().for_each(|word| assert!(ended.stderr.contains(word), "{word:?} is not in {ended:#?}"));
    };
    refused(json!([{"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}]), &["a -> b -> a"]);
    refused(json!([{"name": "a", "depends_on": ["nobody"]}]), &["a", "nobody"]);
    worker.stop().ok();
    let asked: Vec<_> = events(&log).into_iter().filter(|e| e["task"] != "dag").collect();
    assert!(asked.is_empty(), "{asked:?}");
}

/// A job with more endless loops than two workers can run at once is cancelled. Both workers stop their runs, and
/// nothing of the job is left.
#[test]
fn cancel_stops_loops_in_every_language_on_every_worker() {
    for (language, guest) in [
        ("rust", "rust/rust-conformance.wasm"),
        ("python", "python/conformance.wasm"),
        ("typescript", "typescript/conformance.wasm"),
        ("c", "c/conformance.wasm"),
        ("c++", "cpp/conformance.wasm"),
    ] {
        let env = Env::new();
        let components = [component("rust/rust-dag.wasm"), component(guest)];
        let logs: Vec<PathBuf> = (0..2).map(|n| env.path(&format!("events-{n}.jsonl"))).collect();
        let workers: Vec<Running> =
            logs.iter().map(|log| worker(&env, "loops", &components, log, &["--max-running", "2"])).collect();
        let tasks: Vec<Value> =
            (0..6).map(|n| json!({"name": format!("loop-{n}"), "handler": "loops", "inputs": {}})).collect();
        let job = json!({"name": "loops", "tasks": tasks}).to_string();
        let scheduled = env.run(["schedule", "--topic", "loops", "dag", &job, "--output", "json"]).json();
        let job_id = scheduled["job"].as_str().expect("a job").to_owned();

        let in_state = |from: &str, to: &str| {
            let each = logs.iter().map(|log| events(log).into_iter().filter(|e| e["task"] == "loops"));
            each.map(|found| found.filter(|e| e["from"] == from && e["to"] == to).count()).collect::<Vec<_>>()
        };
        eventually("both workers are busy", || match in_state("ready", "running") {
            busy if busy.iter().all(|n| *n >= 2) => Ok(()),
            busy => Err(format!("{busy:?}")),
        });
        let begun = std::time::Instant::now();
        env.run(["cancel", &job_id]).ok();
        let cancelled_after = begun.elapsed();
        eventually("both workers have stopped theirs", || match in_state("running", "cancelled") {
            stopped if stopped.iter().sum::<usize>() >= 4 => Ok(()),
            stopped => Err(format!("{stopped:?}")),
        });
        eprintln!(
            "{language}: cancelled after {cancelled_after:.1?}, the last loop ended after {:.1?}",
            begun.elapsed()
        );
        eventually("nothing is left in the queue", || {
            let (backend, topic) = (env.backend(), "loops".into());
            match block_on(backend.queue().depth(&topic)) {
                Ok(0) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        for worker in workers {
            worker.stop().ok();
        }
    }
}
