//! The work of a Redis server: it must not grow with the amount of stored data.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::{Redis, redis::RedisOptions};
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::listing::Listing;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, PROMISE};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, Deferral, Deferred, Key, Kind, MessageState, Outgoing, Queue, Store, Swap, Work};
use brrr_protocol::records::{JobEnd, JobRecord, JobState, RunRecord};
use brrr_protocol::replay::Wait;
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use support::servers::Server;
use support::servers::redis::{Flavour, WITHOUT_SCRIPTS};

fn server(more: &[&str]) -> Option<Server> {
    Flavour::Redis.start(None, more)
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

async fn open(server: &Server) -> Redis {
    Redis::connect(RedisOptions::new(url(server))).await.unwrap()
}

async fn raw(server: &Server) -> MultiplexedConnection {
    redis::Client::open(url(server)).unwrap().get_multiplexed_async_connection().await.unwrap()
}

async fn reset(raw: &mut MultiplexedConnection) {
    cmd("CONFIG").arg("RESETSTAT").query_async::<Value>(raw).await.unwrap();
}

async fn info(raw: &mut MultiplexedConnection, section: &str) -> String {
    cmd("INFO").arg(section).query_async(raw).await.unwrap()
}

/// How often the server ran a command.
fn calls(stats: &str, name: &str) -> u64 {
    let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
    line.and_then(|line| line.split_once("calls=")?.1.split(',').next()?.parse().ok()).unwrap_or(0)
}

async fn wait_for(redis: &Redis, parent: &str, child: &str) -> Deferred {
    let work = Work {
        message: Message { job_id: "job".into(), call: parent.into() },
        topic: "t".into(),
        receipt: None,
        ends_job: false,
        now: 1_000_000,
        log: None,
    };
    let call = Call {
        hash: child.into(),
        task: "task".into(),
        payload: Bytes::new(),
        topic: "t".into(),
        options: Options::default(),
    };
    let run_after =
        RunRecord { first: 1, attempt: 1, total: 1, need: 1, sample: vec![child.into()], ..RunRecord::default() };
    let wait = Wait { calls: vec![call], need: 1, until: 0, fast: false, pace: 0 };
    let (run_before, run_after) = (None, &run_after);
    let d = Deferral { work: &work, wait: &wait, run_before, run_after, max_messages: u64::MAX };
    redis.defer(&d).await.unwrap()
}

/// The bytes that a server writes to its log while this many parents begin to wait for one call, and the call ends.
async fn bytes_of_shared_call(parents: usize) -> Option<f64> {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let server = server(&["--appendonly", "yes", "--appendfsync", "no", "--dir", dir])?;
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    for n in 0..parents {
        wait_for(&redis, &format!("parent {n}"), "child").await;
    }
    let bytes = redis.get(&Key::pending_returns(&"child".into())).await.unwrap().unwrap();
    let pending = PendingReturns::decode(&bytes).unwrap();
    assert_eq!((pending.returns.len(), pending.scheduled_at), (parents, Some(1_000)));
    assert_eq!(pending.encode(), bytes);
    let message = Message { job_id: "job".into(), call: "child".into() };
    let work = Work { message, topic: "t".into(), receipt: None, ends_job: false, now: 1_000_000, log: None };
    let start = std::time::Instant::now();
    redis.complete(&work, Bytes::new()).await.unwrap();
    let completed = start.elapsed();
    // The child's message, and one message for each parent.
    assert_eq!(redis.depth(&"t".into()).await.unwrap(), parents as u64 + 1);
    let left: u64 = cmd("EXISTS").arg("brrr:parents:child").query_async(&mut raw).await.unwrap();
    assert_eq!((left, redis.get(&Key::pending_returns(&"child".into())).await.unwrap()), (0, None));
    let persistence = info(&mut raw, "persistence").await;
    let number = |info: &str, name: &str| -> f64 {
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        value.trim().parse().unwrap()
    };
    let (bytes, cpu) =
        (number(&persistence, "aof_current_size"), number(&info(&mut raw, "cpu").await, "used_cpu_user"));
    eprintln!("{parents} parents: {bytes} bytes, {cpu} s of the server, of which the end took {completed:?}");
    Some(bytes)
}

#[tokio::test]
async fn twice_the_parents_of_a_call_cost_twice_the_work() {
    // A higher number also shows the growth of the server's time.
    let n = std::env::var("BRRR_PARENTS").map_or(300, |text| text.parse().expect("a number"));
    let (Some(some), Some(twice)) = (bytes_of_shared_call(n).await, bytes_of_shared_call(2 * n).await) else { return };
    assert!(twice < 2.5 * some, "{n} parents: {some} bytes, twice as many: {twice} bytes");
}

/// The set in which Redis keeps many parents is removed with the record. (The contract suite tests the record itself.)
#[tokio::test]
async fn the_set_of_parents_is_removed_with_its_record() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    let (child, short) = (CallHash::from("child"), PendingReturns::default().encode());
    let key = Key::pending_returns(&child);
    let set = "brrr:parents:child";
    let is_set = async |raw: &mut MultiplexedConnection| cmd("EXISTS").arg(set).query_async::<bool>(raw).await.unwrap();
    let fill = async || {
        for n in 0..70 {
            wait_for(&redis, &format!("parent {n}"), "child").await;
        }
        redis.get(&key).await.unwrap().unwrap()
    };
    let long = fill().await;
    assert!(is_set(&mut raw).await);
    assert_eq!(redis.swap(&key, Some(&long), Some(short.clone())).await.unwrap(), Swap::Done);
    assert!(!is_set(&mut raw).await);
    fill().await;
    redis.put(&key, short).await.unwrap();
    assert!(!is_set(&mut raw).await);
    let long = fill().await;
    assert_eq!(redis.swap(&key, Some(&long), None).await.unwrap(), Swap::Done);
    assert!(!is_set(&mut raw).await);
    fill().await;
    redis.remove_many(std::slice::from_ref(&key)).await.unwrap();
    assert!(!is_set(&mut raw).await);
    // Without its set the record is damaged. A name that does not fit into the set keeps the list in the record.
    fill().await;
    cmd("DEL").arg(set).query_async::<Value>(&mut raw).await.unwrap();
    let damaged = redis.get(&key).await.unwrap().unwrap();
    assert!(PendingReturns::decode(&damaged).is_err());
    redis.remove_many(std::slice::from_ref(&key)).await.unwrap();
    fill().await;
    wait_for(&redis, "a \0 parent", "child").await;
    let bytes = redis.get(&key).await.unwrap().unwrap();
    assert_eq!((PendingReturns::decode(&bytes).unwrap().returns.len(), is_set(&mut raw).await), (71, false));
}

