use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::records::ScheduleSpec;

const MINUTE: Millis = 60_000;

/// A schedule that was added at 0.
fn schedule(cron: &str, overlap: Overlap) -> Schedule {
    let spec = ScheduleSpec { overlap, ..ScheduleSpec::new(cron, "t", Bytes::new(), "c".into()) };
    Schedule {
        spec,
        is_declared: false,
        is_paused: false,
        created: 0,
        changed: 0,
        decided: 0,
        last: 0,
        last_job: None,
        starting: Vec::new(),
        extra: Vec::new(),
    }
}

fn record(schedules: &[(&str, Schedule)]) -> SchedulesRecord {
    let named = schedules.iter().map(|(name, schedule)| ((*name).to_owned(), schedule.clone()));
    SchedulesRecord { schedules: named.collect(), extra: Vec::new() }
}

fn decide_at(record: &mut SchedulesRecord, now: Millis, alive: &[JobId]) -> Decision {
    decide(record, &"t".into(), now, &alive.iter().cloned().collect(), &mut Timetable::default())
}

fn ticks(decision: &Decision) -> Vec<(&str, Millis)> {
    decision.start.iter().map(|(name, starting)| (name.as_str(), starting.tick)).collect()
}

fn skipped(decision: &Decision) -> Vec<(Millis, Why)> {
    decision.skipped.iter().map(|skipped| (skipped.tick, skipped.why)).collect()
}

#[test]
fn each_tick_is_decided_once() {
    let mut all =
        record(&[("a", schedule("* * * * *", Overlap::Allow)), ("b", schedule("*/2 * * * *", Overlap::Allow))]);
    assert_eq!(decide_at(&mut all, MINUTE - 1, &[]), Decision::default());
    assert_eq!(next(&all, &mut Timetable::default()), Some(MINUTE));
    let first = decide_at(&mut all, MINUTE, &[]);
    assert_eq!((ticks(&first), first.is_changed), (vec![("a", MINUTE)], true));
    assert_eq!(decide_at(&mut all, MINUTE, &[]), Decision::default());
    let second = decide_at(&mut all, 2 * MINUTE + 5, &[]);
    assert_eq!(ticks(&second), [("a", 2 * MINUTE), ("b", 2 * MINUTE)]);
    let a = &all.schedules["a"];
    assert_eq!((a.decided, a.last, a.last_job.as_ref()), (2 * MINUTE, 2 * MINUTE, Some(&second.start[0].1.job_id)));
    assert_eq!(a.starting.len(), 2);
    assert_ne!(a.starting[0].job_id, a.starting[1].job_id);
    assert_eq!(a.starting[0].job_id.as_str().len(), 32);
    // What is left to start is looked at again after the time of its worker.
    assert_eq!(next(&all, &mut Timetable::default()), Some(MINUTE + 5_000));
    // A schedule that is removed and added again has other jobs.
    let mut again = record(&[("a", Schedule { created: 1, ..schedule("* * * * *", Overlap::Allow) })]);
    assert_ne!(decide_at(&mut again, MINUTE, &[]).start[0].1.job_id, first.start[0].1.job_id);
}

#[test]
fn missed_ticks_are_caught_up_within_their_time() {
    let mut all = record(&[("a", schedule("0 * * * *", Overlap::Allow))]);
    all.schedules.get_mut("a").unwrap().spec.catch_up = Duration::from_hours(2);
    let decision = decide_at(&mut all, 300 * MINUTE, &[]);
    assert_eq!(ticks(&decision), [180, 240, 300].map(|minute| ("a", minute * MINUTE)));
    assert_eq!(skipped(&decision), [(60 * MINUTE, Why::Missed)]);
    // One millisecond later the tick at 180 would be too late.
    let mut all = record(&[("a", schedule("0 * * * *", Overlap::Allow))]);
    all.schedules.get_mut("a").unwrap().spec.catch_up = Duration::from_hours(2);
    assert_eq!(ticks(&decide_at(&mut all, 300 * MINUTE + 1, &[])), [240, 300].map(|minute| ("a", minute * MINUTE)));
    // A tick is in time for a moment, whatever the schedule says.
    let mut all = record(&[("a", schedule("0 * * * *", Overlap::Allow))]);
    all.schedules.get_mut("a").unwrap().spec.catch_up = Duration::ZERO;
    assert_eq!(ticks(&decide_at(&mut all, 60 * MINUTE + 15_000, &[])), [("a", 60 * MINUTE)]);
    let late = decide_at(&mut all, 120 * MINUTE + 15_001, &[]);
    assert_eq!((ticks(&late), skipped(&late)), (vec![], vec![(120 * MINUTE, Why::Missed)]));
    assert_eq!(decide_at(&mut all, 120 * MINUTE + 15_002, &[]), Decision::default(), "it is told once");
}

