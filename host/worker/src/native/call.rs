//! What a Rust handler knows about its call, and the calls that it makes.

use std::fmt;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use brrr_protocol::codec;
use brrr_protocol::model::{Failure, FailureKind, OWN_TASKS, Outcome, PROMISE, Topic, check_name, check_topic};
use brrr_protocol::options::Options;
use brrr_protocol::ports::Request;
use brrr_protocol::replay::{Invocation, Want};
use bytes::Bytes;
use futures_util::future::{Either, select};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::{HandlerError, HandlerResult};
use crate::batch::AwaitedPolls;
use crate::new_call;
use crate::seed::seed;
use crate::wasm::{LogLevel, Printer};

/// The call that a handler runs for. All clones belong to the same run.
#[derive(Clone)]
pub struct Call {
    run: Arc<NativeRun>,
}

struct NativeRun {
    request: Request,
    awaited: Arc<AwaitedPolls<Outcome>>,
    /// In milliseconds since the Unix epoch.
    clock: Arc<AtomicU64>,
    random: Mutex<ChaCha20Rng>,
    printer: Printer,
}

impl Call {
    pub(super) fn new(
        request: Request,
        awaited: Arc<AwaitedPolls<Outcome>>,
        clock: Arc<AtomicU64>,
        printer: Printer,
    ) -> Self {
        let seed = seed("rust", &request.job_id, &request.call, request.attempt);
        let random = Mutex::new(ChaCha20Rng::from_seed(seed));
        Self { run: Arc::new(NativeRun { request, awaited, clock, random, printer }) }
    }