fn some_messages(n: usize) -> Vec<Outgoing> {
    (0..n).map(|n| Outgoing { topic: "t".into(), body: format!("body {n}"), delay: Duration::ZERO }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_operations_cost_one_command_each() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    let topic = "t".into();
    // After these calls the server knows the scripts.
    for delay in [Duration::ZERO, Duration::from_secs(3_600)] {
        redis.send_many(&some_messages(1)).await.unwrap();
        let delivery = redis.receive(&topic, 1, Duration::ZERO).await.unwrap().pop().unwrap();
        redis.nack(&delivery.receipt, delay).await.unwrap();
    }
    redis.swap(&Key::value(&"v".into()), None, None).await.unwrap();
    redis.put_if(&Key::value(&"v".into()), Bytes::new(), &Key::value(&"w".into())).await.unwrap();
    let again = redis.receive(&topic, 9, Duration::ZERO).await.unwrap();
    for delivery in again {
        redis.ack(&delivery.receipt).await.unwrap();
    }
    let n = 24;
    redis.send_many(&some_messages(3 * n)).await.unwrap();
    let deliveries = redis.receive(&topic, 3 * n, Duration::ZERO).await.unwrap();
    assert_eq!(deliveries.len(), 3 * n);
    reset(&mut raw).await;
    let redis = Arc::new(redis);
    let mut tasks = Vec::new();
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let redis = redis.clone();
        tasks.push(tokio::spawn(async move {
            match number % 3 {
                0 => redis.nack(&delivery.receipt, Duration::ZERO).await.unwrap(),
                1 => redis.nack(&delivery.receipt, Duration::from_secs(3_600)).await.unwrap(),
                _ => redis.move_to_dlq(&delivery, "a reason").await.unwrap(),
            }
            let (key, other) = (Key::value(&"shared".into()), Key::value(&"other".into()));
            redis.swap(&key, Some(&Bytes::from_static(b"x")), Some(Bytes::from_static(b"y"))).await.unwrap();
            redis.put_if(&other, Bytes::from_static(b"z"), &key).await.unwrap()
        }));
    }
    let mut first = 0;
    for task in tasks {
        first += usize::from(task.await.unwrap());
    }
    assert_eq!(first, 1);
    let stats = info(&mut raw, "commandstats").await;
    assert_eq!(calls(&stats, "evalsha"), 3 * 3 * n as u64, "{stats}");
    assert!(calls(&stats, "watch") + calls(&stats, "exec") == 0, "{stats}");
    assert_eq!(redis.receive(&topic, 99, Duration::ZERO).await.unwrap().len(), n);
    let dead_letters = redis.dead_letters(&topic, 99).await.unwrap();
    assert_eq!((dead_letters.len(), dead_letters[0].reason.as_str()), (n, "a reason"));
    // The messages that were given back, the messages that are delayed now, and the message that was delayed before.
    assert_eq!(redis.depth(&topic).await.unwrap(), 2 * n as u64 + 1);
}

