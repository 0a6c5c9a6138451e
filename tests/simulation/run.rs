//! Runs a graph to its end under a schedule of faults, and checks the result.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::Result;
use brrr_protocol::doctor::{Doctor, Finding, Look, Lost};
use brrr_protocol::events::Observer;
use brrr_protocol::gate::{Always, Entry, Gate};
use brrr_protocol::model::{JobId, Millis};
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{Delivery, Key, NewJob, Task};
use brrr_protocol::records::encode_tasks;
use brrr_protocol::step::{Limits, Site, Step, step};
use brrr_protocol::wire::Message;

use crate::actions::{self, Action, PlannedAction};
use crate::graph::Node::{GivesUp, Sides, Sleep, Within};
use crate::graph::{Graph, LAST, call, topic};
use crate::handler::{AHEAD, GraphHandler};
use crate::peer;
use crate::plan::{Event, Plan};
use crate::traces::Tracer;
use crate::transactions::backend;
use crate::watch::Participant;
use crate::world::{Answer, Crash, View, World};

/// The limit of steps. No history of a small graph takes so many steps, and no history of a large graph takes so many steps a
/// call. A history that reaches the limit is in an endless loop.
const MAX_STEPS: usize = 50_000;
const MAX_STEPS_PER_CALL: usize = 300;

/// How much clocks and queues are off together, in this simulation.
const SKEW: Duration = Duration::from_mins(1);

/// The limit of repairs. Peers can leave several calls stuck, and each repair makes at least one call continue.
const MAX_REPAIRS: usize = 50;

/// The result of a history.
pub struct History {
    pub world: Arc<World>,
    /// The jobs that a client cancels.
    pub cancelled: Vec<JobId>,
    /// The number of accesses by all participants, until nothing was left to do.
    pub length: i64,
    /// The number of messages that were sent until then, and the number of runs.
    pub sent: usize,
    pub runs: u32,
    /// The number of jobs that would not have ended without a repair.
    pub stranded: usize,
    /// The unusual results that are allowed in this history.
    pub may: May,
}

/// The unusual results that a history may have.
#[derive(Clone, Copy, Debug, Default)]
pub struct May {
    /// A peer that completes a job's call does not record that the job is over.
    pub with_peers: bool,
    /// Calls may fail because their message is a dead letter.
    pub with_dead_letters: bool,
    /// Records may be removed.
    pub with_removals: bool,
}

type Running = Pin<Box<dyn Future<Output = Result<Option<Step>>>>>;

enum Actor {
    Worker(Delivery),
    /// A peer has no lease: a message that it pops is removed from the queue.
    Peer,
    Client(PlannedAction),
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
    /// Workers that have lost their lease and do not know it. They stay here until another worker has dealt with their message.
    zombies: Vec<Busy>,
    steps: usize,
    deliveries: u32,
    /// One cache for each process. A message is delivered to one of the processes, so the runs of a call happen in one process or
    /// in several.
    outcomes: [Arc<OutcomeCache>; 2],
}

