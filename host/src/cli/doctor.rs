//! `doctor`: finds stuck work, and repairs it.

use std::sync::Arc;
use std::time::Duration;

use brrr_protocol::client::Client;
use brrr_protocol::doctor::{Doctor, Finding, Look, MAX_DEAD_LETTERS, Repaired, Survey, TopicState, Unnotified};
use brrr_protocol::model::Millis;
use brrr_protocol::ports::Backend;
use brrr_worker::view::{finding_json, finding_text};
use serde_json::{Value, json};

use super::dlq;
use super::options::{BackendArgs, duration};
use super::output::{self, Format, print_json, print_table, say};
use crate::exit::Exit;

/// Find stuck work: calls that nobody will run although a parent waits for them, parents that were not notified, jobs
/// whose end was not recorded, records that don't decode, and revisions whose code is not complete. Also shows expired leases and dead letters. Workers do
/// the same on their own, see `run --repair-interval`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host doctor
  brrr-host doctor --fix
  brrr-host doctor --fix --dead-letters
  brrr-host doctor --output json

Exits with 43 if something is found and not repaired. A repair is safe to repeat, and at worst runs a call once more.
Damaged records are left alone. It reads the whole store once or twice.")]
pub struct DoctorCommand {
    /// Queue stuck work again, and record the end of jobs that are over.
    #[arg(long)]
    fix: bool,

    /// Also send all dead letters again, as `dlq send --all` does.
    #[arg(long, requires = "fix")]
    dead_letters: bool,

    /// Ignore work that has waited for less time: a worker of another brrr SDK may be running it, and this program
    /// can't see that.
    #[arg(long, default_value = "1m", value_name = "TIME", value_parser = duration)]
    older_than: Duration,

    #[command(flatten)]
    backend: BackendArgs,
}

pub async fn run(args: DoctorCommand, format: Format) -> anyhow::Result<Exit> {
    let backend = args.backend.open_existing().await?;
    let doctor = Doctor::new(backend.clone());
    let look = || Look { now: backend.now(), older_than: args.older_than };
    let mut survey = doctor.survey(&look()).await?;
    survey.findings.extend(doctor.code().await?);
    let mut rows = Vec::with_capacity(survey.findings.len());
    if args.fix {
        for finding in std::mem::take(&mut survey.findings) {
            let repaired = repair(&doctor, &finding, backend.now()).await;
            rows.push((finding, repaired));
        }
        return_expired(&*backend, &survey.topics).await?;
        if args.dead_letters {
            send_dead_letters(&backend, &survey.topics).await?;
        }
    } else {
        rows.extend(survey.findings.drain(..).map(|finding| (finding, State::Found)));
    }
    match format {
        Format::Json => print_json(&document(&survey, &rows))?,
        Format::Text => report(&survey, &rows, &args)?,
    }
    let all_well = rows.iter().all(|(_, state)| matches!(state, State::Repaired));
    Ok(if all_well { Exit::Done } else { Exit::StuckWork })
}

/// What happened to a finding.
enum State {
    Found,
    Repaired,
    Left,
    Failed(String),
}

impl State {
    fn word(&self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Repaired => "repaired",
            Self::Left => "left alone",
            Self::Failed(_) => "failed",
        }
    }
}

/// Repairs one finding. A failure must not stop the repair of the other findings, so it is a state and not an error.
async fn repair(doctor: &Doctor, finding: &Finding, now: Millis) -> State {
    match doctor.repair(finding, now).await {
        Ok(Repaired::Done) => State::Repaired,
        Ok(Repaired::LeftAlone) => State::Left,
        Err(error) => State::Failed(error.to_string()),
    }
}

/// Asks each topic for 0 messages. A backend then makes the messages ready again that silent workers held.
async fn return_expired(backend: &dyn Backend, topics: &[TopicState]) -> anyhow::Result<()> {
    for state in topics.iter().filter(|state| state.expired.is_some_and(|n| n > 0)) {
        backend.queue().receive(&state.topic, 0, Duration::ZERO).await?;
    }
    Ok(())
}

async fn send_dead_letters(backend: &Arc<dyn Backend>, topics: &[TopicState]) -> anyhow::Result<()> {
    let client = Client::new(backend.clone());
    for state in topics.iter().filter(|state| state.dead_letters > 0) {
        for dead_letter in backend.queue().dead_letters(&state.topic, usize::MAX).await? {
            dlq::send_again(&**backend, &client, dead_letter).await?;
        }
    }
    Ok(())
}

