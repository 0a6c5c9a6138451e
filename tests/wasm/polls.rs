//! What `poll` returns, and when: with each wish, and with a time.

use brrr_protocol::model::{CallHash, Failure, FailureKind, Millis, Outcome};
use brrr_protocol::ports::{Ended, Key};
use brrr_protocol::records::{RunRecord, encode_failure};
use brrr_protocol::replay::Wait;
use brrr_worker::wasm::RunLimits;
use bytes::Bytes;

use crate::fixture::Fixture;
use crate::rig::{FIRST_RUN, Rig, Run};

/// Wishes in the fixture's payload.
const ALL: u8 = 255;
const PROGRESS: u8 = 254;

/// A call that makes these polls: number of children, wish, time.
struct Handler {
    rig: Rig,
    payload: Vec<u8>,
    before: Option<RunRecord>,
}

async fn handler(polls: &[(u8, u8, Millis)]) -> Handler {
    let fixture = Fixture { name: "polls", tasks: &[("polls", false, None)], ..Fixture::default() };
    let rig = Rig::new(&fixture, RunLimits::default()).await;
    let payload =
        polls.iter().flat_map(|(children, need, until)| [*children, *need].into_iter().chain(until.to_le_bytes()));
    Handler { rig, payload: payload.collect(), before: None }
}

fn child(n: u8) -> CallHash {
    CallHash::derive("child", &[n])
}

fn children(wait: &Wait) -> Vec<CallHash> {
    wait.calls.iter().map(|call| call.hash.clone()).collect()
}

impl Handler {
    /// From now on these children have a value.
    async fn succeed(&self, children: &[u8]) {
        for n in children {
            self.rig.backend.store().put(&Key::value(&child(*n)), Bytes::from_static(b"x")).await.unwrap();
        }
    }

    /// From now on this child has failed.
    async fn fail(&self, n: u8) {
        let failure = encode_failure(&Failure::new(FailureKind::Error, "child", "no luck"));
        self.rig.backend.store().put(&Key::failure(&child(n), &"job".into()), failure).await.unwrap();
    }

    /// Runs the handler at this time. Returns what it returned: a byte for each child of each poll, 0 no outcome, 1 a value, 2 a
    /// failure. Or else what it waits for.
    async fn run(&mut self, now: Millis) -> Result<Vec<u8>, Wait> {
        let sample = self.before.as_ref().map(|run| run.sample.clone()).unwrap_or_default();
        let outcomes: Vec<Option<Outcome>> = self.rig.backend.outcomes(&"job".into(), &sample).await.unwrap();
        let (payload, before) = (self.payload.as_slice(), self.before.clone());
        let run = Run { task: "polls", payload, call: "call", before, outcomes };
        match self.rig.run_at(now, run).await.unwrap() {
            (Ended::Completed(value), _) => Ok(value.to_vec()),
            (Ended::Suspended, replay) => {
                let wait = replay.wait().expect("it waits").clone();
                self.before = Some(replay.record(&wait, String::new()));
                Err(wait)
            }
            (other, _) => panic!("{other:?}"),
        }
    }

    /// As `run`, where the handler must wait.
    async fn waits(&mut self, now: Millis) -> Wait {
        self.run(now).await.expect_err("it has all that it wants")
    }
}

#[tokio::test]
async fn a_poll_returns_what_is_there_when_its_time_has_passed() {
    let until = FIRST_RUN + 5_000;
    let mut handler = handler(&[(3, ALL, until), (3, ALL, 0)]).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert_eq!((children(&wait), wait.need, wait.until), (vec![child(0), child(1), child(2)], 3, until));
    handler.succeed(&[1]).await;
    assert_eq!(handler.waits(until - 1).await.until, until, "its time has not passed");
    let wait = handler.waits(until).await;
    assert_eq!((children(&wait), wait.until), (vec![child(0), child(2)], 0), "the second poll waits for the rest");
    handler.succeed(&[0, 2]).await;
    assert_eq!(handler.run(until + 1).await.unwrap(), [0, 1, 0, 1, 1, 1], "a replay is given what the first poll gave");
}

#[tokio::test]
async fn a_poll_that_has_what_it_wants_does_not_wait_for_its_time() {
    let mut handler = handler(&[(2, ALL, FIRST_RUN + 5_000)]).await;
    handler.waits(FIRST_RUN).await;
    handler.succeed(&[0, 1]).await;
    assert_eq!(handler.run(FIRST_RUN + 1).await.unwrap(), [1, 1]);
}

