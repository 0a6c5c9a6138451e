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
            use $crate::__private::bindings::exports::brrr::worker::handler as wit;

            struct Component;

            impl wit::Guest for Component {
                fn describe() -> ::std::vec::Vec<wit::Task> {
                    $crate::__private::describe(TASKS)
                }

                $crate::__handle!(wit);
            }

            $crate::__private::bindings::export!(Component with_types_in $crate::__private::bindings);
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

#[cfg(not(target_family = "wasm"))]
pub(crate) use crate::testing::{log, poll, time_left_ms};

#[cfg(all(target_family = "wasm", not(feature = "async-world")))]
pub(crate) use component::poll;
#[cfg(target_family = "wasm")]
pub use component::{bindings, describe, handle};
#[cfg(all(target_family = "wasm", feature = "async-world"))]
pub(crate) use component::{call, race};
#[cfg(target_family = "wasm")]
pub(crate) use component::{log, time_left_ms};

#[cfg(target_family = "wasm")]
mod component {
    use super::Invocation;
    use crate::executor::Outcome;
    use crate::log::Level;
    use crate::{Error, Failure, Request, Task, task};
    use bindings::brrr::worker::{control, log as wit_log, tasks as wit_tasks};
    use bindings::exports::brrr::worker::handler as wit;

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
            path: "../../../wit/async",
            world: "worker",
            pub_export_macro: true,
        });
    }

    #[cfg(feature = "async-world")]
    pub(crate) async fn call(call: Invocation) -> Outcome {
        wit_tasks::call(call.into()).await.map_err(Into::into)
    }

    #[cfg(feature = "async-world")]
    pub(crate) async fn race(calls: Vec<Invocation>, need: u32) -> Vec<Option<Outcome>> {
        let outcomes = wit_tasks::race(calls.into_iter().map(Into::into).collect(), need).await;
        outcomes.into_iter().map(|outcome| outcome.map(|o| o.map_err(Into::into))).collect()
    }

    #[cfg(not(feature = "async-world"))]
    pub(crate) fn poll(calls: Vec<Invocation>, need: Option<u32>) -> Vec<Option<Outcome>> {
        let calls: Vec<_> = calls.into_iter().map(Into::into).collect();
        wit_tasks::poll(&calls, need).into_iter().map(|outcome| outcome.map(|o| o.map_err(Into::into))).collect()
    }

    pub(crate) fn time_left_ms() -> u64 {
        control::time_left_ms()
    }

    pub(crate) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Trace => wit_log::Level::Trace,
            Level::Debug => wit_log::Level::Debug,
            Level::Info => wit_log::Level::Info,
            Level::Warn => wit_log::Level::Warn,
            Level::Error => wit_log::Level::Error,
        };
        wit_log::write(level, message);
    }

    pub fn describe(tasks: &[Task]) -> Vec<wit::Task> {
        begin();
        tasks
            .iter()
            .map(|task| wit::Task {
                name: task.name.to_owned(),
                options: wit::Options {
                    timeout_ms: task.options.timeout_ms,
                    max_retries: task.options.max_retries,
                    retry_delay_ms: task.options.retry_delay_ms,
                    leaf: task.options.leaf,
                    extra: task.options.extra(),
                },
            })
            .collect()
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
        std::panic::set_hook(Box::new(|panic| crate::log::write(Level::Error, format_args!("{panic}"))));
        #[cfg(any(feature = "log", feature = "tracing"))]
        crate::bridge::connect();
    }

    impl From<Error> for wit::HandlerError {
        fn from(error: Error) -> Self {
            match error {
                Error::Retryable(message) => Self::Retryable(message),
                Error::Permanent(message) => Self::Permanent(message),
                Error::Child(failure) => Self::Child(failure.into()),
            }
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
            let wit::Request { task, payload, call_hash, root_id, topic, attempt, deadline_ms } = request;
            Self { task, payload, call_hash, root_id, topic, attempt, deadline_ms }
        }
    }

    impl From<wit::Failure> for Failure {
        fn from(failure: wit::Failure) -> Self {
            let wit::Failure { kind, task, message, attempts, chain } = failure;
            Self { kind, task, message, attempts, chain }
        }
    }

    impl From<Failure> for wit::Failure {
        fn from(failure: Failure) -> Self {
            let Failure { kind, task, message, attempts, chain } = failure;
            Self { kind, task, message, attempts, chain }
        }
    }
}
