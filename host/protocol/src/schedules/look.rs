//! One look of a worker at the schedules of its topic.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;

use super::decide::{self, Skipped};
use super::start::{Place, Refused, Started, Starts};
use super::{GRACE, Timetable, millis};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::model::{JobId, Millis, Topic};
use crate::ports::{Backend, Key};
use crate::records::{Overlap, SchedulesRecord, Starting};

/// Looks at the schedules of one topic, again and again.
pub struct Looker {
    backend: Arc<dyn Backend>,
    topic: Topic,
    timetable: Timetable,
    /// The record of the latest look, and when there is something to do if it stays as it is.
    seen: Option<(Option<Bytes>, Option<Millis>)>,
}

/// What a look has found and done.
#[derive(Debug, Default)]
pub struct Look {
    /// The jobs that were started, also those that other workers have left.
    pub started: Vec<Started>,
    /// The ticks that passed without a job.
    pub skipped: Vec<Skipped>,
    /// The jobs that can't be started.
    pub refused: Vec<Refused>,
    /// What has ended the look early. The record can't be read if it is `Malformed` or `NewerRecord`.
    pub failed: Option<Error>,
    /// When the next look is due, in milliseconds since the Unix epoch. `None`: nothing will be due unless somebody changes the
    /// schedules.
    pub next: Option<Millis>,
}

impl Looker {
    /// Looks at the schedules of this topic.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, topic: Topic) -> Self {
        Self { backend, topic, timetable: Timetable::default(), seen: None }
    }

    /// Starts the jobs of all ticks that are due at `now`, by the backend's clock. Any number of workers may look at once. After a
    /// failure the same look can be made again, at any time and by any worker.
    pub async fn look(&mut self, now: Millis) -> Look {
        let mut look = Look::default();
        if let Err(error) = self.try_look(now, &mut look).await {
            self.seen = None;
            look.failed = Some(error);
        }
        look
    }

    async fn try_look(&mut self, now: Millis, look: &mut Look) -> Result<()> {
        let place = Place { backend: &self.backend, topic: &self.topic };
        let found = self.backend.store().get(&Key::schedules(&self.topic)).await?;
        if let Some((seen, next)) = &self.seen
            && *seen == found
            && next.is_none_or(|next| next > now)
        {
            look.next = *next;
            return Ok(());
        }
        let mut read = place.decode(found)?;
        loop {
            let left = left_by_others(&read.record, now, &mut self.timetable);
            if !left.is_empty() {
                look.take(place.start(&mut read, &left, now).await?)?;
                continue;
            }
            let alive = alive(&self.backend, &read.record, now, &mut self.timetable).await?;
            let decision = decide::decide(&mut read.record, &self.topic, now, &alive, &mut self.timetable);
            if decision.is_changed && !place.replace(&mut read).await? {
                continue;
            }
            look.skipped.extend(decision.skipped);
            if !decision.start.is_empty() {
                look.take(place.start(&mut read, &decision.start, now).await?)?;
            }
            look.next = decide::next(&read.record, &mut self.timetable);
            self.seen = Some((read.bytes, look.next));
            return Ok(());
        }
    }
}

impl Look {
    fn take(&mut self, starts: Starts) -> Result<()> {
        self.started.extend(starts.started);
        self.refused.extend(starts.refused);
        starts.failed.map_or(Ok(()), Err)
    }
}

/// The jobs that another worker has decided to start and has not started, as far as it can be known. If the next tick depends on
/// them, they are started now: nothing can be cancelled before it is scheduled, and only then it can be seen whether it is alive.
fn left_by_others(record: &SchedulesRecord, now: Millis, timetable: &mut Timetable) -> Vec<(String, Starting)> {
    let mut left = Vec::new();
    for (name, schedule) in &record.schedules {
        let is_next = schedule.spec.overlap != Overlap::Allow && decide::is_due(schedule, now, timetable);
        let is_left = |starting: &&Starting| is_next || starting.since.saturating_add(millis(GRACE)) <= now;
        left.extend(schedule.starting.iter().filter(is_left).map(|starting| (name.clone(), starting.clone())));
    }
    left
}

/// Those jobs that are alive, of the jobs that the next decision asks for.
async fn alive(
    backend: &Arc<dyn Backend>,
    record: &SchedulesRecord,
    now: Millis,
    timetable: &mut Timetable,
) -> Result<HashSet<JobId>> {
    let client = Client::new(backend.clone());
    let mut alive = HashSet::new();
    for job_id in decide::previous_jobs(record, now, timetable) {
        match client.is_alive(&job_id, now).await {
            Ok(true) => drop(alive.insert(job_id)),
            Ok(false) => {}
            // Nothing of this job will run any more: its messages become dead letters.
            Err(error) if error.is_unreadable() => tracing::warn!("job {job_id} of a schedule counts as over: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(alive)
}
