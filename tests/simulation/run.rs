//! Runs a graph to its end under a schedule of crashes, and checks what came of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use brrr_protocol::Result;
use brrr_protocol::model::Root;
use brrr_protocol::ports::{Backend, Delivery, Key, NewJob};
use brrr_protocol::step::{Limits, Step, step};

use crate::graph::{Graph, GraphHandler, call};
use crate::peer;
use crate::world::{Crash, View, World};

/// No history here takes so many steps; one that does goes round in circles.
const MAX_STEPS: usize = 50_000;

/// How a history goes.
pub struct Plan {
    /// Our workers, all of them busy at once.
    pub workers: usize,
    /// Peers beside them: at most once, N+1 wake-ups.
    pub peers: usize,
    /// Whose turn it is; also which message is delivered, and which leases run out too early.
    pub random: Option<fastrand::Rng>,
    /// Deaths in store: each new worker takes the next.
    pub crashes: Vec<Crash>,
}

impl Plan {
    pub fn single(crashes: Vec<Crash>) -> Self {
        Self { workers: 1, peers: 0, random: None, crashes }
    }
}

/// What a history came to.
pub struct History {
    pub world: Arc<World>,
    pub roots: Vec<(Root, &'static str)>,
    /// The most accesses that one delivery took.
    pub accesses: i64,
    /// Runs of the handler.
    pub runs: usize,
}

type Job = Pin<Box<dyn Future<Output = Result<Option<Step>>>>>;

struct Busy {
    job: Job,
    delivery: Delivery,
    view: Arc<View>,
    is_peer: bool,
}

/// Runs until nothing is queued and nobody works.
///
/// # Errors
/// A history without an end.
pub fn run(graph: &Arc<Graph>, mut plan: Plan) -> std::result::Result<History, String> {
    let world = Arc::new(World::default());
    let client = View::new(&world, None);
    let roots: Vec<(Root, &str)> =
        graph.roots.iter().enumerate().map(|(i, name)| (format!("R{i}").into(), *name)).collect();
    for (root, name) in &roots {
        let job = NewJob { root: root.clone(), call: call(name) };
        finish(client.schedule(&job, 0)).map_err(|e| e.to_string())?;
    }

    let (mut busy, mut accesses, mut runs, mut steps) = (Vec::<Busy>::new(), 0, 0, 0);
    loop {
        steps += 1;
        if steps > MAX_STEPS {
            return Err(format!("no end after {MAX_STEPS} steps"));
        }
        let ready = world.state().ready.len();
        let all_busy = busy.len() >= plan.workers + plan.peers;
        let take = ready > 0 && !all_busy && (busy.is_empty() || pick(&mut plan, 3) == 0);
        if take {
            busy.push(start(graph, &world, &mut plan, ready, &busy));
            continue;
        }
        if busy.is_empty() {
            break;
        }
        let turn = pick(&mut plan, busy.len());
        // A lease that runs out under a worker that lives on: a zombie. Peers have no leases to lose.
        if !busy[turn].is_peer && plan.random.is_some() && pick(&mut plan, 60) == 0 {
            world.return_lease(&busy[turn].delivery.receipt);
        }
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = busy[turn].job.as_mut().poll(&mut context) {
            let done = busy.swap_remove(turn);
            accesses = accesses.max(done.view.accesses.load(Ordering::Relaxed));
            match result {
                Ok(Some(Step::NotReady | Step::AlreadyEnded)) => {}
                Ok(_) => runs += 1,
                Err(_) => world.return_lease(&done.delivery.receipt),
            }
        }
    }
    Ok(History { world, roots, accesses, runs })
}

fn start(graph: &Arc<Graph>, world: &Arc<World>, plan: &mut Plan, ready: usize, busy: &[Busy]) -> Busy {
    let delivery = world.deliver(pick(plan, ready));
    let ours = busy.iter().filter(|b| !b.is_peer).count();
    let is_peer = ours >= plan.workers || (plan.peers > busy.len() - ours && pick(plan, 2) == 0);
    // A peer has no lease: what it pops is gone.
    let crash = if is_peer { None } else { plan.crashes.pop() };
    let view = View::new(world, crash);
    let (job_view, job_delivery, graph) = (view.clone(), delivery.clone(), graph.clone());
    let job: Job = if is_peer {
        world.state().in_flight.remove(&delivery.receipt.0);
        Box::pin(async move { peer::handle(&*job_view, &graph, &job_delivery).await.map(|()| None) })
    } else {
        Box::pin(async move {
            let backend: Arc<dyn Backend> = job_view;
            // Deliveries are not counted: a history of many crashes is no poison.
            let limits = Limits { max_deliveries: u32::MAX, ..Limits::default() };
            step(&backend, &GraphHandler(graph), &job_delivery, &limits, 1_000_000).await.map(Some)
        })
    };
    Busy { job, delivery, view, is_peer }
}

/// A number below `n`: random, or 0 where the plan is not.
fn pick(plan: &mut Plan, n: usize) -> usize {
    plan.random.as_mut().map_or(0, |random| random.usize(..n))
}

/// Drives a future that only ever yields.
pub fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

impl History {
    /// Every job has ended, rightly, and nothing is left behind.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, graph: &Graph) -> std::result::Result<(), String> {
        let state = self.world.state();
        if !state.dead.is_empty() {
            return Err(format!("dead letters: {:?}", state.dead));
        }
        if !state.in_flight.is_empty() {
            return Err(format!("{} messages were never settled", state.in_flight.len()));
        }
        for (root, name) in &self.roots {
            let value = state.records.get(&Key::value(&(*name).into()));
            let failed = state.records.contains_key(&Key::failure(&(*name).into(), root));
            let ended = match (value, failed) {
                (_, true) => None,
                (Some(value), false) => Some(String::from_utf8_lossy(value).into_owned()),
                (None, false) => return Err(format!("job {root} is stuck: {name} has no outcome")),
            };
            let expected = graph.expected(name);
            if !expected.contains(&ended) {
                return Err(format!("job {root}: {name} came to {ended:?}, expected one of {expected:?}"));
            }
        }
        Ok(())
    }
}
