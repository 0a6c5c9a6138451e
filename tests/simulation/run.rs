//! Runs a graph to its end under a schedule of faults, and checks what came of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Failure, FailureKind, Millis, Root};
use brrr_protocol::ports::{Backend, Delivery, Key, NewJob};
use brrr_protocol::records::{JobRecord, JobState, decode_failure};
use brrr_protocol::step::{Limits, Site, Step, step};

use crate::graph::{Graph, GraphHandler, LAST, Node, call};
use crate::peer;
use crate::world::{Crash, View, World};

/// No history here takes so many steps; one that does goes round in circles.
const MAX_STEPS: usize = 50_000;

/// What befalls a history from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Who is at work dies.
    Crash,
    /// The run at work is stopped, and its worker goes on with the same delivery.
    Preempt,
    /// The lease of the run at work is lost, and the worker does not know it: the message goes to another one. The first
    /// one goes on when nothing else is to do.
    Zombie,
    /// Whoever lost its lease goes on now, and who is at work afterwards.
    Switch,
    /// A client cancels this job.
    Cancel(usize),
    /// A client begins to cancel this job, and dies before its n-th access.
    CancelPart(usize, i64),
    /// The clock goes past every deadline and delay.
    Late,
}

/// How a history goes.
#[derive(Default)]
pub struct Plan {
    /// Our workers, all of them busy at once.
    pub workers: usize,
    /// Peers beside them: at most once, N+1 wake-ups.
    pub peers: usize,
    /// Whose turn it is; also which message is delivered, how the clock goes, which leases run out too early, and which
    /// runs are stopped.
    pub random: Option<fastrand::Rng>,
    /// Deaths in store: each new worker takes the next.
    pub crashes: Vec<Crash>,
    /// What happens after how many accesses in all, in order.
    pub events: Vec<(i64, Event)>,
    /// What clients do when.
    pub errands: Vec<Errand>,
}

/// What a client does at some step of a random history. It may die over it, and then does it again.
#[derive(Clone, Copy, Debug)]
pub struct Errand {
    pub step: usize,
    pub what: What,
    pub crash: Option<Crash>,
    /// Somebody who cancels may leave it at that.
    pub gives_up: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Schedule(usize),
    Cancel(usize),
}

impl Plan {
    /// One worker, who is never in a hurry.
    pub fn of(events: &[(i64, Event)]) -> Self {
        Self { workers: 1, events: events.to_vec(), ..Self::default() }
    }

    fn cancels(&self, job: usize) -> bool {
        self.errands.iter().any(|errand| errand.what == What::Cancel(job))
            || self.events.iter().any(|(_, event)| match event {
                Event::Cancel(n) | Event::CancelPart(n, _) => *n == job,
                _ => false,
            })
    }
}

