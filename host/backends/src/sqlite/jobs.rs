//! The table `job`: the jobs in the order of acceptance, with what lists of jobs are filtered by.

use brrr_protocol::error::Result as PortResult;
use brrr_protocol::ports::{IndexedJob, IndexedState, JobFacts, JobFilter, JobOrder, JobPage, JobQuery, position_of};
use brrr_protocol::records::JobState;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Result, Row};

use crate::now_micros;

/// The most rows that one query looks at. The rows are small, so this takes some ten milliseconds.
const LOOKED_AT: usize = 100_000;

/// The number of a state in the table. `schema.rs` has the number of `completed`.
fn number_of(state: IndexedState) -> i64 {
    match state {
        IndexedState::Alive => 0,
        IndexedState::Over(JobState::Completed) => 1,
        IndexedState::Over(JobState::Failed) => 2,
        IndexedState::Over(JobState::Cancelled) => 3,
        IndexedState::Over(JobState::TimedOut) => 4,
    }
}

/// Puts what the record of a job says. `is_known`: the job has a row.
pub(super) fn put(conn: &Connection, n: i64, record: &[u8], is_known: bool) -> Result<()> {
    let JobFacts { state, topic, task, label } = JobFacts::of(record);
    let state = number_of(state);
    if !is_known {
        let mut accept = conn.prepare_cached(
            "INSERT OR IGNORE INTO job (position, n, state, topic, task, label)
             SELECT max(?1, ifnull(max(position), 0) + 1), ?2, ?3, ?4, ?5, ?6 FROM job",
        )?;
        if accept.execute((now_micros() as i64, n, state, &topic, &task, &label))? > 0 {
            return Ok(());
        }
    }
    conn.prepare_cached("UPDATE job SET state = ?2, topic = ?3, task = ?4, label = ?5 WHERE n = ?1")?
        .execute((n, state, &topic, &task, &label))
        .map(drop)
}

pub(super) fn remove(conn: &Connection, n: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM job WHERE n = ?1")?.execute([n]).map(drop)
}

/// The positions that a query asks for.
pub(super) struct Range {
    from: i64,
    /// The first position after the range.
    to: i64,
}

impl Range {
    pub fn of(query: &JobQuery) -> PortResult<Self> {
        let (mut from, mut to) = query.filter.positions();
        let after = query.after.as_deref().map(position_of).transpose()?;
        match (query.order, after) {
            (JobOrder::NewestFirst, Some(after)) => to = to.min(after),
            (JobOrder::OldestFirst, Some(after)) => from = from.max(after.saturating_add(1)),
            (_, None) => {}
        }
        let number = |position| i64::try_from(position).unwrap_or(i64::MAX);
        Ok(Self { from: number(from), to: number(to) })
    }
}

/// See `Store::jobs`. The rows are read in the order of time: by the index of a state or of a label, or else all of them.
pub(super) fn page(conn: &Connection, query: &JobQuery, range: &Range) -> Result<JobPage> {
    let filter = query.filter.indexed();
    let state = filter.state.map(number_of).unwrap_or_default();
    let by_state = "INDEXED BY job_state WHERE state = ?3 AND state <> 1 AND ?4 IS ?4";
    let by_label = "INDEXED BY job_label WHERE label = ?4 AND label IS NOT NULL AND ?3 IS ?3";
    let index = match filter.state {
        _ if filter.label.is_some() => by_label,
        Some(state) if state != IndexedState::Over(JobState::Completed) => by_state,
        _ => "NOT INDEXED WHERE ?3 IS ?3 AND ?4 IS ?4",
    };
    let direction = if query.order == JobOrder::NewestFirst { "DESC" } else { "ASC" };
    let mut statement = conn.prepare_cached(&format!(
        "SELECT position, n, state, topic, task, label FROM job {index} AND position >= ?1 AND position < ?2
         ORDER BY position {direction}"
    ))?;
    let mut rows = statement.query((range.from, range.to, state, &filter.label))?;
    let (mut page, mut looked_at, mut last) = (JobPage::default(), 0, None);
    while let Some(row) = rows.next()? {
        if page.jobs.len() >= query.limit || looked_at >= LOOKED_AT {
            page.next = last.map(|position: i64| position.to_string());
            break;
        }
        looked_at += 1;
        let position: i64 = row.get(0)?;
        last = Some(position);
        if matches(&filter, row)?
            && let Some((job_id, record)) = read(conn, row.get(1)?)?
        {
            let cursor = position.to_string();
            page.jobs.push(IndexedJob { job_id: job_id.as_str().into(), record, position: position as u64, cursor });
        }
    }
    Ok(page)
}

/// The same as `JobFilter::matches`, without a copy of the row's texts.
fn matches(filter: &JobFilter, row: &Row<'_>) -> Result<bool> {
    if filter.state.is_some_and(|state| row.get::<_, i64>(2) != Ok(number_of(state))) {
        return Ok(false);
    }
    for (column, wanted) in [(3, &filter.topic), (4, &filter.task), (5, &filter.label)] {
        if let Some(wanted) = wanted
            && row.get_ref(column)?.as_str_or_null()? != Some(wanted)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The id and the record of a job.
fn read(conn: &Connection, n: i64) -> Result<Option<(String, Bytes)>> {
    conn.prepare_cached("SELECT id, value FROM name JOIN record USING (n) WHERE n = ?1 AND kind = 'job'")?
        .query_row([n], |row| Ok((row.get(0)?, Bytes::copy_from_slice(row.get_ref(1)?.as_blob()?))))
        .optional()
}
