//! What a handler is to the host: a name, options, and a way to run it.

use std::pin::Pin;

use serde::Serialize;

use crate::call::{App, Request};
use crate::options::Options;
use crate::{Error, Result};

/// A handler under way.
pub type Future = Pin<Box<dyn std::future::Future<Output = Result<Vec<u8>>>>>;

/// A handler, as [`worker!`](crate::worker) lists it.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// The name that others call it by.
    pub name: &'static str,
    /// How it is run.
    pub options: Options,
    /// What it does, for people: its doc comment.
    pub description: &'static str,
    /// The JSON Schema of its arguments.
    pub input_schema: Option<fn() -> String>,
    /// The JSON Schema of its result.
    pub output_schema: Option<fn() -> String>,
    #[doc(hidden)]
    pub run: fn(Request) -> Future,
}

impl Task {
    /// What the component says of it: options and descriptions, by the names that the WIT gives them.
    #[must_use]
    pub fn described(&self) -> Vec<(String, String)> {
        let mut pairs = self.options.pairs();
        let texts = [
            ("description", (!self.description.is_empty()).then(|| self.description.to_owned())),
            ("input-schema", self.input_schema.map(|schema| schema())),
            ("output-schema", self.output_schema.map(|schema| schema())),
        ];
        pairs.extend(texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?))));
        pairs
    }
}

/// What `#[brrr::handler]` makes of a function: a type of the function's name.
pub trait Handler {
    /// The task.
    const TASK: Task;
}

/// The return types of handlers that can fail.
pub trait HandlerResult {
    /// What a call gives.
    type Value;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value>;
}

impl<T, E: Into<Error>> HandlerResult for std::result::Result<T, E> {
    type Value = T;

    fn into_result(self) -> Result<T> {
        self.map_err(Into::into)
    }
}

/// Encodes a handler's value.
#[doc(hidden)]
pub fn finish(result: Result<impl Serialize>) -> Result<Vec<u8>> {
    crate::codec::to_vec(&result?)
        .map_err(|error| Error::permanent(format!("the value cannot be written as JSON: {error}")))
}

/// A raw handler's value is its bytes.
#[doc(hidden)]
pub fn finish_raw(result: Result<Vec<u8>>) -> Result<Vec<u8>> {
    result
}

#[doc(hidden)]
pub fn start(request: Request) -> App {
    App::new(request)
}

/// The handler that the request names.
fn find(tasks: &[Task], request: &Request) -> Result<Task> {
    let task = tasks.iter().find(|task| task.name == request.task);
    task.copied().ok_or_else(|| Error::permanent(format!("this worker has no task {:?}", request.task)))
}

/// Runs the handler that the request names.
#[cfg(not(all(feature = "async-world", target_family = "wasm")))]
pub(crate) fn dispatch(tasks: &[Task], request: Request) -> Result<Vec<u8>> {
    let task = find(tasks, &request)?;
    crate::executor::run((task.run)(request), task.options.leaf).unwrap_or_else(|crate::executor::Stuck| {
        Err(Error::permanent(format!(
            "{} waits for something that is no call, no request and no time, and nothing could wake it",
            task.name
        )))
    })
}

/// Runs the handler that the request names. The host drives it, but for answers of the world and the time of a leaf, which it
/// knows nothing of.
#[cfg(all(feature = "async-world", target_family = "wasm"))]
pub(crate) async fn dispatch(tasks: &[Task], request: Request) -> Result<Vec<u8>> {
    let task = find(tasks, &request)?;
    let mut handler = (task.run)(request);
    std::future::poll_fn(|context| {
        loop {
            let polled = handler.as_mut().poll(context);
            if polled.is_ready() {
                return polled;
            }
            let on =
                crate::io::wait() || if task.options.leaf { crate::time::pass() } else { crate::time::make_durable() };
            if !on {
                return polled;
            }
        }
    })
    .await
}