/// Runs until the queue is empty and no worker is busy, and checks the result. Then it runs one more job, without faults, that
/// waits for every call of the graph: what the history left behind must not block other jobs.
///
/// # Errors
/// A description of what is wrong, or of a history that does not end.
pub fn run(graph: &Arc<Graph>, mut plan: Plan) -> std::result::Result<History, String> {
    let world = World::new(graph);
    world.state().transactional = plan.transactional;
    world.state().opaque = plan.opaque;
    let jobs = graph.jobs();
    let is_cancelled = |(n, job): (usize, &NewJob)| plan.cancels(n).then(|| job.job_id.clone());
    let mut history = History {
        world: world.clone(),
        cancelled: jobs.iter().enumerate().filter_map(is_cancelled).collect(),
        length: 0,
        sent: 0,
        runs: 0,
        stranded: 0,
        may: May {
            with_peers: plan.peers > 0 || plan.peer_deliveries.is_some() || !plan.peer_calls.is_empty(),
            with_dead_letters: plan.has_dead_letters() || graph.is_ill(),
            with_removals: plan.removes(),
        },
    };
    world.state().may_have_peers = plan.shared || history.may.with_peers;
    if let (true, Some(random)) = (plan.bad_peers, &plan.random) {
        world.state().staleness = Some(random.clone());
    }
    // Peers may lose messages, so a job cannot rely on a peer's call. But in plans with repairs some jobs use such calls.
    if !history.may.with_peers
        || (plan.repair || plan.bad_peers) && plan.random.as_mut().is_some_and(|random| random.bool())
    {
        let tasks = graph.nodes.iter().map(|(name, _)| call(name).task).collect();
        world.state().records.insert(Key::tasks(&topic()), encode_tasks(&tasks));
    }
    let mut run = Run {
        graph: graph.clone(),
        world: world.clone(),
        jobs,
        busy: Vec::new(),
        zombies: Vec::new(),
        steps: 0,
        deliveries: 0,
        outcomes: Default::default(),
        plan,
    };
    for n in 0..run.jobs.len() {
        if !run.plan.schedules(n) {
            run.does(Action::Schedule(n), None)?;
        }
    }
    world.state().watch.lenient = history.may.with_dead_letters;
    world.state().watch.logs = run.plan.logs;
    world.state().watch.faultless = run.plan.random.is_none() && run.plan.events.is_empty();
    world.state().is_sequential = run.plan.is_sequential();
    world.state().accesses = 0;
    run.go_to_the_end()?;
    history.length = world.state().accesses;
    history.sent = world.state().sent;
    history.runs = world.state().runs.values().sum();
    // A parent that a peer ran is not notified of a failure, for example of a dead letter. If a peer computes the value after
    // that, only a repair finds out.
    let peers_see_failures = history.may.with_peers && history.may.with_dead_letters;
    // A peer may have taken the message of a job early, and died over it. Nobody looks for it before the job's start.
    let last_start = run.jobs.iter().map(|job| job.start).max().unwrap_or(0);
    world.advance(last_start.saturating_sub(world.now()));
    if run.plan.repair || run.plan.bad_peers || peers_see_failures {
        history.stranded = history.unended();
        run.repair_all()?;
    } else {
        run.nothing_is_stuck(&history)?;
    }
    history.check(graph)?;

    run.jobs.push(NewJob::new("LAST".into(), call(LAST)));
    let repair = run.plan.repair || peers_see_failures;
    run.plan = Plan { logs: run.plan.logs, traced: run.plan.traced, ..Plan::of(&[]) };
    run.does(Action::Schedule(run.jobs.len() - 1), None)?;
    run.go_to_the_end()?;
    if repair {
        run.repair_all()?;
    }
    history.check(graph).map_err(|e| format!("in the end, {e}"))?;
    Ok(history)
}

