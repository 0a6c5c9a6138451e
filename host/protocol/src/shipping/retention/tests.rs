use super::*;
use crate::model::JobId;
use crate::records::Revision;
use crate::shipping::KEEP;

const MINUTE: Millis = 60_000;
const NONE: [u64; 0] = [];

/// Revisions 1 to n, each from the minute of its number.
fn of(n: u64, weight: u8) -> DeploymentsRecord {
    let revision = |number| {
        let weight = if number == 1 { 100 } else { weight };
        Revision { number, steps: vec![Step { from: number * MINUTE, weight }], ..Revision::default() }
    };
    DeploymentsRecord { revisions: (1..=n).map(revision).collect(), last: n, ..DeploymentsRecord::default() }
}

fn job(created: Millis) -> LiveJob {
    LiveJob { job_id: JobId::from("j"), created, call: "c".into() }
}

#[test]
fn the_newest_ones_stay() {
    let later = 100 * MINUTE;
    assert_eq!(removable(&of(u64::from(KEEP), 100), &[], later), NONE);
    assert_eq!(removable(&of(u64::from(KEEP) + 2, 100), &[], later), [1, 2]);
    let few = DeploymentsRecord { keep: 1, ..of(4, 100) };
    assert_eq!(removable(&few, &[], later), [1, 2, 3]);
}

#[test]
fn what_a_live_job_has_stays() {
    let few = DeploymentsRecord { keep: 1, ..of(6, 100) };
    let later = 100 * MINUTE;
    assert_eq!(removable(&few, &[job(2 * MINUTE + 5), job(4 * MINUTE)], later), [1, 3, 5]);
    // Created before the first one.
    assert_eq!(removable(&few, &[job(0)], later), [2, 3, 4, 5]);
    let left = let_go(&few, &[1, 3, 5]);
    let numbers: Vec<u64> = left.revisions.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, [2, 4, 6]);
    for created in [2 * MINUTE + 5, 4 * MINUTE] {
        let number = |record| revision_for(record, created, &"j".into()).map(|revision| revision.number);
        assert_eq!(number(&left), number(&few));
    }
}

#[test]
fn what_a_new_job_may_get_stays() {
    let few = DeploymentsRecord { keep: 1, ..of(6, 20) };
    // Each takes a part, and the first one takes what is left.
    assert_eq!(removable(&few, &[], 100 * MINUTE), NONE);
    let mut ramped = few.clone();
    ramped.revisions[3].steps.push(Step { from: 50 * MINUTE, weight: 100 });
    assert_eq!(removable(&ramped, &[], 100 * MINUTE), [1, 2, 3]);
    // A client may have looked at its clock before that.
    assert_eq!(removable(&ramped, &[], 50 * MINUTE + 1), NONE);
    // What was in force a moment ago stays too.
    let few = DeploymentsRecord { keep: 1, ..of(6, 100) };
    assert_eq!(removable(&few, &[], 7 * MINUTE), [1, 2, 3, 4, 5]);
    assert_eq!(removable(&few, &[], 7 * MINUTE - 1), [1, 2, 3, 4]);
}
