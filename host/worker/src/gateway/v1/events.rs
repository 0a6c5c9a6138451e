//! Server-sent events: the changes of calls and jobs.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use brrr_protocol::model::{CallHash, JobId};
use brrr_protocol::records::JobRecord;
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::Answer;
use super::problem::{Problem, ProblemKind};
use super::request::{bad, job_id};
use crate::events::time;
use crate::gateway::Gateway;
use crate::gateway::tail::{EventTail, LoggedEvent};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Proxies close connections on which nothing comes.
const ALIVE: Duration = Duration::from_secs(15);

/// How long a stream waits for the event of a job's end, after the end. Workers publish their events a little later, and some
/// publish none.
const GRACE: Duration = Duration::from_secs(1);

/// Which events are sent.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Only events of this job.
    job: Option<String>,
    /// Only events of calls on this topic.
    topic: Option<String>,
}

/// An event as it is sent. (For the document only.) The first one has only an id, which says where the stream begins.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerSentEvent)]
pub struct SentEvent {
    /// The position of the event, for `Last-Event-ID`.
    id: String,
    /// `task` or `job`: what has changed its state.
    #[schema(required = false)]
    event: String,
    /// The change, as JSON: `at`, `subject`, `job`, `call`, `task`, `topic`, `from`, `to`, `attempt`, `failure`, …
    #[schema(required = false)]
    data: String,
}

/// The parts of an event that a stream looks at.
#[derive(Deserialize)]
struct Head<'a> {
    subject: &'a str,
    job: &'a str,
    topic: &'a str,
    to: &'a str,
}

/// The events of a job, until its end. `Last-Event-ID` continues after that event.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/events", tag = "events", operation_id = "followJob",
    params(
        ("job" = String, Path, description = "The job's id", pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,1000}$"),
        ("last-event-id" = Option<String>, Header, description = "Continues after this event"),
    ),
    responses(
        (status = 200, description = "The events. The last one has the subject `job` and a final state", body = SentEvent, content_type = "text/event-stream"),
        (status = 400, description = "`bad-request`", body = Problem),
        (status = 404, description = "`no-such-job`", body = Problem),
    ),
)]
pub async fn of_job(State(gateway): State<Gateway>, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    let id = job_id(id)?;
    let unknown = || Problem::new(ProblemKind::NoSuchJob, format!("there is no record of job {id}"));
    let job = gateway.shared.client.job(&id).await?.ok_or_else(unknown)?;
    let wanted = EventsQuery { job: Some(id.to_string()), topic: None };
    // Without a position, from the oldest event that is kept.
    let after = position(&headers)?.unwrap_or(0);
    let followed = Followed { id, call: job.call };
    follow(&gateway, wanted, Some(after), Some(followed)).await
}

/// The events of all jobs from now on. `Last-Event-ID` continues after that event.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "followAll",
    params(EventsQuery, ("last-event-id" = Option<String>, Header, description = "Continues after this event")),
    responses(
        (status = 200, description = "The events, without an end", body = SentEvent, content_type = "text/event-stream"),
        (status = 400, description = "`bad-request`", body = Problem),
    ),
)]
pub async fn all(
    State(gateway): State<Gateway>,
    query: Result<Query<EventsQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let Query(wanted) = query.map_err(|error| bad(error.body_text()))?;
    let after = position(&headers)?;
    follow(&gateway, wanted, after, None).await
}

fn position(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map(Some).map_err(|_| bad("the header `last-event-id` is not the id of an event"))
}

