//! Schedules: workers look at them at any time, die and pause at every access, get no answers, and go on long after others have
//! done their work. Each tick has exactly one job.
//!
//! Handlers play no part here. Jobs end when a test ends them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brrr_protocol::gc::{self, Collector};
use brrr_protocol::model::{CallHash, Failure, FailureKind, JobId, Millis};
use brrr_protocol::ports::{Backend, Key};
use brrr_protocol::records::{Overlap, ScheduleSpec, SchedulesRecord};
use brrr_protocol::schedules::{GRACE, Look, Looker, Pattern, Put, Schedules, Why};
use brrr_protocol::wire::Message;
use bytes::Bytes;

use crate::graph::topic;
use crate::graphs::GRAPHS;
use crate::number;
use crate::run::finish;
use crate::transactions::backend;
use crate::watch::Participant;
use crate::world::{Answer, State, World};

/// More than a random history takes, and than a look takes.
const MOST_STEPS: usize = 400_000;
const ACCESSES: i64 = 40;

/// How long it may take to start what is left at the end of a history.
const AFTERWARDS: Millis = 60_000;

type Running = Pin<Box<dyn Future<Output = Done>>>;

/// What a participant has done, and the worker, which looks again.
enum Done {
    Looked(Box<(Looker, Look)>),
    Put(brrr_protocol::Result<()>),
}

/// A worker that looks, or a client that changes a schedule.
struct Busy {
    running: Running,
    /// The jobs that had ended when it began.
    over_before: usize,
}

/// The schedules of a history, by name: the pattern, its time zone, and the rule.
type Plan = &'static [(&'static str, &'static str, &'static str, Overlap)];

/// The clock of Berlin is moved on 2026-03-29 and 2026-10-25, that of Lord Howe Island on 2026-10-04 and 2026-04-05.
const SPRING: Millis = 1_774_700_000_000;
const AUTUMN: Millis = 1_792_800_000_000;

const ALL: Plan = &[
    ("berlin", "*/10 * * * *", "Europe/Berlin", Overlap::Allow),
    ("cancels", "*/20 * * * *", "UTC", Overlap::CancelPrevious),
    ("daily", "30 2 * * *", "Europe/Berlin", Overlap::Allow),
    ("howe", "*/30 * * * *", "Australia/Lord_Howe", Overlap::Allow),
    ("skips", "*/20 * * * *", "America/New_York", Overlap::Skip),
];

struct History {
    world: Arc<World>,
    random: fastrand::Rng,
    begin: Millis,
    /// The schedule and the tick of each job that may be started.
    ticks: HashMap<JobId, (&'static str, Millis)>,
    rules: HashMap<&'static str, Overlap>,
    /// The jobs that were started so far.
    started: BTreeSet<JobId>,
    /// The ends of the jobs, in their order.
    ended: Vec<JobId>,
    /// The ticks that passed because of an overlap, and those that a later one replaced.
    skipped: BTreeSet<(String, Millis)>,
    idle: Vec<Looker>,
    busy: Vec<Busy>,
    /// They go on when everybody else is done, or at a random moment.
    paused: Vec<Busy>,
    versions: usize,
}

impl History {
    /// Adds the schedules at this moment. The history has this many ticks of the first one.
    fn new(plan: Plan, begin: Millis, ticks: usize, random: fastrand::Rng, transactional: bool) -> (Self, Millis) {
        let world = World::new(&Arc::new(GRAPHS[0].complete()));
        world.state().transactional = transactional;
        world.state().now = begin;
        let mut history = Self {
            world,
            random,
            begin,
            ticks: HashMap::new(),
            rules: plan.iter().map(|(name, _, _, overlap)| (*name, *overlap)).collect(),
            started: BTreeSet::new(),
            ended: Vec::new(),
            skipped: BTreeSet::new(),
            idle: Vec::new(),
            busy: Vec::new(),
            paused: Vec::new(),
            versions: 0,
        };
        let first = Pattern::parse(plan[0].1, plan[0].2).unwrap();
        let end = (0..ticks).fold(begin, |at, _| first.next(at).unwrap());
        for (name, cron, tz, overlap) in plan {
            let pattern = Pattern::parse(cron, tz).unwrap();
            let all = std::iter::successors(pattern.next(begin), |tick| pattern.next(*tick));
            // The clock goes on while the last jobs start.
            for tick in all.take_while(|tick| *tick <= end + AFTERWARDS) {
                history.ticks.insert(JobId::of_tick(&topic(), name, begin, tick), (name, tick));
            }
            let spec = ScheduleSpec { tz: (*tz).to_owned(), overlap: *overlap, ..spec(cron, name, 0) };
            let client = Schedules::new(history.backend(), topic());
            finish(&history.world, client.put(name, &put(spec), begin)).unwrap();
        }
        (history, end)
    }

