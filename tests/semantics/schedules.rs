//! Schedules: jobs that are started by the clock. The tests say what time it is.

use std::collections::BTreeMap;
use std::time::Duration;

use brrr_protocol::ErrorKind;
use brrr_protocol::client::Cancelled;
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::options::Scope;
use brrr_protocol::ports::{Key, Kind, Request};
use brrr_protocol::records::{JobState, Overlap, ScheduleSpec};
use brrr_protocol::schedules::{Look, Looker, MOST_BYTES, Put, Schedules, Why};
use bytes::Bytes;

use crate::native::{Native, hash, payload};
use crate::world::{World, on_every_backend, topic};

const MINUTE: Millis = 60_000;

/// When the schedules are added: 30 s after a full minute.
const ADDED: Millis = 1_774_699_230_000;

/// The first tick of a schedule that has one each minute.
const FIRST: Millis = ADDED + MINUTE / 2;

fn spec(overlap: Overlap) -> ScheduleSpec {
    ScheduleSpec { overlap, ..ScheduleSpec::new("* * * * *", "echo", Bytes::from_static(b"x"), hash("echo", "x")) }
}

fn put(spec: ScheduleSpec) -> Put {
    Put { spec, is_paused: None, is_declared: false, may_replace: true }
}

fn handler() -> Native {
    Native::default().task("echo", |request: &Request, _| Box::pin(async move { Ok(payload(request).to_owned()) }))
}

fn schedules(world: &World) -> Schedules {
    Schedules::new(world.backend.clone(), topic())
}

fn looker(world: &World) -> Looker {
    Looker::new(world.backend.clone(), topic())
}

/// One look, by a worker that has just begun.
async fn look(world: &World, now: Millis) -> Look {
    let look = looker(world).look(now).await;
    assert!(look.failed.is_none() && look.refused.is_empty(), "{:?}: {look:?}", world.kind);
    look
}

fn ticks(look: &Look) -> Vec<Millis> {
    let mut ticks: Vec<_> = look.started.iter().map(|started| started.tick).collect();
    ticks.sort_unstable();
    ticks
}

async fn add(world: &World, name: &str, spec: ScheduleSpec) {
    schedules(world).put(name, &put(spec), ADDED).await.unwrap();
}

#[tokio::test]
async fn each_tick_starts_a_job_that_runs_anew() {
    on_every_backend(async |world: World| {
        let handler = handler();
        add(&world, "a", spec(Overlap::Allow)).await;
        assert_eq!(look(&world, FIRST - 1).await.next, Some(FIRST), "{:?}", world.kind);
        for n in 0..3 {
            let look = look(&world, FIRST + n * MINUTE + 7).await;
            assert_eq!((ticks(&look), look.next), (vec![FIRST + n * MINUTE], Some(FIRST + (n + 1) * MINUTE)));
            let job_id = &look.started[0].job_id;
            assert_eq!(world.job(job_id).await.created, FIRST + n * MINUTE + 7);
            world.drain(&handler).await;
            assert_eq!(world.state(job_id).await, Some(JobState::Completed), "{:?}", world.kind);
            assert_eq!(handler.runs("echo"), n + 1, "{:?}", world.kind);
        }
        assert!(ticks(&look(&world, FIRST + 2 * MINUTE + 8).await).is_empty());
        // With the scope of the fleet, all ticks share one value.
        let mut shared = spec(Overlap::Allow);
        shared.options.scope = Some(Scope::Fleet);
        add(&world, "a", shared).await;
        for n in 3..6 {
            look(&world, FIRST + n * MINUTE).await;
            world.drain(&handler).await;
        }
        assert_eq!(handler.runs("echo"), 4, "{:?}", world.kind);
        let all = schedules(&world).list().await.unwrap();
        assert_eq!(all["a"].last, FIRST + 5 * MINUTE);
        assert!(all["a"].starting.is_empty());
    })
    .await;
}

