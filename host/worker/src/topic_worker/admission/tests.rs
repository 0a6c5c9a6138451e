//! Workers that share a queue in memory. The tests check which worker runs which message, and which messages wait.

use std::sync::atomic::AtomicUsize;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::events::{Event, Observer, State as CallState, Subject};
use brrr_protocol::model::{Call, CallHash, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Ended, Handler, NewJob, Request};
use brrr_protocol::replay::Replay;
use brrr_protocol::step::Limits;
use futures_util::FutureExt as _;

use super::*;
use crate::topic_worker::{self, Shutdown, StopReason, TopicWorker, now};

/// Every wait in these tests is much shorter, unless a test hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tasks are `quick`, `long` (it ends when the test says so) and `alone` (it takes 2 ms, and runs one at a time).
struct Tasks {
    end: Semaphore,
    alone: AtomicUsize,
    /// The most runs of `alone` at once.
    most_alone: AtomicUsize,
    runs: AtomicUsize,
    /// How many runs of `long` have begun.
    long_runs: AtomicUsize,
    /// The number of events of running tasks.
    running_events: AtomicUsize,
    plain: Arc<Task>,
    one: Arc<Task>,
}

impl Tasks {
    fn new() -> Arc<Self> {
        let one = Options { max_running: Some(1), ..Options::default() };
        Arc::new(Self {
            end: Semaphore::new(0),
            alone: AtomicUsize::new(0),
            most_alone: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
            long_runs: AtomicUsize::new(0),
            running_events: AtomicUsize::new(0),
            plain: Arc::new(Task::new("digest", Options::default())),
            one: Arc::new(Task::new("digest", one)),
        })
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Handler for Tasks {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        Some(if task == "alone" { self.one.clone() } else { self.plain.clone() })
    }

    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        match request.task.as_str() {
            "long" => {
                self.long_runs.fetch_add(1, Ordering::SeqCst);
                self.end.acquire().await.expect("open").forget();
            }
            "alone" => {
                let at_once = self.alone.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_alone.fetch_max(at_once, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.alone.fetch_sub(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok((Ended::Completed("1".into()), replay))
    }
}

impl Observer for Tasks {
    fn observe(&self, event: &Event<'_>) {
        if event.subject == Subject::Task && event.to == CallState::Running {
            self.running_events.fetch_add(1, Ordering::SeqCst);
        }
    }
}

struct Fleet {
    backend: Arc<dyn Backend>,
    shutdown: Shutdown,
    workers: Vec<tokio::task::JoinHandle<Result<()>>>,
}

impl Fleet {
    async fn new() -> Self {
        let backend = brrr_backends::open("memory:").await.expect("a backend");
        Self { backend, shutdown: Shutdown::default(), workers: Vec::new() }
    }

    /// A worker that holds several messages for each run.
    fn worker(&mut self, tasks: &Arc<Tasks>, max_running: u32) -> Arc<Admission> {
        let admission = Admission::new(max_running, true);
        let options = topic_worker::WorkerOptions {
            admission: admission.clone(),
            shutdown_timeout: PATIENCE,
            limits: Limits::default(),
            observer: Some(tasks.clone()),
        };
        let worker = TopicWorker::new(self.backend.clone(), tasks.clone(), "t".into(), options, self.shutdown.clone());
        self.workers.push(tokio::spawn(worker.run()));
        admission
    }

    async fn schedule(&self, task: &str, name: &str) -> (JobId, CallHash) {
        let (job_id, hash) = (JobId::from(name), CallHash::from(name));
        let options = Options::default();
        let call = Call { hash: hash.clone(), task: task.into(), payload: "".into(), topic: "t".into(), options };
        Client::new(self.backend.clone()).schedule(&NewJob::new(job_id.clone(), call), now()).await.expect("scheduled");
        (job_id, hash)
    }

    async fn schedule_many(&self, task: &str, count: usize) -> Vec<(JobId, CallHash)> {
        let mut jobs = Vec::new();
        for i in 0..count {
            jobs.push(self.schedule(task, &format!("{task} {i}")).await);
        }
        jobs
    }

    async fn wait(&self, jobs: &[(JobId, CallHash)]) {
        for (job_id, hash) in jobs {
            let outcome = Client::new(self.backend.clone());
            let outcome = tokio::time::timeout(PATIENCE, outcome.wait(job_id, hash, now)).await;
            outcome.expect("it ends").expect("an outcome").expect("a value");
        }
    }

    async fn stop(self) {
        self.shutdown.begin(StopReason::Requested);
        for worker in self.workers {
            worker.await.expect("no panic").expect("no error");
        }
    }
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A worker that has measured quick runs, and then gets a long run with quick runs behind it.
async fn surprised(fleet: &mut Fleet, tasks: &Arc<Tasks>) -> (Arc<Admission>, Vec<(JobId, CallHash)>) {
    let admission = fleet.worker(tasks, 1);
    let warm = fleet.schedule_many("quick", 300).await;
    fleet.wait(&warm).await;
    until("the worker knows that runs are quick", async || admission.state().all.ahead(Instant::now(), MOMENT) > 3)
        .await;
    fleet.schedule("long", "another long").await;
    // Messages that are received together may start in any order, so the others come after it.
    until("the long one runs", async || tasks.long_runs.load(Ordering::SeqCst) > 0).await;
    let mut behind = Vec::new();
    for i in 0..5 {
        behind.push(fleet.schedule("quick", &format!("behind {i}")).await);
    }
    (admission, behind)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_behind_a_long_run_are_left_to_an_idle_worker() {
    let (mut fleet, tasks) = (Fleet::new().await, Tasks::new());
    let (admission, behind) = surprised(&mut fleet, &tasks).await;
    let others = Tasks::new();
    fleet.worker(&others, 1);
    fleet.wait(&behind).await;
    assert_eq!(admission.state().all.runs(), 1, "the long one still runs");
    until("nothing else is held", async || admission.state().held == 1).await;
    tasks.end.add_permits(1);
    fleet.stop().await;
    for tasks in [tasks, others] {
        assert_eq!(
            tasks.running_events.load(Ordering::SeqCst),
            tasks.runs(),
            "one event for each run, and none for a task that waited"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_admission_starts_nothing_and_nacks_waiting_messages() {
    let (mut fleet, tasks) = (Fleet::new().await, Tasks::new());
    let (_, behind) = surprised(&mut fleet, &tasks).await;
    fleet.shutdown.begin(StopReason::Requested);
    let runs = tasks.runs();
    let mut free = 0;
    while free < behind.len() {
        let more = fleet.backend.queue().receive(&"t".into(), 10, PATIENCE).await.expect("a queue").len();
        assert!(more > 0, "only {free} went back while the long one runs");
        free += more;
    }
    assert_eq!(tasks.runs(), runs);
    tasks.end.add_permits(1);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_runs_one_at_a_time_leaves_room_for_others() {
    let (mut fleet, tasks) = (Fleet::new().await, Tasks::new());
    let alone = fleet.schedule_many("alone", 200).await;
    let quick = fleet.schedule_many("quick", 20).await;
    let admission = fleet.worker(&tasks, 4);
    fleet.wait(&quick).await;
    assert!(tasks.runs() < 200, "the quick ones need not wait for all of the others");
    fleet.wait(&alone).await;
    assert_eq!(tasks.most_alone.load(Ordering::SeqCst), 1);
    fleet.stop().await;
    let mut state = admission.state();
    assert!(state.held == 0 && state.all.is_unused() && state.lane(Line::Of("alone")).expect("known").is_unused());
}

#[tokio::test]
async fn slots_are_granted_in_order_and_not_to_dropped_waiters() {
    let admission = Admission::new(1, true);
    let task = Task::new("digest", Options { max_running: Some(1), ..Options::default() });
    let tickets: Vec<Ticket> = (0..3).map(|_| admission.hold()).collect();
    let Entry::Granted(first) = tickets[0].enter("t", &task).await else { panic!("there was room") };
    let mut second = Box::pin(tickets[1].enter("t", &task));
    assert!(second.as_mut().now_or_never().is_none(), "it may wait: nobody knows how long a run takes");
    drop(second);
    assert_eq!(admission.state().lane(Line::Of("t")).expect("known").waiting, 0);
    let mut third = Box::pin(tickets[2].enter("t", &task));
    assert!(third.as_mut().now_or_never().is_none());
    drop(first);
    assert!(matches!(third.await, Entry::Granted(_)));
    admission.close();
    assert!(matches!(tickets[1].enter("t", &task).await, Entry::NotNow(Duration::ZERO)));
}
