//! One run of a call: the calls that it asks for, and the outcomes that it gets. These are the same in every replay.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::identity::{compare, conflict_in_run};
use crate::model::{Call, CallHash, JobId, Millis, Outcome, PROMISE, Topic, size_of_outcome};
use crate::options::{Options, Scope, Scopes};
use crate::outcome_cache::KnownOutcomes;
use crate::ports::{Backend, Key, Loaded, NewJob, Work};
use crate::records::{ClockMove, Decision, RunLog, RunRecord, SAMPLE};

/// A call as a guest asks for it.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The name of the task to call.
    pub task: String,
    /// The arguments, as the codec of the guest encoded them.
    pub payload: Bytes,
    /// `None`: the topic of the call that asks.
    pub topic: Option<Topic>,
    /// The identity of the call, if the guest chose it.
    pub hash: Option<CallHash>,
    /// If it did not: the hash that a peer's worker gives this call. `None`: the host's own, of task and payload. The call's scope
    /// is hashed into it.
    pub peer_hash: Option<CallHash>,
    /// How the call is to be run.
    pub options: Options,
    /// The call is the top call of a job of its own. The poll does not wait for it: its outcome is the id of that job, as JSON.
    pub detached: bool,
}

impl Invocation {
    /// The promise of this name.
    #[must_use]
    pub fn promise(name: &str) -> Self {
        let payload = Bytes::copy_from_slice(name.as_bytes());
        let (topic, hash, peer_hash, options) = (None, None, None, Options::default());
        Self { task: PROMISE.to_owned(), payload, topic, hash, peer_hash, options, detached: false }
    }
}

/// When a poll is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// When all calls have their outcome, or one has failed.
    #[default]
    All,
    /// When so many calls have their outcome.
    Some(u32),
    /// When at least one call has its outcome, and it is worth another run: all have their outcome, or one has failed, or some
    /// have been there for a while.
    Progress,
}

/// The calls that a run waits for, and the time that it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// The calls without an outcome, each once, in the order in which the run asked for them. A run that only sleeps waits for
    /// none.
    pub calls: Vec<Call>,
    /// The number of these calls that must have an outcome before it is worth running the call again.
    pub need: u32,
    /// The time at which it is worth running the call again whatever is there, in milliseconds since the Unix epoch. 0: there
    /// is no such time.
    pub until: Millis,
    /// It is also worth running the call again as soon as one of these calls has failed.
    pub fast: bool,
    /// It is also worth running the call again when some outcomes have been there for so long, in milliseconds. 0: it is not.
    pub pace: Millis,
}

/// The answer to a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// One entry for each call. Exactly as many entries have an outcome as the poll needed, or fewer if its time has passed.
    Ready(Vec<Option<Outcome>>),
    /// There are not enough outcomes. The handler must drop the run.
    Suspended,
}

/// The shape of one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Poll {
    calls: usize,
    want: Want,
    /// The time of the poll had passed before it was made: it only looks at what is there.
    is_peek: bool,
}

/// The number of bytes of output that a call has printed. A replay prints again what an earlier run has printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Printed {
    before: u64,
    now: u64,
}

impl Printed {
    /// The position in the output of the attempt: how many bytes this run has printed.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.now
    }

    /// Counts `bytes` more bytes of output. Returns how many of them an earlier run has already printed.
    pub fn already_printed(&mut self, bytes: usize) -> usize {
        let left = self.before.saturating_sub(self.now);
        self.now += bytes as u64;
        usize::try_from(left).unwrap_or(usize::MAX).min(bytes)
    }
}

/// A job that a run starts.
#[derive(Clone, Debug)]
pub struct Detached {
    /// The hash of its top call for all jobs.
    pub hash: CallHash,
    /// The job.
    pub job: NewJob,
}

