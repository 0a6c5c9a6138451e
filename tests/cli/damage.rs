//! Damaged records: commands name the damaged record and go on with the others. A worker turns messages for damaged
//! calls into dead letters.

use brrr_protocol::ports::Key;
use bytes::Bytes;
use serde_json::json;

use crate::control::{job, schedule};
use crate::dlq::{id, lists};
use crate::harness::{Env, block_on, eventually};

fn damage(env: &Env, key: &Key, bytes: &'static [u8]) {
    block_on(env.backend().store().put(key, Bytes::from_static(bytes))).expect("put");
}

#[test]
fn a_damaged_job_is_named_and_hides_no_others() {
    let env = Env::new();
    let good = schedule(&env, &["fib", "{\"n\": 3}"]);
    let bad = schedule(&env, &["fib", "{\"n\": 4}"]);
    let call = job(&env, &bad)["call"].as_str().expect("a call").to_owned();
    damage(&env, &Key::job(&bad.as_str().into()), b"garbage");
    let name = format!("(job of {bad})");

    let listed = env.run(["jobs", "--output", "json"]);
    assert_eq!(listed.code, Some(0), "{listed:#?}");
    let ids: Vec<_> = listed.json()["jobs"].as_array().expect("jobs").iter().map(|job| job["job"].clone()).collect();
    assert_eq!(ids, [json!(good)]);
    assert!(listed.stderr.contains(&bad), "{listed:#?}");
    for command in ["job", "cancel", "retry"] {
        let refused = env.run([command, &bad]);
        assert!(refused.code == Some(20) && refused.stderr.contains(&name), "{command}: {refused:#?}");
    }

    // The worker meets the damaged record, and goes on with other calls.
    let worker = env.worker(&[]);
    assert_eq!(env.run(["call", "fib", "{\"n\": 3}"]).ok(), "2");
    let dead_letter = lists(&env, 1).remove(0);
    assert!(dead_letter["reason"].as_str().is_some_and(|reason| reason.contains(&name)), "{dead_letter}");
    assert_eq!(dead_letter["job"], json!(bad));
    let read = env.run(["read", "--call", &call]);
    assert!(read.code == Some(30) && read.stderr.contains(&name), "{read:#?}");
    // The call is not run any more, so it can be forgotten.
    let forgotten = env.run(["forget", "fib", "{\"n\": 3}"]);
    assert_eq!(forgotten.code, Some(0), "{forgotten:#?}");
    // The call itself is not damaged. Sent again as a new job, it goes on.
    let sent = env.run(["dlq", "send", &id(&dead_letter), "--output", "json"]);
    assert_eq!(sent.code, Some(0), "{sent:#?}");
    let again = sent.json()["sent"][0]["job"].as_str().expect("a new job").to_owned();
    eventually("it ends", || {
        let state = job(&env, &again)["state"].clone();
        if state == "completed" { Ok(()) } else { Err(state.to_string()) }
    });
    let ended = worker.stop();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(ended.stderr.contains(&name) && ended.stderr.contains("brrr-host dlq list"), "{ended:#?}");
}

#[test]
fn records_of_a_newer_version_are_not_changed() {
    let env = Env::new();
    let job_id = schedule(&env, &["fib", "{\"n\": 5}"]);
    let call = job(&env, &job_id)["call"].as_str().expect("a call").to_owned();
    let key = Key::job(&job_id.as_str().into());
    damage(&env, &key, b"d3:new1:x1:vi2ee");
    damage(&env, &Key::latest_job(&call.as_str().into()), b"d1:vi2ee");
    for (command, name) in [("job", "(job of "), ("cancel", "(job of ")] {
        let refused = env.run([command, &job_id]);
        assert_eq!(refused.code, Some(20), "{command}: {refused:#?}");
        assert!(refused.stderr.contains(name) && refused.stderr.contains("its version is 2"), "{refused:#?}");
    }
    let refused = env.run(["read", "--call", &call]);
    assert!(refused.code == Some(20) && refused.stderr.contains("(latest_job of "), "{refused:#?}");
    let kept = block_on(env.backend().store().get(&key)).expect("read");
    assert_eq!(kept.as_deref(), Some(&b"d3:new1:x1:vi2ee"[..]));
}
