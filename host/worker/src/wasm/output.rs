//! The output of a guest: shown in lines, once for each call, and limited in size.
//!
//! A replay prints again what an earlier run printed. Only whole lines are shown and counted. If a run suspends in the
//! middle of a line, the run that ends the line shows it. The count of the shown lines is in the call's `run` record.
//!
//! What is shown is also kept with the call: see `records/log.rs` in `host/protocol`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use brrr_protocol::model::{CallHash, JobId, Millis};
pub use brrr_protocol::records::{LogLevel, LogSource as Stream};
use brrr_protocol::records::{LogLine, RunLog};
use brrr_protocol::replay::{Printed, Replay};
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The most bytes that one run may print. The rest is dropped with a note, so that it can't fill a disk with logs.
const MAX_PRINTED: usize = 1 << 20;

/// A longer line is shown in pieces of this size.
const MAX_LINE: usize = 64 << 10;

/// How much of a run's last errors is kept for the message of a trap: a panic's text and some lines around it.
const MAX_TAIL: usize = 1 << 10;

/// What Rust's runtime says after a panic, also inside of guests in other languages. A guest has no such variable.
const BACKTRACE_ADVICE: &[u8] = b"note: run with `RUST_BACKTRACE=";

/// Receives the output of guests. It is called within runs, so it must not block for long.
pub trait Output: Send + Sync {
    /// Shows one line.
    fn write(&self, line: OutputLine<'_>);

    /// Called when a run uses something outside of itself that its permissions allow: once for each kind, in each run
    /// of a call. A call that is not a leaf uses it again in each replay. The default does nothing.
    fn touched(&self, _: Touched<'_>) {}

    /// Called at the end of each run: the most bytes of memory that the run has used. The default does nothing.
    fn used_memory(&self, task: &str, bytes: u64) {
        let _ = (task, bytes);
    }

    /// The `traceparent` that the requests of a call carry. `None`: its job is not traced. The default is `None`.
    fn traceparent(&self, job_id: &JobId, call: &CallHash) -> Option<String> {
        let _ = (job_id, call);
        None
    }
}

/// Writes the output of guests to `tracing`, with the task and the call.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingOutput;

impl Output for TracingOutput {
    fn write(&self, line: OutputLine<'_>) {
        let (task, call, text) = (line.task, line.call.short(), crate::text::line(line.text));
        match line.stream {
            Stream::Log(LogLevel::Trace) => tracing::trace!(task, call, "{text}"),
            Stream::Log(LogLevel::Debug) => tracing::debug!(task, call, "{text}"),
            Stream::Log(LogLevel::Warn) => tracing::warn!(task, call, "{text}"),
            Stream::Log(LogLevel::Error) => tracing::error!(task, call, "{text}"),
            Stream::Stdout | Stream::Stderr | Stream::Log(LogLevel::Info) => tracing::info!(task, call, "{text}"),
        }
    }
}

/// The use of something outside of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched<'a> {
    /// The task of the run.
    pub task: &'a str,
    /// The hash of the call that the run belongs to.
    pub call: &'a CallHash,
    /// The kind of thing that the run used.
    pub what: Touch,
}

/// The kinds of things outside of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// The run sent a request.
    Http,
    /// The run asked for its environment, which is not empty.
    Env,
    /// The run asked for its directories, and has some.
    Dirs,
}

/// One complete line that a guest printed, without its line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLine<'a> {
    /// The task of the guest's run.
    pub task: &'a str,
    /// The hash of the call that the run belongs to.
    pub call: &'a CallHash,
    /// The source of the line.
    pub stream: Stream,
    /// The text. It comes from the guest, so it may contain control characters: see [`text::line`](crate::text::line).
    pub text: &'a str,
}

/// Shows and keeps the output of a run. It is shared with the streams that WASI has given to the guest.
#[derive(Clone)]
pub(crate) struct Printer(Arc<Mutex<PrinterState>>);

struct PrinterState {
    output: Arc<dyn Output>,
    task: Arc<str>,
    call: CallHash,
    progress: Printed,
    /// Where lines are kept. `None`: nowhere.
    kept: Option<Kept>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    printed: usize,
    tail: String,
    touched: Vec<Touch>,
}

/// Where the lines of a run are kept.
struct Kept {
    log: RunLog,
    /// When the run began, by the clock of the backend and by that of this process.
    began: (Millis, Instant),
}

/// A line to be shown.
struct Line<'a> {
    bytes: &'a [u8],
    /// How many bytes are its text. Its fields follow, as text.
    text: usize,
    fields: &'a [(String, String)],
}

impl<'a> Line<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, text: bytes.len(), fields: &[] }
    }
}

impl Printer {
    /// The output of one run. `progress` is how much earlier runs of the call have shown.
    pub fn new(output: Arc<dyn Output>, task: Arc<str>, call: CallHash, progress: Printed) -> Self {
        Self(Arc::new(Mutex::new(PrinterState {
            output,
            task,
            call,
            progress,
            kept: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            printed: 0,
            tail: String::new(),
            touched: Vec::new(),
        })))
    }

    /// The same output, which is also kept with the call, if that is wanted.
    pub fn keeping_for(self, replay: &Replay) -> Self {
        if replay.log().is_on() {
            let began = (replay.began(), Instant::now());
            self.lock().kept = Some(Kept { log: replay.log().clone(), began });
        }
        self
    }

    /// How much was shown so far. The replay records this.
    pub fn progress(&self) -> Printed {
        self.lock().progress
    }

