//! Replays calls that are over with other code, and compares: does it ask for the same calls, and give the same value? Nothing is
//! written, and nothing is granted, so nothing happens to the world.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use brrr_protocol::Result;
use brrr_protocol::client::Client;
use brrr_protocol::model::{Call, CallHash, JobId, Topic};
use brrr_protocol::ports::{Backend, Ended, Handler as _, Key, Loaded, Request, Work};
use brrr_protocol::records::RunRecord;
use brrr_protocol::replay::Replay;
use brrr_protocol::wire::{CallRecord, Message};
use bytes::Bytes;

use crate::job_list::{JobList, WantedJobs};
use crate::wasm::{Output, OutputLine, WasmHandler};

/// How many jobs are listed at once.
const PAGE: usize = 50;

/// The most characters of a payload or value in a text.
const SHOWN: usize = 200;

/// The most calls that are looked at for each one that is compared. Most calls of a backend may be of other tasks.
const LOOKED_AT: usize = 50;

/// What was compared.
#[derive(Debug, Default)]
pub struct Verified {
    /// The number of calls that were replayed.
    pub compared: usize,
    /// The number of calls that could not be compared, because values that they need were removed.
    pub unknown: usize,
    /// What the other code does in another way, the newest calls first.
    pub differences: Vec<Difference>,
}

/// A call that the other code answers in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The job in which the call was compared.
    pub job_id: JobId,
    /// The call.
    pub call: CallHash,
    /// Its task and the beginning of its payload.
    pub what: String,
    /// What it did: a line that begins with `-`.
    pub before: String,
    /// What the other code does: a line that begins with `+`.
    pub now: String,
}

/// Replays the latest calls of a handler's tasks.
pub struct Verifier<'a> {
    /// The backend with the calls.
    pub backend: Arc<dyn Backend>,
    /// The other code.
    pub handler: &'a WasmHandler,
    /// The code that runs the topic's calls now, if it is known. It tells all calls that a call makes. The records of a call
    /// name only those that it had to wait for.
    pub before: Option<&'a WasmHandler>,
    /// The topic whose code it is to be.
    pub topic: Topic,
}

/// What a replay showed.
enum Compared {
    Alike,
    Unknown,
    Different { before: String, now: String },
}

/// One run of a call.
struct Replayed {
    ended: Ended,
    /// The calls that it asked for, in the order of asking.
    asked: Vec<CallHash>,
    /// The calls that it waits for, if it does.
    waits_for: Vec<Call>,
}

impl Replayed {
    /// What it asked for, if it gave this value. Otherwise this is not the code that gave it.
    fn calls_if_it_gives(self, value: &Bytes) -> Option<Vec<CallHash>> {
        matches!(self.ended, Ended::Completed(given) if given == *value).then_some(self.asked)
    }
}