/// The state of one run.
pub struct Replay {
    backend: Arc<dyn Backend>,
    job_id: JobId,
    /// The call that is run.
    call: CallHash,
    /// The number of messages that each of its detached jobs may send.
    max_messages: u64,
    /// How many detached jobs this run has asked for.
    detached: u32,
    /// Those of them that no earlier run has started.
    detached_jobs: Vec<Detached>,
    /// The job whose calls of the scope `job` this job shares. `None`: only its own.
    scope_id: Option<JobId>,
    /// The scope of calls for which nothing else says one.
    job_scope: Option<Scope>,
    topic: Topic,
    known: KnownOutcomes,
    /// Calls that this run looked for and that had no outcome. For this run they have none until it ends.
    absent: HashSet<CallHash>,
    /// Calls that earlier runs asked for and whose outcomes this run has not read. A replay asks for all of them, so they are
    /// read together when the first one is needed.
    ahead: Vec<CallHash>,
    /// Calls that the previous run waited for at its end and that this run has not asked for yet. This run must ask for them.
    expected: HashSet<CallHash>,
    asked: Vec<CallHash>,
    /// The first call of a replay that the previous run had not asked for and that has no outcome. The run may have asked for
    /// it in addition to the other calls, or in place of one of them.
    novel: Option<Box<Call>>,
    /// A digest of the task and payload that this run asked for under each call hash.
    identities: HashMap<CallHash, u64>,
    digests: RandomState,
    /// Calls that had no outcome when this run first asked for them. They were not compared with their `call` records.
    uncompared: HashSet<CallHash>,
    before: RunRecord,
    decisions: Vec<Decision>,
    /// When the attempt was first run.
    first: Millis,
    /// When this run began, by the clock of its worker.
    began: Millis,
    /// The clock that the handler sees. It moves only when the run gets beyond a poll at which an earlier run stopped.
    clock: Millis,
    /// These moves of the clock.
    moves: Vec<ClockMove>,
    /// The poll at which the previous run stopped. This run may be the first one that gets beyond it.
    stopped: Option<u32>,
    polls: Vec<Poll>,
    /// How often this run was given fewer outcomes than it wanted because one of them is a failure.
    early: u32,
    /// How many of the latest polls in a row were given some outcomes of those that they wanted.
    looks: u32,
    scopes: Arc<Scopes>,
    printed: u64,
    log: RunLog,
    wait: Option<Wait>,
    /// The number of bytes that all this takes (about), and the number that it may take.
    kept: usize,
    room: usize,
}

/// Bytes that each call takes beside its hash.
const ASKED: usize = 64;

/// The number of `call` records that are read at once. It is small because other programs decide how large these records are.
const COMPARED_AT_ONCE: usize = 16;

impl Replay {
    /// The state at the beginning of a run. `loaded` says what earlier runs of this attempt have left. `began` is the time now.
    #[must_use]
    pub fn new(backend: Arc<dyn Backend>, work: &Work, loaded: &Loaded, began: Millis) -> Self {
        let before = loaded.run.clone().unwrap_or_default();
        let first = if before.first > 0 { before.first } else { began };
        let mut replay = Self {
            backend,
            job_id: work.message.job_id.clone(),
            call: work.message.call.clone(),
            max_messages: loaded.job.as_ref().map_or(0, |job| job.max_messages),
            detached: 0,
            detached_jobs: Vec::new(),
            topic: work.topic.clone(),
            kept: 0,
            room: usize::MAX,
            known: KnownOutcomes::default(),
            absent: HashSet::new(),
            ahead: before.earlier.clone(),
            expected: before.sample.iter().cloned().collect(),
            asked: Vec::new(),
            novel: None,
            identities: HashMap::new(),
            digests: RandomState::new(),
            uncompared: HashSet::new(),
            decisions: before.decisions.clone(),
            began,
            first,
            clock: first,
            moves: before.moves.clone(),
            stopped: before.is_waiting().then_some(before.stopped),
            before,
            polls: Vec::new(),
            early: 0,
            looks: 0,
            scope_id: loaded.job.as_ref().and_then(|job| job.scope.clone()),
            job_scope: loaded.job.as_ref().and_then(|job| job.options.scope),
            scopes: Arc::default(),
            printed: 0,
            log: RunLog::default(),
            wait: None,
        };
        for (call, outcome) in replay.before.sample.clone().into_iter().zip(&loaded.sample) {
            replay.learn(call, outcome.clone());
        }
        replay.kept = replay.known.bytes();
        replay
    }

