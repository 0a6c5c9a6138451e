//! `job`: shows one job with its call tree.

use std::collections::HashSet;
use std::fmt::Write as _;

use brrr_protocol::client::Client;
use brrr_protocol::events::State;
use brrr_protocol::model::{Failure, FailureKind, JobId, first_line};
use brrr_protocol::tree::{Bounds, Node, Tree};
use brrr_worker::events::time;
use brrr_worker::view::job::{JobView, state_of};
use brrr_worker::view::tree::{Branch, Walk};
use serde::Serialize;

use super::cancel::no_such_job;
use super::options::{BackendArgs, job_id};
use super::output::{self, Format, print, print_json};
use crate::exit::Exit;
use crate::units::brief;

/// The most lines of a tree. A longer tree is of no use to a reader, and a job of a million calls must not fill the
/// memory of this process.
const LINES: usize = 10_000;

/// Show a job and its call tree: states, attempts, durations and errors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host job JOB
  brrr-host job JOB --depth 3 --output json

A call is in the tree once; where it is asked for again, it says so. What a call asked for after its last wait is not
recorded, and of more than 1024 calls at once only the last ones are.

The JSON is what `jobs` says of a job, with `options`, `cut` (is anything left out for its size?) and `tree`: a call with
`task`, `call`, `state`, `label`, `attempt`, `asked`, `ended`, `duration_ms`, `reused`, `waiting`, `waits_until`, `next_attempt_at`,
`last_failure`, `failure`, `left_out` and `children`, the same again. A call that is in it already has `see_above` and no `children`.")]
pub struct JobCommand {
    /// The id of the job.
    #[arg(value_name = "JOB", value_parser = job_id)]
    job: JobId,

    /// How many levels of calls to show.
    // 50 levels of calls are 100 levels of JSON, and many JSON parsers stop at 128.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    depth: u16,

    #[command(flatten)]
    backend: BackendArgs,
}

/// The document of `--output json`.
#[derive(Serialize)]
struct JobDocument<'a> {
    #[serde(flatten)]
    job: JobView,
    /// The job's options, as `brrr-host inspect` shows them.
    options: std::collections::BTreeMap<&'static str, String>,
    /// Is any call left out, because the tree is too deep or too large?
    cut: bool,
    tree: Branch<'a>,
}

pub async fn run(args: JobCommand, format: Format) -> anyhow::Result<Exit> {
    let job_id = &args.job;
    let backend = args.backend.open_existing().await?;
    let client = Client::new(backend.clone());
    let Some(job) = client.job(job_id).await? else { return Err(no_such_job(job_id)) };
    let now = backend.now();
    let job = client.as_it_is(job_id, job, now).await?;
    let row = JobView::of(&*backend, job_id, &job, now).await;
    let bounds = Bounds { depth: args.depth.into(), lines: LINES };
    let tree = Tree::read(&*backend, job_id, &job, now, bounds).await?;
    let mut walk = Walk { tree: &tree, now, expanded: HashSet::new(), depth: args.depth - 1, cut: false };
    match format {
        Format::Json => {
            let options = job.options.pairs().into_iter().collect();
            let branches = walk.branch(0);
            print_json(&JobDocument { job: row, options, cut: tree.is_cut() || walk.cut, tree: branches })?;
        }
        Format::Text => {
            let mut text = head(&row, state_of(&job, now));
            walk.draw(&mut text, 0, "", "");
            if tree.is_cut() || walk.cut {
                let _ =
                    write!(text, "\n(cut: at most {} levels, see --depth, and {LINES} lines are shown)", args.depth);
            }
            print(text.trim_end())?;
        }
    }
    Ok(Exit::Done)
}

fn head(row: &JobView, state: State) -> String {
    let mut out = String::new();
    let mut put = |what: &str, text: &str| {
        // Writing to a String never fails.
        let _ = writeln!(out, "{what:<9} {}", output::line(text));
    };
    put("job", &row.job);
    put("topic", &row.topic);
    put("created", &row.created);
    if let Some(starts) = &row.starts {
        put("starts", starts);
    }
    if let Some(deadline) = &row.deadline {
        put("deadline", deadline);
    }
    if let Some(old) = &row.retry_of {
        put("retry of", old);
    }
    if let Some(messages) = row.messages {
        put("messages", &messages.to_string());
    }
    let duration = row.duration_ms.map(|span| format!(", {}", brief(span))).unwrap_or_default();
    let _ = writeln!(out, "{:<9} {}{duration}\n", "state", output::state(state));
    out
}

