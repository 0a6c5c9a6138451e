//! Several calls at once: one batch, or a race.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use crate::executor::{self, Outcome};
use crate::{Call, Failure};

/// Waits for all of up to eight futures of any types, and gives a tuple of their outputs.
///
/// Calls among them are one batch.
#[macro_export]
macro_rules! join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::Join::join(($($future,)+)).await
    };
}

/// Like [`join!`] for futures that give a `Result`: the tuple of their values, or the first error from the left.
///
/// It waits for all of them even so, as every replay must: a batch has one end.
#[macro_export]
macro_rules! try_join {
    ($($future:expr),+ $(,)?) => {
        $crate::__private::Succeed::succeed($crate::__private::Join::join(($($future,)+)).await)
    };
}

/// Waits for all of these futures; outputs in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(MaybeDone::new).collect();
    poll_fn(|context| {
        let waiting = futures.iter_mut().filter_map(|future| future.poll(context).is_pending().then_some(())).count();
        if waiting == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    futures.into_iter().map(MaybeDone::into_output).collect()
}

/// Waits for all of these futures; their values in order, or the first error.
///
/// # Errors
/// The first future's, in their order, that failed.
pub async fn try_join_all<T, E>(
    futures: impl IntoIterator<Item = impl Future<Output = Result<T, E>>>,
) -> Result<Vec<T>, E> {
    join_all(futures).await.into_iter().collect()
}

/// The first of these calls to have an outcome: its index, and its value or failure. All of them are queued; the rest
/// go on. Every replay gets the same one.
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
/// A race beside other waits (in [`join!`]) is asked for when those have ended.
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
    let slot = executor::wait_race(invocations, u32::try_from(need).unwrap_or(u32::MAX));
    let outcomes: Vec<Option<Outcome>> = poll_fn(|context| slot.poll(context)).await;
    calls.iter().zip(outcomes).map(|(call, outcome)| outcome.map(|outcome| call.decode(outcome))).collect()
}

/// A future, or what it gave.
enum MaybeDone<F: Future> {
    Waiting(Pin<Box<F>>),
    Done(F::Output),
}

impl<F: Future> MaybeDone<F> {
    fn new(future: F) -> Self {
        Self::Waiting(Box::pin(future))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Waiting(future) = self {
            match future.as_mut().poll(context) {
                Poll::Ready(output) => *self = Self::Done(output),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    fn into_output(self) -> F::Output {
        match self {
            Self::Done(output) => output,
            Self::Waiting(_) => unreachable!("asked only once all are done"),
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

/// A tuple of results, turned into the result of a tuple; see [`try_join!`].
pub trait Succeed {
    /// The tuple of their values.
    type Values;
    /// Their error, one for all.
    type Error;

    /// The values, or the first error.
    #[expect(clippy::missing_errors_doc, reason = "said above")]
    fn succeed(self) -> Result<Self::Values, Self::Error>;
}

macro_rules! tuples {
    ($($name:ident),+) => {
        impl<$($name: Future),+> Join for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[allow(non_snake_case, reason = "one identifier serves as type and as variable")]
            async fn join(self) -> Self::Output {
                let ($($name,)+) = self;
                $(let mut $name = MaybeDone::new($name);)+
                poll_fn(|context| {
                    let mut waiting = false;
                    $(waiting |= $name.poll(context).is_pending();)+
                    if waiting { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
                ($($name.into_output(),)+)
            }
        }

        impl<$($name,)+ Failed> Succeed for ($(Result<$name, Failed>,)+) {
            type Values = ($($name,)+);
            type Error = Failed;

            #[allow(non_snake_case, reason = "one identifier serves as type and as variable")]
            fn succeed(self) -> Result<Self::Values, Failed> {
                let ($($name,)+) = self;
                Ok(($($name?,)+))
            }
        }
    };
}

tuples!(A);
tuples!(A, B);
tuples!(A, B, C);
tuples!(A, B, C, D);
tuples!(A, B, C, D, E);
tuples!(A, B, C, D, E, F);
tuples!(A, B, C, D, E, F, G);
tuples!(A, B, C, D, E, F, G, H);
