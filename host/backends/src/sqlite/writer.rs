//! The way to the one thread of this process that writes: it runs everything that has gathered meanwhile as one
//! transaction (`thread`).
//!
//! A commit costs about as much as ten transitions; alone each would pay for its own. Nobody waits for others to
//! gather: the thread takes what is there. Small reads go the same way: what the thread remembers of the records needs
//! no look into the file, whereas the pages that a reading connection remembers are void after each commit of the writer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use brrr_protocol::error::{Error, ErrorKind, Result};
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Delivery;
use tokio::sync::oneshot;

use super::error::{BACKEND, copy};
use super::queue::Taken;
use super::session::{Mode, Session};
use super::thread::Thread;
use super::transaction::{Tx, number};
use crate::wake::Wakeups;

/// Something that the writer is to do.
pub(super) enum Request {
    Run(Box<dyn Operation>),
    Receive {
        topic: Topic,
        max: usize,
        reply: oneshot::Sender<Result<Received>>,
    },
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
            .spawn(move || Thread::new(session, shared, inbox, own).run())
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
    taken: Taken,
    back: Sender<Request>,
}

impl Received {
    pub fn new(taken: Taken, back: Sender<Request>) -> Self {
        Self { taken, back }
    }

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
