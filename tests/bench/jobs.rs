//! What lists of jobs and collections cost, by the number of jobs in the store.

use std::sync::Arc;
use std::time::Duration;

use brrr_backends::BackendConfig;
use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::gc::{Collector, Plan};
use brrr_protocol::model::{Call, CallHash, JobId, Millis, system_now};
use brrr_protocol::options::Options;
use brrr_protocol::ports::{Backend, NewJob, Work};
use brrr_protocol::wire::Message;
use brrr_worker::job_list::{JobList, WantedJobs};
use brrr_worker::view::job::JobView;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::measure::{Cost, cost, median};
use crate::remote;
use crate::servers::redis::Flavour;
use crate::trees::{self, Opened};

/// How many lists are measured. The median is printed.
const LOOKS: usize = 11;

/// How many jobs are started and ended at once.
const AT_ONCE: usize = 32;

/// How many jobs ended two days ago.
const OLD: u64 = 500;

const DAY: Duration = Duration::from_hours(24);

/// The argument with which this program runs itself, with the environment of AWS.
pub const ON_DYNAMODB: &str = "jobs-on-dynamodb";

pub async fn jobs() {
    for n in [1_000, 10_000, 100_000] {
        measure("sqlite", n, trees::open("sqlite")).await;
    }
    let Some(server) = Flavour::Redis.start(None, &[]) else { return };
    for n in [1_000, 10_000, 100_000] {
        measure("redis", n, remote::open(BackendConfig::at(remote::url(&server))).await).await;
    }
    // Without a namespace peers may use the store too, and a collection makes a pass over it.
    let shared = BackendConfig::at(remote::url(&server)).open().await.expect("a backend");
    measure("redis, where peers may be", 100_000, shared).await;
    remote::run_self_on_dynamodb(ON_DYNAMODB, &server);
}

/// The part of `jobs` that runs in a separate process.
pub async fn on_dynamodb(redis: &str) {
    let store = Some(format!("dynamodb:{}", remote::TABLE));
    let config = BackendConfig { queue: Some(redis.to_owned()), store, ..BackendConfig::default() };
    config.open().await.expect("a backend").store().create().await.expect("a table");
    for n in [1_000, 10_000] {
        measure("redis + dynamodb", n, remote::open(config.clone()).await).await;
    }
    measure("redis + dynamodb, where peers may be", 10_000, config.open().await.expect("a backend")).await;
}

async fn measure(name: &str, n: u64, opened: impl Opened) {
    let backend = opened.backend();
    let filling = cost(fill(&backend, n)).await;
    let each = filling.wall.as_secs_f64() * 1e6 / n as f64;
    let cpu = filling.cpu.as_secs_f64() * 1e6 / n as f64;
    println!("{name}: {n} jobs are started and ended: {each:.1} µs, {cpu:.1} µs CPU a job");
    let text = |text: &str| Some(text.to_owned());
    let all = WantedJobs::default();
    let lists = [
        ("all", all.clone()),
        ("failed, none", WantedJobs { state: Some(State::Failed), ..all.clone() }),
        ("running, one", WantedJobs { state: Some(State::Running), ..all.clone() }),
        ("of a topic", WantedJobs { topic: text(trees::TOPIC), ..all.clone() }),
        ("of a task, the oldest", WantedJobs { task: text("first"), ..all.clone() }),
        ("of a label, the oldest", WantedJobs { label: text("first"), ..all.clone() }),
        ("before a minute ago", WantedJobs { until: Some(system_now() - 60_000), ..all }),
    ];
    for (what, wanted) in lists {
        let mut costs = Vec::new();
        for _ in 0..LOOKS {
            costs.push(cost(list(&backend, &wanted)).await);
        }
        print(&format!("  first page of {n}: {what}"), median(costs));
    }
    print(&format!("  gc that removes {OLD} of {n}"), cost(collect(&backend, DAY, OLD)).await);
    print(&format!("  gc that removes none of {n}"), cost(collect(&backend, DAY, 0)).await);
    // The last job is alive.
    print(&format!("  gc that removes {n}"), cost(collect(&backend, Duration::ZERO, n - OLD - 1)).await);
}

fn print(what: &str, cost: Cost) {
    println!("{what:<48} {:>10.2} ms   {:>10.2} ms CPU", cost.wall.as_secs_f64() * 1e3, cost.cpu.as_secs_f64() * 1e3);
}

/// Starts and ends `n` jobs, apart from the last one, which stays alive.
async fn fill(backend: &Arc<dyn Backend>, n: u64) {
    let one = async |i: u64| {
        let payload = Bytes::from(i.to_string());
        let task = if i == 0 { "first" } else { "task" };
        let hash = CallHash::derive(task, &payload);
        let options = Options::default();
        let call = Call { hash: hash.clone(), task: task.into(), payload, topic: trees::TOPIC.into(), options };
        let job_id = JobId::from_random(fastrand::u128(..));
        let options = Options { label: (i == 0).then(|| "first".to_owned()), ..Options::default() };
        let job = NewJob { options, ..NewJob::new(job_id.clone(), call) };
        let now: Millis = system_now() - if i < OLD { 2 * 24 * 3_600_000 } else { 0 };
        backend.schedule(&job, now).await.expect("accepted");
        if i + 1 < n {
            let message = Message { job_id, call: hash };
            // The messages stay in the queue until the end.
            let work = Work { message, topic: trees::TOPIC.into(), receipt: None, ends_job: true, now, log: None };
            backend.complete(&work, Bytes::from_static(b"v")).await.expect("completed");
        }
    };
    one(0).await;
    stream::iter(1..n).map(one).buffer_unordered(AT_ONCE).collect::<()>().await;
    // As a worker that acknowledges the messages of ended jobs.
    loop {
        let messages = backend.queue().receive(&trees::TOPIC.into(), 500, Duration::ZERO).await.expect("messages");
        if messages.is_empty() {
            break;
        }
        stream::iter(&messages)
            .for_each_concurrent(AT_ONCE, async |message| {
                backend.queue().ack(&message.receipt).await.expect("acknowledged")
            })
            .await;
    }
}

/// Reads what `jobs` shows on its first page.
async fn list(backend: &Arc<dyn Backend>, wanted: &WantedJobs) {
    let client = Client::new(backend.clone());
    let list = JobList { backend: &**backend, client: &client, now: client.now() };
    let page = list.page(wanted, None, 50, usize::MAX).await.expect("a page");
    JobView::of_all(&**backend, &page.jobs, list.now).await;
}

async fn collect(backend: &Arc<dyn Backend>, older_than: Duration, jobs: u64) {
    let plan = Plan { now: backend.now() + 1, older_than, dry_run: false };
    let collected = Collector::new(backend.clone()).collect(&plan, |_, _| ()).await.expect("a collection");
    assert_eq!(collected.jobs, jobs, "{collected:?}");
}