    /// The name of the call's task.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.run.request.task
    }

    /// The job that the call belongs to.
    #[must_use]
    pub fn job(&self) -> &str {
        self.run.request.job_id.as_str()
    }

    /// The call's hash. All calls with the same hash share one value.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.run.request.call.as_str()
    }

    /// The number of the attempt, from 1. It grows by one with each retry.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.run.request.attempt
    }

    /// The time by which the job must have ended. `None`: no deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<SystemTime> {
        let millis = self.run.request.deadline;
        (millis > 0).then(|| UNIX_EPOCH + Duration::from_millis(millis))
    }

    /// Logs a message and its fields. The worker shows it, and it is kept with the call, as what components log:
    /// `brrr-host logs JOB` prints it. A replay logs the same again, and nothing is shown or kept twice.
    ///
    /// ```no_run
    /// use brrr_worker::{Call, HandlerResult, LogLevel};
    ///
    /// async fn import(call: Call, file: String) -> HandlerResult<()> {
    ///     call.log(LogLevel::Info, "importing", &[("file", &file)]);
    ///     Ok(())
    /// }
    /// ```
    pub fn log(&self, level: LogLevel, message: &str, fields: &[(&str, &str)]) {
        let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.run.printer.log(level, message, &fields);
    }

    /// The time. At the beginning it is the time at which this attempt was first run. After a wait it is the time at which the
    /// call went on. All replays of the attempt see the same times at the same places.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.run.clock.load(SeqCst))
    }

    /// Sleeps. Meanwhile the call takes no worker, no memory and no thread: the run is dropped, and another run goes on from
    /// here after the time has passed, on any worker, however long that is. Other parts of the handler that wait for calls go
    /// on when their outcomes are there.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brrr_worker::{Call, HandlerResult};
    /// use serde_json::json;
    ///
    /// async fn remind(call: Call) -> HandlerResult<()> {
    ///     call.sleep(Duration::from_hours(72)).await;
    ///     call.call::<()>("send_mail", json!({"text": "three days ago"})).await?;
    ///     Ok(())
    /// }
    /// ```
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        let run = self.run.clone();
        let millis = duration.as_nanos().div_ceil(1_000_000);
        let until = run.clock.load(SeqCst).saturating_add(u64::try_from(millis).unwrap_or(u64::MAX));
        async move {
            if until > run.clock.load(SeqCst) {
                // Only a run that waits for too much already can't sleep. It waits for ever, and its next poll says why.
                match run.awaited.poll(Vec::new(), Want::All, Some(until)) {
                    Ok(slot) => drop(slot.filled().await),
                    Err(_) => std::future::pending().await,
                }
            }
        }
    }

    /// Waits for the future, but at most so long. `None`: the time has passed first; the calls that it waited for go on. Every
    /// replay comes to the same result.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brrr_worker::{Call, HandlerResult};
    /// use serde_json::json;
    ///
    /// async fn price(call: Call) -> HandlerResult<Option<f64>> {
    ///     let asked = call.call::<f64>("ask_shop", json!({"item": 7}));
    ///     Ok(call.timeout(Duration::from_secs(30), asked).await.transpose()?)
    /// }
    /// ```
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Option<F::Output> {
        let (future, sleep) = (pin!(future), pin!(self.sleep(duration)));
        match select(future, sleep).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    /// The next random number. All replays of an attempt get the same numbers.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.run.random.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// The payload's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.run.request.payload
    }

    /// All named arguments, as a struct or map.
    ///
    /// # Errors
    /// A permanent error when the payload does not have this type.
    pub fn arguments<T: DeserializeOwned>(&self) -> HandlerResult<T> {
        let named = self.named()?;
        serde_json::from_value(Value::Object(named)).map_err(|error| unfit(&error))
    }

    /// One argument.
    ///
    /// # Errors
    /// A permanent error when the argument is missing or has another type.
    pub fn argument<T: DeserializeOwned>(&self, name: &str) -> HandlerResult<T> {
        let value = self.named()?.remove(name);
        let value = value.ok_or_else(|| HandlerError::permanent(format!("the argument `{name}` is missing")))?;
        serde_json::from_value(value)
            .map_err(|error| HandlerError::permanent(format!("the argument `{name}`: {error}")))
    }

    fn named(&self) -> HandlerResult<Map<String, Value>> {
        let payload = self.payload();
        // The SDKs write named arguments as `[{…}]`.
        let value = if payload.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(payload) };
        match value.map_err(|error| unfit(&error))? {
            Value::Object(named) => Ok(named),
            Value::Null => Ok(Map::new()),
            Value::Array(mut list) if list.len() <= 1 => match list.pop() {
                None => Ok(Map::new()),
                Some(Value::Object(named)) => Ok(named),
                Some(_) => Err(HandlerError::permanent("the arguments have no names")),
            },
            _ => Err(HandlerError::permanent("the arguments have no names")),
        }
    }

    /// A call of a task, with named arguments (a struct, a map or `json!({…})`). The call is made when it is awaited.
    /// Calls that are awaited together are made together.
    ///
    /// ```no_run
    /// use brrr_worker::{Call, HandlerResult};
    /// use serde_json::json;
    ///
    /// async fn sum(call: Call) -> HandlerResult<u64> {
    ///     let a = call.call::<u64>("double", json!({"n": 1}));
    ///     let b = call.call::<u64>("double", json!({"n": 2}));
    ///     let (a, b) = tokio::try_join!(a, b)?;
    ///     Ok(a + b)
    /// }
    /// ```
    pub fn call<T: DeserializeOwned>(&self, task: impl Into<String>, arguments: impl Serialize) -> ChildCall<T> {
        ChildCall::new(self.run.awaited.clone(), task.into(), &arguments)
    }

    /// Starts a job of its own with this call, and returns the job's id at once. The job goes on whatever becomes of this call.
    /// Every replay and every attempt starts the same jobs, each once.
    ///
    /// ```no_run
    /// use brrr_worker::{Call, HandlerResult};
    /// use serde_json::json;
    ///
    /// async fn order(call: Call) -> HandlerResult<String> {
    ///     Ok(call.spawn("send_mail", json!({"text": "thank you"})).await?)
    /// }
    /// ```
    pub fn spawn(&self, task: impl Into<String>, arguments: impl Serialize) -> ChildCall<String> {
        self.call(task, arguments).change(|call| {
            call.detached = true;
            Ok(())
        })
    }

    /// A promise of the job: a value that somebody outside gives, with `brrr-host resolve`, `Client::resolve` or the gateway.
    /// It may be given before the handler waits for it. A rejection is a failure of the kind `rejected`.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// use brrr_worker::{Call, HandlerResult};
    ///
    /// async fn order(call: Call) -> HandlerResult<bool> {
    ///     let approved = call.promise::<bool>("approval");
    ///     Ok(call.timeout(Duration::from_hours(7 * 24), approved).await.transpose()?.unwrap_or(false))
    /// }
    /// ```
    pub fn promise<T: DeserializeOwned>(&self, name: &str) -> ChildCall<T> {
        let invocation = check_name("the promise's name", name).map(|()| Invocation::promise(name));
        let (awaited, task) = (self.run.awaited.clone(), PROMISE.to_owned());
        ChildCall { awaited, task, invocation: Some(invocation), waiting: None, returns: PhantomData }
    }
}

fn unfit(error: &serde_json::Error) -> HandlerError {
    HandlerError::permanent(format!("the arguments do not fit: {error}"))
}

/// Encodes a value as JSON.
pub(super) fn encode(value: &impl Serialize) -> HandlerResult<Bytes> {
    let refused = |error: &dyn fmt::Display| HandlerError::permanent(format!("the value is no JSON: {error}"));
    codec::unfit::check(value).map_err(|error| refused(&error))?;
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| refused(&error))
}

