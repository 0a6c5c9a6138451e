//! Looks at the queues from time to time, for the metrics and the health. A scrape or a probe only reads what was seen last, so
//! it costs the backend nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::model::Topic;
use brrr_protocol::ports::{Backend, Backlog};
use brrr_protocol::{Error, ErrorKind, Result};

use crate::health::{Health, LOOK};
use crate::metrics::Metrics;
use crate::topic_worker::Admission;

/// The longest pause between two looks. Probes and scrapes come about as often.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);
/// The pause after a look that has failed: the backend may be back soon.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks at the queues of some topics.
pub(crate) struct Sampler {
    pub backend: Arc<dyn Backend>,
    pub topics: Vec<Topic>,
    pub metrics: Option<Arc<Metrics>>,
    pub health: Health,
    /// `None`: a gateway without a worker.
    pub admission: Option<Arc<Admission>>,
}

/// The oldest message of a topic whose queue does not know since when it waits.
type Heads = HashMap<Topic, (String, Instant)>;

impl Sampler {
    /// Looks until the runtime ends: a worker that stops still has messages and runs.
    pub async fn run(self) {
        let mut heads = Heads::new();
        loop {
            let pause = match self.look(&mut heads).await {
                Ok(()) => self.health.period(),
                Err(error) => {
                    tracing::debug!("could not look at the queues: {error}");
                    if let Some(metrics) = &self.metrics {
                        metrics.failed("backlog", &error);
                    }
                    self.health.unreachable();
                    AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look(&self, heads: &mut Heads) -> Result<()> {
        let mut waiting = Vec::new();
        for topic in &self.topics {
            let look = tokio::time::timeout(LOOK, self.backend.queue().backlog(topic)).await;
            let late = |_| Error::new(ErrorKind::Unavailable, "backend", "count messages", "it does not answer");
            let backlog = look.map_err(late)??;
            if backlog.ready > 0 {
                waiting.push(topic.clone());
            }
            let oldest = self.age(heads, topic, &backlog);
            if let Some(metrics) = &self.metrics {
                metrics.backlog(topic, backlog.ready, backlog.delayed, oldest);
            }
        }
        let (used, most) = self.admission.as_ref().map_or((0, 0), |admission| (admission.used(), admission.most()));
        if let (Some(metrics), Some(_)) = (&self.metrics, &self.admission) {
            metrics.slots(used.into(), most.into());
        }
        self.health.looked(&waiting, self.admission.is_some() && used < most);
        Ok(())
    }

    /// How long the oldest ready message waits. `None`: this can't be known.
    fn age(&self, heads: &mut Heads, topic: &Topic, backlog: &Backlog) -> Option<Duration> {
        if let Some(since) = backlog.oldest {
            return Some(Duration::from_millis(self.backend.now().saturating_sub(since)));
        }
        let known = heads.remove(topic);
        let Some(head) = &backlog.head else { return (backlog.ready == 0).then_some(Duration::ZERO) };
        let since = known.filter(|(known, _)| known == head).map_or_else(Instant::now, |(_, since)| since);
        heads.insert(topic.clone(), (head.clone(), since));
        Some(since.elapsed())
    }
}
