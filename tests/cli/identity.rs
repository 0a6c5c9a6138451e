//! Who shares the outcome of a call: `--scope`, `--fresh`, `--own-hashes`.

use serde_json::json;

use crate::harness::{Ended, Env};
use crate::redis::{env_on, url};
use crate::servers::redis::Flavour;

/// Calls `scoped`, whose child draws a random number. Returns that number.
fn draw(env: &Env, more: &[&str]) -> String {
    env.run(["call", "scoped", "{\"scope\": null, \"i\": 1}"].iter().chain(more)).ok().to_owned()
}

#[test]
fn a_scope_says_which_jobs_share_an_outcome() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let shared = draw(&env, &[]);
    assert_eq!(draw(&env, &[]), shared, "all jobs share it, if nothing is said");
    assert_eq!(draw(&env, &["--scope", "fleet"]), shared);

    // The scope holds for the calls below the first one, too: the number is drawn by a child.
    let own = [draw(&env, &["--scope", "job"]), draw(&env, &["--scope", "job"]), draw(&env, &["--fresh"])];
    assert!(!own.contains(&shared) && own[0] != own[1] && own[1] != own[2], "{shared} {own:?}");

    let of_long = draw(&env, &["--scope", "36500d"]);
    assert_eq!(draw(&env, &["--scope", "36500d"]), of_long, "the jobs of a century share it");
    assert_ne!(of_long, shared);
    assert_eq!(draw(&env, &[]), shared, "it is still there");
}

/// A job that retries another one uses the values that are there, also those that only the first job shares.
#[test]
fn a_retry_shares_the_values_of_its_first_job() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let arguments = "{\"until\": 2}";
    let failed = env.run(["call", "flaky", arguments, "--scope", "job", "--max-retries", "0", "--output", "json"]);
    assert_eq!(failed.code, Some(30), "{failed:#?}");
    let job = failed.json()["job"].as_str().expect("a job").to_owned();
    let retried = env.run(["retry", &job, "--output", "json"]);
    assert_eq!(retried.code, Some(0), "{retried:#?}");
    let calls = [&job, retried.json()["job"].as_str().expect("a job")].map(|job| crate::control::job(&env, job));
    assert_eq!(calls[0]["tree"]["call"], calls[1]["tree"]["call"], "both jobs make the same call: {calls:?}");
}

#[test]
fn scopes_that_can_not_be() {
    let env = Env::new();
    for scope in ["", "everybody", "1", "h", "-1h", "0s"] {
        let ended = env.run(["call", "hello", "{\"greetee\": \"x\"}", &format!("--scope={scope}")]);
        assert_eq!(ended.code, Some(2), "{scope:?}: {ended:#?}");
    }
    let both = env.run(["call", "hello", "{\"greetee\": \"x\"}", "--scope", "job", "--fresh"]);
    assert_eq!(both.code, Some(2), "{both:#?}");
}

/// A call of a task that gives its children a call hash of its own.
fn with_own_hash(env: &Env, worker: &[&str], call: &[&str]) -> Ended {
    let _worker = env.worker(worker);
    let ended = env.run(["call", "call_hash", "{\"hash\": \"my own\"}", "--output", "json"].iter().chain(call));
    assert_eq!(ended.code, Some(30), "{ended:#?}");
    ended
}

const REFUSED: [&str; 2] = ["--own-hashes", "leave the hash to the host"];

/// Without the refusal, the call fails because the task gives one hash to two calls.
fn assert_refused(env: &Env, worker: &[&str], call: &[&str], refused: bool) {
    let failure = with_own_hash(env, worker, call).json()["failure"].clone();
    let kind = if refused { "error" } else { "conflict" };
    assert_eq!((&failure["kind"], &failure["attempts"]), (&json!(kind), &json!(1)), "{worker:?}: {failure}");
    for word in REFUSED.iter().filter(|_| refused) {
        assert!(failure["message"].as_str().expect("a message").contains(word), "{worker:?}: {failure}");
    }
}

/// Without the flag, the task gives one hash to two calls, which is a conflict. With the flag, it may not give a hash at all.
#[test]
fn a_worker_may_refuse_call_hashes_of_tasks() {
    for (worker, refused) in
        [(&[][..], false), (&["--own-hashes=false"], false), (&["--own-hashes"], true), (&["--own-hashes=true"], true)]
    {
        assert_refused(&Env::new(), worker, &[], refused);
    }
}

/// Fleets that share a server need not trust each other.
#[test]
fn a_worker_with_a_namespace_refuses_call_hashes_of_tasks() {
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    for (namespace, more, refused) in [("one", None, true), ("two", Some("--own-hashes=false"), false)] {
        let namespace = ["--namespace", namespace];
        let worker: Vec<_> = namespace.into_iter().chain(more).collect();
        assert_refused(&env_on(url(&server)), &worker, &namespace, refused);
    }
}

/// The hashes that the host derives by itself, and those of the existing workers, are no hashes of its own.
#[test]
fn a_worker_that_refuses_hashes_runs_usual_tasks() {
    let env = Env::new();
    let _worker = env.worker(&["--own-hashes"]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 10, \"salt\": null}"]).ok(), "55");
    assert_eq!(env.run(["call", "gather", "{\"n\": 3}"]).ok(), "[0,1,2]");
}
