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
use crate::model::{Call, CallHash, Failure, Millis, Outcome, Root, Topic, system_now};
use crate::options::Options;
use crate::records::{JobRecord, JobState, RunRecord};
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
    /// Parents that a failure did not notify, because no `run` record says what they wait for.
    Unnotified,
    Run(Root),
    Failure(Root),
    /// Of a root instead of a call.
    Job,
    Latest,
    /// Of a topic instead of a call.
    Tasks,
    /// A message that was set aside, of a queue that has no place for it; see `records/dead.rs` for its id.
    Dead,
}

impl Kind {
    /// The kind's name in a store.
    #[must_use]
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Kind::Call => "call".into(),
            Kind::Value => "value".into(),
            Kind::PendingReturns => "pending_returns".into(),
            Kind::Unnotified => "unnotified".into(),
            Kind::Run(root) => format!("run/{root}").into(),
            Kind::Failure(root) => format!("failure/{root}").into(),
            Kind::Job => "job".into(),
            Kind::Latest => "latest".into(),
            Kind::Tasks => "tasks".into(),
            Kind::Dead => "dead".into(),
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
    pub fn unnotified(call: &CallHash) -> Self {
        Self::new(call.as_str(), Kind::Unnotified)
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

/// Some ids of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub ids: Vec<String>,
    /// The cursor of the next page; `None`: this was the last one.
    pub next: Option<String>,
}

/// A job in the order in which the store accepted jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub root: Root,
    /// Its place in that order: about the time at which it was accepted, in microseconds since 1970 by the store's clock. A
    /// job that is accepted later has a larger one. No two jobs have the same.
    pub place: u64,
}

/// A key-value store whose reads see every earlier write.
#[async_trait]
pub trait Store: Send + Sync {
    /// The time by the clock that all who share the store go by: the server's, where there is one and it tells; else this
    /// machine's.
    fn now(&self) -> Millis {
        system_now()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>>;

    /// The records of `keys`, in their order. They are read one by one, in any order: together they need never have been
    /// there at one moment.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.push(self.get(key).await?);
        }
        Ok(found)
    }

    /// As `get_many`, of at least the first of `keys`, and of no more of them than come to so many bytes: what is left out is asked
    /// for again. For records that may be large.
    async fn get_some(&self, keys: &[Key], bytes: usize) -> Result<Vec<Option<Bytes>>> {
        let (mut found, mut sum) = (Vec::new(), 0);
        for key in keys {
            let record = self.get(key).await?;
            sum += record.as_ref().map_or(0, Bytes::len);
            found.push(record);
            if sum >= bytes {
                break;
            }
        }
        Ok(found)
    }

    /// Which of `keys` have a record, in their order; without reading more than a few of them at once, which may be large.
    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        const FEW: usize = 8;
        let mut found = Vec::with_capacity(keys.len());
        for few in keys.chunks(FEW) {
            found.extend(self.get_many(few).await?.iter().map(Option::is_some));
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()>;

    /// Puts records that have nothing to do with each other, in any order. On an `Err` any of them may be there.
    async fn put_many(&self, records: &[(Key, Bytes)]) -> Result<()> {
        for (key, value) in records {
            self.put(key, value.clone()).await?;
        }
        Ok(())
    }

    /// Compare and swap: create (`None`, `Some`), replace, or delete (`Some`, `None`).
    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap>;

    /// Puts `key` if neither it nor `absent` is there, in one atomic step (rule R1). Says whether it did.
    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool>;

    /// Removes records, whatever is in them, in any order. On an `Err` any of them may be gone.
    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        for key in keys {
            let mut found = self.get(key).await?;
            while let Some(bytes) = found {
                match self.swap(key, Some(&bytes), None).await? {
                    Swap::Done => break,
                    Swap::Mismatch(other) => found = other,
                }
            }
        }
        Ok(())
    }

    /// When each of these records was first written, where it is there and the store knows. For people's commands.
    async fn written(&self, keys: &[Key]) -> Result<Vec<Option<Millis>>> {
        Ok(vec![None; keys.len()])
    }

    /// About `limit` ids that have a record of this kind, in any order, from where `cursor` says: `None` is the beginning,
    /// then it is the `next` of the page before. An id that has its record the whole time comes at least once; one that is
    /// written or removed meanwhile may come or not. A page may be empty although there are more, and may repeat an id.
    ///
    /// All pages together cost one pass over the store's records, whatever `limit` is. For people's commands and repairs,
    /// never for work. See [`crate::listing::Listing`].
    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page>;

    /// Up to `limit` jobs that were accepted before the place `before`, the newest first; `None`: from the newest job. Costs
    /// what it returns, however many jobs there are. A job may be listed whose record is gone.
    ///
    /// The answer is `None` if the store keeps no such index: use `list`.
    async fn newest_jobs(&self, before: Option<u64>, limit: usize) -> Result<Option<Vec<Accepted>>> {
        let _ = (before, limit);
        Ok(None)
    }

    /// Gives room back to the system that removed records have left, if the store can.
    async fn compact(&self) -> Result<()> {
        Ok(())
    }

    /// Makes what the store needs on its server (a table), if it isn't there; a line of text for each thing made or found.
    /// Only `brrr-host setup` does this: nothing is made silently.
    async fn create(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
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

/// Where a message is that a topic has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ready,
    Delayed,
    /// Leased to a worker.
    InWork,
    /// Its lease has run out, and nobody has looked since: the next `receive` makes it ready.
    Expired,
}