/// A new message wakes one of the waiting workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_wakes_one_worker() {
    let Some(server) = server(&[]) else { return };
    let (idle, messages) = (20, 20);
    let mut raw = raw(&server).await;
    let (received, mut arrivals) = tokio::sync::mpsc::channel(1);
    for _ in 0..idle {
        let (redis, received) = (open(&server).await, received.clone());
        tokio::spawn(async move {
            loop {
                for delivery in redis.receive(&"t".into(), 1, Duration::from_secs(60)).await.unwrap() {
                    redis.ack(&delivery.receipt).await.unwrap();
                    received.send(delivery.body).await.unwrap();
                }
            }
        });
    }
    let sender = open(&server).await;
    let all_wait = async |raw: &mut MultiplexedConnection| {
        let clients = info(raw, "clients").await;
        clients.lines().any(|line| line == format!("blocked_clients:{idle}")).then_some(())
    };
    let mut looks = 0;
    for message in some_messages(messages) {
        loop {
            if all_wait(&mut raw).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        reset(&mut raw).await;
        sender.send_many(std::slice::from_ref(&message)).await.unwrap();
        assert_eq!(arrivals.recv().await, Some(message.body));
        looks += calls(&info(&mut raw, "commandstats").await, "evalsha");
    }
    // All workers check the queue once a second anyway. If a message woke all workers, there were twenty checks for each message.
    eprintln!("{looks} looks for {messages} messages");
    assert!(looks <= 5 * messages as u64, "{looks} looks for {messages} messages");
}

/// If a worker dies after a message woke it, the message is left for the next worker.
#[tokio::test]
async fn a_message_that_woke_a_dead_receiver_is_not_lost() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    redis.send_many(&some_messages(2)).await.unwrap();
    cmd("BLMOVE")
        .arg("t")
        .arg("brrr:arrived:t")
        .arg("LEFT")
        .arg("RIGHT")
        .arg(1)
        .query_async::<Value>(&mut raw)
        .await
        .unwrap();
    assert_eq!(redis.depth(&"t".into()).await.unwrap(), 2);
    let mut seen = Vec::new();
    redis
        .look_through(&"t".into(), &mut |body, state| seen.push((body.to_owned(), state == MessageState::Ready)))
        .await
        .unwrap();
    assert_eq!(seen, [("body 0".to_owned(), true), ("body 1".to_owned(), true)]);
    let bodies = redis.receive(&"t".into(), 9, Duration::ZERO).await.unwrap().into_iter().map(|d| d.body);
    assert_eq!(bodies.collect::<Vec<_>>(), ["body 0", "body 1"]);
}

