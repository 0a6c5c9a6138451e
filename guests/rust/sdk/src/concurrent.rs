//! The executor in the asynchronous world: each call is a `poll` of its own, and so is each race and each sleep. The host drives
//! the handler, and asks for all that it waits for together.

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

/// A race is a poll like any other.
pub(crate) type Race = Slot<Vec<Option<Outcome>>>;

impl<T> Slot<T> {
    fn of(future: impl Future<Output = T> + 'static) -> Rc<Self> {
        Rc::new(Self(RefCell::new(Box::pin(future))))
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<T> {
        self.0.borrow_mut().as_mut().poll(context)
    }
}

/// What an awaiter of several calls needs of them. Here it makes no difference: each call has a poll of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    Values,
    Outcomes,
}

/// One awaiter of several calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaiter;

impl Awaiter {
    pub(crate) fn new(_: Need) -> Self {
        Self
    }

    pub(crate) fn polls<T>(self, _: *const (), _: usize, poll: impl FnOnce() -> T) -> T {
        poll()
    }
}

/// Makes a call.
pub(crate) fn wait<F>(_: &F, call: Invocation) -> Rc<Slot<Outcome>> {
    Slot::of(host::call(call))
}

/// Asks for `need` outcomes of these calls.
pub(crate) fn wait_race(calls: Vec<Invocation>, need: usize) -> Rc<Race> {
    Slot::of(host::race(calls, u32::try_from(need).unwrap_or(u32::MAX)))
}
