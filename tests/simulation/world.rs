//! A world without threads, whose clock is set by the scheduler. Workers and clients share one store, one queue and counters.
//! Each of their accesses is one step. The scheduler decides when the step happens, and any step can be the last one of its
//! worker.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::client::Answered;
use brrr_protocol::doctor::Finding;
use brrr_protocol::model::{JobId, Millis, Topic};
use brrr_protocol::multi_step::MultiStepBackend;
use brrr_protocol::ports::{
    BackendParts, Counters, DeadLetter, Delivery, IndexedJob, JobFacts, JobOrder, JobPage, JobQuery, Key, Kind,
    MessageState, Outgoing, Page, Queue, Receipt, Request, Store, Swap, Visit,
};
use brrr_protocol::records::{JobRecord, RunRecord};
use brrr_protocol::starting::Started;
use brrr_protocol::{Error, ErrorKind, Result};
use bytes::Bytes;

use crate::actions::Action;
use crate::graph::{Graph, topic};
use crate::handler::AHEAD;
use crate::traces::Seen;
use crate::watch::{Participant, Watch};

/// How much too early a queue delivers, in milliseconds.
const EARLY: Millis = 25_000;

/// The clock at the beginning of every history.
pub const START: Millis = 1_000_000;

/// How long a client may stand still before it writes a job, where jobs are in the order of the times that clients wrote.
const LATE: Millis = 600_000;

/// The most jobs of a page of the index. With so few, collections meet pages in the middle of everything.
const FEW_JOBS: usize = 2;

/// The state that all workers share.
pub struct World {
    state: Mutex<State>,
}

/// The effect of an access that returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The access took effect.
    Lost,
    /// The access did not take effect.
    Refused,
}

#[derive(Default)]
pub struct State {
    pub now: Millis,
    pub records: BTreeMap<Key, Bytes>,
    /// Ready messages, oldest first.
    pub ready: Vec<Message>,
    /// Messages that must not be delivered before their time.
    pub delayed: Vec<(Millis, Message)>,
    /// The most messages that were delayed at once.
    pub most_delayed: usize,
    pub in_flight: HashMap<String, Message>,
    pub dead_letters: Vec<(String, String)>,
    pub counters: HashMap<String, u64>,
    next_receipt: u64,
    /// One access may take effect: the access with this position among those that are under way.
    turn: Option<usize>,
    pub sent: usize,
    pub sent_for: BTreeMap<JobId, usize>,
    pub value_reads: usize,
    /// The number of accesses by all participants.
    pub accesses: i64,
    /// The number of runs of a handler, by job and task.
    pub runs: BTreeMap<(JobId, String), u32>,
    /// The effect of our next access, if that access gets an error.
    pub answer: Option<Answer>,
    /// Each record as it was before its last write: a stale read returns this.
    previous: BTreeMap<Key, Option<Bytes>>,
    /// The number of peers' reads that are fresh before one is stale. Negative: all reads are fresh.
    pub fresh_reads: i64,
    /// The seed that decides which reads of peers are stale, in a plan with many stale reads.
    pub staleness: Option<fastrand::Rng>,
    pub stale_reads: usize,
    /// Workers run one at a time: no worker acts on a record that another worker has changed since the read.
    pub is_sequential: bool,
    /// Poison no longer kills a worker, and every task has a handler.
    pub cured: bool,
    /// Queue and store share a transaction; see `transactions`.
    pub transactional: bool,
    /// The contents of the queue cannot be listed.
    pub opaque: bool,
    /// As `Store::may_have_peers`.
    pub may_have_peers: bool,
    /// The results of all searches for stuck work.
    pub findings: Vec<Finding>,
    /// The jobs that clients asked for with the key, as positions in `Graph::job_ids`, and what they were told.
    pub starts: Vec<(usize, Started)>,
    /// The answers that clients gave to promises, and what they were told.
    pub answers: Vec<(Action, Answered)>,
    /// The records that the last collection kept.
    pub left: Vec<Key>,
    /// The jobs in the order in which their records were created.
    accepted: Vec<JobId>,
    /// What the spans of calls told.
    pub spans: Vec<Seen>,
    pub watch: Watch,
}

impl State {
    /// Every change of a record.
    pub fn write(&mut self, participant: Participant, key: &Key, new: Option<Bytes>) {
        let old = self.records.get(key).cloned();
        if key.kind == Kind::Job && old.is_none() && new.is_some() {
            self.accepted.push(JobId::from(&*key.id));
        }
        self.watch.look(participant, key, old.as_ref(), new.as_ref(), &self.records);
        match new {
            Some(new) => self.records.insert(key.clone(), new),
            None => self.records.remove(key),
        };
        self.previous.insert(key.clone(), old);
    }

