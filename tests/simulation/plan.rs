//! The plan of a history: the participants, and the faults.

use crate::actions::{Action, PlannedAction};
use crate::world::{Answer, Crash};

/// An event that hits a history from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The worker that is running dies.
    Crash,
    /// The current run is stopped, and its worker continues with the same delivery.
    Preempt,
    /// The lease of the current run is lost, and its worker does not know it. The message is delivered to another worker. The
    /// first worker continues when nothing else is left to do.
    Zombie,
    /// The worker that is running pauses, and keeps its lease. It continues when nothing else is left to do.
    Pause,
    /// All paused workers continue now, and the worker that is running continues after them.
    Switch,
    /// Our next access gets no answer.
    Unanswered(Answer),
    /// The n-th read of a peer from now on is stale.
    StaleRead(i64),
    /// A client performs this action without interruption.
    Does(Action),
    /// A client begins this action, and dies before its n-th access.
    Dies(Action, i64),
    /// A client begins this action, and is paused before its n-th access.
    Begins(Action, i64),
    /// The clock moves past every deadline and every delay.
    Late,
    /// The queue's clock is ahead: delayed messages are ready now.
    Early,
    /// All delayed messages are lost.
    NoTimers,
    /// All counters are lost.
    NoCounters,
    /// This message is delivered.
    Comes(&'static str),
    /// Dead letters are sent again unchanged.
    SendAgain,
    /// Poison no longer kills workers, and every task has a handler.
    Cure,
}

/// The faults of a worker, and of its accesses.
pub const FAULTS: [Event; 7] = [
    Event::Crash,
    Event::Preempt,
    Event::Zombie,
    Event::Pause,
    Event::Late,
    Event::Unanswered(Answer::Lost),
    Event::Unanswered(Answer::Refused),
];

/// The plan of a history.
#[derive(Default)]
pub struct Plan {
    /// Each transition is one access; see `transactions`.
    pub transactional: bool,
    /// The contents of the queue cannot be listed, as with SQS.
    pub opaque: bool,
    /// Peers may use the store, although no peer is there.
    pub shared: bool,
    /// The number of our workers. All of them can be busy at once.
    pub workers: usize,
    /// The number of peers beside our workers: at most once delivery, N+1 notifications.
    pub peers: usize,
    /// Only one worker or peer is busy at a time. These bits say which deliveries go to a peer; the lowest bit is the first
    /// delivery.
    pub peer_deliveries: Option<u64>,
    /// As `peer_deliveries`: a peer gets the messages for these calls.
    pub peer_calls: &'static [&'static str],
    /// Peers die, and read stale records. The calls that they leave stuck are repaired at the end.
    pub bad_peers: bool,
    /// Sometimes one of our accesses gets no answer.
    pub unanswered: bool,
    /// The random source. It decides which participant makes the next access, which message is delivered, how the clock moves,
    /// which leases expire too early, and which runs are stopped.
    pub random: Option<fastrand::Rng>,
    /// The planned deaths: each new worker takes the next one.
    pub crashes: Vec<Crash>,
    /// The events and the total number of accesses after which each happens, in order.
    pub events: Vec<(i64, Event)>,
    /// The actions of clients, and when they happen.
    pub actions: Vec<PlannedAction>,
    /// A message with more deliveries than this becomes a dead letter. `None`: never.
    pub max_deliveries: Option<u32>,
    /// At the end a client searches for stuck work, and repairs it.
    pub repair: bool,
    /// The runs log, and what they log is kept.
    pub logs: bool,
    /// All jobs are traced.
    pub traced: bool,
}

impl Plan {
    /// A plan with one worker that is never paused.
    pub fn of(events: &[(i64, Event)]) -> Self {
        Self { workers: 1, events: events.to_vec(), ..Self::default() }
    }

    fn clients(&self) -> impl Iterator<Item = Action> + '_ {
        let of_event = |(_, event): &(i64, Event)| match event {
            Event::Does(action) | Event::Dies(action, _) | Event::Begins(action, _) => Some(*action),
            _ => None,
        };
        self.actions.iter().map(|planned| planned.action).chain(self.events.iter().filter_map(of_event))
    }

    /// Is it certain that no worker acts on a record that another worker has changed since the read?
    pub fn is_sequential(&self) -> bool {
        let pauses_a_worker =
            |event: &Event| matches!(event, Event::Zombie | Event::Pause | Event::Begins(..) | Event::Switch);
        self.random.is_none() && !self.events.iter().any(|(_, event)| pauses_a_worker(event))
    }

    pub fn cancels(&self, job: usize) -> bool {
        self.clients().any(|action| action == Action::Cancel(job))
    }

    /// Does a client schedule this job during the history, so that the job does not exist at the beginning?
    pub fn schedules(&self, job: usize) -> bool {
        self.clients().any(|action| action == Action::Schedule(job) || action == Action::Start(job))
    }

    /// Can records be removed, and can values be computed twice?
    pub fn removes(&self) -> bool {
        self.clients().any(|action| matches!(action, Action::Collect | Action::CollectOlder(_) | Action::Forget(_)))
    }

    pub fn has_dead_letters(&self) -> bool {
        self.max_deliveries.is_some() || self.events.iter().any(|(_, event)| matches!(event, Event::Comes(_)))
    }
}
