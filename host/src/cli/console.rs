//! What guests print, on the worker's stdout (or stderr, where stdout is for events): whole lines, each with its task and
//! a short call hash.

use std::io;

use super::output::{colour_on_stderr, colour_on_stdout};
use crate::exit::Exit;
use crate::wasm::{LogLevel, Output, OutputLine, Stream};
use crate::worker::Shutdown;

/// The worker's stdout or stderr.
pub struct Console {
    stderr: bool,
    colour: bool,
    shutdown: Shutdown,
}

impl Console {
    /// One that asks the worker to stop when nobody reads its output any more.
    pub fn stdout(shutdown: Shutdown) -> Self {
        Self { stderr: false, colour: colour_on_stdout(), shutdown }
    }

    /// As `stdout`, on stderr.
    pub fn stderr(shutdown: Shutdown) -> Self {
        Self { stderr: true, colour: colour_on_stderr(), shutdown }
    }

    fn format(&self, line: &OutputLine<'_>) -> String {
        let (task, call) = (line.task, line.call.short());
        let level = match line.stream {
            Stream::Stdout => "",
            Stream::Stderr => "stderr: ",
            Stream::Log(LogLevel::Trace) => "trace: ",
            Stream::Log(LogLevel::Debug) => "debug: ",
            Stream::Log(LogLevel::Info) => "info: ",
            Stream::Log(LogLevel::Warn) => "warn: ",
            Stream::Log(LogLevel::Error) => "error: ",
        };
        // A guest must not move the cursor of the terminal that it is shown on; a tab is harmless.
        let text: String = line.text.chars().filter(|c| !c.is_control() || *c == '\t').collect();
        if self.colour {
            format!("\x1b[36m{task}\x1b[0m \x1b[2m{call} │\x1b[0m {level}{text}\n")
        } else {
            format!("{task} {call} │ {level}{text}\n")
        }
    }
}

impl Output for Console {
    fn write(&self, line: OutputLine<'_>) {
        let text = self.format(&line);
        // Built first and written at once: lines of calls that run side by side don't mix.
        let write = |out: &mut dyn io::Write| out.write_all(text.as_bytes()).and_then(|()| out.flush());
        let written = if self.stderr { write(&mut io::stderr().lock()) } else { write(&mut io::stdout().lock()) };
        if written.is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
            self.shutdown.begin(Exit::BrokenPipe);
        }
    }
}
