//! What stays.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::calls::PAGE;
use super::{Collector, MESSAGE_LIFE, Plan, Reason};
use crate::doctor::bits;
use crate::error::Result;
use crate::listing::Listing;
use crate::model::{CallHash, Millis, Root, Topic};
use crate::ports::{Key, Kind};
use crate::records::JobRecord;
use crate::wire::{Message, PendingReturns};

/// Dead letters of a topic whose calls stay, so that they can be sent again.
const DEAD: usize = 10_000;

/// A job that ended long ago.
pub(super) struct Old {
    pub root: Root,
    pub top: CallHash,
}

/// What stays, and what may go. Calls and jobs by 64 bits of their names: two that share these both stay.
#[derive(Default)]
pub(super) struct Marks {
    pub old: Vec<Old>,
    /// The calls that stay.
    pub calls: HashSet<u64>,
    /// Calls of old jobs that had their value before it was looked what lives. No other one is removed, see `note_values`.
    pub removable: HashSet<u64>,
    /// Jobs of which a message or a waiting call is left.
    pub busy: HashSet<u64>,
    pub reason: Option<Reason>,
    /// The jobs that were looked at.
    known: HashSet<u64>,
    topics: BTreeSet<Topic>,
}

impl Marks {
    /// A reason that keeps everything goes over one that keeps values.
    fn because(&mut self, reason: Reason) {
        if self.reason.is_none() || matches!(self.reason, Some(Reason::Peers(_))) {
            self.reason = Some(reason);
        }
    }

    /// Must everything stay?
    pub fn keep_all(&self) -> bool {
        matches!(self.reason, Some(Reason::Unnamed(_) | Reason::Damaged(_)))
    }
}

impl Collector {
    /// Finds what stays. Jobs first: those that begin while the rest is looked at are looked at once more, see `mark_new`.
    pub(super) async fn mark(&self, plan: &Plan) -> Result<Marks> {
        let mut marks = Marks::default();
        let mut topics = Listing::of(self.backend.store(), Kind::Tasks);
        while let Some(page) = topics.next().await? {
            marks.topics.extend(page.into_iter().map(Topic::from));
        }
        // Of any topic: whether there is one doesn't matter.
        let can_look = self.backend.queue().look_through(&Topic::from("-"), &mut |_, _| ()).await?;
        let least = if can_look { Duration::ZERO } else { MESSAGE_LIFE };
        let age = u64::try_from(plan.older_than.max(least).as_millis()).unwrap_or(u64::MAX);
        let until = plan.now.checked_sub(age);
        let live = self.sort_jobs(&mut marks, until).await?;
        self.note_values(&mut marks).await?;
        for (root, job) in live {
            self.mark_job(&mut marks, &root, &job).await?;
        }
        self.mark_waiting(&mut marks).await?;
        self.mark_queued(&mut marks).await?;
        Ok(marks)
    }

    /// Marks what jobs need that began since the last look.
    pub(super) async fn mark_new(&self, marks: &mut Marks) -> Result<()> {
        for (root, job) in self.sort_jobs(marks, None).await? {
            self.mark_job(marks, &root, &job).await?;
        }
        Ok(())
    }

    /// Notes which calls of old jobs have a value, before it is looked what lives.
    ///
    /// A call that has none yet may be asked for by a live job after that was looked at, and get its value for it; who waits
    /// for that must find it. One that has its value by now is waited for by nobody who is not seen then.
    async fn note_values(&self, marks: &mut Marks) -> Result<()> {
        let mut seen = HashSet::new();
        for job in &marks.old {
            let calls = self.calls(&job.root, &job.top).await?.all;
            let new: Vec<CallHash> = calls.into_iter().filter(|call| seen.insert(bits(call.as_str()))).collect();
            for page in new.chunks(PAGE) {
                let keys: Vec<Key> = page.iter().map(Key::value).collect();
                let found = self.backend.store().has_many(&keys).await?;
                let there = page.iter().zip(found).filter(|(_, there)| *there);
                marks.removable.extend(there.map(|(call, _)| bits(call.as_str())));
            }
        }
        Ok(())
    }

