//! The ports on a SQLite file.

use std::time::Duration;

use async_trait::async_trait;
use brrr_protocol::error::Result;
use brrr_protocol::model::{CallHash, Failure, JobId, Millis, Outcome, Topic};
use brrr_protocol::ports::{
    Backend, BackendParts, Backlog, Counters, DeadLetter, Deferral, Deferred, Delivery, EventLog, JobPage, JobQuery,
    Key, Kind, Loaded, MessageState, NewJob, Outgoing, Page, Queue, Receipt, Scheduled, Store, Swap, Visit, Work,
};
use brrr_protocol::records::{JobRecord, JobState};
use brrr_protocol::transactional::{self, Snapshot, Transaction};
use bytes::Bytes;
use tokio::time::Instant;

use super::session::Mode;
use super::transaction::{Small, SqliteTx, number};
use super::{Sqlite, events, jobs, queue, rows};

#[async_trait]
impl Store for Sqlite {
    /// Peers know no such store.
    fn may_have_peers(&self) -> bool {
        false
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let key = key.clone();
        match key.kind {
            // The row of this record may not contain all parents.
            Kind::PendingReturns => self.readers.snapshot(move |view| view.get(&key)).await,
            _ => self.readers.with(move |conn| rows::read(conn, &key)).await,
        }
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>> {
        let keys = keys.to_vec();
        self.readers.snapshot(move |view| keys.iter().map(|key| view.get(key)).collect()).await
    }

    async fn has_many(&self, keys: &[Key]) -> Result<Vec<bool>> {
        let keys = keys.to_vec();
        self.readers.snapshot(move |view| keys.iter().map(|key| view.has(key)).collect()).await
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let key = key.clone();
        self.writer.run(Mode::Write, move |tx| tx.write(&key, Some(value.clone()))).await
    }

    async fn swap(&self, key: &Key, expected: Option<&Bytes>, new: Option<Bytes>) -> Result<Swap> {
        let (key, expected) = (key.clone(), expected.cloned());
        let body = move |tx: &mut SqliteTx<'_>| {
            let found = tx.get(&key)?;
            if found != expected {
                return Ok(Swap::Mismatch(found));
            }
            tx.write(&key, new.clone())?;
            Ok(Swap::Done)
        };
        self.writer.run(Mode::Write, body).await
    }

    async fn put_if(&self, key: &Key, value: Bytes, absent: &Key) -> Result<bool> {
        let (key, absent) = (key.clone(), absent.clone());
        let body = move |tx: &mut SqliteTx<'_>| {
            let free = !tx.has(&key)? && !tx.has(&absent)?;
            if free {
                tx.write(&key, Some(value.clone()))?;
            }
            Ok(free)
        };
        self.writer.run(Mode::Write, body).await
    }

    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        let keys = keys.to_vec();
        self.writer.run(Mode::Write, move |tx| tx.session().remove(&keys)).await
    }

    async fn written(&self, keys: &[Key]) -> Result<Vec<Option<Millis>>> {
        let keys = keys.to_vec();
        self.readers.with(move |conn| keys.iter().map(|key| rows::written(conn, key)).collect()).await
    }

    async fn list(&self, kind: &Kind, cursor: Option<&str>, limit: usize) -> Result<Page> {
        let (kind, cursor) = (kind.clone(), cursor.map(str::to_owned));
        self.readers.with(move |conn| rows::list(conn, &kind, cursor.as_deref(), limit)).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<JobPage> {
        let range = jobs::Range::of(query)?;
        let query = query.clone();
        self.readers.with(move |conn| jobs::page(conn, &query, &range)).await
    }

    async fn compact(&self) -> Result<()> {
        // A few pages at a time, so that other operations can run in between.
        const PAGES: u32 = 500;
        while self.writer.run(Mode::Write, |tx| tx.session().compact(PAGES)).await? {}
        Ok(())
    }
}

#[async_trait]
impl Queue for Sqlite {
    async fn send_many(&self, messages: &[Outgoing]) -> Result<()> {
        let messages = messages.to_vec();
        let body = move |tx: &mut SqliteTx<'_>| messages.iter().try_for_each(|m| tx.enqueue(m.clone()));
        self.writer.run(Mode::Write, body).await
    }

