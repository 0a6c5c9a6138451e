//! The same world where queue and store share a transaction: each transition is one access, which takes effect completely or not
//! at all. Actions that are not transitions (a retry, a client's read, a repair) still take several steps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::model::{CallHash, Failure, JobId, Millis, Outcome};
use brrr_protocol::ports::{
    Backend, BackendParts, Counters, Deferral, Deferred, Key, Kind, Loaded, NewJob, Outgoing, Queue, Receipt,
    Scheduled, Store, Work,
};
use brrr_protocol::records::{JobRecord, JobState};
use brrr_protocol::registration::Facts;
use brrr_protocol::transaction::{read_row_of_many, row_of_many};
use brrr_protocol::transactional::{self, Snapshot, Transaction};
use brrr_protocol::wire::{PendingReturns, Return};
use brrr_protocol::{ErrorKind, Result};
use bytes::Bytes;

use crate::graphs::{GRAPHS, ILL};
use crate::plan::{Event, Plan};
use crate::watch::Participant;
use crate::world::{Answer, Crash, State, View, World};
use crate::{WINDOW, check, ends, stride};

/// The view that a worker, a client or a repair has of this world.
pub fn backend(world: &Arc<World>, participant: Participant, crash: Option<Crash>) -> Arc<dyn Backend> {
    let view = View::new(world, participant, crash);
    if world.state().transactional { Arc::new(Transactional(view)) } else { view }
}

struct Transactional(Arc<View>);

struct Tx<'a> {
    state: &'a mut State,
    participant: Participant,
    /// Parents that were added to a record. The record does not say yet that its parents are kept one by one.
    added: BTreeSet<Return>,
}

impl Tx<'_> {
    /// The parents of a call that has too many for one record; they are kept one by one. The world keeps every record in its
    /// usual form, because actions that are not transitions read the records there.
    fn many(&self, key: &Key) -> Option<PendingReturns> {
        let found = self.state.records.get(key).filter(|_| key.kind == Kind::PendingReturns)?;
        let pending = PendingReturns::decode(found).expect("no record is damaged here");
        (pending.returns.len() > Self::MOST_LISTED).then_some(pending)
    }
}

impl Snapshot for Tx<'_> {
    fn row(&mut self, key: &Key) -> Result<Option<Bytes>> {
        let many = self.many(key).map(|pending| row_of_many(pending.scheduled_at));
        Ok(many.or_else(|| self.state.records.get(key).cloned()))
    }

    fn parents(&mut self, call: &CallHash) -> Result<BTreeSet<Return>> {
        Ok(self.many(&Key::pending_returns(call)).unwrap_or_default().returns)
    }
}

impl Transaction for Tx<'_> {
    /// The limit is low, so that calls of small graphs already have many parents.
    const MOST_LISTED: usize = 1;

    fn set_row(&mut self, key: &Key, row: Option<Bytes>) -> Result<()> {
        let record = match row.as_ref().and_then(|row| read_row_of_many(key, row)) {
            Some(scheduled_at) => {
                let mut returns = self.many(key).unwrap_or_default().returns;
                returns.append(&mut self.added);
                Some(PendingReturns { returns, scheduled_at }.encode())
            }
            None => row,
        };
        if record.is_some() || self.state.records.contains_key(key) {
            self.state.write(self.participant, key, record);
        }
        Ok(())
    }

    fn look_for(&mut self, call: &CallHash, me: &Return) -> Result<Facts> {
        let parents = self.parents(call)?;
        Ok(Facts {
            has_me: parents.contains(me),
            elsewhere: parents
                .iter()
                .any(|r| r.job_id != me.job_id && (&r.parent, &r.topic) == (&me.parent, &me.topic)),
            in_job: parents.iter().any(|r| r.job_id == me.job_id),
            in_other_jobs: parents.iter().any(|r| r.job_id != me.job_id),
            scheduled_at: None,
        })
    }

    fn add_parent(&mut self, call: &CallHash, parent: &Return) -> Result<()> {
        let key = Key::pending_returns(call);
        match self.many(&key) {
            Some(mut pending) => {
                assert!(pending.returns.insert(parent.clone()), "{parent:?} waits for {call} already");
                self.state.write(self.participant, &key, Some(pending.encode()));
            }
            None => drop(self.added.insert(parent.clone())),
        }
        Ok(())
    }

    /// The next `put` replaces these parents.
    fn remove_parents(&mut self, _: &CallHash) -> Result<()> {
        Ok(())
    }

    fn enqueue(&mut self, message: Outgoing) -> Result<()> {
        self.state.send_new(&message);
        Ok(())
    }

    fn add(&mut self, counter: &str, by: u64) -> Result<u64> {
        Ok(self.state.add(counter, by))
    }

    fn ack(&mut self, receipt: &Receipt) -> Result<()> {
        self.state.in_flight.remove(&receipt.0);
        Ok(())
    }
}