/// Delayed messages that are not due cost nothing. They are listed in pages, also if many are due at the same time.
#[tokio::test]
async fn delayed_messages_are_read_in_pages() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    let far = 1_u64 << 45;
    let mut add = redis::pipe();
    for n in 0..10_000_u64 {
        let due = far + n / 2_500;
        add.cmd("ZADD").arg("brrr:delayed:t").arg(due).arg(format!("{n:016x}:0:body {n}")).ignore();
    }
    add.cmd("ZADD").arg("brrr:delayed:t").arg(1).arg("x:0:due").ignore();
    add.exec_async(&mut raw).await.unwrap();
    let before = info(&mut raw, "stats").await;
    let sent = |stats: &str| -> u64 {
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse().unwrap()
    };
    let got = redis.receive(&"t".into(), 99, Duration::ZERO).await.unwrap();
    assert_eq!(got.iter().map(|d| d.body.as_str()).collect::<Vec<_>>(), ["due"]);
    let bytes = sent(&info(&mut raw, "stats").await) - sent(&before);
    assert!(bytes < 20_000, "{bytes} bytes were read for one message");
    let mut seen = std::collections::HashSet::new();
    let mut looks = 0;
    reset(&mut raw).await;
    redis
        .look_through(&"t".into(), &mut |body, state| {
            if state == MessageState::Delayed {
                looks += 1;
                seen.insert(body.to_owned());
            }
        })
        .await
        .unwrap();
    assert_eq!((looks, seen.len()), (10_000, 10_000));
    assert_eq!(calls(&info(&mut raw, "commandstats").await, "zrangebyscore"), 11);
}

async fn commands(raw: &mut MultiplexedConnection) -> (u64, u64) {
    let stats = info(raw, "commandstats").await;
    let all = stats.lines().filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    (all.sum(), calls(&stats, "scan"))
}

fn collection(backend: &Redis) -> Collector {
    Collector::new(Arc::new(backend.clone()))
}

fn plan(now: u64) -> Plan {
    Plan { now, older_than: Duration::from_secs(1), dry_run: false }
}

/// The commands of one list of each kind of which there are few, and of a collection that finds nothing old, beside `others` other
/// calls for whose values a live job waits.
async fn commands_beside(others: usize) -> Option<Vec<u64>> {
    let server = server(&[])?;
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    for n in 0..others {
        wait_for(&redis, &format!("parent {n}"), &format!("child {n}")).await;
    }
    redis.put(&Key::job(&"job".into()), JobRecord::new("c".into(), "t".into(), 1).encode()).await.unwrap();
    for kind in Kind::LISTED {
        for n in 0..10 {
            redis.put(&Key::new(&format!("id {n}"), kind.clone()), Bytes::from_static(b"x")).await.unwrap();
        }
    }
    let mut costs = Vec::new();
    for kind in Kind::LISTED {
        let before = commands(&mut raw).await.0;
        assert_eq!(redis.list(&kind, None, 100).await.unwrap().ids.len(), 10);
        costs.push(commands(&mut raw).await.0 - before);
    }
    let before = commands(&mut raw).await;
    let collected = collection(&redis).collect(&plan(1_000_000), |_, _| ()).await.unwrap();
    assert_eq!((collected.jobs, collected.left), (0, 0));
    let after = commands(&mut raw).await;
    assert_eq!(after.1, before.1, "a collection that finds nothing old passes over all keys");
    costs.push(after.0 - before.0);
    Some(costs)
}

#[tokio::test]
async fn lists_and_collections_do_not_depend_on_other_records() {
    let (Some(few), Some(many)) = (commands_beside(10).await, commands_beside(1_500).await) else { return };
    eprintln!("commands of lists, and of a collection without anything old: {few:?}");
    assert_eq!(few, many);
}