    /// A run begins. It must not begin before its time, and not for a job that is over and forgotten. (A worker whose reads are
    /// older than another worker's write may not know that. The check does not apply to it.)
    pub fn note_run(&mut self, request: &Request) {
        let start = self.watch.jobs.get(&request.job_id).map_or(0, |job| job.start);
        // The clocks of workers differ in random histories only.
        let ahead = if self.is_sequential { 0 } else { AHEAD };
        if self.now + ahead < start {
            let text = format!("{} is run at {}, and its job starts at {start}", request.task, self.now);
            self.watch.wrong.get_or_insert(text);
        }
        if !self.is_sequential {
            return;
        }
        let bytes = self.records.get(&Key::run(&request.call, &request.job_id));
        let not_before = bytes.map_or(0, |bytes| RunRecord::decode(bytes).map_or(0, |run| run.not_before));
        if not_before > self.now {
            self.watch.wrong.get_or_insert(format!("{} is run at {}, before {not_before}", request.task, self.now));
        }
        let was_over = self.watch.jobs.get(&request.job_id).is_some_and(JobRecord::is_over);
        if was_over && !self.records.contains_key(&Key::job(&request.job_id)) {
            let text = format!("{} is run for {}, which is over and forgotten", request.task, request.job_id);
            self.watch.wrong.get_or_insert(text);
        }
    }

    /// The index of the jobs. Transactional stores have it in the order in which the jobs were accepted, the others in the order of
    /// the times that the clients wrote.
    fn jobs(&self, query: &JobQuery) -> JobPage {
        let filter = query.filter.indexed();
        let (from, to) = filter.positions();
        let mut jobs: Vec<(u64, usize, IndexedJob)> = Vec::new();
        for (key, record) in self.records.iter().filter(|(key, _)| key.kind == Kind::Job) {
            let number = self.accepted.iter().rposition(|job_id| job_id.as_str() == &*key.id).unwrap_or(0);
            let created = JobRecord::decode(record).map_or(0, |job| job.created);
            let position = 1_000 * if self.transactional { number as u64 + 1 } else { created };
            if (from..to).contains(&position) && filter.matches(&JobFacts::of(record)) {
                let (job_id, cursor) = ((&*key.id).into(), format!("{position}-{number:016x}"));
                jobs.push((position, number, IndexedJob { job_id, record: record.clone(), position, cursor }));
            }
        }
        jobs.sort_by_key(|(position, number, _)| (*position, *number));
        if query.order == JobOrder::NewestFirst {
            jobs.reverse();
        }
        if let Some((position, number)) = query.after.as_deref().and_then(|after| after.split_once('-')) {
            let after = (position.parse().unwrap(), usize::from_str_radix(number, 16).unwrap());
            jobs.retain(|(position, number, _)| match query.order {
                JobOrder::NewestFirst => (*position, *number) < after,
                JobOrder::OldestFirst => (*position, *number) > after,
            });
        }
        let mut jobs: Vec<IndexedJob> = jobs.into_iter().map(|(_, _, job)| job).collect();
        // A store may return fewer jobs than were asked for.
        let limit = query.limit.min(FEW_JOBS);
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let next = jobs.last().filter(|_| more).map(|job| job.cursor.clone());
        JobPage { jobs, next }
    }

    fn read(&mut self, participant: Participant, key: &Key) -> Option<Bytes> {
        if participant == Participant::Peer
            && self.is_stale()
            && let Some(old) = self.previous.get(key)
        {
            self.stale_reads += 1;
            return old.clone();
        }
        self.records.get(key).cloned()
    }

    fn is_stale(&mut self) -> bool {
        if let Some(random) = &mut self.staleness {
            return random.u8(..6) == 0;
        }
        self.fresh_reads = (self.fresh_reads - 1).max(-1);
        self.fresh_reads == 0
    }

    pub fn add(&mut self, counter: &str, by: u64) -> u64 {
        let sum = self.counters.entry(counter.to_owned()).or_default();
        *sum += by;
        *sum
    }

    /// Adds a message that the queue does not contain yet.
    pub fn send_new(&mut self, m: &Outgoing) {
        self.sent += 1;
        if let Ok(message) = brrr_protocol::wire::Message::decode(m.body.as_bytes()) {
            *self.sent_for.entry(message.job_id).or_default() += 1;
        }
        self.send(Message { topic: m.topic.clone(), body: m.body.clone(), receives: 0 }, m.delay);
    }

    fn send(&mut self, message: Message, delay: Duration) {
        self.watch.sent.insert(message.body.clone());
        if delay.is_zero() {
            self.ready.push(message);
        } else {
            self.delayed.push((self.now + delay.as_millis() as u64, message));
            self.most_delayed = self.most_delayed.max(self.delayed.len());
        }
    }

