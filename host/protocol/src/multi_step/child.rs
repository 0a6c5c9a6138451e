//! A child, and how its parent registers with it.

use std::collections::HashSet;

use bytes::Bytes;

use super::Ports;
use super::notify::{notify_all, notify_in_job};
use super::settle::abandon_call;
use crate::error::Result;
use crate::model::{Call, CallHash, JobId};
use crate::ports::{Key, Outgoing, Swap};
use crate::records::{ChildEnd, RunRecord};
use crate::registration::Registered;
use crate::wire::{Message, PendingReturns, Return};

/// A child, while its parent registers with it.
pub(super) struct Child<'a> {
    pub call: &'a Call,
    /// The bytes of the `pending_returns` record as they were last read or written.
    pub bytes: Option<Bytes>,
    /// A parent in another job waited for the child before.
    pub in_other_jobs: bool,
    /// This deferral has sent the child's message. (A promise has none. Otherwise it is treated in the same way.)
    pub sent: bool,
    /// This parent waited for the child before. Its `run` record of that time may have said, when the child ended, that the
    /// parent need not be notified.
    pub again: bool,
    /// No other parent waits for the child in this job, so the options of this parent apply.
    pub first_of_job: bool,
}

impl<'a> Child<'a> {
    pub fn new(call: &'a Call, bytes: Option<Bytes>, me: &Return) -> Result<Self> {
        let found = registered(&call.hash, bytes.as_ref(), me)?;
        let (sent, first_of_job) = (must_send(found.as_ref()), is_first_of_job(found.as_ref()));
        let again = found.as_ref().is_some_and(Registered::has_me);
        let in_other_jobs = found.is_some_and(|found| found.is_awaited_in_other_jobs());
        Ok(Self { call, bytes, in_other_jobs, sent, again, first_of_job })
    }

    pub fn message(&self, job_id: &JobId) -> Outgoing {
        Outgoing::now(&self.call.topic, &Message { job_id: job_id.clone(), call: self.call.hash.clone() })
    }

    /// Writes down how the call is to be run, for its first run in this job. This is done before the call's message is sent. It
    /// is also done if another job has sent the message, because the call may still come to be run for this job.
    pub async fn put_options(&self, p: &Ports<'_>, job_id: &JobId) -> Result<()> {
        if let Some(run) = run_with_options(self.call) {
            p.store.swap(&Key::run(&self.call.hash, job_id), None, Some(run.encode())).await?;
        }
        Ok(())
    }

    /// Adds `me` to the record by compare-and-swap. If this deferral sent the message, the record is written without
    /// `scheduled_at`, until it is certain that the message was sent.
    pub async fn register(&mut self, p: &Ports<'_>, me: &Return) -> Result<()> {
        loop {
            let found = registered(&self.call.hash, self.bytes.as_ref(), me)?;
            // The record may have been removed meanwhile. Then the call has completed, and this parent was not notified.
            if !self.sent && must_send(found.as_ref()) {
                self.put_options(p, &me.job_id).await?;
                if !self.call.is_promise() {
                    let message = Message { job_id: me.job_id.clone(), call: self.call.hash.clone() };
                    p.send(&self.call.topic, &message).await?;
                }
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
    pub async fn settle(&self, p: &Ports<'_>, ended: Option<ChildEnd>, job_over: bool, me: &Return) -> Result<()> {
        let (call, job_id) = (&self.call.hash, &me.job_id);
        let ourselves = HashSet::from([me.clone()]);
        match ended {
            Some(ChildEnd::Value) => notify_all(p, call, ourselves).await,
            Some(ChildEnd::Failure) => notify_in_job(p, call, job_id, &self.call.topic, ourselves).await,
            // The job ended while its messages were sent. They may have been dropped before this parent was registered. So no
            // parent may believe that they are on their way.
            None if job_over => abandon_call(p, job_id, call, &self.call.topic).await,
            None => {
                if let (Some(bytes), Some(mut pending)) = (&self.bytes, read_pending(call, self.bytes.as_deref())?) {
                    pending.scheduled_at = Some(p.now / 1000);
                    // A mismatch means that another parent has registered. Then the parent that registers next sends the
                    // message again.
                    p.store.swap(&Key::pending_returns(call), Some(bytes), Some(pending.encode())).await?;
                }
                Ok(())
            }
        }
    }

    /// Replaces or creates the record. `None`: the call has its value, so there is nothing to wait for.
    ///
    /// A record is created only while there is no value. If it were created after the value, and this worker died before it
    /// looked again, the record would stay. A peer that registers later would find a record, send nothing, and wait forever.
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

/// The `run` record of a call that was not run yet, if its parent sets options for it.
pub fn run_with_options(call: &Call) -> Option<RunRecord> {
    (!call.options.is_empty()).then(|| RunRecord { options: call.options.clone(), ..RunRecord::default() })
}

/// True if no parent waits for the call in this job yet.
pub(crate) fn is_first_of_job(found: Option<&Registered>) -> bool {
    found.is_none_or(|found| !found.is_awaited_in_job())
}

/// What the parent `me` needs to know of the call's `pending_returns` when it registers.
pub(crate) fn registered(call: &CallHash, bytes: Option<&Bytes>, me: &Return) -> Result<Option<Registered>> {
    let read = bytes.map(|bytes| Registered::read(bytes, me)).transpose();
    read.map_err(|error| error.of(&Key::pending_returns(call)))
}

/// The record with the parent `me` added. `found` must have been read for `me`.
pub(crate) fn with_me(found: Option<&Registered>, me: &Return, scheduled_at: Option<u64>) -> Bytes {
    match found {
        Some(found) => found.with(me, scheduled_at),
        None => PendingReturns { returns: [me.clone()].into(), scheduled_at }.encode(),
    }
}

/// Decodes the `pending_returns` of a call.
pub(crate) fn read_pending(call: &CallHash, bytes: Option<&[u8]>) -> Result<Option<PendingReturns>> {
    bytes.map(PendingReturns::decode).transpose().map_err(|error| error.of(&Key::pending_returns(call)))
}

/// True if a parent that registers must send the child's message: if there is no record, or it is not known whether the message
/// was sent, or this parent already waits but under another job.
pub(crate) fn must_send(found: Option<&Registered>) -> bool {
    found.is_none_or(|found| found.scheduled_at().is_none() || found.only_in_other_jobs())
}
