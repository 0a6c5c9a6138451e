//! The index of the jobs: one sorted set of all jobs by the time of their acceptance, and one for each state, topic, task and label.
//!
//! A query walks through the smallest of the sets that its jobs must be in, and looks for them in the others.

use brrr_protocol::error::Result;
use brrr_protocol::ports::{
    IndexedJob, IndexedState, JobFacts, JobOrder, JobPage, JobQuery, Key, Store as _, position_of,
};
use brrr_protocol::records::JobState;
use bytes::Bytes;
use redis::{Pipeline, RedisResult, Value, cmd, pipe};

use super::keys::Keys;
use super::optimistic::Watch;
use super::{Redis, scripts};

/// The most entries that one query looks at. That takes the server some milliseconds, in which it does nothing else.
const LOOKED_AT: usize = 10_000;

/// The most entries that are looked at in one round trip where scripts are forbidden.
const AT_ONCE: usize = 500;

/// A query, as ranges and sets.
pub(super) struct JobSearch {
    order: JobOrder,
    /// The range of scores, in the notation of `ZRANGEBYSCORE`.
    from: String,
    to: String,
    limit: usize,
    /// A job is in all of these sets. There is at least one.
    inside: Vec<String>,
    /// A job is in none of these sets.
    outside: Vec<String>,
}

impl JobSearch {
    pub fn of(keys: &Keys, query: &JobQuery) -> Result<Self> {
        let filter = query.filter.indexed();
        let (from, to) = filter.positions();
        let (mut from, mut to) = (from.to_string(), format!("({to}"));
        if filter.until.is_none() {
            "+inf".clone_into(&mut to);
        }
        if let Some(after) = query.after.as_deref().map(position_of).transpose()? {
            match query.order {
                JobOrder::NewestFirst => to = before(after, filter.positions().1),
                JobOrder::OldestFirst => from = after.saturating_add(1).max(filter.positions().0).to_string(),
            }
        }
        let mut inside = keys.jobs_that_match(&filter);
        if inside.is_empty() {
            inside.push(keys.jobs());
        }
        let is_completed = filter.state == Some(IndexedState::Over(JobState::Completed));
        let outside = if is_completed { keys.jobs_in_states().collect() } else { Vec::new() };
        Ok(Self { order: query.order, from, to, limit: query.limit, inside, outside })
    }

    fn range(&self, from: &str, to: &str, most: usize) -> redis::Cmd {
        let mut range = match self.order {
            JobOrder::NewestFirst => cmd("ZREVRANGEBYSCORE"),
            JobOrder::OldestFirst => cmd("ZRANGEBYSCORE"),
        };
        range.arg(&self.inside[0]);
        match self.order {
            JobOrder::NewestFirst => range.arg(to).arg(from),
            JobOrder::OldestFirst => range.arg(from).arg(to),
        };
        range.arg("WITHSCORES").arg("LIMIT").arg(0).arg(most);
        range
    }
}

/// The end of a range before both positions.
fn before(one: u64, other: u64) -> String {
    format!("({}", one.min(other))
}

/// Scores are whole numbers below 2^53, so the conversion is exact.
fn position(score: f64) -> u64 {
    score as u64
}

fn job(id: String, position: u64, record: Bytes) -> IndexedJob {
    IndexedJob { job_id: id.into(), record, position, cursor: position.to_string() }
}

impl Redis {
    pub(super) async fn jobs_by_script(&self, search: &JobSearch) -> Result<JobPage> {
        let order = if search.order == JobOrder::NewestFirst { "new" } else { "old" };
        let script = scripts::JOBS.call(&self.0.keys).arg(order).arg(&search.from).arg(&search.to);
        let script = script.arg(search.limit).arg(LOOKED_AT).arg(search.inside.len());
        let script = script.args(&search.inside).args(&search.outside);
        let answer = self.run(script, "list jobs").await?;
        let read = redis::from_redis_value::<(String, Vec<Value>)>(answer.clone());
        let (next, found) = read.map_err(|_| Self::unexpected("list jobs", &answer))?;
        let mut page =
            JobPage { jobs: Vec::with_capacity(found.len() / 3), next: score(&next).map(|at| at.to_string()) };
        let mut items = found.into_iter();
        while let (Some(id), Some(at), Some(Value::BulkString(record))) = (items.next(), items.next(), items.next()) {
            let texts = (redis::from_redis_value::<String>(id), redis::from_redis_value::<String>(at));
            let (Ok(id), Ok(at)) = texts else { continue };
            if let Some(at) = score(&at) {
                page.jobs.push(job(id, at, record.into()));
            }
        }
        Ok(page)
    }

