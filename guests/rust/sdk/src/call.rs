//! Calls to other tasks, and the call at hand.

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::codec;
use crate::executor::{self, Outcome, Slot};
use crate::host::{self, Invocation};
use crate::options::CallOptions;
use crate::{Backoff, Error, Failure, Scope};

/// A call to a task, which gives a `T`. Nothing happens until it is awaited.
#[must_use = "a call is queued when it is awaited"]
pub struct Call<T> {
    task: Cow<'static, str>,
    topic: Option<String>,
    hash: Option<String>,
    options: CallOptions,
    payload: Payload,
    /// How to read its value, if it is not JSON.
    read: Option<fn(Vec<u8>) -> T>,
    waiting: Option<Rc<Slot<Outcome>>>,
    returns: PhantomData<fn() -> T>,
}

enum Payload {
    /// Encoded when the call is queued. The host derives the hash that the Python worker gives such a call.
    Json(Value),
    Bytes(Vec<u8>),
    Invalid(String),
}

impl<T> Call<T> {
    /// A call without arguments to the task of this name.
    pub fn named(task: impl Into<Cow<'static, str>>) -> Self {
        Self::new(task.into(), Payload::Json(Value::Object(Map::new())), None)
    }

    /// Arguments by name, one by one: `app.call("fib").arg("n", 11)`.
    pub fn arg(mut self, name: &str, value: impl Serialize) -> Self {
        match (&mut self.payload, codec::to_value(&value)) {
            (Payload::Json(Value::Object(arguments)), Ok(value)) => {
                arguments.insert(name.to_owned(), value);
            }
            (_, Ok(_)) => self.payload = Payload::Invalid("arguments by name beside others".into()),
            (_, Err(error)) => self.payload = Payload::Invalid(error),
        }
        self
    }

    /// All arguments at once, as a struct or map.
    pub fn args(mut self, arguments: impl Serialize) -> Self {
        self.payload = match codec::to_value(&arguments) {
            Ok(value) => Payload::Json(value),
            Err(error) => Payload::Invalid(error),
        };
        self
    }

    /// The value's own bytes, undecoded.
    pub fn raw(self) -> Call<Vec<u8>> {
        self.reads(Some(|bytes| bytes))
    }

    /// The same call, whose value is read as another type: of calls of different types, a [`first`](crate::first()) needs calls
    /// of one type.
    ///
    /// `let answer: Call<Value> = price(1).cast();`
    pub fn cast<U>(self) -> Call<U> {
        self.reads(None)
    }

    fn reads<U>(self, read: Option<fn(Vec<u8>) -> U>) -> Call<U> {
        let Self { task, topic, hash, options, payload, .. } = self;
        Call { topic, hash, options, ..Call::new(task, payload, read) }
    }

    /// A promise of this job: it waits for a value that somebody outside gives, by `brrr-host resolve JOB NAME VALUE` or over
    /// HTTP. A rejection is a [`Failure`] of kind [`FailureKind::Rejected`](crate::FailureKind::Rejected).
    ///
    /// It is awaited, raced and limited like any call: see [`App::promise`].
    pub fn promise(name: impl Into<String>) -> Self {
        Self::new("brrr.promise".into(), Payload::Bytes(name.into().into_bytes()), None)
    }
}

impl Call<Vec<u8>> {
    /// A call of a `raw` handler: bytes there, bytes back.
    pub fn raw_named(task: impl Into<Cow<'static, str>>, payload: Vec<u8>) -> Self {
        Self::new(task.into(), Payload::Bytes(payload), Some(|bytes| bytes))
    }
}

impl<T> Call<T> {
    fn new(task: Cow<'static, str>, payload: Payload, read: Option<fn(Vec<u8>) -> T>) -> Self {
        let options = CallOptions::default();
        Self { task, topic: None, hash: None, options, payload, read, waiting: None, returns: PhantomData }
    }

    /// The topic whose workers serve the task. Without one it is the topic of the call at hand.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Gives the call an identity of your own; calls with one hash share one value.
    ///
    /// Otherwise the host derives it: the Python worker's hash of task and arguments or, for bytes, its own hash of task and
    /// bytes.
    pub fn hash(mut self, hash: impl Into<String>) -> Self {
        self.hash = Some(hash.into());
        self
    }

