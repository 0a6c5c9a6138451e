//! `test`: tests a component's tasks in memory, under the conditions of a fleet.

mod args;
mod conformance;
mod json;
mod junit;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use brrr_protocol::model::Outcome;
use brrr_worker::signatures::TrustedKeys;
use brrr_worker::wasm::{Engine, EngineOptions, RunLimits, WasmHandler};

use super::output::{Format, print_json, say};
use super::progress::Spinner;
use super::{ExitError, approval, build, source};
use crate::config::{Component, Config};
use crate::exit::Exit;
use crate::registry::is_reference;
use crate::testing::{CaseReport, Cases, CasesError, Change, Lines, Runner, Settings, explore, update};
pub use args::TestCommand;
pub use conformance::{ConformanceCommand, run as run_conformance};

/// The results of all cases.
struct Summary {
    component: PathBuf,
    cases: PathBuf,
    reports: Vec<CaseReport>,
    /// The changes to the file of cases.
    changes: Vec<Change>,
    /// Tasks without a case.
    untested: Vec<String>,
    seed: u64,
    time: Duration,
}

#[derive(Default)]
struct Effort {
    cases: usize,
    runs: usize,
    time: Duration,
    /// The most memory of one run, in bytes.
    memory: usize,
}

impl Summary {
    /// Did this case fail? A difference that `--update` has written into the file is no failure.
    fn failed(&self, report: &CaseReport) -> bool {
        report.failed() && !self.updated(report)
    }

    fn updated(&self, report: &CaseReport) -> bool {
        self.changes.iter().any(|change| change.index == report.index)
    }

    /// The effort of all cases of each task.
    fn tasks(&self) -> BTreeMap<&str, Effort> {
        let mut tasks: BTreeMap<&str, Effort> = BTreeMap::new();
        for report in &self.reports {
            let effort = tasks.entry(&report.task).or_default();
            effort.cases += 1;
            effort.runs += report.runs;
            effort.time += report.time;
            effort.memory = effort.memory.max(report.memory);
        }
        tasks
    }

    fn failures(&self) -> usize {
        self.reports.iter().filter(|report| self.failed(report)).count()
    }
}

/// # Errors
/// When there is nothing to test: no component, no cases, or no case that fits the filters.
pub async fn run(args: TestCommand, config: &Config, format: Format) -> anyhow::Result<Exit> {
    run_cases(args, config, format, None).await
}

/// Tries these cases, or those of the file that the arguments name.
async fn run_cases(args: TestCommand, config: &Config, format: Format, cases: Option<Cases>) -> anyhow::Result<Exit> {
    let start = Instant::now();
    let lines = Arc::new(Lines::default());
    let handler = load(&args, config, &lines).await?;
    let path = cases.as_ref().map_or_else(|| cases_path(&args), |cases| cases.path.clone());
    let mut file = match cases.map_or_else(|| Cases::load(&path), Ok) {
        Ok(file) => file,
        Err(CasesError::NotFound { path }) => return Err(no_cases(&path, &handler).into()),
        Err(error) => return Err(error.into()),
    };
    let tested = handler.guests().next();
    let component = tested.map(|guest| guest.path.clone()).unwrap_or_default();
    let untested: Vec<String> = tested
        .into_iter()
        .flat_map(|guest| &guest.tasks)
        .filter(|task| file.cases.iter().all(|case| case.call.task != task.name))
        .map(|task| task.name.clone())
        .collect();
    let all = file.cases.clone();
    file.cases.retain(|case| args.selects(&case.name, &case.call.task));
    if file.cases.is_empty() {
        return Err(nothing_selected(&file, &all).into());
    }

    let runner = Runner::new(handler, lines, args.timeout);
    let settings = Settings { shuffles: args.orders, seed: args.seed, max_calls: args.max_calls };
    let count = file.cases.len();
    let mut summary = Summary {
        component,
        cases: path,
        reports: Vec::new(),
        changes: Vec::new(),
        untested,
        seed: args.seed,
        time: Duration::ZERO,
    };
    for (n, case) in file.cases.iter().enumerate() {
        let spinner = Spinner::after(Duration::from_millis(300), format!("[{}/{count}] {}", n + 1, case.name));
        let watch = |order: &str| spinner.say(format!("[{}/{count}] {}: {order}", n + 1, case.name));
        let report = explore(&runner, case, &settings, &watch).await?;
        drop(spinner);
        // With `--update`, the report depends on which changes could be written, so it comes later.
        if format == Format::Text && !args.update {
            text::case(&summary, &report)?;
        }
        summary.reports.push(report);
    }
    if args.update {
        write(&file, &all, &mut summary)?;
        if format == Format::Text {
            summary.reports.iter().try_for_each(|report| text::case(&summary, report))?;
        }
    }
    summary.time = start.elapsed();
    if let Some(path) = &args.junit {
        junit::write(path, &summary)?;
    }
    match format {
        Format::Json => print_json(&json::document(&summary))?,
        Format::Text => text::end(&summary)?,
    }
    Ok(if summary.failures() > 0 { Exit::TestsFailed } else { Exit::Done })
}

