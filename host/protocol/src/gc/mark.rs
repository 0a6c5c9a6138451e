//! Finds out what must stay.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::calls::{GcJob, PAGE, TOGETHER};
use super::waiting::WaitedFor;
use super::{Collector, MESSAGE_LIFE, Plan, Reason};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::{JobListing, Listing};
use crate::model::{CallHash, Millis, Topic};
use crate::ports::{IndexedJob, IndexedState, JobFilter, JobOrder, JobQuery, Key, Kind};
use crate::records::{JobRecord, JobState, SchedulesRecord};
use crate::wire::Message;

/// The number of dead letters of a topic whose calls stay, so that the dead letters can be sent again.
const MAX_DEAD_LETTERS: usize = 10_000;

/// What must stay, and what may be removed. Calls and jobs are kept as 64 bits of a hash of their names. If two names have the
/// same bits, both stay.
#[derive(Default)]
pub(super) struct Marks {
    /// Jobs that ended long ago.
    pub old: Vec<GcJob>,
    /// The calls that must stay.
    pub calls: HashSet<u64>,
    /// Calls of old jobs that had their value before the calls of live jobs were read. No value of another call is removed, see
    /// `note_values`.
    pub removable: HashSet<u64>,
    /// Jobs that still have a message or a waiting call, or that a schedule may yet start.
    pub busy: HashSet<u64>,
    /// All waiting parents were looked through. Otherwise those are looked at that wait for the calls of a job before it is removed.
    pub waiting_seen: bool,
    pub reason: Option<Reason>,
    /// The jobs that were already looked at.
    known: HashSet<u64>,
    /// The topics that may have messages of old jobs.
    pub topics: BTreeSet<Topic>,
    /// The position of the newest job that was looked at, in the store's order. 0: there was no job.
    newest: u64,
}

impl Marks {
    /// Notes a reason. A reason that keeps everything replaces one that keeps only values.
    pub fn because(&mut self, reason: Reason) {
        if self.reason.is_none() || matches!(self.reason, Some(Reason::Peers(_))) {
            self.reason = Some(reason);
        }
    }

    /// True if everything must stay.
    pub fn keep_all(&self) -> bool {
        matches!(self.reason, Some(Reason::Unnamed(_) | Reason::Damaged(_)))
    }
}

impl Collector {
    /// Finds out what must stay. Jobs are read first. Jobs that begin meanwhile are read later, see `mark_new`.
    pub(super) async fn mark(&self, plan: &Plan) -> Result<Marks> {
        let mut marks = Marks::default();
        // The answer is the same for every topic, even for one that does not exist.
        let can_look = self.backend.queue().look_through(&Topic::from("-"), &mut |_, _| ()).await?;
        let least = if can_look { Duration::ZERO } else { MESSAGE_LIFE };
        let age = u64::try_from(plan.older_than.max(least).as_millis()).unwrap_or(u64::MAX);
        let Some(until) = plan.now.checked_sub(age) else { return Ok(marks) };
        // This is read before the jobs are listed. `mark_new` looks at the jobs that begin later.
        let newest = self.backend.store().jobs(&JobQuery { limit: 1, ..JobQuery::default() }).await?;
        marks.newest = newest.jobs.first().map_or(0, |job| job.position);
        let mut others = self.sort_old(&mut marks, until).await?;
        if marks.old.is_empty() {
            return Ok(marks);
        }
        let mut topics = Listing::of(self.backend.store(), Kind::Tasks);
        while let Some(page) = topics.next().await? {
            marks.topics.extend(page.into_iter().map(Topic::from));
        }
        for state in IndexedState::ALL.into_iter().filter(|state| *state != IndexedState::Over(JobState::Completed)) {
            others.extend(self.sort_state(&mut marks, state).await?);
        }
        let all_named = self.note_values(&mut marks).await?;
        self.mark_jobs(&mut marks, &others).await?;
        if self.backend.store().may_have_peers() || !all_named {
            self.mark_waiting(&mut marks, WaitedFor::All, plan).await?;
            marks.waiting_seen = true;
        }
        self.mark_queued(&mut marks).await?;
        self.mark_starting(&mut marks).await?;
        Ok(marks)
    }

    /// Marks what is needed by jobs that began since the last look. Returns how many jobs were listed for that.
    pub(super) async fn mark_new(&self, marks: &mut Marks) -> Result<usize> {
        let store = self.backend.store();
        let since = (marks.newest / 1_000).saturating_sub(store.jobs_come_late_by());
        let filter = JobFilter { since: Some(since), ..JobFilter::default() };
        let (mut jobs, mut listed) = (JobListing::of(store, filter, JobOrder::NewestFirst), 0);
        while let Some(page) = jobs.next().await? {
            listed += page.len();
            marks.newest = page.iter().map(|job| job.position).fold(marks.newest, u64::max);
            let new = sort(marks, page, None);
            self.mark_jobs(marks, &new.others).await?;
        }
        Ok(listed)
    }

    /// Finds the jobs that had ended by `until`, the oldest first. Returns the jobs among them that had not. The jobs are in the
    /// order of their acceptance. A job that was created after `until` has not ended by then, so the search ends at a page of such
    /// jobs. (Not at the first of them: clocks differ a little.)
    async fn sort_old(&self, marks: &mut Marks, until: Millis) -> Result<Vec<Other>> {
        let mut others = Vec::new();
        let mut jobs = JobListing::of(self.backend.store(), JobFilter::default(), JobOrder::OldestFirst);
        while let Some(page) = jobs.next().await? {
            let sorted = sort(marks, page, Some(until));
            others.extend(sorted.others);
            if !sorted.was_created {
                break;
            }
        }
        Ok(others)
    }

