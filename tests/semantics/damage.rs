//! Records that cannot be read, from any cause. Each message that meets such a record becomes a dead letter that names the
//! record, and the message's job ends. Nothing else is blocked.
//!
//! A case is a parent of two calls. The parent of another job also waits for one of these calls. One of their records is damaged
//! at some moment. All cases of a backend are in one store and are processed together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brrr_protocol::ErrorKind;
use brrr_protocol::model::{CallHash, FailureKind, JobId};
use brrr_protocol::ports::{Backend, Delivery, Key, Kind};
use brrr_protocol::step::Limits;
use brrr_protocol::wire::{Message, PendingReturns};

use crate::native::{Native, gather, hash, payload};
use crate::support::Kind as Backends;
use crate::world::{World, topic};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Garbage,
    Empty,
    Truncated,
    /// Valid bencode, but not a record of this kind.
    Shape,
    /// A length that makes a careless reader go back and read without end.
    Backwards,
    /// Nested a thousand times deeper than any record.
    Deep,
    NotUtf8,
    /// An entry with one element more, as a later protocol might write it.
    Longer,
}

use How::{Backwards, Deep, Empty, Garbage, Longer, NotUtf8, Shape, Truncated};

impl How {
    const ALL: [Self; 8] = [Garbage, Empty, Truncated, Shape, Backwards, Deep, NotUtf8, Longer];

    /// The kinds of damage that a backend without its own code for records may handle differently.
    const FEW: [Self; 3] = [Garbage, Backwards, Longer];

    fn is_for(self, kind: &Kind) -> bool {
        self != Longer || *kind == Kind::PendingReturns
    }

    fn damaged(self, kind: &Kind, before: &[u8]) -> Vec<u8> {
        let word: &[u8] = if self == NotUtf8 { b"2:\xff\xfe" } else { b"i1e" };
        let of_kind = |fields: [&[u8]; 2]| [fields[0], word, fields[1]].concat();
        match self {
            Garbage => b"\xff\0garbage li1e".to_vec(),
            Empty => Vec::new(),
            Truncated if before.is_empty() => b"d".to_vec(),
            Truncated => before[..before.len() * 2 / 3].to_vec(),
            Backwards => b"d-3:ee".to_vec(),
            Deep => [b"d1:a".to_vec(), vec![b'l'; 16_000]].concat(),
            Longer => PendingReturns::decode(before).unwrap().encode_longer(),
            Shape | NotUtf8 => match kind {
                Kind::Call => of_kind([b"d7:payload0:9:task_name", b"e"]),
                Kind::PendingReturns => of_kind([b"d7:returnslli1e1:r1:p", b"eee"]),
                Kind::Run(_) => of_kind([b"d5:namedi1e5:totali1e1:vi1e5:waitsl", b"ee"]),
                Kind::Job => of_kind([b"d4:call", b"5:topic1:t1:vi1ee"]),
                Kind::Failure(_) => of_kind([b"d4:kind", b"7:message0:4:task0:1:vi1ee"]),
                _ => of_kind([b"d3:job", b"1:vi1ee"]),
            },
        }
    }
}

trait EncodeLonger {
    fn encode_longer(&self) -> Vec<u8>;
}

impl EncodeLonger for PendingReturns {
    fn encode_longer(&self) -> Vec<u8> {
        let mut text = "d7:returnsl".to_owned();
        for entry in &self.returns {
            text += &format!("li1e{}:{}", entry.job_id.as_str().len(), entry.job_id);
            text += &format!("{}:{}", entry.parent.as_str().len(), entry.parent);
            text += &format!("{}:{}4:moree", entry.topic.as_str().len(), entry.topic);
        }
        (text + "ee").into_bytes()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// The parents wait, and the calls are queued.
    Waiting,
    /// The shared call is running.
    InCall,
    /// A parent is running, and has not waited yet.
    InParent,
}

/// A record of a case, by its kind and call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Call,
    CallOfParent,
    Pending,
    Run,
    RunOfParent,
    Job,
    Failure,
    LatestJob,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    what: What,
    how: How,
    when: When,
}