    /// Sets the clock, and makes the messages ready that are due by then.
    fn set_clock(&mut self, now: Millis) {
        self.now = now;
        let (mut due, later): (Vec<_>, Vec<_>) = self.delayed.drain(..).partition(|(at, _)| *at <= now);
        due.sort_by_key(|(at, _)| *at);
        self.delayed = later;
        self.ready.extend(due.into_iter().map(|(_, message)| message));
    }
}

#[derive(Clone)]
pub struct Message {
    pub topic: Topic,
    pub body: String,
    pub receives: u32,
}

impl World {
    pub fn new(graph: &Arc<Graph>) -> Arc<Self> {
        let state = State { now: START, fresh_reads: -1, watch: Watch::new(graph), ..State::default() };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds a message of unknown origin.
    pub fn send(&self, body: &str) {
        let message = Message { topic: topic(), body: body.to_owned(), receives: 0 };
        self.state().send(message, Duration::ZERO);
    }

    /// Takes the ready message at `index`, with a lease.
    pub fn deliver(&self, index: usize) -> Delivery {
        let mut state = self.state();
        let mut message = state.ready.remove(index);
        message.receives += 1;
        state.next_receipt += 1;
        let receipt = state.next_receipt.to_string();
        state.in_flight.insert(receipt.clone(), message.clone());
        Delivery { topic: message.topic, body: message.body, receipt: Receipt(receipt), receives: message.receives }
    }

    /// Lets one access happen: of the accesses that are under way, the one at this position.
    pub fn give_turn(&self, behind: usize) {
        self.state().turn = Some(behind);
    }

    fn take_turn(&self) -> bool {
        let turn = &mut self.state().turn;
        match turn {
            Some(0) => turn.take().is_some(),
            Some(behind) => {
                *behind -= 1;
                false
            }
            None => false,
        }
    }

    pub fn now(&self) -> Millis {
        self.state().now
    }

    pub fn advance(&self, by: Millis) {
        let mut state = self.state();
        let now = state.now + by;
        state.set_clock(now);
    }

    /// The queue's clock is ahead: messages that are delayed by less than this are ready now.
    pub fn hurry(&self) {
        let mut state = self.state();
        let until = state.now + EARLY;
        let (early, delayed) = std::mem::take(&mut state.delayed).into_iter().partition(|(due, _)| *due <= until);
        state.delayed = delayed;
        let early: Vec<(Millis, Message)> = early;
        state.ready.extend(early.into_iter().map(|(_, message)| message));
    }

    /// Advances the clock to the next delayed message. Returns false if there is no delayed message.
    pub fn sleep(&self) -> bool {
        let mut state = self.state();
        let next = state.delayed.iter().map(|(due, _)| *due).min();
        next.map(|due| state.set_clock(due)).is_some()
    }

    /// A lease expires: its worker is dead or too slow.
    pub fn return_lease(&self, receipt: &Receipt) {
        let mut state = self.state();
        if let Some(message) = state.in_flight.remove(&receipt.0) {
            state.ready.push(message);
        }
    }
}

/// When a worker dies: before its n-th access, which is the moment just after the previous access took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash(pub i64);

/// One worker's view of the world.
pub struct View {
    world: Arc<World>,
    pub participant: Participant,
    /// The number of accesses left until the crash. Negative: the crash has happened.
    left: AtomicI64,
}

impl View {
    pub fn new(world: &Arc<World>, participant: Participant, crash: Option<Crash>) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            participant,
            left: AtomicI64::new(crash.map_or(i64::MAX, |Crash(access)| access)),
        })
    }

    /// One access. The scheduler may let other participants go first. The worker may die before or after the access.
    pub async fn access<T>(&self, op: impl FnOnce(&mut State) -> T) -> Result<T> {
        Turn { world: &self.world, asked: false }.await;
        if self.left.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(Error::new(ErrorKind::Unavailable, "simulation", "go on", "the worker has died"));
        }
        let mut state = self.world.state();
        state.accesses += 1;
        // A peer that gets an error dies, and its message is lost: see `Event::Crash`.
        let answer = if self.participant == Participant::Peer { None } else { state.answer.take() };
        let error = || Err(Error::new(ErrorKind::Unavailable, "simulation", "go on", "no answer"));
        match answer {
            Some(Answer::Refused) => error(),
            Some(Answer::Lost) => {
                op(&mut state);
                error()
            }
            None => Ok(op(&mut state)),
        }
    }
}