/// A call that a handler makes. Awaiting it returns the value of the call, or its failure.
#[must_use = "a call is made when it is awaited"]
pub struct ChildCall<T> {
    awaited: Arc<AwaitedPolls<Outcome>>,
    task: String,
    invocation: Option<Result<Invocation, String>>,
    waiting: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
    returns: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> ChildCall<T> {
    fn new(awaited: Arc<AwaitedPolls<Outcome>>, task: String, arguments: &impl Serialize) -> Self {
        let invocation = invocation(&task, arguments);
        Self { awaited, task, invocation: Some(invocation), waiting: None, returns: PhantomData }
    }

    fn change(mut self, change: impl FnOnce(&mut Invocation) -> Result<(), String>) -> Self {
        self.invocation = self.invocation.map(|invocation| {
            let mut invocation = invocation?;
            change(&mut invocation)?;
            Ok(invocation)
        });
        self
    }

    /// The topic whose workers handle the task. The default is the topic of the calling call.
    pub fn topic(self, topic: &str) -> Self {
        self.change(|call| {
            check_topic(topic)?;
            call.topic = Some(Topic::from(topic));
            Ok(())
        })
    }

    /// The options of the call. (`max_running` and `memory` are options of a task, and are ignored here.)
    pub fn options(self, options: Options) -> Self {
        self.change(|call| {
            call.options = Options { max_running: None, memory: None, ..options };
            Ok(())
        })
    }

    /// Decodes the outcome of the call.
    fn decode(&self, outcome: Outcome) -> Result<T, Failure> {
        let value = outcome?;
        serde_json::from_slice(codec::json(&value))
            .map_err(|error| self.failure(format!("its value does not fit: {error}")))
    }

    fn failure(&self, message: String) -> Failure {
        Failure { attempts: 0, ..Failure::new(FailureKind::Error, &self.task, message) }
    }
}

fn invocation(task: &str, arguments: &impl Serialize) -> Result<Invocation, String> {
    check_name("the task's name", task)?;
    if task.starts_with(OWN_TASKS) {
        return Err(format!(
            "names that begin with {OWN_TASKS} are the host's own; for a promise, use `Call::promise`"
        ));
    }
    let (payload, hash) = new_call::with_arguments(task, arguments)?;
    let (task, options) = (task.to_owned(), Options::default());
    Ok(Invocation { task, hash: None, peer_hash: Some(hash), payload, topic: None, options, detached: false })
}

impl<T: DeserializeOwned> Future for ChildCall<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(invocation) = self.invocation.take() {
            let slot = match invocation.map(|invocation| self.awaited.poll(vec![invocation], Want::All, None)) {
                Ok(Ok(slot)) => slot,
                Ok(Err(error)) => return Poll::Ready(Err(self.failure(error.to_string()))),
                Err(reason) => return Poll::Ready(Err(self.failure(format!("the call can't be made: {reason}")))),
            };
            let task = self.task.clone();
            self.waiting = Some(Box::pin(async move {
                let none = || Err(Failure::new(FailureKind::Error, &task, "it has no outcome"));
                slot.filled().await.pop().flatten().unwrap_or_else(none)
            }));
        }
        let Some(waiting) = &mut self.waiting else { unreachable!("it is set above, and stays") };
        waiting.as_mut().poll(context).map(|outcome| self.decode(outcome))
    }
}

/// Waits for the first of these calls to have an outcome. Returns the call's index in the list, and its outcome.
///
/// ```no_run
/// use brrr_worker::{Call, HandlerResult, first};
/// use serde_json::json;
///
/// async fn fetch(call: Call) -> HandlerResult<String> {
///     let a = call.call::<String>("fetch_from", json!({"mirror": "a"}));
///     let b = call.call::<String>("fetch_from", json!({"mirror": "b"}));
///     let (_, text) = first(vec![a, b]).await;
///     Ok(text?)
/// }
/// ```
///
/// # Panics
/// When the list is empty.
pub async fn first<T: DeserializeOwned>(calls: Vec<ChildCall<T>>) -> (usize, Result<T, Failure>) {
    assert!(!calls.is_empty(), "a race of no calls");
    let outcomes = first_n(1, calls).await;
    let found = outcomes.into_iter().enumerate().find_map(|(index, outcome)| Some((index, outcome?)));
    let Some(found) = found else { unreachable!("one was waited for") };
    found
}

/// Waits for the first `need` of these calls to have an outcome. The others are `None`. Every replay returns the same
/// calls.
pub async fn first_n<T: DeserializeOwned>(
    need: usize,
    mut calls: Vec<ChildCall<T>>,
) -> Vec<Option<Result<T, Failure>>> {
    let Some(awaited) = calls.first().map(|call| call.awaited.clone()) else { return Vec::new() };
    let mut invocations = Vec::with_capacity(calls.len());
    for index in 0..calls.len() {
        match calls[index].invocation.take() {
            Some(Ok(invocation)) => invocations.push(invocation),
            // A call that can't be made counts as a failed call, which is an outcome.
            other => {
                let reason = other.and_then(Result::err).unwrap_or_else(|| "it was awaited before".to_owned());
                let failure = calls[index].failure(format!("the call can't be made: {reason}"));
                let mut outcomes: Vec<_> = calls.iter().map(|_| None).collect();
                outcomes[index] = Some(Err(failure));
                return outcomes;
            }
        }
    }
    let need = u32::try_from(need.min(calls.len())).unwrap_or(u32::MAX);
    match awaited.poll(invocations, Want::Some(need), None) {
        Ok(slot) => {
            let outcomes = slot.filled().await;
            calls.iter().zip(outcomes).map(|(call, outcome)| outcome.map(|outcome| call.decode(outcome))).collect()
        }
        Err(error) => calls.iter().map(|call| Some(Err(call.failure(error.to_string())))).collect(),
    }
}
