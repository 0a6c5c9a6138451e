//! Sleeps and time limits.
//!
//! In a handler that may call, they are durable: while it sleeps, the handler does not exist, and the host runs it again when
//! the time has come. In a leaf, and beside an HTTP request, a sleep takes its real time in the run.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::system;

/// Waits for this long: seconds or weeks.
///
/// ```
/// use std::time::Duration;
///
/// #[brrr::handler]
/// async fn remind(text: String) -> brrr::Result<String> {
///     brrr::sleep(Duration::from_secs(3 * 24 * 60 * 60)).await;
///     Ok(format!("Three days ago: {text}"))
/// }
/// brrr::worker!(remind);
///
/// # fn main() {
/// // In a native test it takes no time.
/// assert_eq!(brrr::testing::run(TASKS, remind("water".into())).unwrap(), "Three days ago: water");
/// # }
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    // A time that no clock can show never comes.
    let far = || UNIX_EPOCH + Duration::from_millis(i64::MAX as u64);
    sleep_until(system::now().checked_add(duration).unwrap_or_else(far))
}

/// Waits until the handler's clock shows this time.
pub fn sleep_until(time: SystemTime) -> Sleep {
    Sleep { timer: Rc::new(Timer::new(milliseconds_up(time))), registered: false }
}

/// Waits for the future, for at most this long. Then the future is dropped: nobody waits for its calls any more. They go on, and
/// the same call made again later finds their value.
///
/// ```
/// use std::time::Duration;
///
/// #[brrr::handler]
/// async fn charge(cents: u64) -> brrr::Result<String> {
///     match brrr::timeout(Duration::from_secs(30), pay(cents)).await {
///         Ok(receipt) => Ok(receipt?),
///         Err(_) => Ok("ask again tomorrow".into()),
///     }
/// }
///
/// #[brrr::handler(leaf)]
/// async fn pay(cents: u64) -> String {
///     brrr::sleep(Duration::from_secs(cents)).await;
///     format!("{cents} paid")
/// }
/// brrr::worker!(charge, pay);
///
/// # fn main() {
/// assert_eq!(brrr::testing::run(TASKS, charge(5)).unwrap(), "5 paid");
/// assert_eq!(brrr::testing::run(TASKS, charge(5000)).unwrap(), "ask again tomorrow");
/// # }
/// ```
///
/// # Errors
/// [`Elapsed`] when the time is over first. If both happen at once, the future's output counts.
pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = sleep(limit);
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut sleep).poll(context).map(|()| Err(Elapsed(limit)))
    })
    .await
}

/// What was waited for did not come within the limit of [`timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(Duration);

impl Elapsed {
    /// The limit.
    #[must_use]
    pub fn limit(self) -> Duration {
        self.0
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it took longer than {:?}", self.0)
    }
}

impl std::error::Error for Elapsed {}

/// A wait for a time; see [`sleep`].
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    timer: Rc<Timer>,
    registered: bool,
}

/// A time that the handler waits for.
struct Timer {
    /// Unix time in milliseconds.
    due: u64,
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// The clock by which it is due. A pointer, so that a component without sleeps does not import the clock.
    clock: fn() -> SystemTime,
    /// Waits in real time for so many milliseconds.
    #[cfg(target_family = "wasm")]
    real: fn(u64) -> wasip2::io::poll::Pollable,
    /// The host's `poll` for it, once there is one.
    #[cfg(all(target_family = "wasm", feature = "async-world"))]
    durable: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>>,
    #[cfg(all(target_family = "wasm", feature = "async-world"))]
    make_durable: Cell<bool>,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("due", &self.due).field("fired", &self.fired.get()).finish_non_exhaustive()
    }
}