    /// Shows the lines of a message of the `log` interface, and its fields behind the last line.
    pub fn log(&self, level: LogLevel, message: &str, fields: &[(String, String)]) {
        let text = crate::text::with_fields(message, fields);
        // The fields have no line breaks, so they are all in the last line.
        let last = text.trim_end_matches(['\r', '\n']).rfind('\n').map_or(0, |end| end + 1);
        let mut inner = self.lock();
        let mut start = 0;
        for piece in text.split_inclusive('\n') {
            let line = piece.strip_suffix('\n').unwrap_or(piece).trim_end_matches('\r').as_bytes();
            let line = if start == last && !fields.is_empty() {
                Line { bytes: line, text: message.len().saturating_sub(start), fields }
            } else {
                Line::of(line)
            };
            start += piece.len();
            inner.line(Stream::Log(level), &line);
        }
    }

    /// Shows lines without a line break. Used after a run has ended, not when it waits.
    pub fn flush(&self) {
        let mut inner = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(inner.partial(stream));
            if !rest.is_empty() {
                inner.line(stream, &Line::of(&rest));
            }
        }
    }

    /// Reports that the run used something outside of itself.
    pub fn touch(&self, what: Touch) {
        let mut inner = self.lock();
        if !inner.touched.contains(&what) {
            inner.touched.push(what);
            inner.output.touched(Touched { task: &inner.task, call: &inner.call, what });
        }
    }

    /// Has the run had effects that a replay repeats?
    pub fn has_effects(&self) -> bool {
        self.lock().touched.iter().any(|what| matches!(what, Touch::Http | Touch::Dirs))
    }

    /// The task of the run.
    pub fn task(&self) -> Arc<str> {
        self.lock().task.clone()
    }

    /// Stops showing output.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.stdout.clear();
        inner.stderr.clear();
        inner.printed = MAX_PRINTED + 1;
    }

    /// The last text that the run wrote to stderr or logged as an error.
    pub fn tail(&self) -> String {
        self.lock().tail.clone()
    }

    fn lock(&self) -> MutexGuard<'_, PrinterState> {
        // At worst, a panic has left half a line here.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PrinterState {
    fn partial(&mut self, stream: Stream) -> &mut Vec<u8> {
        if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let mut line = std::mem::take(self.partial(stream));
            // Lines over the limit are dropped, so they take no memory either.
            if self.printed <= MAX_PRINTED {
                line.extend_from_slice(piece);
            }
            while line.len() > MAX_LINE {
                let rest = line.split_off(MAX_LINE);
                self.line(stream, &Line::of(&line));
                line = rest;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                self.line(stream, &Line::of(&line));
                // Clearing keeps the buffer's memory for the next line.
                line.clear();
            }
            *self.partial(stream) = line;
        }
    }

    /// Shows a line, unless an earlier run has shown it.
    fn line(&mut self, stream: Stream, line: &Line<'_>) {
        if self.printed > MAX_PRINTED {
            return;
        }
        self.printed += line.bytes.len() + 1;
        if self.printed > MAX_PRINTED {
            let note = format!("(the output of this run is cut off here, at {} KiB)", MAX_PRINTED >> 10);
            self.show(stream, &Line::of(note.as_bytes()));
            return;
        }
        self.show(stream, line);
    }

    fn show(&mut self, stream: Stream, shown: &Line<'_>) {
        let line = shown.bytes;
        let advice = stream == Stream::Stderr && line.starts_with(BACKTRACE_ADVICE);
        if !advice && matches!(stream, Stream::Stderr | Stream::Log(LogLevel::Error)) {
            self.remember(line);
        }
        let length = line.len() + 1;
        let before = self.progress.already_printed(length);
        if before >= length {
            return;
        }
        if advice {
            return;
        }
        // `before` is zero, unless the component has changed and its lines end in other places now.
        self.keep(stream, shown, before);
        let text = String::from_utf8_lossy(&line[before.min(line.len())..]);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        self.output.write(OutputLine { task: &self.task, call: &self.call, stream, text });
    }

    /// Keeps a line, of which an earlier run has shown so many bytes.
    fn keep(&self, from: Stream, line: &Line<'_>, before: usize) {
        let Some(Kept { log, began: (began, started) }) = &self.kept else { return };
        let (text, fields) = match before {
            0 => (&line.bytes[..line.text.min(line.bytes.len())], line.fields.to_vec()),
            _ => (&line.bytes[before.min(line.bytes.len())..], Vec::new()),
        };
        let text = String::from_utf8_lossy(text);
        let text = text.strip_suffix('\r').unwrap_or(&text).to_owned();
        let at = began.saturating_add(u64::try_from(started.elapsed().as_millis()).unwrap_or(0));
        // The log knows the attempt.
        log.add(LogLine { at, attempt: 0, end: self.progress.position(), from, text, fields, left_out: 0 });
    }

    fn remember(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        self.tail.push_str(line.trim_end());
        self.tail.push('\n');
        if self.tail.len() > MAX_TAIL {
            let start = self.tail.len() - MAX_TAIL;
            let start = self.tail[self.tail.ceil_char_boundary(start)..].find('\n').map_or(start, |n| start + n + 1);
            self.tail.drain(..self.tail.ceil_char_boundary(start));
        }
    }
}

/// A guest's stdout or stderr.
#[derive(Clone)]
pub(super) struct Pipe {
    /// Shows what the guest writes.
    pub printer: Printer,
    /// Which of the two it is.
    pub stream: Stream,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Needed only for WASI 0.3, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.printer.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_LINE)
    }
}
