//! One fleet together with workers of the existing SDKs: messages and counters in Redis, records in DynamoDB.
//!
//! Those SDKs are not available from a registry. So they are modelled here, command by command, from what is known of the
//! protocol; `tests/support/vectors` contains bytes that they wrote. They acknowledge nothing, know no failures, and overwrite
//! records.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

use backend_tests as support;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use brrr_backends::redis::RedisOptions;
use brrr_backends::{Combined, Redis};
use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::doctor::{Doctor, Look};
use brrr_protocol::gate::Always;
use brrr_protocol::model::{Call, CallHash, Failure, FailureKind, JobId};
use brrr_protocol::options::Options;
use brrr_protocol::outcome_cache::OutcomeCache;
use brrr_protocol::ports::{Backend, Ended, Handler, NewJob, Request, Task, message_counter};
use brrr_protocol::replay::{Invocation, Polled, Replay, Want};
use brrr_protocol::step::{Limits, Site, step};
use brrr_protocol::wire::{CallRecord, Message, PendingReturns, Return};
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use support::servers::Server;
use support::servers::redis::Flavour;
use support::{aws, servers, until};

/// The topics of our worker and of the two peers.
const TOPICS: [&str; 3] = ["ours", "python", "typescript"];

/// `fib(n)` as all workers here compute it: the children of each call are on the other topics.
fn children(n: u64, salt: &str) -> Vec<Call> {
    let child = |n: u64| Call {
        hash: hash(n, salt),
        task: "fib".into(),
        payload: format!("{n}/{salt}").into(),
        topic: TOPICS[(n % 3) as usize].into(),
        options: Options::default(),
    };
    if n < 2 { Vec::new() } else { vec![child(n - 1), child(n - 2)] }
}

fn hash(n: u64, salt: &str) -> CallHash {
    CallHash::derive("fib", format!("{n}/{salt}").as_bytes())
}

fn arguments(payload: &[u8]) -> (u64, String) {
    let text = String::from_utf8_lossy(payload);
    let (n, salt) = text.split_once('/').expect("n/salt");
    (n.parse().expect("a number"), salt.to_owned())
}

/// The prefix of the ids of jobs in which our leaves fail.
const FAILS: &str = "fails";

/// Our worker.
struct Ours;

#[async_trait]
impl Handler for Ours {
    fn task(&self, _: &str) -> Option<Arc<Task>> {
        Some(Arc::new(Task::new("native", Options::default())))
    }

    async fn run(&self, request: Request, mut replay: Replay) -> Result<(Ended, Replay)> {
        let (n, salt) = arguments(&request.payload);
        let calls: Vec<Invocation> = children(n, &salt)
            .into_iter()
            .map(|call| Invocation {
                task: call.task,
                payload: call.payload,
                topic: Some(call.topic),
                hash: Some(call.hash),
                peer_hash: None,
                options: Options::default(),
                detached: false,
            })
            .collect();
        if request.job_id.as_str().starts_with(FAILS) && calls.is_empty() {
            let failure = Failure::new(FailureKind::Error, "fib", "it fails in this job");
            return Ok((Ended::Failed { failure, retryable: false }, replay));
        }
        if calls.is_empty() {
            return Ok((Ended::Completed(n.to_string().into()), replay));
        }
        let ended = match replay.poll(calls, Want::All, None).await? {
            Polled::Suspended => Ended::Suspended,
            Polled::Ready(outcomes) => {
                let values = outcomes.into_iter().flatten().flatten();
                Ended::Completed(values.map(|v| number(&v)).sum::<u64>().to_string().into())
            }
        };
        Ok((ended, replay))
    }
}

fn number(value: &[u8]) -> u64 {
    String::from_utf8_lossy(value).parse().expect("a number")
}

async fn work(backend: Arc<dyn Backend>) {
    let outcomes = OutcomeCache::default();
    loop {
        for delivery in backend.queue().receive(&"ours".into(), 8, Duration::from_secs(1)).await.unwrap() {
            let limits = Limits::default();
            let site = Site {
                backend: &backend,
                handler: &Ours,
                limits: &limits,
                outcomes: &outcomes,
                gate: &Always,
                log: &brrr_protocol::records::RunLog::default(),
                observer: None,
                clock: &|| 1_000,
            };
            step(&site, &delivery, false).await.unwrap();
        }
    }
}

