//! Time, promises, identity, and what goes with errors, messages and tasks.
//!
//! The children `nap` are slow exactly as long as a test wants: their runs wait at a gate. So no test depends on how fast a machine
//! is. Only the limits of handlers take real time, a tenth of a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use brrr_protocol::client::Answered;
use brrr_protocol::logs;
use brrr_protocol::model::{CallHash, FailureKind, JobId, Millis, Outcome};
use brrr_protocol::options::{Scope, Scopes};
use brrr_protocol::ports::{Ended, Handler, Key, Request, Task};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Replay;
use brrr_worker::topic_worker::now;
use brrr_worker::wasm::{LogLevel, Stream};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fleet::{self, Fleet, eventually, topic};

/// The arguments `ms` of a child that waits at the gate before it sleeps so long.
const SLOW: u64 = 5;

/// A limit that a test waits for, and one that no test waits for, in milliseconds.
const SHORT: u64 = 100;
const LONG: u64 = 3_600_000;

/// The guest of a language, with a gate before each `nap` that is slow.
struct Gated {
    guest: Arc<dyn Handler>,
    gate: Semaphore,
    /// Counts the naps that have come to the gate.
    came: Semaphore,
}

#[async_trait]
impl Handler for Gated {
    fn task(&self, task: &str) -> Option<Arc<Task>> {
        self.guest.task(task)
    }

    fn scopes(&self) -> Arc<Scopes> {
        self.guest.scopes()
    }

    async fn run(&self, request: Request, replay: Replay) -> brrr_protocol::Result<(Ended, Replay)> {
        if request.task == "nap" {
            let arguments: Value = serde_json::from_slice(&request.payload).expect("JSON");
            if arguments[0]["ms"].as_u64().expect("ms") > 0 {
                self.came.add_permits(1);
                self.gate.acquire().await.expect("an open gate").forget();
            }
        }
        self.guest.run(request, replay).await
    }
}

impl Gated {
    /// How many slow naps are at the gate, or have passed it.
    fn came(&self) -> usize {
        self.came.available_permits()
    }

    /// From now on every nap passes.
    fn open(&self) {
        self.gate.add_permits(1_000);
    }
}

/// A fleet of the same language, whose slow naps wait at a gate.
async fn gated(fleet: &Fleet) -> (Fleet, Arc<Gated>) {
    let guest = fleet.program.handler.clone();
    let gated = Arc::new(Gated { guest, gate: Semaphore::new(0), came: Semaphore::new(0) });
    let fleet = Fleet::of(fleet.language, fleet.program);
    fleet.serve(topic(), gated.clone());
    (fleet, gated)
}

/// Waits until a call waits without a time, and for so many calls.
async fn waits_for(fleet: &Fleet, (job, call): &(JobId, CallHash), calls: u32) {
    eventually(&format!("{call} waits for {calls} calls without a limit"), async || {
        let run = fleet.backend.store().get(&Key::run(call, job)).await.unwrap();
        let run = run.map(|bytes| RunRecord::decode(&bytes).unwrap());
        run.is_some_and(|run| run.is_waiting() && run.total == calls && run.until == 0)
    })
    .await;
}

async fn outcome(fleet: &Fleet, (job, call): &(JobId, CallHash)) -> Outcome {
    fleet.wait(job, call).await
}

async fn value(fleet: &Fleet, call: &(JobId, CallHash)) -> Value {
    fleet::json(outcome(fleet, call).await)
}

/// No chain waits for the slow step of another: the slow steps of all chains come to the gate before one of them passes.
pub async fn chains_go_on_side_by_side(fleet: &Fleet) {
    let (fleet, naps) = gated(fleet).await;
    let call = fleet.schedule("sides", json!({"ms": SLOW, "salt": "s"})).await;
    eventually("all chains are at their slow step", async || naps.came() == 4).await;
    naps.open();
    assert_eq!(value(&fleet, &call).await, json!(["s03", "s13", "s23", "s33"]));
    fleet.stop().await;
}

