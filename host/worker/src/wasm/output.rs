//! What a guest prints: by lines, once per call, and not without end.
//!
//! A replay prints again what an earlier run printed. Only whole lines are shown and counted, so a run that suspends in
//! the middle of one leaves it to the run that ends it; the count of what was shown is in the call's `run` record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use brrr_protocol::model::CallHash;
use brrr_protocol::replay::Printed;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that one run may print; the rest is dropped with a note. A flood must not fill a disk of logs.
const MAX_PRINTED: usize = 1 << 20;

/// A longer line is shown in pieces of this size.
const MAX_LINE: usize = 64 << 10;

/// What is kept of a run's last errors, for the message of a trap: a panic's text and some lines around it.
const MAX_TAIL: usize = 1 << 10;

/// Takes what guests print. Called from within runs: it must not block for long.
pub trait Output: Send + Sync {
    /// Shows one line.
    fn write(&self, line: OutputLine<'_>);

    /// Takes note that a run reached for something outside of it that it is allowed: once for each kind, in each run of a
    /// call. Of a call that is no leaf, each replay does so again. By default nothing.
    fn touched(&self, _: Touched<'_>) {}
}

/// Passes what guests print on to `tracing`, with the task and the call.
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

/// What a run reached for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touched<'a> {
    pub task: &'a str,
    pub call: &'a CallHash,
    pub what: Touch,
}

/// What lies outside of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Touch {
    /// It sent a request.
    Http,
    /// It asked for its environment, and there is some.
    Env,
    /// It asked for its directories, and there are some.
    Dirs,
}

/// One complete line that a guest printed, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLine<'a> {
    pub task: &'a str,
    pub call: &'a CallHash,
    pub stream: Stream,
    pub text: &'a str,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
    /// The `log` interface.
    Log(LogLevel),
}

/// How much a logged line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// What a run prints. Shared with the streams that WASI has handed to the guest.
#[derive(Clone)]
pub(super) struct Printer(Arc<Mutex<PrinterState>>);

struct PrinterState {
    output: Arc<dyn Output>,
    task: Arc<str>,
    call: CallHash,
    progress: Printed,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    printed: usize,
    tail: String,
    touched: Vec<Touch>,
}

impl Printer {
    pub fn new(output: Arc<dyn Output>, task: Arc<str>, call: CallHash, progress: Printed) -> Self {
        Self(Arc::new(Mutex::new(PrinterState {
            output,
            task,
            call,
            progress,
            stdout: Vec::new(),
            stderr: Vec::new(),
            printed: 0,
            tail: String::new(),
            touched: Vec::new(),
        })))
    }

    /// How far the output has come, for the replay to remember.
    pub fn progress(&self) -> Printed {
        self.lock().progress
    }

    pub fn log(&self, level: LogLevel, message: &str) {
        let mut inner = self.lock();
        for line in message.lines() {
            inner.line(Stream::Log(level), line.as_bytes());
        }
    }

    /// Shows lines that were not ended. For a run that has ended, not for one that waits.
    pub fn flush(&self) {
        let mut inner = self.lock();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(inner.partial(stream));
            if !rest.is_empty() {
                inner.line(stream, &rest);
            }
        }
    }

    /// Tells that the run reached for something.
    pub fn touch(&self, what: Touch) {
        let mut inner = self.lock();
        if !inner.touched.contains(&what) {
            inner.touched.push(what);
            inner.output.touched(Touched { task: &inner.task, call: &inner.call, what });
        }
    }

    /// Has the run done something that a replay does again?
    pub fn has_effects(&self) -> bool {
        self.lock().touched.iter().any(|what| matches!(what, Touch::Http | Touch::Dirs))
    }

    pub fn task(&self) -> Arc<str> {
        self.lock().task.clone()
    }

    /// Shows nothing any more.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.stdout.clear();
        inner.stderr.clear();
        inner.printed = MAX_PRINTED + 1;
    }

    /// The last that the run wrote to stderr or logged as an error.
    pub fn tail(&self) -> String {
        self.lock().tail.clone()
    }

    fn lock(&self) -> MutexGuard<'_, PrinterState> {
        // What a panic left behind here is at worst half a line.
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
            // So that what is dropped anyway takes no memory either.
            if self.printed <= MAX_PRINTED {
                line.extend_from_slice(piece);
            }
            while line.len() > MAX_LINE {
                let rest = line.split_off(MAX_LINE);
                self.line(stream, &line);
                line = rest;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
                self.line(stream, &line);
                // Keeps the buffer for the next line.
                line.clear();
            }
            *self.partial(stream) = line;
        }
    }

    /// Shows a line, unless an earlier run did.
    fn line(&mut self, stream: Stream, line: &[u8]) {
        if self.printed > MAX_PRINTED {
            return;
        }
        self.printed += line.len() + 1;
        if self.printed > MAX_PRINTED {
            let note = format!("(the output of this run is cut off here, at {} KiB)", MAX_PRINTED >> 10);
            self.show(stream, note.as_bytes());
            return;
        }
        self.show(stream, line);
    }

    fn show(&mut self, stream: Stream, line: &[u8]) {
        if matches!(stream, Stream::Stderr | Stream::Log(LogLevel::Error)) {
            self.remember(line);
        }
        let length = line.len() + 1;
        let before = self.progress.already_printed(length);
        if before >= length {
            return;
        }
        // Zero but after a change of the component, whose lines may end elsewhere.
        let text = String::from_utf8_lossy(&line[before.min(line.len())..]);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        self.output.write(OutputLine { task: &self.task, call: &self.call, stream, text });
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
    pub printer: Printer,
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

    /// For WASI 0.3, which is not linked.
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