    fn backend(&self) -> Arc<dyn Backend> {
        backend(&self.world, Participant::Ours, None)
    }

    fn now(&self) -> Millis {
        self.world.now()
    }

    fn worker(&self) -> Looker {
        Looker::new(self.backend(), topic())
    }

    /// A worker begins to look.
    fn look(&mut self) {
        let (mut looker, now) = (self.idle.pop().unwrap_or_else(|| self.worker()), self.now());
        let running = Box::pin(async move {
            let look = looker.look(now).await;
            Done::Looked(Box::new((looker, look)))
        });
        self.busy.push(Busy { running, over_before: self.ended.len() });
    }

    /// A client begins to give the jobs of a schedule another payload.
    fn change(&mut self, name: &'static str) {
        self.versions += 1;
        let (backend, now, version) = (self.backend(), self.now(), self.versions);
        let running = Box::pin(async move {
            let client = Schedules::new(backend, topic());
            let put = match client.get(name).await {
                Err(error) => Err(error),
                Ok(None) => Ok(()),
                Ok(Some(old)) => {
                    let new = spec(&old.spec.cron, name, version);
                    let spec = ScheduleSpec { payload: new.payload, call: new.call, ..old.spec };
                    client.put(name, &put(spec), now).await.map(drop)
                }
            };
            Done::Put(put)
        });
        self.busy.push(Busy { running, over_before: self.ended.len() });
    }

    /// The participant at this position makes an access.
    fn access(&mut self, position: usize) {
        self.world.give_turn(0);
        let polled = self.busy[position].running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.check();
        let Poll::Ready(done) = polled else { return };
        let Busy { over_before, .. } = self.busy.swap_remove(position);
        match done {
            Done::Looked(looked) => self.looked(looked.0, &looked.1, over_before),
            // A client whose request has failed makes it again, or not.
            Done::Put(Ok(()) | Err(_)) => {}
        }
    }

    /// The first participant makes this many accesses, or as many as it needs.
    fn access_up_to(&mut self, accesses: i64) {
        let before = self.world.state().accesses;
        while !self.busy.is_empty() && self.world.state().accesses - before < accesses {
            self.access(0);
        }
    }

    fn looked(&mut self, looker: Looker, look: &Look, over_before: usize) {
        assert!(look.refused.is_empty(), "{look:?}");
        for skipped in &look.skipped {
            let is_right = match skipped.why {
                Why::Missed => false,
                Why::Superseded => self.rules[&*skipped.name] == Overlap::CancelPrevious,
                // A job of the schedule was alive at some moment of the look.
                Why::Overlap => {
                    let over = &self.ended[..over_before];
                    let mut jobs = self.ticks.iter().filter(|(_, (name, _))| *name == skipped.name);
                    self.rules[&*skipped.name] == Overlap::Skip
                        && jobs
                            .any(|(id, (_, tick))| *tick < skipped.tick && !over.contains(id) && self.decided_job(id))
                }
            };
            assert!(is_right, "{skipped:?} passes without a job");
            self.skipped.insert((skipped.name.clone(), skipped.tick));
        }
        self.idle.push(looker);
    }

    /// Was this job decided to start?
    fn decided_job(&self, job_id: &JobId) -> bool {
        let starting = |record: SchedulesRecord| {
            record.schedules.values().any(|schedule| schedule.starting.iter().any(|s| s.job_id == *job_id))
        };
        self.started.contains(job_id) || self.record().is_some_and(starting)
    }

    fn record(&self) -> Option<SchedulesRecord> {
        let bytes = self.world.state().records.get(&Key::schedules(&topic())).cloned()?;
        Some(SchedulesRecord::decode(&bytes).unwrap())
    }

    /// What must be true after each access.
    fn check(&mut self) {
        let state = self.world.state();
        assert_eq!(state.watch.wrong, None);
        if state.watch.jobs.len() == self.started.len() {
            return;
        }
        let new: Vec<JobId> = state.watch.jobs.keys().filter(|id| !self.started.contains(*id)).cloned().collect();
        for job_id in new {
            let Some((name, tick)) = self.ticks.get(&job_id) else { panic!("job {job_id} is the job of no tick") };
            assert!(*tick <= state.now, "the job of {tick} of {name} is started at {}", state.now);
            let others = state.watch.jobs.iter().filter(|(id, _)| **id != job_id && self.ticks[*id].0 == *name);
            let alive = others.filter(|(_, job)| !job.is_over()).count();
            assert!(self.rules[name] == Overlap::Allow || alive == 0, "{name}: two jobs are alive at once");
            self.started.insert(job_id);
        }
    }