fn document(survey: &Survey, rows: &[(Finding, State)]) -> Value {
    let findings: Vec<Value> = rows
        .iter()
        .map(|(finding, state)| {
            let mut view = finding_json(finding);
            view["state"] = state.word().into();
            if let State::Failed(error) = state {
                view["error"] = error.as_str().into();
            }
            view
        })
        .collect();
    let topics: Vec<Value> = survey
        .topics
        .iter()
        .map(|t| {
            json!({"topic": t.topic.as_str(), "messages": t.depth, "expired_leases": t.expired, "dead_letters": t.dead_letters})
        })
        .collect();
    let unnotified: Vec<Value> = survey
        .unnotified
        .iter()
        .map(|u| json!({"call": u.call.as_str(), "parent": u.parent.as_str(), "job": u.job_id.as_str()}))
        .collect();
    json!({
        "findings": findings,
        "topics": topics,
        "running_jobs": survey.jobs,
        "waiting_calls": survey.waiting,
        "unnotified_parents": unnotified,
        "jobs_of_other_sdks": survey.peer_jobs,
    })
}

fn report(survey: &Survey, rows: &[(Finding, State)], args: &DoctorCommand) -> anyhow::Result<()> {
    if !rows.is_empty() {
        let headings = ["STATE", "WHAT", "TASK", "CALL", "JOB"].map(str::to_owned).to_vec();
        let cells = rows.iter().map(|(finding, state)| cells(finding, state));
        print_table(&std::iter::once(headings).chain(cells).collect::<Vec<_>>())?;
    }
    for (_, state) in rows {
        if let State::Failed(error) = state {
            say(format_args!("not repaired: {error}"));
        }
    }
    for TopicState { topic, expired, dead_letters, .. } in &survey.topics {
        let topic = output::line(topic.as_str());
        match expired {
            Some(n) if *n > 0 && args.fix => {
                say(format_args!("topic {topic}: {n} messages of silent workers returned"))
            }
            Some(n) if *n > 0 => say(format_args!(
                "topic {topic}: {n} messages of workers that fell silent; the next worker of any topic returns them, or \
                 --fix"
            )),
            _ => {}
        }
        let many = if *dead_letters >= MAX_DEAD_LETTERS as u64 { " or more" } else { "" };
        match dead_letters {
            0 => {}
            n if args.dead_letters => say(format_args!("topic {topic}: {n}{many} dead letters sent again")),
            n => say(format_args!("topic {topic}: {n}{many} dead letters; `brrr-host dlq list --topic {topic}`")),
        }
    }
    report_peers(survey);
    let messages: u64 = survey.topics.iter().map(|state| state.depth).sum();
    let count = |wanted: fn(&State) -> bool| rows.iter().filter(|(_, state)| wanted(state)).count();
    let repaired = count(|state| matches!(state, State::Repaired));
    let stuck = rows.len() - repaired;
    let hint = if stuck > 0 && !args.fix { "; --fix sets it going again" } else { "" };
    say(format_args!(
        "{} running jobs, {} calls that somebody waits for, {messages} messages: {stuck} stuck, {repaired} repaired{hint}",
        survey.jobs, survey.waiting
    ));
    Ok(())
}

/// The number of parents that are listed one by one.
const MAX_LISTED: usize = 10;

/// Reports what can't be repaired, and what this program can't see about workers of other SDKs.
fn report_peers(survey: &Survey) {
    for Unnotified { call, parent, job_id } in survey.unnotified.iter().take(MAX_LISTED) {
        say(format_args!(
            "call {} failed in job {}, and its parent {} is run by a worker of another SDK, which does not see failures: it \
             waits until another job computes the call",
            call.short(),
            output::line(job_id.as_str()),
            parent.short()
        ));
    }
    if survey.unnotified.len() > MAX_LISTED {
        say(format_args!("{} more parents wait for calls that failed", survey.unnotified.len() - MAX_LISTED));
    }
    if survey.peer_jobs > 0 {
        say(format_args!(
            "{} jobs of other SDKs wait for calls; these jobs leave no record, so one whose own message was lost can't be found",
            survey.peer_jobs
        ));
    }
}

fn cells(finding: &Finding, state: &State) -> Vec<String> {
    let dash = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), output::line);
    let (task, call, job_id) = match finding {
        Finding::Lost(lost) => (lost.task.as_deref(), Some(&lost.call), Some(&lost.job_id)),
        Finding::Unnotified { call, job_id, .. } | Finding::Abandoned { call, job_id, .. } => {
            (None, Some(call), Some(job_id))
        }
        Finding::Cycle { calls, job_id, .. } => (None, calls.first(), Some(job_id)),
        Finding::Overdue { job_id } | Finding::Unended { job_id } => (None, None, Some(job_id)),
        Finding::Unloadable { .. } | Finding::Damaged { .. } => (None, None, None),
    };
    vec![
        state.word().to_owned(),
        output::line(&finding_text(finding)),
        dash(task),
        dash(call.map(|call| call.short())),
        dash(job_id.map(|job_id| job_id.as_str())),
    ]
}