/// A worker of one of the existing SDKs.
#[derive(Clone)]
struct Peer {
    topic: &'static str,
    table: String,
    records: aws_sdk_dynamodb::Client,
    redis: MultiplexedConnection,
}

impl Peer {
    fn key(call: &CallHash, kind: &str) -> HashMap<String, AttributeValue> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        HashMap::from([("pk".to_owned(), text(call.as_str())), ("sk".to_owned(), text(kind))])
    }

    /// Peers never ask for a consistent read.
    async fn get(&self, call: &CallHash, kind: &str) -> Option<Bytes> {
        let found = self.records.get_item().table_name(&self.table).set_key(Some(Self::key(call, kind)));
        let item = found.send().await.unwrap().item?;
        assert_eq!(item.len(), 3, "three attributes, always: {item:?}");
        Some(item["value"].as_b().unwrap().as_ref().to_vec().into())
    }

    async fn put(&self, call: &CallHash, kind: &str, value: &[u8]) {
        let mut item = Self::key(call, kind);
        item.insert("value".to_owned(), AttributeValue::B(Blob::new(value)));
        self.records.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }

    /// Compare and swap. Returns `false` if the record was not as expected.
    async fn swap(&self, call: &CallHash, expected: Option<&Bytes>, new: Option<&[u8]>) -> bool {
        let (key, kind) = (Self::key(call, "pending_returns"), "pending_returns");
        let old = expected.map(|bytes| AttributeValue::B(Blob::new(bytes.to_vec())));
        let condition = if old.is_some() { "#v = :old" } else { "attribute_not_exists(pk)" };
        let names = old.is_some().then(|| HashMap::from([("#v".to_owned(), "value".to_owned())]));
        let values = old.map(|old| HashMap::from([(":old".to_owned(), old)]));
        let failed = if let Some(new) = new {
            let mut item = Self::key(call, kind);
            item.insert("value".to_owned(), AttributeValue::B(Blob::new(new)));
            let put = self.records.put_item().table_name(&self.table).set_item(Some(item));
            let put = put.condition_expression(condition).set_expression_attribute_names(names);
            put.set_expression_attribute_values(values).send().await.map(drop).map_err(aws_sdk_dynamodb::Error::from)
        } else {
            let delete = self.records.delete_item().table_name(&self.table).set_key(Some(key));
            let delete = delete.condition_expression(condition).set_expression_attribute_names(names);
            delete.set_expression_attribute_values(values).send().await.map(drop).map_err(aws_sdk_dynamodb::Error::from)
        };
        match failed {
            Ok(()) => true,
            Err(aws_sdk_dynamodb::Error::ConditionalCheckFailedException(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn send(&mut self, topic: &str, message: &Message) {
        cmd("INCR").arg(message_counter(&message.job_id)).exec_async(&mut self.redis).await.unwrap();
        cmd("RPUSH").arg(topic).arg(message.encode()).exec_async(&mut self.redis).await.unwrap();
    }

    /// Schedules a call as a peer's client does: under a root id without a job record.
    async fn schedule(&mut self, job_id: &JobId, call: &Call) {
        self.put(&call.hash, "call", &CallRecord::encode(&call.task, &call.payload)).await;
        self.send(call.topic.as_str(), &Message { job_id: job_id.clone(), call: call.hash.clone() }).await;
    }

    async fn work(mut self) {
        loop {
            let popped: Option<(String, String)> =
                cmd("BLPOP").arg(self.topic).arg(0.2).query_async(&mut self.redis).await.unwrap();
            if let Some((_, body)) = popped {
                self.handle(&Message::decode(body.as_bytes()).unwrap()).await;
            }
        }
    }

    async fn handle(&mut self, message: &Message) {
        let call = CallRecord::decode(&self.get(&message.call, "call").await.expect("a call")).unwrap();
        let (n, salt) = arguments(&call.payload);
        let (mut sum, mut missing) = (if n < 2 { n } else { 0 }, Vec::new());
        for child in children(n, &salt) {
            match self.get(&child.hash, "value").await {
                Some(value) => sum += number(&value),
                None => missing.push(child),
            }
        }
        if missing.is_empty() {
            return self.complete(&message.call, &sum.to_string()).await;
        }
        for child in missing {
            self.put(&child.hash, "call", &CallRecord::encode(&child.task, &child.payload)).await;
            self.register(message, &child).await;
        }
    }

    async fn register(&mut self, message: &Message, child: &Call) {
        let me = Return { job_id: message.job_id.clone(), parent: message.call.clone(), topic: self.topic.into() };
        loop {
            let found = self.get(&child.hash, "pending_returns").await;
            let mut pending = found.as_deref().map(|b| PendingReturns::decode(b).unwrap()).unwrap_or_default();
            let send = found.is_none() || pending.only_in_other_jobs(&me);
            if found.is_none() {
                pending.scheduled_at = Some(1);
            }
            let added = pending.returns.insert(me.clone());
            if !added || self.swap(&child.hash, found.as_ref(), Some(&self.encode(&pending))).await {
                if send {
                    let message = Message { job_id: me.job_id.clone(), call: child.hash.clone() };
                    self.send(child.topic.as_str(), &message).await;
                }
                return;
            }
        }
    }

    /// The two peers write the same set in different orders.
    fn encode(&self, pending: &PendingReturns) -> Vec<u8> {
        if self.topic == "python" {
            return pending.encode().to_vec();
        }
        let mut entries: Vec<&Return> = pending.returns.iter().collect();
        let joined = |r: &Return| format!("1,{},{},{}", r.job_id, r.parent, r.topic).encode_utf16().collect::<Vec<_>>();
        entries.sort_by_key(|r| joined(r));
        let text = |text: &str| format!("{}:{text}", text.len());
        let entry = |r: &&Return| {
            format!("li1e{}{}{}e", text(r.job_id.as_str()), text(r.parent.as_str()), text(r.topic.as_str()))
        };
        let at = pending.scheduled_at.map(|at| format!("12:scheduled_ati{at}e")).unwrap_or_default();
        format!("d7:returnsl{}e{at}e", entries.iter().map(entry).collect::<String>()).into_bytes()
    }

    async fn complete(&mut self, call: &CallHash, value: &str) {
        self.put(call, "value", value.as_bytes()).await;
        let mut handled = Vec::new();
        while let Some(found) = self.get(call, "pending_returns").await {
            for entry in PendingReturns::decode(&found).unwrap().returns {
                if !handled.contains(&entry) {
                    self.send(entry.topic.as_str(), &entry.message()).await;
                    handled.push(entry);
                }
            }
            if self.swap(call, Some(&found), None).await {
                return;
            }
        }
    }
}

/// A fleet of three kinds of worker, and one of our clients.
struct Fleet {
    backend: Arc<dyn Backend>,
    peer: Peer,
    tasks: tokio::task::JoinSet<()>,
    _redis: Server,
}

impl Fleet {
    async fn start() -> Option<Self> {
        let server = servers::dynamodb::shared()?;
        let redis = Flavour::Redis.start(None, &[])?;
        let url = format!("redis://127.0.0.1:{}", redis.port);
        let name = format!("peers-{:016x}", fastrand::u64(..));
        let (table, queue) = (aws::table(&name, "").await, Redis::connect(RedisOptions::new(&url)).await.unwrap());
        let queue = Arc::new(queue);
        let backend: Arc<dyn Backend> = Arc::new(Combined {
            name: name.clone(),
            store: Arc::new(table),
            queue: queue.clone(),
            counters: queue,
            events: None,
        });
        let connection = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
        let records = aws_sdk_dynamodb::Client::new(&aws::config(server.port).await);
        let peer = Peer { topic: "python", table: name, records, redis: connection };
        let mut tasks = tokio::task::JoinSet::new();
        for topic in ["python", "typescript"] {
            // A blocking command blocks its connection, so each worker has its own connection.
            let client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).unwrap();
            let redis = client.get_multiplexed_async_connection().await.unwrap();
            tasks.spawn(Peer { topic, redis, ..peer.clone() }.work());
        }
        for _ in 0..2 {
            tasks.spawn(work(backend.clone()));
        }
        Some(Self { backend, peer, tasks, _redis: redis })
    }

    /// Panics with the error of a worker, if there is one.
    async fn check(&mut self) {
        if let Some(ended) = self.tasks.try_join_next() {
            ended.expect("no worker ends");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_are_parents_children_and_clients_of_our_workers() {
    let Some(mut fleet) = Fleet::start().await else { return };
    // Shared calls: each has many parents, on all topics.
    for (salt, n, expected) in [("ours", 12, 144), ("theirs", 13, 233)] {
        let call = Call {
            hash: hash(n, salt),
            task: "fib".into(),
            payload: format!("{n}/{salt}").into(),
            topic: TOPICS[(n % 3) as usize].into(),
            options: Options::default(),
        };
        let job_id = JobId::from_random(fastrand::u128(..));
        let client = Client::new(fleet.backend.clone());
        if salt == "ours" {
            client.schedule(&NewJob::new(job_id.clone(), call.clone()), 1_000).await.unwrap();
            let outcome =
                tokio::time::timeout(Duration::from_secs(60), client.wait(&job_id, &call.hash, || 1_000)).await;
            let Ok(outcome) = outcome else {
                fleet.check().await;
                panic!("no outcome");
            };
            assert_eq!(number(&outcome.unwrap().unwrap()), expected);
        } else {
            let mut peer = fleet.peer.clone();
            peer.schedule(&job_id, &call).await;
            let value = until("the value", || async { peer.get(&call.hash, "value").await }).await;
            assert_eq!(number(&value), expected);
        }
        // The calls of all workers have a value, and no parent waits.
        for n in 0..=n {
            assert!(fleet.peer.get(&hash(n, salt), "value").await.is_some(), "fib({n})");
            let pending = until("no parent waits", || async {
                let left = fleet.peer.get(&hash(n, salt), "pending_returns").await;
                left.is_none().then_some(())
            });
            pending.await;
        }
    }
    fleet.check().await;
}

/// A peer runs `fib(2)`. It waits for `fib(1)` of another peer, and for our `fib(0)`, which fails in its job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unseen_failure_of_a_peers_child_costs_few_messages() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let call = |n: u64| Call {
        hash: hash(n, "unseen"),
        task: "fib".into(),
        payload: format!("{n}/unseen").into(),
        topic: TOPICS[(n % 3) as usize].into(),
        options: Options::default(),
    };
    let (backend, job_id) = (fleet.backend.clone(), JobId::from(format!("{FAILS}-in-this-one")));
    let messages = || async { backend.counters().incr(&message_counter(&job_id), 0).await.unwrap() };
    let mut peer = fleet.peer.clone();
    peer.schedule(&job_id, &call(2)).await;
    let doctor = Doctor::new(backend.clone());
    until("the parent is kept for a later value, and no repair would notify it", || async {
        let survey = doctor.survey(&Look { now: 1_000_000, older_than: Duration::ZERO }).await.unwrap();
        // The other call has notified the parent by then.
        let is_idle = messages().await >= 4 && survey.findings.is_empty();
        (is_idle && survey.unnotified.len() == 1).then_some(())
    })
    .await;

    // Another job computes the call, and the parent continues.
    let other = JobId::from_random(fastrand::u128(..));
    Client::new(backend.clone()).schedule(&NewJob::new(other, call(0)), 1_000).await.unwrap();
    let value = until("the value", || async { peer.get(&hash(2, "unseen"), "value").await }).await;
    assert_eq!(number(&value), 1);
    // One message of the job, one for each child, and one notification for each child. One more message: the parent asked for the
    // failed call again.
    let sent = messages().await;
    assert!(sent <= 6, "{sent} messages");
    fleet.check().await;
}
