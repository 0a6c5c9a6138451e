//! The interface to the writing thread of this process. The thread runs all waiting requests in one transaction
//! (`thread`).
//!
//! A commit costs about as much as ten transitions, and single operations would each need a commit. No operation waits
//! for others to come: the thread takes the requests that are there. Small reads use this thread too. The thread's
//! cache of the records is still valid, so these reads need no access to the file. The page cache of a reading
//! connection, however, is invalid after each commit of the writer.

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
use super::queue::TakenRows;
use super::session::{Mode, Session};
use super::thread::Thread;
use super::transaction::{SqliteTx, number};
use crate::waiters::Waiters;

/// A request to the writing thread.
pub(super) enum Request {
    Run(Box<dyn Operation>),
    Receive {
        topic: Topic,
        max: usize,
        reply: oneshot::Sender<Result<Received>>,
    },
    /// A task has begun to wait, so the thread must check the time regularly from now on.
    Awaited,
    Close,
}

/// An operation inside the transaction.
pub(super) trait Operation: Send {
    fn mode(&self) -> Mode;
    /// Runs the operation. It may be run again after a rollback. Returns whether it succeeded.
    fn run(&mut self, tx: &mut SqliteTx<'_>) -> bool;
    /// Answers the caller: with the result of `run`, or with the error of the whole transaction.
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
    F: FnMut(&mut SqliteTx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn mode(&self) -> Mode {
        self.mode
    }

    fn run(&mut self, tx: &mut SqliteTx<'_>) -> bool {
        // A bug in one operation must not end the thread, because that would stop all other operations.
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
        // If the caller no longer waits, nobody needs the answer.
        let _ = self.reply.send(result);
    }
}

fn fault(operation: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Internal, BACKEND, operation, reason)
}

/// The handle of the writing thread.
pub(super) struct Writer {
    requests: Sender<Request>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. Also returns the object through which the thread wakes other tasks.
    pub fn start(session: Session) -> Result<(Self, Arc<Waiters>)> {
        let (requests, inbox) = channel();
        let (own, hook) = (requests.clone(), requests.clone());
        // The first task has begun to wait. If the thread has ended, the next operation reports that.
        let waiters = Arc::new(Waiters::with_hook(move || drop(hook.send(Request::Awaited))));
        let shared = waiters.clone();
        let thread = std::thread::Builder::new()
            .name("brrr-sqlite".to_owned())
            .spawn(move || Thread::new(session, shared, inbox, own).run())
            .map_err(|e| fault("start the writing thread", &e.to_string()).with_source(e))?;
        Ok((Self { requests, thread: Some(thread) }, waiters))
    }

    fn send(&self, request: Request) -> Result<()> {
        self.requests.send(request).map_err(|_| fault("write", "the writing thread has ended; see the log"))
    }

    /// Runs `body` in a transaction, together with the other waiting requests.
    pub async fn run<T: Send + 'static>(
        &self,
        mode: Mode,
        body: impl FnMut(&mut SqliteTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Run(Box::new(Job { body, mode, result: None, reply })))?;
        answer.await.unwrap_or_else(|_| Err(fault("write", "the writing thread has ended; see the log")))
    }

    /// Leases up to `max` ready messages.
    pub async fn receive(&self, topic: &Topic, max: usize) -> Result<Received> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Receive { topic: topic.clone(), max, reply })?;
        answer.await.unwrap_or_else(|_| Err(fault("receive", "the writing thread has ended; see the log")))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // An error means that the thread has ended already. Then nothing is left to do.
        let _ = self.requests.send(Request::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Leased messages that are sent to a receiver. If the receiver no longer waits, they are given back at once, not only
/// when their leases end.
pub(super) struct Received {
    taken: TakenRows,
    back: Sender<Request>,
}

impl Received {
    pub fn new(taken: TakenRows, back: Sender<Request>) -> Self {
        Self { taken, back }
    }

    pub fn accept(mut self) -> TakenRows {
        std::mem::take(&mut self.taken)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let refused = std::mem::take(&mut self.taken.deliveries);
        if refused.is_empty() {
            return;
        }
        let body = move |tx: &mut SqliteTx<'_>| nack(tx, &refused);
        let (reply, _) = oneshot::channel();
        // If the thread has ended, the messages return when their leases end.
        let _ = self.back.send(Request::Run(Box::new(Job { body, mode: Mode::Write, result: None, reply })));
    }
}

fn nack(tx: &mut SqliteTx<'_>, deliveries: &[Delivery]) -> Result<()> {
    deliveries.iter().try_for_each(|d| tx.session().nack(number(&d.receipt)?, Duration::ZERO))
}