    /// Who shares the call's value, in place of what its task says. It has no effect on a call with a [`hash`](Self::hash) of
    /// its own.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.options.set("scope", scope);
        self
    }

    /// Sends these very bytes instead of JSON.
    pub fn payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.payload = Payload::Bytes(bytes.into());
        self
    }

    /// How long one run of the task may take. This and the options below stand in place of the task's own, for this
    /// call, and are no part of its identity: of two parents in one job that make the same call, the first decides.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.set_duration("timeout-ms", timeout);
        self
    }

    /// How often the task is run again after a failure that may pass; 0: never.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.options.set("max-retries", retries);
        self
    }

    /// The pause before the first of those.
    pub fn retry_delay(mut self, delay: Duration) -> Self {
        self.options.set_duration("retry-delay-ms", delay);
        self
    }

    /// The longest pause, where they grow.
    pub fn max_retry_delay(mut self, delay: Duration) -> Self {
        self.options.set_duration("max-retry-delay-ms", delay);
        self
    }

    /// How the pauses grow.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.set("retry-backoff", backoff.as_str());
        self
    }

    /// A name by which the host's events and listings show the call.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.options.set("label", label.into());
        self
    }

    /// Starts a detached job, in place of waiting for the call: its value is the job's id, which is there at once. The call is the
    /// first one of the new job, which goes on by itself, also after this job has ended. Its topic, scope and options are those
    /// of this call.
    ///
    /// Each replay and each further attempt gets the same ids, so start the same jobs in the same order in each.
    ///
    /// ```
    /// use brrr::{App, Result};
    ///
    /// #[brrr::handler]
    /// async fn placed(app: App, order: u64) -> Result<String> {
    ///     let job = app.spawn("remind").topic("mail").arg("order", order).await?;
    ///     Ok(format!("order {order} is placed, and {job} reminds of it"))
    /// }
    /// brrr::worker!(placed);
    ///
    /// # fn main() {
    /// brrr::testing::run(TASKS, placed(7)).unwrap();
    /// assert_eq!(brrr::testing::spawned()[0].task, "remind");
    /// # }
    /// ```
    pub fn spawn(mut self) -> Call<String> {
        self.options.set_detached();
        self.reads(None)
    }

    /// What the host is asked for.
    pub(crate) fn invocation(&mut self) -> Result<Invocation, Failure> {
        let hash = self.hash.take();
        let payload = match &mut self.payload {
            Payload::Json(arguments) => {
                if hash.is_none() {
                    self.options.set("hash-of", "python");
                }
                codec::payload(arguments)
            }
            Payload::Bytes(bytes) => std::mem::take(bytes),
            Payload::Invalid(error) => return Err(Failure::codec(&self.task, "cannot write its arguments", error)),
        };
        let (topic, options) = (self.topic.take(), std::mem::take(&mut self.options));
        Ok(Invocation { task: self.task.to_string(), payload, topic, call_hash: hash, options })
    }
}

impl<T: DeserializeOwned> Call<T> {
    pub(crate) fn decode(&self, outcome: Outcome) -> Result<T, Failure> {
        let bytes = outcome?;
        match self.read {
            Some(read) => Ok(read(bytes)),
            None => codec::from_slice(&bytes).map_err(|e| Failure::codec(&self.task, "cannot read its value", &e)),
        }
    }
}

