//! The one thread of this process that writes: it runs everything that has gathered meanwhile as one transaction.
//!
//! A commit costs about as much as ten transitions; alone each would pay for its own. Nobody waits for others to
//! gather: the thread takes what is there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Delivery;
use tokio::sync::oneshot;

use super::error::{BACKEND, copy};
use super::queue::{Taken, is_ready};
use super::session::{Effects, Mode, Session};
use super::transaction::{Tx, number};
use crate::now_millis;
use crate::wake::Wakeups;

/// How often another process's writes are looked for while somebody here waits: well under the 50 ms in which a message
/// from there is to wake a worker, and 50 looks of about 15 µs a second are under 0.1 % of a core.
const TICK: Duration = Duration::from_millis(20);

/// The most operations in one transaction, so that the first ones do not wait for long (256 take about 5 ms).
const MAX_GROUP: usize = 256;

/// Where another process has written so recently, it is likely to want to again ...
const COMPANY: Duration = Duration::from_secs(1);

/// ... and gets this pause between two transactions; without it, a busy process would take the lock again before the
/// other, which looks once a millisecond, ever saw it free.
const COURTESY: Duration = Duration::from_micros(150);

/// Something that the writer is to do.
pub(super) enum Request {
    Run(Box<dyn Operation>),
    Receive { topic: Topic, max: usize, reply: oneshot::Sender<Result<Received>> },
    /// Somebody has begun to wait: look at the clock from now on.
    Awaited,
    Close,
}

/// An operation inside the transaction.
pub(super) trait Operation: Send {
    fn mode(&self) -> Mode;
    /// Runs it; may be run again after a rollback. Whether it went well.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Answers whoever asked: with what `run` left, or with the error that befell the whole transaction.
    fn answer(self: Box<Self>, error: Option<&Error>);
}

struct Job<F, T> {
    body: F,
    mode: Mode,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Operation for Job<F, T>
where
    F: FnMut(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn mode(&self) -> Mode {
        self.mode
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        // A fault of ours in one operation must not end the thread, and with it every other.
        let result = catch_unwind(AssertUnwindSafe(|| (self.body)(tx)));
        let result = result.unwrap_or_else(|_| Err(fault("run an operation", "it panicked; see the log")));
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn answer(self: Box<Self>, error: Option<&Error>) {
        let result = match error {
            Some(error) => Err(copy(error)),
            None => self.result.unwrap_or_else(|| Err(fault("run an operation", "it was not run"))),
        };
        // Who asked may have gone; then nobody needs the answer.
        let _ = self.reply.send(result);
    }
}

fn fault(operation: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Internal, BACKEND, operation, reason)
}

/// The way to the writing thread.
pub(super) struct Writer {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; returns what it wakes others through as well.
    pub fn start(session: Session) -> Result<(Self, Arc<Wakeups>)> {
        let (requests, inbox) = channel();
        let (own, waker) = (requests.clone(), requests.clone());
        // Somebody has begun to wait. If the thread has ended, the next operation says so.
        let wakeups = Arc::new(Wakeups::with_hook(move || drop(waker.send(Request::Awaited))));
        let shared = wakeups.clone();
        let thread = std::thread::Builder::new()
            .name("brrr-sqlite".to_owned())
            .spawn(move || {
                Thread { session, wakeups: shared, inbox, own, last_tick: Instant::now(), company: None }.run();
            })
            .map_err(|e| fault("start the writing thread", &e.to_string()).with_source(e))?;
        Ok((Self { requests, thread: Some(thread) }, wakeups))
    }

    fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).map_err(|_| fault("write", "the writing thread has ended; see the log"))
    }

    /// Runs `body` in a transaction, together with whatever else there is to do.
    pub async fn run<T: Send + 'static>(
        &self,
        mode: Mode,
        body: impl FnMut(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Run(Box::new(Job { body, mode, result: None, reply })))?;
        answer.await.unwrap_or_else(|_| Err(fault("write", "the writing thread has ended; see the log")))
    }

    /// Leases up to `max` messages that are ready.
    pub async fn receive(&self, topic: &Topic, max: usize) -> Result<Received> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Receive { topic: topic.clone(), max, reply })?;
        answer.await.unwrap_or_else(|_| Err(fault("receive", "the writing thread has ended; see the log")))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // If it has ended already, all the better.
        let _ = self.requests.send(Request::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Leased messages on their way to a receiver. If it has gone meanwhile, they go back at once instead of when their
/// leases end.
pub(super) struct Received {
    pub taken: Taken,
    back: Sender<Request>,
}

impl Received {
    pub fn accept(mut self) -> Taken {
        std::mem::take(&mut self.taken)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let refused = std::mem::take(&mut self.taken.deliveries);
        if refused.is_empty() {
            return;
        }
        let body = move |tx: &mut Tx<'_>| give_back(tx, &refused);
        let (reply, _) = oneshot::channel();
        // If the thread has ended, the leases do what is left to do.
        let _ = self.back.send(Request::Run(Box::new(Job { body, mode: Mode::Write, result: None, reply })));
    }
}

fn give_back(tx: &mut Tx<'_>, deliveries: &[Delivery]) -> Result<()> {
    deliveries.iter().try_for_each(|d| tx.session().give_back(number(&d.receipt)?, Duration::ZERO))
}

struct Thread {
    session: Session,
    wakeups: Arc<Wakeups>,
    inbox: Receiver<Request>,
    own: Sender<Request>,
    last_tick: Instant,
    /// When another process was last seen to have written.
    company: Option<Instant>,
}

/// What has gathered.
#[derive(Default)]
struct Group {
    operations: Vec<Box<dyn Operation>>,
    receivers: Vec<Hungry>,
    close: bool,
}

/// Who wants messages: topic, how many, and where to.
type Hungry = (Topic, usize, oneshot::Sender<Result<Received>>);

impl Group {
    fn add(&mut self, request: Request) {
        match request {
            Request::Run(operation) => self.operations.push(operation),
            Request::Receive { topic, max, reply } => self.receivers.push((topic, max, reply)),
            Request::Awaited => {}
            Request::Close => self.close = true,
        }
    }
}

impl Thread {
    fn run(mut self) {
        loop {
            let mut group = Group::default();
            match self.next() {
                Ok(request) => group.add(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while group.operations.len() + group.receivers.len() < MAX_GROUP
                && let Ok(request) = self.inbox.try_recv()
            {
                group.add(request);
            }
            let close = group.close;
            unsafe {
                static mut S: [u64; 6] = [0; 6];
                let w = group.operations.iter().filter(|o| o.mode() > Mode::Read).count() as u64;
                let r = group.operations.len() as u64 - w;
                if w + r + group.receivers.len() as u64 > 0 { S[0] += 1; }
                if w + group.receivers.len() as u64 > 0 { S[4] += 1; }
                S[1] += w; S[2] += r; S[3] += group.receivers.len() as u64;
                if close { let s = S; eprintln!("groups {} writing {} w {} r {} recv {}", s[0], s[4], s[1], s[2], s[3]); }
            }
            self.work(group);
            if self.last_tick.elapsed() >= TICK {
                self.tick();
            }
            if close {
                return;
            }
        }
    }

    /// The next request; while anybody waits, only until the next tick.
    fn next(&self) -> std::result::Result<Request, RecvTimeoutError> {
        if self.wakeups.anybody() {
            self.inbox.recv_timeout(TICK.saturating_sub(self.last_tick.elapsed()))
        } else {
            self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
        }
    }

    fn work(&mut self, group: Group) {
        let Group { mut operations, receivers, .. } = group;
        let receivers = self.answer_those_without(receivers, operations.is_empty());
        if operations.is_empty() && receivers.is_empty() {
            return;
        }
        match self.transact(&mut operations, &receivers) {
            Ok(taken) => {
                operations.into_iter().for_each(|operation| operation.answer(None));
                for ((topic, _, reply), taken) in receivers.into_iter().zip(taken) {
                    if taken.more {
                        self.wakeups.topic(&topic).notify();
                    }
                    self.hand_over(taken, reply);
                }
            }
            Err(error) if operations.len() + receivers.len() > 1 && !error.is_transient() => {
                self.work_one_by_one(operations, receivers);
            }
            Err(error) => {
                operations.into_iter().for_each(|operation| operation.answer(Some(&error)));
                for (_, _, reply) in receivers {
                    // Who asked may have gone; then nobody needs the answer.
                    let _ = reply.send(Err(copy(&error)));
                }
            }
        }
        if self.company.is_some_and(|seen| seen.elapsed() < COMPANY) {
            std::thread::sleep(COURTESY);
        }
    }

    fn hand_over(&self, taken: Taken, reply: oneshot::Sender<Result<Received>>) {
        // Dropped if nobody is there any more, and then it gives back what it has.
        let _ = reply.send(Ok(Received { taken, back: self.own.clone() }));
    }

    /// One of many has spoilt the transaction: who it was must not keep the others from getting through.
    fn work_one_by_one(&mut self, operations: Vec<Box<dyn Operation>>, receivers: Vec<Hungry>) {
        for operation in operations {
            self.work(Group { operations: vec![operation], ..Group::default() });
        }
        for receiver in receivers {
            self.work(Group { receivers: vec![receiver], ..Group::default() });
        }
    }

    /// With nothing to write, receivers of topics without a message need no transaction.
    fn answer_those_without(&mut self, receivers: Vec<Hungry>, only_reads: bool) -> Vec<Hungry> {
        if !only_reads || self.session.next_due <= now_millis() {
            return receivers;
        }
        let mut left = Vec::new();
        for receiver in receivers {
            // An error shows again, and is reported, where it is tried for good.
            if is_ready(&self.session.conn, &receiver.0).unwrap_or(true) {
                left.push(receiver);
            } else {
                self.hand_over(Taken::default(), receiver.2);
            }
        }
        left
    }

    /// One transaction: the operations, then the receivers, who get what the operations have sent as well.
    fn transact(&mut self, operations: &mut [Box<dyn Operation>], receivers: &[Hungry]) -> Result<Vec<Taken>> {
        let needed = operations.iter().map(|operation| operation.mode()).max().unwrap_or(Mode::Write);
        let mode = if receivers.is_empty() { needed } else { needed.max(Mode::Write) };
        match self.try_transact(mode, operations, receivers) {
            Ok((effects, taken)) => {
                self.announce(&effects);
                Ok(taken)
            }
            Err(error) => {
                self.session.rollback();
                Err(error)
            }
        }
    }

    fn try_transact(
        &mut self,
        mode: Mode,
        operations: &mut [Box<dyn Operation>],
        receivers: &[Hungry],
    ) -> Result<(Effects, Vec<Taken>)> {
        if self.session.begin(mode)? {
            self.see_company();
        }
        if mode > Mode::Read && self.session.next_due <= now_millis() {
            self.session.ripen()?;
        }
        for operation in operations {
            let mut tx = Tx::new(&mut self.session);
            if !operation.run(&mut tx) {
                tx.undo();
            }
            if self.session.has_failed() {
                return Err(fault("write", "a statement of the same transaction failed"));
            }
        }
        let effects = self.session.flush()?;
        let taken = receivers
            .iter()
            .map(|(topic, max, _)| self.session.take(topic, *max))
            .collect::<Result<Vec<_>>>()?;
        self.session.commit()?;
        Ok((effects, taken))
    }

    fn announce(&self, effects: &Effects) {
        for topic in &effects.topics {
            self.wakeups.topic(topic).notify();
        }
        if effects.wrote {
            self.wakeups.bump();
        }
    }

    /// Another process has written: somebody here may have waited for just that.
    fn see_company(&mut self) {
        self.company = Some(Instant::now());
        self.wakeups.bump();
        self.notify_ready();
    }

    fn notify_ready(&self) {
        for topic in self.wakeups.awaited_topics() {
            // An error shows again, and is reported, to the receiver who looks.
            if is_ready(&self.session.conn, &topic).unwrap_or(true) {
                self.wakeups.topic(&topic).notify();
            }
        }
    }

    /// What happens without being asked for while somebody waits.
    fn tick(&mut self) {
        self.last_tick = Instant::now();
        if !self.wakeups.anybody() {
            return;
        }
        // An error shows again, and is reported, with the next operation.
        if self.session.look().unwrap_or(false) {
            self.see_company();
        }
        if self.session.next_due <= now_millis() && self.transact(&mut [], &[]).is_ok() {
            self.notify_ready();
        }
    }
}
