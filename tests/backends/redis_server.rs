//! Properties of Redis alone: sharing with peers, namespaces, the number of commands, and the errors of the server.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::sync::Arc;
use std::time::Duration;

use brrr_backends::{BackendConfig, Redis, redis::RedisOptions};
use brrr_protocol::ErrorKind;
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::model::{Call, Topic};
use brrr_protocol::ports::{
    Backend, BackendParts as _, Counters, JobQuery, Key, Kind, NewJob, Outgoing, Queue, Store, Work, message_counter,
};
use brrr_protocol::wire::{CallRecord, Message};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use support::servers::Server;
use support::servers::redis::{Flavour, WITHOUT_SCRIPTS};
use support::{tree, until};

/// A server that no other test uses. `None`: Redis is not available on this machine.
fn server(more: &[&str]) -> Option<Server> {
    Flavour::Redis.start(None, more)
}

fn url(server: &Server) -> String {
    format!("redis://127.0.0.1:{}", server.port)
}

async fn raw(server: &Server) -> MultiplexedConnection {
    let client = redis::Client::open(url(server)).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn refused(url: String) -> brrr_protocol::Error {
    Redis::connect(RedisOptions::new(url)).await.err().expect("refused")
}

/// All keys of the server.
async fn keys(raw: &mut MultiplexedConnection) -> Vec<String> {
    let mut keys: Vec<String> = cmd("KEYS").arg("*").query_async(raw).await.unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn topics_and_counters_are_those_of_peers() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (Redis::connect(RedisOptions::new(url(&server))).await.unwrap(), raw(&server).await);
    let message = Message { job_id: "r".into(), call: "c".into() };
    let topic = Topic::from("brrr-py-demo");
    // Our message, taken in the way of a peer.
    redis.send_many(&[Outgoing::now(&topic, &message)]).await.unwrap();
    let (_, body): (String, String) = cmd("BLPOP").arg("brrr-py-demo").arg(20).query_async(&mut raw).await.unwrap();
    assert_eq!(body, "li2e1:r1:ce");
    // A peer's message, taken by us while we wait.
    let waiting = tokio::spawn({
        let (redis, topic) = (redis.clone(), topic.clone());
        async move { redis.receive(&topic, 1, Duration::from_secs(30)).await.unwrap() }
    });
    cmd("RPUSH").arg("brrr-py-demo").arg("li2e1:r1:ce").query_async::<Value>(&mut raw).await.unwrap();
    let delivery = waiting.await.unwrap().pop().expect("a message");
    assert_eq!((delivery.body.as_str(), delivery.receives), ("li2e1:r1:ce", 1));
    redis.ack(&delivery.receipt).await.unwrap();
    redis.incr(&message_counter(&"r".into()), 3).await.unwrap();
    assert_eq!(cmd("GET").arg("brrr_count/r").query_async::<u64>(&mut raw).await.unwrap(), 3);
    assert_eq!(keys(&mut raw).await, ["brrr:deliveries", "brrr_count/r"]);
}

/// The number of deliveries of a message is stored beside its topic, for a day. A peer that takes the message does not delete
/// that number.
#[tokio::test]
async fn the_number_of_deliveries_expires() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (Redis::connect(RedisOptions::new(url(&server))).await.unwrap(), raw(&server).await);
    let topic = Topic::from("t");
    redis.send_many(&[Outgoing::now(&topic, &Message { job_id: "r".into(), call: "c".into() })]).await.unwrap();
    // The nack at the end does not count as a delivery. The lease of the first delivery expires, and that delivery counts.
    let short = Redis::connect(RedisOptions { lease: Duration::from_millis(50), ..RedisOptions::new(url(&server)) })
        .await
        .unwrap();
    short.receive(&topic, 1, Duration::from_secs(10)).await.unwrap();
    let again = redis.receive(&topic, 1, Duration::from_secs(10)).await.unwrap().pop().expect("it came back");
    assert_eq!(again.receives, 2);
    redis.nack(&again.receipt, Duration::ZERO).await.unwrap();
    let left = cmd("TTL").arg("brrr:receives:t").query_async::<i64>(&mut raw).await.unwrap();
    assert!((86_000..=86_400).contains(&left), "{left}");
}

