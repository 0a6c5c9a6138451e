//! Finds out what must stay.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::calls::{GcJob, PAGE, TOGETHER};
use super::{Collector, MESSAGE_LIFE, Plan, Reason};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::{LIST, Listing};
use crate::model::{CallHash, JobId, Millis, Topic};
use crate::ports::{Key, Kind};
use crate::records::{JobRecord, SchedulesRecord};
use crate::wire::{Message, PendingReturns};

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
    pub reason: Option<Reason>,
    /// The jobs that were already looked at.
    known: HashSet<u64>,
    topics: BTreeSet<Topic>,
    /// The position of the newest job that was looked at, in the store's order. `None`: the store keeps no such order.
    newest: Option<u64>,
}

impl Marks {
    /// Notes a reason. A reason that keeps everything replaces one that keeps only values.
    fn because(&mut self, reason: Reason) {
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
        let mut topics = Listing::of(self.backend.store(), Kind::Tasks);
        while let Some(page) = topics.next().await? {
            marks.topics.extend(page.into_iter().map(Topic::from));
        }
        // The answer is the same for every topic, even for one that does not exist.
        let can_look = self.backend.queue().look_through(&Topic::from("-"), &mut |_, _| ()).await?;
        let least = if can_look { Duration::ZERO } else { MESSAGE_LIFE };
        let age = u64::try_from(plan.older_than.max(least).as_millis()).unwrap_or(u64::MAX);
        let until = plan.now.checked_sub(age);
        // This is read before the jobs are listed. `mark_new` looks at the jobs that begin later.
        let newest = self.backend.store().newest_jobs(None, 1).await?;
        marks.newest = newest.map(|jobs| jobs.first().map_or(0, |job| job.position));
        let live = self.sort_all(&mut marks, until).await?;
        self.note_values(&mut marks).await?;
        self.mark_jobs(&mut marks, &live).await?;
        self.mark_waiting(&mut marks).await?;
        self.mark_queued(&mut marks).await?;
        self.mark_starting(&mut marks).await?;
        Ok(marks)
    }

    /// Marks what is needed by jobs that began since the last look. Returns how many jobs were listed for that.
    pub(super) async fn mark_new(&self, marks: &mut Marks) -> Result<usize> {
        let Some(newest) = marks.newest else {
            let new = self.sort_all(marks, None).await?;
            self.mark_jobs(marks, &new).await?;
            return Ok(marks.known.len());
        };
        let (mut before, mut listed) = (None, 0);
        loop {
            let Some(page) = self.backend.store().newest_jobs(before, LIST).await? else { break };
            let full = page.len() >= LIST;
            let new: Vec<_> = page.into_iter().take_while(|job| job.position > newest).collect();
            let (Some(first), Some(last)) = (new.first(), new.last()) else { break };
            marks.newest = marks.newest.max(Some(first.position));
            before = Some(last.position);
            let more = full && new.len() >= LIST;
            listed += new.len();
            let ids = new.into_iter().map(|job| job.job_id.to_string()).collect();
            let others = self.sort(marks, ids, None).await?;
            self.mark_jobs(marks, &others).await?;
            if !more {
                break;
            }
        }
        Ok(listed)
    }

    /// Notes which calls of old jobs have a value. This is done before the calls of live jobs are read.
    ///
    /// A live job may ask later for a call that has no value yet, and the call may get its value for that job. The waiting
    /// parent must find that value. If a call already has its value here, every parent that waits for it is seen later, when
    /// the calls of live jobs are read.
    async fn note_values(&self, marks: &mut Marks) -> Result<()> {
        let mut seen = HashSet::new();
        for jobs in marks.old.chunks(TOGETHER) {
            let calls = self.calls(jobs).await?.into_iter().flat_map(|calls| calls.all);
            let new: Vec<CallHash> = calls.filter(|call| seen.insert(bits(call.as_str()))).collect();
            for page in new.chunks(PAGE) {
                let keys: Vec<Key> = page.iter().map(Key::value).collect();
                let found = self.backend.store().has_many(&keys).await?;
                let there = page.iter().zip(found).filter(|(_, there)| *there);
                marks.removable.extend(there.map(|(call, _)| bits(call.as_str())));
            }
        }
        Ok(())
    }

    /// The same as `sort`, for all jobs.
    async fn sort_all(&self, marks: &mut Marks, until: Option<Millis>) -> Result<Vec<Other>> {
        let mut others = Vec::new();
        let mut jobs = Listing::of(self.backend.store(), Kind::Job);
        while let Some(ids) = jobs.next().await? {
            others.extend(self.sort(marks, ids, until).await?);
        }
        Ok(others)
    }

    /// Adds the jobs that had ended by `until` to the old jobs, and returns the others. Jobs that were looked at before are
    /// left out.
    async fn sort(&self, marks: &mut Marks, ids: Vec<String>, until: Option<Millis>) -> Result<Vec<Other>> {
        let mut others = Vec::new();
        let new: Vec<String> = ids.into_iter().filter(|id| marks.known.insert(bits(id))).collect();
        for page in new.chunks(PAGE) {
            let keys: Vec<Key> = page.iter().map(|id| Key::new(id, Kind::Job)).collect();
            for (id, bytes) in page.iter().zip(self.backend.store().get_many(&keys).await?) {
                let Some(bytes) = bytes else { continue };
                let Ok(record) = JobRecord::decode(&bytes) else {
                    marks.because(Reason::Damaged(id.as_str().into()));
                    continue;
                };
                // The topics of old jobs are needed too: a cancelled job may have left messages, and perhaps no worker has
                // announced its topic.
                marks.topics.insert(record.topic.clone());
                let ended = ended(&record);
                let job = GcJob { job_id: id.as_str().into(), top: record.call };
                match (ended, until) {
                    (Some(ended), Some(until)) if ended <= until => marks.old.push(job),
                    _ => others.push(Other { job, is_over: ended.is_some() }),
                }
            }
        }
        Ok(others)
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

    /// Marks the calls that a parent waits for, the parents, and their jobs.
    async fn mark_waiting(&self, marks: &mut Marks) -> Result<()> {
        let store = self.backend.store();
        let mut jobs: HashMap<JobId, bool> = HashMap::new();
        let mut waited_for = Listing::of(store, Kind::PendingReturns);
        while let Some(ids) = waited_for.next().await? {
            for page in ids.chunks(PAGE) {
                marks.calls.extend(page.iter().map(|id| bits(id)));
                let keys: Vec<Key> = page.iter().map(|id| Key::new(id, Kind::PendingReturns)).collect();
                for bytes in store.get_many(&keys).await?.into_iter().flatten() {
                    // If this record does not decode, nothing else finds its parents either.
                    let Ok(pending) = PendingReturns::decode(&bytes) else { continue };
                    for entry in pending.returns {
                        marks.busy.insert(bits(entry.job_id.as_str()));
                        marks.calls.insert(bits(entry.parent.as_str()));
                        marks.topics.insert(entry.topic);
                        if !jobs.contains_key(&entry.job_id) {
                            let ours = store.get(&Key::job(&entry.job_id)).await?.is_some();
                            jobs.insert(entry.job_id.clone(), ours);
                            if !ours {
                                marks.because(Reason::Peers(entry.job_id));
                            }
                        }
                    }
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

/// When a job ended. If the time was not written down, the job ended after it began.
fn ended(job: &JobRecord) -> Option<Millis> {
    job.end.map(|end| end.at.max(job.created))
}