    async fn receive(&self, topic: &Topic, max: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let waiters = self.waiters.topic(topic);
        let deadline = Instant::now() + wait;
        loop {
            let taken = self.writer.receive(topic, max).await?.accept();
            let now = Instant::now();
            if !taken.deliveries.is_empty() || now >= deadline || max == 0 {
                return Ok(taken.deliveries);
            }
            waiters.wait(&self.waiters, deadline - now).await;
        }
    }

    async fn ack(&self, receipt: &Receipt) -> Result<()> {
        let receipt = receipt.clone();
        self.writer.run(Mode::Write, move |tx| tx.ack(&receipt)).await
    }

    async fn extend(&self, receipts: &[Receipt]) -> Result<Vec<bool>> {
        let numbers = receipts.iter().map(number).collect::<Result<Vec<_>>>()?;
        self.writer.run(Mode::Write, move |tx| numbers.iter().map(|n| tx.session().extend(*n)).collect()).await
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    fn others_go_on(&self) -> bool {
        // See `session::LockHistory`: after the file was locked, leases that ran out during the lock are not lost at once.
        false
    }

    async fn nack(&self, receipt: &Receipt, delay: Duration) -> Result<()> {
        let number = number(receipt)?;
        self.writer.run(Mode::Write, move |tx| tx.session().nack(number, delay)).await
    }

    async fn move_to_dlq(&self, delivery: &Delivery, reason: &str) -> Result<()> {
        let (number, reason) = (number(&delivery.receipt)?, reason.to_owned());
        self.writer.run(Mode::Write, move |tx| tx.session().move_to_dlq(number, &reason)).await
    }

    async fn dead_letters(&self, topic: &Topic, limit: usize) -> Result<Vec<DeadLetter>> {
        let topic = topic.clone();
        self.readers.with(move |conn| queue::dead_letters(conn, &topic, limit)).await
    }

    async fn take_dead_letter(&self, topic: &Topic, id: &str) -> Result<Option<DeadLetter>> {
        let Ok(id) = id.parse::<i64>() else { return Ok(None) };
        let topic = topic.clone();
        self.writer.run(Mode::Durable, move |tx| tx.session().take_dead_letter(&topic, id)).await
    }

    async fn depth(&self, topic: &Topic) -> Result<u64> {
        let topic = topic.clone();
        self.readers.with(move |conn| queue::depth(conn, &topic)).await
    }

    async fn backlog(&self, topic: &Topic) -> Result<Backlog> {
        let topic = topic.clone();
        self.readers.with(move |conn| queue::backlog(conn, &topic)).await
    }

    async fn look_through(&self, topic: &Topic, visit: &mut Visit<'_>) -> Result<bool> {
        let topic = topic.clone();
        let messages = self.readers.with(move |conn| {
            let mut messages: Vec<(String, MessageState)> = Vec::new();
            queue::look_through(conn, &topic, &mut |body, state| messages.push((body.to_owned(), state)))?;
            Ok(messages)
        });
        messages.await?.iter().for_each(|(body, state)| visit(body, *state));
        Ok(true)
    }
}

#[async_trait]
impl Counters for Sqlite {
    async fn incr(&self, key: &str, by: u64) -> Result<u64> {
        let key = key.to_owned();
        self.writer.run(Mode::Write, move |tx| tx.add(&key, by)).await
    }

    async fn read_many(&self, keys: &[String]) -> Result<Vec<Option<u64>>> {
        let keys = keys.to_vec();
        self.readers.with(move |conn| keys.iter().map(|key| rows::counter(conn, key)).collect()).await
    }

    async fn forget(&self, keys: &[String]) -> Result<()> {
        let keys = keys.to_vec();
        self.writer.run(Mode::Write, move |tx| tx.session().forget_counters(&keys)).await
    }
}

#[async_trait]
impl EventLog for Sqlite {
    async fn publish(&self, events: &[Bytes]) -> Result<()> {
        let events = events.to_vec();
        self.writer.run(Mode::Write, move |tx| tx.session().publish(&events)).await
    }

