//! Several calls at once: one poll for all of them, or a race.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use crate::executor::{self, Awaiter, Need, Outcome};
use crate::{Call, Failure};

/// Waits for all of up to eight futures of any types, and gives a tuple of their outputs.
///
/// Calls among them are asked for together.
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::Join::join(($($future,)+)).await
    };
}

/// Like [`join!`] for futures that give a `Result`: the tuple of their values, or the first error.
///
/// It ends with the first failure: the other futures are dropped, and nobody waits for their calls any more. Of several failures
/// that are there at once, it gives the first one from the left.
#[macro_export]
macro_rules! try_join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::TryJoin::try_join(($($future,)+)).await
    };
}

/// Waits for all of these futures; outputs in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let awaiter = Awaiter::new(Need::Outcomes);
    let mut futures: Vec<_> = futures.into_iter().map(MaybeDone::new).collect();
    poll_fn(|context| {
        let waiting = futures.iter_mut().filter_map(|future| future.poll(context, awaiter).is_pending().then_some(()));
        if waiting.count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().map(MaybeDone::into_output).collect()
}

/// Waits for all of these futures; their values in order, or the first error, as [`try_join!`].
///
/// # Errors
/// The first error. The other futures are dropped.
pub async fn try_join_all<T, E>(
    futures: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let awaiter = Awaiter::new(Need::Values);
    let mut futures: Vec<_> = futures.into_iter().map(MaybeDone::new).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for future in &mut futures {
            match future.try_poll(context, awaiter) {
                Poll::Ready(result) => result?,
                Poll::Pending => waiting = true,
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await?;
    futures.into_iter().map(MaybeDone::into_output).collect()
}

/// The first of these calls to have an outcome: its index, and its value or failure. All of them are queued; the rest
/// go on. Every replay gets the same one.
///
/// Calls of different types become calls of one type by [`Call::cast`]. To limit it in time, put it into a
/// [`timeout`](crate::timeout()).
///
/// # Panics
/// When there are no calls.
pub async fn first<T: DeserializeOwned>(calls: impl IntoIterator<Item = Call<T>>) -> (usize, Result<T, Failure>) {
    let outcomes = first_n(1, calls).await;
    let (index, outcome) =
        outcomes.into_iter().enumerate().find(|(_, outcome)| outcome.is_some()).expect("one outcome");
    (index, outcome.expect("found as such"))
}

/// The first `need` of these calls to have an outcome, by value or failure; `None` for each of the others.
///
/// # Panics
/// When there are fewer calls.
pub async fn first_n<T: DeserializeOwned>(
    need: usize,
    calls: impl IntoIterator<Item = Call<T>>,
) -> Vec<Option<Result<T, Failure>>> {
    let mut calls: Vec<_> = calls.into_iter().collect();
    assert!(need <= calls.len(), "a race for {need} outcomes of {} calls", calls.len());
    let invocations: Result<Vec<_>, _> = calls.iter_mut().map(Call::invocation).collect();
    let invocations = match invocations {
        Ok(invocations) => invocations,
        // A call that cannot be made has failed, which is an outcome; that is one at least.
        Err(failure) => {
            let mut failure = Some(Err(failure));
            return calls.iter().map(|_| failure.take()).collect();
        }
    };
    let race = executor::wait_race(invocations, need);
    let outcomes: Vec<Option<Outcome>> = poll_fn(|context| race.poll(context)).await;
    calls.iter().zip(outcomes).map(|(call, outcome)| outcome.map(|outcome| call.decode(outcome))).collect()
}

/// A future, or what it gave.
enum MaybeDone<F: Future> {
    Waiting(Pin<Box<F>>),
    Done(F::Output),
    /// Its error was taken.
    Taken,
}

impl<F: Future> MaybeDone<F> {
    fn new(future: F) -> Self {
        Self::Waiting(Box::pin(future))
    }

    /// Polls it for this awaiter.
    fn poll(&mut self, context: &mut Context<'_>, awaiter: Awaiter) -> Poll<()> {
        if let Self::Waiting(future) = self {
            let place = std::ptr::from_ref(&**future).cast();
            match awaiter.polls(place, size_of::<F>(), || future.as_mut().poll(context)) {
                Poll::Ready(output) => *self = Self::Done(output),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn into_output(self) -> F::Output {
        match self {
            Self::Done(output) => output,
            Self::Waiting(_) | Self::Taken => unreachable!("asked only once all are done"),
        }
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> MaybeDone<F> {
    /// Polls it, and takes its error.
    fn try_poll(&mut self, context: &mut Context<'_>, awaiter: Awaiter) -> Poll<Result<(), E>> {
        if self.poll(context, awaiter).is_pending() {
            return Poll::Pending;
        }
        match std::mem::replace(self, Self::Taken) {
            Self::Done(Err(error)) => Poll::Ready(Err(error)),
            done => {
                *self = done;
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// A tuple of futures, waited for together; see [`join!`].
pub trait Join {
    /// The tuple of their outputs.
    type Output;

    /// Waits for all.
    fn join(self) -> impl Future<Output = Self::Output>;
}

/// A tuple of futures that give results, waited for together; see [`try_join!`].
pub trait TryJoin {
    /// The tuple of their values.
    type Values;
    /// Their error, one for all.
    type Error;

    /// Waits for all values, or the first error.
    fn try_join(self) -> impl Future<Output = Result<Self::Values, Self::Error>>;
}

macro_rules! tuples {
    ($($name:ident $value:ident),+) => {
        impl<$($name: Future),+> Join for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[allow(non_snake_case, reason = "one identifier serves as type and as variable")]
            async fn join(self) -> Self::Output {
                let awaiter = Awaiter::new(Need::Outcomes);
                let ($($name,)+) = self;
                $(let mut $name = MaybeDone::new($name);)+
                poll_fn(|context| {
                    let mut waiting = false;
                    $(waiting |= $name.poll(context, awaiter).is_pending();)+
                    if waiting { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
                ($($name.into_output(),)+)
            }
        }

        impl<$($name: Future<Output = Result<$value, Failed>>, $value,)+ Failed> TryJoin for ($($name,)+) {
            type Values = ($($value,)+);
            type Error = Failed;

            #[allow(non_snake_case, reason = "one identifier serves as type and as variable")]
            async fn try_join(self) -> Result<Self::Values, Failed> {
                let awaiter = Awaiter::new(Need::Values);
                let ($($name,)+) = self;
                $(let mut $name = MaybeDone::new($name);)+
                poll_fn(|context| {
                    let mut waiting = false;
                    $(match $name.try_poll(context, awaiter) {
                        Poll::Ready(result) => result?,
                        Poll::Pending => waiting = true,
                    })+
                    if waiting { Poll::Pending } else { Poll::Ready(Ok(())) }
                })
                .await?;
                Ok(($($name.into_output()?,)+))
            }
        }
    };
}

tuples!(A AV);
tuples!(A AV, B BV);
tuples!(A AV, B BV, C CV);
tuples!(A AV, B BV, C CV, D DV);
tuples!(A AV, B BV, C CV, D DV, E EV);
tuples!(A AV, B BV, C CV, D DV, E EV, F FV);
tuples!(A AV, B BV, C CV, D DV, E EV, F FV, G GV);
tuples!(A AV, B BV, C CV, D DV, E EV, F FV, G GV, H HV);
