//! Jobs by time: what a store is asked for, and what it keeps in its index.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::model::{JobId, Millis};
use crate::records::{JobRecord, JobState};

/// The most bytes of a task, a topic or a label in an index. An index compares the beginnings of longer texts, and the reader
/// compares the whole texts.
const MOST_TEXT: usize = 200;

/// The state of a job, as an index keeps it. It is the state that the job's record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexedState {
    /// The record does not say that the job is over. The job is scheduled or running. It may also have ended a moment ago, or its
    /// record may not decode.
    Alive,
    /// The job is over.
    Over(JobState),
}

impl IndexedState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Alive,
        Self::Over(JobState::Completed),
        Self::Over(JobState::Failed),
        Self::Over(JobState::Cancelled),
        Self::Over(JobState::TimedOut),
    ];

    /// The word for this state in an index.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Over(state) => state.as_str(),
        }
    }
}

/// What an index keeps of a job beside its id and its position. Only the state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFacts {
    /// The state that the record says.
    pub state: IndexedState,
    /// The beginning of the topic of the job's call.
    pub topic: String,
    /// The beginning of the task of the job's call.
    pub task: String,
    /// The beginning of the job's label.
    pub label: Option<String>,
}

impl JobFacts {
    /// What the record of a job says. A job whose record does not decode counts as alive, so that everybody who asks for live jobs
    /// finds it.
    #[must_use]
    pub fn of(record: &[u8]) -> Self {
        let Ok(job) = JobRecord::decode(record) else {
            return Self { state: IndexedState::Alive, topic: String::new(), task: String::new(), label: None };
        };
        Self {
            state: job.end.map_or(IndexedState::Alive, |end| IndexedState::Over(end.state)),
            topic: beginning(job.topic.as_str()).to_owned(),
            task: beginning(&job.task).to_owned(),
            label: job.options.label.as_deref().map(|label| beginning(label).to_owned()),
        }
    }
}

/// The part of a text that an index keeps.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(MOST_TEXT)]
}

/// Which jobs are asked for. `None`: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Jobs in this state.
    pub state: Option<IndexedState>,
    /// Jobs whose call is on this topic.
    pub topic: Option<String>,
    /// Jobs whose call has this task.
    pub task: Option<String>,
    /// Jobs with this label.
    pub label: Option<String>,
    /// Jobs that were accepted at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<Millis>,
    /// Jobs that were accepted before this time, in milliseconds since the Unix epoch.
    pub until: Option<Millis>,
}

impl JobFilter {
    /// The same filter with the texts as an index keeps them.
    #[must_use]
    pub fn indexed(&self) -> Self {
        let cut = |text: &Option<String>| text.as_deref().map(|text| beginning(text).to_owned());
        Self { topic: cut(&self.topic), task: cut(&self.task), label: cut(&self.label), ..self.clone() }
    }

    /// Does the index's entry of a job match? The time is not compared. `self`: the result of `indexed`.
    #[must_use]
    pub fn matches(&self, facts: &JobFacts) -> bool {
        self.state.is_none_or(|state| state == facts.state)
            && self.topic.as_deref().is_none_or(|topic| topic == facts.topic)
            && self.task.as_deref().is_none_or(|task| task == facts.task)
            && (self.label.is_none() || self.label == facts.label)
    }

    /// Does the record of a job match? Neither the state nor the time is compared.
    #[must_use]
    pub fn matches_record(&self, job: &JobRecord) -> bool {
        self.topic.as_deref().is_none_or(|topic| topic == job.topic.as_str())
            && self.task.as_deref().is_none_or(|task| task == job.task)
            && (self.label.is_none() || self.label == job.options.label)
    }

    /// The positions that match `since` and `until`: the first one, and the first one after them.
    #[must_use]
    pub fn positions(&self) -> (u64, u64) {
        let micros = |at: Millis| at.saturating_mul(1_000);
        (self.since.map_or(0, micros), self.until.map_or(u64::MAX, micros))
    }
}

