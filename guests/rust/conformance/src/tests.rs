//! The handlers run natively: the SDK's own test, as a user would write one.

use brrr::testing::{batches, logged, reject, resolve, run, spawned};

use crate::edges::{call_hash, call_raw, call_topic, waits_for_nothing};
use crate::graph::{chains, fan_out, fib, gather, prints, race, race_of, sequential, spawns, spawns_between};
use crate::hostile::{
    Seen, always_fails, calls_always_fails, catches, fails, fails_child, flaky, stubborn, unknown_child,
};
use crate::mixed::rust_gather;
use crate::options::{full_options, patient, sleeper};
use crate::waits::{
    asks, asks_caught, asks_or, attaches, described, fail_fast, logs_fields, nap, reads_details, scoped, sides,
    too_late, twice_late,
};
use crate::{TASKS, graph};

#[test]
fn fib_is_shared_without_a_salt_and_a_tree_with_one() {
    assert_eq!(run(TASKS, fib(16, None)), Ok(987));
    let shared = batches();
    assert_eq!((shared.len(), shared.iter().sum::<usize>()), (15, 30));

    assert_eq!(run(TASKS, fib(16, Some("x".into()))), Ok(987));
    assert_eq!(1 + batches().iter().sum::<usize>(), 3193);
}

#[test]
fn what_waits_together_is_one_batch() {
    assert_eq!(run(TASKS, fan_out(100)), Ok(4950));
    assert_eq!(batches(), [100]);
    assert_eq!(run(TASKS, sequential(4)), Ok(6));
    assert_eq!(batches(), [1; 4]);
    assert_eq!(run(TASKS, gather(5)), Ok(vec![0, 1, 2, 3, 4]));
    assert_eq!(run(TASKS, chains(3)), Ok(vec![3, 4, 5]));
    assert_eq!(batches(), [3, 3]);
    assert_eq!(run(TASKS, fan_out(0)), Ok(0));
    assert!(batches().is_empty());
}

#[test]
fn a_race_gives_what_was_needed() {
    assert_eq!(run(TASKS, race("slow".into(), "gate".into())), Ok((0, 0, 2)));
    assert_eq!(run(TASKS, race_of(2, 3)), Ok(vec![Some(0), Some(1), None]));
}

#[test]
fn failures_are_seen_caught_and_passed_on() {
    let failure = run(TASKS, fails("no luck".into())).unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.task.as_str(), failure.message.as_str()), ("error", "fails", "no luck"));

    let passed = run(TASKS, fails_child("no luck".into())).unwrap_err();
    assert_eq!(passed.message, "fails failed (error): no luck");
    assert_eq!(passed.chain, ["fails_child: fails failed (error): no luck", "fails: no luck"]);

    let caught = run(TASKS, catches("no luck".into())).unwrap();
    assert_eq!((caught.task.as_str(), caught.message.as_str(), caught.fine), ("fails", "no luck", 1));

    assert!(run(TASKS, unknown_child()).unwrap_err().message.contains("no_such_task"));
    assert!(run(TASKS, waits_for_nothing()).unwrap_err().message.contains("no call"));
}

#[test]
fn what_may_pass_is_run_again_as_often_as_the_options_say() {
    assert_eq!(run(TASKS, flaky(3)), Ok([("attempt".to_owned(), 3)].into()));
    let failure = run(TASKS, flaky(5)).unwrap_err();
    assert_eq!((failure.message.as_str(), failure.attempts), ("attempt 4 fails", 4));
    assert_eq!(run(TASKS, flaky(2).max_retries(0)).unwrap_err().attempts, 1);

    let failure = run(TASKS, stubborn()).unwrap_err();
    assert_eq!((failure.message.as_str(), failure.attempts), ("no use", 1));
    assert_eq!(run(TASKS, always_fails()).unwrap_err().attempts, 3);

    let seen = Seen { kind: "error".into(), task: "always_fails".into(), message: "never works".into(), attempts: 3 };
    assert_eq!(run(TASKS, calls_always_fails(true)), Ok(seen));
    let failure = run(TASKS, calls_always_fails(false)).unwrap_err();
    assert_eq!((failure.task.as_str(), failure.attempts), ("calls_always_fails", 1));
    assert_eq!(failure.chain[1], "always_fails: never works");
}

#[test]
fn a_run_can_see_how_much_time_it_has() {
    assert_eq!(run(TASKS, patient()), Ok("stopped in time".into()));
    assert!(run(TASKS, sleeper(0.01)).unwrap() >= 0.01);
    assert_eq!(run(TASKS, full_options()), Ok(()));
}

