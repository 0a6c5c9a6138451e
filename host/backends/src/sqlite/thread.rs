//! The loop of the writing thread: gather, transact, answer, and look at the clock while somebody waits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use brrr_protocol::error::Result;
use brrr_protocol::model::Topic;
use tokio::sync::oneshot;

use super::error::copy;
use super::queue::{Taken, is_ready};
use super::session::{Effects, Mode, Session};
use super::transaction::Tx;
use super::writer::{Operation, Received, Request};
use crate::now_millis;
use crate::wake::Wakeups;

/// How often another process's writes are looked for while somebody here waits: well under the 50 ms in which a message
/// from there is to wake a worker, and 50 looks a second are about 0.3 % of a core, measured on a busy machine.
const TICK: Duration = Duration::from_millis(20);

/// The most operations in one transaction, so that the first ones do not wait for long (256 take about 5 ms).
const MAX_GROUP: usize = 256;

/// Where another process has written so recently, it is likely to want to again ...
const COMPANY: Duration = Duration::from_secs(1);

/// ... and gets this pause between two transactions; without it, a busy process would take the lock again before the
/// other, which looks once a millisecond, ever saw it free.
const COURTESY: Duration = Duration::from_micros(150);

/// The thread's own state.
pub(super) struct Thread {
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
    /// `own` leads to `inbox`: messages that nobody takes come back through it.
    pub fn new(session: Session, wakeups: Arc<Wakeups>, inbox: Receiver<Request>, own: Sender<Request>) -> Self {
        Self { session, wakeups, inbox, own, last_tick: Instant::now(), company: None }
    }

    /// Runs until it is told to close.
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

    /// Takes what has gathered. Whoever is about to ask as well is let in first: that costs nothing where nobody is.
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
        let _ = reply.send(Ok(Received::new(taken, self.own.clone())));
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