async fn follow(gateway: &Gateway, wanted: EventsQuery, after: Option<u64>, followed: Option<Followed>) -> Answer {
    let tail = gateway.shared.events.clone();
    let (end, receiver) = tail.subscribe().await?;
    let gateway = gateway.clone();
    let events = Events {
        tail,
        receiver,
        after: after.unwrap_or(end),
        is_behind: after.is_some_and(|after| after < end),
        backlog: VecDeque::new(),
        wanted,
        followed,
        ended: None,
        has_looked_last: false,
        has_begun: false,
        is_over: false,
        gateway,
    };
    Ok(Sse::new(events.stream()).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

/// The job whose end ends the stream.
struct Followed {
    id: JobId,
    call: CallHash,
}

/// The state of a stream.
struct Events {
    gateway: Gateway,
    tail: Arc<EventTail>,
    receiver: Receiver<LoggedEvent>,
    /// The position of the last event that was looked at.
    after: u64,
    /// The log has events that the receiver will not bring.
    is_behind: bool,
    backlog: VecDeque<LoggedEvent>,
    wanted: EventsQuery,
    followed: Option<Followed>,
    /// When the job was seen to be over, and how.
    ended: Option<(Instant, Box<JobRecord>)>,
    /// The log was read once more after the end of the job.
    has_looked_last: bool,
    has_begun: bool,
    is_over: bool,
}

impl Events {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures_util::stream::unfold(self, async |mut events| {
            let event = events.next().await?;
            Some((Ok(event), events))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            // If the connection breaks before the first event, the client can continue here.
            return Some(Event::default().id(self.after.to_string()));
        }
        loop {
            while let Some((position, bytes)) = self.backlog.pop_front() {
                if position > self.after {
                    self.after = position;
                    if let Some(event) = self.event(position, &bytes) {
                        return Some(event);
                    }
                }
            }
            if self.is_behind {
                match self.tail.read(self.after).await {
                    Ok(events) if !events.is_empty() => self.backlog = events.into(),
                    Ok(_) => self.is_behind = false,
                    // The client connects again.
                    Err(_) => return None,
                }
                continue;
            }
            if let Some((seen, job)) = &self.ended
                && seen.elapsed() >= GRACE
            {
                if self.has_looked_last {
                    self.is_over = true;
                    return self.end_of(job);
                }
                // The events may be in the log, although the tail has not brought them yet.
                (self.has_looked_last, self.is_behind) = (true, true);
                continue;
            }
            let (watcher, closing) = (self.gateway.shared.watcher.clone(), self.gateway.shared.closing.clone());
            tokio::select! {
                received = self.receiver.recv() => match received {
                    Ok(event) => self.backlog.push_back(event),
                    Err(RecvError::Lagged(_)) => self.is_behind = true,
                    Err(RecvError::Closed) => return None,
                },
                () = tokio::time::sleep(GRACE), if self.ended.is_some() => {}
                () = end(&self.followed, &watcher), if self.ended.is_none() && self.followed.is_some() => {
                    self.look_at_job().await;
                }
                () = closing.cancelled() => return None,
            }
        }
    }

    /// The event to send, if it is wanted.
    fn event(&mut self, position: u64, bytes: &Bytes) -> Option<Event> {
        let text = std::str::from_utf8(bytes).ok()?;
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        let is_wanted = self.wanted.job.as_deref().is_none_or(|job| job == head.job)
            && self.wanted.topic.as_deref().is_none_or(|topic| topic == head.topic);
        if !is_wanted {
            return None;
        }
        let is_end = matches!(head.to, "completed" | "failed" | "cancelled" | "timed-out");
        self.is_over = self.followed.is_some() && head.subject == "job" && is_end;
        Some(Event::default().id(position.to_string()).event(head.subject).data(text))
    }

    /// Notes whether the job is over.
    async fn look_at_job(&mut self) {
        let (Some(Followed { id, .. }), client) = (&self.followed, &self.gateway.shared.client) else { return };
        let Ok(Some(job)) = client.end_if_overdue(id, client.now()).await else { return };
        if let Ok(job) = client.as_it_is(id, job, client.now()).await
            && job.is_over()
        {
            self.ended = Some((Instant::now(), Box::new(job)));
        }
    }

    /// The event of the job's end, which no worker has published.
    fn end_of(&self, job: &JobRecord) -> Option<Event> {
        let (Followed { id, call }, end) = (self.followed.as_ref()?, job.end?);
        let event = json!({
            "v": 1, "at": time(end.at), "subject": "job", "job": id.as_str(), "call": call.as_str(), "task": null,
            "topic": job.topic.as_str(), "from": "running", "to": end.state.as_str(), "attempt": 1,
        });
        Some(Event::default().id(self.after.to_string()).event("job").data(event.to_string()))
    }
}

/// Waits for the end of the followed job.
async fn end(followed: &Option<Followed>, watcher: &Arc<crate::gateway::watcher::Watcher>) {
    match followed {
        Some(Followed { id, call }) => watcher.wait(id, call, Duration::from_secs(60)).await,
        None => std::future::pending().await,
    }
}