/// Lists look at the records, so an id that is left without one would not be seen there, and the set would only grow.
#[tokio::test]
async fn an_id_is_removed_with_its_record() {
    let Some(server) = server(&[]) else { return };
    let mut raw = raw(&server).await;
    let user = format!("{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@");
    for user in ["", &*user] {
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        let redis = Redis::connect(RedisOptions::new(url)).await.unwrap();
        let child = CallHash::from("child");
        let (key, bytes) = (Key::unnotified(&child), Bytes::from_static(b"x"));
        let ids = async |raw: &mut MultiplexedConnection| {
            let mut range = cmd("ZRANGE");
            range.arg("brrr:ids:unnotified").arg(0).arg(-1);
            range.query_async::<Vec<String>>(raw).await.unwrap()
        };
        redis.put(&key, bytes.clone()).await.unwrap();
        assert_eq!(ids(&mut raw).await, ["child"]);
        assert_eq!(redis.swap(&key, Some(&bytes), None).await.unwrap(), Swap::Done);
        assert_eq!(ids(&mut raw).await, [""; 0]);
        assert_eq!(redis.swap(&key, None, Some(bytes)).await.unwrap(), Swap::Done);
        assert_eq!(ids(&mut raw).await, ["child"]);
        redis.remove_many(std::slice::from_ref(&key)).await.unwrap();
        assert_eq!(ids(&mut raw).await, [""; 0]);
        // A parent of a peer has no `run` record, so a failure does not notify it, and a later value does.
        let entry = Return { job_id: "job".into(), parent: "theirs".into(), topic: "t".into() };
        let pending = PendingReturns { returns: [entry].into(), scheduled_at: Some(1) };
        redis.put(&Key::pending_returns(&child), pending.encode()).await.unwrap();
        let work = |job_id: &str| Work {
            message: Message { job_id: job_id.into(), call: child.clone() },
            topic: "t".into(),
            receipt: None,
            ends_job: false,
            now: 1_000_000,
            log: None,
        };
        redis.fail(&work("job"), &Failure::new(FailureKind::Error, "task", "no")).await.unwrap();
        assert_eq!(ids(&mut raw).await, ["child"]);
        redis.complete(&work("other"), Bytes::new()).await.unwrap();
        assert_eq!(ids(&mut raw).await, [""; 0]);
        redis.remove_many(&[Key::value(&child), Key::failure(&child, &"job".into())]).await.unwrap();
    }
}

/// A collection passes over all keys once. If a promise kept a job, it does so once more.
#[tokio::test]
async fn a_collection_makes_one_pass() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (open(&server).await, raw(&server).await);
    for n in 0..1_500 {
        wait_for(&redis, &format!("parent {n}"), &format!("child {n}")).await;
    }
    redis.put(&Key::job(&"job".into()), JobRecord::new("c".into(), "t".into(), 1).encode()).await.unwrap();
    let over = |call: &str| JobRecord {
        end: Some(JobEnd { state: JobState::Failed, at: 2 }),
        ..JobRecord::new(call.into(), "t".into(), 1)
    };
    for (old, passes) in [("plain", 1), ("with a promise", 2)] {
        redis.put(&Key::job(&old.into()), over("top").encode()).await.unwrap();
        if passes == 2 {
            let entry = Return { job_id: old.into(), parent: "top".into(), topic: "t".into() };
            let pending = PendingReturns { returns: [entry].into(), scheduled_at: None };
            redis.put(&Key::call(&"promise".into()), CallRecord::encode(PROMISE, b"")).await.unwrap();
            redis.put(&Key::pending_returns(&"promise".into()), pending.encode()).await.unwrap();
        }
        let mut pass = Listing::of(&redis, Kind::PendingReturns);
        let before = commands(&mut raw).await.1;
        while pass.next().await.unwrap().is_some() {}
        let one = commands(&mut raw).await.1 - before;
        let collected = collection(&redis).collect(&plan(1_000_000), |_, _| ()).await.unwrap();
        assert_eq!(collected.jobs, 1, "{old}");
        let scans = commands(&mut raw).await.1 - before - one;
        assert!(one > 1 && scans == passes * one, "{old}: {scans} steps; a pass has {one}");
    }
}
