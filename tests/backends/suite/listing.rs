//! The index of the jobs by time.

use std::sync::Arc;

use brrr_protocol::model::{Call, Failure, FailureKind, Millis, system_now};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{
    Backend, IndexedJob, IndexedState, JobFilter, JobOrder, JobQuery, Key, Kind as Record, NewJob, Scheduled, Store,
    Work, is_job_cursor, message_counter,
};
use brrr_protocol::records::{JobRecord, JobState};
use bytes::Bytes;

use crate::suite::backend::{call, direct, schedule};
use crate::support::Kind;

const HOUR: Millis = 3_600_000;

/// A job of this name, task, topic and label.
fn job(name: &str, task: &str, topic: &str, label: Option<&str>) -> NewJob {
    let options = Options { label: label.map(str::to_owned), ..Options::default() };
    let call = Call { task: task.into(), topic: topic.into(), ..call(name) };
    NewJob { options, ..NewJob::new(name.into(), call) }
}

/// All jobs of a query, page by page, with pages of this size.
async fn pages(store: &dyn Store, filter: &JobFilter, order: JobOrder, limit: usize) -> Vec<IndexedJob> {
    let (mut found, mut after) = (Vec::new(), None);
    for _ in 0..1_000 {
        let query = JobQuery { filter: filter.clone(), order, after, limit };
        let page = store.jobs(&query).await.unwrap();
        assert!(page.jobs.len() <= limit, "{} jobs in a page of {limit}", page.jobs.len());
        assert!(page.jobs.iter().map(|job| &job.cursor).chain(&page.next).all(|cursor| is_job_cursor(cursor)));
        found.extend(page.jobs);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
    panic!("a list without end");
}

fn names(jobs: &[IndexedJob]) -> Vec<String> {
    jobs.iter().map(|job| job.job_id.to_string()).collect()
}

async fn names_of(store: &dyn Store, filter: &JobFilter) -> Vec<String> {
    names(&pages(store, filter, JobOrder::NewestFirst, 100).await)
}

async fn names_in(store: &dyn Store, state: IndexedState) -> Vec<String> {
    names_of(store, &JobFilter { state: Some(state), ..JobFilter::default() }).await
}

/// Ends a job in this state. `Alive`: leaves it alive.
async fn end(backend: &Arc<dyn Backend>, name: &str, state: IndexedState, now: Millis) {
    let work = Work { ends_job: true, now, ..direct(name, name) };
    let failure = |kind| Failure::new(kind, "task", "no");
    match state {
        IndexedState::Alive => {}
        IndexedState::Over(JobState::Completed) => {
            backend.complete(&work, Bytes::from_static(b"v")).await.unwrap();
        }
        IndexedState::Over(JobState::Failed) => backend.fail(&work, &failure(FailureKind::Error)).await.unwrap(),
        IndexedState::Over(JobState::Cancelled) => {
            backend.end_job(&name.into(), &failure(FailureKind::Cancelled), now).await.unwrap();
        }
        IndexedState::Over(JobState::TimedOut) => {
            backend.end_job(&name.into(), &failure(FailureKind::Timeout), now).await.unwrap();
        }
    }
}

pub async fn the_newest_jobs_come_first(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let all = JobFilter::default();
    assert!(names_of(store, &all).await.is_empty());
    let (now, mut expected) = (system_now(), Vec::new());
    for n in 0..7 {
        // With hours between some of them, and with the same time in others.
        let name = format!("j{}", n * 7 % 5 * 10 + n);
        let created = now - 8 * HOUR + n / 2 * 3 * HOUR + n;
        assert_eq!(f.backend.schedule(&job(&name, "f", "t", None), created).await.unwrap(), Scheduled::Queued);
        // A request that is repeated changes nothing.
        f.backend.schedule(&job(&name, "f", "t", None), now).await.unwrap();
        expected.insert(0, name);
    }
    for limit in [1, 2, 3, 7, 100] {
        let newest = pages(store, &all, JobOrder::NewestFirst, limit).await;
        assert_eq!(names(&newest), expected, "pages of {limit}");
        assert!(newest.windows(2).all(|pair| pair[0].position > pair[1].position));
        let mut oldest = pages(store, &all, JobOrder::OldestFirst, limit).await;
        oldest.reverse();
        assert_eq!(oldest, newest, "pages of {limit}");
        for job in newest {
            assert_eq!(store.get(&Key::job(&job.job_id)).await.unwrap(), Some(job.record));
        }
    }
    // Jobs are removed in each possible way, and written in each possible way.
    let [swapped, removed, put] = [&expected[1], &expected[3], &expected[5]].map(|id| Key::new(id, Record::Job));
    let bytes = store.get(&swapped).await.unwrap().unwrap();
    store.swap(&swapped, Some(&bytes), None).await.unwrap();
    store.remove_many(std::slice::from_ref(&removed)).await.unwrap();
    let left: Vec<String> = [0, 2, 4, 5, 6].map(|n: usize| expected[n].clone()).to_vec();
    assert_eq!(names_of(store, &all).await, left);
    let bytes = store.get(&put).await.unwrap().unwrap();
    store.put(&put, bytes.clone()).await.unwrap();
    store.swap(&put, Some(&bytes), Some(bytes.clone())).await.unwrap();
    assert_eq!(names_of(store, &all).await, left, "a record that is written again keeps its place");
    let new = JobRecord::new("c".into(), "t".into(), now + 2 * HOUR).encode();
    store.put(&Key::new("new", Record::Job), new).await.unwrap();
    assert_eq!(names_of(store, &all).await[0], "new");
}

pub async fn jobs_are_filtered(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let long = "x".repeat(300);
    let (topics, tasks, labels) = (["t", "u"], ["f", "g", &long], [None, Some("red"), Some("blue"), Some("")]);
    let mut expected = Vec::new();
    for n in 0..40_usize {
        let name = format!("j{n}");
        let (task, topic, label) = (tasks[n % 3], topics[n / 3 % 2], labels[n / 5 % 4]);
        let state = IndexedState::ALL[n / 2 % 5];
        let created = system_now() + n as u64;
        f.backend.schedule(&job(&name, task, topic, label), created).await.unwrap();
        end(&f.backend, &name, state, created).await;
        expected.insert(0, (name, state, topic, task, label));
    }
    let states = IndexedState::ALL.into_iter().map(Some).chain([None]);
    for state in states {
        for topic in [None, Some("t"), Some("nobody")] {
            for task in [None, Some("g"), Some(&*long)] {
                for label in [None, Some("red"), Some("")] {
                    let text = |text: Option<&str>| text.map(str::to_owned);
                    let filter = JobFilter {
                        state,
                        topic: text(topic),
                        task: text(task),
                        label: text(label),
                        ..JobFilter::default()
                    };
                    let matching = expected.iter().filter(|job| {
                        state.is_none_or(|state| job.1 == state)
                            && topic.is_none_or(|topic| job.2 == topic)
                            && task.is_none_or(|task| job.3 == task)
                            && (label.is_none() || job.4 == label)
                    });
                    let matching: Vec<String> = matching.map(|job| job.0.clone()).collect();
                    let found = pages(store, &filter, JobOrder::NewestFirst, 3).await;
                    assert_eq!(names(&found), matching, "{filter:?}");
                }
            }
        }
    }
    // A long text matches by its beginning. The reader compares the rest.
    let other = JobFilter { task: Some(long + "!"), ..JobFilter::default() };
    let found = pages(store, &other, JobOrder::OldestFirst, 4).await;
    assert_eq!(found.len(), 13);
    assert!(found.iter().all(|job| !other.matches_record(&JobRecord::decode(&job.record).unwrap())));
}

pub async fn a_list_of_jobs_is_bounded_by_time(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let now = system_now();
    for n in 0..12 {
        f.backend.schedule(&job(&format!("j{n}"), "f", "t", None), now - 6 * HOUR + n * HOUR / 2).await.unwrap();
        // Jobs that are accepted one after the other may have the same millisecond.
        let accepted = system_now();
        while n % 3 == 0 && system_now() == accepted {
            tokio::task::yield_now().await;
        }
    }
    let all = pages(store, &JobFilter::default(), JobOrder::NewestFirst, 100).await;
    assert_eq!(all.len(), 12);
    let times: Vec<Millis> = all.iter().map(|job| job.position / 1_000).collect();
    for since in [None, Some(times[8]), Some(times[3]), Some(times[0] + 1)] {
        for until in [None, Some(times[0]), Some(times[5]), Some(0)] {
            let filter = JobFilter { since, until, ..JobFilter::default() };
            let is_within = |job: &&IndexedJob| {
                since.is_none_or(|since| job.position >= since * 1_000)
                    && until.is_none_or(|until| job.position < until * 1_000)
            };
            let expected: Vec<IndexedJob> = all.iter().filter(is_within).cloned().collect();
            for limit in [2, 100] {
                let newest = pages(store, &filter, JobOrder::NewestFirst, limit).await;
                assert_eq!(newest, expected, "{filter:?}");
                let mut oldest = pages(store, &filter, JobOrder::OldestFirst, limit).await;
                oldest.reverse();
                assert_eq!(oldest, expected, "{filter:?}");
            }
        }
    }
    let query = JobQuery { after: Some("no cursor".into()), limit: 1, ..JobQuery::default() };
    store.jobs(&query).await.expect_err("no cursor");
}

pub async fn an_index_follows_the_states_of_jobs(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    for state in IndexedState::ALL {
        schedule(&f.backend, state.as_str(), state.as_str()).await;
    }
    assert_eq!(names_in(store, IndexedState::Alive).await.len(), 5);
    for state in IndexedState::ALL {
        // Whoever ends a job repeats that after an error.
        for _ in 0..2 {
            end(&f.backend, state.as_str(), state, 2_000).await;
        }
    }
    // The call has its value, so this job ends when it is scheduled.
    f.backend.schedule(&NewJob::new("late".into(), call("completed")), 3_000).await.unwrap();
    for state in IndexedState::ALL {
        let mut expected = vec![state.as_str()];
        if state == IndexedState::Over(JobState::Completed) {
            expected.push("late");
        }
        let mut found = names_in(store, state).await;
        found.sort();
        assert_eq!(found, expected);
    }
    // A client that finds the end of a job writes its record itself.
    let key = Key::new("alive", Record::Job);
    let bytes = store.get(&key).await.unwrap().unwrap();
    let end = brrr_protocol::records::JobEnd { state: JobState::Failed, at: 1 };
    let over = JobRecord { end: Some(end), ..JobRecord::decode(&bytes).unwrap() };
    store.swap(&key, Some(&bytes), Some(over.encode())).await.unwrap();
    assert!(names_in(store, IndexedState::Alive).await.is_empty());
    assert_eq!(names_in(store, IndexedState::Over(JobState::Failed)).await.len(), 2);
    // A job that is removed is in no list, whatever its state was.
    let keys: Vec<Key> = IndexedState::ALL.iter().map(|state| Key::new(state.as_str(), Record::Job)).collect();
    store.remove_many(&keys).await.unwrap();
    for state in IndexedState::ALL {
        let left = names_in(store, state).await;
        assert_eq!(left.len(), usize::from(state == IndexedState::Over(JobState::Completed)), "{left:?}");
    }
}

pub async fn a_list_stays_the_same_while_jobs_are_added(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let now = system_now();
    for n in 0..9 {
        f.backend.schedule(&job(&format!("j{n}"), "f", "t", None), now - HOUR + n).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None);
    for n in 0..20 {
        let page = store.jobs(&JobQuery { after, limit: 2, ..JobQuery::default() }).await.unwrap();
        found.extend(page.jobs);
        // New jobs, and jobs that end.
        f.backend.schedule(&job(&format!("new{n}"), "f", "t", None), now + n).await.unwrap();
        if n < 9 {
            end(&f.backend, &format!("j{n}"), IndexedState::Over(JobState::Completed), now).await;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names(&found), (0..9).rev().map(|n| format!("j{n}")).collect::<Vec<_>>());
}

pub async fn a_job_without_a_readable_record_is_listed_as_alive(kind: Kind) {
    let f = kind.open().await;
    let store = f.backend.store();
    let key = Key::new("j", Record::Job);
    store.put(&key, Bytes::from_static(b"damage")).await.unwrap();
    let found = pages(store, &JobFilter::default(), JobOrder::NewestFirst, 1).await;
    assert_eq!((names(&found), &found[0].record[..]), (vec!["j".to_owned()], &b"damage"[..]));
    assert_eq!(names_in(store, IndexedState::Alive).await, ["j"]);
    let mut over = JobRecord::new("c".into(), "t".into(), system_now());
    over.end = Some(brrr_protocol::records::JobEnd { state: JobState::Cancelled, at: 1 });
    store.put(&key, over.encode()).await.unwrap();
    assert!(names_in(store, IndexedState::Alive).await.is_empty());
    assert_eq!(names_in(store, IndexedState::Over(JobState::Cancelled)).await, ["j"]);
    let topic = JobFilter { topic: Some("t".into()), ..JobFilter::default() };
    assert_eq!(names_of(store, &topic).await, ["j"]);
    assert_eq!(names_of(store, &JobFilter::default()).await, ["j"]);
}

pub async fn counters_are_read_together(kind: Kind) {
    let f = kind.open().await;
    let counters = f.backend.counters();
    let keys: Vec<String> = (0..30).map(|n| message_counter(&format!("j{n}").into())).collect();
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
        counters.incr(key, n as u64).await.unwrap();
    }
    let expected: Vec<Option<u64>> = (0..30).map(|n| (n % 2 == 1).then_some(n)).collect();
    assert_eq!(counters.read_many(&keys).await.unwrap(), expected);
    assert!(counters.read_many(&[]).await.unwrap().is_empty());
}