impl Transactional {
    /// In this world no record is damaged, and a call hash that stands for another call is found before any write. So no
    /// transaction is ever rolled back.
    async fn transact<T>(&self, body: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let participant = self.0.participant;
        let done = self.0.access(|state| body(&mut Tx { state, participant, added: BTreeSet::new() })).await?;
        assert!(done.as_ref().err().is_none_or(|e| e.kind == ErrorKind::Conflict), "a record is damaged");
        done
    }
}

#[async_trait]
impl BackendParts for Transactional {
    fn name(&self) -> String {
        self.0.name()
    }

    fn store(&self) -> &dyn Store {
        &*self.0
    }

    fn queue(&self) -> &dyn Queue {
        &*self.0
    }

    fn counters(&self) -> &dyn Counters {
        &*self.0
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.0.changed(version, at_most).await
    }
}

#[async_trait]
impl Backend for Transactional {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        self.transact(|tx| transactional::schedule(tx, job, now)).await
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        self.transact(|tx| transactional::load(tx, work)).await
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        self.transact(|tx| transactional::outcomes(tx, job_id, calls)).await
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        self.transact(|tx| transactional::defer(tx, deferral)).await
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        self.transact(|tx| transactional::complete(tx, work, &value)).await
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        self.transact(|tx| transactional::fail(tx, work, failure)).await
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        self.transact(|tx| transactional::notify_parents(tx, work, end)).await
    }

    async fn abandon(&self, work: &Work) -> Result<()> {
        self.transact(|tx| transactional::abandon(tx, work)).await
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        self.transact(|tx| transactional::end_job(tx, job_id, failure, now)).await
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        self.transact(|tx| transactional::forget_calls(tx, job_id, calls, had_value)).await
    }
}

/// Each of these events at every access, with and without a later crash or pause.
#[test]
fn every_fault_heals_between_transactions() {
    let (mut histories, stride) = (0, stride().min(19));
    let all = GRAPHS.iter().chain(ILL).map(|graph| Arc::new(graph.complete()));
    for graph in all {
        let of = |events: &[(i64, Event)]| {
            check(&graph, Plan { transactional: true, ..Plan::of(events) }, || format!("transactions, {events:?}"))
        };
        let length = of(&[]).length;
        let faults = [
            Event::Crash,
            Event::Preempt,
            Event::Zombie,
            Event::Pause,
            Event::Late,
            Event::Early,
            Event::Unanswered(Answer::Lost),
            Event::Unanswered(Answer::Refused),
        ];
        for event in faults.into_iter().chain(ends(&graph)) {
            for first in 0..=length {
                of(&[(first, event)]);
                histories += 1;
                for second in (first + first % stride as i64..=first + WINDOW / 2).step_by(stride) {
                    of(&[(first, event), (second, Event::Crash)]);
                    of(&[(first, Event::Zombie), (second, event)]);
                    of(&[(first, event), (second, Event::Switch)]);
                    histories += 3;
                }
            }
        }
    }
    println!("{histories} histories of transactions with one fault or two");
}
