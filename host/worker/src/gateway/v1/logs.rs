//! What the calls of a job have logged.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use brrr_protocol::logs::{self, LogPage, LoggingCall, Place, Wanted};
use brrr_protocol::model::{CallHash, JobId, check_name};
use brrr_protocol::ports::Key;
use brrr_protocol::records::{JobRecord, LogLevel};
use brrr_protocol::wire::CallRecord;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Problem, ProblemKind};
use super::request::{bad, job_id};
use crate::gateway::Gateway;
use crate::view::log::LogLineView;

/// The most lines of a page, and the number if none is given.
const MOST_LISTED: usize = 5_000;
const LISTED: usize = 1_000;

/// Which lines are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Only lines of this level or a more severe one: `trace`, `debug`, `info`, `warn` or `error`.
    #[param(pattern = "^(trace|debug|info|warn|error)$")]
    level: Option<String>,
    /// How many lines: 1 to 5000, 1000 unless given.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}[.][0-9]{1,15}[.][^\\u0000-\\u001f\\u007f-\\u009f]{1,900}$")]
    cursor: Option<String>,
}

/// Which lines of a call are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallLogsQuery {
    /// Only lines of this level or a more severe one: `trace`, `debug`, `info`, `warn` or `error`.
    #[param(pattern = "^(trace|debug|info|warn|error)$")]
    level: Option<String>,
    /// How many lines: 1 to 5000, 1000 unless given.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<usize>,
    /// Only lines with this number or a higher one: the `next` of an answer before.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    from: Option<u64>,
}

/// A page of lines.
#[derive(Serialize, ToSchema)]
pub struct LogsPage {
    /// The lines, in the order of time. The lines of one call are in the order in which it has logged them.
    lines: Vec<LogLineView>,
    /// The calls on this page of which older lines are not kept any more.
    cut: Vec<CutView>,
    /// The cursor of the next page. `null`: this is the last page so far. A line that is written later may have an earlier time.
    next: Option<String>,
}

/// A page of the lines of one call.
#[derive(Serialize, ToSchema)]
pub struct CallLogsPage {
    /// The lines, in the order in which the call has logged them.
    lines: Vec<LogLineView>,
    /// How many lines of the call are not kept any more. They were before the first one that is.
    cut: u64,
    /// `from` of the next page. With it, a later request gets the lines that were written since.
    next: u64,
    /// There are more lines now.
    more: bool,
}

/// A call with lines that are not kept any more.
#[derive(Serialize, ToSchema)]
#[schema(as = CutLogs)]
pub struct CutView {
    /// The hash of the call.
    call: String,
    /// The task of the call. `null`: no record describes the call.
    task: Option<String>,
    /// How many lines were before the first one that is kept.
    lines: u64,
}

/// The lines that the calls of a job have logged and printed. The lines of a run are there when the run has ended.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/logs", tag = "jobs", operation_id = "readLogs",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        LogsQuery,
    ),
    responses(
        (status = 200, description = "A page of lines", body = LogsPage),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn of_job(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    query: Result<Query<LogsQuery>, QueryRejection>,
) -> Result<Json<LogsPage>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let (id, level, limit) = (job_id(id)?, level(query.level.as_deref())?, limit(query.limit)?);
    let after = query.cursor.as_deref().map(place).transpose()?;
    let job = job(&gateway, &id).await?;
    let backend = &*gateway.shared.backend;
    let (calls, _) = logs::calls(backend, &id, &job, gateway.shared.client.now()).await?;
    let wanted = Wanted { after: after.as_ref(), level, limit };
    let page = logs::page(backend, &id, &calls, wanted).await?;
    let next = page.lines.last().filter(|_| page.more).map(|(place, _)| cursor(place));
    let cut = page.calls.values().filter(|of| of.cut > 0).map(|of| CutView {
        call: of.call.as_str().to_owned(),
        task: of.task.clone(),
        lines: of.cut,
    });
    Ok(Json(LogsPage { cut: cut.collect(), lines: views(page), next }))
}