/// A failure does not wait for the other calls.
pub async fn the_first_failure_ends_a_wait(fleet: &Fleet) {
    let (fleet, naps) = gated(fleet).await;
    let call = fleet.schedule("fail_fast", json!({"ms": SLOW, "salt": "no luck"})).await;
    let failure = outcome(&fleet, &call).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.task.as_str()), ("error", "fail_fast"), "{failure}");
    assert!(failure.message.contains("no luck"), "{failure}");
    naps.open();
    fleet.stop().await;
}

pub async fn a_limit_that_passes(fleet: &Fleet) {
    let (fleet, naps) = gated(fleet).await;
    let (began, first) = (Instant::now(), now());
    let call = fleet.schedule("too_late", json!({"ms": SLOW, "limit": SHORT, "tag": "x"})).await;
    assert_eq!(value(&fleet, &call).await, json!("too late"));
    assert!(began.elapsed() >= Duration::from_millis(SHORT), "the limit ended early: {:?}", began.elapsed());
    assert!(now() >= first + SHORT);
    naps.open();
    fleet.stop().await;
}

pub async fn a_limit_that_does_not_pass(fleet: &Fleet) {
    let began = Instant::now();
    let arguments = json!({"ms": SLOW, "limit": LONG, "tag": "ä"});
    assert_eq!(fleet.value("too_late", arguments).await, json!("ä"));
    assert!(began.elapsed() < Duration::from_millis(LONG));
    // The job's message, the child's, the limit's, and the notification. The limit's message wakes nobody any more.
    assert!(fleet.messages().await <= 4, "{}", fleet.messages().await);
}

/// The call goes on when its limit has passed, and is not made again.
pub async fn a_call_outlives_its_limit(fleet: &Fleet) {
    let arguments = json!({"ms": SLOW, "limit": LONG, "tag": "x"});
    assert_eq!(fleet.value("twice_late", arguments).await, json!(["x", "x"]));

    let (fleet, naps) = gated(fleet).await;
    let call = fleet.schedule("twice_late", json!({"ms": SLOW, "limit": SHORT, "tag": "x"})).await;
    waits_for(&fleet, &call, 1).await;
    naps.open();
    assert_eq!(value(&fleet, &call).await, json!(["too late", "x"]));
    assert_eq!(naps.came(), 1, "one run of the child");
    fleet.stop().await;
}

async fn resolve(fleet: &Fleet, job: &JobId, name: &str, value: &Value) -> Answered {
    fleet.client.resolve(job, name, Bytes::from(value.to_string()), now()).await.unwrap()
}

async fn reject(fleet: &Fleet, job: &JobId, name: &str, reason: &str) -> Answered {
    fleet.client.reject(job, name, reason, now()).await.unwrap()
}

/// An answer that comes before the job asks, and one that comes while it waits, without and with a limit.
pub async fn a_promise_that_is_resolved(fleet: &Fleet) {
    let answer = json!({"approved": true, "by": "Zoë", "sum": 12.5});
    let early = Fleet::of(fleet.language, fleet.program);
    for (n, limit) in [0, LONG].into_iter().enumerate() {
        let name = format!("approval {n}");
        let call = early.schedule("asks", json!({"name": name, "limit": limit})).await;
        assert_eq!(resolve(&early, &call.0, &name, &answer).await, Answered::Done);
        early.serve(topic(), fleet.program.handler.clone());
        assert_eq!(value(&early, &call).await, answer, "limit {limit}");
    }
    early.stop().await;

    let call = fleet.schedule("asks", json!({"name": "approval", "limit": 0})).await;
    waits_for(fleet, &call, 1).await;
    assert_eq!(resolve(fleet, &call.0, "another", &json!(1)).await, Answered::Done);
    assert_eq!(resolve(fleet, &call.0, "approval", &answer).await, Answered::Done);
    assert_eq!(value(fleet, &call).await, answer);
}

