//! Builds a component from a project's folder, with the toolchain of the project's language.
//!
//! - `project`: finds out what is in a folder; `stamp`: whether a component is up to date with its sources
//! - `rust` (with `crates`), `python`, `script`, `go`, `c`: the toolchains. All of them except Rust's are run by the
//!   build program of the SDK
//! - `own`: a component that a command of the user builds
//! - `tools`, `venv`, `install`: run tools, install them for the project, and tell the user how to install them
//!
//! A build writes only into the project's `.brrr` and its component. It installs nothing outside of the project. If a
//! tool is not available as a package of the language's own registry, the user is asked to install it.

mod c;
mod crates;
mod error;
mod go;
mod install;
mod language;
mod own;
mod project;
mod python;
mod rust;
mod script;
mod stamp;
mod tools;
mod venv;
mod wasm_tools;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::BuildError;
pub use language::Language;
pub use own::OwnBuild;
pub use project::Project;
pub use stamp::is_source;
use tools::Tools;

use crate::{sdk, trust};

/// The options of a build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The file to write. `None`: a file beside the sources, with the name of their folder.
    pub output: Option<PathBuf>,
    /// Build even if nothing has changed.
    pub force: bool,
    /// Show the output of the tools while they run.
    pub verbose: bool,
}

/// How a build reports its progress.
pub struct Talk<'a> {
    /// Called once for each step that takes time.
    pub progress: &'a (dyn Fn(&str) + Sync),
    /// Show the output of the tools at once. Otherwise it is kept for the error.
    pub verbose: bool,
    /// What the user is to know of a build that succeeded.
    warnings: RefCell<Vec<String>>,
}

impl<'a> Talk<'a> {
    pub fn new(progress: &'a (dyn Fn(&str) + Sync), verbose: bool) -> Self {
        Self { progress, verbose, warnings: RefCell::default() }
    }

    pub fn say(&self, text: &str) {
        (self.progress)(text);
    }

    /// Keeps a warning for the end of the build.
    pub fn warn(&self, text: &str) {
        self.warnings.borrow_mut().push(text.to_owned());
    }
}

/// A component that is up to date with its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub component: PathBuf,
    /// How long the build took. `None`: there was nothing to build.
    pub took: Option<Duration>,
    /// What will not work although it was built.
    pub warnings: Vec<String>,
}

/// Builds a project, unless its component is up to date with its sources.
///
/// # Errors
/// When a tool is missing or fails, or a file can't be read or written.
pub fn build(project: &Project, options: &Options, progress: &(dyn Fn(&str) + Sync)) -> Result<Built, BuildError> {
    let start = Instant::now();
    let talk = Talk::new(progress, options.verbose);
    let tools = Tools { project, talk: &talk };
    let component = match &options.output {
        Some(path) => std::path::absolute(path).map_err(tools.file("written", path))?,
        None => project.component(),
    };
    let folder = &project.folder;
    // Two workers may be started with the same project at the same time.
    let _lock = lock(folder).map_err(tools.file("locked", &folder.join(LOCK)))?;
    sdk::write(folder, project.language).map_err(tools.file("written", &folder.join(".brrr")))?;
    let inputs = stamp::inputs(project).map_err(tools.file("read", folder))?;
    // Cargo knows the sources outside of the folder too, and ends at once if there is nothing to build.
    let asks_its_tool = project.language == Language::Rust;
    if options.force || !stamp::holds(project, &component, &inputs) {
        talk.say(&format!("building {} ({})", project.name, project.language));
    } else if !asks_its_tool {
        return Ok(Built { component, took: None, warnings: Vec::new() });
    }
    let made = match project.language {
        Language::Rust => rust::build(&tools)?,
        Language::Python => python::build(&tools, &scratch(&tools)?)?,
        Language::Javascript | Language::Typescript => script::build(&tools, &scratch(&tools)?)?,
        Language::Go => go::build(&tools, &scratch(&tools)?)?,
        Language::C | Language::Cpp => c::build(&tools, &scratch(&tools)?)?,
    };
    let changed = options.force || !asks_its_tool || !same(&made, &component);
    if changed {
        put(&tools, &made, &component)?;
    }
    stamp::write(project, &component, &inputs).map_err(tools.file("written", &folder.join(".brrr/built")))?;
    Ok(Built { component, took: changed.then(|| start.elapsed()), warnings: talk.warnings.take() })
}

/// A process that builds the project holds a lock on this file.
const LOCK: &str = ".brrr/build.lock";

/// Waits for the lock of the project. The lock ends when the file is dropped, also if the process is killed.
fn lock(folder: &Path) -> io::Result<File> {
    trust::check_own_folder(folder)?;
    let path = trust::below(folder, Path::new(LOCK))?;
    fs::create_dir_all(folder.join(trust::OWN_FOLDER))?;
    let file = File::options().create(true).append(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// The file that a tool writes the component to, before `put` copies it.
fn scratch(tools: &Tools) -> Result<PathBuf, BuildError> {
    let folder = tools.own("built");
    let file = trust::below(&tools.project.folder, Path::new(".brrr/built/new.wasm"));
    let made = file.and_then(|file| fs::create_dir_all(&folder).map(|()| file));
    made.map_err(tools.file("written", &folder))
}

/// Copies the component to its place, by a copy and a rename: a process that reads the old component sees no
/// half-written file.
fn put(tools: &Tools, made: &Path, component: &Path) -> Result<(), BuildError> {
    let name = component.file_name().unwrap_or_default().to_string_lossy();
    // A hidden file is not taken for a source.
    let new = component.with_file_name(format!(".{name}.new-{}", std::process::id()));
    let folder = component.parent().unwrap_or(Path::new("."));
    let placed =
        fs::create_dir_all(folder).and_then(|()| fs::copy(made, &new)).and_then(|_| fs::rename(&new, component));
    if placed.is_err() {
        // A partly written file is of no use. If it can't be removed, there is nothing else to do.
        let _ = fs::remove_file(&new);
    }
    if made.starts_with(tools.own("built")) {
        let _ = fs::remove_file(made);
    }
    placed.map_err(tools.file("written", component))
}

fn same(a: &Path, b: &Path) -> bool {
    let (Ok(a), Ok(b)) = (fs::read(a), fs::read(b)) else { return false };
    a == b
}