impl Case {
    /// All cases that are different enough to be tested.
    fn all(hows: &[How]) -> Vec<Self> {
        let moments = [
            (When::Waiting, &[What::Call, What::CallOfParent, What::Pending, What::Run][..]),
            (When::Waiting, &[What::RunOfParent, What::Job, What::Failure, What::LatestJob]),
            (When::InCall, &[What::Pending, What::RunOfParent, What::Job, What::Failure]),
            (When::InParent, &[What::Pending, What::RunOfParent, What::Job, What::Failure]),
        ];
        let mut cases = Vec::new();
        for (when, records) in moments {
            for what in records.iter().copied() {
                for how in hows.iter().copied() {
                    cases.push(Self { what, how, when });
                }
            }
        }
        cases.retain(|case| {
            // At this moment no entry exists yet that could be longer.
            case.how.is_for(&case.key().kind) && !(case.how == Longer && case.when == When::InParent)
        });
        cases
    }

    fn id(&self) -> String {
        format!("{:?}-{:?}-{:?}", self.what, self.how, self.when)
    }

    fn job_id(&self) -> JobId {
        format!("j-{}", self.id()).into()
    }

    /// The id of the other job, which also waits for the shared call.
    fn other_job_id(&self) -> JobId {
        format!("k-{}", self.id()).into()
    }

    fn parent(&self) -> CallHash {
        hash("parent", &self.id())
    }

    fn shared(&self) -> CallHash {
        hash("shared", &self.id())
    }

    fn key(&self) -> Key {
        let (job_id, parent, shared) = (self.job_id(), self.parent(), self.shared());
        match self.what {
            What::Call => Key::call(&shared),
            What::CallOfParent => Key::call(&parent),
            What::Pending => Key::pending_returns(&shared),
            What::Run => Key::run(&shared, &job_id),
            What::RunOfParent => Key::run(&parent, &job_id),
            What::Job => Key::job(&job_id),
            What::Failure => Key::failure(&shared, &job_id),
            What::LatestJob => Key::latest_job(&parent),
        }
    }

    async fn damage(&self, backend: &dyn Backend) {
        let key = self.key();
        let before = backend.store().get(&key).await.unwrap().unwrap_or_default();
        backend.store().put(&key, self.how.damaged(&key.kind, &before).into()).await.unwrap();
    }

    /// Must a dead letter name the record?
    fn needs_dead_letter(&self) -> bool {
        match self.what {
            // A damaged failure is still a failure, and its parent reports it. The record of the last job that scheduled a call
            // is only information for people.
            What::Failure | What::LatestJob => false,
            // The parent has not ended a run yet. In that state the damaged record is replaced, so there is no dead letter.
            What::RunOfParent => self.when != When::InParent,
            _ => true,
        }
    }

    /// Must the other job end? It need not end if the damage removed the only record of it.
    fn ends_other(&self) -> bool {
        self.what != What::Pending || self.how == Longer || self.when == When::InParent
    }
}

/// The damage that handlers do to records, at the first run of a call.
type Plans = Arc<Mutex<HashMap<CallHash, Case>>>;

fn handlers(backend: &Arc<dyn Backend>, plans: &Plans) -> Native {
    let planned = |backend: &Arc<dyn Backend>, plans: &Plans| {
        let (backend, plans) = (backend.clone(), plans.clone());
        move |call: CallHash| {
            let (backend, plan) = (backend.clone(), plans.lock().unwrap().remove(&call));
            async move {
                if let Some(case) = plan {
                    case.damage(&*backend).await;
                }
            }
        }
    };
    let (in_parent, in_call) = (planned(backend, plans), planned(backend, plans));
    Native::default()
        .task("parent", move |request, replay| {
            let damaged = in_parent(request.call.clone());
            Box::pin(async move {
                damaged.await;
                let id = payload(request).to_owned();
                Ok(gather("parent", replay, &[("shared", id.clone()), ("own", id)]).await?.concat())
            })
        })
        .task("other", |request, replay| {
            Box::pin(
                async move { Ok(gather("other", replay, &[("shared", payload(request).to_owned())]).await?.concat()) },
            )
        })
        .task("shared", move |request, _| {
            let damaged = in_call(request.call.clone());
            Box::pin(async move {
                damaged.await;
                Ok("s".to_owned())
            })
        })
        .task("own", |_, _| Box::pin(async { Ok("o".to_owned()) }))
}

