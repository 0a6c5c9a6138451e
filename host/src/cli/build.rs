//! `build`: builds the component of a project. Other commands use this module when the user gives a folder instead of a
//! component.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde_json::json;

use super::output::{Format, line, print, print_json, say};
use super::progress::Spinner;
use crate::build::{self, BuildError, Built, Options, Project};
use crate::exit::Exit;

/// Build a project's component with the toolchain of its language.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  brrr-host build
  brrr-host build hello -o hello.wasm
  brrr-host run --topic demo hello

A project is a folder with Cargo.toml (Rust), go.mod (Go), app.py (Python), app.ts (TypeScript), app.js (JavaScript), or
files in C or C++. The component is written beside it, as FOLDER/NAME.wasm with the folder's name; what the tools need
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
pub async fn component(path: &Path) -> anyhow::Result<PathBuf> {
    if is_component(path) {
        return Ok(path.to_owned());
    }
    let built = project_with(Project::find(path)?, Options::default()).await?;
    Ok(shown(&built.component))
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
    if let Err(BuildError::Failed { output, .. }) = &built
        && !output.is_empty()
    {
        say(format_args!("{}", output.trim_end()));
    }
    for warning in built.iter().flat_map(|built| &built.warnings) {
        say(format_args!("warning: {}", line(warning)));
    }
    if let Ok(Built { component, took: Some(took), .. }) = &built {
        let (size, took) = (ByteSize(size(component)), took.as_secs_f64());
        say(format_args!("built {} ({size}) in {took:.1} s", shown(component).display()));
    }
    built
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

/// The shortest form of the path: relative to the current folder if it is in there.
fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).unwrap_or_default();
    path.strip_prefix(here).map_or_else(|_| path.to_owned(), Path::to_owned)
}
