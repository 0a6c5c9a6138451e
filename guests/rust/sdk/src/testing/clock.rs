//! The clock of a native test: it stands still but for the sleeps, which take no time. So each run comes to the same.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    /// When the last run began, in whole milliseconds.
    static BEGAN: Cell<Option<SystemTime>> = const { Cell::new(None) };
    static MOVED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) fn now() -> SystemTime {
    BEGAN.get().unwrap_or_else(SystemTime::now) + MOVED.get()
}

pub(super) fn begin() {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    BEGAN.set(Some(UNIX_EPOCH + Duration::from_millis(since.as_millis() as u64)));
    MOVED.set(Duration::ZERO);
}

/// The real time that has passed since the test began, and the time of the sleeps: a handler that works until its time is over
/// has to come to an end.
pub(super) fn passed() -> Duration {
    START.elapsed() + MOVED.get()
}

/// By how much the sleeps have moved it.
pub(super) fn moved() -> Duration {
    MOVED.get()
}

pub(super) fn set_moved(moved: Duration) {
    MOVED.set(moved);
}

pub(crate) fn pass(time: Duration) {
    MOVED.set(MOVED.get().saturating_add(time));
}

/// How long it is until this Unix time in milliseconds.
pub(super) fn until(due: u64) -> Duration {
    let due = UNIX_EPOCH.checked_add(Duration::from_millis(due));
    due.map_or(Duration::MAX, |due| due.duration_since(now()).unwrap_or_default())
}

pub(crate) fn move_to(due: u64) {
    pass(until(due));
}