    /// Ends a job that is alive.
    fn end(&mut self, job_id: &JobId) {
        let failure = Failure::new(FailureKind::Error, "t", "it ends");
        finish(&self.world, self.backend().end_job(job_id, &failure, self.now())).unwrap();
        self.ended.push(job_id.clone());
    }

    fn alive(&self) -> Vec<JobId> {
        let state = self.world.state();
        let alive = state.watch.jobs.iter().filter(|(_, job)| !job.is_over());
        alive.map(|(id, _)| id.clone()).collect()
    }

    /// Everybody ends, also those who paused. Then one worker looks until nothing is left to do.
    fn go_to_the_end(&mut self) {
        self.world.state().answer = None;
        self.busy.append(&mut self.paused);
        while !self.busy.is_empty() {
            self.access(0);
        }
        for _ in 0..AFTERWARDS / GRACE.as_millis() as Millis {
            self.world.advance(GRACE.as_millis() as Millis);
            self.look();
            while !self.busy.is_empty() {
                self.access(0);
            }
            let record = self.record().unwrap();
            let starting = record.schedules.values().map(|schedule| schedule.starting.len()).sum::<usize>();
            let due = record.schedules.iter().any(|(_, schedule)| {
                let pattern = Pattern::parse(&schedule.spec.cron, &schedule.spec.tz).unwrap();
                pattern.next(schedule.decided).unwrap() <= self.now()
            });
            if starting == 0 && !due {
                return;
            }
        }
        panic!("there is no end");
    }

    /// Each tick has its job, or was skipped for a reason. A job is one call, whoever has sent its messages.
    fn check_all(&self, end: Millis) {
        let due = self.ticks.iter().filter(|(_, (_, tick))| *tick <= end);
        for (job_id, (name, tick)) in due {
            let is_skipped = self.rules[name] != Overlap::Allow && !self.started.contains(job_id);
            assert!(is_skipped || self.started.contains(job_id), "the tick {tick} of {name} has no job");
        }
        let state = self.world.state();
        let mut calls: BTreeMap<JobId, BTreeSet<CallHash>> = BTreeMap::new();
        for body in &state.watch.sent {
            let message = Message::decode(body.as_bytes()).unwrap();
            calls.entry(message.job_id).or_default().insert(message.call);
        }
        for (job_id, job) in &state.watch.jobs {
            let (sent, what) = (calls.remove(job_id).unwrap_or_default(), self.ticks[job_id]);
            assert!(sent.iter().all(|call| *call == job.call), "{what:?}: {sent:?} were sent for {}", job.call);
            // (A job that ends before its message is sent needs none.)
            assert!(job.is_over() || !sent.is_empty(), "{what:?}: its job has no message");
        }
        drop(state);
        for (name, overlap) in &self.rules {
            let last = self.ticks.values().filter(|(of, tick)| of == name && *tick <= end).map(|(_, tick)| *tick).max();
            let job = last.map(|last| JobId::of_tick(&topic(), name, self.begin, last));
            if *overlap == Overlap::CancelPrevious {
                assert!(job.is_none_or(|job| self.started.contains(&job)), "the last tick of {name} has no job");
                let alive = self.alive().iter().filter(|id| self.ticks[*id].0 == *name).count();
                assert!(alive <= 1, "{alive} jobs of {name} are alive");
            }
        }
    }

