//! The loop of the writing thread: collect requests, run a transaction, answer, and check the time while tasks wait.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use tokio::sync::oneshot;

use super::error::copy;
use super::queue::{TakenRows, is_ready};
use super::session::{Mode, Session, SqliteEffects};
use super::transaction::SqliteTx;
use super::writer::{Operation, Received, Request};
use crate::now_millis;
use crate::waiters::Waiters;

/// How often the thread looks for writes of other processes while a task waits here. A message from another process
/// must wake a worker within 50 ms, and this is well below that. 50 looks a second take about 0.3 % of a core, measured
/// on a busy machine.
const TICK: Duration = Duration::from_millis(20);

/// The most operations in one transaction, so that the first operations do not wait for long (256 take about 5 ms).
const MAX_GROUP: usize = 256;

/// How long another process counts as active after its last write.
const COMPANY: Duration = Duration::from_secs(1);

/// The pause between two transactions while another process is active. The other process tries the lock once a
/// millisecond. Without this pause, a busy process would always take the lock again before the other one found it free.
const COURTESY: Duration = Duration::from_micros(150);

pub(super) struct Thread {
    session: Session,
    waiters: Arc<Waiters>,
    inbox: Receiver<Request>,
    own: Sender<Request>,
    last_tick: Instant,
    /// The time at which a write of another process was last seen.
    company: Option<Instant>,
}

/// The requests for one transaction.
#[derive(Default)]
struct Group {
    operations: Vec<Box<dyn Operation>>,
    receivers: Vec<Hungry>,
    close: bool,
}

/// A receiver that wants messages: topic, number of messages, and the channel for the answer.
type Hungry = (Topic, usize, oneshot::Sender<Result<Received>>);

impl Group {
    fn len(&self) -> usize {
        self.operations.len() + self.receivers.len()
    }

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
    /// `own` sends to `inbox`. Messages that no receiver takes are given back through it.
    pub fn new(session: Session, waiters: Arc<Waiters>, inbox: Receiver<Request>, own: Sender<Request>) -> Self {
        Self { session, waiters, inbox, own, last_tick: Instant::now(), company: None }
    }

    /// Runs until a request to close comes.
    pub fn run(mut self) {
        loop {
            let mut group = Group::default();
            match self.next() {
                Ok(request) => group.add(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.gather(&mut group);
            let close = group.close;
            self.work(group);
            if self.last_tick.elapsed() >= TICK {
                self.tick();
            }
            if close {
                return;
            }
        }
    }

    /// Collects the waiting requests. It yields first, so that tasks that are about to send a request can do so. If
    /// there are none, this costs nothing.
    fn gather(&self, group: &mut Group) {
        let mut before = 0;
        while before < group.len() && group.len() < MAX_GROUP {
            before = group.len();
            std::thread::yield_now();
            while group.len() < MAX_GROUP
                && let Ok(request) = self.inbox.try_recv()
            {
                group.add(request);
            }
        }
    }

    /// The next request. While a task waits, this returns at the next tick at the latest.
    fn next(&self) -> std::result::Result<Request, RecvTimeoutError> {
        if self.waiters.anybody() {
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
                        self.waiters.topic(&topic).notify();
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
                    // If the caller no longer waits, nobody needs the answer.
                    let _ = reply.send(Err(copy(&error)));
                }
            }
        }
        if self.company.is_some_and(|seen| seen.elapsed() < COMPANY) {
            std::thread::sleep(COURTESY);
        }
    }

    fn hand_over(&self, taken: TakenRows, reply: oneshot::Sender<Result<Received>>) {
        // If the receiver no longer waits, `Received` is dropped, which gives the messages back.
        let _ = reply.send(Ok(Received::new(taken, self.own.clone())));
    }

    /// One of several operations has failed the whole transaction. It is not known which, so each one runs alone, and
    /// the others succeed.
    fn work_one_by_one(&mut self, operations: Vec<Box<dyn Operation>>, receivers: Vec<Hungry>) {
        for operation in operations {
            self.work(Group { operations: vec![operation], ..Group::default() });
        }
        for receiver in receivers {
            self.work(Group { receivers: vec![receiver], ..Group::default() });
        }
    }

    /// If there is nothing to write, the receivers of topics without a message need no transaction.
    fn answer_those_without(&mut self, receivers: Vec<Hungry>, only_reads: bool) -> Vec<Hungry> {
        if !only_reads || self.session.next_due <= now_millis() {
            return receivers;
        }
        let mut left = Vec::new();
        for receiver in receivers {
            // After an error, the receiver stays in the list. The transaction then meets the error again and reports
            // it.
            if is_ready(&self.session.conn, &receiver.0).unwrap_or(true) {
                left.push(receiver);
            } else {
                self.hand_over(TakenRows::default(), receiver.2);
            }
        }
        left
    }

    /// One transaction: first the operations, then the receivers. So the receivers also get the messages that these
    /// operations send.
    fn transact(&mut self, operations: &mut [Box<dyn Operation>], receivers: &[Hungry]) -> Result<Vec<TakenRows>> {
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
    ) -> Result<(SqliteEffects, Vec<TakenRows>)> {
        if self.session.begin(mode)? {
            self.see_company();
        }
        if mode > Mode::Read && self.session.next_due <= now_millis() {
            self.session.ripen()?;
        }
        for operation in operations {
            let mut tx = SqliteTx::new(&mut self.session);
            if !operation.run(&mut tx) {
                tx.undo();
            }
            if let Some(error) = self.session.failure() {
                return Err(copy(error));
            }
        }
        let effects = self.session.flush()?;
        let taken =
            receivers.iter().map(|(topic, max, _)| self.session.take(topic, *max)).collect::<Result<Vec<_>>>()?;
        self.session.commit()?;
        Ok((effects, taken))
    }

    fn announce(&self, effects: &SqliteEffects) {
        for topic in &effects.topics {
            self.waiters.topic(topic).notify();
        }
        if effects.wrote {
            self.waiters.bump();
        }
    }

    /// Another process has written. Tasks here may be waiting for that write.
    fn see_company(&mut self) {
        self.company = Some(Instant::now());
        self.waiters.bump();
        self.notify_ready();
    }

    fn notify_ready(&self) {
        for topic in self.waiters.awaited_topics() {
            // After an error, the receiver is woken. It then meets the error again and reports it.
            if is_ready(&self.session.conn, &topic).unwrap_or(true) {
                self.waiters.topic(&topic).notify();
            }
        }
    }

    /// The regular work of the thread while tasks wait.
    fn tick(&mut self) {
        self.last_tick = Instant::now();
        if !self.waiters.anybody() {
            return;
        }
        // An error is ignored here. The next operation meets it again and reports it.
        if self.session.look().unwrap_or(false) {
            self.see_company();
        }
        if self.session.next_due <= now_millis() && self.transact(&mut [], &[]).is_ok() {
            self.notify_ready();
        }
    }
}
