//! Promises: `resolve` and `reject`, and what `job` shows of them.

use serde_json::{Value, json};

use crate::control::{job, schedule};
use crate::gateway::Http;
use crate::harness::{Env, eventually};

/// Starts a job that awaits the promise `approval`, and waits until it does.
fn asks(env: &Env) -> String {
    let id = schedule(env, &["asks", "{\"name\": \"approval\", \"limit\": 0}", "--fresh"]);
    eventually("the job waits for its promise", || {
        let shown = job(env, &id);
        if waits_for(&shown["tree"], "approval") { Ok(()) } else { Err(shown.to_string()) }
    });
    id
}

/// Is there an unanswered promise of this name below this call?
fn waits_for(call: &Value, name: &str) -> bool {
    let is_it = call["promise"] == name && call["state"] == "deferred";
    is_it || call["children"].as_array().into_iter().flatten().any(|child| waits_for(child, name))
}

#[test]
fn a_job_goes_on_when_its_promise_is_resolved() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let id = asks(&env);
    let shown = env.run(["job", &id]);
    for words in ["promise approval", "waits for brrr-host resolve or reject"] {
        assert!(shown.ok().contains(words), "{shown:#?}");
    }
    // Numbers keep all their digits.
    let resolved = env.run(["resolve", &id, "approval", "{\"ok\": true, \"sum\": 1.10}"]);
    assert_eq!(resolved.code, Some(0), "{resolved:#?}");
    let result = eventually("the job ends", || {
        let read = env.run(["read", "--job", &id, "--output", "json"]);
        if read.code == Some(0) { Ok(read.json()["result"].clone()) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(result, json!({"ok": true, "sum": 1.1}));
    // The job is over. The answer stays.
    for answer in [["resolve", &id, "approval", "1"], ["reject", &id, "approval", "no"]] {
        let ended = env.run(answer);
        assert_eq!(ended.code, Some(42), "{ended:#?}");
        assert!(ended.stderr.contains("is over"), "{ended:#?}");
    }
}

#[test]
fn a_rejection_is_a_failure_of_the_job() {
    let env = Env::new();
    let _worker = env.worker(&[]);
    let id = asks(&env);
    let rejected = env.run(["reject", &id, "approval", "too \u{1b}[31mexpensive", "--output", "json"]);
    assert_eq!(rejected.json(), json!({"status": "rejected", "job": id, "promise": "approval"}));
    let failed = eventually("the job ends", || {
        let read = env.run(["read", "--job", &id, "--output", "json"]);
        if read.code == Some(30) { Ok(read.json()) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(failed["failure"]["kind"], "rejected", "{failed}");
    assert!(failed["failure"]["message"].as_str().expect("a message").contains("expensive"), "{failed}");
    let shown = env.run(["job", &id]);
    assert!(!shown.stdout.contains('\u{1b}'), "{shown:#?}");
}

/// The answer may come before a worker does. The first answer stays.
#[test]
fn a_promise_may_be_answered_before_its_job_runs() {
    let env = Env::new();
    let id = schedule(&env, &["asks", "{\"name\": \"approval\", \"limit\": 0}"]);
    for (args, code, status) in [
        (["resolve", &id, "approval", "\"yes\""], 0, "resolved"),
        (["resolve", &id, "approval", "\"yes\""], 0, "resolved"),
        (["resolve", &id, "approval", "\"no\""], 42, "refused"),
        (["reject", &id, "approval", "no"], 42, "refused"),
    ] {
        let ended = env.run(args.iter().chain(&["--output", "json"]));
        assert_eq!((ended.code, &ended.json()["status"]), (Some(code), &json!(status)), "{args:?}: {ended:#?}");
    }
    let _worker = env.worker(&[]);
    let result = eventually("the job ends", || {
        let read = env.run(["read", "--job", &id]);
        if read.code == Some(0) { Ok(read.stdout) } else { Err(format!("{read:?}")) }
    });
    assert_eq!(result.trim_end(), "yes");
}

#[test]
fn an_answer_that_can_not_be_given() {
    let env = Env::new();
    let id = schedule(&env, &["asks", "{\"name\": \"approval\", \"limit\": 0}"]);
    env.run(["resolve", &id, "approval", "yes"]).refused(2, &["the value is not JSON", "quotes"]);
    env.run(["resolve", "no-such-job", "approval", "1"]).refused(40, &["no-such-job"]);
    env.run(["reject", "no-such-job", "approval", "no"]).refused(40, &["no-such-job"]);
    for name in ["", "a\nb"] {
        let ended = env.run(["resolve", &id, name, "1"]);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
    }
}

#[test]
fn the_gateway_takes_answers() {
    let env = Env::new();
    let worker = env.worker(&["--http", "127.0.0.1:0"]);
    let http = Http::of(&worker);
    // No worker serves this topic, so the job stays alive.
    let id = schedule(&env, &["asks", "{\"name\": \"approval\", \"limit\": 0}", "--topic", "later"]);
    let promise = |name: &str| format!("/v1/jobs/{id}/promises/{name}");
    let no = "{\"reason\": \"too expensive\"}";
    for (path, body, status) in [
        (promise("approval"), "{\"ok\":", 400),
        (promise("approval"), "{\"ok\": true}", 200),
        (promise("approval"), "{\"ok\": true}", 200),
        (promise("approval"), "{\"ok\": false}", 409),
        (promise("approval/reject"), no, 409),
        (promise("nothing"), "", 200),
        (promise("nothing"), "null", 200),
        (promise("other/reject"), "too expensive", 400),
        (promise("other/reject"), "{\"reason\": \"x\", \"more\": 1}", 400),
        (promise("other/reject"), no, 200),
        (promise("other/reject"), no, 200),
        (promise("other"), "1", 409),
        (promise("a%0Ab"), "1", 400),
        ("/v1/jobs/no-such-job/promises/approval".to_owned(), "1", 404),
    ] {
        let answer = http.post(&path, body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
    }
    let _later = env.worker(&["--topic", "later"]);
    let job = format!("/jobs/{id}");
    let done = eventually("the job ends", || {
        let answer = http.get(&job);
        if answer.json()["status"] == "ok" { Ok(answer) } else { Err(answer.body) }
    });
    assert_eq!(done.json()["result"], json!({"ok": true}));
    let over = http.post(&promise("late"), "1");
    assert_eq!(over.status, 409, "{}", over.body);
    assert!(over.body.contains("the job is over"), "{}", over.body);
}