/// The order of a list of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobOrder {
    /// The newest job comes first.
    #[default]
    NewestFirst,
    /// The oldest job comes first.
    OldestFirst,
}

/// A query for jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Which jobs.
    pub filter: JobFilter,
    /// In which order.
    pub order: JobOrder,
    /// The `next` of the page before, or the `cursor` of a job: the list goes on after it. `None`: the first page.
    pub after: Option<String>,
    /// The most jobs of the page.
    pub limit: usize,
}

/// A job in the order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedJob {
    /// The id of the job.
    pub job_id: JobId,
    /// The job's record. It may not decode.
    pub record: Bytes,
    /// When the store accepted the job, in microseconds since the Unix epoch by the store's clock. Jobs are in the order of these
    /// times.
    pub position: u64,
    /// A list goes on after this job with this cursor.
    pub cursor: String,
}

/// A page of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobPage {
    /// The jobs, in the order that was asked for. A job whose record was just removed is left out.
    pub jobs: Vec<IndexedJob>,
    /// The cursor of the next page. `None`: there are no more jobs.
    pub next: Option<String>,
}

/// Can a text be a cursor of a list of jobs? A cursor is a position; some stores add 16 hexadecimal digits that tell apart jobs at
/// the same position.
#[must_use]
pub fn is_job_cursor(text: &str) -> bool {
    let (position, rest) = text.split_once('-').map_or((text, None), |(position, rest)| (position, Some(rest)));
    let is_hexadecimal = |rest: &str| rest.len() == 16 && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (1..=19).contains(&position.len())
        && position.bytes().all(|b| b.is_ascii_digit())
        && rest.is_none_or(is_hexadecimal)
}

/// The position in a cursor.
///
/// # Errors
/// `Config` if the text is no cursor.
pub fn position_of(cursor: &str) -> Result<u64> {
    let digits = cursor.split('-').next().unwrap_or_default();
    let position = if is_job_cursor(cursor) { digits.parse().ok() } else { None };
    position.ok_or_else(|| {
        let reason = format!("{cursor:?} is no cursor of a list of jobs; use the one that the page before named");
        Error::new(ErrorKind::Config, "protocol", "list jobs", reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn an_index_keeps_the_beginning_of_long_texts() {
        let long = "ü".repeat(150);
        let record = JobRecord {
            task: long.clone(),
            options: Options { label: Some("x".into()), ..Options::default() },
            ..JobRecord::new("c".into(), "t".into(), 1)
        };
        let facts = JobFacts::of(&record.encode());
        assert_eq!((facts.task.len(), facts.label.as_deref()), (200, Some("x")));
        let other = JobFilter { task: Some(long.clone() + "!"), ..JobFilter::default() };
        assert!(other.indexed().matches(&facts) && !other.matches_record(&record));
        let same = JobFilter { task: Some(long), label: Some("x".into()), ..JobFilter::default() };
        assert!(same.indexed().matches(&facts) && same.matches_record(&record));
        let none = JobFilter { label: Some(String::new()), ..JobFilter::default() };
        assert!(!none.matches(&facts) && !none.matches_record(&record));
        assert_eq!(JobFacts::of(b"x").state, IndexedState::Alive);
    }

    #[test]
    fn a_cursor_is_a_position_and_perhaps_what_tells_jobs_apart() {
        for cursor in ["0", "1764492000000000", "1764492000000000-00ab00ab00ab00ab"] {
            assert!(is_job_cursor(cursor) && position_of(cursor).is_ok(), "{cursor}");
        }
        for other in ["", "-", "x", "1-", "1-00AB00ab00ab00ab", "1-00ab", "12345678901234567890", "-1", "1 "] {
            assert!(!is_job_cursor(other) && position_of(other).is_err(), "{other}");
        }
    }
}
