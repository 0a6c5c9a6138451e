//! What a handler waits for besides calls: the host's pollables. The executor waits for these first and makes its batch of
//! calls when none is left, so a batch does not depend on which answer came first.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use wasip2::io::poll::{Pollable, poll};

/// Becomes ready with a pollable. Dropped, it drops the pollable: before whatever that one belongs to.
pub(crate) struct Ready(Rc<Waiting>);

struct Waiting {
    pollable: Pollable,
    registered: Cell<bool>,
    ready: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

thread_local! {
    /// Weak, as a future that nobody polls any more must not be waited for.
    static WAITING: RefCell<Vec<Weak<Waiting>>> = RefCell::default();
}

impl Ready {
    pub(crate) fn new(pollable: Pollable) -> Self {
        let (registered, ready, waker) = (Cell::new(false), Cell::new(false), RefCell::default());
        Self(Rc::new(Waiting { pollable, registered, ready, waker }))
    }
}

impl Future for Ready {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waiting = &self.0;
        if waiting.ready.get() {
            return Poll::Ready(());
        }
        if !waiting.registered.replace(true) {
            WAITING.with_borrow_mut(|all| all.push(Rc::downgrade(waiting)));
        }
        *waiting.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Waits until something is ready, or the next timer is due; false when nothing is waited for but time.
pub(crate) fn wait() -> bool {
    let waiting: Vec<_> = WAITING.take().iter().filter_map(Weak::upgrade).collect();
    if waiting.is_empty() {
        return false;
    }
    let mut pollables: Vec<_> = waiting.iter().map(|waiting| &waiting.pollable).collect();
    // Beside a request, a sleep takes its real time: so a handler can limit the time of a request.
    let timer = crate::time::Next::find();
    pollables.extend(timer.as_ref().map(|timer| &timer.pollable));
    for index in poll(&pollables) {
        match waiting.get(index as usize) {
            Some(ready) => ready.ready.set(true),
            None => timer.iter().for_each(crate::time::Next::fire),
        }
    }
    let (ready, pending): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|waiting| waiting.ready.get());
    WAITING.with_borrow_mut(|all| all.extend(pending.iter().map(Rc::downgrade)));
    for waiting in ready {
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
    true
}