/// The first answer stays. A job that is over takes none.
pub async fn a_promise_that_is_answered_twice(fleet: &Fleet) {
    let early = Fleet::of(fleet.language, fleet.program);
    let call = early.schedule("asks", json!({"name": "approval", "limit": 0})).await;
    assert_eq!(resolve(&early, &call.0, "approval", &json!(1)).await, Answered::Done);
    assert_eq!(resolve(&early, &call.0, "approval", &json!(1)).await, Answered::Same);
    assert_eq!(resolve(&early, &call.0, "approval", &json!(2)).await, Answered::Other);
    assert_eq!(reject(&early, &call.0, "approval", "too expensive").await, Answered::Other);
    early.serve(topic(), fleet.program.handler.clone());
    assert_eq!(value(&early, &call).await, json!(1));
    assert_eq!(resolve(&early, &call.0, "approval", &json!(1)).await, Answered::Same);
    assert!(matches!(resolve(&early, &call.0, "approval", &json!(2)).await, Answered::JobOver(_)));
    assert_eq!(resolve(&early, &"no such job".into(), "approval", &json!(1)).await, Answered::Unknown);
    early.stop().await;
}

pub async fn a_promise_that_is_resolved_too_late(fleet: &Fleet) {
    let call = fleet.schedule("asks", json!({"name": "approval", "limit": SHORT})).await;
    assert_eq!(value(fleet, &call).await, json!("too late"));
    assert!(matches!(resolve(fleet, &call.0, "approval", &json!(1)).await, Answered::JobOver(_)));
    // Another job has promises of its own, although the name is the same.
    let other = fleet.schedule("asks_caught", json!({"name": "approval"})).await;
    assert_eq!(reject(fleet, &other.0, "approval", "no").await, Answered::Done);
    assert_eq!(value(fleet, &other).await["kind"], "rejected");
}

pub async fn a_promise_that_is_rejected(fleet: &Fleet) {
    let call = fleet.schedule("asks", json!({"name": "approval", "limit": 0})).await;
    assert_eq!(reject(fleet, &call.0, "approval", "too expensive").await, Answered::Done);
    let failure = outcome(fleet, &call).await.unwrap_err();
    assert_eq!((&failure.kind, failure.task.as_str()), (&FailureKind::Rejected, "asks"), "{failure}");
    assert!(failure.message.contains("too expensive"), "{failure}");

    let call = fleet.schedule("asks_caught", json!({"name": "approval"})).await;
    waits_for(fleet, &call, 1).await;
    assert_eq!(reject(fleet, &call.0, "approval", "too expensive").await, Answered::Done);
    let caught = value(fleet, &call).await;
    assert_eq!(caught["kind"], "rejected", "{caught}");
    assert!(caught["message"].as_str().unwrap().contains("too expensive"), "{caught}");
}

pub async fn a_race_of_a_promise_and_a_call(fleet: &Fleet) {
    let call = fleet.schedule("asks_or", json!({"name": "approval", "ms": SLOW, "tag": "nap"})).await;
    assert_eq!(value(fleet, &call).await, json!("nap"), "nobody resolves the promise");

    let (fleet, naps) = gated(fleet).await;
    let call = fleet.schedule("asks_or", json!({"name": "approval", "ms": SLOW, "tag": "nap"})).await;
    waits_for(&fleet, &call, 2).await;
    assert_eq!(resolve(&fleet, &call.0, "approval", &json!(["yes"])).await, Answered::Done);
    assert_eq!(value(&fleet, &call).await, json!(["yes"]));
    naps.open();
    fleet.stop().await;
}

/// The value of a child that `scoped` awaits, in a new job. The call of `scoped` is shared with no other job.
async fn dice(fleet: &Fleet, scope: Option<&str>, i: u64) -> (JobId, Value) {
    let call = fleet.schedule_alone("scoped", json!({"scope": scope, "i": i})).await;
    let value = value(fleet, &call).await;
    (call.0, value)
}

