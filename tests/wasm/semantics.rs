//! Polling, suspending, and output that is printed once.

use brrr_protocol::model::{CallHash, Failure, FailureKind, Outcome};
use brrr_protocol::ports::{Ended, Key};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Replay;
use brrr_worker::wasm::RunLimits;
use bytes::Bytes;

use crate::fixture::Fixture;
use crate::rig::{Rig, Run};

async fn parent() -> Rig {
    let tasks = [("parent", false, None), ("leaf", true, None)];
    Rig::new(&Fixture { name: "parent", tasks: &tasks, ..Fixture::default() }, RunLimits::default()).await
}

/// The record that a run leaves when it must wait.
fn left_behind(replay: &Replay) -> RunRecord {
    replay.record(replay.wait().expect("it waits"), "digest".to_owned())
}

fn run(payload: &[u8], before: Option<RunRecord>, outcomes: Vec<Option<Outcome>>) -> Run<'_> {
    Run { task: "parent", payload, call: "call", before, outcomes }
}

fn failed() -> Outcome {
    Err(Failure::new(FailureKind::Timeout, "child", "too slow"))
}

#[tokio::test]
async fn a_parent_suspends_and_is_run_again() {
    let rig = parent().await;
    let (ended, replay) = rig.run_after(run(&[3, 255, 0], None, vec![])).await.unwrap();
    assert_eq!(ended, Ended::Suspended);
    let wait = replay.wait().unwrap();
    assert_eq!((wait.calls.len(), wait.need), (3, 3));
    assert_eq!(wait.calls[1].hash, CallHash::derive("child", &[1]));
    assert_eq!(wait.calls[1].topic.as_str(), "topic");
    assert_eq!(rig.lines.take(), ["log before"]);

    let before = left_behind(&replay);
    let (ended, _) = rig
        .run_after(run(
            &[3, 255, 0],
            Some(before),
            vec![Some(Ok(Bytes::from("x"))), Some(failed()), Some(Ok(Bytes::new()))],
        ))
        .await
        .unwrap();
    assert_eq!(ended, Ended::Completed(Bytes::from_static(&[1, 2, 1])));
    assert_eq!(rig.lines.take(), ["log after"], "a line that was shown is not shown again");
}

#[tokio::test]
async fn an_existing_value_needs_no_second_run() {
    let rig = parent().await;
    let key = Key::value(&CallHash::derive("child", &[0]));
    rig.backend.store().put(&key, Bytes::from_static(b"x")).await.unwrap();
    let (ended, replay) = rig.run_after(run(&[1, 255, 0], None, vec![])).await.unwrap();
    assert_eq!(ended, Ended::Completed(Bytes::from_static(&[1])));
    assert!(replay.wait().is_none());
}

#[tokio::test]
async fn a_race_gives_as_many_outcomes_as_were_asked_for() {
    let rig = parent().await;
    let (ended, replay) = rig.run_after(run(&[3, 1, 0], None, vec![])).await.unwrap();
    assert_eq!(ended, Ended::Suspended);
    assert_eq!(replay.wait().unwrap().need, 1);
    let (ended, _) = rig
        .run_after(run(
            &[3, 1, 0],
            Some(left_behind(&replay)),
            vec![None, Some(Ok(Bytes::from("x"))), Some(Ok(Bytes::from("y")))],
        ))
        .await
        .unwrap();
    assert_eq!(ended, Ended::Completed(Bytes::from_static(&[0, 1, 0])));
}

#[tokio::test]
async fn a_failure_of_a_child_reaches_its_parent_with_its_chain() {
    let rig = parent().await;
    let (_, replay) = rig.run_after(run(&[1, 255, 1], None, vec![])).await.unwrap();
    let (ended, _) = rig.run_after(run(&[1, 255, 1], Some(left_behind(&replay)), vec![Some(failed())])).await.unwrap();
    let Ended::Failed { failure, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((&failure.kind, failure.message.as_str()), (&FailureKind::Timeout, "too slow"));
    assert_eq!(failure.chain.len(), 2);
    assert_eq!(failure.chain[1], "child: timeout: too slow");
}

#[tokio::test]
async fn an_empty_poll_answers_at_once() {
    assert_eq!(parent().await.value("parent", &[0, 255, 0]).await, "");
}

#[tokio::test]
async fn a_leaf_may_not_call() {
    let failure = parent().await.failure("leaf", &[1, 255, 0]).await;
    assert_eq!(failure.kind, FailureKind::Error);
    assert!(failure.message.contains("it is a leaf"), "{failure}");
}