/// Who looks through a topic.
pub type Visit<'a> = dyn FnMut(&str, Place) + Send + 'a;

/// Topics with at-least-once delivery, in about the order of sending.
///
/// A delivered message is *leased*: it comes back on its own when its lease runs out. The worker extends the leases of
/// what it works on; the receipt stays the same.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages. An error of kind `Limit` says that a topic can't take messages (its name, or what another program has put
    /// there); the messages of all other topics were sent.
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()>;

    /// Up to `max` messages; waits up to `wait` for the first one, and returns none after that. Even with a `max` of 0 it
    /// makes ready whose delay or lease has run out.
    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>>;

    /// How long a worker lets `receive` wait. Longer is cheaper where every look is paid for; an idle worker takes as long to
    /// stop.
    fn patience(&self) -> Duration {
        Duration::from_millis(500)
    }

    /// Forgets a delivered message. One whose lease was lost meanwhile stays with its new holder.
    async fn ack(&self, receipt: &Receipt) -> Result<()>;

    /// Renews leases; says for each whether it was still held.
    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>>;

    /// How long a lease lasts; half of it is a good time to extend after.
    fn lease(&self) -> Duration;

    /// May others take a message whose lease has run out while this worker could not reach the queue? Not where what keeps one of them
    /// out keeps out all, as a file that another program has locked.
    fn others_go_on(&self) -> bool {
        true
    }

    /// Returns a message to its queue, to be delivered again after `delay`; doesn't count as a delivery.
    async fn give_back(&self, receipt: &Receipt, delay: Duration) -> Result<()>;

    /// Moves a message to the dead letters.
    async fn set_aside(&self, delivery: &Delivery, reason: &str) -> Result<()>;

    /// The dead letters of a topic, oldest first.
    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>>;

    /// Takes a message out of the dead letters; `None`: there is none of this id.
    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>>;

    /// How many messages wait or are in work; for people and tests.
    async fn depth(&self, topic: &Topic) -> Result<u64>;

    /// Shows `visit` the body of every message of a topic, and where it is; false: this queue can't be looked through. What
    /// moves meanwhile may be missed, or be shown twice. For people and repairs, never for work.
    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        let _ = (topic, visit);
        Ok(false)
    }

    /// Can a worker listen on this topic, whose calls run for so long at the most? For its start, so that it doesn't find
    /// out at its first message.
    async fn check(&self, topic: &Topic, longest_run: Duration) -> Result<()> {
        let _ = (topic, longest_run);
        Ok(())
    }

    /// Makes what these topics need on the server (queues), if it isn't there; a line of text for each thing made or found.
    async fn create(&self, topics: &[Topic]) -> Result<Vec<String>> {
        let _ = topics;
        Ok(Vec::new())
    }
}