#[test]
fn a_look_starts_a_hundred_jobs_the_oldest_first() {
    let slow = Schedule { decided: 200_000, ..schedule("* * * * *", Overlap::Allow) };
    let mut all = record(&[("each-second", schedule("* * * * * *", Overlap::Allow)), ("slow", slow)]);
    let (now, mut found) = (240_500, Vec::new());
    for _ in 0..3 {
        let decision = decide_at(&mut all, now, &[]);
        assert!(decision.start.len() <= MOST_STARTING && starting(&all).count() <= MOST_STARTING);
        assert_eq!(decide_at(&mut all, now, &[]).start, [], "there is no room");
        found.extend(ticks(&decision).into_iter().map(|(name, tick)| (name.to_owned(), tick)));
        all.schedules.values_mut().for_each(|schedule| schedule.starting.clear());
    }
    assert!(found.is_sorted_by_key(|(_, tick)| *tick), "{found:?}");
    let seconds: Vec<_> = found.iter().filter(|(name, _)| name == "each-second").map(|(_, tick)| *tick).collect();
    assert_eq!(seconds, (1..=240).map(|second| second * 1000).collect::<Vec<_>>());
    assert_eq!(found.len(), 241);
}

#[test]
fn skip_lets_ticks_pass_while_the_job_before_is_alive() {
    let mut all = record(&[("a", schedule("* * * * *", Overlap::Skip))]);
    let first = decide_at(&mut all, MINUTE, &[]).start[0].1.job_id.clone();
    // It is not scheduled yet, but it will be.
    assert_eq!(skipped(&decide_at(&mut all, 2 * MINUTE, &[])), [(2 * MINUTE, Why::Overlap)]);
    all.schedules.get_mut("a").unwrap().starting.clear();
    let asks = previous_jobs(&all, 3 * MINUTE, &mut Timetable::default());
    assert_eq!(asks, std::slice::from_ref(&first));
    assert_eq!(previous_jobs(&all, 3 * MINUTE - 1, &mut Timetable::default()), [], "nothing is due");
    assert_eq!(skipped(&decide_at(&mut all, 3 * MINUTE, std::slice::from_ref(&first))), [(3 * MINUTE, Why::Overlap)]);
    assert_eq!(all.schedules["a"].last, 3 * MINUTE);
    // Of several ticks that were missed, the first has a job.
    let decision = decide_at(&mut all, 6 * MINUTE, &[]);
    assert_eq!(ticks(&decision), [("a", 4 * MINUTE)]);
    assert_eq!(skipped(&decision), [(5 * MINUTE, Why::Overlap), (6 * MINUTE, Why::Overlap)]);
    assert!(decision.start[0].1.cancels.is_none());
}

#[test]
fn cancel_previous_cancels_the_job_before() {
    let mut all = record(&[("a", schedule("* * * * *", Overlap::CancelPrevious))]);
    let first = decide_at(&mut all, MINUTE, &[]).start[0].1.clone();
    assert_eq!(first.cancels, None);
    let decision = decide_at(&mut all, 3 * MINUTE, &[]);
    assert_eq!((ticks(&decision), skipped(&decision)), (vec![("a", 3 * MINUTE)], vec![(2 * MINUTE, Why::Superseded)]));
    assert_eq!(decision.start[0].1.cancels, Some(first.job_id));
}

#[test]
fn a_paused_schedule_or_a_bad_pattern_has_no_ticks() {
    let paused = Schedule { is_paused: true, ..schedule("* * * * *", Overlap::Allow) };
    let mut all = record(&[("paused", paused), ("wrong", schedule("* * * *", Overlap::Allow))]);
    assert_eq!(decide_at(&mut all, 10 * MINUTE, &[]), Decision::default());
    assert_eq!(next(&all, &mut Timetable::default()), None);
}