    /// Puts the jobs that had ended by `until` among the old ones; the others that were not looked at before.
    async fn sort_jobs(&self, marks: &mut Marks, until: Option<Millis>) -> Result<Vec<(Root, JobRecord)>> {
        let mut others = Vec::new();
        let mut jobs = Listing::of(self.backend.store(), Kind::Job);
        while let Some(ids) = jobs.next().await? {
            let new: Vec<Root> = ids.into_iter().filter(|id| marks.known.insert(bits(id))).map(Root::from).collect();
            for page in new.chunks(PAGE) {
                let keys: Vec<Key> = page.iter().map(Key::job).collect();
                for (root, bytes) in page.iter().zip(self.backend.store().get_many(&keys).await?) {
                    let Some(bytes) = bytes else { continue };
                    let Ok(job) = JobRecord::decode(&bytes) else {
                        marks.because(Reason::Damaged(root.clone()));
                        continue;
                    };
                    // Of an old one too: of a job that was cancelled messages may be left, and nobody may have announced its topic.
                    marks.topics.insert(job.topic.clone());
                    match (ended(&job), until) {
                        (Some(ended), Some(until)) if ended <= until => {
                            marks.old.push(Old { root: root.clone(), top: job.call });
                        }
                        _ => others.push((root.clone(), job)),
                    }
                }
            }
        }
        Ok(others)
    }

    async fn mark_job(&self, marks: &mut Marks, root: &Root, job: &JobRecord) -> Result<()> {
        let calls = self.calls(root, &job.call).await?;
        marks.calls.extend(calls.all.iter().map(|call| bits(call.as_str())));
        if calls.unnamed && ended(job).is_none() {
            marks.because(Reason::Unnamed(root.clone()));
        }
        Ok(())
    }

    /// What somebody waits for stays, and the jobs for which.
    async fn mark_waiting(&self, marks: &mut Marks) -> Result<()> {
        let store = self.backend.store();
        let mut jobs: HashMap<Root, bool> = HashMap::new();
        let mut waited_for = Listing::of(store, Kind::PendingReturns);
        while let Some(ids) = waited_for.next().await? {
            for page in ids.chunks(PAGE) {
                marks.calls.extend(page.iter().map(|id| bits(id)));
                let keys: Vec<Key> = page.iter().map(|id| Key::new(id, Kind::PendingReturns)).collect();
                for bytes in store.get_many(&keys).await?.into_iter().flatten() {
                    // Whoever waits in one that does not decode is found by nobody else either.
                    let Ok(pending) = PendingReturns::decode(&bytes) else { continue };
                    for entry in pending.returns {
                        marks.busy.insert(bits(entry.root.as_str()));
                        marks.calls.insert(bits(entry.parent.as_str()));
                        marks.topics.insert(entry.topic);
                        if !jobs.contains_key(&entry.root) {
                            let ours = store.get(&Key::job(&entry.root)).await?.is_some();
                            jobs.insert(entry.root.clone(), ours);
                            if !ours {
                                marks.because(Reason::Peers(entry.root));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What has a message stays, and its job; what has a dead letter too.
    async fn mark_queued(&self, marks: &mut Marks) -> Result<()> {
        let queue = self.backend.queue();
        for topic in marks.topics.clone() {
            let (calls, busy) = (&mut marks.calls, &mut marks.busy);
            let mut visit = |body: &str| {
                if let Ok(message) = Message::decode(body.as_bytes()) {
                    calls.insert(bits(message.call.as_str()));
                    busy.insert(bits(message.root.as_str()));
                }
            };
            queue.look_through(&topic, &mut |body, _| visit(body)).await?;
            queue.dead_letters(&topic, DEAD).await?.iter().for_each(|letter| visit(&letter.body));
        }
        Ok(())
    }
}

/// When a job ended. Where nobody wrote that down, it was after it began.
fn ended(job: &JobRecord) -> Option<Millis> {
    job.end.map(|end| end.at.max(job.created))
}
