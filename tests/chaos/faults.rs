//! The faults of a fleet. Each kind of fault comes at its own times.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::backend_servers::{BackendServers, Route};
use crate::fleet::Worker;

/// The pause between two checks whether a fault is due.
const TICK: Duration = Duration::from_millis(20);

/// How many worker processes there are.
pub const WORKERS: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
pub struct Blows {
    pub kills: u64,
    pub freezes: u64,
    pub server_restarts: u64,
    /// How many times connections were cut or an answer was lost. The proxies count the connections.
    pub cuts: u64,
    /// Workers that ended by themselves because they could not reach the backend when they started.
    pub exits: u64,
}

/// The time of the next fault of a kind, and the range of the seconds between two faults.
struct Timer {
    next: Instant,
    between: (f64, f64),
}

impl Timer {
    fn new(rng: &mut Rng, from: f64, to: f64) -> Self {
        let mut timer = Self { next: Instant::now(), between: (from, to) };
        timer.wind(rng);
        timer
    }

    fn wind(&mut self, rng: &mut Rng) {
        let (from, to) = self.between;
        self.next = Instant::now() + Duration::from_secs_f64(from + rng.f64() * (to - from));
    }

    fn is_due(&mut self, rng: &mut Rng) -> bool {
        let due = self.next <= Instant::now();
        if due {
            self.wind(rng);
        }
        due
    }
}

/// Makes faults until `until`. `rng` decides what happens. When it happens depends also on the machine. Returns what
/// was done, or names a worker that ended without a good reason.
pub fn deal(
    servers: &mut BackendServers,
    workers: &mut [Worker],
    clients: &Route,
    rng: &mut Rng,
    until: Instant,
) -> Result<Blows, String> {
    let lease = servers.kind.lease();
    let mut blows = Blows::default();
    let mut kill = Timer::new(rng, 0.5, 1.5);
    let mut freeze = Timer::new(rng, 3.0, 7.0);
    let mut cut = Timer::new(rng, 0.5, 2.5);
    let mut restart = Timer::new(rng, 8.0, 20.0);
    let mut thaw: Option<(usize, Instant)> = None;
    let mut revival: Option<Instant> = None;
    while Instant::now() < until {
        if let Some((frozen, _)) = thaw.take_if(|(_, at)| *at <= Instant::now()) {
            workers[frozen].go_on();
        }
        if revival.take_if(|at| *at <= Instant::now()).is_some() {
            servers.revive_redis();
        }
        if kill.is_due(rng) {
            // Sometimes a frozen worker is killed too. Then it loses for good what it held.
            let victim = rng.usize(0..workers.len());
            thaw.take_if(|(frozen, _)| *frozen == victim);
            workers[victim].kill();
            blows.kills += 1;
        }
        if thaw.is_none() && freeze.is_due(rng) {
            let victim = rng.usize(0..workers.len());
            workers[victim].stop();
            thaw = Some((victim, Instant::now() + lease.mul_f64(1.2 + rng.f64())));
            blows.freezes += 1;
        }
        if cut.is_due(rng) {
            let routes = workers.iter().map(|worker| &worker.route).chain([clients]);
            let proxies: Vec<_> = routes.flat_map(|route| &route.proxies).collect();
            if let Some(proxy) = rng.choice(proxies) {
                if rng.bool() {
                    proxy.cut()
                } else {
                    proxy.lose_answer()
                }
                blows.cuts += 1;
            }
        }
        if revival.is_none() && restart.is_due(rng) && servers.kill_redis() {
            revival = Some(Instant::now() + Duration::from_millis(rng.u64(0..1_000)));
            blows.server_restarts += 1;
        }
        blows.exits += tend(workers)?;
        std::thread::sleep(TICK);
    }
    if let Some((frozen, _)) = thaw {
        workers[frozen].go_on();
    }
    if revival.is_some() {
        servers.revive_redis();
    }
    for proxy in workers.iter().map(|worker| &worker.route).chain([clients]).flat_map(|route| &route.proxies) {
        proxy.calm();
    }
    Ok(blows)
}

/// Starts the workers again that ended by themselves. Returns how many these were.
///
/// # Errors
/// If a worker ended for another reason than an unreachable backend (21).
pub fn tend(workers: &mut [Worker]) -> Result<u64, String> {
    let mut exits = 0;
    for worker in workers {
        let Some(status) = worker.tend() else { continue };
        if status.code() != Some(21) {
            return Err(format!("{} ended by itself ({status}), see {}", worker.name, worker.log().display()));
        }
        exits += 1;
    }
    Ok(exits)
}
