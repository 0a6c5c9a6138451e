//! Runs a handler until all of it waits, asks the host by one `poll` for all that it waits for, and goes on with what is
//! there. Nothing here depends on real time or chance, so every replay makes the same polls.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::host;
use crate::time;
use crate::waiting;

pub(crate) use crate::waiting::{Awaiter, Need, Outcome, Slot, wait, wait_race};

/// The handler waits for something that is no call, no request and no time: nothing could ever wake it.
#[derive(Debug)]
pub(crate) struct Stuck;

/// Drives a handler to its end.
pub(crate) fn run<F: Future>(handler: F, leaf: bool) -> Result<F::Output, Stuck> {
    // In a native test a handler runs inside another one's poll; what that one waits for is none of our business.
    let (outer, outer_timers) = (waiting::take(), time::take());
    let mut handler = pin!(handler);
    let mut context = Context::from_waker(Waker::noop());
    let result = loop {
        if let Poll::Ready(output) = handler.as_mut().poll(&mut context) {
            break Ok(output);
        }
        if !advance(leaf) {
            break Err(Stuck);
        }
    };
    drop((waiting::take(), time::take()));
    waiting::put_back(outer);
    time::put_back(outer_timers);
    result
}

/// Waits for answers of the world, or makes the next poll; false when there is nothing to wait for.
fn advance(leaf: bool) -> bool {
    #[cfg(target_family = "wasm")]
    if crate::io::wait() {
        return true;
    }
    let mut waiting = waiting::take();
    waiting.forget_dropped();
    let until = time::earliest();
    match (waiting.calls(), until) {
        ([], None) => false,
        // A leaf has the real time, and no `poll`.
        ([], Some(_)) if leaf => time::pass(),
        (calls, until) => {
            let outcomes = host::poll(calls, waiting.want(), until);
            waiting.hand_out(outcomes);
            waiting::put_back(waiting);
            if until.is_some() {
                time::fire();
            }
            true
        }
    }
}