#[tokio::test]
async fn a_time_that_has_passed_ends_a_poll_at_once() {
    for until in [FIRST_RUN, FIRST_RUN - 1, 1] {
        for wish in [ALL, 2, PROGRESS] {
            let mut handler = handler(&[(2, wish, until)]).await;
            handler.succeed(&[1]).await;
            assert_eq!(handler.run(FIRST_RUN).await.unwrap(), [0, 1], "{wish}");
        }
        let mut handler = handler(&[(2, ALL, until)]).await;
        assert_eq!(handler.run(FIRST_RUN).await.unwrap(), [0, 0], "nothing is there");
    }
}

#[tokio::test]
async fn a_poll_of_no_calls_with_a_time_is_a_sleep() {
    let until = FIRST_RUN + 5_000;
    for wish in [ALL, 0, 1, PROGRESS] {
        let mut handler = handler(&[(0, wish, until), (0, wish, 0)]).await;
        let wait = handler.waits(FIRST_RUN).await;
        assert_eq!((wait.calls.len(), wait.until), (0, until), "{wish}");
        assert_eq!(handler.waits(until - 1).await.until, until, "{wish}");
        assert_eq!(handler.run(until).await.unwrap(), [0u8; 0], "{wish}");
    }
}

#[tokio::test]
async fn a_wait_for_all_ends_with_the_first_failure() {
    let mut handler = handler(&[(3, ALL, 0), (3, 3, 0)]).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert!(wait.fast && wait.pace == 0, "{wait:?}");
    handler.fail(1).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert_eq!((children(&wait), wait.fast), (vec![child(0), child(2)], false), "a race takes failures for outcomes");
    handler.succeed(&[0, 2]).await;
    assert_eq!(handler.run(FIRST_RUN).await.unwrap(), [0, 2, 0, 1, 2, 1]);
}

#[tokio::test]
async fn after_a_few_failures_a_wait_for_all_waits_for_all() {
    let mut handler = handler(&[(2, ALL, 0); 6]).await;
    handler.fail(0).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert_eq!((children(&wait), wait.fast), (vec![child(1)], false));
    handler.succeed(&[1]).await;
    let given = handler.run(FIRST_RUN).await.unwrap();
    assert_eq!(given[..4], [2, 0, 2, 0], "the first polls end with the failure, in this run as in the one before");
    assert_eq!(given[10..], [2, 1], "the last one does not");
}

#[tokio::test]
async fn a_race_is_given_exactly_as_many_outcomes() {
    let mut several = handler(&[(3, 2, 0), (3, ALL, 0)]).await;
    several.succeed(&[0, 1, 2]).await;
    assert_eq!(several.run(FIRST_RUN).await.unwrap(), [1, 1, 0, 1, 1, 1]);

    let mut failed = handler(&[(3, 1, 0)]).await;
    assert_eq!(failed.waits(FIRST_RUN).await.need, 1);
    failed.fail(2).await;
    assert_eq!(failed.run(FIRST_RUN).await.unwrap(), [0, 0, 2], "a failure is an outcome");

    let mut none = handler(&[(2, 0, 0)]).await;
    none.succeed(&[0]).await;
    assert_eq!(none.run(FIRST_RUN).await.unwrap(), [0, 0]);

    let mut more_than_there_are = handler(&[(2, 9, 0)]).await;
    let wait = more_than_there_are.waits(FIRST_RUN).await;
    assert_eq!((wait.need, wait.fast), (2, false));
    more_than_there_are.succeed(&[0]).await;
    more_than_there_are.fail(1).await;
    assert_eq!(more_than_there_are.run(FIRST_RUN).await.unwrap(), [1, 2]);
}

#[tokio::test]
async fn progress_is_given_all_that_is_there() {
    let mut handler = handler(&[(3, PROGRESS, 0), (3, ALL, 0)]).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert_eq!((wait.calls.len(), wait.need, wait.fast), (3, 3, true));
    assert!(wait.pace > 0, "some outcomes must have been there for a while: {wait:?}");
    handler.succeed(&[0, 2]).await;
    let wait = handler.waits(FIRST_RUN + 1_000).await;
    assert_eq!((children(&wait), wait.pace), (vec![child(1)], 0), "the second poll wants all");
    handler.succeed(&[1]).await;
    assert_eq!(handler.run(FIRST_RUN + 2_000).await.unwrap(), [1, 0, 1, 1, 1, 1]);
}

#[tokio::test]
async fn progress_with_a_time_ends_then() {
    let until = FIRST_RUN + 500;
    let mut handler = handler(&[(2, PROGRESS, until)]).await;
    let wait = handler.waits(FIRST_RUN).await;
    assert_eq!((wait.calls.len(), wait.until), (2, until));
    assert_eq!(handler.run(until).await.unwrap(), [0, 0]);
}
