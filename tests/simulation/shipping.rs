//! Code that is shipped: clients push, ramp, roll back, and call tasks of components that they send; jobs start and end; collections
//! run beside all of them. Everybody dies at any access, or gets no answer.
//!
//! After each access, all that a revision names is there, each live job has the revision that it had at first, and a component that
//! was sent stays for a while.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::digest::Digest;
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::model::{Failure, FailureKind, JobId, Millis};
use brrr_protocol::ports::{Backend, Key, NewJob};
use brrr_protocol::records::{DeployedComponent, DeploymentsRecord, ManifestRecord};
use brrr_protocol::shipping::{
    About, Change, Component, ComponentToPush, LEAST_AGE, PushOptions, Sending, put_component, revision_for, task_at,
};
use bytes::Bytes;

use crate::graph::topic;
use crate::graphs::GRAPHS;
use crate::number;
use crate::run::finish;
use crate::transactions::backend;
use crate::watch::{Participant, Records};
use crate::world::{Answer, World};

const ROUNDS: usize = 25;

/// For so long a component stays that was sent and that no revision names.
const STAYS: Millis = LEAST_AGE.as_millis() as Millis;

/// All in a round takes less time than a write may take.
const MOST_STEPS: u64 = 2_000;
const PASSES: Millis = 4;

/// Components that have chunks in common. The one that has all of them has each twice.
static COMPONENTS: LazyLock<Vec<Component>> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(1);
    let parts: Vec<Vec<u8>> = (0..3).map(|_| (0..300_000).map(|_| random.u8(..)).collect()).collect();
    let [a, b, c] = parts.as_slice() else { panic!("three parts") };
    let all = [&a[..], b, c, a, b, c].concat();
    [a.clone(), b.clone(), [&a[..], b].concat(), [&b[..], c].concat(), all]
        .into_iter()
        .map(|bytes| Component::cut(bytes.into()).unwrap())
        .collect()
});

/// What a participant has done.
enum Done {
    Changed(brrr_protocol::Result<Change>),
    /// A revision of a component that was in the store, or was not.
    Named(brrr_protocol::Result<Result<Change, Digest>>),
    Sent(usize, Millis, brrr_protocol::Result<()>),
    Other(brrr_protocol::Result<()>),
}

type Running = Pin<Box<dyn Future<Output = Done>>>;

struct History {
    world: Arc<World>,
    random: fastrand::Rng,
    jobs: u128,
    /// The revision that each job had when its record was written.
    had: HashMap<JobId, u64>,
    /// When components were sent last, by their positions.
    sent: BTreeMap<usize, Millis>,
    busy: Vec<Running>,
    /// They go on at a random moment.
    paused: Vec<Running>,
    /// Changes, sendings, collections and others, and revisions of components that were there, that have ended well.
    done: [usize; 4],
}

impl History {
    fn new(seed: u64) -> Self {
        let world = World::new(&Arc::new(GRAPHS[0].complete()));
        world.state().transactional = seed.is_multiple_of(2);
        world.state().now = 1_000_000_000_000;
        let (had, sent, busy, paused) = (HashMap::new(), BTreeMap::new(), Vec::new(), Vec::new());
        Self { world, random: fastrand::Rng::with_seed(seed), jobs: 0, had, sent, busy, paused, done: [0; 4] }
    }

    fn backend(&self) -> Arc<dyn Backend> {
        backend(&self.world, Participant::Ours, None)
    }

    fn record(&self) -> DeploymentsRecord {
        deployments(&self.world.state().records)
    }

    /// A participant begins.
    fn begin(&mut self) {
        let (client, backend, now) = (Client::new(self.backend()), self.backend(), self.world.now());
        let component = self.random.usize(..COMPONENTS.len());
        let percent = *self.random.choice([100, 100, 50, 20, 0].iter()).unwrap();
        let last = self.record().last;
        let number = 1 + self.random.u64(..last.max(1));
        let running: Running = match self.random.u8(..10) {
            0..4 => Box::pin(async move {
                let app = ComponentToPush {
                    name: "app".into(),
                    component: COMPONENTS[component].clone(),
                    about: About::default(),
                };
                let options = PushOptions { percent, keep: Some(2), ..PushOptions::default() };
                Done::Changed(client.push(&topic(), &[app], &options).await.map(|pushed| pushed.change))
            }),
            4 => Box::pin(async move { Done::Changed(client.ramp(&topic(), number, percent).await) }),
            5 => Box::pin(async move { Done::Changed(client.rollback(&topic(), None, "", "").await) }),
            6 if self.random.bool() => Box::pin(async move {
                // A component that was sent by somebody, some time ago.
                let digest = COMPONENTS[component].digest();
                let named = [DeployedComponent { digest, name: "app".into() }];
                let options = PushOptions { percent, keep: Some(2), ..PushOptions::default() };
                Done::Named(client.deploy(&topic(), &named, &options).await)
            }),
            6 => Box::pin(async move {
                let (about, sending) = (About::default(), Sending::Absent);
                let sent = put_component(backend.store(), &COMPONENTS[component], &about, sending).await;
                Done::Sent(component, now, sent.map(drop))
            }),
            7 => {
                self.jobs += 1;
                let task = if self.random.bool() { "t".into() } else { task_at("t", &COMPONENTS[component].digest()) };
                let mut call = crate::graph::call("a");
                (call.task, call.hash) = (task, format!("call {}", self.jobs).as_str().into());
                let job = NewJob::new(JobId::from_random(self.jobs), call);
                Box::pin(async move { Done::Other(client.schedule(&job, now).await.map(drop)) })
            }
            _ => {
                let records = self.world.state().records.clone();
                let note = self.world.state().watch.note(&records);
                let collector =
                    Collector::new(crate::transactions::backend(&self.world, Participant::Collector(note), None));
                let plan = Plan { now, older_than: Duration::ZERO, dry_run: false };
                Box::pin(async move { Done::Other(collector.collect(&plan, |_, _| ()).await.map(drop)) })
            }
        };
        self.busy.push(running);
    }

