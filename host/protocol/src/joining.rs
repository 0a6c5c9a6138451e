//! Jobs that join a call which is already on its way, so that the call is not run once for each of them.
//!
//! A call is joined only if workers of ours have announced its task. A worker of another SDK removes a message from the queue
//! before it works on it, and may lose it. In that case the next job's message is what starts the call again.
//!
//! A job that joins sends no message. It is registered with the call as a parent is, but with the call itself as the parent. So
//! the job is notified of the value. After a failure, which counts only in its own job, the call can be queued again under the
//! job that joined (R1, R2). A call never waits for itself, so an entry of this form can't mean anything else. (`defer` refuses
//! a call that waits for itself.)

use crate::model::{Call, CallHash, JobId, Millis, Topic};
use crate::ports::NewJob;
use crate::records::{JobRecord, LatestJob, RunRecord, decode_tasks};
use crate::registration::Registered;
use crate::wire::{PendingReturns, Return};

/// What a job that is started does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// The job has joined its call, and sends no message.
    Joins,
    /// The job sends its message.
    Sends,
    /// The job sends its message, and then removes the entry that an earlier attempt to join has left. (With the entry it would
    /// count as a job that has only joined.)
    SendsAndLeaves,
}

/// The entry of a job that joins its call.
#[must_use]
pub fn entry_of(job: &NewJob) -> Return {
    Return { job_id: job.job_id.clone(), parent: job.call.hash.clone(), topic: job.call.topic.clone() }
}

/// True if this is the entry of a job that has joined `call`.
#[must_use]
pub fn has_joined(entry: &Return, call: &CallHash) -> bool {
    entry.parent == *call
}

/// True if workers of ours handle the task on its topic. `tasks`: the topic's `tasks` record, which lists the announced tasks.
pub(crate) fn is_announced(tasks: Option<&[u8]>, task: &str) -> bool {
    tasks.and_then(|tasks| decode_tasks(tasks).ok()).is_some_and(|tasks| tasks.contains(task))
}

/// True if the record says that the call's message is on its way.
pub(crate) fn is_on_its_way(pending: Option<&Registered>) -> bool {
    pending.is_some_and(|pending| pending.scheduled_at().is_some())
}

/// The job that the call's `latest_job` record names, if that job is not `me` and has sent its message.
pub(crate) fn carrier(latest: Option<&[u8]>, me: &JobId) -> Option<JobId> {
    let latest = LatestJob::decode(latest?).ok()?;
    let latest_is_another = latest.is_on_its_way && latest.job_id != *me;
    latest_is_another.then_some(latest.job_id)
}

/// True if a job can be joined that was started for `call` and has sent its message. `job` and `run` are its records. A job
/// can't be joined if it is over, or if it waits for its next attempt, because that may take hours. A job with a record that
/// can't be read can't be joined either.
pub(crate) fn may_be_joined(job: Option<&[u8]>, run: Option<&[u8]>, call: &Call, now: Millis) -> bool {
    let Some(Ok(job)) = job.map(JobRecord::decode) else { return false };
    let is_alive = !job.is_over() && !job.is_overdue(now);
    let is_due = run.is_none_or(|run| RunRecord::decode(run).is_ok_and(|run| run.not_before <= now));
    is_alive && is_due && job.call == call.hash && job.topic == call.topic
}

/// The entries that stay when the call is passed on to the job `to`. That job does not wait any more, because it has the call's
/// message.
pub(crate) fn pass_on(kept: Vec<Return>, call: &CallHash, to: &JobId) -> Vec<Return> {
    kept.into_iter().filter(|entry| !(has_joined(entry, call) && entry.job_id == *to)).collect()
}

/// The record after a job that had joined the call got the call's message. `None`: no other parent waits.
pub(crate) fn left_by(pending: PendingReturns, call: &CallHash, job_id: &JobId) -> Option<PendingReturns> {
    let kept = pass_on(pending.returns.into_iter().collect(), call, job_id);
    (!kept.is_empty()).then(|| PendingReturns { returns: kept.into_iter().collect(), ..pending })
}

/// True if it was enough to pass the call on to the entry `to`, when the entries in `kept` wait now. It was not enough if `to`
/// had joined the call and its entry was removed meanwhile. Then its message may have been handled while the entry was still in
/// the record, and the call was left to other jobs.
pub(crate) fn is_passed_on(to: &Return, kept: &[Return], call: &CallHash) -> bool {
    !has_joined(to, call) || kept.contains(to)
}

/// The topic for the call's message when the call is passed on to `entry`. If the job of `entry` has joined the call, that is
/// the entry's own topic.
pub(crate) fn topic_of<'t>(entry: &'t Return, call: &CallHash, otherwise: &'t Topic) -> &'t Topic {
    if has_joined(entry, call) { &entry.topic } else { otherwise }
}
