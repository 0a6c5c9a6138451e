//! The handlers run natively: the SDK's own test, as a user would write one.

use brrr::testing::{batches, run};

use crate::edges::{call_hash, call_raw, call_topic, waits_for_nothing};
use crate::graph::{fan_out, fib, prints, race, race_of, sequential};
use crate::hostile::{catches, fails, fails_child, fails_for_good, unknown_child};
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
    assert_eq!(run(TASKS, fan_out(0)), Ok(0));
    assert!(batches().is_empty());
}

#[test]
fn a_race_gives_what_was_needed() {
    assert_eq!(run(TASKS, race(7, 8)), Ok((0, 7)));
    assert_eq!(run(TASKS, race_of(2, 3)), Ok(vec![Some(0), Some(1), None]));
}

#[test]
fn failures_are_seen_caught_and_passed_on() {
    let failure = run(TASKS, fails("no luck".into())).unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.task.as_str(), failure.message.as_str()), ("error", "fails", "no luck"));
    assert_eq!(run(TASKS, fails_for_good("never".into())).unwrap_err().message, "never");

    let passed = run(TASKS, fails_child("no luck".into())).unwrap_err();
    assert_eq!(passed.message, "fails failed (error): no luck");
    assert_eq!(passed.chain, ["fails_child: fails failed (error): no luck", "fails: no luck"]);

    let caught = run(TASKS, catches("no luck".into())).unwrap();
    assert_eq!(
        (caught["task"].as_str(), caught["message"].as_str(), caught["fine"].as_str()),
        ("fails", "no luck", "1")
    );

    assert!(run(TASKS, unknown_child()).unwrap_err().message.contains("no_such_task"));
    assert!(run(TASKS, waits_for_nothing()).unwrap_err().message.contains("no call"));
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
    assert_eq!(run(TASKS, graph::big_result(10)).map(|text| text.len()), Ok(8));
}
