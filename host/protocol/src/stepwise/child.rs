//! A child while its parent registers with it.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::settle::release_call;
use super::wake::{wake_all, wake_in_job};
use crate::error::Result;
use crate::model::{Call, CallHash, Root};
use crate::ports::{Deferral, Key, Outgoing, Swap};
use crate::records::RunRecord;
use crate::registration::Registered;
use crate::wire::{Message, PendingReturns, Return};

/// How a child ended before its parent had registered, in the parent's job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildEnd {
    Value,
    Failure,
}

/// A child while its parent registers with it.
pub(super) struct Child<'a> {
    pub call: &'a Call,
    /// The record's bytes as last seen or written.
    pub bytes: Option<Bytes>,
    /// Another job waited for it before.
    pub in_other_jobs: bool,
    /// Its message was sent by this deferral.
    pub sent: bool,
    /// Nobody else waits for it in this job, so that it is run as this parent wants it.
    pub first_of_job: bool,
}

impl<'a> Child<'a> {
    pub fn new(call: &'a Call, bytes: Option<Bytes>, me: &Return) -> Result<Self> {
        let found = registered(&call.hash, bytes.as_ref(), me)?;
        let (sent, first_of_job) = (must_send(found.as_ref()), is_first_of_job(found.as_ref()));
        let in_other_jobs = found.is_some_and(|found| found.is_awaited_in_other_jobs());
        Ok(Self { call, bytes, in_other_jobs, sent, first_of_job })
    }

    pub fn message(&self, root: &Root) -> Outgoing {
        Outgoing::now(&self.call.topic, &Message { root: root.clone(), call: self.call.hash.clone() })
    }

    /// Leaves word of how the call is to be run, for its first run in this job. Before its message is sent, and also if
    /// another job has sent one: the call may come to be run for this job yet.
    pub async fn put_options(&self, p: &Ports<'_>, root: &Root) -> Result<()> {
        if let Some(run) = run_with_options(self.call) {
            p.store.swap(&Key::run(&self.call.hash, root), None, Some(run.encode())).await?;
        }
        Ok(())
    }

    /// Adds `me` by compare-and-swap; without `scheduled_at` if the message was sent by us, until that is certain.
    pub async fn register(&mut self, p: &Ports<'_>, me: &Return) -> Result<()> {
        loop {
            let found = registered(&self.call.hash, self.bytes.as_ref(), me)?;
            // The record may have gone meanwhile, with its call completed and nobody told of us.
            if !self.sent && must_send(found.as_ref()) {
                self.put_options(p, &me.root).await?;
                p.send(&self.call.topic, &Message { root: me.root.clone(), call: self.call.hash.clone() }).await?;
                self.sent = true;
            }
            if !self.sent && found.as_ref().is_some_and(Registered::has_me) {
                return Ok(());
            }
            let scheduled_at = found.as_ref().and_then(Registered::scheduled_at).filter(|_| !self.sent);
            let new = with_me(found.as_ref(), me, scheduled_at);
            match self.write(p, new.clone()).await? {
                Some(Swap::Done) => {
                    self.bytes = Some(new);
                    return Ok(());
                }
                Some(Swap::Mismatch(found)) => self.bytes = found,
                None => return Ok(()),
            }
        }
    }

    /// See `settle_sent`.
    pub async fn settle(
        &self,
        p: &Ports<'_>,
        d: &Deferral<'_>,
        ended: Option<ChildEnd>,
        job_over: bool,
        me: &Return,
    ) -> Result<()> {
        let (call, root) = (&self.call.hash, &me.root);
        let ourselves = HashSet::from([me.clone()]);
        match ended {
            Some(ChildEnd::Value) => wake_all(p, call, ourselves).await,
            Some(ChildEnd::Failure) => wake_in_job(p, call, root, &self.call.topic, ourselves).await,
            // A job that ended while its messages were sent: they may have been dropped before we were registered. So nobody
            // may believe that they are on their way.
            None if job_over => release_call(p, root, call, &self.call.topic).await,
            None => {
                if let (Some(bytes), Some(mut pending)) = (&self.bytes, read_pending(call, self.bytes.as_deref())?) {
                    pending.scheduled_at = Some(d.now / 1000);
                    // On a mismatch somebody else registered; then the next one who does sends once more.
                    p.store.swap(&Key::pending_returns(call), Some(bytes), Some(pending.encode())).await?;
                }
                Ok(())
            }
        }
    }

    /// Replaces the record, or creates it; `None`: the call has its value, so there is nothing to wait for.
    ///
    /// A record is created only while there is no value. One that came after it would stand there unread if we died before
    /// looking: a peer that then registers finds a record, sends nothing, and waits for ever.
    async fn write(&self, p: &Ports<'_>, new: Bytes) -> Result<Option<Swap>> {
        let (key, value) = (Key::pending_returns(&self.call.hash), Key::value(&self.call.hash));
        if self.bytes.is_some() {
            return p.store.swap(&key, self.bytes.as_ref(), Some(new)).await.map(Some);
        }
        if p.store.put_if(&key, new, &value).await? {
            return Ok(Some(Swap::Done));
        }
        let mut found = p.store.get_many(&[key, value]).await?;
        let has_value = found.pop().flatten().is_some();
        let found = found.pop().flatten();
        Ok((found.is_some() || !has_value).then_some(Swap::Mismatch(found)))
    }
}

/// The record of a call that was not run yet, if its caller wants it to be run in some way.
pub fn run_with_options(call: &Call) -> Option<RunRecord> {
    (!call.options.is_empty()).then(|| RunRecord { options: call.options.clone(), ..RunRecord::default() })
}

/// Does nobody wait for the call in this job yet?
pub(crate) fn is_first_of_job(found: Option<&Registered>) -> bool {
    found.is_none_or(|found| !found.is_awaited_in_job())
}

/// Who waits for a call, as the parent `me` sees it that registers.
pub(crate) fn registered(call: &CallHash, bytes: Option<&Bytes>, me: &Return) -> Result<Option<Registered>> {
    let read = bytes.map(|bytes| Registered::read(bytes, me)).transpose();
    read.map_err(|error| error.of(&Key::pending_returns(call)))
}

/// The record with the parent `me`, for which it was read, in its list.
pub(crate) fn with_me(found: Option<&Registered>, me: &Return, scheduled_at: Option<u64>) -> Bytes {
    match found {
        Some(found) => found.with(me, scheduled_at),
        None => PendingReturns { returns: [me.clone()].into(), scheduled_at }.encode(),
    }
}

/// Who waits for a call, by the record of that.
pub(crate) fn read_pending(call: &CallHash, bytes: Option<&[u8]>) -> Result<Option<PendingReturns>> {
    bytes.map(PendingReturns::decode).transpose().map_err(|error| error.of(&Key::pending_returns(call)))
}

/// Must a parent that registers send the child's message? No record, or nobody knows whether it was sent, or this very
/// parent waits already but under another job.
pub(crate) fn must_send(found: Option<&Registered>) -> bool {
    found.is_none_or(|found| found.scheduled_at().is_none() || found.only_under_other_roots())
}