/// The lines that a call has logged and printed in a job.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/calls/{call}/logs", tag = "jobs", operation_id = "readCallLogs",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("call" = String, Path, description = "The call's hash", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        CallLogsQuery,
    ),
    responses(
        (status = 200, description = "A page of lines. A call that has logged nothing in the job, and one that is not the job's, has none", body = CallLogsPage),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn of_call(
    State(gateway): State<Gateway>,
    Path((id, call)): Path<(String, String)>,
    query: Result<Query<CallLogsQuery>, QueryRejection>,
) -> Result<Json<CallLogsPage>, Problem> {
    let Query(query) = query.map_err(|error| bad(error.body_text()))?;
    let (id, level, limit) = (job_id(id)?, level(query.level.as_deref())?, limit(query.limit)?);
    check_name("the call's hash", &call).map_err(bad)?;
    let call = CallHash::from(call);
    job(&gateway, &id).await?;
    let backend = &*gateway.shared.backend;
    let from = query.from.unwrap_or(0);
    let Some(record) = logs::of_call(backend, &id, &call).await? else {
        return Ok(Json(CallLogsPage { lines: Vec::new(), cut: 0, next: from, more: false }));
    };
    let described = backend.store().get(&Key::call(&call)).await?;
    let task = described.and_then(|bytes| CallRecord::decode(&bytes).ok()).map(|record| record.task);
    let mut page = CallLogsPage { lines: Vec::new(), cut: record.cut, next: from, more: false };
    for (place, line) in logs::placed(&call, &record) {
        if place.number < from {
            continue;
        }
        let is_wanted = line.from.level() >= level;
        if is_wanted && page.lines.len() == limit {
            page.more = true;
            break;
        }
        page.next = place.number + 1;
        if is_wanted {
            page.lines.push(LogLineView::of(&place, line, task.as_deref()));
        }
    }
    Ok(Json(page))
}

fn views(page: LogPage) -> Vec<LogLineView> {
    let LogPage { lines, calls, .. } = page;
    let task = |place: &Place| calls.get(&place.call).and_then(|of: &LoggingCall| of.task.as_deref());
    lines.into_iter().map(|(place, line)| LogLineView::of(&place, line, task(&place))).collect()
}

async fn job(gateway: &Gateway, id: &JobId) -> Result<JobRecord, Problem> {
    let unknown = || Problem::new(ProblemKind::NoSuchJob, format!("there is no record of job {id}"));
    gateway.shared.client.job(id).await?.ok_or_else(unknown)
}

fn level(name: Option<&str>) -> Result<LogLevel, Problem> {
    let Some(name) = name else { return Ok(LogLevel::Trace) };
    let names = || LogLevel::ALL.map(LogLevel::as_str).join(", ");
    LogLevel::of_name(name).ok_or_else(|| bad(format!("there is no level {name:?}; the levels are {}", names())))
}

fn limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(LISTED);
    let is_right = (1..=MOST_LISTED).contains(&limit);
    is_right.then_some(limit).ok_or_else(|| bad(format!("limit is 1 to {MOST_LISTED}, not {limit}")))
}

fn cursor(place: &Place) -> String {
    format!("{}.{}.{}", place.at, place.number, place.call.as_str())
}

fn place(cursor: &str) -> Result<Place, Problem> {
    let parts = || {
        let (at, rest) = cursor.split_once('.')?;
        let (number, call) = rest.split_once('.')?;
        Some(Place { at: at.parse().ok()?, number: number.parse().ok()?, call: CallHash::from(call) })
    };
    parts().ok_or_else(|| bad("the cursor is not one that a page named as `next`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_a_place() {
        let at = Place { at: 1_700_000_000_000, number: 7, call: "a.b.c".into() };
        assert_eq!(place(&cursor(&at)).ok(), Some(at));
        for wrong in ["", "1", "1.2", "x.1.c", "1.-1.c"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
