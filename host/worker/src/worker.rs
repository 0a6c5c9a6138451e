//! A worker of some topics. `brrr-host run` is such a worker, and other programs can embed one.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::Client as ProtocolClient;
use brrr_protocol::model::Topic;
use brrr_protocol::ports::Backend;
use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::builder::{WorkerBuilder, WorkerError};
use crate::client::Client;
use crate::gateway::{Front, Gateway, Origin, Page, Token};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::panics;
use crate::sampling::Sampler;
use crate::served::ServedTopic;
use crate::topic_worker::{
    Identity, Shutdown, TopicState, TopicWorker, WorkerOptions, follow_schedules, repair_periodically, say_that_it_runs,
};

/// A worker that is ready to run.
///
/// ```no_run
/// use brrr_worker::{Call, Worker};
///
/// # async fn example() -> Result<(), brrr_worker::WorkerError> {
/// Worker::builder()
///     .backend("sqlite:app.db")
///     .topic("demo")
///     .handler("double", |call: Call| async move {
///         let n: u64 = call.argument("n")?;
///         Ok(2 * n)
///     })
///     .run()
///     .await
/// # }
/// ```
pub struct Worker {
    pub(crate) name: String,
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) served: Vec<ServedTopic>,
    pub(crate) options: WorkerOptions,
    pub(crate) gateway: Option<(Front, Option<Token>)>,
    pub(crate) origins: Vec<Origin>,
    /// The token with which clients of the gateway push code. `None`: they can't.
    pub(crate) push_token: Option<Token>,
    pub(crate) page: Page,
    pub(crate) repair_interval: Option<Duration>,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) health: Health,
}

/// How long a worker waits at its end for a look at its schedules.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl Worker {
    /// Begins to configure a worker.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }

    /// A client of the worker's backend.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.backend.clone())
    }

    /// Controls the worker's end: `worker.shutdown().begin(StopReason::Requested)` stops the worker.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// The topics with their handlers, which can be replaced while the worker runs.
    #[must_use]
    pub fn served(&self) -> &[ServedTopic] {
        &self.served
    }

    /// Works until it is asked to stop, and then until every run has ended or its message was given back.
    ///
    /// # Errors
    /// When the backend needs to be repaired by a person: the file is read-only, the disk is full, …
    pub async fn run(self) -> Result<(), WorkerError> {
        let topics: Vec<Topic> = self.served.iter().map(|served| served.topic.clone()).collect();
        // Nobody else asks how the worker does.
        if self.gateway.is_some() || self.metrics.is_some() || self.health.is_watched() {
            let (metrics, health, admission) =
                (self.metrics.clone(), self.health.clone(), Some(self.options.admission.clone()));
            let sampler = Sampler { backend: self.backend.clone(), topics: topics.clone(), metrics, health, admission };
            tokio::spawn(sampler.run());
        }
        self.health.serves(&self.shutdown);
        let gateway = self.gateway.map(|(front, token)| {
            if let Some(address) = front.address() {
                tracing::info!("gateway on http://{address}");
            }
            let gateway = Gateway::new(ProtocolClient::new(self.backend.clone()), self.backend.clone(), topics, token);
            let gateway = gateway.allowing_origins(self.origins).taking_code(self.push_token).with_page(self.page);
            let shutdown = self.shutdown.clone();
            tokio::spawn(async move { gateway.serve_behind(front, &shutdown).await })
        });
        let identity = Identity::new(&self.name, self.backend.now(), self.options.admission.most());
        let start = |ServedTopic { topic, handler, revisions, components, accepts_code, .. }: &ServedTopic| {
            let (options, shutdown) = (self.options.clone(), self.shutdown.clone());
            let (backend, identity) = (self.backend.clone(), identity.clone().accepting_code(*accepts_code));
            let worker = TopicWorker::new(backend.clone(), handler.clone(), topic.clone(), options, shutdown.clone());
            let worker = worker.watched_by(self.metrics.clone(), Some(self.health.clone()));
            let (working, ended) = oneshot::channel::<()>();
            // The end of the run drops the sender.
            let ended = async { drop(ended.await) };
            let state =
                TopicState { gauge: worker.gauge(), revisions: revisions.clone(), components: components.clone() };
            let heart = say_that_it_runs(backend, topic.clone(), identity, state, shutdown, ended);
            let heart = tokio::spawn(heart);
            // Each worker is a task of its own, so that it runs in parallel to the others and not on the thread that
            // only waits.
            let worker = tokio::spawn(async move {
                let _working = working;
                worker.run().await
            });
            (worker, heart)
        };
        let (workers, hearts): (Vec<_>, Vec<_>) = self.served.iter().map(start).unzip();
        let follow = |ServedTopic { topic, .. }: &ServedTopic| {
            tokio::spawn(follow_schedules(self.backend.clone(), topic.clone(), self.shutdown.clone()))
        };
        let schedules: Vec<_> = self.served.iter().map(follow).collect();
        if let Some(interval) = self.repair_interval {
            tokio::spawn(repair_periodically(self.backend.clone(), interval, self.shutdown.clone()));
        }
        // A worker that stops by itself asks the others to stop.
        let ended = join_all(workers).await;
        // A look that is under way is let end. If it does not, another worker goes on with it.
        let _ = tokio::time::timeout(LAST_LOOK, join_all(schedules)).await;
        // A worker that is not taken off the list now is taken off a little later.
        let _ = tokio::time::timeout(LAST_LOOK, join_all(hearts)).await;
        // This drops the last observer, because no more events come.
        drop(self.options);
        if let Some(gateway) = gateway {
            gateway.await.map_err(|error| panicked("gateway", error))?;
        }
        for worker in ended {
            worker.map_err(|error| panicked("topic", error))??;
        }
        Ok(())
    }
}

/// Why a task of the runtime has no result. Nothing cancels it, so it panicked.
fn panicked(part: &'static str, error: JoinError) -> WorkerError {
    let text = match error.try_into_panic() {
        Ok(panic) => panics::text(&*panic).to_owned(),
        Err(error) => error.to_string(),
    };
    WorkerError::Panicked { part, text }
}