/// The file of cases: the named file, or the file beside the component.
fn cases_path(args: &TestCommand) -> PathBuf {
    let folder = match &args.component {
        folder if folder.is_dir() => Some(folder.as_path()),
        // Nothing is beside a component in a registry.
        pulled if is_reference(pulled) => None,
        file => file.parent(),
    };
    let folder = folder.filter(|folder| *folder != Path::new(".")).unwrap_or(Path::new(""));
    args.cases.clone().unwrap_or_else(|| folder.join(crate::testing::DEFAULT))
}

/// Loads the component, and the other components that handle its calls.
async fn load(args: &TestCommand, config: &Config, lines: &Arc<Lines>) -> anyhow::Result<WasmHandler> {
    // With one run at a time, the measured effort belongs to this run alone.
    let engine = Engine::new(&EngineOptions { max_running: 1, ..EngineOptions::default() })?;
    approval::check(config, args.permissions.yes)?;
    let for_all = args.permissions.permissions()?;
    let mut guests = Vec::with_capacity(1 + args.with.len());
    for named in [&args.component].into_iter().chain(&args.with) {
        // The settings of a component in the file hold for it also when the command line names it.
        let known = config.components.iter().find(|component| component.path == *named);
        let permissions = known.map(Component::permissions).transpose()?.unwrap_or_default();
        let grants = permissions.and(&for_all).grant()?;
        let own = known.and_then(build::own_build);
        let source = source::read(named, own.as_ref()).await?;
        guests.push(source.load(&engine, &TrustedKeys::default()).await?.allowing(grants));
    }
    let limits = RunLimits { memory: args.memory, wall: args.timeout, result: args.max_result, own_hashes: false };
    Ok(WasmHandler::new(guests, limits, &config.tasks(), lines.clone())?)
}

/// Writes results into the file of cases.
fn write(file: &Cases, all: &[crate::testing::Case], summary: &mut Summary) -> anyhow::Result<()> {
    let (text, changes) = update(&file.text, all, &summary.reports);
    if !changes.is_empty() {
        std::fs::write(&file.path, text).map_err(|error| {
            ExitError::new(Exit::Fault, format!("{} can't be written: {error}", file.path.display()))
        })?;
    }
    summary.changes = changes;
    Ok(())
}

fn no_cases(path: &Path, handler: &WasmHandler) -> ExitError {
    let task = handler.tasks().next().map_or("hello", |task| task.name.as_str());
    say(format_args!(
        "Write the calls that are to be tried into {}, such as\n\n[[case]]\ntask = \"{task}\"\ninput = {{ name = \"value\" }}\n\n\
         and then `brrr-host test --update` adds what they give.\n",
        path.display()
    ));
    ExitError::new(Exit::Usage, format!("{}: there is no such file, and so nothing to test", path.display()))
}

fn nothing_selected(file: &Cases, all: &[crate::testing::Case]) -> ExitError {
    let names: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
    let path = file.path.display();
    let text = match names.as_slice() {
        [] => format!("{path}: there is no [[case]] in it"),
        names => format!("{path}: no case fits --case and --task; it has: {}", names.join(", ")),
    };
    ExitError::new(Exit::Usage, text)
}

/// The end of a case, in one word.
fn word(end: Option<&Outcome>) -> &'static str {
    match end {
        Some(Ok(_)) => "completed",
        Some(Err(_)) => "failed",
        None => "unfinished",
    }
}