    async fn events(&self, after: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        self.readers.with(move |conn| events::after(conn, after, limit)).await
    }
}

/// A deferral that owns its data, so that it can be sent to the writing thread.
struct OwnedDeferral {
    work: Work,
    wait: brrr_protocol::replay::Wait,
    run_before: Option<Bytes>,
    run_after: brrr_protocol::records::RunRecord,
    max_messages: u64,
}

impl OwnedDeferral {
    fn of(d: &Deferral<'_>) -> Self {
        Self {
            work: d.work.clone(),
            wait: d.wait.clone(),
            run_before: d.run_before.cloned(),
            run_after: d.run_after.clone(),
            max_messages: d.max_messages,
        }
    }

    fn lend(&self) -> Deferral<'_> {
        Deferral {
            work: &self.work,
            wait: &self.wait,
            run_before: self.run_before.as_ref(),
            run_after: &self.run_after,
            max_messages: self.max_messages,
        }
    }
}

#[async_trait]
impl BackendParts for Sqlite {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn store(&self) -> &dyn Store {
        self
    }

    fn queue(&self) -> &dyn Queue {
        self
    }

    fn counters(&self) -> &dyn Counters {
        self
    }

    fn events(&self) -> Option<&dyn EventLog> {
        Some(self)
    }

    async fn changed(&self, version: u64, at_most: Duration) -> u64 {
        self.waiters.changed(version, at_most).await
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn schedule(&self, job: &NewJob, now: Millis) -> Result<Scheduled> {
        let job = job.clone();
        self.writer.run(Mode::Durable, move |tx| transactional::schedule(tx, &job, now)).await
    }

    async fn load(&self, work: &Work) -> Result<Loaded> {
        let small = work.clone();
        let body = move |tx: &mut SqliteTx<'_>| Small::read(tx, |view| transactional::load(view, &small));
        match self.writer.run(Mode::Read, body).await? {
            Some(loaded) => Ok(loaded),
            None => {
                let work = work.clone();
                self.readers.snapshot(move |view| transactional::load(view, &work)).await
            }
        }
    }

    async fn outcomes(&self, job_id: &JobId, calls: &[CallHash]) -> Result<Vec<Option<Outcome>>> {
        let small = (job_id.clone(), calls.to_vec());
        let body =
            move |tx: &mut SqliteTx<'_>| Small::read(tx, |view| transactional::outcomes(view, &small.0, &small.1));
        match self.writer.run(Mode::Read, body).await? {
            Some(outcomes) => Ok(outcomes),
            None => {
                let (job_id, calls) = (job_id.clone(), calls.to_vec());
                self.readers.snapshot(move |view| transactional::outcomes(view, &job_id, &calls)).await
            }
        }
    }

    async fn defer(&self, deferral: &Deferral<'_>) -> Result<Deferred> {
        let owned = OwnedDeferral::of(deferral);
        self.writer.run(Mode::Write, move |tx| transactional::defer(tx, &owned.lend())).await
    }

    async fn complete(&self, work: &Work, value: Bytes) -> Result<()> {
        let work = work.clone();
        self.writer.run(Mode::Write, move |tx| transactional::complete(tx, &work, &value)).await
    }

    async fn fail(&self, work: &Work, failure: &Failure) -> Result<()> {
        let (work, failure) = (work.clone(), failure.clone());
        self.writer.run(Mode::Write, move |tx| transactional::fail(tx, &work, &failure)).await
    }

    async fn notify_parents(&self, work: &Work, end: JobState) -> Result<()> {
        let work = work.clone();
        self.writer.run(Mode::Write, move |tx| transactional::notify_parents(tx, &work, end)).await
    }

    async fn abandon(&self, work: &Work) -> Result<()> {
        let work = work.clone();
        self.writer.run(Mode::Write, move |tx| transactional::abandon(tx, &work)).await
    }

    async fn end_job(&self, job_id: &JobId, failure: &Failure, now: Millis) -> Result<Option<JobRecord>> {
        let (job_id, failure) = (job_id.clone(), failure.clone());
        self.writer.run(Mode::Durable, move |tx| transactional::end_job(tx, &job_id, &failure, now)).await
    }

    async fn forget_calls(&self, job_id: &JobId, calls: &[CallHash], had_value: bool) -> Result<Vec<bool>> {
        let (job_id, calls) = (job_id.clone(), calls.to_vec());
        self.writer.run(Mode::Write, move |tx| transactional::forget_calls(tx, &job_id, &calls, had_value)).await
    }
}