/// Only who waits for a value must be able to read it: a handler's result need not be `Deserialize`.
impl<T: DeserializeOwned> Future for Call<T> {
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let slot = match this.waiting.take() {
            Some(slot) => slot,
            None => match this.invocation() {
                Ok(invocation) => executor::wait(&*this, invocation),
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
#[non_exhaustive]
pub struct Request {
    /// The task's name.
    pub task: String,
    /// Its arguments, as they came.
    pub payload: Vec<u8>,
    /// The call's identity.
    pub call_hash: String,
    /// The job on whose behalf it runs.
    pub job_id: String,
    /// The topic on which it arrived.
    pub topic: String,
    /// 1 for the first attempt. Replays of one attempt have the same number.
    pub attempt: u32,
    /// By when the call must have ended: the job's deadline, if it has one; of a leaf also that of this run.
    pub deadline: Option<SystemTime>,
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
    pub fn call<T>(&self, task: impl Into<Cow<'static, str>>) -> Call<T> {
        Call::named(task)
    }

    /// Starts a detached job by name, and gives its id: `let job = app.spawn("fib").arg("n", 11).await?;` See [`Call::spawn`].
    pub fn spawn(&self, task: impl Into<Cow<'static, str>>) -> Call<String> {
        self.call::<String>(task).spawn()
    }

    /// A value that somebody outside gives, under this name, to this job:
    /// `brrr-host resolve JOB approval '{"ok": true}'`, or a rejection by `brrr-host reject JOB approval "no"`. It may come
    /// before anybody waits for it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use brrr::{App, FailureKind, Result};
    ///
    /// #[brrr::handler]
    /// async fn ship(app: App, order: u64) -> Result<String> {
    ///     let week = Duration::from_secs(7 * 24 * 60 * 60);
    ///     match brrr::timeout(week, app.promise::<String>("approval")).await {
    ///         Ok(Ok(by)) => Ok(format!("order {order} ships, says {by}")),
    ///         Ok(Err(failure)) if failure.kind == FailureKind::Rejected => Ok(failure.message),
    ///         Ok(Err(failure)) => Err(failure.into()),
    ///         Err(_) => Ok("nobody answered".into()),
    ///     }
    /// }
    /// brrr::worker!(ship);
    ///
    /// # fn main() {
    /// brrr::testing::resolve("approval", "Ann");
    /// assert_eq!(brrr::testing::run(TASKS, ship(7)).unwrap(), "order 7 ships, says Ann");
    /// # }
    /// ```
    pub fn promise<T>(&self, name: impl Into<String>) -> Call<T> {
        Call::promise(name)
    }

    /// How long until this run is stopped, whatever it does: by the timeout of its task or of its job. Zero once it is
    /// over; whole milliseconds.
    ///
    /// It differs from replay to replay, so nothing that is called or returned may depend on it, except in a leaf.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        Duration::from_millis(host::time_left_ms())
    }

    /// Is there any [time left](Self::time_left)? For work that would rather stop early by itself:
    /// `while app.is_active() { … }`
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.time_left().is_zero()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_with_the_call_and_are_no_part_of_its_identity() {
        let invocation = |mut call: Call<u64>| call.invocation().unwrap();
        let plain = invocation(Call::named("dice"));
        assert_eq!(plain.options.into_pairs(), [("hash-of".to_owned(), "python".to_owned())]);
        let call = Call::named("dice")
            .timeout(Duration::from_secs(9))
            .timeout(Duration::from_millis(1500))
            .max_retries(3)
            .retry_delay(Duration::from_secs(1))
            .max_retry_delay(Duration::from_secs(60))
            .backoff(Backoff::Exponential)
            .scope(Scope::For(Duration::from_secs(90)))
            .label("throw 1");
        let all = invocation(call);
        assert_eq!((all.call_hash, all.payload), (plain.call_hash, plain.payload));
        let pairs = all.options.into_pairs();
        let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let wanted = [
            ("hash-of", "python"),
            ("label", "throw 1"),
            ("max-retries", "3"),
            ("max-retry-delay-ms", "60000"),
            ("retry-backoff", "exponential"),
            ("retry-delay-ms", "1000"),
            ("scope", "90s"),
            ("timeout-ms", "1500"),
        ];
        assert_eq!(pairs, wanted);
    }

    #[test]
    fn the_host_derives_the_hash_unless_the_call_has_its_own() {
        let of = |mut call: Call<u64>| {
            let Invocation { task, payload, call_hash, options, .. } = call.invocation().unwrap();
            (task, String::from_utf8(payload).unwrap(), call_hash, options.into_pairs())
        };
        let python = vec![("hash-of".to_owned(), "python".to_owned())];
        assert_eq!(of(Call::named("dice").arg("n", 1)), ("dice".into(), r#"[{"n": 1}]"#.into(), None, python));
        let own = Call::named("dice").hash("h");
        assert_eq!(of(own), ("dice".into(), "[{}]".into(), Some("h".into()), vec![]));
        assert_eq!(of(Call::named("dice").payload("x")), ("dice".into(), "x".into(), None, vec![]));
        // A promise is nothing but its name.
        assert_eq!(of(Call::promise("aé")), ("brrr.promise".into(), "aé".into(), None, vec![]));
    }

    #[test]
    fn a_detached_job_is_a_call_with_one_more_option() {
        let mut call = Call::<u64>::named("dice").label("l").topic("casino").spawn().arg("n", 1);
        let Invocation { task, payload, topic, call_hash, options } = call.invocation().unwrap();
        assert_eq!((task.as_str(), topic.as_deref(), call_hash), ("dice", Some("casino"), None));
        assert_eq!(payload, br#"[{"n": 1}]"#);
        let pairs = [("detached", "true"), ("hash-of", "python"), ("label", "l")];
        assert_eq!(options.into_pairs(), pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
        // The id is text, whatever the call would have given.
        let mut raw = Call::raw_named("blob", vec![1]).hash("h").spawn();
        assert_eq!(raw.decode(Ok(br#""id""#.to_vec())).unwrap(), "id");
        let options = raw.invocation().unwrap().options.into_pairs();
        assert_eq!(options, [("detached".to_owned(), "true".to_owned())]);
    }

    #[test]
    fn options_survive_the_change_to_raw() {
        let mut call = Call::<u64>::named("dice").max_retries(0).topic("casino").hash("h").raw();
        let Invocation { topic, call_hash, options, .. } = call.invocation().unwrap();
        assert_eq!((topic.as_deref(), call_hash.as_deref()), (Some("casino"), Some("h")));
        assert_eq!(options.number("max-retries"), Some(0));
    }
}