/// What a history came to.
pub struct History {
    pub world: Arc<World>,
    /// Each job, and whether somebody cancels it.
    pub jobs: Vec<(NewJob, bool)>,
    /// Accesses by all, until nothing was left to do.
    pub length: i64,
    with_peers: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Option<Step>>>>>;

enum Actor {
    Worker(Delivery),
    /// It has no lease: what it pops is gone.
    Peer,
    Client(Errand),
}

struct Busy {
    running: Running,
    actor: Actor,
}

impl Busy {
    fn delivery(&self) -> Option<&Delivery> {
        match &self.actor {
            Actor::Worker(delivery) => Some(delivery),
            _ => None,
        }
    }
}

struct Run {
    graph: Arc<Graph>,
    world: Arc<World>,
    plan: Plan,
    jobs: Vec<NewJob>,
    busy: Vec<Busy>,
    /// Those who don't know that their lease is lost, until another worker has dealt with their message.
    zombies: Vec<Busy>,
    steps: usize,
}

/// Runs until nothing is queued and nobody works, and checks what came of it. Then one more job, without faults, for every
/// call of the graph: what the history left behind must not stand in the way of others.
///
/// # Errors
/// What is wrong; or a history without an end.
pub fn run(graph: &Arc<Graph>, plan: Plan) -> std::result::Result<History, String> {
    let world = Arc::new(World::default());
    let jobs = graph.jobs();
    let cancels: Vec<bool> = (0..jobs.len()).map(|n| plan.cancels(n)).collect();
    let mut run = Run {
        graph: graph.clone(),
        world: world.clone(),
        jobs: jobs.clone(),
        busy: Vec::new(),
        zombies: Vec::new(),
        steps: 0,
        plan,
    };
    for (n, job) in jobs.iter().enumerate() {
        if !run.plan.errands.iter().any(|errand| errand.what == What::Schedule(n)) {
            schedule(&world, job)?;
        }
    }
    world.state().accesses = 0;
    run.go_to_the_end()?;
    let length = world.state().accesses;
    let jobs = jobs.into_iter().zip(cancels).collect();
    let mut history = History { world, jobs, length, with_peers: run.plan.peers > 0 };
    history.check(graph)?;

    let last = NewJob::new("LAST".into(), call(LAST));
    schedule(&history.world, &last)?;
    history.jobs.push((last, false));
    run.plan = Plan::of(&[]);
    run.go_to_the_end()?;
    history.check(graph).map_err(|e| format!("in the end, {e}"))?;
    Ok(history)
}

fn schedule(world: &Arc<World>, job: &NewJob) -> std::result::Result<(), String> {
    let now = world.now();
    finish(world, View::new(world, None).schedule(job, now)).map(drop).map_err(|e| e.to_string())
}

impl Run {
    fn go_to_the_end(&mut self) -> std::result::Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(format!("no end after {MAX_STEPS} steps"));
            }
            self.happen();
            let ready = self.world.state().ready.len();
            let workers = self.busy.iter().filter(|b| !matches!(b.actor, Actor::Client(_))).count();
            let all_busy = workers >= self.plan.workers + self.plan.peers;
            let take = ready > 0 && !all_busy && (self.busy.is_empty() || self.pick(3) == 0);
            if take {
                let busy = self.deliver(ready);
                self.busy.push(busy);
            } else if !self.busy.is_empty() {
                self.go_on();
            } else if let Some(zombie) = self.zombies.pop() {
                self.busy.push(zombie);
            } else if !self.world.sleep() && !self.skip() {
                return Ok(());
            }
        }
    }

    /// Nothing more happens on its own: goes on to what comes from outside. False: nothing does.
    fn skip(&mut self) -> bool {
        if let Some((_, event)) = self.plan.events.first().copied() {
            self.plan.events.remove(0);
            self.befall(event);
            return true;
        }
        if let Some(next) = self.plan.errands.iter().map(|errand| errand.step).min() {
            self.steps = self.steps.max(next);
            return true;
        }
        false
    }

    /// What comes from outside, if its time has come.
    fn happen(&mut self) {
        while self.plan.events.first().is_some_and(|(at, _)| *at <= self.world.state().accesses) {
            let (_, event) = self.plan.events.remove(0);
            self.befall(event);
        }
        let (now, later): (Vec<_>, Vec<_>) = self.plan.errands.drain(..).partition(|errand| errand.step <= self.steps);
        self.plan.errands = later;
        for errand in now {
            let client = self.client(errand);
            self.busy.push(client);
        }
        if self.plan.random.is_some() && self.pick(40) == 0 {
            let by = self.pick(3_000) as Millis;
            self.world.advance(by);
        }
    }

    fn befall(&mut self, event: Event) {
        match event {
            Event::Crash => self.busy.drain(..).for_each(|busy| {
                busy.delivery().into_iter().for_each(|d| self.world.return_lease(&d.receipt));
            }),
            Event::Preempt => (0..self.busy.len()).for_each(|n| self.preempt(n)),
            Event::Zombie => {
                for busy in self.busy.drain(..) {
                    busy.delivery().into_iter().for_each(|d| self.world.return_lease(&d.receipt));
                    self.zombies.push(busy);
                }
            }
            Event::Switch => {
                let zombies = std::mem::take(&mut self.zombies);
                self.zombies = std::mem::replace(&mut self.busy, zombies);
            }
            Event::Cancel(job) => self.cancel(job, None),
            Event::CancelPart(job, accesses) => self.cancel(job, Some(Crash(accesses))),
            Event::Late => self.world.advance(3_600_000),
        }
    }

    fn cancel(&mut self, job: usize, crash: Option<Crash>) {
        // In one go: nobody else comes between, and it does not count as time. Its death is no error here.
        let accesses = self.world.state().accesses;
        let client = Client::new(View::new(&self.world, crash));
        let _ = finish(&self.world, client.cancel(&self.jobs[job].root, self.world.now()));
        self.world.state().accesses = accesses;
    }

    /// Stops a run at its next access.
    fn preempt(&mut self, n: usize) {
        let Actor::Worker(delivery) = &self.busy[n].actor else { return };
        let delivery = delivery.clone();
        self.busy[n] = self.work(delivery, None, true);
    }

    fn deliver(&mut self, ready: usize) -> Busy {
        let place = self.pick(ready);
        let delivery = self.world.deliver(place);
        let ours = self.busy.iter().filter(|b| b.delivery().is_some()).count();
        let peers = self.busy.iter().filter(|b| matches!(b.actor, Actor::Peer)).count();
        let is_peer = ours >= self.plan.workers || (self.plan.peers > peers && self.pick(2) == 0);
        if !is_peer {
            let crash = self.plan.crashes.pop();
            return self.work(delivery, crash, false);
        }
        let (peer, graph) = (View::new(&self.world, None), self.graph.clone());
        self.world.state().in_flight.remove(&delivery.receipt.0);
        let running: Running = Box::pin(async move { peer::handle(&peer, &graph, &delivery).await.map(|()| None) });
        Busy { running, actor: Actor::Peer }
    }

    fn work(&self, delivery: Delivery, crash: Option<Crash>, running: bool) -> Busy {
        let actor = Actor::Worker(delivery.clone());
        let (backend, world): (Arc<dyn Backend>, _) = (View::new(&self.world, crash), self.world.clone());
        let handler = GraphHandler::new(&self.graph, &world);
        let running: Running = Box::pin(async move {
            // Deliveries are not counted: a history of many crashes is no poison.
            let limits = Limits { max_deliveries: u32::MAX, ..Limits::default() };
            let clock = move || world.now();
            let site = Site { backend: &backend, handler: &handler, limits: &limits, observer: None, clock: &clock };
            step(&site, &delivery, running).await.map(Some)
        });
        Busy { running, actor }
    }

    fn client(&self, errand: Errand) -> Busy {
        let (client, world) = (Client::new(View::new(&self.world, errand.crash)), self.world.clone());
        let jobs = self.jobs.clone();
        let running: Running = Box::pin(async move {
            match errand.what {
                What::Schedule(n) => client.schedule(&jobs[n], world.now()).await.map(|_| None),
                What::Cancel(n) => client.cancel(&jobs[n].root, world.now()).await.map(|_| None),
            }
        });
        Busy { running, actor: Actor::Client(errand) }
    }

    /// One access of somebody.
    fn go_on(&mut self) {
        let turn = self.pick(self.busy.len());
        let is_random = self.plan.random.is_some();
        if let (true, Some(delivery)) = (is_random, self.busy[turn].delivery()) {
            let receipt = delivery.receipt.clone();
            match self.pick(60) {
                // A lease that runs out under a worker that lives on: a zombie.
                0 => self.world.return_lease(&receipt),
                1 => self.preempt(turn),
                _ => {}
            }
        }
        // Now and then another one goes first of those that it has under way. (It may have just the one; then it waits.)
        let behind = if is_random && self.pick(3) == 0 { self.pick(4) } else { 0 };
        self.world.give_turn(behind);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = self.busy[turn].running.as_mut().poll(&mut context) else { return };
        let done = self.busy.swap_remove(turn);
        if result.is_err() {
            match done.actor {
                Actor::Worker(delivery) => self.world.return_lease(&delivery.receipt),
                Actor::Client(errand) if !errand.gives_up => {
                    let step = self.steps + self.pick(50);
                    self.plan.errands.push(Errand { crash: None, step, ..errand });
                }
                _ => {}
            }
        }
    }

    /// A number below `n`: random, or 0 where the plan is not.
    fn pick(&mut self, n: usize) -> usize {
        self.plan.random.as_mut().map_or(0, |random| random.usize(..n))
    }
}