    /// The jobs in one state that were not looked at before.
    ///
    /// Of the jobs that are over, those need their values that did not complete: a retry does not run again what succeeded. A
    /// completed job needs the values of its own call only, and `latest_job` keeps that. So a completed job is never looked at while
    /// it is young, and a collection costs the same however many of them there are.
    async fn sort_state(&self, marks: &mut Marks, state: IndexedState) -> Result<Vec<Other>> {
        let mut others = Vec::new();
        let filter = JobFilter { state: Some(state), ..JobFilter::default() };
        let mut jobs = JobListing::of(self.backend.store(), filter, JobOrder::OldestFirst);
        while let Some(page) = jobs.next().await? {
            others.extend(sort(marks, page, None).others);
        }
        Ok(others)
    }

    /// Notes which calls of old jobs have a value. This is done before the calls of live jobs are read.
    ///
    /// A live job may ask later for a call that has no value yet, and the call may get its value for that job. The waiting
    /// parent must find that value. If a call already has its value here, every parent that waits for it is seen later, when
    /// the calls of live jobs are read.
    ///
    /// Returns false if an old job may have more calls than its records name.
    async fn note_values(&self, marks: &mut Marks) -> Result<bool> {
        let (mut seen, mut all_named) = (HashSet::new(), true);
        for jobs in marks.old.chunks(TOGETHER) {
            let calls = self.calls(jobs).await?;
            all_named &= !calls.iter().any(|calls| calls.unnamed);
            let calls = calls.into_iter().flat_map(|calls| calls.all);
            let new: Vec<CallHash> = calls.filter(|call| seen.insert(bits(call.as_str()))).collect();
            for page in new.chunks(PAGE) {
                let keys: Vec<Key> = page.iter().map(Key::value).collect();
                let found = self.backend.store().has_many(&keys).await?;
                let there = page.iter().zip(found).filter(|(_, there)| *there);
                marks.removable.extend(there.map(|(call, _)| bits(call.as_str())));
            }
        }
        Ok(all_named)
    }

    async fn mark_jobs(&self, marks: &mut Marks, others: &[Other]) -> Result<()> {
        for others in others.chunks(TOGETHER) {
            let jobs: Vec<GcJob> = others.iter().map(|other| other.job.clone()).collect();
            for (other, calls) in others.iter().zip(self.calls(&jobs).await?) {
                marks.calls.extend(calls.all.iter().map(|call| bits(call.as_str())));
                if calls.unnamed && !other.is_over {
                    marks.because(Reason::Unnamed(other.job.job_id.clone()));
                }
            }
        }
        Ok(())
    }

    /// Marks the jobs that workers may yet start for a schedule, although they have ended. Without its record such a job would be
    /// started again.
    async fn mark_starting(&self, marks: &mut Marks) -> Result<()> {
        let store = self.backend.store();
        let mut topics = Listing::of(store, Kind::Schedules);
        while let Some(page) = topics.next().await? {
            for topic in page {
                let Some(bytes) = store.get(&Key::schedules(&topic.into())).await? else { continue };
                // If this record does not decode, no worker starts a job of it.
                let Ok(record) = SchedulesRecord::decode(&bytes) else { continue };
                let starting = record.schedules.values().flat_map(|schedule| &schedule.starting);
                marks.busy.extend(starting.map(|starting| bits(starting.job_id.as_str())));
            }
        }
        Ok(())
    }

    /// Marks the calls and jobs that have a message or a dead letter.
    async fn mark_queued(&self, marks: &mut Marks) -> Result<()> {
        let queue = self.backend.queue();
        for topic in marks.topics.clone() {
            let (calls, busy) = (&mut marks.calls, &mut marks.busy);
            let mut visit = |body: &str| {
                if let Ok(message) = Message::decode(body.as_bytes()) {
                    calls.insert(bits(message.call.as_str()));
                    busy.insert(bits(message.job_id.as_str()));
                }
            };
            queue.look_through(&topic, &mut |body, _| visit(body)).await?;
            queue.dead_letters(&topic, MAX_DEAD_LETTERS).await?.iter().for_each(|dead_letter| visit(&dead_letter.body));
        }
        Ok(())
    }
}

/// A job that stays.
struct Other {
    job: GcJob,
    is_over: bool,
}

/// What a page of jobs has.
#[derive(Default)]
struct Sorted {
    others: Vec<Other>,
    /// One of the jobs was created by `until`.
    was_created: bool,
}

/// Adds the jobs that had ended by `until` to the old jobs, and returns the others. Jobs that were looked at before are left out.
fn sort(marks: &mut Marks, page: Vec<IndexedJob>, until: Option<Millis>) -> Sorted {
    let mut sorted = Sorted::default();
    for IndexedJob { job_id, record, .. } in page {
        if !marks.known.insert(bits(job_id.as_str())) {
            continue;
        }
        let Ok(record) = JobRecord::decode(&record) else {
            marks.because(Reason::Damaged(job_id));
            continue;
        };
        // The topics of old jobs are needed too: a cancelled job may have left messages, and perhaps no worker has announced its
        // topic.
        marks.topics.insert(record.topic.clone());
        sorted.was_created |= until.is_some_and(|until| record.created <= until);
        let ended = ended(&record);
        let job = GcJob { job_id, top: record.call };
        match (ended, until) {
            (Some(ended), Some(until)) if ended <= until => marks.old.push(job),
            _ => sorted.others.push(Other { job, is_over: ended.is_some() }),
        }
    }
    sorted
}

/// When a job ended. If the time was not written down, the job ended after it began.
fn ended(job: &JobRecord) -> Option<Millis> {
    job.end.map(|end| end.at.max(job.created))
}
