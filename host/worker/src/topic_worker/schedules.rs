//! Starts the jobs of a topic's schedules. Every worker of the topic does this; `brrr_protocol::schedules` sees to it that each
//! tick has one job.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::Error;
use brrr_protocol::model::{Millis, Topic};
use brrr_protocol::ports::Backend;
use brrr_protocol::schedules::{LOOK_AGAIN, Look, Looker, Refused, Skipped, Started, Why};

use super::Shutdown;
use crate::disposition::backoff;
use crate::events::time;

/// Looks at the schedules of the topic when a tick is due, and once in a while, until the worker is asked to stop.
pub async fn follow_schedules(backend: Arc<dyn Backend>, topic: Topic, shutdown: Shutdown) {
    let mut looker = Looker::new(backend.clone(), topic.clone());
    let mut failures = Failures::default();
    while shutdown.begun().is_none() {
        let look = looker.look(backend.now()).await;
        report(&topic, &look);
        let pause = match &look.failed {
            Some(error) => failures.add(&topic, error),
            None => {
                failures = Failures::default();
                until_next(look.next, backend.now())
            }
        };
        tokio::select! {
            biased;
            _ = shutdown.wait() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How long until the next look.
fn until_next(next: Option<Millis>, now: Millis) -> Duration {
    next.map_or(LOOK_AGAIN, |next| Duration::from_millis(next.saturating_sub(now)).min(LOOK_AGAIN))
}

/// The looks that have failed, one after the other.
#[derive(Default)]
struct Failures {
    times: u32,
    /// What was logged last. A record that can't be read is not told of every ten seconds.
    told: String,
}

impl Failures {
    /// Logs a failure. Returns how long to wait.
    fn add(&mut self, topic: &Topic, error: &Error) -> Duration {
        self.times = self.times.saturating_add(1);
        let pause = if error.is_transient() { backoff(self.times) } else { LOOK_AGAIN };
        let text = error.to_string();
        if text != self.told {
            tracing::warn!("the schedules of topic {topic} are not followed: {text}; trying again");
            self.told = text;
        }
        pause
    }
}

fn report(topic: &Topic, look: &Look) {
    for Started { name, tick, job_id } in &look.started {
        tracing::debug!("schedule {name} of topic {topic}: job {job_id} for {}", time(*tick));
    }
    for Skipped { name, tick, why } in &look.skipped {
        let tick = time(*tick);
        match why {
            Why::Missed => tracing::warn!(
                "schedule {name} of topic {topic}: no worker was there for the tick of {tick}, and now it is too late \
                 (catch-up)"
            ),
            Why::Overlap => tracing::info!(
                "schedule {name} of topic {topic}: the tick of {tick} starts no job, because the job before is alive"
            ),
            Why::Superseded => {
                tracing::info!(
                    "schedule {name} of topic {topic}: the tick of {tick} starts no job, because a later one does"
                );
            }
        }
    }
    for Refused { job: Started { name, tick, job_id }, error } in &look.refused {
        tracing::error!("schedule {name} of topic {topic}: job {job_id} for {} can't be started: {error}", time(*tick));
    }
}

#[cfg(test)]
mod tests {
    use brrr_protocol::ErrorKind;

    use super::*;

    #[test]
    fn the_next_look_is_at_the_next_tick_or_soon() {
        let ms = Duration::from_millis;
        assert_eq!(until_next(Some(1_500), 1_000), ms(500));
        assert_eq!(until_next(Some(900), 1_000), Duration::ZERO);
        assert_eq!([until_next(None, 1_000), until_next(Some(10_000_000), 1_000)], [LOOK_AGAIN; 2]);
    }

    #[test]
    fn failures_are_retried_ever_later() {
        let mut failures = Failures::default();
        let error = |kind| Error::new(kind, "test", "look", "no");
        let pauses: Vec<_> = (0..20).map(|_| failures.add(&"t".into(), &error(ErrorKind::Unavailable))).collect();
        assert!(pauses.is_sorted() && pauses[0] < LOOK_AGAIN && pauses[19] <= LOOK_AGAIN, "{pauses:?}");
        assert_eq!(Failures::default().add(&"t".into(), &error(ErrorKind::Malformed)), LOOK_AGAIN);
    }
}