/// Draws a tree as text.
trait Draw {
    /// Draws a call and its children. `first` begins the call's own line, `rest` begins the lines below it.
    fn draw(&mut self, out: &mut String, index: usize, first: &str, rest: &str);
    fn waits_for(&self, node: &Node) -> String;
    /// A call in one line.
    fn line(&self, node: &Node) -> String;
}

impl Draw for Walk<'_> {
    fn draw(&mut self, out: &mut String, index: usize, first: &str, rest: &str) {
        let node = &self.tree.calls[index];
        let line = self.line(node);
        if !self.expand(index) {
            let _ = writeln!(out, "{first}{line} (see above)");
            return;
        }
        let _ = writeln!(out, "{first}{line}");
        let children = self.down(index);
        let beside = if children.is_empty() { "" } else { "│ " };
        for more in details(node) {
            let _ = writeln!(out, "{rest}{beside}  {more}");
        }
        let left_out = node.left_out + node.unnamed + node.children.len() - children.len();
        self.below(|walk| {
            for (n, child) in children.iter().enumerate() {
                let last = n + 1 == children.len() && left_out == 0;
                let (branch, under) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                walk.draw(out, *child, &format!("{rest}{branch}"), &format!("{rest}{under}"));
            }
        });
        if left_out > 0 {
            let _ = writeln!(out, "{rest}└─ … and {left_out} more");
        }
    }

    fn waits_for(&self, node: &Node) -> String {
        let left = || format!("until {}, {} left", time(node.until), brief(node.until.saturating_sub(self.now)));
        match (node.waiting, node.until) {
            (calls, 0) => format!("waits for {calls}"),
            (0, _) => format!("sleeps {}", left()),
            (calls, _) => format!("waits for {calls}, {}", left()),
        }
    }

    fn line(&self, node: &Node) -> String {
        let task = match &node.promise {
            Some(name) => format!("promise {}", output::line(name)),
            None => output::line(node.task.as_deref().unwrap_or("?")),
        };
        let mut out = match &node.label {
            Some(label) => format!("{} ({task})", output::line(label)),
            None => task,
        };
        let _ = write!(out, " {}  {}", output::line(node.call.short()), output::state(node.state));
        let mut facts = Vec::new();
        if node.state == State::Deferred {
            facts.push(match &node.promise {
                Some(_) => "waits for brrr-host resolve or reject".to_owned(),
                None => self.waits_for(node),
            });
        }
        if node.not_before > self.now {
            facts.push(format!("attempt {} in {}", node.attempt, brief(node.not_before - self.now)));
        } else if node.attempt > 1 {
            facts.push(if node.has_ended() {
                format!("{} attempts", node.attempt)
            } else {
                format!("attempt {}", node.attempt)
            });
        }
        if node.reused {
            facts.push("reused".to_owned());
        }
        facts.extend(node.took().map(brief));
        if !facts.is_empty() {
            let _ = write!(out, " ({})", facts.join(", "));
        }
        if let Some(failure) = &node.failure {
            let _ = write!(out, ": {}", cause(failure));
        } else if !node.last_failure.is_empty() {
            let _ = write!(out, ": {}", output::line(&node.last_failure));
        }
        out
    }
}

/// The most lines of one failure's message in a tree.
const DETAILS: usize = 50;

/// The rest of a failure's message, in lines. If the failure began in a call further down, that call shows it.
fn details(node: &Node) -> Vec<String> {
    let Some(failure) = node.failure.as_ref().filter(|failure| failure.chain.len() <= 1) else { return Vec::new() };
    let all: Vec<&str> = failure.more_lines().collect();
    let mut shown: Vec<String> = all.iter().take(DETAILS).map(|more| output::line(more)).collect();
    if all.len() > DETAILS {
        shown.push(format!("… and {} more lines; --output json has them", all.len() - DETAILS));
    }
    shown
}

/// Why a call failed, in one line. If the failure began in a call further down, that call shows the details.
fn cause(failure: &Failure) -> String {
    if let [own, _, ..] = failure.chain.as_slice() {
        let own = own.strip_prefix(&failure.task).and_then(|text| text.strip_prefix(": ")).unwrap_or(own);
        return output::line(own);
    }
    let message = output::line(first_line(&failure.message));
    match &failure.kind {
        FailureKind::Error => message,
        kind => format!("{}: {message}", output::line(kind.as_str())),
    }
}