#[tokio::test]
async fn namespaces_are_separate() {
    let Some(server) = server(&[]) else { return };
    let mut fleets = Vec::new();
    for namespace in ["", "a", "b"] {
        let config = BackendConfig { namespace: namespace.to_owned(), ..BackendConfig::at(url(&server)) };
        fleets.push(config.open().await.unwrap());
    }
    // Peers know no namespaces.
    assert_eq!([&fleets[0], &fleets[1]].map(|fleet| fleet.store().may_have_peers()), [true, false]);
    for (n, fleet) in fleets.iter().enumerate() {
        fleet.store().put(&Key::value(&"c".into()), n.to_string().into()).await.unwrap();
        fleet.counters().incr("n", n as u64).await.unwrap();
        let body = n.to_string();
        fleet.queue().send_many(&[Outgoing { topic: "t".into(), body, delay: Duration::ZERO }]).await.unwrap();
    }
    for (n, fleet) in fleets.iter().enumerate() {
        let value = fleet.store().get(&Key::value(&"c".into())).await.unwrap().unwrap();
        assert_eq!((value, fleet.counters().incr("n", 0).await.unwrap()), (n.to_string().into(), n as u64));
        let got = fleet.queue().receive(&"t".into(), 9, Duration::ZERO).await.unwrap();
        assert_eq!(got.iter().map(|d| d.body.clone()).collect::<Vec<_>>(), [n.to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_takes_few_round_trips_and_leaves_only_records() {
    let Some(server) = server(&[]) else { return };
    let (backend, mut raw) = (brrr_backends::open(&url(&server)).await.unwrap(), raw(&server).await);
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    cmd("CONFIG").arg("RESETSTAT").query_async::<Value>(&mut raw).await.unwrap();
    let job = tree::schedule(&backend, "fib/12/x").await;
    assert_eq!(tree::result(&backend, &job).await, "233");
    let topic = tree::TOPIC.into();
    until("everything is acknowledged", || async { (backend.queue().depth(&topic).await.unwrap() == 0).then_some(()) })
        .await;
    // The server counts commands inside a script separately, without a connection. The numbers here are commands that were sent
    // over the network.
    let stats: String = cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.and_then(|line| line.split_once("calls=")?.1.split(',').next()?.parse().ok()).unwrap_or(0_u64)
    };
    let (trips, calls) = (calls("evalsha") + calls("blmove"), tree::count("fib/12/x"));
    eprintln!("{trips} round trips for {calls} calls:\n{stats}");
    assert!(trips <= 4 * calls, "{trips} round trips for {calls} calls");
    let left: Vec<String> = keys(&mut raw).await.into_iter().filter(|key| !key.starts_with("brrr:call:")).collect();
    let record = format!("brrr:job:{}", job.0);
    let lists = ["brrr:jobs".to_owned(), "brrr:jobs:task:tree".to_owned(), format!("brrr:jobs:topic:{}", tree::TOPIC)];
    let counter = format!("brrr_count/{}", job.0);
    assert_eq!(left, ["brrr:deliveries", &record, &lists[0], &lists[1], &lists[2], &counter]);
    worker.abort();
}

/// A chain of shared calls: the server's work grows linearly with the length of the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_calls_cost_no_more_than_others() {
    let Some(server) = server(&[]) else { return };
    let (backend, mut raw) = (brrr_backends::open(&url(&server)).await.unwrap(), raw(&server).await);
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    let mut reads = Vec::new();
    for n in [100, 200, 400] {
        cmd("CONFIG").arg("RESETSTAT").query_async::<Value>(&mut raw).await.unwrap();
        let job = tree::schedule(&backend, &format!("fibm/{n}/{n}")).await;
        tree::result(&backend, &job).await;
        let stats: String = cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
        let calls = stats.lines().filter(|l| ["hget:", "hexists:", "hmget:"].iter().any(|name| l.contains(name)));
        let calls = calls.filter_map(|l| l.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
        reads.push(calls.sum::<u64>());
    }
    worker.abort();
    eprintln!("reads of 100, 200, 400 shared calls: {reads:?}");
    // Twice the work, and a margin for chance: the calls that run at the same time differ. (About 95 commands a call. The walk to
    // the top cost 200 a call at 400 calls, and twice that at 800.)
    assert!(reads[1] < 3 * reads[0] && reads[2] < 5 * reads[1] / 2, "{reads:?}");
}

/// A client that dies between two steps would leave a job without a message.
#[tokio::test]
async fn a_job_is_scheduled_in_one_step() {
    let Some(server) = server(&[]) else { return };
    let (backend, mut raw) = (brrr_backends::open(&url(&server)).await.unwrap(), raw(&server).await);
    // After this call the server knows the script.
    tree::schedule(&backend, "fib/1/x").await;
    cmd("CONFIG").arg("RESETSTAT").query_async::<Value>(&mut raw).await.unwrap();
    tree::schedule(&backend, "fib/1/y").await;
    let stats: String = cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
    let script = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:"));
    assert!(script.is_some_and(|line| line.contains("calls=1,")), "{stats}");
    // The script needs no transaction: only separate steps would use MULTI and WATCH to exclude other clients.
    assert!(!stats.contains("cmdstat_multi") && !stats.contains("cmdstat_watch"), "{stats}");
    assert_eq!(backend.queue().depth(&tree::TOPIC.into()).await.unwrap(), 2);
}

#[tokio::test]
async fn refused_commands_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let Some(cluster) = server(&["--cluster-enabled", "yes", "--dir", folder.path().to_str().unwrap()]) else { return };
    let error = refused(url(&cluster)).await;
    assert_eq!(error.kind, ErrorKind::Config);
    assert!(error.to_string().contains("Redis Cluster"), "{error}");

    let secret = server(&["--requirepass", "right"]).expect("a server");
    for given in ["", ":wrong@"] {
        let error = refused(format!("redis://{given}127.0.0.1:{}", secret.port)).await;
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
        assert!(error.to_string().contains("password") && !error.to_string().contains("wrong@"), "{error}");
    }
    let redis = Redis::connect(RedisOptions::new(format!("redis://:right@127.0.0.1:{}", secret.port))).await.unwrap();
    let error = redis.check(&"brrr:leases".into(), Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Config, "{error}");
    redis.check(&"brrr".into(), Duration::ZERO).await.unwrap();

    let nobody = support::servers::free_port();
    let error = refused(format!("redis://127.0.0.1:{nobody}")).await;
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains(&nobody.to_string()), "{error}");
}

#[tokio::test]
async fn a_full_server_and_foreign_keys_are_named() {
    let Some(server) = server(&["--maxmemory", "4000000"]) else { return };
    let (redis, mut raw) = (Redis::connect(RedisOptions::new(url(&server))).await.unwrap(), raw(&server).await);
    cmd("SET").arg("brrr:call:c").arg("x").query_async::<Value>(&mut raw).await.unwrap();
    assert_eq!(redis.get(&Key::value(&"c".into())).await.unwrap(), None);
    let found = redis.get(&Key::call(&"c".into())).await.unwrap().expect("something");
    let error = CallRecord::decode(&found).unwrap_err();
    assert!(error.kind == ErrorKind::Malformed && error.to_string().contains("the key brrr:call:c"), "{error}");
    let mut error = None;
    for n in 0..200 {
        let key = Key::value(&format!("big{n}").as_str().into());
        error = redis.put(&key, vec![0; 100_000].into()).await.err();
        if error.is_some() {
            break;
        }
    }
    let error = error.expect("no room");
    assert_eq!(error.kind, ErrorKind::Full, "{error}");
    // A script cannot write either, and leaves nothing half done. The limit is lower here, in case the server frees buffers
    // meanwhile.
    cmd("CONFIG").arg("SET").arg("maxmemory").arg("1mb").query_async::<Value>(&mut raw).await.unwrap();
    let work = brrr_protocol::ports::Work {
        message: Message { job_id: "r".into(), call: "late".into() },
        topic: "t".into(),
        receipt: None,
        ends_job: false,
        now: 1_000_000,
        log: None,
    };
    let error = redis.complete(&work, "v".into()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{error}");
    assert_eq!(redis.get(&Key::value(&"late".into())).await.unwrap(), None);
}

/// The set of the ids of a kind is written with its records. A server that is full, and a set that another program has replaced, stop
/// both, and are named.
#[tokio::test]
async fn a_record_is_not_written_without_its_id() {
    let Some(server) = server(&[]) else { return };
    let mut raw = raw(&server).await;
    let user = format!("{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@");
    for user in ["", &*user] {
        let redis =
            Redis::connect(RedisOptions::new(format!("redis://{user}127.0.0.1:{}", server.port))).await.unwrap();
        let (key, value) = (Key::tasks(&"t".into()), Bytes::from_static(b"x"));
        cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").query_async::<Value>(&mut raw).await.unwrap();
        for error in
            [redis.put(&key, value.clone()).await.err(), redis.swap(&key, None, Some(value.clone())).await.err()]
        {
            let error = error.expect("no room");
            assert!(error.kind == ErrorKind::Full && error.reason.contains("`maxmemory`"), "{error}");
        }
        cmd("CONFIG").arg("SET").arg("maxmemory").arg("0").query_async::<Value>(&mut raw).await.unwrap();
        assert_eq!(redis.get(&key).await.unwrap(), None);
        cmd("SET").arg("brrr:ids:tasks").arg("x").query_async::<Value>(&mut raw).await.unwrap();
        let errors = [
            redis.swap(&key, None, Some(value.clone())).await.err(),
            redis.put_if(&key, value.clone(), &Key::tasks(&"u".into())).await.err(),
            redis.put(&key, value.clone()).await.err(),
            redis.list(&Kind::Tasks, None, 9).await.err(),
        ];
        for error in errors {
            let error = error.expect("something else is there");
            assert!(error.kind == ErrorKind::Corrupt && error.reason.contains("the key brrr:ids:tasks"), "{error}");
        }
        cmd("DEL").arg("brrr:ids:tasks").query_async::<Value>(&mut raw).await.unwrap();
        // Whoever repeats the write has both.
        redis.put(&key, value).await.unwrap();
        assert_eq!(redis.list(&Kind::Tasks, None, 9).await.unwrap().ids, ["t"]);
        // Something else at the key of a record that was there is listed, and a reader reports it. Nothing is listed of a deleted
        // key.
        cmd("SET").arg("brrr:topic:t").arg("x").query_async::<Value>(&mut raw).await.unwrap();
        assert_eq!(redis.list(&Kind::Tasks, None, 9).await.unwrap().ids, ["t"]);
        let error = redis.put(&key, Bytes::new()).await.unwrap_err();
        assert!(error.kind == ErrorKind::Malformed && error.reason.contains("the key brrr:topic:t"), "{error}");
        cmd("DEL").arg("brrr:topic:t").query_async::<Value>(&mut raw).await.unwrap();
        assert_eq!(redis.list(&Kind::Tasks, None, 9).await.unwrap().ids, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_loaded_again_after_the_server_forgets_them() {
    let Some(server) = server(&[]) else { return };
    let (backend, mut raw) = (brrr_backends::open(&url(&server)).await.unwrap(), raw(&server).await);
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    let job = tree::schedule(&backend, "fib/12/x").await;
    for _ in 0..5 {
        cmd("SCRIPT").arg("FLUSH").query_async::<Value>(&mut raw).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(tree::result(&backend, &job).await, "233");
    worker.abort();
}

#[tokio::test]
async fn a_cut_connection_is_opened_again() {
    let Some(server) = server(&[]) else { return };
    let (redis, mut raw) = (Redis::connect(RedisOptions::new(url(&server))).await.unwrap(), raw(&server).await);
    let key = Key::value(&"c".into());
    redis.put(&key, "1".into()).await.unwrap();
    redis.swap(&key, Some(&"1".into()), Some("2".into())).await.unwrap();
    cmd("CLIENT").arg("KILL").arg("SKIPME").arg("yes").query_async::<Value>(&mut raw).await.unwrap();
    // The first request may use the old, broken connection. Its outcome is then unknown, and the error says so.
    until("an answer", || async { redis.get(&key).await.ok() }).await;
    let swapped =
        until("an answer", || async { redis.swap(&key, Some(&"2".into()), Some("3".into())).await.ok() }).await;
    assert_eq!(swapped, brrr_protocol::ports::Swap::Done);
}

#[tokio::test]
async fn a_user_without_scripts_uses_multi_step_transitions() {
    let Some(server) = server(&[]) else { return };
    let user = format!("redis://{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@127.0.0.1:{}", server.port);
    let backend: Arc<dyn Backend> = Arc::new(Redis::connect(RedisOptions::new(user)).await.unwrap());
    let mut raw = raw(&server).await;
    let worker = tokio::spawn(tree::work(backend.clone(), || ()));
    let job = tree::schedule(&backend, "fib/6/x").await;
    assert_eq!(tree::result(&backend, &job).await, "13");
    worker.abort();
    let stats: String = cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
    assert!(!stats.contains("cmdstat_evalsha:calls"), "{stats}");
}

/// An entry that is not text, or not in our format, blocks nothing else.
#[tokio::test]
async fn any_bytes_in_a_topic_are_delivered() {
    let Some(server) = server(&[]) else { return };
    let mut raw = raw(&server).await;
    let user = format!("{WITHOUT_SCRIPTS}:{WITHOUT_SCRIPTS}@");
    for (index, user) in ["", &*user].into_iter().enumerate() {
        let namespace = format!("n{index}");
        let url = format!("redis://{user}127.0.0.1:{}", server.port);
        let lease = Duration::from_millis(200);
        let options = RedisOptions { namespace: namespace.clone(), lease, ..RedisOptions::new(url) };
        let (redis, topic) = (Redis::connect(options).await.unwrap(), Topic::from("t"));
        redis.send_many(&[Outgoing { topic: topic.clone(), body: "later".into(), delay: lease }]).await.unwrap();
        // The naming pattern of the keys of a namespace.
        let all = keys(&mut raw).await;
        let delayed = all.iter().find(|key| key.starts_with(&namespace)).expect("a delayed message").clone();
        let named = |what: &str| delayed.replace("brrr:delayed:t", what);
        for body in [&b"\xff\xfe"[..], b"li2e1:r2:\xc3e", b"fine"] {
            cmd("RPUSH").arg(named("t")).arg(body).query_async::<Value>(&mut raw).await.unwrap();
        }
        cmd("ZADD").arg(&delayed).arg(1).arg(&b"no form \xff"[..]).query_async::<Value>(&mut raw).await.unwrap();
        // One lease of an entry that is not in our format, and one lease of an entry that does not exist.
        cmd("HSET").arg(named("brrr:held:w")).arg(7).arg("no form").query_async::<Value>(&mut raw).await.unwrap();
        for member in ["w/7", "w/8", "no form"] {
            cmd("ZADD").arg(named("brrr:leases")).arg(1).arg(member).query_async::<Value>(&mut raw).await.unwrap();
        }
        let mut bodies = Vec::new();
        while bodies.len() < 5 {
            for delivery in redis.receive(&topic, 10, Duration::from_secs(10)).await.unwrap() {
                // Each message is left until its lease expires once. It comes back unchanged, because held messages are stored as
                // bytes.
                if delivery.receives > 1 {
                    redis.move_to_dlq(&delivery, "no message").await.unwrap();
                    bodies.push(delivery.body);
                }
            }
        }
        bodies.sort();
        assert_eq!(bodies, ["fine", "later", "li2e1:r2:\u{fffd}e", "no form \u{fffd}", "\u{fffd}\u{fffd}"]);
        let dead_letters = redis.dead_letters(&topic, 10).await.unwrap();
        assert_eq!(dead_letters.len(), 5, "{dead_letters:?}");
        assert!(redis.take_dead_letter(&topic, &dead_letters[0].id).await.unwrap().is_some());
        let kept: Vec<u8> = cmd("HGET").arg(named("brrr:held:w")).arg(7).query_async(&mut raw).await.unwrap();
        assert_eq!(kept, b"no form");
    }
}

/// The number of commands that the server has run, including commands of scripts.
async fn commands(raw: &mut MultiplexedConnection) -> u64 {
    let stats: String = cmd("INFO").arg("commandstats").query_async(raw).await.unwrap();
    let calls = stats.lines().filter_map(|line| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok());
    calls.sum()
}

/// Ends `jobs` jobs. Returns the number of commands for a list of the newest job, for a dry run of a collection, and for the
/// collection.
async fn costs_of(jobs: usize) -> Option<[u64; 3]> {
    let server = server(&[])?;
    let (backend, mut raw) = (brrr_backends::open(&url(&server)).await.unwrap(), raw(&server).await);
    for n in 0..jobs {
        let call = Call {
            hash: format!("c{n}").into(),
            task: "t".into(),
            payload: Bytes::new(),
            topic: "t".into(),
            options: brrr_protocol::options::Options::default(),
        };
        backend.schedule(&NewJob::new(format!("r{n}").into(), call), 1).await.unwrap();
        let delivery = backend.queue().receive(&"t".into(), 1, Duration::ZERO).await.unwrap().remove(0);
        let message = Message::decode(delivery.body.as_bytes()).unwrap();
        let work =
            Work { message, topic: delivery.topic, receipt: Some(delivery.receipt), ends_job: true, now: 2, log: None };
        backend.complete(&work, Bytes::from_static(b"v")).await.unwrap();
    }
    let mut costs = [0; 3];
    let mut before = commands(&mut raw).await;
    let mut cost = async || {
        let after = commands(&mut raw).await;
        after - std::mem::replace(&mut before, after)
    };
    let newest = async || backend.store().jobs(&JobQuery { limit: 1, ..JobQuery::default() }).await.unwrap().jobs;
    assert_eq!(newest().await[0].job_id.as_str(), format!("r{}", jobs - 1));
    costs[0] = cost().await;
    for (n, dry_run) in [(1, true), (2, false)] {
        let plan = Plan { now: 1_000_000, older_than: Duration::from_secs(1), dry_run };
        let collected = Collector::new(backend.clone()).collect(&plan, |_, _| ()).await.unwrap();
        assert_eq!((collected.jobs, collected.calls), (jobs as u64, jobs as u64));
        costs[n] = cost().await;
    }
    assert!(newest().await.is_empty());
    let left = keys(&mut raw).await.into_iter().filter(|key| key.starts_with("brrr:job")).collect::<Vec<_>>();
    assert!(left.is_empty(), "a job that is removed leaves no entry of an index: {left:?}");
    Some(costs)
}

#[tokio::test]
async fn listing_and_removing_jobs_cost_in_proportion() {
    // More jobs than a collection removes between two checks for jobs that have begun.
    let (Some(one), Some(two)) = (costs_of(700).await, costs_of(1_400).await) else { return };
    eprintln!("newest, dry run, gc: {one:?} commands for 700 jobs, {two:?} for 1,400");
    assert_eq!(one[0], two[0], "the newest job costs the same however many there are");
    for n in [1, 2] {
        assert!(10 * two[n] <= 22 * one[n], "twice the jobs, about twice the work: {one:?} {two:?}");
    }
    assert!(two[2] <= 1_400 * 40, "{two:?}");
}

/// Whoever waits for a job hears of its end from the server, without having to look.
#[tokio::test]
async fn the_end_of_a_job_is_heard_of() {
    let Some(server) = server(&[]) else { return };
    let connect = async || Redis::connect(RedisOptions::new(url(&server))).await.unwrap();
    let (worker, client) = (connect().await, connect().await);
    let topic = Topic::from("t");
    let call = Call {
        hash: "c".into(),
        task: "f".into(),
        payload: Bytes::from_static(b"[]"),
        topic: topic.clone(),
        options: brrr_protocol::options::Options::default(),
    };
    worker.schedule(&NewJob::new("r".into(), call), 1).await.unwrap();
    // It hears of nothing before it listens. Another version than 1 means that it has looked by itself, after a pause.
    const LONG: u64 = 1_000;
    let listens = async || (client.changed(LONG, Duration::from_secs(60)).await == 1).then_some(());
    until("it listens", listens).await;
    let delivery = worker.receive(&topic, 1, Duration::from_secs(30)).await.unwrap().pop().expect("a message");
    let message = Message::decode(delivery.body.as_bytes()).unwrap();
    let work = Work { message, topic, receipt: Some(delivery.receipt), ends_job: true, now: 2, log: None };
    let heard = client.changed(LONG, Duration::from_secs(60));
    let (version, ended) = tokio::join!(heard, worker.complete(&work, Bytes::from_static(b"1")));
    ended.unwrap();
    assert_eq!(version, 1, "it was told");
}