/// A step of a worker. Reports a step that takes too long.
struct Steps<'a> {
    world: &'a World,
    handler: &'a Native,
    left: usize,
}

impl Steps<'_> {
    async fn step(&mut self, delivery: &Delivery) {
        self.left = self.left.checked_sub(1).unwrap_or_else(|| panic!("it goes round and round: {}", delivery.body));
        self.world.step(self.handler, delivery).await;
    }
}

async fn cases(kind: Backends, hows: &[How]) {
    let world = World::open(kind).await;
    let plans = Plans::default();
    let handler = handlers(&world.backend, &plans);
    let cases = Case::all(hows);
    for case in &cases {
        match case.when {
            When::Waiting => None,
            When::InCall => plans.lock().unwrap().insert(case.shared(), *case),
            When::InParent => plans.lock().unwrap().insert(case.parent(), *case),
        };
        let mut jobs = [(case.job_id(), "parent"), (case.other_job_id(), "other")];
        if case.what == What::Pending && case.when == When::InParent {
            // While a call has no description, its list of parents is not read.
            jobs.reverse();
        }
        for (job_id, task) in jobs {
            world.schedule(job_id.as_str(), task, &case.id()).await;
        }
    }
    // Run the parents first, until all of them wait.
    let mut steps = Steps { world: &world, handler: &handler, left: 40 * cases.len() };
    let (mut parents, mut held) = (2 * cases.len(), Vec::new());
    while parents > 0 {
        for delivery in world.receive().await {
            let message = Message::decode(delivery.body.as_bytes()).unwrap();
            if message.call.as_str().starts_with("parent") || message.call.as_str().starts_with("other") {
                steps.step(&delivery).await;
                parents = parents.saturating_sub(1);
            } else {
                held.push(delivery);
            }
        }
    }
    for case in cases.iter().filter(|case| case.when == When::Waiting) {
        case.damage(&*world.backend).await;
    }
    for delivery in held {
        steps.step(&delivery).await;
    }
    while world.backend.queue().depth(&topic()).await.unwrap() > 0 {
        for delivery in world.backend.queue().receive(&topic(), 16, Duration::from_secs(5)).await.unwrap() {
            steps.step(&delivery).await;
        }
    }

    let dead_letters = world.backend.queue().dead_letters(&topic(), usize::MAX).await.unwrap();
    for case in cases {
        let outcome = world.client.outcome(&case.job_id(), &case.parent()).await.unwrap();
        let outcome = outcome.unwrap_or_else(|| panic!("{kind:?} {case:?}: its job never ends"));
        if case.what != What::Job {
            assert!(world.state(&case.job_id()).await.is_some(), "{kind:?} {case:?}: its job is not over");
        }
        let key = case.key();
        let name = format!("({} of {})", key.kind.name(), key.id);
        let named = dead_letters.iter().any(|dead_letter| dead_letter.reason.contains(&name));
        assert!(named || !case.needs_dead_letter(), "{kind:?} {case:?}: no dead letter names the record");
        match case.what {
            What::LatestJob => assert!(outcome.is_ok(), "{kind:?} {case:?}: {outcome:?}"),
            What::Failure => {
                let failure = outcome.expect_err("a damaged failure is one");
                assert!(failure.kind == FailureKind::DeadLetter && failure.message.contains(&name), "{failure:?}");
            }
            _ => {}
        }
        let other = world.client.outcome(&case.other_job_id(), &hash("other", &case.id())).await.unwrap();
        assert!(other.is_some() || !case.ends_other(), "{kind:?} {case:?}: the other job never ends");
        if !matches!(case.what, What::Call | What::Pending) {
            assert_eq!(other.unwrap().unwrap(), "s", "{kind:?} {case:?}: the other job has nothing to do with it");
        }
    }
}