/// The scope of a call says which jobs share its outcome.
pub async fn who_shares_an_outcome(fleet: &Fleet) {
    let (_, shared) = dice(fleet, None, 1).await;
    assert_eq!(dice(fleet, None, 1).await.1, shared, "with all jobs, if nothing is said");
    assert_eq!(dice(fleet, Some("fleet"), 1).await.1, shared, "with all jobs");

    let (job, own) = dice(fleet, Some("job"), 1).await;
    let (_, other) = dice(fleet, Some("job"), 1).await;
    assert!(own != shared && own != other, "two jobs have values of their own: {shared} {own} {other}");
    let of_fleet = fleet.hash("dice", &json!({"i": 1}));
    let is_known = async |hash| fleet.client.call(&hash, &topic()).await.unwrap().is_some();
    assert!(
        is_known(of_fleet.clone().within(Scope::Job, &job, 0)).await,
        "the scope is hashed into the call's own hash"
    );

    // If the hour changes meanwhile, the second job has a new value.
    let hour: Millis = 3_600_000;
    loop {
        let began = now() / hour;
        let ((_, first), (_, second)) = (dice(fleet, Some("1h"), 1).await, dice(fleet, Some("1h"), 1).await);
        assert_ne!(first, shared);
        if now() / hour == began {
            assert_eq!(first, second, "with the jobs of this hour");
            let scope = Scope::For(Duration::from_millis(hour));
            assert!(is_known(of_fleet.within(scope, &job, began * hour)).await);
            break;
        }
    }
}

pub async fn details_of_a_failure(fleet: &Fleet) {
    let failure = fleet.call("attaches", json!({"code": 7})).await.unwrap_err();
    assert!(failure.message.contains("attached"), "{failure}");
    let details = failure.details.expect("details");
    assert_eq!(serde_json::from_slice::<Value>(&details).unwrap(), json!({"code": 7}));
    assert_eq!(fleet.value("reads_details", json!({"code": 42})).await, json!(42));
}

pub async fn fields_of_a_message(fleet: &Fleet) {
    let (job, hash) = fleet.schedule("logs_fields", json!({})).await;
    assert_eq!(fleet::json(fleet.wait(&job, &hash).await), Value::Null);
    let lines = fleet.printed(&hash);
    assert_eq!(lines, [(Stream::Log(LogLevel::Info), "with fields a=1 b=two".to_owned())]);
    // The same is kept with the call.
    let log = logs::of_call(&*fleet.backend, &job, &hash).await.unwrap().expect("a log").lines().unwrap();
    let [(0, line)] = &log[..] else { panic!("{log:?}") };
    assert_eq!((line.from, line.text.as_str()), (Stream::Log(LogLevel::Info), "with fields"));
    assert_eq!(line.fields, [("a", "1"), ("b", "two")].map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// What a task says of itself, for people and for programs.
pub async fn a_task_describes_itself(fleet: &Fleet) {
    assert_eq!(fleet.value("described", json!({"text": "ab", "times": 3})).await, json!("ababab"));
    let task = fleet.program.handler.tasks().find(|task| task.name == "described").unwrap();
    assert_eq!(task.description.as_deref(), Some("Repeats a text."));
    let (input, output) = (task.input_schema.as_ref().unwrap(), task.output_schema.as_ref().unwrap());
    assert_eq!(input["type"], "object", "{input}");
    let properties = &input["properties"];
    assert_eq!((&properties["text"]["type"], &properties["times"]["type"]), (&json!("string"), &json!("integer")));
    let mut required: Vec<_> =
        input["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    required.sort_unstable();
    assert_eq!(required, ["text", "times"], "{input}");
    assert_eq!(output["type"], "string", "{output}");
}

/// Every guest says with what it was made.
pub async fn a_component_names_its_sdk(fleet: &Fleet) {
    let guest = fleet.program.handler.guests().next().unwrap();
    assert_eq!(guest.sdk, fleet.language.folder);
    assert!(guest.sdk_version.starts_with(|c: char| c.is_ascii_digit()), "{:?}", guest.sdk_version);
    assert_eq!(guest.wit_version, "0.2.0");
}
