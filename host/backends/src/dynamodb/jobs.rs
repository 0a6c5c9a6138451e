//! The index of the jobs by time. It consists of items of the same table.
//!
//! | `pk` | `sk` | other attributes |
//! |---|---|---|
//! | `brrr_jobs/<hour>` | the job's position and a part of the digest of its id | `job`, `state`, `topic`, `task`, `label` (S) |
//! | `brrr_jobs` | `<hour>`: there are jobs of this hour | |
//!
//! The hour is the number of hours since the Unix epoch, in eight digits. A position is the time at which the job was created, in
//! microseconds, in 16 digits: as the record says, so whoever has the record finds the entry. The entry of a job is written and
//! removed in one transaction with the record. The item of an hour is written before the first entry of that hour.
//!
//! All jobs of an hour are in one partition, so about 500 jobs can begin or end in a second.

use std::sync::PoisonError;

use brrr_protocol::digest::Digest;
use brrr_protocol::error::Result;
use brrr_protocol::model::Millis;
use brrr_protocol::ports::{
    IndexedJob, JobFacts, JobFilter, JobOrder, JobPage, JobQuery, Key, Store as _, Swap, position_of,
};
use brrr_protocol::records::JobRecord;
use bytes::Bytes;

use super::DynamoDb;
use super::items::{Item, PK, SK, s, text};
use super::transaction::Written;
use crate::aws::TRIES;

/// How long a client may stand still between its look at the clock and the write of a job, in milliseconds.
pub(super) const LATE: Millis = 10 * 60_000;

const HOUR: Millis = 3_600_000;

/// The microseconds of an hour, and the greatest position.
const SPAN: u64 = HOUR * 1_000;
const MOST: u64 = 9_999_999_999_999_999;

/// The most requests that one query makes. An answer has at most 1 MB, which is some thousand entries.
const REQUESTS: usize = 16;

/// The item of an hour is removed when the hour has no jobs and is so long ago that nobody is about to write one.
const OLD_HOUR: Millis = 48 * HOUR;

/// An entry without a record is removed when it is so old, because then nobody is just writing it again.
const OLD_ENTRY: Millis = 2 * LATE;

/// The time at which a job was created, as its position. A record that does not decode has the time 0.
fn position(record: &[u8]) -> u64 {
    JobRecord::decode(record).map_or(0, |job| job.created.saturating_mul(1_000).min(MOST))
}

/// A part of the keys of an hour. Both ends are in the range, apart from `except`.
struct Part {
    from: String,
    to: String,
    except: Option<String>,
}

impl Part {
    fn of(query: &JobQuery) -> Result<Self> {
        let (from, to) = query.filter.positions();
        // No key has a position alone, so as a last key it is the end of the positions before it.
        let mut part =
            Self { from: format!("{:016}", from.min(MOST)), to: format!("{:016}", to.min(MOST)), except: None };
        if query.filter.until.is_none() {
            part.to.push('~');
        }
        if let Some(after) = &query.after {
            let position = position_of(after)?;
            let rest = after.split_once('-').map_or_else(String::new, |(_, rest)| format!("-{rest}"));
            part.go_on(query.order, format!("{:016}{rest}", position.min(MOST)));
        }
        Ok(part)
    }

    /// Leaves out everything up to this key.
    fn go_on(&mut self, order: JobOrder, after: String) {
        match order {
            JobOrder::NewestFirst => self.to = after.clone().min(self.to.clone()),
            // A position alone stands for all keys that begin with it.
            JobOrder::OldestFirst if after.len() == 16 => self.from = format!("{after}~").max(self.from.clone()),
            JobOrder::OldestFirst => self.from = after.clone().max(self.from.clone()),
        }
        self.except = Some(after);
    }

    fn is_empty(&self) -> bool {
        self.from > self.to
    }

    fn has_all_of(&self, hour: u64) -> bool {
        self.from <= format!("{:016}", hour * SPAN) && self.to >= format!("{:016}", (hour + 1) * SPAN)
    }

    fn hours(&self) -> (u64, u64) {
        let hour = |key: &str| key.get(..16).and_then(|digits| digits.parse::<u64>().ok()).unwrap_or(0) / SPAN;
        (hour(&self.from), hour(&self.to))
    }
}

impl DynamoDb {
    fn hour_pk(&self, hour: u64) -> String {
        format!("{}brrr_jobs/{hour:08}", self.prefix)
    }

    fn hour_key(&self, hour: u64) -> Item {
        let pk = format!("{}brrr_jobs", self.prefix);
        Item::from([(PK.to_owned(), s(pk)), (SK.to_owned(), s(format!("{hour:08}")))])
    }

