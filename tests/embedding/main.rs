//! `brrr-worker` in another program: a worker with Rust handlers and components, and a client, in one process.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brrr_protocol::logs;
use brrr_protocol::model::JobId;
use brrr_protocol::ports::Key;
use brrr_protocol::records::{JobRecord, LogSource};
use brrr_worker::{
    Call, Client, ClientError, HandlerError, JobOptions, LogLevel, Options, Scope, StopReason, Worker, WorkerBuilder,
    WorkerError, first,
};
use serde_json::json;
use tokio::task::JoinHandle;

#[path = "../wasm/fixture.rs"]
#[allow(dead_code, reason = "the suite of the wasm ring uses the rest")]
mod fixture;

/// A worker that runs until the test ends.
struct Running {
    client: Client,
    shutdown: brrr_worker::Shutdown,
    worker: JoinHandle<Result<(), WorkerError>>,
    _folder: tempfile::TempDir,
}

async fn run(builder: WorkerBuilder) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("app.db").display());
    let shutdown = brrr_worker::Shutdown::default();
    let worker = builder.backend(url).shutdown(shutdown.clone()).build().await.unwrap();
    let client = worker.client();
    Running { client, shutdown, worker: tokio::spawn(worker.run()), _folder: folder }
}

impl Running {
    async fn value(&self, task: &str, arguments: serde_json::Value) -> Result<serde_json::Value, ClientError> {
        self.client.start("demo", task, arguments).await?.result().await
    }

    async fn stop(self) {
        self.shutdown.begin(StopReason::Requested);
        self.worker.await.unwrap().unwrap();
    }
}