/// Workers look at the same moment, again and again. A tick has one job, and a job has one message.
#[tokio::test]
async fn many_workers_start_one_job_for_a_tick() {
    on_every_backend(async |world: World| {
        add(&world, "a", spec(Overlap::Allow)).await;
        add(&world, "b", spec(Overlap::Allow)).await;
        for n in 0..10 {
            let mut looks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let mut looker = looker(&world);
                looks.spawn(async move { looker.look(FIRST + n * MINUTE).await });
            }
            let looks = looks.join_all().await;
            let mut started: Vec<(String, JobId)> = Vec::new();
            for look in looks {
                assert!(look.failed.is_none(), "{:?}: {look:?}", world.kind);
                started.extend(look.started.into_iter().map(|started| (started.name, started.job_id)));
            }
            started.sort();
            let names: Vec<&str> = started.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", "b"], "{:?}", world.kind);
            for (_, job_id) in &started {
                assert_eq!(world.messages(job_id).await, 1, "{:?}", world.kind);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn missed_ticks_are_caught_up_within_their_time() {
    on_every_backend(async |world: World| {
        let hour = ScheduleSpec { catch_up: Duration::from_mins(60), ..spec(Overlap::Allow) };
        add(&world, "a", hour).await;
        // No worker was there for two hours.
        let late = look(&world, FIRST + 120 * MINUTE).await;
        assert_eq!(ticks(&late), (60..=120).map(|n| FIRST + n * MINUTE).collect::<Vec<_>>(), "{:?}", world.kind);
        assert_eq!((late.skipped[0].tick, late.skipped[0].why, late.skipped.len()), (FIRST, Why::Missed, 1));
        // More than a look starts.
        let day = ScheduleSpec { catch_up: Duration::from_hours(24), ..spec(Overlap::Allow) };
        add(&world, "a", day).await;
        let mut worker = looker(&world);
        let first = worker.look(FIRST + 270 * MINUTE).await;
        assert_eq!(ticks(&first), (121..=220).map(|n| FIRST + n * MINUTE).collect::<Vec<_>>(), "{:?}", world.kind);
        assert!(first.next.is_some_and(|next| next <= FIRST + 270 * MINUTE), "{first:?}");
        assert_eq!(worker.look(FIRST + 270 * MINUTE).await.started.len(), 50);
    })
    .await;
}

#[tokio::test]
async fn a_paused_schedule_starts_nothing_and_catches_up_nothing() {
    on_every_backend(async |world: World| {
        add(&world, "a", spec(Overlap::Allow)).await;
        let schedules = schedules(&world);
        assert!(schedules.pause("a", ADDED).await.unwrap().unwrap().is_paused);
        let paused = look(&world, FIRST + 5 * MINUTE).await;
        assert_eq!((ticks(&paused), paused.next), (vec![], None), "{:?}", world.kind);
        let resumed = schedules.resume("a", FIRST + 5 * MINUTE + 1).await.unwrap().unwrap();
        assert_eq!(resumed.next(FIRST + 5 * MINUTE + 1), Some(FIRST + 6 * MINUTE));
        assert!(ticks(&look(&world, FIRST + 5 * MINUTE + 2).await).is_empty(), "{:?}", world.kind);
        assert_eq!(ticks(&look(&world, FIRST + 6 * MINUTE).await), [FIRST + 6 * MINUTE], "{:?}", world.kind);
        for gone in [schedules.pause("b", ADDED).await.unwrap(), schedules.resume("b", ADDED).await.unwrap()] {
            assert_eq!(gone, None);
        }
    })
    .await;
}

#[tokio::test]
async fn a_tick_is_skipped_while_the_job_before_is_alive() {
    on_every_backend(async |world: World| {
        let handler = handler();
        add(&world, "a", spec(Overlap::Skip)).await;
        let first = look(&world, FIRST).await.started.remove(0).job_id;
        let second = look(&world, FIRST + MINUTE).await;
        assert_eq!((ticks(&second), second.skipped[0].why), (vec![], Why::Overlap), "{:?}", world.kind);
        world.drain(&handler).await;
        assert_eq!(world.state(&first).await, Some(JobState::Completed));
        assert_eq!(ticks(&look(&world, FIRST + 2 * MINUTE).await), [FIRST + 2 * MINUTE], "{:?}", world.kind);
        // A job that a person has started counts too.
        world.drain(&handler).await;
        assert!(schedules(&world).run_now("a", &"mine".into(), FIRST + 2 * MINUTE + 1).await.unwrap());
        assert!(ticks(&look(&world, FIRST + 3 * MINUTE).await).is_empty(), "{:?}", world.kind);
        world.drain(&handler).await;
        assert_eq!(world.state(&"mine".into()).await, Some(JobState::Completed));
        assert_eq!(handler.runs("echo"), 3, "{:?}", world.kind);
        assert!(!schedules(&world).run_now("b", &"other".into(), FIRST).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_tick_cancels_the_job_before() {
    on_every_backend(async |world: World| {
        let handler = handler();
        add(&world, "a", spec(Overlap::CancelPrevious)).await;
        let first = look(&world, FIRST).await.started.remove(0).job_id;
        let second = look(&world, FIRST + MINUTE).await.started.remove(0).job_id;
        assert_eq!(world.state(&first).await, Some(JobState::Cancelled), "{:?}", world.kind);
        assert_eq!(world.state(&second).await, None, "{:?}", world.kind);
        world.drain(&handler).await;
        assert_eq!(world.state(&second).await, Some(JobState::Completed), "{:?}", world.kind);
        // Of several ticks that are due, only the last one has a job.
        let late = look(&world, FIRST + 4 * MINUTE).await;
        assert_eq!(ticks(&late), [FIRST + 4 * MINUTE], "{:?}", world.kind);
        assert!(late.skipped.iter().all(|skipped| skipped.why == Why::Superseded), "{late:?}");
        let job_id = &late.started[0].job_id;
        assert_eq!(world.client.cancel(job_id, FIRST + 4 * MINUTE).await.unwrap(), Cancelled::Done);
    })
    .await;
}

/// A worker has died after it has decided. Another one goes on when the worker has had its time.
#[tokio::test]
async fn what_a_dead_worker_has_decided_is_started() {
    on_every_backend(async |world: World| {
        add(&world, "a", spec(Overlap::Allow)).await;
        // (The record as it is after the decision, with a job that a client has asked for before it died.)
        let key = Key::schedules(&topic());
        let before = world.backend.store().get(&key).await.unwrap().unwrap();
        let mut record = brrr_protocol::records::SchedulesRecord::decode(&before).unwrap();
        let job_id = JobId::from("decided");
        let starting =
            brrr_protocol::records::Starting { tick: ADDED, job_id: job_id.clone(), cancels: None, since: ADDED };
        record.schedules.get_mut("a").unwrap().starting.push(starting);
        world.backend.store().put(&key, record.encode().unwrap()).await.unwrap();
        let early = look(&world, ADDED + 4_999).await;
        assert_eq!((ticks(&early), early.next), (vec![], Some(ADDED + 5_000)), "{:?}", world.kind);
        assert_eq!(look(&world, ADDED + 5_000).await.started[0].job_id, job_id, "{:?}", world.kind);
        assert_eq!(world.state(&job_id).await, None, "it is alive");
        assert_eq!(world.messages(&job_id).await, 1, "{:?}", world.kind);
        assert_eq!(look(&world, ADDED + 5_001).await.next, Some(FIRST), "{:?}", world.kind);
    })
    .await;
}

#[tokio::test]
async fn a_schedule_is_put_changed_and_removed() {
    on_every_backend(async |world: World| {
        use brrr_protocol::schedules::WasPut::{Added, Changed, Exists, Same};
        let schedules = schedules(&world);
        let a = put(spec(Overlap::Allow));
        assert!(matches!(schedules.put("a", &a, ADDED).await.unwrap(), Added(_)), "{:?}", world.kind);
        assert!(matches!(schedules.put("a", &a, ADDED + 1).await.unwrap(), Same(_)), "{:?}", world.kind);
        let hourly = Put { spec: ScheduleSpec { cron: "@hourly".into(), ..a.spec.clone() }, ..a.clone() };
        let timid = Put { may_replace: false, ..hourly.clone() };
        assert!(matches!(schedules.put("a", &timid, ADDED).await.unwrap(), Exists(_)), "{:?}", world.kind);
        // With another pattern its ticks begin anew: the one at `FIRST` is none of its own.
        let Changed(changed) = schedules.put("a", &hourly, FIRST + 1).await.unwrap() else {
            panic!("{:?}", world.kind)
        };
        assert_eq!((changed.created, changed.changed, changed.decided), (ADDED, FIRST + 1, FIRST + 1));
        assert!(ticks(&look(&world, FIRST + 2).await).is_empty(), "{:?}", world.kind);
        // With another payload they go on.
        let other = ScheduleSpec { payload: Bytes::from_static(b"y"), call: hash("echo", "y"), ..hourly.spec.clone() };
        let Changed(changed) = schedules.put("a", &put(other), FIRST + 90 * MINUTE).await.unwrap() else { panic!() };
        assert_eq!(changed.decided, FIRST + 1);
        assert!(schedules.remove("a", FIRST).await.unwrap() && !schedules.remove("a", FIRST).await.unwrap());
        assert_eq!(world.backend.store().get(&Key::schedules(&topic())).await.unwrap(), None, "{:?}", world.kind);
        let wrong = put(ScheduleSpec { cron: "never".into(), ..spec(Overlap::Allow) });
        for (name, put) in [("a", &wrong), ("a b", &a)] {
            assert_eq!(schedules.put(name, put, ADDED).await.unwrap_err().kind, ErrorKind::Config);
        }
    })
    .await;
}

#[tokio::test]
async fn the_schedules_of_a_file_are_those_that_it_declares() {
    on_every_backend(async |world: World| {
        let schedules = schedules(&world);
        add(&world, "person", spec(Overlap::Allow)).await;
        let file = |names: &[&str], overlap| -> BTreeMap<String, Put> {
            names.iter().map(|name| ((*name).to_owned(), put(spec(overlap)))).collect()
        };
        let first = schedules.declare(&file(&["a", "b", "person"], Overlap::Skip), ADDED).await.unwrap();
        assert_eq!((first.added, first.of_persons), (vec!["a".to_owned(), "b".to_owned()], vec!["person".to_owned()]));
        schedules.pause("b", ADDED).await.unwrap();
        let again = schedules.declare(&file(&["b"], Overlap::Skip), ADDED).await.unwrap();
        assert_eq!((again.removed, again.changed.len()), (vec!["a".to_owned()], 0), "{:?}", world.kind);
        let third = schedules.declare(&file(&["b"], Overlap::Allow), ADDED).await.unwrap();
        assert_eq!((third.removed.len(), third.changed), (0, vec!["b".to_owned()]), "{:?}", world.kind);
        let all = schedules.list().await.unwrap();
        assert!(all["b"].is_paused && all["b"].is_declared && !all["person"].is_declared);
        assert_eq!((all.len(), all["person"].spec.overlap), (2, Overlap::Allow), "{:?}", world.kind);
    })
    .await;
}

/// The largest record still has room for what is decided.
#[tokio::test]
async fn the_schedules_of_a_topic_have_a_largest_size() {
    on_every_backend(async |world: World| {
        let schedules = schedules(&world);
        let large = |size: usize| put(ScheduleSpec { payload: vec![b'x'; size].into(), ..spec(Overlap::Allow) });
        let error = schedules.put("a", &large(MOST_BYTES), ADDED).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Limit, "{:?}: {error}", world.kind);
        assert!(error.to_string().contains("350000") && error.to_string().contains("smaller"), "{error}");
        // Many small ones, on a backend that is quick enough for so many of them.
        let mut refused = None;
        for n in 0..100 {
            match schedules.put(&format!("s{n}"), &large(5_000), ADDED).await {
                Ok(_) => {}
                Err(error) => {
                    refused = Some((n, error.kind));
                    break;
                }
            }
        }
        assert_eq!(refused, Some((66, ErrorKind::Limit)), "{:?}", world.kind);
        assert_eq!(look(&world, FIRST).await.started.len(), 66, "{:?}", world.kind);
        assert_eq!(schedules.list().await.unwrap().len(), 66);
    })
    .await;
}

/// A record that can't be read is left alone, and no worker stops because of it.
#[tokio::test]
async fn a_damaged_record_is_left_alone() {
    on_every_backend(async |world: World| {
        let key = Key::schedules(&topic());
        for (bytes, kind) in
            [(&b"damage"[..], ErrorKind::Malformed), (b"d9:schedulesde1:vi99ee", ErrorKind::NewerRecord)]
        {
            world.backend.store().put(&key, Bytes::from_static(bytes)).await.unwrap();
            let mut looker = looker(&world);
            for _ in 0..2 {
                let failed = looker.look(FIRST).await.failed.unwrap();
                assert!(failed.kind == kind && failed.to_string().contains("schedules of t"), "{failed}");
            }
            let error = schedules(&world).put("a", &put(spec(Overlap::Allow)), ADDED).await.unwrap_err();
            assert_eq!(error.kind, kind, "{:?}", world.kind);
            assert_eq!(world.backend.store().get(&key).await.unwrap().as_deref(), Some(bytes));
        }
        assert_eq!(key.kind, Kind::Schedules);
    })
    .await;
}
