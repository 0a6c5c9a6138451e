//! Reads what the runs of a job's calls have logged. For people only; no transition may depend on it.

use std::collections::{BTreeMap, HashSet};

use crate::error::Result;
use crate::model::{CallHash, JobId, Millis};
use crate::ports::{Backend, Key};
use crate::records::{JobRecord, LogLevel, LogLine, LogRecord};
use crate::tree::{Bounds, Tree};

/// How many `log` records are read at once. Each of them has up to `MOST_KEPT` bytes.
const PAGE: usize = 16;

/// The place of a line among all lines of a job: by time, then by call, then by number. The time is that of the line, or that of
/// an earlier line of the same call if that is later. So the lines of a call stay in their order, whatever clocks say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// In milliseconds since the Unix epoch.
    pub at: Millis,
    /// The call that has logged the line.
    pub call: CallHash,
    /// The number of the line among all lines of its call in the job, from 0.
    pub number: u64,
}

/// A call of a job, with the name of its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingCall {
    /// The call.
    pub call: CallHash,
    /// Its task. `None`: no record describes the call.
    pub task: Option<String>,
    /// How many lines are not kept any more. They were before the first line that is.
    pub cut: u64,
}

/// Some lines of a job, in their order.
#[derive(Clone, Debug, Default)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<(Place, LogLine)>,
    /// The calls that have logged these lines.
    pub calls: BTreeMap<CallHash, LoggingCall>,
    /// There are more lines after these.
    pub more: bool,
}

/// Which lines are read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Only lines after this one.
    pub after: Option<&'a Place>,
    /// Only lines of this level or a more severe one.
    pub level: LogLevel,
    /// The most lines.
    pub limit: usize,
}

/// The lines of one call that are kept, with the number of those that are not. `None`: it has logged nothing, or its record
/// can't be read, or is gone.
///
/// # Errors
/// When the backend can't be read.
pub async fn of_call(backend: &dyn Backend, job_id: &JobId, call: &CallHash) -> Result<Option<LogRecord>> {
    let found = backend.store().get(&Key::log(call, job_id)).await?;
    Ok(found.as_deref().and_then(readable))
}

/// A record of another program, or of a later version, shows nothing. The log is no reason to show nothing of the others.
fn readable(bytes: &[u8]) -> Option<LogRecord> {
    LogRecord::decode(bytes).ok().filter(|record| record.lines().is_ok())
}

/// The calls of a job, in the order in which its tree shows them, and whether there are more. Without the calls that a run record
/// no longer names.
///
/// # Errors
/// When the backend can't be read.
pub async fn calls(
    backend: &dyn Backend,
    job_id: &JobId,
    job: &JobRecord,
    now: Millis,
) -> Result<(Vec<LoggingCall>, bool)> {
    const BOUNDS: Bounds = Bounds { depth: 1_000, lines: 100_000 };
    let tree = Tree::read(backend, job_id, job, now, BOUNDS).await?;
    let is_cut = tree.is_cut() || tree.calls.iter().any(|node| node.unnamed > 0);
    let of = |node: crate::tree::Node| LoggingCall { call: node.call, task: node.task, cut: 0 };
    Ok((tree.calls.into_iter().map(of).collect(), is_cut))
}

/// The first wanted lines of these calls of a job, in the order of their places. All records are read, a few at a time, and only
/// the wanted lines are held.
///
/// # Errors
/// When the backend can't be read.
pub async fn page(backend: &dyn Backend, job_id: &JobId, calls: &[LoggingCall], wanted: Wanted<'_>) -> Result<LogPage> {
    let (mut found, mut page) = (BTreeMap::new(), LogPage::default());
    for calls in calls.chunks(PAGE) {
        let keys: Vec<Key> = calls.iter().map(|of| Key::log(&of.call, job_id)).collect();
        for (of, bytes) in calls.iter().zip(backend.store().get_many(&keys).await?) {
            let Some(record) = bytes.as_deref().and_then(readable) else { continue };
            page.calls.insert(of.call.clone(), LoggingCall { cut: record.cut, ..of.clone() });
            for (place, line) in placed(&of.call, &record) {
                if line.from.level() < wanted.level || wanted.after.is_some_and(|after| place <= *after) {
                    continue;
                }
                found.insert(place, line);
                if found.len() > wanted.limit {
                    found.pop_last();
                    page.more = true;
                }
            }
        }
    }
    page.lines = found.into_iter().collect();
    let logging: HashSet<&CallHash> = page.lines.iter().map(|(place, _)| &place.call).collect();
    page.calls.retain(|call, _| logging.contains(call));
    Ok(page)
}

/// The lines of a record with their places.
#[must_use]
pub fn placed(call: &CallHash, record: &LogRecord) -> Vec<(Place, LogLine)> {
    let mut latest = 0;
    let place = |(number, line): (u64, LogLine)| {
        latest = line.at.max(latest);
        (Place { at: latest, call: call.clone(), number }, line)
    };
    record.lines().unwrap_or_default().into_iter().map(place).collect()
}