impl Verifier<'_> {
    /// Compares at most `most` calls that have a value, of the newest jobs first. Leaves are not run.
    ///
    /// # Errors
    /// When the backend can't be read.
    pub async fn verify(&self, most: usize) -> Result<Verified> {
        let client = Client::new(self.backend.clone());
        let list = JobList { backend: &*self.backend, client: &client, now: client.now() };
        let wanted = WantedJobs { topic: Some(self.topic.to_string()), ..WantedJobs::default() };
        let (mut verified, mut seen, mut after) = (Verified::default(), HashSet::new(), None);
        while verified.compared < most && seen.len() < most.saturating_mul(LOOKED_AT) {
            let page = list.page(&wanted, after, PAGE, usize::MAX).await?;
            for listed in &page.jobs {
                self.job(&listed.job_id, &listed.job.call, most, &mut seen, &mut verified).await?;
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(verified)
    }

    /// Compares the calls of a job, from the top.
    async fn job(
        &self,
        job_id: &JobId,
        top: &CallHash,
        most: usize,
        seen: &mut HashSet<CallHash>,
        verified: &mut Verified,
    ) -> Result<()> {
        let mut calls = VecDeque::from([top.clone()]);
        while let Some(call) = calls.pop_front() {
            if verified.compared >= most || !seen.insert(call.clone()) {
                continue;
            }
            let message = Message { job_id: job_id.clone(), call: call.clone() };
            let now = self.backend.now();
            let work = Work { message, topic: self.topic.clone(), receipt: None, ends_job: false, now, log: None };
            let loaded = self.backend.load(&work).await?;
            calls.extend(children(&loaded));
            let (Some(record), Some(Ok(value))) = (&loaded.call, &loaded.outcome) else { continue };
            if self.handler.is_leaf(&record.task) != Some(false) {
                continue;
            }
            let what = shown(record);
            match self.compare(&work, &loaded, record, value).await? {
                Compared::Unknown => verified.unknown += 1,
                Compared::Alike => verified.compared += 1,
                Compared::Different { before, now } => {
                    verified.compared += 1;
                    verified.differences.push(Difference { job_id: job_id.clone(), call, what, before, now });
                }
            }
        }
        Ok(())
    }

    async fn compare(&self, work: &Work, loaded: &Loaded, call: &CallRecord, value: &Bytes) -> Result<Compared> {
        let Some(new) = self.replay(self.handler, work, loaded, call).await? else { return Ok(Compared::Unknown) };
        let exactly = match self.before {
            Some(before) => self.replay(before, work, loaded, call).await?.and_then(|old| old.calls_if_it_gives(value)),
            None => None,
        };
        let is_exact = exactly.is_some();
        let recorded = exactly.unwrap_or_else(|| children(loaded));
        if let Ended::Failed { failure, .. } = &new.ended {
            let now = format!("fails: {}: {}", failure.kind.as_str(), line(&failure.message));
            return Ok(Compared::Different { before: format!("gives {}", text(value)), now });
        }
        let lost = recorded.iter().find(|call| !new.asked.contains(call));
        let novel = new.waits_for.iter().find(|call| !recorded.contains(&call.hash));
        let added = match novel {
            Some(call) => Some(shown(&CallRecord { task: call.task.clone(), payload: call.payload.clone() })),
            // The record names only children that were waited for, so another one is known to be new only by the code.
            None => match new.asked.iter().find(|call| is_exact && !recorded.contains(call)) {
                Some(call) => Some(self.describe(call).await?),
                None => None,
            },
        };
        const ABSENT: &str = "does not make this call";
        Ok(match (new.ended, lost, added) {
            // It waits for what it waited for before, and the value of that was removed.
            (Ended::Suspended, _, None) => Compared::Unknown,
            (_, Some(lost), Some(added)) => Compared::Different {
                before: format!("calls {}", self.describe(lost).await?),
                now: format!("calls {added}"),
            },
            (_, None, Some(added)) => Compared::Different { before: ABSENT.to_owned(), now: format!("calls {added}") },
            (Ended::Completed(now), ..) if now != *value => {
                Compared::Different { before: format!("gives {}", text(value)), now: format!("gives {}", text(&now)) }
            }
            (_, Some(lost), None) => {
                Compared::Different { before: format!("calls {}", self.describe(lost).await?), now: ABSENT.to_owned() }
            }
            (_, None, None) => Compared::Alike,
        })
    }

    /// Runs a call once. `None`: the code has no such task.
    async fn replay(
        &self,
        handler: &WasmHandler,
        work: &Work,
        loaded: &Loaded,
        call: &CallRecord,
    ) -> Result<Option<Replayed>> {
        let Some(task) = handler.task(&call.task) else { return Ok(None) };
        let run = loaded.run.as_ref();
        let request = Request {
            task: call.task.clone(),
            payload: call.payload.clone(),
            call: work.message.call.clone(),
            job_id: work.message.job_id.clone(),
            topic: self.topic.clone(),
            attempt: run.map_or(1, |run| run.attempt.max(1)),
            deadline: loaded.job.as_ref().map_or(0, |job| job.deadline),
            timeout: task.options.timeout,
            memory: task.options.memory,
        };
        let replay = Replay::new(self.backend.clone(), work, loaded, work.now).with_scopes(handler.scopes());
        let (ended, mut replay) = handler.run(request, replay).await?;
        let waits_for = match ended {
            Ended::Suspended => replay.take_wait().map(|wait| wait.calls).unwrap_or_default(),
            _ => Vec::new(),
        };
        let asked = replay.polls().flat_map(|(calls, ..)| calls).cloned().collect();
        Ok(Some(Replayed { ended, asked, waits_for }))
    }

    async fn describe(&self, call: &CallHash) -> Result<String> {
        let found = self.backend.store().get(&Key::call(call)).await?;
        let record = found.and_then(|bytes| CallRecord::decode(&bytes).ok());
        Ok(record
            .map_or_else(|| format!("a call that no record describes ({})", call.short()), |record| shown(&record)))
    }
}

/// The calls that a call has made, as far as its record names them.
fn children(loaded: &Loaded) -> Vec<CallHash> {
    let run = loaded.run.iter();
    run.flat_map(RunRecord::asked_for).cloned().collect()
}

fn shown(call: &CallRecord) -> String {
    format!("{} {}", line(&call.task), text(&call.payload))
}

fn text(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN + 1).collect();
    let cut: String = text.chars().take(SHOWN).collect();
    line(&if cut.len() < text.len() { format!("{cut}…") } else { cut })
}

fn line(text: &str) -> String {
    crate::text::line(text).into_owned()
}

/// What replays print was printed before.
#[derive(Debug)]
pub struct Silent;

impl Output for Silent {
    fn write(&self, _: OutputLine<'_>) {}
}
