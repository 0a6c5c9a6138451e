//! Admission decides what a worker receives, which calls start, and which messages wait. It decides this for all topics
//! of a process.
//!
//! - *Receiving* (`room`): a worker receives a message for each run that is possible at once, and as many more as runs
//!   are expected to end within a moment. The estimate uses the last runs. If runs are long, there are no further
//!   messages, so that other workers can take them. If runs are quick, there are up to `AHEAD` for each run: a backend
//!   behind a network answers in milliseconds, and a worker must then process many messages at once to keep a few runs
//!   busy.
//! - *Starting* (`enter`): a run needs a slot among the worker's runs. If its task has a `max-running`, the run first
//!   needs a slot among the runs of the task. Slots are given in the order of asking. Reading and settling a message
//!   need no slot.
//! - *Waiting*: a message that waits for a slot is given back after a moment, if no slot can be expected soon. An
//!   idle worker can then take the message, so a run that takes long does not block it. If a task has reached its
//!   `max-running`, only a few of its messages wait. The others are given back at once, with a delay (`task`).
//! - *Closed*: no call starts any more, and waiting messages are given back.

mod lane;
mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_protocol::gate::{Entry, Gate};
use brrr_protocol::ports::Task;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use lane::{Lane, MOMENT, Mean};
use task::Limited;

/// The most messages that may wait, for each run that is possible at once, if runs are quick. With a backend behind a
/// network, a step needs the guest for microseconds and waits for answers for milliseconds. With a backend in this
/// process or in its files, a step waits for a commit at most.
const AHEAD_OF_REMOTE: usize = 5;
const AHEAD: usize = 1;

/// If answers of the backend take longer than this, there is an outage. The worker must not receive more messages then.
const SLOWEST_BACKEND: Duration = Duration::from_millis(500);

/// The most tasks with a limit that are remembered. Unused tasks are removed first.
const MANY_TASKS: usize = 1_000;

/// Decides what a worker receives and starts; see the module.
pub struct Admission {
    most: u32,
    /// One permit for each run that may start.
    slots: Arc<Semaphore>,
    state: Mutex<AdmissionState>,
    /// Notifies the receivers that there may be more room.
    more_room: Notify,
}

struct AdmissionState {
    /// The lane of all runs.
    all: Lane,
    tasks: HashMap<String, Limited>,
    /// The time that a message needs in addition to its run: reading, settling, and the backend's answers.
    beside: Mean,
    /// The number of messages that this process holds.
    held: usize,
    /// The number of tasks that wait for room.
    receivers: usize,
}

/// A queue for slots: of all runs, or of the runs of a task.
#[derive(Clone, Copy)]
enum Line<'a> {
    All,
    Of(&'a str),
}

impl AdmissionState {
    fn beside(&self) -> Duration {
        self.beside.get().unwrap_or_default().min(SLOWEST_BACKEND)
    }

    /// How many messages may be received now, and the smallest batch that is worth a request.
    fn room(&mut self, now: Instant) -> (usize, usize) {
        let ahead = self.all.ahead(now, self.beside());
        let room = (self.all.max() + ahead).saturating_sub(self.held);
        (room, (ahead / 2).max(1))
    }

    fn has_room(&mut self, now: Instant) -> Option<usize> {
        let (room, batch) = self.room(now);
        (room >= batch).then_some(room)
    }

    fn lane(&mut self, line: Line<'_>) -> Option<&mut Lane> {
        match line {
            Line::All => Some(&mut self.all),
            Line::Of(task) => self.tasks.get_mut(task).map(|limited| &mut limited.lane),
        }
    }

    /// Is every message that waits in this line expected to start soon?
    fn flows(&mut self, line: Line<'_>, now: Instant, one_more: usize) -> bool {
        let beside = self.beside();
        self.lane(line).is_none_or(|lane| lane.waiting + one_more <= lane.ahead(now, beside))
    }

    /// The slots of a task. Another version of its component may have another limit.
    fn slots_of(&mut self, task: &str, max: usize, now: Instant) -> Arc<Semaphore> {
        if let Some(known) = self.tasks.get(task).filter(|known| known.lane.max() == max.max(1)) {
            return known.slots.clone();
        }
        if self.tasks.len() >= MANY_TASKS {
            self.tasks.retain(|_, limited| !limited.is_unused(now));
        }
        let limited = Limited::new(max, self.all.max(), self.all.mean());
        let slots = limited.slots.clone();
        self.tasks.insert(task.to_owned(), limited);
        slots
    }
}

impl Admission {
    /// `max_running` is the most runs at once. `remote`: the backend is behind a network.
    #[must_use]
    pub fn new(max_running: u32, remote: bool) -> Arc<Self> {
        let max = max_running.max(1) as usize;
        let most_ahead = max * if remote { AHEAD_OF_REMOTE } else { AHEAD };
        let state = AdmissionState {
            all: Lane::new(max, most_ahead),
            tasks: HashMap::new(),
            beside: Mean::default(),
            held: 0,
            receivers: 0,
        };
        Arc::new(Self {
            most: max_running,
            slots: Arc::new(Semaphore::new(max)),
            state: Mutex::new(state),
            more_room: Notify::new(),
        })
    }

