//! The traits between the protocol and the world: `Store`, `Queue`, `Cache`, the `Backend` that joins them, and the
//! `Handler` that runs a call.
//!
//! An `Err` of a write means *outcome unknown*. Absence, mismatch and refusal are values.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;
use crate::model::{Call, CallHash, Failure, Millis, Outcome, Root, Topic};
use crate::records::RunRecord;
use crate::replay::{Replay, Wait};
use crate::stepwise;
use crate::wire::{CallRecord, Message};

/// A record's key: an id (of a call, mostly) and what kind of record it is. `DynamoDB`'s `pk` and `sk`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub id: Arc<str>,
    pub kind: Kind,
}

/// The kinds of record. The first three are the peers'; see `host/ARCHITECTURE.md` for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Call,
    Value,
    PendingReturns,
    Run(Root),
    Failure(Root),
    /// Of a root instead of a call.
    Job,
    Latest,
    /// Of a topic instead of a call.
    Tasks,
}

impl Kind {
    /// The kind's name in a store.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Kind::Call => "call".into(),
            Kind::Value => "value".into(),
            Kind::PendingReturns => "pending_returns".into(),
            Kind::Run(root) => format!("run/{root}").into(),
            Kind::Failure(root) => format!("failure/{root}").into(),
            Kind::Job => "job".into(),
            Kind::Latest => "latest".into(),
            Kind::Tasks => "tasks".into(),
        }
    }
}

impl Key {
    #[must_use]
    pub fn new(id: &str, kind: Kind) -> Self {
        Self { id: id.into(), kind }
    }

    #[must_use]
    pub fn call(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Call)
    }

    #[must_use]
    pub fn value(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Value)
    }

    #[must_use]
    pub fn pending_returns(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::PendingReturns)
    }

    #[must_use]
    pub fn run(call: &CallHash, root: &Root) -> Self {
        Self::new(call.as_str(), Kind::Run(root.clone()))
    }

    #[must_use]
    pub fn failure(call: &CallHash, root: &Root) -> Self {
        Self::new(call.as_str(), Kind::Failure(root.clone()))
    }

    #[must_use]
    pub fn job(root: &Root) -> Self {
        Self::new(root.as_str(), Kind::Job)
    }

    #[must_use]
    pub fn latest(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Latest)
    }

    #[must_use]
    pub fn tasks(topic: &Topic) -> Self {
        Self::new(topic.as_str(), Kind::Tasks)
    }
}

/// What became of a compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    Done,
    /// The record was not as expected; this is what was there.
    Mismatch(Option<Bytes>),
}

/// A key-value store whose reads see every earlier write.
#[async_trait]
pub trait Store: Send + Sync {
    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// The records of `keys`, in their order.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key).await?);
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Compare and swap: create (`None`, `Some`), replace, or delete (`Some`, `None`).
    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap>;

    /// Puts `key` if neither it nor `absent` is there, in one atomic step (rule R1). Says whether it did.
    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool>;

    /// Up to `limit` ids that have a record of this kind, ascending, from behind `after`. May be slow: for people's
    /// commands, never for work.
    async fn list(&self, kind: &Kind, after: Option<&str>, limit: usize) -> Result<Vec<String>>;
}

/// What a queue needs to find a message again that it delivered. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt(pub String);

/// A message as it was delivered. It is delivered again unless it is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub topic: Topic,
    pub body: String,
    pub receipt: Receipt,
    /// How often it was delivered, this time included. What was given back does not count.
    pub receives: u32,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub topic: Topic,
    pub body: String,
    /// Not to be delivered before this has passed.
    pub delay: Duration,
}

impl Outgoing {
    #[must_use]
    pub fn now(topic: &Topic, message: &Message) -> Self {
        Self { topic: topic.clone(), body: message.encode(), delay: Duration::ZERO }
    }
}

/// A message that was set aside, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: String,
    pub topic: Topic,
    pub body: String,
    pub reason: String,
    pub at: Millis,
}

/// Topics with at-least-once delivery, in about the order of sending.
///
/// A delivered message is *leased*: it comes back on its own when its lease runs out. The worker extends the leases of
/// what it works on; the receipt stays the same.
#[async_trait]
pub trait Queue: Send + Sync {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()>;

    /// Up to `max` messages; waits up to `wait` for the first one, and returns none after that.
    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>>;

    /// Forgets a delivered message. One whose lease was lost meanwhile stays with its new holder.
    async fn ack(&self, receipt: &Receipt) -> Result<()>;

    /// Renews leases; says for each whether it was still held.
    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>>;

    /// How long a lease lasts; half of it is a good time to extend after.
    fn lease(&self) -> Duration;

    /// Returns a message to its queue, to be delivered again after `delay`; doesn't count as a delivery.
    async fn give_back(&self, receipt: &Receipt, delay: Duration) -> Result<()>;

    /// Moves a message to the dead letters.
    async fn set_aside(&self, delivery: &Delivery, reason: &str) -> Result<()>;

    /// The dead letters of a topic, oldest first.
    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>>;

    /// How many messages wait or are in work; for people and tests.
    async fn depth(&self, topic: &Topic) -> Result<u64>;
}

