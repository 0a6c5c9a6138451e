//! The log, on stderr. Each event is one line of a bounded length, whatever text a guest puts into it. The number of
//! lines from other libraries is bounded, because guests can cause them again and again.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::str::FromStr as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use brrr_worker::text::Escaping;
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{Directive, EnvFilter, LevelFilter};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{ExitError, output};
use crate::exit::Exit;

/// The most bytes of one text in the log. A failure's message may be much longer; the command `job` shows all of it.
const LONGEST: usize = 8 << 10;

/// Starts the log at a level, or with a filter such as `brrr_host=debug`.
///
/// # Errors
/// When the text is no level and no filter.
pub fn start(level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(level)
        .map_err(|error| ExitError::new(Exit::Usage, format!("--log-level {level}: {error}; try `info` or `debug`")))?;
    // At level `trace`, these libraries log what guests pass to them, such as secrets in URLs.
    let revealing = if filter.max_level_hint() == Some(LevelFilter::TRACE) {
        &["wasmtime_wasi", "wasmtime_wasi_http"][..]
    } else {
        &[]
    };
    let quiet = revealing.iter().map(|name| Directive::from_str(&format!("{name}=info")));
    let filter = quiet.flatten().fold(filter, EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colour_on_stderr())
        .with_target(false)
        .fmt_fields(debug_fn(field).delimited(" "))
        // If stderr is closed, the library would report that error on stderr, and panic.
        .log_internal_errors(false)
        .finish()
        .with(OtherLibraries::default())
        .init();
    Ok(())
}

/// Writes the message or a field of an event.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => {}
        // These fields of the crate `log` say where in the sources the event comes from.
        name if name.starts_with("log.") => return Ok(()),
        name => write!(writer, "{name}=")?,
    }
    write!(Escaping::one_line(writer, LONGEST), "{value:?}")
}

/// Bounds the lines of each foreign library. At the levels `debug` and `trace` all lines are shown.
#[derive(Default)]
struct OtherLibraries {
    said: Mutex<HashMap<String, Said>>,
}

struct Said {
    since: Instant,
    lines: u32,
}

/// The most lines of one library within `WINDOW`.
const LINES: u32 = 20;
/// The time to which `LINES` applies.
const WINDOW: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Show,
    /// This line is the first line that is left out.
    SayThatMoreIsLeftOut,
    LeaveOut,
}

impl OtherLibraries {
    fn judge(&self, library: &str, now: Instant) -> Verdict {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.entry(library.to_owned()).or_insert(Said { since: now, lines: 0 });
        if now.duration_since(said.since) >= WINDOW {
            *said = Said { since: now, lines: 0 };
        }
        said.lines = said.lines.saturating_add(1);
        match said.lines {
            ..=LINES => Verdict::Show,
            n if n == LINES + 1 => Verdict::SayThatMoreIsLeftOut,
            _ => Verdict::LeaveOut,
        }
    }
}

impl<S: Subscriber> Layer<S> for OtherLibraries {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let library = event.metadata().target().split("::").next().unwrap_or_default();
        if library.starts_with("brrr") || *event.metadata().level() > Level::INFO {
            return true;
        }
        let verdict = self.judge(library, Instant::now());
        if verdict == Verdict::SayThatMoreIsLeftOut {
            tracing::warn!("the library {library} says more than {LINES} lines in {WINDOW:?}; the rest is left out");
        }
        verdict == Verdict::Show
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_library_has_a_number_of_lines_in_each_window() {
        let (libraries, now) = (OtherLibraries::default(), Instant::now());
        let shown = |library, at| (0..1_000).filter(|_| libraries.judge(library, at) == Verdict::Show).count();
        assert_eq!((shown("a", now), shown("b", now)), (20, 20));
        assert_eq!(shown("a", now + WINDOW / 2), 0);
        let later = now + WINDOW;
        let verdicts: Vec<_> = (0..23).map(|_| libraries.judge("a", later)).collect();
        assert_eq!(verdicts[20..], [Verdict::SayThatMoreIsLeftOut, Verdict::LeaveOut, Verdict::LeaveOut]);
    }
}