    /// How many runs are possible at once.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// How many runs there are now.
    pub fn used(&self) -> u32 {
        self.most.saturating_sub(u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX))
    }

    /// Waits until messages may be received. Returns how many.
    pub async fn room(&self) -> usize {
        loop {
            let more = self.more_room.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            {
                let mut state = self.state();
                if let Some(room) = state.has_room(Instant::now()) {
                    return room;
                }
                state.receivers += 1;
            }
            let _waiting = Undo(|| self.state().receivers -= 1);
            // The room also changes with time, so the wait ends after a moment without a notification.
            let _ = tokio::time::timeout(MOMENT, more).await;
        }
    }

    /// Records a received message. The message counts until the ticket is dropped.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Ticket {
        self.state().held += 1;
        Ticket(Arc::new(HeldMessage {
            admission: self.clone(),
            begun: Instant::now(),
            not_beside: AtomicU64::new(0),
            started: AtomicBool::new(false),
        }))
    }

    /// Closes the admission: no call starts any more, and waiting messages are refused.
    pub fn close(&self) {
        self.slots.close();
        self.state().tasks.values().for_each(|limited| limited.slots.close());
    }

    /// Was the admission closed?
    pub fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }

    /// Waits for a slot in this line, while a slot can be expected soon. `None`: no slot can be expected soon, or
    /// the admission is closed.
    async fn slot(&self, slots: &Arc<Semaphore>, line: Line<'_>, at_once: bool) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = slots.clone().try_acquire_owned() {
            return Some(slot);
        }
        {
            let mut state = self.state();
            if at_once && !state.flows(line, Instant::now(), 1) {
                return None;
            }
            state.lane(line)?.waiting += 1;
        }
        let _waiting = Undo(|| {
            if let Some(lane) = self.state().lane(line) {
                lane.waiting = lane.waiting.saturating_sub(1);
            }
        });
        let slot = slots.clone().acquire_owned();
        tokio::pin!(slot);
        loop {
            match tokio::time::timeout(MOMENT, &mut slot).await {
                Ok(slot) => return slot.ok(),
                Err(_) if self.state().flows(line, Instant::now(), 0) => {}
                Err(_) => return None,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, AdmissionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gate for one message that a worker holds.
pub struct Ticket(Arc<HeldMessage>);

struct HeldMessage {
    admission: Arc<Admission>,
    begun: Instant,
    /// The nanoseconds in which the message waited or ran.
    not_beside: AtomicU64,
    started: AtomicBool,
}

impl Ticket {
    /// Has the call been started?
    pub fn has_started(&self) -> bool {
        self.0.started.load(Ordering::Relaxed)
    }

    /// Records time that was not spent on reading or settling the message.
    pub fn waited(&self, time: Duration) {
        self.0.waited(time);
    }
}

impl HeldMessage {
    fn waited(&self, time: Duration) {
        self.not_beside.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for HeldMessage {
    fn drop(&mut self) {
        let waited = Duration::from_nanos(*self.not_beside.get_mut());
        let beside = self.begun.elapsed().saturating_sub(waited);
        let mut state = self.admission.state();
        state.held -= 1;
        if *self.started.get_mut() {
            state.beside.add(beside);
        }
        let wake = state.receivers > 0 && state.has_room(Instant::now()).is_some();
        drop(state);
        if wake {
            self.admission.more_room.notify_waiters();
        }
    }
}

#[async_trait]
impl Gate for Ticket {
    async fn enter(&self, name: &str, task: &Task) -> Entry {
        let (admission, asked) = (&self.0.admission, Instant::now());
        if admission.is_closed() {
            return Entry::NotNow(Duration::ZERO);
        }
        let mut of_task = None;
        if let Some(max) = task.options.max_running {
            let slots = admission.state().slots_of(name, max as usize, asked);
            let Some(slot) = admission.slot(&slots, Line::Of(name), true).await else {
                if admission.is_closed() {
                    return Entry::NotNow(Duration::ZERO);
                }
                let mut state = admission.state();
                let back = state.tasks.get_mut(name).map(|limited| limited.record_nack(Instant::now()));
                return Entry::NotNow(back.unwrap_or_default());
            };
            of_task = Some((name.to_owned(), slots, slot));
        }
        let Some(slot) = admission.slot(&admission.slots, Line::All, false).await else {
            return Entry::NotNow(Duration::ZERO);
        };
        let now = Instant::now();
        self.waited(now - asked);
        self.0.started.store(true, Ordering::Relaxed);
        let mut state = admission.state();
        let number = state.all.begin(now);
        let of_task = of_task.map(|(name, slots, slot)| {
            // A new version of the task may have replaced its entry since the slot was taken.
            let limited = state.tasks.get_mut(&name).filter(|limited| Arc::ptr_eq(&limited.slots, &slots));
            let number = limited.map(|limited| limited.lane.begin(now));
            TaskRun { name, number, slots, _slot: slot }
        });
        drop(state);
        Entry::Granted(Box::new(AdmittedRun { held: self.0.clone(), began: now, number, of_task, _slot: slot }))
    }
}

/// A current run. Dropping it frees its slots.
struct AdmittedRun {
    held: Arc<HeldMessage>,
    began: Instant,
    number: u64,
    of_task: Option<TaskRun>,
    _slot: OwnedSemaphorePermit,
}

struct TaskRun {
    name: String,
    number: Option<u64>,
    slots: Arc<Semaphore>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for AdmittedRun {
    fn drop(&mut self) {
        let now = Instant::now();
        self.held.waited(now - self.began);
        let mut state = self.held.admission.state();
        state.all.end(self.number, now);
        if let Some(TaskRun { name, number: Some(number), slots, .. }) = &self.of_task
            && let Some(limited) = state.tasks.get_mut(name).filter(|limited| Arc::ptr_eq(&limited.slots, slots))
        {
            limited.lane.end(*number, now);
        }
    }
}

/// Calls the function when it is dropped.
struct Undo<F: Fn()>(F);

impl<F: Fn()> Drop for Undo<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests;
