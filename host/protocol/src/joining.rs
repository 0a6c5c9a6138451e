//! Jobs that join a call which is on its way already, so that it is not run once for each of them.
//!
//! Only of a task that workers of ours have announced: a worker of another SDK takes a message for good before it works on it, and
//! may lose it. Then the next job's message is what sets the call going again.
//!
//! Such a job sends no message. It is registered with the call as a parent is, but with the call itself in the parent's place: so
//! it is notified of the value, and is next in turn after a failure, which counts in its own job alone (R1, R2). A call never waits
//! for itself, so an entry of this form can be nothing else. (`defer` refuses a call that does.)

use crate::model::{Call, CallHash, Millis, Root, Topic};
use crate::ports::NewJob;
use crate::records::{JobRecord, Latest, RunRecord, decode_tasks};
use crate::registration::Registered;
use crate::wire::{PendingReturns, Return};

/// What becomes of a job that is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It has joined its call, and sends no message.
    Joins,
    /// It sends its message.
    Sends,
    /// It sends its message, and then takes back the entry that an earlier attempt to join has left. (With it, it would be taken
    /// for a job that has only joined.)
    SendsAndLeaves,
}

/// The entry of a job that joins.
#[must_use]
pub fn entry_of(job: &NewJob) -> Return {
    Return { root: job.root.clone(), parent: job.call.hash.clone(), topic: job.call.topic.clone() }
}

/// Is this the entry of a job that has joined `call`?
#[must_use]
pub fn has_joined(entry: &Return, call: &CallHash) -> bool {
    entry.parent == *call
}

/// Do workers of ours handle the task on its topic? `tasks`: the topic's record of what they have announced.
pub(crate) fn is_announced(tasks: Option<&[u8]>, task: &str) -> bool {
    tasks.and_then(|tasks| decode_tasks(tasks).ok()).is_some_and(|tasks| tasks.contains(task))
}

/// Does the record say that the call's message is on its way?
pub(crate) fn is_on_its_way(pending: Option<&Registered>) -> bool {
    pending.is_some_and(|pending| pending.scheduled_at().is_some())
}

/// The job that the call's record `latest` names, if it is another one than `me` and has sent its message.
pub(crate) fn carrier(latest: Option<&[u8]>, me: &Root) -> Option<Root> {
    let latest = Latest::decode(latest?).ok()?;
    let latest_is_another = latest.is_on_its_way && latest.root != *me;
    latest_is_another.then_some(latest.root)
}

/// May the job with these records be joined, which was started for `call` and has sent its message? Not where it is over, or waits
/// to try again: that may take hours. A record that can't be read is its own job's trouble.
pub(crate) fn may_be_joined(job: Option<&[u8]>, run: Option<&[u8]>, call: &Call, now: Millis) -> bool {
    let Some(Ok(job)) = job.map(JobRecord::decode) else { return false };
    let is_alive = !job.is_over() && !job.is_overdue(now);
    let is_due = run.is_none_or(|run| RunRecord::decode(run).is_ok_and(|run| run.not_before <= now));
    is_alive && is_due && job.call == call.hash && job.topic == call.topic
}

/// The entries that stay when the call is passed on to a job: that job does not wait any more but has the call's message.
pub(crate) fn pass_on(kept: Vec<Return>, call: &CallHash, to: &Root) -> Vec<Return> {
    kept.into_iter().filter(|entry| !(has_joined(entry, call) && entry.root == *to)).collect()
}

/// The record after a job that had joined the call was given its message; `None`: nobody else waits.
pub(crate) fn left_by(pending: PendingReturns, call: &CallHash, root: &Root) -> Option<PendingReturns> {
    let kept = pass_on(pending.returns.into_iter().collect(), call, root);
    (!kept.is_empty()).then(|| PendingReturns { returns: kept.into_iter().collect(), ..pending })
}

/// Is it enough that the call was passed on to this one, now that those in `kept` wait for it? Not if it had joined the call and is gone
/// meanwhile: its message may have come to its end while it still stood in the record, and then it has left the call to others.
pub(crate) fn is_passed_on(to: &Return, kept: &[Return], call: &CallHash) -> bool {
    !has_joined(to, call) || kept.contains(to)
}

/// The topic that a call's message goes to when it is passed on to a job that has joined it: its own.
pub(crate) fn topic_of<'t>(entry: &'t Return, call: &CallHash, otherwise: &'t Topic) -> &'t Topic {
    if has_joined(entry, call) { &entry.topic } else { otherwise }
}