impl Timer {
    fn new(due: u64) -> Self {
        Self {
            due,
            fired: Cell::new(false),
            waker: RefCell::default(),
            clock: system::now,
            #[cfg(target_family = "wasm")]
            real: |ms| wasip2::clocks::monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)),
            #[cfg(all(target_family = "wasm", feature = "async-world"))]
            durable: RefCell::default(),
            #[cfg(all(target_family = "wasm", feature = "async-world"))]
            make_durable: Cell::new(false),
        }
    }

    fn now(&self) -> u64 {
        milliseconds((self.clock)())
    }

    fn fire(&self) {
        self.fired.set(true);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

thread_local! {
    /// Weak: nobody waits for a sleep that was dropped.
    static TIMERS: RefCell<Vec<Weak<Timer>>> = RefCell::default();
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.registered {
            self.registered = true;
            if self.timer.now() >= self.timer.due {
                self.timer.fired.set(true);
            } else {
                TIMERS.with_borrow_mut(|timers| timers.push(Rc::downgrade(&self.timer)));
            }
        }
        if self.timer.fired.get() {
            return Poll::Ready(());
        }
        #[cfg(all(target_family = "wasm", feature = "async-world"))]
        if self.timer.make_durable.get() {
            let mut durable = self.timer.durable.borrow_mut();
            let poll = durable.get_or_insert_with(|| Box::pin(crate::host::sleep_until(self.timer.due)));
            if poll.as_mut().poll(context).is_ready() {
                self.timer.fired.set(true);
                return Poll::Ready(());
            }
        }
        *self.timer.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// The timers that somebody waits for, in the order in which they were made.
fn waiting() -> Vec<Rc<Timer>> {
    let timers: Vec<_> = TIMERS.take().iter().filter_map(Weak::upgrade).filter(|timer| !timer.fired.get()).collect();
    TIMERS.set(timers.iter().map(Rc::downgrade).collect());
    timers
}

/// The time of the next timer, as Unix time in milliseconds.
#[cfg(not(all(target_family = "wasm", feature = "async-world")))]
pub(crate) fn earliest() -> Option<u64> {
    // Almost all waits have no timer.
    if TIMERS.with_borrow(Vec::is_empty) {
        return None;
    }
    waiting().iter().map(|timer| timer.due).min()
}

/// Lets those timers go on whose time has come by the handler's clock.
#[cfg(not(all(target_family = "wasm", feature = "async-world")))]
pub(crate) fn fire() {
    let timers = waiting();
    let Some(now) = timers.first().map(|timer| timer.now()) else { return };
    timers.iter().filter(|timer| timer.due <= now).for_each(|timer| timer.fire());
}

/// Lets those timers go on that are due by then.
fn fire_until(due: u64) {
    waiting().iter().filter(|timer| timer.due <= due).for_each(|timer| timer.fire());
}

/// Waits in real time for the next timer; false when there is none.
#[cfg(target_family = "wasm")]
pub(crate) fn pass() -> bool {
    let Some(next) = Next::find() else { return false };
    next.pollable.block();
    next.fire();
    true
}

/// Waits for the next timer; false when there is none. No time passes in a native test.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn pass() -> bool {
    let Some(due) = earliest() else { return false };
    crate::testing::clock::move_to(due);
    fire_until(due);
    true
}

/// The next timer, to be waited for in real time, maybe beside requests.
#[cfg(target_family = "wasm")]
pub(crate) struct Next {
    due: u64,
    pub(crate) pollable: wasip2::io::poll::Pollable,
}

#[cfg(target_family = "wasm")]
impl Next {
    pub(crate) fn find() -> Option<Self> {
        if TIMERS.with_borrow(Vec::is_empty) {
            return None;
        }
        let timer = waiting().into_iter().min_by_key(|timer| timer.due)?;
        let pollable = (timer.real)(timer.due.saturating_sub(timer.now()));
        Some(Self { due: timer.due, pollable })
    }

    /// Its time has passed. The handler's clock need not show it: it does not move beside a request.
    pub(crate) fn fire(&self) {
        fire_until(self.due);
    }
}

/// Lets the host wait for the timers that it does not wait for yet; false when there are none.
#[cfg(all(target_family = "wasm", feature = "async-world"))]
pub(crate) fn make_durable() -> bool {
    let new: Vec<_> = waiting().into_iter().filter(|timer| !timer.make_durable.replace(true)).collect();
    new.iter().for_each(|timer| timer.wake());
    !new.is_empty()
}

/// Takes all timers, as another handler runs inside this one's poll in a native test.
#[cfg(not(all(target_family = "wasm", feature = "async-world")))]
pub(crate) fn take() -> Timers {
    Timers(TIMERS.take())
}

/// Puts them back.
#[cfg(not(all(target_family = "wasm", feature = "async-world")))]
pub(crate) fn put_back(timers: Timers) {
    TIMERS.set(timers.0);
}

/// The timers of one handler.
#[cfg(not(all(target_family = "wasm", feature = "async-world")))]
pub(crate) struct Timers(Vec<Weak<Timer>>);

fn milliseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Rounded up: a sleep never ends early.
fn milliseconds_up(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_due_at_whole_milliseconds_and_never_early() {
        let at = |nanos: u64| UNIX_EPOCH + Duration::from_nanos(nanos);
        for (nanos, due) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(sleep_until(at(nanos)).timer.due, due);
        }
        assert_eq!(milliseconds(at(1_999_999)), 1);
        assert!(sleep(Duration::MAX).timer.due > 1 << 60);
    }
}