    /// Gives the run the outcomes that an earlier run of the same attempt got.
    #[must_use]
    pub fn with_known(mut self, known: KnownOutcomes) -> Self {
        let loaded = std::mem::replace(&mut self.known, known);
        for (call, outcome) in loaded {
            self.known.insert(call, outcome);
        }
        self.kept = self.known.bytes();
        self
    }

    /// The outcomes that this run got, for the next run of the same attempt.
    #[must_use]
    pub fn into_known(self) -> KnownOutcomes {
        self.known
    }

    fn learn(&mut self, call: CallHash, outcome: Option<Outcome>) {
        match outcome {
            Some(outcome) => self.known.insert(call, outcome),
            None => drop(self.absent.insert(call)),
        }
    }

    /// Limits the bytes that the run may make its host remember: the outcomes that it got, and the calls that it asked for.
    /// Without a limit a guest could poll without end, or wait for many small results that take too much memory together.
    #[must_use]
    pub fn with_room(self, bytes: u64) -> Self {
        Self { room: usize::try_from(bytes).unwrap_or(usize::MAX), ..self }
    }

    /// Says which scopes the tasks of this worker have.
    #[must_use]
    pub fn with_scopes(self, scopes: Arc<Scopes>) -> Self {
        Self { scopes, ..self }
    }

    /// Says where the run logs to. Without this, what it logs is kept nowhere.
    #[must_use]
    pub fn with_log(self, log: RunLog) -> Self {
        Self { log, ..self }
    }

    /// Where the run logs to. A handler adds each line that no earlier run of the attempt has shown (`printed`).
    #[must_use]
    pub fn log(&self) -> &RunLog {
        &self.log
    }

    /// When this run began, in milliseconds since the Unix epoch, by the clock of its worker.
    #[must_use]
    pub fn began(&self) -> Millis {
        self.began
    }