/// Drives a future that only ever yields.
pub fn finish<T>(world: &World, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        world.give_turn(0);
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

impl History {
    /// Every job has ended, rightly, and nothing is left behind.
    fn check(&self, graph: &Graph) -> std::result::Result<(), String> {
        let state = self.world.state();
        if !state.dead.is_empty() {
            return Err(format!("dead letters: {:?}", state.dead));
        }
        if !state.in_flight.is_empty() {
            return Err(format!("{} messages were never settled", state.in_flight.len()));
        }
        drop(state);
        for (job, cancelled) in &self.jobs {
            self.check_job(graph, job, *cancelled).map_err(|e| format!("job {} ({}): {e}", job.root, job.call.task))?;
        }
        self.check_attempts(graph)
    }

    /// A failure as recorded under a job.
    pub fn failure(&self, root: &Root, name: &str) -> Option<Failure> {
        let state = self.world.state();
        state.records.get(&Key::failure(&name.into(), root)).map(|bytes| decode_failure(bytes).unwrap())
    }

    fn check_job(&self, graph: &Graph, job: &NewJob, cancelled: bool) -> std::result::Result<(), String> {
        let name = job.call.task.as_str();
        let failure = self.failure(&job.root, name);
        let state = self.world.state();
        let value = state.records.get(&Key::value(&job.call.hash));
        let ended = match (value, &failure) {
            (_, Some(failure)) => Err(failure),
            (Some(value), None) => Ok(String::from_utf8_lossy(value).into_owned()),
            (None, None) => return Err("it is stuck: its call has no outcome".to_owned()),
        };
        let expected = graph.expected(name);
        let is_right = match &ended {
            Ok(value) => expected.contains(&Some(value.clone())),
            Err(failure) => match failure.kind {
                FailureKind::Cancelled => cancelled,
                FailureKind::Timeout => job.deadline > 0,
                FailureKind::Limit => job.spawn_limit > 0,
                FailureKind::Error | FailureKind::Cycle => expected.contains(&None),
                _ => false,
            },
        };
        if !is_right {
            return Err(format!("it came to {ended:?}, expected one of {expected:?}"));
        }
        let bytes = state.records.get(&Key::job(&job.root)).ok_or("it has no record")?;
        let record = JobRecord::decode(bytes).map_err(|e| e.to_string())?;
        let end = JobState::of(ended.as_ref().map(|_| ()).map_err(|failure| &failure.kind));
        match record.end {
            Some(found) if found.state == end => Ok(()),
            // A peer that completes a job's call does not write that down.
            None if self.with_peers => Ok(()),
            found => Err(format!("its call came to {ended:?}, and its record says {found:?}")),
        }
    }

    /// What failed for good was tried as often as it had to be, and not said to have been tried oftener.
    fn check_attempts(&self, graph: &Graph) -> std::result::Result<(), String> {
        for (job, _) in &self.jobs {
            for (name, node) in graph.nodes {
                let Some(failure) = self.failure(&job.root, name) else { continue };
                let Node::Flaky(times, _) = node else { continue };
                if failure.kind != FailureKind::Error || *times <= graph.retries {
                    continue;
                }
                let runs = self.world.state().runs.get(&(job.root.clone(), (*name).to_owned())).copied().unwrap_or(0);
                if failure.attempts != graph.retries + 1 || runs < failure.attempts {
                    return Err(format!(
                        "{name} failed after {} attempts and {runs} runs: {failure:?}",
                        failure.attempts
                    ));
                }
            }
        }
        Ok(())
    }
}