/// Counters that may be lost without harm.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Adds `by` and returns the sum.
    async fn incr(&self, key: &str, by: u64) -> Result<u64>;
}

/// The counter of messages sent for a job, shared with peers.
#[must_use]
pub fn spawn_counter(root: &Root) -> String {
    format!("brrr_count/{root}")
}

/// One delivered message, decoded: a call to be worked on, on behalf of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub message: Message,
    pub topic: Topic,
    /// What a transition acknowledges. `None`: nothing, because the caller sets the message aside itself.
    pub receipt: Option<Receipt>,
}

/// Everything that one message needs.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// `None`: a call that nobody has described.
    pub call: Option<CallRecord>,
    /// The call's own outcome, if it has one.
    pub outcome: Option<Outcome>,
    /// The `run` record as read: what a deferral compares with.
    pub run_bytes: Option<Bytes>,
    pub run: Option<RunRecord>,
    /// Outcomes of the calls in the run's sample, in its order.
    pub sample: Vec<Option<Outcome>>,
    /// Outcomes of the run's earlier calls, in its order.
    pub earlier: Vec<Option<Outcome>>,
}

impl Loaded {
    /// Are enough outcomes there for running the call to be worth it?
    #[must_use]
    pub fn ready(&self) -> bool {
        self.run.as_ref().is_none_or(|run| {
            let there = self.sample.iter().flatten().count() as u64;
            there + u64::from(run.total) - run.sample.len() as u64 >= u64::from(run.need)
        })
    }
}

/// A run that ended waiting.
#[derive(Debug)]
pub struct Deferral<'a> {
    pub work: &'a Work,
    pub wait: &'a Wait,
    /// The `run` record as it was when the run began.
    pub run_before: Option<&'a Bytes>,
    /// The record to replace it with.
    pub run_after: &'a RunRecord,
    pub now: Millis,
    pub spawn_limit: u64,
}

/// What became of a deferral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// Registered and acknowledged.
    Waiting,
    /// The job would send more messages than it may. Nothing was acknowledged; the call is to be failed.
    OverSpawnLimit,
    /// The call waits for itself through these calls. Nothing was acknowledged; the call is to be failed.
    Cycle(Vec<CallHash>),
}

/// A job to be scheduled. A client that doesn't know whether it got through repeats it under the same root.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub root: Root,
    pub call: Call,
}

/// What became of scheduling a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    Queued,
    /// The call had its value already; nothing was sent.
    AlreadyDone,
}

/// A store, a queue and a cache, and the transitions that the scheduler makes.
///
/// Each transition has a default built step by step from the small ports. A backend whose queue and store share a
/// transaction overrides it with one; it leaves the same records, and may send fewer messages.
#[async_trait]
pub trait Backend: Send + Sync {
    /// What the backend is, for messages: `sqlite:.brrr/state.db`. Without secrets.
    fn name(&self) -> String;
    fn store(&self) -> &dyn Store;
    fn queue(&self) -> &dyn Queue;
    fn cache(&self) -> &dyn Cache;

    /// Returns when something may have changed since `version`, at the latest after `at_most`, with a new version: for
    /// those who wait for a record. They begin with 0, which returns at once, and read after each return.
    async fn changed(&self, version: u64, at_most: Duration) -> u64;

    /// Records a job and sends its first message. Durable when it returns.
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        stepwise::schedule(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), job, now).await
    }

    /// Reads what one message needs.
    async fn load(&self, work: &Work) -> Result<Loaded> {
        stepwise::load(self.store(), work).await
    }

    /// The outcomes of `calls` as the job `root` sees them: of a value and a failure of that job, the failure.
    async fn outcomes(&self, root: &Root, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        stepwise::outcomes(self.store(), root, calls).await
    }

    /// Registers the parent with what it waits for, queues what nobody has queued, and acknowledges.
    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        stepwise::defer(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), deferral).await
    }

    /// Stores the value (the first one stays), wakes who waits, and acknowledges.
    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        stepwise::complete(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), work, value).await
    }

    /// Records the failure unless there is an outcome, wakes who waits in this job, and acknowledges (R1, R2).
    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        stepwise::fail(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), work, failure).await
    }

    /// Wakes who still waits for a call that has its outcome (`failed`: a failure in this job), and acknowledges.
    async fn discharge(&self, work: &Work, failed: bool) -> Result<()> {
        stepwise::discharge(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), work, failed).await
    }
}

/// What a handler is asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    pub task: String,
    pub payload: Bytes,
    pub call: CallHash,
    pub root: Root,
    pub topic: Topic,
    pub attempt: u32,
    /// The time that the call sees: of its first run.
    pub first_run: Millis,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Completed(Bytes),
    /// `Replay::poll` said so; the replay knows what is missing.
    Suspended,
    Failed(Failure),
}

/// Runs calls. Dropping the future of `run` stops the run.
#[async_trait]
pub trait Handler: Send + Sync {
    /// The digest of the component that handles this task; `None`: nobody here does.
    fn component(&self, task: &str) -> Option<String>;

    /// Runs the call from its beginning. An `Err` is the world's, not the call's: a backend that can't be read.
    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)>;
}
