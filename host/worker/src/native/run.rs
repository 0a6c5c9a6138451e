//! One run of a Rust handler.
//!
//! The handler's future is polled until it can't continue. If it then waits for calls or for a time, the replay is asked for
//! all of them together. If one of them has no outcome, and the time has not come, the run is dropped, even if the future
//! also waits for something else.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use brrr_protocol::model::{Failure, FailureKind, Outcome};
use brrr_protocol::options::LONGEST;
use brrr_protocol::ports::{Ended, Request};
use brrr_protocol::replay::{Polled, Replay};
use brrr_protocol::{Error, ErrorKind, Result};
use bytes::Bytes;
use futures_util::FutureExt as _;

use super::error::HandlerResult;
use super::{Call, Function, RunningHandler};
use crate::batch::{Alarm, AwaitedPolls};
use crate::panics;
use crate::wasm::Printer;

/// The limits of a run.
pub(super) struct RunBounds {
    /// The longest time of the run.
    pub wall: Duration,
    /// The most bytes of the outcomes that the run gets, and of the calls that it waits for at once.
    pub memory: u64,
}

/// Why the replay can't give the outcomes.
enum Interrupted {
    /// The run waits for calls that have no outcome yet.
    Suspended,
    Backend(Error),
}

/// Runs a handler to its end, or until it waits.
///
/// # Errors
/// When the backend can't be read.
pub(super) async fn run(
    function: &Function,
    request: Request,
    replay: Replay,
    bounds: RunBounds,
    printer: Printer,
) -> Result<(Ended, Replay)> {
    let wall = bounds.wall.min(LONGEST);
    let (task, attempt) = (request.task.clone(), request.attempt);
    let most = usize::try_from(bounds.memory).unwrap_or(usize::MAX);
    let awaited = Arc::new(AwaitedPolls::new(most));
    let mut replay = replay.with_room(bounds.memory);
    let clock = Arc::new(AtomicU64::new(replay.clock()));
    let call = Call::new(request, awaited.clone(), clock.clone(), printer.clone());
    let driven = async { drive(function(call), &awaited, &mut replay, &clock).await };
    let returned = tokio::time::timeout(wall, AssertUnwindSafe(driven).catch_unwind()).await;
    replay.has_printed(printer.progress());
    let (mut failure, retryable) = match returned {
        Ok(Ok(Ok(Ok(value)))) => return Ok((Ended::Completed(value), replay)),
        Ok(Ok(Ok(Err(error)))) => error.into_failure(&task),
        Ok(Ok(Err(Interrupted::Suspended))) => return Ok((Ended::Suspended, replay)),
        Ok(Ok(Err(Interrupted::Backend(error)))) => match error.kind {
            ErrorKind::Conflict => (Failure::new(FailureKind::Conflict, &task, error.to_string()), false),
            ErrorKind::Limit => {
                let text =
                    format!("the calls that it asks for and their results take more than {} bytes", bounds.memory);
                (Failure::new(FailureKind::Limit, &task, text), true)
            }
            _ => return Err(error),
        },
        Ok(Err(panic)) => {
            (Failure::new(FailureKind::Trap, &task, format!("it panicked: {}", panics::text(&*panic))), true)
        }
        Err(_) => {
            let text = format!("it ran longer than its time limit of {wall:?}");
            (Failure::new(FailureKind::Timeout, &task, text), true)
        }
    };
    failure.attempts = attempt;
    Ok((Ended::Failed { failure, retryable }, replay))
}

/// Polls the handler until it ends, and asks the replay for the calls that it waits for.
async fn drive(
    mut running: RunningHandler,
    awaited: &AwaitedPolls<Outcome>,
    replay: &mut Replay,
    clock: &AtomicU64,
) -> std::result::Result<HandlerResult<Bytes>, Interrupted> {
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    loop {
        let returned = poll_fn(|context| {
            alarm.set(context.waker());
            alarm.silence();
            if let Poll::Ready(returned) = running.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(Some(returned));
            }
            // If the future has woken itself, it can continue, and may then wait for more calls.
            if alarm.has_rung() || awaited.is_empty() { Poll::Pending } else { Poll::Ready(None) }
        })
        .await;
        if let Some(returned) = returned {
            return Ok(returned);
        }
        let Some(batch) = awaited.next() else { continue };
        match replay.poll(batch.calls, batch.want, batch.until).await {
            Ok(Polled::Ready(outcomes)) => {
                // The handler reads the clock when it goes on.
                clock.store(replay.clock(), SeqCst);
                awaited.settle(outcomes, replay.clock());
            }
            Ok(Polled::Suspended) => return Err(Interrupted::Suspended),
            Err(error) => return Err(Interrupted::Backend(error)),
        }
    }
}