fn failed(result: Result<serde_json::Value, ClientError>) -> brrr_protocol::model::Failure {
    match result {
        Err(ClientError::Failed(failure)) => failure,
        other => panic!("it should have failed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_handlers_call_each_other_and_are_replayed() {
    let runs = Arc::new(AtomicU32::new(0));
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let (counted, noted) = (runs.clone(), seen.clone());
    let builder = Worker::builder()
        .topic("demo")
        .handler("double", |call: Call| async move { Ok(2 * call.argument::<u64>("n")?) })
        .handler("sum", move |call: Call| {
            let (runs, seen) = (counted.clone(), noted.clone());
            async move {
                runs.fetch_add(1, SeqCst);
                let random = call.random();
                seen.lock().unwrap().insert((call.now(), random, call.random()));
                // Two calls in one batch, then one call that depends on them.
                let (a, b): (u64, u64) =
                    tokio::try_join!(call.call("double", json!({"n": 1})), call.call("double", json!({"n": 2})))?;
                let c: u64 = call.call("double", json!({"n": a + b})).await?;
                Ok(json!({"sum": c, "task": call.task(), "attempt": call.attempt()}))
            }
        });
    let worker = run(builder).await;
    let value = worker.value("sum", json!({})).await.unwrap();
    assert_eq!(value, json!({"sum": 12, "task": "sum", "attempt": 1}));
    assert_eq!(runs.load(SeqCst), 3, "one run, and one after each wait");
    assert_eq!(seen.lock().unwrap().len(), 1, "each replay sees the same time and random numbers");
    // The value is stored, so nothing runs again.
    assert_eq!(worker.value("sum", json!({})).await.unwrap()["sum"], 12);
    assert_eq!(runs.load(SeqCst), 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_caught_and_passed_on() {
    let retried = Options { max_retries: Some(3), retry_delay: Some(Duration::ZERO), ..Options::default() };
    let never = Options { max_retries: Some(0), ..Options::default() };
    let short = Options { timeout: Some(Duration::from_millis(50)), ..never.clone() };
    let builder = Worker::builder()
        .topic("demo")
        .handler_with("flaky", retried.clone(), |call: Call| async move {
            if call.attempt() < 3 {
                return Err(format!("attempt {} fails", call.attempt()).into());
            }
            Ok(call.attempt())
        })
        .handler_with("broken", retried, |_| async { Err::<(), _>(HandlerError::permanent("never")) })
        .handler_with("panics", never.clone(), |_| async { if true { panic!("oh no") } else { Ok(()) } })
        .handler_with("slow", short, |_| async {
            std::future::pending::<()>().await;
            Ok(())
        })
        .handler("catches", |call: Call| async move {
            match call.call::<()>("broken", json!({})).await {
                Err(failure) => Ok(failure.message),
                Ok(()) => Ok("no failure".to_owned()),
            }
        })
        .handler("passes", |call: Call| async move { Ok(call.call::<()>("broken", json!({})).await?) })
        .handler("unnamed", |call: Call| async move { Ok(call.call::<()>("broken", json!([1])).await?) })
        .handler_with("needs", never, |call: Call| async move { call.argument::<u64>("n") });
    let worker = run(builder).await;
    assert_eq!(worker.value("flaky", json!({})).await.unwrap(), 3);
    let broken = failed(worker.value("broken", json!({})).await);
    assert_eq!((broken.message.as_str(), broken.attempts), ("never", 1));
    let panicked = failed(worker.value("panics", json!({})).await);
    assert_eq!((panicked.kind.as_str(), panicked.message.as_str()), ("trap", "it panicked: oh no"));
    let slow = failed(worker.value("slow", json!({})).await);
    assert_eq!(slow.kind.as_str(), "timeout");
    assert_eq!(worker.value("catches", json!({})).await.unwrap(), "never");
    let passed = failed(worker.value("passes", json!({})).await);
    assert_eq!(passed.chain.len(), 2, "{passed:?}");
    let unnamed = failed(worker.value("unnamed", json!({})).await);
    assert!(unnamed.message.contains("have no names"), "{unnamed:?}");
    let needs = failed(worker.value("needs", json!({"m": 1})).await);
    assert!(needs.message.contains("`n` is missing"), "{needs:?}");
    worker.stop().await;
}

/// A race has the same winner in the replay, although the other call has its outcome by then.
#[tokio::test(flavor = "multi_thread")]
async fn a_race_is_decided_once() {
    let builder = Worker::builder()
        .topic("demo")
        .handler("name", |call: Call| async move { call.argument::<String>("name") })
        .handler("race", |call: Call| async move {
            let name = |name: &str| call.call::<String>("name", json!({"name": name}));
            let (index, winner) = first(vec![name("a"), name("b")]).await;
            let both: (String, String) = tokio::try_join!(name("a"), name("b"))?;
            let again: String = call.call("name", json!({"name": format!("{index}{}", winner?)})).await?;
            Ok(json!([index, again, both]))
        });
    let worker = run(builder).await;
    let value = worker.value("race", json!({})).await.unwrap();
    let index = value[0].as_u64().unwrap();
    assert_eq!(value[1], format!("{index}{}", ["a", "b"][index as usize]));
    assert_eq!(value[2], json!(["a", "b"]));
    worker.stop().await;
}

/// What a Rust handler logs is kept with its call, once however often it is replayed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_rust_handler_logs_is_kept() {
    let builder = Worker::builder()
        .topic("demo")
        .handler("name", |call: Call| async move { call.argument::<String>("name") })
        .handler("logs", |call: Call| async move {
            call.log(LogLevel::Info, "first", &[("n", "1")]);
            let name: String = call.call("name", json!({"name": "x"})).await?;
            call.log(LogLevel::Warn, &format!("then\n{name}"), &[]);
            Ok(())
        });
    let worker = run(builder).await;
    let job = worker.client.start("demo", "logs", json!({})).await.unwrap();
    job.result::<()>().await.unwrap();
    let url = format!("sqlite:{}", worker._folder.path().join("app.db").display());
    let (backend, id) = (brrr_backends::open(&url).await.unwrap(), JobId::from(job.id()));
    let record = backend.store().get(&Key::job(&id)).await.unwrap().unwrap();
    let call = JobRecord::decode(&record).unwrap().call;
    let log = logs::of_call(&*backend, &id, &call).await.unwrap().unwrap();
    let lines: Vec<_> = log.lines().unwrap().into_iter().map(|(_, line)| (line.from, line.text, line.fields)).collect();
    let (info, warn) = (LogSource::Log(LogLevel::Info), LogSource::Log(LogLevel::Warn));
    let line = |from, text: &str| (from, text.to_owned(), Vec::new());
    let first = (info, "first".to_owned(), vec![("n".to_owned(), "1".to_owned())]);
    assert_eq!(lines, [first, line(warn, "then"), line(warn, "x")]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_handler_sleeps_and_limits_its_waits() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let builder = Worker::builder()
        .topic("demo")
        .handler("naps", move |call: Call| {
            let runs = counted.clone();
            async move {
                runs.fetch_add(1, SeqCst);
                let begun = call.now();
                // Both at once: the shorter one ends first.
                let (short, long) = (call.sleep(Duration::from_millis(50)), call.sleep(Duration::from_millis(120)));
                tokio::join!(short, long);
                Ok(call.now().duration_since(begun).unwrap().as_millis() as u64)
            }
        })
        .handler("slow", |call: Call| async move {
            call.sleep(Duration::from_millis(400)).await;
            Ok("slow")
        })
        .handler("quick", |_: Call| async { Ok("quick") })
        .handler("limits", |call: Call| async move {
            let limit = Duration::from_millis(100);
            let in_time = call.timeout(Duration::from_mins(1), call.call::<String>("quick", json!({}))).await;
            let too_late = call.timeout(limit, call.call::<String>("slow", json!({}))).await;
            // A call whose limit has passed goes on.
            let later = call.call::<String>("slow", json!({})).await?;
            Ok(json!([in_time.transpose()?, too_late.transpose()?, later]))
        });
    let running = run(builder).await;
    let slept = running.value("naps", json!({})).await.unwrap().as_u64().unwrap();
    assert!((120..10_000).contains(&slept), "{slept}");
    assert_eq!(runs.load(SeqCst), 3, "at the beginning, and after each of the two times");
    let limits = running.value("limits", json!({})).await.unwrap();
    assert_eq!(limits, json!(["quick", null, "slow"]));
    running.stop().await;
}

/// A promise is answered by the client, an error has details, and the scopes of a task, a call and a job say who shares a value.
#[tokio::test(flavor = "multi_thread")]
async fn promises_details_and_scopes() {
    let thrown = Arc::new(AtomicU32::new(0));
    let (dice, own) = (thrown.clone(), thrown.clone());
    let of_job = Options { scope: Some(Scope::Job), ..Options::default() };
    let builder = Worker::builder()
        .topic("demo")
        .handler("asks", |call: Call| async move {
            let approved = call.timeout(Duration::from_hours(1), call.promise::<bool>("approval")).await;
            Ok(approved.transpose()?)
        })
        .handler("refuses", |_: Call| async {
            Err::<(), _>(HandlerError::permanent("no").with_details(json!({"code": 7})))
        })
        .handler("dice", move |_: Call| {
            let thrown = dice.clone();
            async move { Ok(thrown.fetch_add(1, SeqCst)) }
        })
        .handler_with("own_dice", of_job.clone(), move |_: Call| {
            let thrown = own.clone();
            async move { Ok(thrown.fetch_add(1, SeqCst)) }
        })
        .handler("throws", move |call: Call| {
            let of_job = of_job.clone();
            async move {
                let shared: u32 = call.call("dice", json!({})).await?;
                let of_call: u32 = call.call("dice", json!({})).options(of_job).await?;
                let of_task: u32 = call.call("own_dice", json!({})).await?;
                Ok([shared, of_call, of_task])
            }
        });
    let worker = run(builder).await;
    let job = worker.client.start("demo", "asks", json!({})).await.unwrap();
    assert!(job.resolve("approval", true).await.unwrap());
    assert!(job.result::<bool>().await.unwrap());
    assert!(!job.reject("approval", "too late").await.unwrap(), "the job is over");
    let options =
        JobOptions { calls: Options { scope: Some(Scope::Job), ..Options::default() }, ..JobOptions::default() };
    let job = worker.client.start_with("demo", "asks", json!({}), options.clone()).await.unwrap();
    assert!(job.reject("approval", "the budget is spent").await.unwrap());
    let failure = failed(job.result().await);
    assert_eq!((failure.kind.as_str(), failure.message.as_str()), ("rejected", "the budget is spent"));

    let failure = failed(worker.value("refuses", json!({})).await);
    assert_eq!(failure.details.as_deref(), Some(&br#"{"code":7}"#[..]));

    let throw = async |n: u32| worker.value("throws", json!({"n": n})).await.unwrap();
    let (first, second) = (throw(1).await, throw(2).await);
    assert_eq!(first[0], second[0], "all jobs share it");
    assert_ne!(first[1], second[1], "the call says that it belongs to its job");
    assert_ne!(first[2], second[2], "the task says so");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_of_both_kinds_and_two_topics_in_one_worker() {
    let folder = tempfile::tempdir().unwrap();
    let guest = fixture::Fixture::default().write(folder.path());
    let builder = Worker::builder()
        .topic("demo")
        .component(&guest)
        .handler("both", |call: Call| async move {
            let echoed: serde_json::Value = call.call("echo", json!({"n": 1})).await?;
            let other: u64 = call.call("count", json!({"of": [1, 2]})).topic("other").await?;
            Ok(json!([echoed, other]))
        })
        .topic("other")
        .handler("count", |call: Call| async move { Ok(call.argument::<Vec<u64>>("of")?.len()) });
    let worker = run(builder).await;
    let value = worker.value("both", json!({})).await.unwrap();
    assert_eq!(value, json!([[{"n": 1}], 2]));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_when_its_client_says_so() {
    let builder = Worker::builder().topic("demo").handler("waits", |_| async {
        std::future::pending::<()>().await;
        Ok(())
    });
    let worker = run(builder).await;
    let job = worker.client.start("demo", "waits", json!({})).await.unwrap();
    assert!(job.cancel().await.unwrap());
    assert_eq!(failed(job.result().await).kind.as_str(), "cancelled");
    let options = JobOptions { timeout: Some(Duration::from_millis(100)), ..JobOptions::default() };
    let job = worker.client.start_with("demo", "waits", json!({"again": true}), options).await.unwrap();
    assert_eq!(failed(job.result().await).kind.as_str(), "timeout");
    worker.stop().await;
}

#[tokio::test]
async fn an_invalid_builder_says_why() {
    let nothing = |_: Call| async { Ok(()) };
    let mistakes = [
        (Worker::builder(), "needs a topic"),
        (Worker::builder().handler("a", nothing), "the task a: name its topic first"),
        (Worker::builder().component("a.wasm"), "a.wasm: name its topic first"),
        (Worker::builder().topic("demo").handler("a", nothing).handler("a", nothing), "two handlers of the task a"),
        (Worker::builder().topic("brrr:leases").handler("a", nothing), "letters"),
        (Worker::builder().topic("demo").handler("a\n", nothing), "control character"),
        (Worker::builder().topic("demo").component("not-there.wasm"), "not-there.wasm"),
        (Worker::builder().topic("demo"), "has no task"),
    ];
    for (builder, reason) in mistakes {
        let error = match builder.backend("memory:").build().await {
            Ok(_) => panic!("it should not be built: {reason}"),
            Err(error) => error.to_string(),
        };
        assert!(error.contains(reason), "{error:?} should say {reason:?}");
    }
}
