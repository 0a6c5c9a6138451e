//! From a project's folder to its component, by the toolchain of its language.
//!
//! - `project`: what a folder is; `stamp`: whether its component is as its sources say
//! - `rust`, `python`, `script`, `go`, `c`: the toolchains. All but Rust's are driven by the build program of the SDK
//! - `tools`, `venv`, `install`: running them, getting them, saying how they are got
//!
//! What a project's build makes is in its `.brrr` and its component. Nothing is installed outside of it: what can't be got
//! as a package of the language's own registry is asked for.

mod c;
mod error;
mod go;
mod install;
mod language;
mod project;
mod python;
mod rust;
mod script;
mod stamp;
mod tools;
mod venv;
mod wasm_tools;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::BuildError;
pub use language::Language;
pub use project::Project;
pub use stamp::is_source;
use tools::Tools;

use crate::{sdk, trust};

/// How a build is done.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The file to write; unless given beside the sources, named as their folder.
    pub output: Option<PathBuf>,
    /// Even if nothing has changed.
    pub force: bool,
    /// The user sees what the tools print while they do.
    pub verbose: bool,
}

/// How a build is talked about.
pub struct Talk<'a> {
    /// Told of each step that takes time, once.
    pub progress: &'a (dyn Fn(&str) + Sync),
    /// What tools print is seen at once; otherwise it is kept for the error.
    pub verbose: bool,
}

impl Talk<'_> {
    pub fn say(&self, text: &str) {
        (self.progress)(text);
    }
}

/// A component that is as its sources say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub component: PathBuf,
    /// How long it took; `None`: there was nothing to do.
    pub took: Option<Duration>,
}

/// Builds a project, unless its component is as its sources say.
///
/// # Errors
/// When a tool is missing or fails, or a file can't be read or written.
pub fn build(project: &Project, options: &Options, progress: &(dyn Fn(&str) + Sync)) -> Result<Built, BuildError> {
    let start = Instant::now();
    let talk = Talk { progress, verbose: options.verbose };
    let tools = Tools { project, talk: &talk };
    let component = match &options.output {
        Some(path) => std::path::absolute(path).map_err(tools.file("written", path))?,
        None => project.component(),
    };
    let folder = &project.folder;
    // Two workers may be started with the same project.
    let _lock = lock(folder).map_err(tools.file("locked", &folder.join(LOCK)))?;
    sdk::write(folder, project.language).map_err(tools.file("written", &folder.join(".brrr")))?;
    let inputs = stamp::inputs(project).map_err(tools.file("read", folder))?;
    // Cargo knows of sources outside of the folder, and says at once if there is nothing to do.
    let asks_its_tool = project.language == Language::Rust;
    if options.force || !stamp::holds(project, &component, &inputs) {
        talk.say(&format!("building {} ({})", project.name, project.language));
    } else if !asks_its_tool {
        return Ok(Built { component, took: None });
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
    Ok(Built { component, took: changed.then(|| start.elapsed()) })
}

/// Who builds the project holds it.
const LOCK: &str = ".brrr/build.lock";

/// Waits for its turn; it is over when the file is dropped, however the process ends.
fn lock(folder: &Path) -> io::Result<File> {
    trust::check_own_folder(folder)?;
    let path = trust::below(folder, Path::new(LOCK))?;
    fs::create_dir_all(folder.join(trust::OWN_FOLDER))?;
    let file = File::options().create(true).append(true).open(path)?;
    file.lock()?;
    Ok(file)
}

/// The file that a tool is told to write.
fn scratch(tools: &Tools) -> Result<PathBuf, BuildError> {
    let folder = tools.own("built");
    let file = trust::below(&tools.project.folder, Path::new(".brrr/built/new.wasm"));
    let made = file.and_then(|file| fs::create_dir_all(&folder).map(|()| file));
    made.map_err(tools.file("written", &folder))
}

/// Copied and renamed: who reads the old component keeps it whole.
fn put(tools: &Tools, made: &Path, component: &Path) -> Result<(), BuildError> {
    let name = component.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, so that nobody takes it for a source.
    let new = component.with_file_name(format!(".{name}.new-{}", std::process::id()));
    let folder = component.parent().unwrap_or(Path::new("."));
    let placed =
        fs::create_dir_all(folder).and_then(|()| fs::copy(made, &new)).and_then(|_| fs::rename(&new, component));
    if placed.is_err() {
        // What is half there helps nobody; if it can't be removed there is nothing else to do.
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