/// What happened lately, for people who follow it; bounded, and may be lost without harm.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Adds events, and forgets those beyond `EVENTS_KEPT` or older than `EVENTS_KEPT_FOR`.
    async fn publish(&self, events: &[Bytes]) -> Result<()>;

    /// Up to `limit` events behind a place, oldest first, each with its place. 0: from the oldest one kept.
    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>>;
}

/// How many events an `EventLog` keeps at least.
pub const EVENTS_KEPT: u64 = 10_000;

/// How long an `EventLog` keeps an event, at about the longest.
pub const EVENTS_KEPT_FOR: Duration = Duration::from_hours(24);

/// Counters that may be lost without harm.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Adds `by` and returns the sum.
    async fn incr(&self, key: &str, by: u64) -> Result<u64>;

    /// Forgets counters.
    async fn forget(&self, keys: &[String]) -> Result<()>;
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
    /// The call is its job's top call: with its outcome the job is over, at this time.
    pub ends_job: Option<Millis>,
}

/// Everything that one message needs.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// `None`: a call that nobody has described.
    pub call: Option<CallRecord>,
    /// `None`: not a job of ours; such a job is always alive.
    pub job: Option<Box<JobRecord>>,
    /// The call's own outcome, if it has one.
    pub outcome: Option<Outcome>,
    /// The `run` record as read: what a deferral compares with.
    pub run_bytes: Option<Bytes>,
    pub run: Option<RunRecord>,
    /// Outcomes of the calls in the run's sample, in its order.
    pub sample: Vec<Option<Outcome>>,
}

/// Bytes of outcomes that are read at once. Handlers decide how large they are and how many a call waits for, so a worker
/// must not read all that is there before it knows: that would be gigabytes of its memory.
pub const MOST_AT_ONCE: usize = 64 << 20;

impl Loaded {
    /// Takes what was read of the sample, the last call first. Where that is not all, because it is too large to be read at
    /// once, the `run` record names no more than that from now on: what it doesn't name counts as there, and is read when it
    /// is asked for.
    pub fn take_sample(&mut self, outcomes: impl IntoIterator<Item = Option<Outcome>>) {
        self.sample = outcomes.into_iter().collect();
        self.sample.reverse();
        if let Some(run) = &mut self.run {
            run.sample.drain(..run.sample.len().saturating_sub(self.sample.len()));
        }
    }

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
    /// Registered and acknowledged. `queued`: the calls, by their place, whose message was sent for it.
    Waiting { queued: Vec<usize> },
    /// The job is over: the call was released and acknowledged.
    JobOver,
    /// The job would send more messages than it may. Nothing was acknowledged; the job is to be failed.
    OverSpawnLimit,
    /// The call waits for itself through these calls. Nothing was acknowledged; the call is to be failed.
    Cycle(Vec<CallHash>),
}

/// A job to be scheduled. A client that doesn't know whether it got through repeats it under the same root.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub root: Root,
    pub call: Call,
    /// By when it must have ended; 0: whenever.
    pub deadline: Millis,
    /// Messages that it may send; 0: as many as its workers allow.
    pub spawn_limit: u64,
    /// How its calls are run, whatever their tasks say.
    pub options: Options,
    /// The job that it tries again.
    pub retry_of: Option<Root>,
}

impl NewJob {
    /// A job without conditions.
    #[must_use]
    pub fn new(root: Root, call: Call) -> Self {
        Self { root, call, deadline: 0, spawn_limit: 0, options: Options::default(), retry_of: None }
    }

    /// Its record when it begins.
    #[must_use]
    pub fn record(&self, now: Millis) -> JobRecord {
        JobRecord {
            deadline: self.deadline,
            spawn_limit: self.spawn_limit,
            options: self.options.clone(),
            retry_of: self.retry_of.clone(),
            ..JobRecord::new(self.call.hash.clone(), self.call.topic.clone(), now)
        }
    }

