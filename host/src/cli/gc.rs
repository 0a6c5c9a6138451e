//! `gc`: removes the records that ended jobs have left.

use std::io::IsTerminal as _;
use std::time::Duration;

use brrr_protocol::gc::{CodeStays, Collector, Plan, Reason};
use indicatif::ProgressBar;
use serde_json::json;

use super::options::{BackendArgs, duration};
use super::output::{self, Format, print_json, say};
use crate::exit::Exit;
use crate::units::brief;

/// Remove what ended jobs have left in the store and no live job can reach: their records, and the values of their
/// calls. A value that was removed is computed again when a job asks for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host gc --older-than 7d --dry-run
  brrr-host gc --older-than 12h

Workers may run meanwhile. What stays: whatever a live or younger job asked for, what somebody waits for or has a message
or a dead letter; where queues can't be looked through (SQS), jobs of the last 14 days. While calls wait for jobs of other
kinds of brrr worker, who keep no record of what they need, all values stay. A SQLite file becomes smaller when its log is
copied into it: soon while workers run, else at once.")]
pub struct GcCommand {
    /// Only jobs that ended longer ago than this.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,

    /// Only show what would be removed.
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: GcCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let plan = Plan { now: backend.now(), older_than: args.older_than, dry_run: args.dry_run };
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let collected = Collector::new(backend.clone()).collect(&plan, progress).await;
    bar.finish_and_clear();
    let collected = collected?;

    let reason = collected.values_stay.as_ref().map(|reason| reason_text(reason, args.dry_run));
    let code = &collected.code;
    let code_stays = code.stays.as_ref().map(|reason| code_text(reason, args.dry_run));
    if format == Format::Json {
        print_json(&json!({
            "dry_run": args.dry_run, "jobs": collected.jobs, "values": collected.calls, "busy_jobs": collected.left,
            "values_stay": reason, "revisions": code.revisions, "components": code.components, "chunks": code.chunks,
            "code_stays": code_stays,
        }))?;
    }
    let would = if args.dry_run { "would remove" } else { "removed" };
    let age = brief(u64::try_from(args.older_than.as_millis()).unwrap_or(u64::MAX));
    let (jobs, values, left) = (collected.jobs, collected.calls, collected.left);
    say(format_args!("{would} {jobs} jobs that ended more than {age} ago, and the values of {values} calls"));
    if left > 0 {
        say(format_args!(
            "{left} more have messages or waiting calls left; a worker, or `doctor --fix`, abandons them"
        ));
    }
    if code.revisions + code.components + code.chunks > 0 {
        let (revisions, components, chunks) = (code.revisions, code.components, code.chunks);
        say(format_args!("{would} {revisions} revisions, {components} components and {chunks} chunks of code"));
    }
    for reason in [reason, code_stays].into_iter().flatten() {
        say(format_args!("{reason}"));
    }
    Ok(Exit::Done)
}

fn code_text(reason: &CodeStays, dry_run: bool) -> String {
    let nothing = if dry_run { "no code would be removed" } else { "no code was removed" };
    match reason {
        CodeStays::Unreadable(key) => {
            let (kind, id) = (key.kind.name(), output::line(&key.id));
            format!("{nothing}: the record {kind} of {id} can't be read; push its components again")
        }
        CodeStays::Job(job_id) => {
            let job = output::line(job_id.as_str());
            format!("{nothing}: nobody knows all calls of live job {job}; try again when it has ended")
        }
    }
}

fn reason_text(reason: &Reason, dry_run: bool) -> String {
    let nothing = if dry_run { "nothing more would be removed" } else { "nothing more was removed" };
    match reason {
        Reason::Unnamed(job_id) => format!(
            "{nothing}: live job {} has a call with so many children that its record does not name all of them; try again \
             when it has ended",
            output::line(job_id.as_str())
        ),
        Reason::Damaged(job_id) => format!(
            "{nothing}: the record of job {} does not decode, so nobody knows what it needs; see `brrr-host doctor`",
            output::line(job_id.as_str())
        ),
        Reason::Peers(job_id) => format!(
            "values stay, because calls wait for job {} of another kind of brrr worker, who keeps no record of what it needs",
            output::line(job_id.as_str())
        ),
    }
}
