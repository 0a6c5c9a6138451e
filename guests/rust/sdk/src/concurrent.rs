//! The executor in the asynchronous world: a call is a future of the component model, the host drives the handler, and makes
//! a batch of what all of it waits for.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::Failure;
use crate::host::{self, Invocation};

/// What a call came to, before decoding.
pub(crate) type Outcome = Result<Vec<u8>, Failure>;

/// Where a waiting future finds its outcome.
pub(crate) struct Slot<T>(RefCell<Pin<Box<dyn Future<Output = T>>>>);

impl<T> Slot<T> {
    fn of(future: impl Future<Output = T> + 'static) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Box::pin(future))))
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        self.0.borrow_mut().as_mut().poll(context)
    }
}

/// Makes a call.
pub(crate) fn wait(call: Invocation) -> Rc<Slot<Outcome>> {
    Slot::of(host::call(call))
}

/// Asks for `need` outcomes of these calls.
pub(crate) fn wait_race(calls: Vec<Invocation>, need: u32) -> Rc<Slot<Vec<Option<Outcome>>>> {
    Slot::of(host::race(calls, need))
}