    /// Workers and clients make accesses in a random order, until the clock has come to the end.
    fn run(&mut self, workers: usize, end: Millis) {
        for _ in 0..MOST_STEPS {
            let busy = self.busy.len();
            match self.random.usize(..100) {
                // A worker or client dies. Another worker takes its place.
                0 if busy > 0 => drop(self.busy.swap_remove(self.random.usize(..busy))),
                1 if busy > 0 => {
                    let paused = self.busy.swap_remove(self.random.usize(..busy));
                    self.paused.push(paused);
                }
                2 if !self.paused.is_empty() => {
                    let resumed = self.paused.swap_remove(self.random.usize(..self.paused.len()));
                    self.busy.push(resumed);
                }
                3 => {
                    let answer = if self.random.bool() { Answer::Lost } else { Answer::Refused };
                    self.world.state().answer = Some(answer);
                }
                4 => {
                    let alive = self.alive();
                    if let Some(job_id) = self.random.choice(alive.iter()).cloned() {
                        self.world.state().answer = None;
                        self.end(&job_id);
                    }
                }
                5 if self.random.u8(..3) == 0 => {
                    let names: Vec<_> = self.rules.keys().copied().collect();
                    let name = self.random.choice(names).unwrap();
                    self.change(name);
                }
                6..20 if busy < workers => self.look(),
                20..24 => {
                    let most = if self.random.u8(..10) == 0 { 7_200_000 } else { 600_000 };
                    let by = if self.random.bool() { self.random.u64(..4_000) } else { self.random.u64(..most) };
                    let now = self.now();
                    if now >= end {
                        return;
                    }
                    self.world.advance(by.min(end - now));
                }
                _ if busy > 0 => {
                    let next = self.random.usize(..busy);
                    self.access(next);
                }
                _ => {}
            }
        }
        panic!("there is no end after {MOST_STEPS} steps");
    }
}

/// A spec of this version: another version has another payload.
fn spec(cron: &str, name: &str, version: usize) -> ScheduleSpec {
    let payload = Bytes::from(format!("[{{\"of\": \"{name}\", \"version\": {version}}}]"));
    let call = CallHash::derive("t", &payload);
    // Nothing is ever too late, so each tick must have its job.
    ScheduleSpec { catch_up: Duration::from_hours(24 * 365), ..ScheduleSpec::new(cron, "t", payload, call) }
}

fn put(spec: ScheduleSpec) -> Put {
    Put { spec, is_paused: None, is_declared: false, may_replace: true }
}

fn run_one(seed: u64, begin: Millis, ticks: usize, transactional: bool) -> (usize, i64) {
    let (mut history, end) = History::new(ALL, begin, ticks, fastrand::Rng::with_seed(seed), transactional);
    let workers = 1 + history.random.usize(..4);
    history.run(workers, end);
    history.go_to_the_end();
    history.check_all(end);
    assert!(history.skipped.iter().any(|(name, _)| name == "skips") || ticks < 100);
    let accesses = history.world.state().accesses;
    (history.started.len(), accesses)
}

/// A thousand ticks over each change of the clock.
#[test]
fn each_tick_has_one_job_whoever_dies() {
    let first = number("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    println!("schedules from BRRR_SEED={first}");
    let (mut jobs, mut accesses) = (0, 0);
    for (n, begin) in [SPRING, AUTUMN, SPRING, AUTUMN].into_iter().enumerate() {
        let seed = first + n as u64;
        println!("BRRR_SEED={seed}");
        let (started, made) = run_one(seed, begin, 1_000, n % 2 == 1);
        jobs += started;
        accesses += made;
    }
    println!("{jobs} jobs of schedules, {accesses} accesses");
}

/// Short histories find more: there are many beginnings, and many ends.
#[test]
fn short_histories_of_schedules_end() {
    let first = number("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    println!("schedules from BRRR_SEED={first}");
    let histories = number("BRRR_HISTORIES").map_or(300, |n| n / 20);
    for n in 0..histories {
        let seed = first + n;
        println!("BRRR_SEED={seed}");
        run_one(seed, SPRING, 20, n % 3 == 0);
    }
}

/// The first worker dies or pauses before its n-th access, while two ticks are due one after the other. The others do the rest.
/// (What a worker leaves is started by the others after [`GRACE`]: before the next tick, or after it.)
#[test]
fn a_look_may_end_at_every_access() {
    static MINUTES: Plan = &[
        ("a", "* * * * *", "UTC", Overlap::Allow),
        ("c", "* * * * *", "UTC", Overlap::CancelPrevious),
        ("s", "* * * * *", "UTC", Overlap::Skip),
    ];
    static SECONDS: Plan = &[
        ("a", "* * * * * *", "UTC", Overlap::Allow),
        ("c", "* * * * * *", "UTC", Overlap::CancelPrevious),
        ("s", "* * * * * *", "UTC", Overlap::Skip),
    ];
    look_and_end(MINUTES, 60_000);
    look_and_end(SECONDS, 1_000);
}

fn look_and_end(plan: Plan, spacing: Millis) {
    let mut histories = 0;
    for (transactional, dies) in [(false, true), (false, false), (true, true), (true, false)] {
        for (first, second) in
            (0..ACCESSES).flat_map(|first| (0..ACCESSES).step_by(3).map(move |second| (first, second)))
        {
            let (mut history, end) = History::new(plan, 0, 3, fastrand::Rng::with_seed(1), transactional);
            for accesses in [first, second] {
                history.world.advance(spacing);
                history.look();
                history.access_up_to(accesses);
                let busy = std::mem::take(&mut history.busy);
                if !dies {
                    history.paused.extend(busy);
                }
            }
            history.world.advance(spacing);
            // The third worker does everything, and then the others go on.
            history.look();
            while !history.busy.is_empty() {
                history.access(0);
            }
            history.world.advance(end.saturating_sub(history.now()));
            history.go_to_the_end();
            history.check_all(end);
            histories += 1;
        }
    }
    println!("{histories} histories of looks that end early");
}

/// Each access of a look gets no answer, or is refused.
#[test]
fn a_look_may_get_no_answer() {
    for (at, answer) in (0..ACCESSES).flat_map(|at| [(at, Answer::Lost), (at, Answer::Refused)]) {
        for transactional in [false, true] {
            let (mut history, end) = History::new(ALL, SPRING, 6, fastrand::Rng::with_seed(1), transactional);
            history.world.advance(end - SPRING);
            history.look();
            let before = history.world.state().accesses;
            while !history.busy.is_empty() {
                if history.world.state().accesses - before == at {
                    history.world.state().answer = Some(answer);
                }
                history.access(0);
            }
            history.go_to_the_end();
            history.check_all(end);
        }
    }
}

/// However many workers look at the same moment, a job costs one message.
#[test]
fn workers_that_look_at_once_send_one_message_for_a_job() {
    static PLAN: Plan = &[("a", "* * * * *", "UTC", Overlap::Allow), ("s", "* * * * *", "UTC", Overlap::Skip)];
    for seed in 0..200 {
        let (mut history, end) = History::new(PLAN, 0, 5, fastrand::Rng::with_seed(seed), false);
        while history.now() < end {
            history.world.advance(60_000);
            (0..4).for_each(|_| history.look());
            while !history.busy.is_empty() {
                let next = history.random.usize(..history.busy.len());
                history.access(next);
            }
        }
        history.check_all(end);
        let state = history.world.state();
        assert!(state.watch.jobs.len() >= 5);
        assert_eq!(state.sent, state.watch.jobs.len(), "seed {seed}: messages");
    }
}

/// A worker dies before it has noted that a job is scheduled. The job ends, and what it has left is removed. It does not begin
/// again.
#[test]
fn no_job_of_a_schedule_is_started_again_after_it_was_removed() {
    let mut removed = 0;
    for accesses in 0..ACCESSES {
        let (mut history, end) = History::new(&ALL[..1], SPRING, 1, fastrand::Rng::with_seed(1), false);
        history.world.advance(end - SPRING);
        history.look();
        history.access_up_to(accesses);
        history.busy.clear();
        let ended = history.alive();
        ended.iter().for_each(|job_id| history.end(job_id));
        let note = {
            let mut state = history.world.state();
            state.ready.clear();
            let State { watch, records, .. } = &mut *state;
            watch.note(records)
        };
        let collector = Collector::new(backend(&history.world, Participant::Collector(note), None));
        let plan = gc::Plan { now: history.now() + 1, older_than: Duration::ZERO, dry_run: false };
        removed += finish(&history.world, collector.collect(&plan, |_, _| ())).unwrap().jobs;
        history.go_to_the_end();
        for job_id in &ended {
            assert!(!history.alive().contains(job_id), "{accesses}: job {job_id} has ended, and runs again");
        }
    }
    assert!(removed > 0);
}

/// A worker dies or pauses at each access, and then the schedule is removed, and added again. What was decided has its job, and
/// nothing else has one.
#[test]
fn a_schedule_may_be_removed_at_every_access() {
    for (accesses, dies) in (0..ACCESSES).flat_map(|accesses| [(accesses, true), (accesses, false)]) {
        let (mut history, end) = History::new(&ALL[..1], SPRING, 2, fastrand::Rng::with_seed(1), false);
        history.world.advance((end - SPRING) / 2 + 1);
        history.look();
        history.access_up_to(accesses);
        let busy = std::mem::take(&mut history.busy);
        if !dies {
            history.paused = busy;
        }
        let name = ALL[0].0;
        let before = history.record().unwrap().schedules[name].clone();
        let client = Schedules::new(history.backend(), topic());
        assert!(finish(&history.world, client.remove(name, history.now())).unwrap());
        history.check();
        let decided = usize::from(before.decided > SPRING);
        assert_eq!(history.started.len(), decided, "{accesses}, {dies}: jobs of ticks that were decided");
        // It begins anew: the tick that has passed is none of its own.
        finish(&history.world, client.put(name, &put(before.spec), history.now())).unwrap();
        history.busy.append(&mut history.paused);
        while !history.busy.is_empty() {
            history.access(0);
        }
        assert_eq!(history.started.len(), decided, "{accesses}, {dies}: jobs of the new schedule");
    }
}
