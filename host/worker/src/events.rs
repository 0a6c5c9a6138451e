//! Writes events as JSON, one object on each line, to a file. Publishes them to the event log of the backend, for
//! readers in other processes.
//!
//! The schema is part of the interface. `v` grows when a key changes its meaning. See the README for the keys.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, UNIX_EPOCH};

use brrr_protocol::events::{Event, Observer, State, Subject};
use brrr_protocol::model::{CallHash, JobId, Millis, hex};
use brrr_protocol::ports::Backend;
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::topic_worker::{Shutdown, StopReason};
use crate::view::FailureView;

/// The number of ends of calls and jobs that are remembered, so that no end is reported twice.
const ENDS_KEPT: usize = 1_000;

/// The most events that may wait for the backend or the file. Further events are dropped, because work must not wait
/// for the readers of events.
const WAITING: usize = 10_000;

/// How long events are collected before they are published together.
const GATHER: Duration = Duration::from_millis(100);

/// An event in its JSON form.
#[derive(Serialize)]
struct View<'a> {
    v: u32,
    at: String,
    /// `task` or `job`.
    subject: &'static str,
    job: &'a str,
    call: &'a str,
    task: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    topic: &'a str,
    from: &'static str,
    to: &'static str,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<usize>,
    worker: &'a str,
}

/// An observer that passes events to the outlets.
pub struct Events {
    worker: String,
    file: Option<mpsc::SyncSender<Vec<u8>>>,
    publish: Option<Sender<Bytes>>,
    dropped: Arc<AtomicU64>,
    ends: Mutex<Ends>,
}

#[derive(Default)]
struct Ends {
    reported: HashSet<End>,
    order: VecDeque<End>,
}

type End = (Subject, JobId, CallHash);

/// The tasks and threads that write and publish events, until their source is gone.
#[derive(Default)]
pub struct Outlets {
    writer: Option<JoinHandle<()>>,
    publisher: Option<tokio::task::JoinHandle<()>>,
}

/// A name for a worker of this process, which no other worker has: its process, and some random digits.
#[must_use]
pub fn worker_name() -> String {
    let mut bits = [0; 3];
    // The random bits are only part of a name, so a failure does not matter.
    let _ = getrandom::fill(&mut bits);
    format!("{}-{}", std::process::id(), hex(&bits))
}

impl Events {
    /// `worker` is a name that identifies the worker in its events.
    #[must_use]
    pub fn new(worker: String) -> Self {
        Self { worker, file: None, publish: None, dropped: Arc::default(), ends: Mutex::default() }
    }

    /// Writes each event to the end of a file. `-` is stdout; the worker is then asked to stop when the reader of
    /// stdout is gone. A thread of its own writes, so that a slow reader does not delay the work.
    ///
    /// # Errors
    /// When the file can't be opened, or the system refuses a thread.
    pub fn to_file(&mut self, path: &Path, outlets: &mut Outlets, shutdown: Shutdown) -> io::Result<()> {
        let file: Box<dyn Write + Send> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            let mut options = File::options();
            options.create(true).append(true);
            // Only the file's owner may read it, because events contain the messages of failures.
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            Box::new(options.open(path)?)
        };
        let (sender, lines) = mpsc::sync_channel(WAITING);
        let dropped = self.dropped.clone();
        let writer = thread::Builder::new().name("brrr-events".into());
        outlets.writer = Some(writer.spawn(move || write(file, &lines, &dropped, &shutdown))?);
        self.file = Some(sender);
        Ok(())
    }

    /// Publishes each event through the backend's event log. The backend must have one.
    pub fn to_backend(&mut self, backend: Arc<dyn Backend>, outlets: &mut Outlets) {
        let (sender, events) = channel(WAITING);
        self.publish = Some(sender);
        outlets.publisher = Some(tokio::spawn(publish(backend, events, self.dropped.clone())));
    }

    /// Several messages may report the same end of a call or job. Was this end reported already?
    fn is_repeated(&self, event: &Event<'_>) -> bool {
        if !matches!(event.to, State::Cancelled | State::TimedOut) {
            return false;
        }
        let end = (event.subject, event.job_id.clone(), event.call.clone());
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if !ends.reported.insert(end.clone()) {
            return true;
        }
        ends.order.push_back(end);
        if ends.order.len() > ENDS_KEPT
            && let Some(oldest) = ends.order.pop_front()
        {
            ends.reported.remove(&oldest);
        }
        false
    }

    fn line(&self, event: &Event<'_>) -> Vec<u8> {
        let view = View {
            v: 1,
            at: time(event.at),
            subject: if event.subject == Subject::Job { "job" } else { "task" },
            job: event.job_id.as_str(),
            call: event.call.as_str(),
            task: event.task,
            label: event.label,
            topic: event.topic.as_str(),
            from: event.from.as_str(),
            to: event.to.as_str(),
            attempt: event.attempt,
            failure: event.failure.map(Into::into),
            retry_in_ms: event.retry_in.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            waiting: event.waiting,
            worker: &self.worker,
        };
        // The view has only numbers and texts, so this never fails.
        serde_json::to_vec(&view).unwrap_or_default()
    }
}

/// RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn time(at: Millis) -> String {
    // The end of the year 9999. A damaged record may hold a later time, which can't be formatted.
    const LAST: Millis = 253_402_300_799_999;
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(at.min(LAST))).to_string()
}

impl Observer for Events {
    fn observe(&self, event: &Event<'_>) {
        if self.is_repeated(event) {
            return;
        }
        let mut line = self.line(event);
        if let Some(publish) = &self.publish
            && publish.try_send(Bytes::copy_from_slice(&line)).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(file) = &self.file {
            line.push(b'\n');
            if file.try_send(line).is_err() {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Outlets {
    /// Waits until all events are written, but not for long. Must be called after the worker has ended, because only
    /// then no sender of events is left.
    pub async fn finish(self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        if let Some(publisher) = self.publisher
            && tokio::time::timeout(PATIENCE, publisher).await.is_err()
        {
            tracing::warn!("the last events were not published within {PATIENCE:?}");
        }
        if let Some(writer) = self.writer {
            let written = tokio::task::spawn_blocking(move || writer.join());
            if tokio::time::timeout(PATIENCE, written).await.is_err() {
                tracing::warn!("the last events were not written within {PATIENCE:?}");
            }
        }
    }
}

/// Writes lines until the channel is closed.
fn write(mut file: Box<dyn Write + Send>, lines: &mpsc::Receiver<Vec<u8>>, dropped: &AtomicU64, shutdown: &Shutdown) {
    let mut failing = false;
    for line in lines {
        // Each line is written and flushed at once, so that the lines of several workers in one file are not mixed.
        match file.write_all(&line).and_then(|()| file.flush()) {
            Ok(()) => failing = false,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                shutdown.begin(StopReason::OutputClosed);
                return;
            }
            Err(error) => {
                if !failing {
                    tracing::warn!("events can't be written: {error}");
                }
                failing = true;
            }
        }
        report_dropped(dropped);
    }
}

fn report_dropped(dropped: &AtomicU64) {
    // The counter is read before it is changed, because the workers' threads share its cache line.
    if dropped.load(Ordering::Relaxed) > 0 {
        let lost = dropped.swap(0, Ordering::Relaxed);
        tracing::warn!("{lost} events were dropped: more happens than is taken");
    }
}

async fn publish(backend: Arc<dyn Backend>, mut events: Receiver<Bytes>, dropped: Arc<AtomicU64>) {
    let Some(log) = backend.events() else { return };
    let mut batch = Vec::new();
    while events.recv_many(&mut batch, WAITING).await > 0 {
        if let Err(error) = log.publish(&batch).await {
            tracing::warn!("{} events could not be published: {error}", batch.len());
        }
        report_dropped(&dropped);
        batch.clear();
        tokio::time::sleep(GATHER).await;
    }
}

#[cfg(test)]
mod tests {
    use brrr_protocol::model::{Failure, FailureKind};

    use super::*;

    fn written(events: &Events, subject: Subject, to: State, failure: Option<&Failure>) -> serde_json::Value {
        let event = Event {
            at: 1_700_000_000_123,
            subject,
            from: State::Running,
            to,
            job_id: &"r".into(),
            call: &"c".into(),
            task: "fib",
            label: None,
            topic: &"t".into(),
            attempt: 2,
            failure,
            retry_in: Some(Duration::from_millis(1500)),
            waiting: None,
        };
        serde_json::from_slice(&events.line(&event)).unwrap()
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let events = Events::new("w".to_owned());
        let failure = Failure::new(FailureKind::Trap, "fib", "unreachable");
        let event = written(&events, Subject::Task, State::Ready, Some(&failure));
        assert_eq!(event["at"], "2023-11-14T22:13:20.123Z");
        assert_eq!(
            (&event["subject"], &event["from"], &event["to"]),
            (&"task".into(), &"running".into(), &"ready".into())
        );
        assert_eq!((&event["attempt"], &event["retry_in_ms"]), (&2.into(), &1500.into()));
        assert_eq!(event["failure"]["kind"], "trap");
        assert!(event.get("label").is_none() && event.get("waiting").is_none());
    }

    #[test]
    fn a_cancellation_is_reported_once() {
        let events = Events::new("w".to_owned());
        let (job_id, call, topic) = (JobId::from("r"), "c".into(), "t".into());
        let mut event = Event {
            at: 1,
            subject: Subject::Job,
            from: State::Running,
            to: State::Cancelled,
            job_id: &job_id,
            call: &call,
            task: "t",
            label: None,
            topic: &topic,
            attempt: 1,
            failure: None,
            retry_in: None,
            waiting: None,
        };
        assert!(!events.is_repeated(&event) && events.is_repeated(&event));
        event.subject = Subject::Task;
        assert!(!events.is_repeated(&event));
        event.to = State::Running;
        assert!(!events.is_repeated(&event) && !events.is_repeated(&event));
    }
}