    /// The key of a job's entry.
    pub(super) fn entry_key(&self, key: &Key, record: &[u8]) -> Item {
        let position = position(record);
        let digest = Digest::of(key.id.as_bytes());
        let digest = digest.as_bytes().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let sk = format!("{position:016}-{digest:016x}");
        Item::from([(PK.to_owned(), s(self.hour_pk(position / SPAN))), (SK.to_owned(), s(sk))])
    }

    fn entry(&self, key: &Key, record: &[u8]) -> Item {
        let mut item = self.entry_key(key, record);
        let JobFacts { state, topic, task, label } = JobFacts::of(record);
        let label = label.map(|label| ("label", label));
        let facts =
            [("job", key.id.to_string()), ("state", state.as_str().to_owned()), ("topic", topic), ("task", task)];
        item.extend(facts.into_iter().chain(label).map(|(name, text)| (name.to_owned(), s(text))));
        item
    }

    /// Makes sure that the list of hours has the hour of a job.
    async fn note_hour(&self, record: &[u8]) -> Result<()> {
        let hour = position(record) / SPAN;
        let is_old = hour * HOUR + OLD_HOUR / 2 < self.now();
        if !is_old && self.hours.lock().unwrap_or_else(PoisonError::into_inner).contains(&hour) {
            return Ok(());
        }
        let put = self.client.put_item().table_name(&self.table).set_item(Some(self.hour_key(hour)));
        put.send().await.map_err(|e| self.failed("write to", e))?;
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        hours.insert(hour);
        // Only the last hours are used again.
        while hours.len() > 100 {
            hours.pop_first();
        }
        Ok(())
    }

    pub(super) async fn put_job(&self, key: &Key, record: Bytes) -> Result<()> {
        let mut found = self.get(key).await?;
        for _ in 0..TRIES {
            match self.swap(key, found.as_ref(), Some(record.clone())).await? {
                Swap::Done => return Ok(()),
                Swap::Mismatch(other) => found = other,
            }
        }
        Err(self.contended())
    }

    /// Replaces the record of a job and its entry in one transaction.
    pub(super) async fn swap_job(&self, key: &Key, expected: Option<&Bytes>, new: Option<&Bytes>) -> Result<Written> {
        let before = expected.map(|expected| self.entry_key(key, expected));
        if let Some(new) = new.filter(|new| before.as_ref() != Some(&self.entry_key(key, new))) {
            self.note_hour(new).await?;
        }
        let mut writes = vec![self.swapping(key, expected, new)?];
        if let Some(new) = new {
            writes.push(self.putting(self.entry(key, new))?);
        }
        if let Some(before) = before.filter(|before| new.is_none_or(|new| self.entry_key(key, new) != *before)) {
            writes.push(self.deleting(before)?);
        }
        self.transact(writes).await
    }

    /// See `Store::jobs`. The hours that have jobs are looked through one after the other.
    pub(super) async fn page_of_jobs(&self, query: &JobQuery) -> Result<JobPage> {
        let mut page = JobPage::default();
        let (mut part, mut requests) = (Part::of(query)?, 0);
        if query.limit == 0 {
            return Ok(page);
        }
        while !part.is_empty() {
            let (hours, more_hours) = self.hours(&part, query.order).await?;
            requests += 1;
            for hour in hours {
                loop {
                    if page.jobs.len() >= query.limit || requests >= REQUESTS {
                        return Ok(page);
                    }
                    requests += 1;
                    let left = query.limit - page.jobs.len();
                    let (entries, goes_on) = self.entries(hour, &part, query, left).await?;
                    let is_end = matches!(goes_on, Goes::NoFurther);
                    if is_end && entries.is_empty() && query.filter == JobFilter::default() && part.has_all_of(hour) {
                        self.forget_hour(hour).await;
                    }
                    // With a filter, an answer may have more entries than are wanted.
                    let wanted = entries.len().min(left);
                    let is_cut = wanted < entries.len();
                    let last = entries.get(wanted.wrapping_sub(1)).map(|(sk, _)| sk.clone());
                    self.read_jobs(&entries[..wanted], &mut page).await?;
                    let last = match (is_cut, goes_on) {
                        (true, _) => last,
                        (false, Goes::On(key)) => Some(key),
                        // The hour is done.
                        (false, Goes::NoFurther) => Some(end_of(hour, query.order)),
                    };
                    if let Some(last) = last {
                        page.next = Some(last.clone());
                        part.go_on(query.order, last);
                    }
                    if !is_cut && is_end {
                        break;
                    }
                }
            }
            if !more_hours {
                page.next = None;
                return Ok(page);
            }
        }
        page.next = None;
        Ok(page)
    }

