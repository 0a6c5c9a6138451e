//! A job that joins a call which was already sent on behalf of another job.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::child::{read_pending, registered, with_me};
use super::notify::{notify_all, notify_in_job};
use super::settle::abandon_call;
use crate::error::Result;
use crate::joining::{self, Start, is_on_its_way, left_by};
use crate::model::{CallHash, JobId, Millis};
use crate::ports::{Key, NewJob, Store, Swap};
use crate::records::JobRecord;
use crate::registration::Registered;
use crate::wire::PendingReturns;

/// Registers the job with its call if the call's message is on its way. `is_new`: the job was not scheduled before. `found`:
/// the call's `pending_returns`.
pub(super) async fn join(
    p: &Ports<'_>,
    job: &NewJob,
    is_new: bool,
    mut found: Option<Bytes>,
    latest: Option<&[u8]>,
    now: Millis,
) -> Result<Start> {
    // A job that starts later shares nothing of a run that starts earlier, apart from the value.
    if job.is_delayed(now) {
        return Ok(Start::Sends);
    }
    let (hash, me) = (&job.call.hash, joining::entry_of(job));
    let (key, value) = (Key::pending_returns(hash), Key::value(hash));
    let (mut carrier, mut is_announced) = (None, false);
    loop {
        // A damaged record fails the call when its message is handled.
        let Ok(pending) = registered(hash, found.as_ref(), &me) else { return Ok(Start::Sends) };
        if pending.as_ref().is_some_and(Registered::has_me) {
            return Ok(if is_on_its_way(pending.as_ref()) { Start::Joins } else { Start::SendsAndLeaves });
        }
        if !is_new {
            return Ok(Start::Sends);
        }
        if !is_on_its_way(pending.as_ref()) && carrier.is_none() {
            carrier = find_carrier(p, job, latest, now).await?;
            if carrier.is_none() {
                return Ok(Start::Sends);
            }
        }
        if !is_announced {
            let tasks = p.store.get(&Key::tasks(&job.call.topic)).await?;
            if !joining::is_announced(tasks.as_deref(), &job.call.task) {
                return Ok(Start::Sends);
            }
            is_announced = true;
        }
        // If only the other job's records say that a message is on its way, `scheduled_at` is written only after a second look
        // (rule R4).
        let new = with_me(pending.as_ref(), &me, pending.as_ref().and_then(Registered::scheduled_at));
        let swap = match &found {
            Some(_) => p.store.swap(&key, found.as_ref(), Some(new.clone())).await?,
            None if p.store.put_if(&key, new.clone(), &value).await? => Swap::Done,
            None => Swap::Mismatch(p.store.get(&key).await?),
        };
        match swap {
            Swap::Done => {
                if let (Some(carrier), false) = (&carrier, is_on_its_way(pending.as_ref())) {
                    look_again(p, job, carrier, &new, now).await?;
                }
                return Ok(Start::Joins);
            }
            // Another job has created or removed the record meanwhile.
            Swap::Mismatch(Some(other)) => found = Some(other),
            Swap::Mismatch(None) if found.is_some() => found = None,
            // The call has its value.
            Swap::Mismatch(None) => return Ok(Start::Sends),
        }
    }
}

/// Removes the entry of a job that had joined its call. The job has the call's message now.
pub(crate) async fn leave(store: &dyn Store, job_id: &JobId, call: &CallHash) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut found = store.get(&key).await?;
    while let Some(pending) = read_pending(call, found.as_deref())? {
        let new = left_by(pending, call, job_id).map(|pending| pending.encode());
        if new == found {
            break;
        }
        match store.swap(&key, found.as_ref(), new).await? {
            Swap::Done => break,
            Swap::Mismatch(other) => found = other,
        }
    }
    Ok(())
}

/// The job that was last started for the call before this one, if that job has the call's message.
async fn find_carrier(p: &Ports<'_>, new: &NewJob, latest: Option<&[u8]>, now: Millis) -> Result<Option<JobId>> {
    let Some(job_id) = joining::carrier(latest, &new.job_id) else { return Ok(None) };
    let hash = &new.call.hash;
    let keys = [Key::job(&job_id), Key::run(hash, &job_id), Key::failure(hash, &job_id)];
    let [job, run, failure] = <[_; 3]>::try_from(p.store.get_many(&keys).await?).unwrap_or_default();
    let may_be_joined = joining::may_be_joined(job.as_deref(), run.as_deref(), &new.call, now);
    Ok((may_be_joined && failure.is_none()).then_some(job_id))
}

/// Looks again after this job has registered. The call may have ended in the other job before that, or the other job may be
/// over. Then nothing has notified this job, so this function does it. Otherwise the call's message is known to be on its way,
/// and that is written down. `record`: the record as this job has written it.
async fn look_again(p: &Ports<'_>, job: &NewJob, carrier: &JobId, record: &Bytes, now: Millis) -> Result<()> {
    let (hash, topic) = (&job.call.hash, &job.call.topic);
    let keys = [Key::value(hash), Key::failure(hash, carrier), Key::job(carrier)];
    let [value, failure, other] = <[_; 3]>::try_from(p.store.get_many(&keys).await?).unwrap_or_default();
    if value.is_some() {
        notify_all(p, hash, HashSet::new()).await
    } else if failure.is_some() {
        notify_in_job(p, hash, carrier, topic, HashSet::new()).await
    } else if other.as_deref().is_none_or(|other| JobRecord::is_over_in(other).unwrap_or(true)) {
        abandon_call(p, carrier, hash, topic).await
    } else {
        let pending = PendingReturns { scheduled_at: Some(now / 1000), ..PendingReturns::decode(record)? };
        // A mismatch means that another parent has registered. Then the parent that registers next sends a message.
        p.store.swap(&Key::pending_returns(hash), Some(record), Some(pending.encode())).await.map(drop)
    }
}
