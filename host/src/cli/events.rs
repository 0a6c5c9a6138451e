//! `events`: prints the events that workers published about their calls and jobs.

use std::time::Duration;

use brrr_protocol::model::JobId;
use brrr_worker::text;
use serde::Deserialize;

use super::ExitError;
use super::options::{BackendArgs, job_id};
use super::output::{print, say};
use crate::exit::Exit;

/// How many events are read at once.
const PAGE: usize = 1000;

/// The longest sleep before the events are read again. A backend's notification could get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Print the events of workers that run with `--publish-events`: what happened to their calls and jobs, one JSON object
/// on each line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host events
  brrr-host events --follow --job JOB
  brrr-host events --since 1234

Each line has its `position`; `--since` continues after it. The backend keeps the last 10000 events, for a day.")]
pub struct EventsCommand {
    /// Print new events as they arrive, until interrupted.
    #[arg(long, short)]
    follow: bool,

    /// Only events of this job.
    #[arg(long, value_name = "ID", value_parser = job_id)]
    job: Option<JobId>,

    /// Only events after this position.
    #[arg(long, value_name = "POSITION", default_value_t = 0, hide_default_value = true)]
    since: u64,

    #[command(flatten)]
    backend: BackendArgs,
}

/// The fields of an event that this command needs.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    job: std::borrow::Cow<'a, str>,
}

pub async fn run(args: EventsCommand) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let Some(log) = backend.events() else {
        let text = format!("{} keeps no events; see `brrr-host run --events FILE`", backend.name());
        return Err(ExitError::new(Exit::BadBackend, text).into());
    };
    let (mut position, mut version, mut printed, mut damaged) = (args.since, 0, false, 0);
    loop {
        version = backend.changed(version, LOOK_AGAIN).await;
        loop {
            let events = log.events(position, PAGE).await?;
            let Some((last, _)) = events.last() else { break };
            position = *last;
            for (position, event) in &events {
                match line(*position, event, args.job.as_ref()) {
                    Some(Some(line)) => {
                        print(text::json(&line))?;
                        printed = true;
                    }
                    Some(None) => {}
                    None => damaged += 1,
                }
            }
        }
        if !args.follow {
            break;
        }
    }
    if damaged > 0 {
        say(format_args!("{damaged} entries are left out, which are no events of ours"));
    }
    if !printed && args.since == 0 {
        say(format_args!("no events; workers publish them if run with --publish-events"));
    }
    Ok(Exit::Done)
}

/// The event as a line, with its position as the first field. `Some(None)`: the event is not wanted. `None`: the bytes are
/// no event.
fn line(position: u64, event: &[u8], job: Option<&JobId>) -> Option<Option<String>> {
    let text = std::str::from_utf8(event).ok()?;
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    if job.is_some_and(|job| job.as_str() != head.job) {
        return Some(None);
    }
    Some(Some(format!("{{\"position\":{position},{}", text.trim_start().strip_prefix('{')?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_event_with_its_position() {
        let event = br#"{"v":1,"job":"a\"b"}"#;
        assert_eq!(line(7, event, None).unwrap().unwrap(), r#"{"position":7,"v":1,"job":"a\"b"}"#);
        assert!(line(7, event, Some(&"a\"b".into())).unwrap().is_some());
        assert!(line(7, event, Some(&"other".into())).unwrap().is_none());
        assert!(line(7, b"garbage", None).is_none());
    }
}