#[tokio::test]
async fn an_unreadable_record_causes_a_dead_letter_and_ends_its_job() {
    for kind in Backends::ALL.into_iter().filter(|kind| kind.is_there()) {
        eprintln!("on {kind:?}");
        // There are three ways to read records: multi-step, in one transaction, and by scripts in the server.
        let how = match kind {
            Backends::Memory | Backends::MemoryMultiStep | Backends::Redis => &How::ALL[..],
            // The same store as in `DynamoDb`, beside another queue.
            Backends::DynamoDbSqs | Backends::RedisDynamoDb => &[Garbage],
            _ => &How::FEW,
        };
        cases(kind, how).await;
    }
}

/// A case in which a newer version wrote a record. Unless it stays `for_ever`, a worker of that version is started in time.
async fn newer(kind: Backends, what: What, for_ever: bool) {
    let mut world = World::open_with(kind, kind.short_lease()).await;
    world.limits = Limits { max_deliveries: 2, ..Limits::default() };
    let handler = handlers(&world.backend, &Plans::default());
    let case = Case { what, how: Empty, when: When::Waiting };
    let (key, store) = (case.key(), world.backend.store());
    world.schedule(case.job_id().as_str(), "parent", &case.id()).await;
    let mut before = None;
    let mut refused = 0;
    let written = loop {
        if world.backend.queue().depth(&topic()).await.unwrap() == 0 {
            break store.get(&key).await.unwrap();
        }
        for delivery in world.backend.queue().receive(&topic(), 1, Duration::from_secs(5)).await.unwrap() {
            match world.try_step(&handler, &delivery).await {
                Err(error) if error.kind == ErrorKind::NewerRecord => {
                    assert!(error.to_string().contains("its version is 2"), "{error}");
                    refused += 1;
                    if !for_ever && let Some(before) = before.take() {
                        store.put(&key, before).await.unwrap();
                    }
                }
                step => drop(step.unwrap()),
            }
            // Damage the record as soon as the parent waits.
            if refused == 0 && before.is_none() && handler.runs("parent") == 1 {
                let old = store.get(&key).await.unwrap().unwrap_or_default();
                store.put(&key, "d3:new6:fields1:vi2ee".into()).await.unwrap();
                before = Some(old);
            }
        }
    };
    let outcome = world.client.outcome(&case.job_id(), &case.parent()).await;
    if for_ever {
        assert!(refused >= 2, "{kind:?} {what:?}: it came back {refused} times");
        assert_eq!(written.as_deref(), Some(&b"d3:new6:fields1:vi2ee"[..]), "{kind:?} {what:?}: it is as it was");
        let failure = outcome.unwrap().unwrap_or_else(|| panic!("{kind:?} {what:?}: its job never ends")).unwrap_err();
        assert!(failure.message.contains("its version is 2"), "{failure}");
        let dead_letters = world.backend.queue().dead_letters(&topic(), 10).await.unwrap();
        assert!(!dead_letters.is_empty());
    } else {
        assert!((1..3).contains(&refused), "{kind:?} {what:?}: {refused}");
        assert_eq!(outcome.unwrap().unwrap().unwrap(), "so", "{kind:?} {what:?}");
    }
}

#[tokio::test]
async fn records_of_a_newer_version_wait_for_a_newer_worker() {
    for kind in Backends::ALL.into_iter().filter(|kind| kind.is_there()) {
        eprintln!("on {kind:?}");
        newer(kind, What::RunOfParent, false).await;
        newer(kind, What::RunOfParent, true).await;
        newer(kind, What::Job, true).await;
        newer(kind, What::Failure, true).await;
    }
}