/// Waits for permission to make an access. If several accesses are under way at once, each permission is for one of them.
struct Turn<'a> {
    world: &'a World,
    asked: bool,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // The scheduler sees the access before the access takes effect.
        if std::mem::replace(&mut self.asked, true) && self.world.take_turn() {
            return Poll::Ready(());
        }
        // An executor that drives several futures polls only the futures whose wakers were called.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[async_trait]
impl Store for View {
    fn now(&self) -> Millis {
        self.world.now()
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        self.access(|s| {
            s.value_reads += usize::from(key.kind == Kind::Value);
            s.read(self.participant, key)
        })
        .await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        // Reads the last key first: a store reads keys in any order, and this order differs from the order in the request.
        let mut found = Vec::with_capacity(keys.len());
        for key in keys.iter().rev() {
            found.push(self.get(key).await?);
        }
        found.reverse();
        Ok(found)
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        self.access(|s| s.write(self.participant, key, Some(value))).await
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        self.access(|s| {
            let found = s.records.get(key).cloned();
            if found.as_ref() != expected {
                return Swap::Mismatch(found);
            }
            s.write(self.participant, key, new);
            Swap::Done
        })
        .await
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        self.access(|s| {
            let free = !s.records.contains_key(key) && !s.records.contains_key(absent);
            if free {
                s.write(self.participant, key, Some(value));
            }
            free
        })
        .await
    }

    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        self.access(|s| {
            let ids = s.records.keys().filter(|k| k.kind == *kind).map(|k| k.id.to_string());
            let ids: Vec<String> =
                ids.filter(|id| cursor.is_none_or(|after| id.as_str() > after)).take(limit).collect();
            let next = if ids.len() < limit { None } else { ids.last().cloned() };
            Page { ids, next }
        })
        .await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        self.access(|s| s.jobs(query)).await
    }

    fn jobs_come_late_by(&self) -> Millis {
        if self.world.state().transactional { 0 } else { LATE }
    }

    fn may_have_peers(&self) -> bool {
        self.world.state().may_have_peers
    }
}

#[async_trait]
impl Queue for View {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        // Sends each message separately: a part of a batch may get through.
        for m in messages {
            self.access(|s| s.send_new(m)).await?;
        }
        Ok(())
    }

    async fn receive(&self, _: &Topic, _: usize, _: Duration) -> Result<Vec<Delivery>> {
        unreachable!("the scheduler delivers")
    }

    async fn ack(&self, receipt: &Receipt) -> Result<()> {
        self.access(|s| {
            s.in_flight.remove(&receipt.0);
        })
        .await
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>> {
        self.access(|s| receipts.iter().map(|r| s.in_flight.contains_key(&r.0)).collect()).await
    }

    fn lease(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        self.access(|s| {
            if let Some(mut message) = s.in_flight.remove(&receipt.0) {
                message.receives -= 1;
                s.send(message, delay);
            }
        })
        .await
    }

    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        self.access(|s| {
            s.in_flight.remove(&delivery.receipt.0);
            s.dead_letters.push((delivery.body.clone(), reason.to_owned()));
        })
        .await
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        self.access(|s| {
            let dead_letter = |(n, (body, reason)): (usize, &(String, String))| DeadLetter {
                id: n.to_string(),
                topic: topic.clone(),
                body: body.clone(),
                reason: reason.clone(),
                at: START,
            };
            s.dead_letters.iter().enumerate().take(limit).map(dead_letter).collect()
        })
        .await
    }

    async fn take_dead_letter(&self, _: &Topic, _: &str) -> Result<Option<DeadLetter>> {
        unreachable!("see `Event::SendAgain`")
    }

    async fn look_through(&self, _: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        self.access(|s| {
            if s.opaque {
                return false;
            }
            s.ready.iter().for_each(|m| visit(&m.body, MessageState::Ready));
            s.delayed.iter().for_each(|(_, m)| visit(&m.body, MessageState::Delayed));
            s.in_flight.values().for_each(|m| visit(&m.body, MessageState::Leased));
            true
        })
        .await
    }

    async fn depth(&self, _: &Topic) -> Result<u64> {
        self.access(|s| (s.ready.len() + s.delayed.len() + s.in_flight.len()) as u64).await
    }
}

#[async_trait]
impl Counters for View {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        self.access(|s| s.add(key, by)).await
    }

    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        self.access(|s| keys.iter().map(|key| s.counters.get(key).copied()).collect()).await
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        self.access(|s| s.counters.retain(|name, _| !keys.contains(name))).await
    }
}

#[async_trait]
impl BackendParts for View {
    fn name(&self) -> String {
        "simulation".into()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn counters(&self) -> &dyn Counters {
        self
    }

    async fn changed(&self, version: u64, _: Duration) -> u64 {
        version + 1
    }
}

impl MultiStepBackend for View {}
