//! `wasi:clocks`: a clock that only waiting moves, so that every replay of a call sees the same times. A guest that sleeps is
//! dropped, and another run goes on when the time has come. A leaf is never replayed: it gets the real clock, and sleeps where
//! it is. While a run waits for requests, it also sleeps where it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::asking::{RunReplay, Slept};
use super::http::OpenRequests;
use super::state::State;

/// A millisecond, in nanoseconds.
const MILLI: u64 = 1_000_000;

/// A run's clock. Times are in nanoseconds. The virtual clock counts since the Unix epoch.
#[derive(Clone)]
pub(super) enum Clock {
    Real { start: Instant },
    Virtual(Arc<Mutex<Virtual>>),
}

/// A clock that only waiting moves.
pub(super) struct Virtual {
    /// The run whose replay moves the clock.
    replay: RunReplay,
    /// The latest time that the guest may have seen.
    now: u64,
    /// The wake-up times of all current sleeps.
    sleepers: Vec<u64>,
}

/// Links these clocks in place of wasmtime's.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<State, Clocks>(linker, view)?;
    monotonic_clock::add_to_linker::<State, Clocks>(linker, view)
}

struct Clocks;

impl HasData for Clocks {
    type Data<'a> = ClocksView<'a>;
}

struct ClocksView<'a>(&'a mut State);

fn view(state: &mut State) -> ClocksView<'_> {
    ClocksView(state)
}

impl ClocksView<'_> {
    fn clock(&mut self) -> &Clock {
        let state = &mut *self.0;
        state.clock.get_or_insert_with(|| {
            if state.leaf {
                return Clock::Real { start: Instant::now() };
            }
            let replay = state.replay.clone();
            Clock::Virtual(Arc::new(Mutex::new(Virtual { replay, now: 0, sleepers: Vec::new() })))
        })
    }

    fn sleep(&mut self, until: impl FnOnce(u64) -> u64) -> wasmtime::Result<Resource<DynPollable>> {
        let in_flight = self.0.in_flight();
        let clock = self.clock();
        let now = clock.monotonic();
        let until = until(now);
        let end = tokio::time::Instant::now().checked_add(Duration::from_nanos(until.saturating_sub(now)));
        let standing = match clock {
            Clock::Virtual(clock) => Some(Standing { clock: clock.clone(), until, in_flight }),
            Clock::Real { .. } => None,
        };
        let timer = Timer { end, standing };
        let timer = self.0.table.push(timer)?;
        subscribe(&mut self.0.table, timer)
    }
}

impl Clock {
    fn monotonic(&self) -> u64 {
        match self {
            // A `u64` holds 584 years.
            Clock::Real { start } => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Clock::Virtual(clock) => lock(clock).now(),
        }
    }

    fn wall(&self) -> Duration {
        match self {
            Clock::Real { .. } => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Clock::Virtual(clock) => Duration::from_nanos(lock(clock).now()),
        }
    }
}

impl Virtual {
    /// Nanoseconds since the Unix epoch.
    fn now(&mut self) -> u64 {
        self.now = self.now.max(self.replay.clock().saturating_mul(MILLI));
        self.now
    }

    /// Sleeps until this time. Returns false if the run is dropped instead.
    fn sleep(&mut self, until: u64, in_place: bool) -> bool {
        // A run is not dropped for less than a millisecond: runtimes sleep for so long to let their other tasks go first.
        let is_short = until.saturating_sub(self.now()) < MILLI;
        let in_place = in_place || is_short;
        if !in_place && matches!(self.replay.sleep(until.div_ceil(MILLI)), Slept::Dropped) {
            return false;
        }
        self.now = self.now().max(until);
        true
    }
}

impl wall_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let now = self.clock().wall();
        Ok(wall_clock::Datetime { seconds: now.as_secs(), nanoseconds: now.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for ClocksView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock().monotonic())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep(|_| when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.sleep(|now| now.saturating_add(duration))
    }
}

/// What a guest waits for when it sleeps.
struct Timer {
    /// The end by the real clock. `None`: the time is too far away to be represented.
    end: Option<tokio::time::Instant>,
    standing: Option<Standing>,
}

/// The end of a sleep by the virtual clock.
struct Standing {
    clock: Arc<Mutex<Virtual>>,
    until: u64,
    in_flight: OpenRequests,
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        // While the run waits for a request, which takes real time, a sleep takes real time too: the guest may use the
        // sleep as a time limit for the request.
        let in_place = self.standing.as_ref().is_none_or(|standing| standing.in_flight.any());
        if in_place {
            match self.end {
                // A time that has passed needs no wait.
                Some(end) if end <= tokio::time::Instant::now() => {}
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        }
        if let Some(Standing { clock, until, .. }) = &self.standing {
            Sleep { clock, until: *until, in_place, registered: false }.await;
        }
    }
}

/// The wait for the earliest wake-up time that the guest waits for. A guest polls several things at once. In the first round
/// each sleep records its wake-up time. If nothing else was ready, the second round begins to sleep: the run is dropped, or
/// the time has come already.
struct Sleep<'a> {
    clock: &'a Arc<Mutex<Virtual>>,
    until: u64,
    /// The time has passed already, while the run waited for requests.
    in_place: bool,
    registered: bool,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut clock = lock(this.clock);
        if clock.now() >= this.until {
            return Poll::Ready(());
        }
        if !this.registered {
            clock.sleepers.push(this.until);
            this.registered = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // A run that is dropped is not woken any more.
        if clock.sleepers.iter().min() == Some(&this.until) && clock.sleep(this.until, this.in_place) {
            return Poll::Ready(());
        }
        // An earlier sleep of the same round ends the guest's wait. The guest will poll again.
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if self.registered {
            let mut clock = lock(self.clock);
            if let Some(index) = clock.sleepers.iter().position(|until| *until == self.until) {
                clock.sleepers.swap_remove(index);
            }
        }
    }
}

fn lock(clock: &Mutex<Virtual>) -> MutexGuard<'_, Virtual> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::future::{Either, FutureExt as _, select};

    use super::*;

    fn sleep(clock: &Arc<Mutex<Virtual>>, until: u64) -> Sleep<'_> {
        Sleep { clock, until, in_place: false, registered: false }
    }

    #[tokio::test]
    async fn the_earliest_sleeper_wakes_first_and_moves_the_clock() {
        let clock = Arc::new(Mutex::new(Virtual { replay: RunReplay::default(), now: 100, sleepers: Vec::new() }));
        let woken = select(sleep(&clock, 300), sleep(&clock, 200)).await;
        assert!(matches!(woken, Either::Right(_)));
        drop(woken);
        assert_eq!(lock(&clock).now, 200);
        assert!(lock(&clock).sleepers.is_empty());
        sleep(&clock, 250).await;
        assert_eq!(lock(&clock).now, 250);
    }

    #[tokio::test]
    async fn polling_without_waiting_moves_no_clock() {
        let clock = Arc::new(Mutex::new(Virtual { replay: RunReplay::default(), now: 100, sleepers: Vec::new() }));
        assert!(sleep(&clock, 300).now_or_never().is_none());
        assert_eq!(lock(&clock).now, 100);
        assert!(sleep(&clock, 100).now_or_never().is_some());
    }
}
