//! `build`: builds the component of a project. Other commands use this module when the user gives a folder instead of a
//! component.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::json;

use super::ExitError;
use super::output::{Format, line, print, print_json, say};
use super::progress::Spinner;
use crate::build::{self, BuildError, Built, Options, OwnBuild, Project};
use crate::config::{Component, Config, ConfigError};
use crate::exit::Exit;
use crate::trust;

/// Build a project's component with the toolchain of its language.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host build
  brrr-host build hello -o hello.wasm
  brrr-host run --topic demo hello

A project is a folder with Cargo.toml (Rust), go.mod (Go), app.py (Python), app.ts (TypeScript), app.js (JavaScript), or
files in C or C++. A folder of another language has a brrr.toml that says `path` and `build` (the command) under
[[components]]. The component is written beside it, as FOLDER/NAME.wasm with the folder's name; what the tools need
besides is installed into FOLDER/.brrr. A component that is as its sources say is left alone.")]
pub struct BuildCommand {
    /// The project's folder, or the file of its handlers.
    #[arg(default_value = ".", value_name = "DIR")]
    project: PathBuf,

    /// The component file to write.
    #[arg(short, long = "out", value_name = "FILE")]
    out: Option<PathBuf>,

    /// Build even if nothing has changed.
    #[arg(short, long)]
    force: bool,

    /// Show the output of the tools also when they succeed.
    #[arg(short, long)]
    verbose: bool,
}

pub async fn run(args: BuildCommand, format: Format) -> anyhow::Result<Exit> {
    if let Some((component, own)) = own_in(&args.project)? {
        run_own(&own, &component).await?;
        match format {
            Format::Json => print_json(&json!({
                "component": component.display().to_string(),
                "language": null,
                "size": size(&component),
                "built": true,
            }))?,
            Format::Text => print(component.display())?,
        }
        return Ok(Exit::Done);
    }
    let options = Options { output: args.out, force: args.force, verbose: args.verbose };
    let project = Project::find(&args.project)?;
    let built = project_with(project.clone(), options).await?;
    let component = shown(&built.component);
    match format {
        Format::Json => print_json(&json!({
            "component": component.display().to_string(),
            "language": project.language.name(),
            "size": size(&built.component),
            "built": built.took.is_some(),
        }))?,
        Format::Text => {
            if built.took.is_none() {
                say(format_args!("{} is up to date", component.display()));
            }
            print(component.display())?;
        }
    }
    Ok(Exit::Done)
}

/// The path of the component for `path`. A file is a component already. A project is built first, unless its component
/// is up to date with its sources. Progress is reported on stderr.
///
/// # Errors
/// A `BuildError`. What a tool printed is on stderr by then.
pub async fn component(path: &Path, own: Option<&OwnBuild>) -> anyhow::Result<PathBuf> {
    if let Some(own) = own {
        run_own(own, path).await?;
        return Ok(path.to_owned());
    }
    if is_component(path) {
        return Ok(path.to_owned());
    }
    if let Some((component, own)) = own_in(path)? {
        run_own(&own, &component).await?;
        return Ok(component);
    }
    let built = project_with(Project::find(path)?, Options::default()).await?;
    Ok(shown(&built.component))
}

/// How a component is built, if brrr.toml has a command for it.
pub fn own_build(component: &Component) -> Option<OwnBuild> {
    let Component { build, folder, sources, .. } = component.clone();
    build.map(|command| OwnBuild { command, folder, sources })
}

/// The component of a folder whose brrr.toml says how it is built, if the folder is no project of a known language.
///
/// # Errors
/// When the file is not valid, or has several such components.
pub fn own_in(folder: &Path) -> anyhow::Result<Option<(PathBuf, OwnBuild)>> {
    let file = folder.join(crate::config::DEFAULT);
    if !file.is_file() || !matches!(Project::find(folder), Err(BuildError::NotAProject { .. })) {
        return Ok(None);
    }
    // Its command is run. So the file must be of somebody whom the user trusts anyway.
    let owned = trust::check_found(&file.metadata()?, &folder.metadata()?);
    owned.map_err(|reason| ConfigError::NotYours { path: file.clone(), reason })?;
    let config = Config::parse(&file, &std::fs::read_to_string(&file)?)?;
    let mut own = config.components.iter().filter_map(|one| Some((one.path.clone(), own_build(one)?)));
    let found = own.next();
    if own.next().is_some() {
        let text = format!(
            "{}: it builds several components; start brrr-host in that folder, to use all of them",
            file.display()
        );
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    Ok(found)
}

/// Runs the user's command that builds `component`.
async fn run_own(own: &OwnBuild, component: &Path) -> anyhow::Result<()> {
    let spinner = Spinner::after(Duration::from_millis(300), format!("building {}", component.display()));
    let runs = own.clone();
    let ended = tokio::task::spawn_blocking(move || runs.run()).await;
    drop(spinner);
    let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    show_output(&ended);
    ended?;
    if !component.is_file() {
        let what = format!("`{}`: it ended well, but there is no {}; it", own.command, component.display());
        return Err(BuildError::Failed { folder: own.folder.clone(), what, output: String::new() }.into());
    }
    Ok(())
}

/// Is `path` a compiled component? True also if it does not exist: the loader then reports the error.
pub fn is_component(path: &Path) -> bool {
    let source =
        || path.extension().is_some_and(|e| ["py", "js", "mjs", "ts", "mts", "c", "cpp", "cc"].iter().any(|s| e == *s));
    !(path.is_dir() || path.is_file() && source())
}

/// Builds the project, and reports the result on stderr.
///
/// # Errors
/// As `component`.
pub async fn project_with(project: Project, options: Options) -> Result<Built, BuildError> {
    let spinner = Spinner::after(Duration::from_millis(300), format!("building {}", project.name));
    let talk = spinner.steps();
    let building = tokio::task::spawn_blocking(move || build::build(&project, &options, &talk));
    // The task is not aborted, so this is a panic: a bug of this program.
    let built = building.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    drop(spinner);
    show_output(&built);
    for warning in built.iter().flat_map(|built| &built.warnings) {
        say(format_args!("warning: {}", line(warning)));
    }
    if let Ok(Built { component, took: Some(took), .. }) = &built {
        let (size, took) = (ByteSize(size(component)), took.as_secs_f64());
        say(format_args!("built {} ({size}) in {took:.1} s", shown(component).display()));
    }
    built
}

/// Shows what a tool has printed that failed.
fn show_output<T>(ended: &Result<T, BuildError>) {
    if let Err(BuildError::Failed { output, .. }) = ended
        && !output.is_empty()
    {
        say(format_args!("{}", output.trim_end()));
    }
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

/// The shortest form of the path: relative to the current folder if it is in there.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    path.strip_prefix(here).map_or_else(|_| path.to_owned(), Path::to_owned)
}
