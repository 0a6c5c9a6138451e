//! Calls to other tasks, and the call at hand.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::codec;
use crate::executor::{self, Outcome, Slot};
use crate::host::Invocation;
use crate::{Error, Failure};

/// A call to a task, which gives a `T`. Nothing happens until it is awaited.
#[must_use = "a call is queued when it is awaited"]
pub struct Call<T> {
    task: Cow<'static, str>,
    topic: Option<String>,
    hash: Option<String>,
    payload: Payload,
    decode: fn(&str, Vec<u8>) -> Result<T, Failure>,
    waiting: Option<Rc<Slot<Outcome>>>,
    returns: PhantomData<fn() -> T>,
}

enum Payload {
    /// Encoded when the call is queued; its hash is the Python worker's.
    Json(Value),
    Bytes(Vec<u8>),
    Invalid(String),
}

impl<T: DeserializeOwned> Call<T> {
    /// A call without arguments to the task of this name.
    pub fn named(task: impl Into<Cow<'static, str>>) -> Self {
        Self::new(task.into(), Payload::Json(Value::Object(Map::new())), decode_json)
    }

    /// Arguments by name, one by one: `app.call("fib").arg("n", 11)`.
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        match (&mut self.payload, codec::to_value(&value)) {
            (Payload::Json(Value::Object(arguments)), Ok(value)) => {
                arguments.insert(name.to_owned(), value);
            }
            (_, Ok(_)) => self.payload = Payload::Invalid("arguments by name beside others".into()),
            (_, Err(error)) => self.payload = Payload::Invalid(error.to_string()),
        }
        self
    }

    /// All arguments at once, as a struct or map.
    pub fn args(mut self, arguments: impl Serialize) -> Self {
        self.payload = match codec::to_value(&arguments) {
            Ok(value) => Payload::Json(value),
            Err(error) => Payload::Invalid(error.to_string()),
        };
        self
    }

    /// The value's own bytes, undecoded.
    pub fn raw(self) -> Call<Vec<u8>> {
        let Self { task, topic, hash, payload, .. } = self;
        Call { task, topic, hash, payload, decode: |_, bytes| Ok(bytes), waiting: None, returns: PhantomData }
    }
}

impl Call<Vec<u8>> {
    /// A call of a `raw` handler: bytes there, bytes back.
    pub fn raw_named(task: impl Into<Cow<'static, str>>, payload: Vec<u8>) -> Self {
        Self::new(task.into(), Payload::Bytes(payload), |_, bytes| Ok(bytes))
    }
}

impl<T> Call<T> {
    fn new(task: Cow<'static, str>, payload: Payload, decode: fn(&str, Vec<u8>) -> Result<T, Failure>) -> Self {
        Self { task, topic: None, hash: None, payload, decode, waiting: None, returns: PhantomData }
    }

    /// The topic whose workers serve the task. Without one it is the topic of the call at hand.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Gives the call an identity of your own; calls with one hash share one value.
    ///
    /// Otherwise it is the Python worker's hash of task and arguments or, for bytes, the host's of task and bytes.
    pub fn hash(mut self, hash: impl Into<String>) -> Self {
        self.hash = Some(hash.into());
        self
    }

    /// Sends these very bytes instead of JSON.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Bytes(bytes.into());
        self
    }

    /// What the host is asked for.
    pub(crate) fn invocation(&mut self) -> Result<Invocation, Failure> {
        let (payload, hash) = match &mut self.payload {
            Payload::Json(arguments) => {
                let payload = codec::payload(arguments);
                let hash = self.hash.take().unwrap_or_else(|| codec::call_hash_of_payload(&self.task, &payload));
                (payload, Some(hash))
            }
            Payload::Bytes(bytes) => (std::mem::take(bytes), self.hash.take()),
            Payload::Invalid(error) => return Err(Failure::codec(&self.task, "cannot write its arguments", error)),
        };
        Ok(Invocation { task: self.task.to_string(), payload, topic: self.topic.take(), call_hash: hash })
    }

    pub(crate) fn decode(&self, outcome: Outcome) -> Result<T, Failure> {
        outcome.and_then(|bytes| (self.decode)(&self.task, bytes))
    }
}

fn decode_json<T: DeserializeOwned>(task: &str, bytes: Vec<u8>) -> Result<T, Failure> {
    serde_json::from_slice(&bytes).map_err(|error| Failure::codec(task, "cannot read its value", &error))
}

impl<T> Future for Call<T> {
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let slot = match this.waiting.take() {
            Some(slot) => slot,
            None => match this.invocation() {
                Ok(invocation) => executor::wait(invocation),
                Err(failure) => return Poll::Ready(Err(failure)),
            },
        };
        match slot.poll(context) {
            Poll::Ready(outcome) => Poll::Ready(this.decode(outcome)),
            Poll::Pending => {
                this.waiting = Some(slot);
                Poll::Pending
            }
        }
    }
}

/// The call that a handler is run for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The task's name.
    pub task: String,
    /// Its arguments, as they came.
    pub payload: Vec<u8>,
    /// The call's identity.
    pub call_hash: String,
    /// The job (top-level schedule) on whose behalf it runs.
    pub root_id: String,
    /// The topic on which it arrived.
    pub topic: String,
    /// 1 for the first attempt. Replays of one attempt have the same number.
    pub attempt: u32,
    /// By when the call must have ended, in milliseconds of Unix time.
    pub deadline_ms: Option<u64>,
}

/// A handler's view of its own call, for handlers that take one as their first parameter; it derefs to [`Request`].
#[derive(Debug, Clone)]
pub struct App(Rc<Request>);

impl App {
    pub(crate) fn new(request: Request) -> Self {
        Self(Rc::new(request))
    }

    /// A call by name, to a task of this or any other worker, in any language:
    /// `let n: u64 = app.call("fib").topic("brrr-ts-demo").arg("n", 11).await?;`
    pub fn call<T: DeserializeOwned>(&self, task: impl Into<Cow<'static, str>>) -> Call<T> {
        Call::named(task)
    }

    /// The arguments, decoded as this type.
    ///
    /// # Errors
    /// A permanent error when they do not fit.
    pub fn args<T: DeserializeOwned>(&self) -> Result<T, Error> {
        codec::arguments(&self.payload)
    }
}

impl std::ops::Deref for App {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.0
    }
}