    /// What sets the job going: its first message, and one at its deadline, so that it ends then even if nothing else
    /// happens.
    #[must_use]
    pub fn messages(&self, now: Millis) -> Vec<Outgoing> {
        let message = Message { root: self.root.clone(), call: self.call.hash.clone() };
        let first = Outgoing::now(&self.call.topic, &message);
        let last = Outgoing { delay: Duration::from_millis(self.deadline.saturating_sub(now)), ..first.clone() };
        if self.deadline > 0 { vec![first, last] } else { vec![first] }
    }
}

/// What became of scheduling a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    Queued,
    /// The call had its value already, or the job, scheduled before under this root, is over; nothing was sent.
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

    /// See `Store::now`.
    fn now(&self) -> Millis {
        self.store().now()
    }

    /// `None`: this backend has no place for events.
    fn events(&self) -> Option<&dyn EventLog> {
        None
    }

    /// Is it behind a network, so that a step spends most of its time waiting for answers? Then a worker does more of them
    /// at once.
    fn is_remote(&self) -> bool {
        false
    }

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

    /// The outcomes of `calls` as the job `root` sees them: of a value and a failure of that job, the failure. Of at least
    /// the first of them; of no more than those that come to [`MOST_AT_ONCE`].
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

    /// Wakes who still waits for a call that has its outcome, and acknowledges.
    async fn discharge(&self, work: &Work, end: JobState) -> Result<()> {
        stepwise::discharge(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), work, end).await
    }

    /// Lets go of a call whose job is over: queues it again under a live job that waits for it, if there is one, forgets
    /// those who waited for it in jobs that are over, and acknowledges (R3).
    async fn release(&self, work: &Work) -> Result<()> {
        stepwise::release(&stepwise::Ports::of(self.store(), self.queue(), self.cache()), work).await
    }

    /// Ends a job before its top call has its outcome: that call fails, unless it has one by now, and the job is over.
    /// Returns the job as it then is; `None`: no job of ours.
    async fn end_job(&self, root: &Root, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        stepwise::end_job(self.store(), root, failure, now).await
    }

    /// Removes what calls have left for all jobs: their values, and which job asked for them last. Not of one that somebody
    /// waits for, or that another job than `root` asked for last. Says of each whether it did. Only `gc` does this.
    ///
    /// `had_value`: they had one before it was looked who needs them. Else nothing is removed of those that have one by now.
    ///
    /// Where this is one transaction their descriptions go as well. Step by step they stay: somebody may have sent a message
    /// for the call and be about to say so.
    async fn forget_calls(&self, root: &Root, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        stepwise::forget_calls(self.store(), root, calls, had_value).await
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
    /// The time that the call sees: of this attempt's first run.
    pub first_run: Millis,
    /// By when the job must have ended; 0: whenever.
    pub deadline: Millis,
    /// How long the run may take; `None`: as the handler sees fit.
    pub timeout: Option<Duration>,
    /// Bytes of memory that it may use; as `timeout`.
    pub memory: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Completed(Bytes),
    /// `Replay::poll` said so; the replay knows what is missing.
    Suspended,
    /// A failure that may pass (`retryable`) is tried again as the call's options say.
    Failed {
        failure: Failure,
        retryable: bool,
    },
}

/// A task that a handler handles.
#[derive(Debug, Default)]
pub struct Task {
    /// Of the component that handles it.
    pub digest: String,
    /// As the component and its worker want it to be run.
    pub options: Options,
}

impl Task {
    #[must_use]
    pub fn new(digest: impl Into<String>, options: Options) -> Self {
        Self { digest: digest.into(), options }
    }
}

/// Runs calls. Dropping the future of `run` stops the run.
#[async_trait]
pub trait Handler: Send + Sync {
    /// What is known of this task; `None`: nobody here handles it.
    fn task(&self, task: &str) -> Option<Arc<Task>>;

    /// Runs the call from its beginning. An `Err` is the world's, not the call's: a backend that can't be read.
    async fn run(&self, request: Request, replay: Replay) -> Result<(Ended, Replay)>;
}