impl Run {
    fn go_to_the_end(&mut self) -> std::result::Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > MAX_STEPS + MAX_STEPS_PER_CALL * self.graph.nodes.len() {
                return Err(format!("no end after {} steps", self.steps));
            }
            if let Some(wrong) = self.world.state().watch.wrong.take() {
                return Err(wrong);
            }
            self.happen();
            let ready = self.world.state().ready.len();
            let workers = self.busy.iter().filter(|b| !matches!(b.actor, Actor::Client(_))).count();
            let all_busy = workers >= self.plan.workers + self.plan.peers;
            // (In a plan with `peer_deliveries` only one worker or peer is busy at a time.)
            let take = ready > 0 && !all_busy && (self.busy.is_empty() || self.pick(3) == 0);
            if take {
                let busy = self.deliver(ready);
                self.busy.push(busy);
            } else if !self.busy.is_empty() {
                self.go_on();
            } else if let Some(zombie) = self.zombies.pop() {
                self.busy.push(zombie);
            } else if !self.world.sleep() && !self.skip() {
                self.world.state().answer = None;
                return Ok(());
            }
        }
    }

    /// Nothing more happens without an outside event: moves on to the next outside event. Returns false if there is none.
    fn skip(&mut self) -> bool {
        if let Some((_, event)) = self.plan.events.first().copied() {
            self.plan.events.remove(0);
            self.befall(event);
            return true;
        }
        if let Some(next) = self.plan.actions.iter().map(|planned| planned.step).min() {
            self.steps = self.steps.max(next);
            return true;
        }
        false
    }

    /// Performs the next outside event, if its time has come.
    fn happen(&mut self) {
        while self.plan.events.first().is_some_and(|(at, _)| *at <= self.world.state().accesses) {
            let (_, event) = self.plan.events.remove(0);
            self.befall(event);
        }
        let (now, later): (Vec<_>, Vec<_>) =
            self.plan.actions.drain(..).partition(|planned| planned.step <= self.steps);
        self.plan.actions = later;
        for planned in now {
            let client = self.client(planned);
            self.busy.push(client);
        }
        if self.plan.random.is_some() && self.pick(40) == 0 {
            let by = self.pick(3_000) as Millis;
            self.world.advance(by);
        }
        if self.plan.random.is_some() && self.pick(100) == 1 {
            self.world.hurry();
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
            Event::Pause => self.zombies.append(&mut self.busy),
            Event::Switch => {
                let zombies = std::mem::take(&mut self.zombies);
                self.zombies = std::mem::replace(&mut self.busy, zombies);
            }
            Event::Unanswered(answer) => self.world.state().answer = Some(answer),
            Event::StaleRead(n) => self.world.state().fresh_reads = n + 1,
            // The death of this client is not an error here.
            Event::Does(action) => drop(self.does(action, None)),
            Event::Dies(action, accesses) => drop(self.does(action, Some(Crash(accesses)))),
            Event::Begins(action, accesses) => self.begin(action, accesses),
            Event::Late => self.world.advance(3_600_000),
            Event::Early => self.world.hurry(),
            Event::NoTimers => self.world.state().delayed.clear(),
            Event::NoCounters => self.world.state().counters.clear(),
            Event::Comes(body) => self.world.send(body),
            Event::SendAgain => {
                let dead = std::mem::take(&mut self.world.state().dead_letters);
                dead.iter().for_each(|(body, _)| self.world.send(body));
            }
            Event::Cure => self.world.state().cured = true,
        }
    }

    /// A client completes an action without interruption: no other access comes between, and the clock of accesses does not move.
    fn does(&mut self, action: Action, crash: Option<Crash>) -> std::result::Result<(), String> {
        let accesses = self.world.state().accesses;
        let action = actions::run(self.world.clone(), self.jobs.clone(), action, crash);
        let done = finish(&self.world, action);
        self.world.state().accesses = accesses;
        done.map_err(|e| e.to_string())
    }

    /// A client begins an action, and is paused.
    fn begin(&mut self, action: Action, accesses: i64) {
        let before = self.world.state().accesses;
        let mut client = self.client(PlannedAction { step: 0, action, crash: None, gives_up: true });
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let done = self.world.state().accesses - before;
            if done >= accesses {
                self.zombies.push(client);
                break;
            }
            self.world.give_turn(0);
            if client.running.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        self.world.state().accesses = before;
    }

    /// Repairs until the search finds nothing stuck.
    fn repair_all(&mut self) -> std::result::Result<(), String> {
        for _ in 0..MAX_REPAIRS {
            let view = backend(&self.world, Participant::Ours, None);
            if finish(&self.world, actions::repair(view, &self.world)).map_err(|e| e.to_string())?.is_empty() {
                return Ok(());
            }
            self.go_to_the_end()?;
        }
        Err(format!("there is something to repair after {MAX_REPAIRS} repairs"))
    }

    /// Without peers nothing is left to repair, except what jobs that are over have left behind.
    fn nothing_is_stuck(&self, history: &History) -> std::result::Result<(), String> {
        if history.may.with_peers {
            return Ok(());
        }
        let view = backend(&self.world, Participant::Ours, None);
        let look = Look { now: self.world.now(), older_than: Duration::ZERO };
        let doctor = Doctor::new(view);
        let survey = finish(&self.world, doctor.survey(&look)).map_err(|e| e.to_string())?;
        // A job whose client did not finish scheduling it was not accepted, and need not end.
        let accepted = self.world.state().watch.accepted.clone();
        let is_wrong = |finding: &&Finding| match finding {
            Finding::Lost(Lost { job_id, .. }) | Finding::Overdue { job_id } | Finding::Unended { job_id } => {
                accepted.contains(job_id)
            }
            Finding::Unnotified { .. }
            | Finding::Cycle { .. }
            | Finding::Unloadable { .. }
            | Finding::Damaged { .. } => true,
            Finding::Abandoned { .. } => false,
        };
        match survey.findings.iter().find(is_wrong) {
            Some(finding) => Err(format!("something is stuck: {finding:?}")),
            None => Ok(()),
        }
    }

    /// Stops a run at its next access.
    fn preempt(&mut self, n: usize) {
        let Actor::Worker(delivery) = &self.busy[n].actor else { return };
        let delivery = delivery.clone();
        self.busy[n] = self.work(delivery, None, true);
    }

    fn deliver(&mut self, ready: usize) -> Busy {
        let index = self.pick(ready);
        let delivery = self.world.deliver(index);
        let ours = self.busy.iter().filter(|b| b.delivery().is_some()).count();
        let peers = self.busy.iter().filter(|b| matches!(b.actor, Actor::Peer)).count();
        let for_peer = |message: Message| self.plan.peer_calls.contains(&message.call.as_str());
        let is_peer = match self.plan.peer_deliveries {
            _ if Message::decode(delivery.body.as_bytes()).is_ok_and(for_peer) => true,
            Some(bits) => bits >> self.deliveries.min(63) & 1 == 1,
            None => ours >= self.plan.workers || (self.plan.peers > peers && self.pick(2) == 0),
        };
        self.deliveries += 1;
        if !is_peer {
            let crash = self.plan.crashes.pop();
            return self.work(delivery, crash, false);
        }
        let crash = (self.plan.bad_peers && self.pick(8) == 1).then(|| Crash(self.pick(12) as i64));
        let (peer, graph) = (View::new(&self.world, Participant::Peer, crash), self.graph.clone());
        self.world.state().in_flight.remove(&delivery.receipt.0);
        let running: Running = Box::pin(async move { peer::handle(&peer, &graph, &delivery).await.map(|()| None) });
        Busy { running, actor: Actor::Peer }
    }

    fn work(&mut self, delivery: Delivery, crash: Option<Crash>, running: bool) -> Busy {
        let actor = Actor::Worker(delivery.clone());
        let (backend, world) = (backend(&self.world, Participant::Ours, crash), self.world.clone());
        let handler = GraphHandler::new(&self.graph, &world);
        let outcomes = self.outcomes[self.deliveries as usize / 3 % self.outcomes.len()].clone();
        // Otherwise deliveries are not counted: a history with many crashes must not look like poison.
        let max_deliveries = self.plan.max_deliveries.unwrap_or(if self.graph.is_ill() { 3 } else { u32::MAX });
        // Sometimes a worker has no capacity for the run.
        let gate = if self.pick(8) == 1 { Door::Shut } else { Door::Open };
        // The clocks of two workers differ, by twice `AHEAD` at most. Jobs with a deadline end by the clocks of clients too.
        let differs = self.plan.random.is_some()
            && (self.graph.delay > 0
                || self.graph.has(|node| matches!(node, Sleep(..) | Within(..) | GivesUp(..) | Sides(..))));
        let ahead = if differs { self.pick(2 * AHEAD as usize + 1) as Millis } else { AHEAD };
        let keep_logs = if self.plan.logs { 4 << 10 } else { 0 };
        let tracer = self.plan.traced.then(|| Tracer(world.clone()));
        let running: Running = Box::pin(async move {
            let limits = Limits { max_deliveries, clock_skew: SKEW, keep_logs, ..Limits::default() };
            let clock = move || (world.now() + ahead).saturating_sub(AHEAD);
            let site = Site {
                backend: &backend,
                handler: &handler,
                limits: &limits,
                outcomes: &outcomes,
                gate: &gate,
                log: &brrr_protocol::records::RunLog::default(),
                observer: tracer.as_ref().map(|tracer| tracer as &dyn Observer),
                clock: &clock,
            };
            step(&site, &delivery, running).await.map(Some)
        });
        Busy { running, actor }
    }

    fn client(&self, planned: PlannedAction) -> Busy {
        let action_run = actions::run(self.world.clone(), self.jobs.clone(), planned.action, planned.crash);
        let running: Running = Box::pin(async move { action_run.await.map(|()| None) });
        Busy { running, actor: Actor::Client(planned) }
    }

    /// One access of a worker, a peer or a client.
    fn go_on(&mut self) {
        let turn = self.pick(self.busy.len());
        let is_random = self.plan.random.is_some();
        if let (true, Some(delivery)) = (is_random, self.busy[turn].delivery()) {
            let receipt = delivery.receipt.clone();
            match self.pick(60) {
                // The lease expires while its worker continues: the worker is a zombie.
                0 => self.world.return_lease(&receipt),
                1 => self.preempt(turn),
                _ => {}
            }
        }
        if self.plan.unanswered && self.pick(50) == 1 {
            self.world.state().answer = Some(if self.pick(2) == 0 { Answer::Lost } else { Answer::Refused });
        }
        // Sometimes another access of this participant goes first, of those that are under way. (If only one is under way, it
        // waits for the next step.)
        let behind = if is_random && self.pick(3) == 0 { self.pick(4) } else { 0 };
        self.world.give_turn(behind);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(result) = self.busy[turn].running.as_mut().poll(&mut context) else { return };
        let done = self.busy.swap_remove(turn);
        if result.is_err() {
            match done.actor {
                Actor::Worker(delivery) => self.world.return_lease(&delivery.receipt),
                Actor::Client(planned) if !planned.gives_up => {
                    let step = self.steps + self.pick(50);
                    self.plan.actions.push(PlannedAction { crash: None, step, ..planned });
                }
                _ => {}
            }
        }
    }

    /// A number below `n`. It is random, or 0 if the plan is not random.
    fn pick(&mut self, n: usize) -> usize {
        self.plan.random.as_mut().map_or(0, |random| random.usize(..n))
    }
}

/// Polls a future until it ends. The future never waits for another event.
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

/// The gate of a worker that has, or does not have, capacity for a run.
enum Door {
    Open,
    Shut,
}

#[async_trait]
impl Gate for Door {
    async fn enter(&self, name: &str, task: &Task) -> Entry {
        match self {
            Self::Open => Always.enter(name, task).await,
            Self::Shut => Entry::NotNow(Duration::ZERO),
        }
    }
}
