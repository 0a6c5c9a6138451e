//! A job that joins a call which is on its way already.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::child::{read_pending, registered, with_me};
use super::settle::release_call;
use super::wake::{wake_all, wake_in_job};
use crate::error::Result;
use crate::joining::{self, Start, is_on_its_way, left_by};
use crate::model::{CallHash, Millis, Root};
use crate::ports::{Key, NewJob, Store, Swap};
use crate::records::JobRecord;
use crate::registration::Registered;
use crate::wire::PendingReturns;

/// Registers the job with its call if that is on its way. `is_new`: nobody has scheduled the job before. `found`: the call's
/// `pending_returns`.
pub(super) async fn join(
    p: &Ports<'_>,
    job: &NewJob,
    is_new: bool,
    mut found: Option<Bytes>,
    latest: Option<&[u8]>,
    now: Millis,
) -> Result<Start> {
    let (hash, me) = (&job.call.hash, joining::entry_of(job));
    let (key, value) = (Key::pending_returns(hash), Key::value(hash));
    let (mut carrier, mut is_announced) = (None, false);
    loop {
        // A damaged record costs the call when its message comes.
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
        // Where only the other job says that a message is on its way, that is not written down before it was looked at again: R4.
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
            // Created by another job meanwhile, or removed.
            Swap::Mismatch(Some(other)) => found = Some(other),
            Swap::Mismatch(None) if found.is_some() => found = None,
            // The call has its value.
            Swap::Mismatch(None) => return Ok(Start::Sends),
        }
    }
}

/// Takes back the entry of a job that had joined its call: it has the call's message now.
pub(crate) async fn leave(store: &dyn Store, root: &Root, call: &CallHash) -> Result<()> {
    let key = Key::pending_returns(call);
    let mut found = store.get(&key).await?;
    while let Some(pending) = read_pending(call, found.as_deref())? {
        let new = left_by(pending, call, root).map(|pending| pending.encode());
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

/// The job that was started for the call before this one, if it has the call's message.
async fn find_carrier(p: &Ports<'_>, new: &NewJob, latest: Option<&[u8]>, now: Millis) -> Result<Option<Root>> {
    let Some(root) = joining::carrier(latest, &new.root) else { return Ok(None) };
    let hash = &new.call.hash;
    let keys = [Key::job(&root), Key::run(hash, &root), Key::failure(hash, &root)];
    let [job, run, failure] = <[_; 3]>::try_from(p.store.get_many(&keys).await?).unwrap_or_default();
    let may_be_joined = joining::may_be_joined(job.as_deref(), run.as_deref(), &new.call, now);
    Ok((may_be_joined && failure.is_none()).then_some(root))
}

/// The call may have ended in the other job, or that job may be over, before this one was registered. Then nobody has notified this
/// one, so that is done here. If not, the call's message is known to be on its way. `record`: as this job has registered.
async fn look_again(p: &Ports<'_>, job: &NewJob, carrier: &Root, record: &Bytes, now: Millis) -> Result<()> {
    let (hash, topic) = (&job.call.hash, &job.call.topic);
    let keys = [Key::value(hash), Key::failure(hash, carrier), Key::job(carrier)];
    let [value, failure, other] = <[_; 3]>::try_from(p.store.get_many(&keys).await?).unwrap_or_default();
    if value.is_some() {
        wake_all(p, hash, HashSet::new()).await
    } else if failure.is_some() {
        wake_in_job(p, hash, carrier, topic, HashSet::new()).await
    } else if other.as_deref().is_none_or(|other| JobRecord::is_over_in(other).unwrap_or(true)) {
        release_call(p, carrier, hash, topic).await
    } else {
        let pending = PendingReturns { scheduled_at: Some(now / 1000), ..PendingReturns::decode(record)? };
        // On a mismatch somebody else has registered; then the next one who does sends a message.
        p.store.swap(&Key::pending_returns(hash), Some(record), Some(pending.encode())).await.map(drop)
    }
}