    /// The participant at this position makes an access.
    fn access(&mut self, position: usize) {
        self.world.give_turn(0);
        let polled = self.busy[position].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(done) = polled {
            drop(self.busy.swap_remove(position));
            match done {
                Done::Changed(Ok(Change::Refused(_)) | Err(_)) | Done::Sent(_, _, Err(_)) | Done::Other(Err(_)) => {}
                Done::Named(Ok(Ok(Change::Refused(_)) | Err(_)) | Err(_)) => {}
                Done::Changed(Ok(_)) => self.done[0] += 1,
                Done::Named(Ok(Ok(_))) => self.done[3] += 1,
                Done::Sent(component, since, Ok(())) => {
                    self.done[1] += 1;
                    self.sent.insert(component, since);
                }
                Done::Other(Ok(())) => self.done[2] += 1,
            }
        }
        self.check();
    }

    /// What must be true after each access.
    fn check(&mut self) {
        let state = self.world.state();
        assert_eq!(state.watch.wrong, None);
        let record = deployments(&state.records);
        for revision in &record.revisions {
            for component in &revision.components {
                let what = || format!("revision {} of {record:#?}", revision.number);
                check_component(&state.records, &component.digest, what);
            }
        }
        for (component, since) in &self.sent {
            if state.now < since + STAYS {
                check_component(&state.records, &COMPONENTS[*component].digest(), || format!("sent at {since}"));
            }
        }
        for (job_id, job) in state.watch.jobs.iter().filter(|(_, job)| !job.is_over()) {
            let Some(revision) = revision_for(&record, job.created, job_id) else { continue };
            let had = *self.had.entry(job_id.clone()).or_insert(revision.number);
            assert_eq!(revision.number, had, "job {job_id} of {}: {record:#?}", job.created);
        }
    }

    /// Several participants at once, which begin at any moment, and end or die.
    fn round(&mut self) {
        let mut left = 1 + self.random.usize(..5);
        for _ in 0..MOST_STEPS {
            let busy = self.busy.len();
            match self.random.u8(..200) {
                _ if busy == 0 && left == 0 && self.paused.is_empty() => break,
                0 if busy > 0 => drop(self.busy.swap_remove(self.random.usize(..busy))),
                1 => {
                    let answer = if self.random.bool() { Answer::Lost } else { Answer::Refused };
                    self.world.state().answer = Some(answer);
                }
                2..22 => self.world.advance(PASSES),
                22..30 if left > 0 => {
                    left -= 1;
                    self.begin();
                }
                30..34 if busy > 0 => {
                    let paused = self.busy.swap_remove(self.random.usize(..busy));
                    self.paused.push(paused);
                }
                34..37 => self.busy.append(&mut self.paused),
                _ if busy > 0 => {
                    let next = self.random.usize(..busy);
                    self.access(next);
                }
                _ => {}
            }
        }
        self.busy.clear();
        self.paused.clear();
        self.world.state().answer = None;
    }

    fn end_a_job(&mut self) {
        let live: Vec<JobId> =
            self.world.state().watch.jobs.iter().filter(|(_, job)| !job.is_over()).map(|(id, _)| id.clone()).collect();
        if let Some(job_id) = self.random.choice(live.iter()) {
            let failure = Failure::new(FailureKind::Error, "t", "it ends");
            finish(&self.world, self.backend().end_job(job_id, &failure, self.world.now())).unwrap();
        }
    }

    fn run(&mut self) {
        for _ in 0..ROUNDS {
            self.round();
            if self.random.bool() {
                self.end_a_job();
            }
            if self.random.bool() {
                self.world.advance(self.random.u64(..3 * STAYS));
            }
            self.check();
        }
    }
}

fn deployments(records: &Records) -> DeploymentsRecord {
    let bytes = records.get(&Key::deployments(&topic()));
    bytes.map(|bytes| DeploymentsRecord::decode(bytes).unwrap()).unwrap_or_default()
}

/// The manifest and all chunks of this component are there.
fn check_component(records: &Records, digest: &Digest, what: impl Fn() -> String) {
    let manifest = records.get(&Key::manifest(digest));
    let manifest = manifest.unwrap_or_else(|| panic!("the component {digest} is missing: {}", what()));
    for chunk in ManifestRecord::decode(manifest).unwrap().chunks {
        let found: Option<&Bytes> = records.get(&Key::chunk(&chunk.digest));
        assert!(found.is_some(), "the chunk {} of {digest} is missing: {}", chunk.digest, what());
    }
}

#[test]
fn nothing_that_is_needed_is_removed_whoever_dies() {
    let first = number("BRRR_SEED").unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    println!("shipping from BRRR_SEED={first}");
    let histories = number("BRRR_HISTORIES").map_or(200, |n| n / 20);
    let (mut done, mut accesses) = ([0; 4], 0);
    for n in 0..histories {
        println!("BRRR_SEED={}", first + n);
        let mut history = History::new(first + n);
        history.run();
        accesses += history.world.state().accesses;
        done.iter_mut().zip(history.done).for_each(|(sum, n)| *sum += n);
    }
    println!("{done:?} changes, sendings, others and revisions of what was there, {accesses} accesses");
    assert!(histories < 5 || done[3] > 0, "no revision of a component that was there");
}
