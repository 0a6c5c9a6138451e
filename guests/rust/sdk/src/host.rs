//! The border with the host: the bindings to `wit/worker.wit` in a component, the test host natively.

use crate::options::CallOptions;

/// A call, as the host is asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) task: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) topic: Option<String>,
    pub(crate) call_hash: Option<String>,
    pub(crate) options: CallOptions,
}

/// When a poll returns; see `want` in `wit/worker.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(all(target_family = "wasm", feature = "async-world"), allow(dead_code, reason = "the host finds out"))]
pub enum Want {
    /// When all outcomes are there, or one has failed.
    All,
    /// When exactly so many outcomes are there.
    Some(u32),
    /// When some are there, and the host finds that it is worth another run.
    Progress,
}

/// Makes this crate a component that serves these handlers: `brrr::worker!(hello, fib);`, once, at the crate's root.
///
/// Handlers of other modules are listed by path. It also defines `TASKS`, for [`testing`](crate::testing).
#[macro_export]
macro_rules! worker {
    ($($handler:path),+ $(,)?) => {
        /// The tasks of this worker.
        pub const TASKS: &[$crate::Task] = &[$(<$handler as $crate::Handler>::TASK),+];

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::__private::exported as wit;

            struct Worker;

            impl wit::Guest for Worker {
                fn describe() -> wit::Component {
                    $crate::__private::describe(TASKS)
                }

                $crate::__handle!(wit);
            }

            $crate::__private::bindings::export!(Worker with_types_in $crate::__private::bindings);
        };
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(feature = "async-world"))]
macro_rules! __handle {
    ($wit:ident) => {
        fn handle(request: $wit::Request) -> ::std::result::Result<::std::vec::Vec<u8>, $wit::HandlerError> {
            $crate::__private::handle(TASKS, request)
        }
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(feature = "async-world")]
macro_rules! __handle {
    ($wit:ident) => {
        async fn handle(request: $wit::Request) -> ::std::result::Result<::std::vec::Vec<u8>, $wit::HandlerError> {
            $crate::__private::handle(TASKS, request).await
        }
    };
}

/// A call in the form in which the host takes it. It is kept, as a call may be asked for again.
#[cfg(not(target_family = "wasm"))]
pub(crate) type Asked = Invocation;

#[cfg(not(target_family = "wasm"))]
pub(crate) fn asked(call: Invocation) -> Asked {
    call
}

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::{log, poll, time_left_ms};

#[cfg(all(target_family = "wasm", not(feature = "async-world")))]
pub(crate) use component::{Asked, asked, poll};
#[cfg(target_family = "wasm")]
pub use component::{bindings, describe, exported, handle};
#[cfg(all(target_family = "wasm", feature = "async-world"))]
pub(crate) use component::{call, race, sleep_until};
#[cfg(target_family = "wasm")]
pub(crate) use component::{log, time_left_ms};

#[cfg(target_family = "wasm")]
mod component {
    use super::{Invocation, Want};
    use crate::executor::Outcome;
    use crate::log::Level;
    use crate::{Error, ErrorInfo, Failure, Request, Task, task};
    #[cfg(not(feature = "async-world"))]
    use bindings::brrr::worker::tasks as wit_tasks;
    #[cfg(feature = "async-world")]
    use bindings::brrr::worker::tasks_async as wit_tasks;
    use bindings::brrr::worker::{control, log as wit_log, types as wit_types};
    use exported as wit;

    #[cfg(not(feature = "async-world"))]
    pub use bindings::exports::brrr::worker::handler as exported;
    #[cfg(feature = "async-world")]
    pub use bindings::exports::brrr::worker::handler_async as exported;

    #[doc(hidden)]
    #[allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated")]
    pub mod bindings {
        #[cfg(not(feature = "async-world"))]
        wit_bindgen::generate!({
            path: "../../../wit",
            world: "worker",
            pub_export_macro: true,
        });

        #[cfg(feature = "async-world")]
        wit_bindgen::generate!({
            path: "../../../wit",
            world: "worker-async",
            pub_export_macro: true,
        });
    }

    #[cfg(not(feature = "async-world"))]
    pub(crate) type Asked = wit_tasks::Invocation;

    #[cfg(not(feature = "async-world"))]
    pub(crate) fn asked(call: Invocation) -> Asked {
        call.into()
    }

    #[cfg(not(feature = "async-world"))]
    pub(crate) fn poll(calls: &[Asked], want: Want, until: Option<u64>) -> Vec<Option<Outcome>> {
        outcomes(wit_tasks::poll(calls, want.into(), until))
    }

    #[cfg(feature = "async-world")]
    pub(crate) async fn call(call: Invocation) -> Outcome {
        let outcomes = wit_tasks::poll(vec![call.into()], Want::All.into(), None).await;
        let outcome = outcomes.into_iter().next().flatten();
        outcome.expect("the host returns the outcome of one call").map_err(Into::into)
    }

    #[cfg(feature = "async-world")]
    pub(crate) async fn race(calls: Vec<Invocation>, need: u32) -> Vec<Option<Outcome>> {
        outcomes(wit_tasks::poll(calls.into_iter().map(Into::into).collect(), Want::Some(need).into(), None).await)
    }

    /// Sleeps until this Unix time in milliseconds.
    #[cfg(feature = "async-world")]
    pub(crate) async fn sleep_until(due: u64) {
        wit_tasks::poll(Vec::new(), Want::All.into(), Some(due)).await;
    }

    fn outcomes(outcomes: Vec<Option<Result<Vec<u8>, wit_types::Failure>>>) -> Vec<Option<Outcome>> {
        outcomes.into_iter().map(|outcome| outcome.map(|outcome| outcome.map_err(Into::into))).collect()
    }

    pub(crate) fn time_left_ms() -> u64 {
        control::time_left_ms()
    }

    pub(crate) fn log(level: Level, message: &str, fields: &[(String, String)]) {
        let level = match level {
            Level::Trace => wit_log::Level::Trace,
            Level::Debug => wit_log::Level::Debug,
            Level::Info => wit_log::Level::Info,
            Level::Warn => wit_log::Level::Warn,
            Level::Error => wit_log::Level::Error,
        };
        wit_log::write(level, message, fields);
    }

    pub fn describe(tasks: &[Task]) -> wit::Component {
        begin();
        wit::Component {
            sdk: "rust".to_owned(),
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
            tasks: tasks
                .iter()
                .map(|task| wit_types::Task { name: task.name.to_owned(), options: task.described() })
                .collect(),
        }
    }

    #[cfg(not(feature = "async-world"))]
    pub fn handle(tasks: &[Task], request: wit::Request) -> Result<Vec<u8>, wit::HandlerError> {
        begin();
        task::dispatch(tasks, request.into()).map_err(Into::into)
    }

    #[cfg(feature = "async-world")]
    pub async fn handle(tasks: &[Task], request: wit::Request) -> Result<Vec<u8>, wit::HandlerError> {
        begin();
        task::dispatch(tasks, request.into()).await.map_err(Into::into)
    }

    /// What comes before the user's code.
    fn begin() {
        // A panic aborts the instance, and the host sees no more than a trap: say why first.
        std::panic::set_hook(Box::new(|panic| crate::log::write(Level::Error, format_args!("{panic}"), &[])));
        #[cfg(any(feature = "log", feature = "tracing"))]
        crate::bridge::connect();
    }

    impl From<Want> for wit_tasks::Want {
        fn from(want: Want) -> Self {
            match want {
                Want::All => Self::All,
                Want::Some(number) => Self::Some(number),
                Want::Progress => Self::Progress,
            }
        }
    }

    impl From<Error> for wit::HandlerError {
        fn from(error: Error) -> Self {
            match error {
                Error::Retryable(info) => Self::Retryable(info.into()),
                Error::Permanent(info) => Self::Permanent(info.into()),
                Error::Child(failure) => Self::Child(failure.into()),
            }
        }
    }

    impl From<ErrorInfo> for wit_types::ErrorInfo {
        fn from(info: ErrorInfo) -> Self {
            let ErrorInfo { message, details } = info;
            Self { message, details: details.map(Into::into) }
        }
    }

    impl From<Invocation> for wit_tasks::Invocation {
        fn from(call: Invocation) -> Self {
            let Invocation { task, payload, topic, call_hash, options } = call;
            Self { task, payload, topic, call_hash, options: options.into_pairs() }
        }
    }

    impl From<wit::Request> for Request {
        fn from(request: wit::Request) -> Self {
            let wit::Request { task, payload, call_hash, job_id, topic, attempt, deadline_ms } = request;
            let deadline =
                deadline_ms.and_then(|ms| std::time::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(ms)));
            Self { task, payload, call_hash, job_id, topic, attempt, deadline }
        }
    }

    impl From<wit_types::Failure> for Failure {
        fn from(failure: wit_types::Failure) -> Self {
            let wit_types::Failure { kind, task, message, attempts, chain, details } = failure;
            Self { kind: kind.into(), task, message, attempts, chain, details: details.map(Into::into) }
        }
    }

    impl From<Failure> for wit_types::Failure {
        fn from(failure: Failure) -> Self {
            let Failure { kind, task, message, attempts, chain, details } = failure;
            Self { kind: kind.into(), task, message, attempts, chain, details: details.map(Into::into) }
        }
    }
}