#[test]
fn bytes_topics_and_hashes() {
    assert_eq!(run(TASKS, call_raw(1000)), Ok((1000, true)));
    assert_eq!(run(TASKS, call_topic("elsewhere".into(), 5)), Ok(5));
    assert_eq!(run(TASKS, call_hash("mine".into())), Ok((1, 1)));
}

#[test]
fn the_rest() {
    assert_eq!(run(TASKS, prints("x".into())), Ok("x".into()));
    assert_eq!(run(TASKS, graph::hello("John".into())), Ok("Hello, John!".into()));
    assert_eq!(run(TASKS, graph::noop()), Ok(()));
    let greetings = rust_gather("x".into(), vec!["rust_greet".into()], vec![Some("elsewhere".into())]);
    assert_eq!(run(TASKS, greetings), Ok(vec!["x from rust".to_owned()]));
    assert_eq!(run(TASKS, graph::big_result(10)).map(|text| text.len()), Ok(8));
}

#[test]
fn waits_and_their_limits() {
    assert_eq!(run(TASKS, sides(1000, "s".into())).unwrap(), ["s03", "s13", "s23", "s33"]);
    let failure = run(TASKS, fail_fast(60_000, "no".into())).unwrap_err();
    assert_eq!(failure.chain[1], "fails: no");
    assert_eq!(run(TASKS, too_late(1, 60_000, "a".into())).unwrap(), "a");
    assert_eq!(run(TASKS, too_late(60_000, 1, "a".into())).unwrap(), "too late");
    assert_eq!(run(TASKS, twice_late(60_000, 1, "a".into())), Ok(("too late".into(), "a".into())));
    assert_eq!(run(TASKS, twice_late(1, 60_000, "a".into())), Ok(("a".into(), "a".into())));
    assert_eq!(run(TASKS, nap(1, "a".into())).unwrap(), "a");
}

#[test]
fn detached_jobs() {
    assert_eq!(run(TASKS, spawns(3)).unwrap(), (1..=3).map(|n| format!("{n:032x}")).collect::<Vec<_>>());
    assert!(batches().is_empty());
    let sent: Vec<_> = spawned().into_iter().map(|job| String::from_utf8(job.payload).unwrap()).collect();
    assert_eq!(sent, [0, 1, 2].map(|n| format!(r#"[{{"n": {n}, "salt": "spawn"}}]"#)));
    let (before, after) = run(TASKS, spawns_between()).unwrap();
    assert_eq!((before, after), (format!("{:032x}", 1), format!("{:032x}", 2)));
    assert_eq!(batches(), [1, 2]);
}

#[test]
fn promises() {
    assert_eq!(run(TASKS, asks("none".into(), 1)).unwrap(), "too late");
    assert_eq!(run(TASKS, asks_or("none".into(), 1, "tag".into())).unwrap(), "tag");
    resolve("yes", &[1]);
    reject("no", "never");
    assert_eq!(run(TASKS, asks("yes".into(), 0)).unwrap(), serde_json::json!([1]));
    assert_eq!(run(TASKS, asks_or("yes".into(), 1, "tag".into())).unwrap(), serde_json::json!([1]));
    let failure = run(TASKS, asks("no".into(), 0)).unwrap_err();
    assert!(failure.message.ends_with("never"), "{failure}");
    let caught = run(TASKS, asks_caught("no".into())).unwrap();
    assert_eq!((caught["kind"].as_str(), caught["message"].as_str()), ("rejected", "never"));
}

#[test]
fn details_fields_and_descriptions() {
    assert!(run(TASKS, scoped(Some("job".into()), 1)).is_ok());
    assert!(run(TASKS, scoped(Some("1m".into()), 1)).is_ok());
    assert!(run(TASKS, attaches(7)).is_err());
    assert_eq!(run(TASKS, reads_details(7)), Ok(7));
    run(TASKS, logs_fields()).unwrap();
    assert_eq!(logged()[0].fields, [("a".into(), "1".into()), ("b".into(), "two".into())]);
    assert_eq!(run(TASKS, described("ab".into(), 2)).unwrap(), "abab");
    let task = TASKS.iter().find(|task| task.name == "described").unwrap();
    assert_eq!(task.description, "Repeats a text.");
    let input: serde_json::Value = serde_json::from_str(&task.input_schema.unwrap()()).unwrap();
    assert_eq!(input["required"], serde_json::json!(["text", "times"]));
}
