//! Printing: data on stdout, messages for the user on stderr, colour only on a terminal where the user wants it.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};

use brrr_protocol::events::State;
use brrr_worker::text;
use clap::ValueEnum;
use serde::Serialize;
use tabwriter::TabWriter;

/// The format of data on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people and for pipes.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Writes data and a line break to stdout.
///
/// # Errors
/// When stdout can't be written. A closed pipe has an exit code of its own.
pub fn print(data: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{data}")?;
    out.flush()
}

/// Writes a guest's text and a line break to stdout. On a terminal, control characters in the text are escaped.
///
/// # Errors
/// As `print`.
pub fn print_text(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { print(text::lines(text)) } else { print(text) }
}

/// Writes bytes to stdout, as they are.
///
/// # Errors
/// As `print`.
pub fn print_bytes(data: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(data)?;
    out.flush()
}

/// Writes one JSON document and a line break to stdout. Control characters that could affect a terminal are escaped.
///
/// # Errors
/// As `print`.
pub fn print_json(data: &impl Serialize) -> anyhow::Result<()> {
    Ok(print(text::json(&serde_json::to_string(data)?))?)
}

/// Writes a message for the user to stderr. A closed stderr is no error.
pub fn say(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The text in bold, if stderr can show that.
pub fn emphasis(text: &str) -> String {
    if colour_on_stderr() { format!("\x1b[1;31m{text}\x1b[0m") } else { text.to_owned() }
}

pub fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && colour_wanted()
}

pub fn colour_on_stdout() -> bool {
    io::stdout().is_terminal() && colour_wanted()
}

/// See <https://no-color.org>: `NO_COLOR` switches colour off if it is set and not empty.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The text of a guest or a message as one line, with control characters escaped.
pub fn line(text: &str) -> String {
    text::line(text.lines().next().unwrap_or_default()).replace('\t', " ")
}

/// The word for a state, in colour if stdout can show colour.
pub fn state(state: State) -> String {
    let word = state.as_str();
    let colour = match state {
        State::Completed => "32",
        State::Failed => "31",
        State::Cancelled | State::TimedOut => "33",
        State::Running | State::Deferred => "36",
        State::Scheduled | State::Ready | State::Unscheduled => "2",
    };
    if colour_on_stdout() { format!("\x1b[{colour}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Formats rows as lines, with their cells in columns.
///
/// # Errors
/// Never in practice, because the table is written to memory.
pub fn table(rows: &[Vec<String>]) -> anyhow::Result<String> {
    let mut table = TabWriter::new(Vec::new()).padding(2).ansi(true);
    for row in rows {
        writeln!(table, "{}", row.join("\t"))?;
    }
    table.flush()?;
    let text = String::from_utf8_lossy(&table.into_inner()?).into_owned();
    Ok(text.lines().map(|line| format!("{}\n", line.trim_end())).collect())
}

/// Writes rows to stdout, with their cells in columns. The first row is the heading.
///
/// # Errors
/// As `print`.
pub fn print_table(rows: &[Vec<String>]) -> anyhow::Result<()> {
    Ok(print(table(rows)?.trim_end_matches('\n'))?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_has_no_effect_on_a_terminal() {
        assert_eq!(super::line("a\x1b[31m\tb\r\nc"), "a\\u{1b}[31m b");
    }
}