    /// The same without a script.
    pub(super) async fn jobs_by_commands(&self, search: &JobSearch) -> Result<JobPage> {
        let (mut from, mut to) = (search.from.clone(), search.to.clone());
        let (mut page, mut looked_at) = (JobPage::default(), 0);
        while page.jobs.len() < search.limit && looked_at < LOOKED_AT {
            let most =
                if search.inside.len() + search.outside.len() > 1 { AT_ONCE } else { search.limit - page.jobs.len() };
            let range = search.range(&from, &to, most);
            let found = range.query_async::<Vec<(String, f64)>>(&mut self.0.connections.shared()).await;
            let found = found.map_err(self.error("list jobs"))?;
            looked_at += found.len();
            let is_last = found.len() < most;
            let matching = self.those_that_match(search, found.iter().map(|(id, _)| &**id)).await?;
            let keys: Vec<Key> = found.iter().map(|(id, _)| Key::job(&id.as_str().into())).collect();
            let wanted: Vec<Key> = keys.into_iter().zip(&matching).filter(|(_, is)| **is).map(|(key, _)| key).collect();
            let mut records = self.get_many(&wanted).await?.into_iter();
            for ((id, at), is_match) in found.into_iter().zip(matching) {
                if page.jobs.len() >= search.limit {
                    return Ok(page);
                }
                let at = position(at);
                page.next = Some(at.to_string());
                match search.order {
                    JobOrder::NewestFirst => to = format!("({at}"),
                    JobOrder::OldestFirst => from = format!("({at}"),
                }
                if is_match && let Some(record) = records.next().flatten() {
                    page.jobs.push(job(id, at, record));
                }
            }
            if is_last {
                page.next = None;
                return Ok(page);
            }
        }
        Ok(page)
    }

    async fn those_that_match<'a>(&self, search: &JobSearch, ids: impl Iterator<Item = &'a str>) -> Result<Vec<bool>> {
        let ids: Vec<&str> = ids.collect();
        let sets: Vec<(&String, bool)> = search.inside[1..]
            .iter()
            .map(|set| (set, true))
            .chain(search.outside.iter().map(|set| (set, false)))
            .collect();
        if sets.is_empty() || ids.is_empty() {
            return Ok(vec![true; ids.len()]);
        }
        let mut look = pipe();
        for id in &ids {
            for (set, _) in &sets {
                look.cmd("ZSCORE").arg(set).arg(id);
            }
        }
        let scores = look.query_async::<Vec<Option<f64>>>(&mut self.0.connections.shared()).await;
        let scores = scores.map_err(self.error("list jobs"))?;
        let is_match = |scores: &[Option<f64>]| scores.iter().zip(&sets).all(|(score, (_, is))| score.is_some() == *is);
        Ok(scores.chunks(sets.len()).map(is_match).collect())
    }

    /// Adds the commands that bring the index from a record of a job to another one. `None`: there is no record.
    pub(super) async fn index(
        &self,
        watch: &mut Watch<'_>,
        write: &mut Pipeline,
        key: &Key,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) -> RedisResult<()> {
        let keys = &self.0.keys;
        let Some(after) = after else {
            self.unindex(write, key, before);
            return Ok(());
        };
        let sets = |record: &[u8]| {
            let facts = JobFacts::of(record);
            let state = keys.jobs_in(facts.state);
            keys.jobs_like(&facts).into_iter().chain(state).chain([keys.jobs()]).collect::<Vec<String>>()
        };
        let (before, after) = (before.map(sets).unwrap_or_default(), sets(after));
        for set in before.iter().filter(|set| !after.contains(set)) {
            write.cmd("ZREM").arg(set).arg(&*key.id);
        }
        let new: Vec<&String> = after.iter().filter(|set| !before.contains(set)).collect();
        if !new.is_empty() {
            let position = position_for(watch, &keys.jobs(), &key.id).await?;
            for set in new {
                write.cmd("ZADD").arg(set).arg("NX").arg(position).arg(&*key.id);
            }
        }
        Ok(())
    }

    /// Adds the commands that remove a job from the index. The state may have changed since its record was read.
    pub(super) fn unindex(&self, write: &mut Pipeline, key: &Key, record: Option<&[u8]>) {
        let keys = &self.0.keys;
        let like = record.map(|record| keys.jobs_like(&JobFacts::of(record))).unwrap_or_default();
        for set in like.into_iter().chain(keys.jobs_in_states()).chain([keys.jobs()]) {
            write.cmd("ZREM").arg(set).arg(&*key.id).ignore();
        }
    }
}

fn score(text: &str) -> Option<u64> {
    text.parse::<f64>().ok().map(position)
}

/// The position of a job. A job without one gets the next one; `lua/schedule.lua` computes it in the same way.
async fn position_for(watch: &mut Watch<'_>, order: &str, id: &str) -> RedisResult<u64> {
    let mut look = pipe();
    look.cmd("ZSCORE").arg(order).arg(id);
    look.cmd("TIME").cmd("ZREVRANGE").arg(order).arg(0).arg(0).arg("WITHSCORES");
    type Answer = (Option<f64>, (u64, u64), Vec<(String, f64)>);
    let (found, (s, us), last): Answer = look.query_async(watch.connection()).await?;
    let next = (s * 1_000_000 + us).max(last.first().map_or(0, |(_, score)| position(*score)) + 1);
    Ok(found.map_or(next, position))
}