    fn keep(&mut self, bytes: usize) -> Result<()> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept <= self.room {
            return Ok(());
        }
        let why = "the calls that it asks for and their results take more memory than it may have";
        Err(Error::new(ErrorKind::Limit, "protocol", "give a run what it asks for", why))
    }

    /// Answers a poll: returns the outcomes of `calls` that are wanted. The answer is the same in every run.
    ///
    /// Detached calls have their outcome at once, whatever else is there. If a poll for `some(n)` has more than n of them, the
    /// first n are started: no job starts whose id the run is not given.
    ///
    /// When the time `until` (in milliseconds since the Unix epoch) has passed, the answer has the outcomes that are there, and
    /// they may be fewer. A poll without calls is a sleep: it needs `until`.
    ///
    /// # Errors
    /// When the backend can't be read. `Limit` if the run has no room for what it asks for. `Conflict` if a call hash stands
    /// for another call.
    pub async fn poll(&mut self, calls: Vec<Invocation>, want: Want, until: Option<Millis>) -> Result<Polled> {
        if !calls.iter().any(|call| call.detached) {
            return self.poll_awaited(calls, want, until).await;
        }
        let (mut outcomes, mut awaited) = (vec![None; calls.len()], Vec::new());
        let mut left = if let Want::Some(need) = want { need } else { u32::MAX };
        for (index, call) in calls.into_iter().enumerate() {
            if !call.detached {
                awaited.push((index, call));
            } else if left > 0 {
                left -= 1;
                outcomes[index] = Some(self.detach(call)?);
            }
        }
        let (indices, awaited): (Vec<usize>, Vec<Invocation>) = awaited.into_iter().unzip();
        if awaited.is_empty() || left == 0 {
            return Ok(Polled::Ready(outcomes));
        }
        let (want, until) = match want {
            Want::All => (want, until),
            Want::Some(_) => (Want::Some(left), until),
            // There is progress already. So this poll takes what else is there, as if its time had passed.
            Want::Progress => (want, Some(0)),
        };
        let Polled::Ready(found) = self.poll_awaited(awaited, want, until).await? else { return Ok(Polled::Suspended) };
        for (index, outcome) in indices.into_iter().zip(found) {
            outcomes[index] = outcome;
        }
        Ok(Polled::Ready(outcomes))
    }

    async fn poll_awaited(&mut self, calls: Vec<Invocation>, want: Want, until: Option<Millis>) -> Result<Polled> {
        let calls: Vec<Call> = calls.into_iter().map(|call| self.identify(call)).collect();
        self.keep(ASKED + calls.iter().map(|c| ASKED + c.hash.as_str().len()).sum::<usize>())?;
        self.note_identities(&calls)?;
        for call in &calls {
            self.expected.remove(&call.hash);
            self.asked.push(call.hash.clone());
        }
        self.read_unknown(&calls).await?;

        let there: Vec<bool> = calls.iter().map(|c| self.known.contains(&c.hash)).collect();
        if let Some(wait) = self.wait_for_decided(&calls, &there) {
            self.polls.push(Poll { calls: calls.len(), want, is_peek: false });
            self.wait = Some(wait);
            return Ok(Polled::Suspended);
        }
        let has_failed = calls.iter().any(|c| self.known.get(&c.hash).is_some_and(Outcome::is_err));
        let Some(chosen) = self.choose(&there, want, has_failed, until)? else {
            self.wait = Some(self.missing(calls, &there, want, until));
            return Ok(Polled::Suspended);
        };
        let outcome = |(index, call): (usize, Call)| {
            chosen.get(index).copied().unwrap_or(false).then(|| self.known.get(&call.hash).cloned()).flatten()
        };
        Ok(Polled::Ready(calls.into_iter().enumerate().map(outcome).collect()))
    }

    /// Sleeps until the handler's clock shows `until`: a poll without calls, which needs nothing of the backend.
    ///
    /// # Errors
    /// `Limit` if the run has no room for another poll.
    pub fn sleep(&mut self, until: Millis) -> Result<Polled> {
        self.keep(ASKED)?;
        if self.choose(&[], Want::All, false, Some(until))?.is_some() {
            return Ok(Polled::Ready(Vec::new()));
        }
        self.wait = Some(missing(Vec::new(), &[], 0, Some(until)));
        Ok(Polled::Suspended)
    }

    /// An earlier run was given outcomes that are not there any more, because they were removed since. What the run waits for
    /// then.
    fn wait_for_decided(&self, calls: &[Call], there: &[bool]) -> Option<Wait> {
        let poll = self.polls.len() as u32;
        let decision = self.decisions.iter().find(|d| d.poll == poll)?;
        let is_lost = |(index, _): &(u32, &Call)| decision.chosen.contains(index) && !there[*index as usize];
        let lost: Vec<Call> = (0..).zip(calls).filter(is_lost).map(|(_, call)| call.clone()).collect();
        let (count, none_there) = (lost.len(), vec![false; lost.len()]);
        (count > 0).then(|| missing(lost, &none_there, count, None))
    }

    /// What a wait for `want` needs that begins now.
    fn missing(&self, calls: Vec<Call>, there: &[bool], want: Want, until: Option<Millis>) -> Wait {
        let wait = missing(calls, there, needed(want, there.len()), until);
        let fast = !matches!(want, Want::Some(_)) && self.early < MOST_EARLY && !wait.calls.is_empty();
        Wait { fast, pace: if want == Want::Progress { pace(self.looks) } else { 0 }, ..wait }
    }

    /// The positions of the poll whose outcomes the guest gets: the choice of an earlier run; or else the first positions that
    /// have an outcome, if they are enough; or else, if the time of the poll has passed, all that have an outcome. `None`: the
    /// run must wait.
    fn choose(
        &mut self,
        there: &[bool],
        want: Want,
        has_failed: bool,
        until: Option<Millis>,
    ) -> Result<Option<Vec<bool>>> {
        let poll = self.polls.len() as u32;
        let is_peek = !there.is_empty() && until.is_some_and(|until| until <= self.clock);
        self.polls.push(Poll { calls: there.len(), want, is_peek });
        let clock = self.clock_after(poll);
        if let Some(decision) = self.decisions.iter().find(|d| d.poll == poll) {
            let chosen: Vec<bool> = (0..there.len()).map(|i| decision.chosen.contains(&(i as u32))).collect();
            self.move_clock(poll, clock);
            self.count(&chosen, want, has_failed);
            return Ok(Some(chosen));
        }
        let is_sleep = there.is_empty() && until.is_some();
        let some = there.iter().filter(|there| **there).count();
        let need = needed(want, there.len());
        let is_enough = !is_sleep
            && match want {
                Want::Progress => some > 0 || there.is_empty(),
                Want::All if has_failed && self.early < MOST_EARLY => true,
                Want::All | Want::Some(_) => some >= need,
            };
        if !is_enough && until.is_none_or(|until| until > clock) {
            return Ok(None);
        }
        self.move_clock(poll, clock);
        let mut left = need;
        let chosen: Vec<bool> = there
            .iter()
            .map(|t| {
                *t && left > 0 && {
                    left -= 1;
                    true
                }
            })
            .collect();
        self.count(&chosen, want, has_failed);
        let indices: Vec<u32> = (0..).zip(&chosen).filter(|(_, c)| **c).map(|(index, _)| index).collect();
        // If a poll got all outcomes, every replay gets them: outcomes do not vanish.
        if indices.len() < there.len() {
            self.keep(ASKED + indices.len() * size_of::<u32>())?;
            self.decisions.push(Decision { poll, chosen: indices });
        }
        Ok(Some(chosen))
    }

    /// Counts a poll that was given only some of the outcomes that it wanted.
    fn count(&mut self, chosen: &[bool], want: Want, has_failed: bool) {
        let is_partial = !matches!(want, Want::Some(_)) && chosen.contains(&false);
        self.early += u32::from(is_partial && has_failed);
        self.looks = if is_partial { self.looks.saturating_add(1) } else { 0 };
    }

    /// The clock after this poll, if the run gets beyond it. If an earlier run stopped there, it is the time at which the run
    /// began that got beyond it. It never goes back, whatever the clocks of the workers say.
    fn clock_after(&self, poll: u32) -> Millis {
        // The moves are sorted by poll. A handler that waits very often has very many.
        let moved = self.moves.binary_search_by_key(&poll, |moved| moved.poll).ok().map(|index| self.moves[index].to);
        let began = self.is_first_beyond(poll).then_some(self.began);
        moved.or(began).unwrap_or(self.clock).max(self.clock)
    }

    fn move_clock(&mut self, poll: u32, to: Millis) {
        self.clock = to;
        if self.is_first_beyond(poll) {
            self.moves.push(ClockMove { poll, to });
        }
    }

    /// Did the previous run stop at this poll, and no run get beyond it?
    fn is_first_beyond(&self, poll: u32) -> bool {
        self.stopped == Some(poll) && self.moves.last().is_none_or(|last| last.poll < poll)
    }

    /// The clock that the handler sees now, in milliseconds since the Unix epoch. It is the same at the same place of every
    /// replay.
    #[must_use]
    pub fn clock(&self) -> Millis {
        self.clock
    }

    /// How much output the call has printed. This run has printed nothing yet.
    #[must_use]
    pub fn printed(&self) -> Printed {
        Printed { before: self.before.printed, now: self.printed }
    }

    /// Records how much the run has printed.
    pub fn has_printed(&mut self, printed: Printed) {
        self.printed = printed.now;
    }

    /// The calls of each poll of this run so far, what each poll wanted, and whether it only looked at what is there.
    pub fn polls(&self) -> impl Iterator<Item = (&[CallHash], Want, bool)> {
        let mut rest = self.asked.as_slice();
        self.polls.iter().map(move |poll| {
            let (calls, later) = rest.split_at(poll.calls);
            rest = later;
            (calls, poll.want, poll.is_peek)
        })
    }

    /// What the run waits for, after a poll was answered with `Suspended`.
    #[must_use]
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// The same as `wait`, for a caller that does not need the replay any more.
    pub fn take_wait(&mut self) -> Option<Wait> {
        self.wait.take()
    }

    /// The first call that the previous run waited for at its end and that this run did not ask for, and the first call that
    /// this run asked for in its place.
    #[must_use]
    pub fn first_difference(&self) -> Option<(&CallHash, Option<&Call>)> {
        let old = self.before.sample.iter().find(|call| self.expected.contains(*call))?;
        Some((old, self.novel.as_deref()))
    }

    /// The `run` record that a failed run leaves if the call is to be tried again. The next attempt has its own clock and
    /// random numbers, and its output is shown from the beginning.
    #[must_use]
    pub fn next_attempt(&self, digest: String, not_before: Millis, why: String) -> RunRecord {
        let mut seen = HashSet::new();
        let asked = self.asked.iter().filter(|call| !self.uncompared.contains(*call));
        let known = self.before.sample.iter().chain(&self.before.earlier).chain(asked);
        RunRecord {
            attempt: self.before.attempt.max(1).saturating_add(1),
            digest,
            earlier: known.filter(|call| seen.insert(*call)).take(SAMPLE).cloned().collect(),
            not_before,
            last_failure: why,
            options: self.before.options.clone(),
            extra: self.before.extra.clone(),
            ..RunRecord::default()
        }
    }

    /// The `run` record that a run leaves if it waits.
    #[must_use]
    pub fn record(&self, wait: &Wait, digest: String) -> RunRecord {
        let tail = wait.calls.len().saturating_sub(SAMPLE);
        let mut seen: HashSet<&CallHash> = wait.calls.iter().map(|c| &c.hash).collect();
        // The outcomes of earlier calls are loaded without another comparison. So calls that were not compared are left out.
        let asked = self.asked.iter().filter(|call| !self.uncompared.contains(*call));
        let earlier = asked.filter(|call| seen.insert(call)).take(SAMPLE).cloned().collect();
        RunRecord {
            first: self.first,
            attempt: self.before.attempt.max(1),
            digest,
            // If a replay printed less than an earlier run, the rest must not be shown twice.
            printed: self.printed.max(self.before.printed),
            total: wait.calls.len() as u32,
            need: wait.need,
            sample: wait.calls[tail..].iter().map(|c| c.hash.clone()).collect(),
            earlier,
            decisions: self.decisions.clone(),
            until: wait.until,
            fast: wait.fast,
            pace: wait.pace,
            look: 0,
            timer: self.before.timer,
            stopped: (self.polls.len() as u32).saturating_sub(1),
            moves: self.moves.clone(),
            detached: self.detached.max(self.before.detached),
            not_before: 0,
            unknown_since: 0,
            last_failure: self.before.last_failure.clone(),
            options: self.before.options.clone(),
            extra: self.before.extra.clone(),
        }
    }

    /// The outcome of a detached call: the id of its job. All replays of all attempts get the same id.
    fn detach(&mut self, call: Invocation) -> Result<Outcome> {
        self.keep(ASKED + call.task.len() + call.payload.len())?;
        let n = self.detached;
        self.detached += 1;
        let job_id = JobId::of_detached(&self.job_id, &self.call, n.into());
        let outcome = Ok(Bytes::from(format!("\"{job_id}\"")));
        if n < self.before.detached {
            return Ok(outcome);
        }
        // A hash that the guest has chosen has no scope.
        let scope = if call.hash.is_some() { None } else { self.scope_of(&call) };
        let hash_of_all = call.hash.clone().unwrap_or_else(|| plain_hash(&call));
        let hash = hash_of_all.clone().within(scope.unwrap_or_default(), &job_id, self.clock);
        let options = Options { scope, ..call.options };
        let (task, payload, topic) = (call.task, call.payload, call.topic.unwrap_or_else(|| self.topic.clone()));
        let top = Call { hash, task, payload, topic, options: Options::default() };
        let max_messages = self.max_messages;
        self.detached_jobs
            .push(Detached { hash: hash_of_all, job: NewJob { max_messages, options, ..NewJob::new(job_id, top) } });
        Ok(outcome)
    }

    /// The detached jobs that this run has asked for and no earlier run has started.
    ///
    /// The hash of a job's top call may be that of another period of its scope than in an earlier attempt.
    pub fn take_detached(&mut self) -> Vec<Detached> {
        std::mem::take(&mut self.detached_jobs)
    }

    /// The scope of a call. `None`: nothing says one.
    fn scope_of(&self, call: &Invocation) -> Option<Scope> {
        call.options.scope.or_else(|| self.scopes.get(&call.task).copied()).or(self.job_scope)
    }

    fn identify(&self, call: Invocation) -> Call {
        Call {
            hash: self.identity(&call),
            topic: call.topic.unwrap_or_else(|| self.topic.clone()),
            task: call.task,
            payload: call.payload,
            options: call.options,
        }
    }

    /// The hash of a call. Every replay comes to the same hash.
    fn identity(&self, call: &Invocation) -> CallHash {
        if let Some(hash) = &call.hash {
            return hash.clone();
        }
        let job = self.scope_id.as_ref().unwrap_or(&self.job_id);
        if call.task == PROMISE {
            return CallHash::of_promise(job, &call.payload);
        }
        plain_hash(call).within(self.scope_of(call).unwrap_or_default(), job, self.clock)
    }

    /// Makes sure that a run uses one hash for one call only, because outcomes are remembered by the hash alone.
    fn note_identities(&mut self, calls: &[Call]) -> Result<()> {
        for call in calls {
            let identity = self.digests.hash_one((&call.task, &call.payload));
            match self.identities.entry(call.hash.clone()) {
                Entry::Occupied(asked) if *asked.get() != identity => {
                    return Err(conflict_in_run(&call.hash, &call.task));
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(new) => drop(new.insert(identity)),
            }
        }
        Ok(())
    }

    /// Compares calls that have an outcome with their `call` records. Calls without an outcome are compared when the run
    /// registers with them.
    async fn compare(&self, calls: &[Call], ended: &[CallHash]) -> Result<()> {
        let asked: HashMap<&CallHash, &Call> = calls.iter().map(|call| (&call.hash, call)).collect();
        for some in ended.chunks(COMPARED_AT_ONCE) {
            let found = self.backend.store().get_many(&some.iter().map(Key::call).collect::<Vec<_>>()).await?;
            for (hash, found) in some.iter().zip(found) {
                if let (Some(call), Some(found)) = (asked.get(hash), found) {
                    compare(hash, &call.task, &call.payload, &found)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the outcomes of those of `calls` that this run has not looked for yet.
    async fn read_unknown(&mut self, calls: &[Call]) -> Result<()> {
        let is_new = |call: &&Call| !self.known.contains(&call.hash) && !self.absent.contains(&call.hash);
        // Usually there are no such calls, because a replay asks for the same calls as the runs before.
        if !calls.iter().any(|call| is_new(&call)) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut unknown: Vec<CallHash> =
            calls.iter().filter(is_new).map(|c| &c.hash).filter(|hash| seen.insert(*hash)).cloned().collect();
        // Calls that earlier runs asked for were compared with their `call` records then.
        let compared: HashSet<CallHash> = self.ahead.iter().cloned().collect();
        if self.novel.is_none() && !self.before.sample.is_empty() {
            let novel = calls.iter().filter(is_new).find(|call| !compared.contains(&call.hash));
            self.novel = novel.cloned().map(Box::new);
        }
        let mut needed = unknown.len();
        unknown.extend(self.ahead.iter().filter(|c| !self.known.contains(c) && seen.insert(*c)).cloned());
        self.ahead.clear();
        let mut unknown = unknown.as_slice();
        while needed > 0 {
            // If the outcomes are large, the answer has only the first ones. So the limit is checked before more are read.
            let outcomes = self.backend.outcomes(&self.job_id, unknown).await?;
            let (read, rest) = unknown.split_at(outcomes.len().clamp(1, unknown.len()));
            self.keep(outcomes.iter().flatten().map(size_of_outcome).sum())?;
            let mut ended = Vec::new();
            for (call, outcome) in read.iter().zip(&outcomes).filter(|(call, _)| !compared.contains(*call)) {
                match outcome {
                    Some(_) => ended.push(call.clone()),
                    None => drop(self.uncompared.insert(call.clone())),
                }
            }
            self.compare(calls, &ended).await?;
            for (call, outcome) in read.iter().zip(outcomes) {
                self.learn(call.clone(), outcome);
            }
            (unknown, needed) = (rest, needed.saturating_sub(read.len()));
        }
        self.ahead = unknown.to_vec();
        Ok(())
    }
}

/// The hash of a call that has no hash of its own, for all jobs.
fn plain_hash(call: &Invocation) -> CallHash {
    call.peer_hash.clone().unwrap_or_else(|| CallHash::derive(&call.task, &call.payload))
}

/// How often a run is given outcomes early because one of them is a failure. Otherwise a handler that catches the failures of
/// many calls would be run again for each.
const MOST_EARLY: u32 = 4;

/// How long some outcomes have to be there until it is worth running a call again that wants progress, in milliseconds. `looks`:
/// how often in a row it was worth it. The first waits take half a second. Later ones take a quarter of the time that all earlier
/// ones took together. So the number of runs grows with the logarithm of the time.
fn pace(looks: u32) -> Millis {
    // After so many looks, years have passed.
    let mut together: Millis = 0;
    let mut pace = FIRST_PACE;
    for _ in 0..looks.min(100) {
        together += pace;
        pace = FIRST_PACE.max(together / 4);
    }
    pace
}

const FIRST_PACE: Millis = 500;

/// How many of `calls` positions must have an outcome.
fn needed(want: Want, calls: usize) -> usize {
    match want {
        Want::Some(n) => (n as usize).min(calls),
        Want::All | Want::Progress => calls,
    }
}

/// The calls without an outcome, and the smallest number of them that is needed.
fn missing(calls: Vec<Call>, there: &[bool], need: usize, until: Option<Millis>) -> Wait {
    let mut times: HashMap<CallHash, usize> = HashMap::new();
    let mut distinct = Vec::new();
    let have = there.iter().filter(|t| **t).count();
    for (call, _) in calls.into_iter().zip(there).filter(|(_, there)| !**there) {
        let count = times.entry(call.hash.clone()).or_default();
        *count += 1;
        if *count == 1 {
            distinct.push(call);
        }
    }
    // A call that is in the list several times fills several positions at once. So the calls that fill the most positions are
    // counted first, to find the fewest calls that could be enough.
    let mut counts: Vec<usize> = times.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let mut filled = have;
    let need = counts
        .iter()
        .take_while(|count| {
            let short = filled < need;
            filled += **count;
            short
        })
        .count();
    Wait { calls: distinct, need: need as u32, until: until.unwrap_or(0), fast: false, pace: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Call {
        Call {
            hash: name.into(),
            task: name.into(),
            payload: Bytes::new(),
            topic: "t".into(),
            options: Options::default(),
        }
    }

    #[test]
    fn the_runs_for_progress_become_rarer() {
        assert_eq!([0, 1, 4, 5, 6].map(pace), [500, 500, 500, 625, 781]);
        let day = (1..)
            .scan(0, |sum, n| {
                *sum += pace(n);
                Some(*sum)
            })
            .take_while(|sum| *sum < 86_400_000)
            .count();
        assert!((40..60).contains(&day), "{day} runs in a day");
    }

    #[test]
    fn each_missing_call_is_named_once() {
        let calls = ["a", "b", "a", "c"].map(call).to_vec();
        let wait = missing(calls.clone(), &[false, true, false, false], 4, None);
        assert_eq!(wait.calls, [call("a"), call("c")]);
        assert_eq!(wait.need, 2);
        // Two of four are needed: `b` has its outcome, and `a` alone would fill two positions.
        assert_eq!(missing(calls, &[false, true, false, false], 2, None).need, 1);
    }
}
