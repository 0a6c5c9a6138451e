//! How a history goes: who takes part, and what befalls them.

use crate::errand::{Errand, What};
use crate::world::{Answer, Crash};

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
    /// Who is at work does nothing for a while, and keeps its lease. It goes on when nothing else is to do.
    Pause,
    /// Whoever was put aside goes on now, and who is at work afterwards.
    Switch,
    /// The next access of ours gets no answer.
    Unanswered(Answer),
    /// The n-th next read of a peer is stale.
    StaleRead(i64),
    /// A client does this, in one go.
    Does(What),
    /// A client begins this, and dies before its n-th access.
    Dies(What, i64),
    /// A client begins this, and is put aside before its n-th access.
    Begins(What, i64),
    /// The clock goes past every deadline and delay.
    Late,
    /// The queue's clock is ahead: what is delayed comes now.
    Early,
    /// All counters are lost.
    NoCounters,
    /// This comes as a message.
    Comes(&'static str),
    /// Dead letters are sent again as they are.
    SendAgain,
    /// What kills workers does so no more, and what nobody handled is handled.
    Cure,
}

/// How a history goes.
#[derive(Default)]
pub struct Plan {
    /// Each transition is one access, see `transactions`.
    pub transactional: bool,
    /// Nobody can look through the queue, as with SQS.
    pub opaque: bool,
    /// Our workers, all of them busy at once.
    pub workers: usize,
    /// Peers beside them: at most once, N+1 wake-ups.
    pub peers: usize,
    /// With one at work at a time: the deliveries that go to a peer, as bits, the first one lowest.
    pub peer_turns: Option<u64>,
    /// As `peer_turns`: a peer gets the messages for these calls.
    pub peer_calls: &'static [&'static str],
    /// Peers die, and read what is stale. What they strand is repaired at the end.
    pub bad_peers: bool,
    /// Now and then an access of ours gets no answer.
    pub unanswered: bool,
    /// Whose turn it is; also which message is delivered, how the clock goes, which leases run out too early, and which
    /// runs are stopped.
    pub random: Option<fastrand::Rng>,
    /// Deaths in store: each new worker takes the next.
    pub crashes: Vec<Crash>,
    /// What happens after how many accesses in all, in order.
    pub events: Vec<(i64, Event)>,
    /// What clients do when.
    pub errands: Vec<Errand>,
    /// A message that was delivered oftener is a dead letter; `None`: never.
    pub max_deliveries: Option<u32>,
    /// At the end somebody looks for stuck work, and repairs it.
    pub repair: bool,
}

impl Plan {
    /// One worker, who is never in a hurry.
    pub fn of(events: &[(i64, Event)]) -> Self {
        Self { workers: 1, events: events.to_vec(), ..Self::default() }
    }

    fn clients(&self) -> impl Iterator<Item = What> + '_ {
        let of_event = |(_, event): &(i64, Event)| match event {
            Event::Does(what) | Event::Dies(what, _) | Event::Begins(what, _) => Some(*what),
            _ => None,
        };
        self.errands.iter().map(|errand| errand.what).chain(self.events.iter().filter_map(of_event))
    }

    /// Does nobody act on what was read before another one wrote?
    pub fn is_in_turn(&self) -> bool {
        let puts_aside =
            |event: &Event| matches!(event, Event::Zombie | Event::Pause | Event::Begins(..) | Event::Switch);
        self.random.is_none() && !self.events.iter().any(|(_, event)| puts_aside(event))
    }

    pub fn cancels(&self, job: usize) -> bool {
        self.clients().any(|what| what == What::Cancel(job))
    }

    /// Does somebody schedule this job in the course of the history, so that it isn't there when it begins?
    pub fn schedules(&self, job: usize) -> bool {
        self.clients().any(|what| what == What::Schedule(job))
    }

    /// May records go, and values come twice?
    pub fn removes(&self) -> bool {
        self.clients().any(|what| matches!(what, What::Collect | What::CollectOlder(_) | What::Forget(_)))
    }

    pub fn has_letters(&self) -> bool {
        self.max_deliveries.is_some() || self.events.iter().any(|(_, event)| matches!(event, Event::Comes(_)))
    }
}