    /// The hours that may have jobs, and whether there are more than these.
    async fn hours(&self, part: &Part, order: JobOrder) -> Result<(Vec<u64>, bool)> {
        let (from, to) = part.hours();
        let request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", s(format!("{}brrr_jobs", self.prefix)))
            .expression_attribute_values(":from", s(format!("{from:08}")))
            .expression_attribute_values(":to", s(format!("{to:08}")))
            .scan_index_forward(order == JobOrder::OldestFirst)
            .consistent_read(true);
        let answer = request.send().await.map_err(|e| self.failed("read from", e))?;
        let hours = answer.items().iter().filter_map(|item| text(item, SK)?.parse().ok());
        Ok((hours.collect(), answer.last_evaluated_key().is_some()))
    }

    /// The entries of an hour that match, with their keys.
    async fn entries(
        &self,
        hour: u64,
        part: &Part,
        query: &JobQuery,
        left: usize,
    ) -> Result<(Vec<(String, Item)>, Goes)> {
        let mut request = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
            .expression_attribute_values(":pk", s(self.hour_pk(hour)))
            .expression_attribute_values(":from", s(&part.from))
            .expression_attribute_values(":to", s(&part.to))
            .scan_index_forward(query.order == JobOrder::OldestFirst)
            .consistent_read(true);
        let filter = query.filter.indexed();
        let state = filter.state.map(|state| state.as_str().to_owned());
        let wanted = [("state", state), ("topic", filter.topic), ("task", filter.task), ("label", filter.label)];
        let mut conditions = Vec::new();
        for (name, wanted) in wanted {
            let Some(wanted) = wanted else { continue };
            conditions.push(format!("#{name} = :{name}"));
            request = request.expression_attribute_names(format!("#{name}"), name);
            request = request.expression_attribute_values(format!(":{name}"), s(wanted));
        }
        request = match conditions.is_empty() {
            // One more, because the one that the page begins after may be among them.
            true => request.limit(i32::try_from(left.saturating_add(1)).unwrap_or(i32::MAX)),
            false => request.filter_expression(conditions.join(" AND ")),
        };
        let answer = request.send().await.map_err(|e| self.failed("read from", e))?;
        let goes_on = answer.last_evaluated_key().and_then(|key| text(key, SK)).map(str::to_owned);
        let entries = answer.items.unwrap_or_default().into_iter().filter_map(|item| {
            let sk = text(&item, SK)?.to_owned();
            (part.except.as_ref() != Some(&sk)).then_some((sk, item))
        });
        Ok((entries.collect(), goes_on.map_or(Goes::NoFurther, Goes::On)))
    }

    /// Reads the records of entries. An entry that is left without a record is removed.
    async fn read_jobs(&self, entries: &[(String, Item)], page: &mut JobPage) -> Result<()> {
        let keys: Vec<Key> =
            entries.iter().map(|(_, item)| Key::job(&text(item, "job").unwrap_or_default().into())).collect();
        let mut left_over = Vec::new();
        for (((sk, item), key), record) in entries.iter().zip(&keys).zip(self.get_many(&keys).await?) {
            let position = position_of(sk)?;
            match record {
                Some(record) => {
                    let (job_id, cursor) = ((&*key.id).into(), sk.clone());
                    page.jobs.push(IndexedJob { job_id, record, position, cursor });
                }
                None if (position / 1_000).saturating_add(OLD_ENTRY) < self.now() => {
                    left_over.push(item.iter().filter(|(name, _)| [PK, SK].contains(&name.as_str())));
                }
                None => {}
            }
        }
        let left_over = left_over.into_iter().map(|item| item.map(|(k, v)| (k.clone(), v.clone())).collect());
        self.tidy(left_over.collect()).await;
        Ok(())
    }

    /// Removes the item of an hour without jobs, if the hour is long ago.
    async fn forget_hour(&self, hour: u64) {
        if (hour * HOUR).saturating_add(OLD_HOUR) < self.now() {
            self.tidy(vec![self.hour_key(hour)]).await;
        }
    }

    /// Removes items that are not needed. If this user may only read, they stay.
    async fn tidy(&self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        if let Err(error) = self.delete_many(items).await {
            tracing::debug!("what is left of removed jobs stays: {error}");
        }
    }
}

/// Does an hour have more entries than an answer?
enum Goes {
    /// Yes, after this key.
    On(String),
    NoFurther,
}

/// The key after which the next hour begins.
fn end_of(hour: u64, order: JobOrder) -> String {
    match order {
        JobOrder::NewestFirst => format!("{:016}", hour * SPAN),
        JobOrder::OldestFirst => format!("{:016}", (hour + 1) * SPAN - 1),
    }
}
