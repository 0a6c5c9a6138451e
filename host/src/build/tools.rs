//! Runs the tools of a language.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::install::{Tool, install};
use super::{BuildError, Project, Talk};

/// The tools that work on one project.
pub struct Tools<'a> {
    pub project: &'a Project,
    pub talk: &'a Talk<'a>,
}

/// The end of a tool that could be started.
pub struct EndedTool {
    pub status: ExitStatus,
    /// What the tool printed on stdout as data, if its stdout is data.
    pub data: String,
    /// What the tool printed for the user. Empty if the user has seen it already.
    pub output: String,
}

impl Tools<'_> {
    /// A path below the project's `.brrr`.
    pub fn own(&self, path: &str) -> PathBuf {
        self.project.folder.join(".brrr").join(path)
    }

    /// A command that runs in the project's folder.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.project.folder).stdin(Stdio::null());
        if !self.talk.verbose {
            // Many of the tools are written in Rust. Where their code has failed means nothing to their user.
            command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
        }
        command
    }

    /// Runs a command to its end, and returns its output. `what` tells the user what the command does.
    pub fn run(&self, what: &str, command: &mut Command) -> Result<String, BuildError> {
        let ended = self.try_run(what, command, false)?;
        if ended.status.success() { Ok(ended.output) } else { Err(self.failed(what, ended.output)) }
    }

    /// As `run`, but the caller checks how the command ended. `data`: stdout is data, not text for the user.
    pub fn try_run(&self, what: &str, command: &mut Command, data: bool) -> Result<EndedTool, BuildError> {
        self.spawn(command, data).map_err(|error| {
            let program = command.get_program().to_string_lossy();
            self.failed(&format!("{what} ({program}: {error})"), String::new())
        })
    }

    fn spawn(&self, command: &mut Command, data: bool) -> io::Result<EndedTool> {
        // A file keeps both streams in the order in which they were written, and needs no thread that reads them.
        let mut kept = if self.talk.verbose { None } else { Some(tempfile::NamedTempFile::new()?) };
        let sink = |kept: &Option<tempfile::NamedTempFile>| -> io::Result<Stdio> {
            Ok(match kept {
                Some(file) => append(file.path())?.into(),
                None => io::stderr().into(),
            })
        };
        command.stderr(sink(&kept)?);
        command.stdout(if data { Stdio::piped() } else { sink(&kept)? });
        let mut child = command.spawn()?;
        let mut data = Vec::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_end(&mut data)?;
        }
        let status = child.wait()?;
        let mut output = Vec::new();
        if let Some(file) = &mut kept {
            file.reopen()?.read_to_end(&mut output)?;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(EndedTool { status, data: text(&data), output: without_advice(&text(&output)) })
    }

    pub fn failed(&self, what: &str, output: String) -> BuildError {
        BuildError::Failed { folder: self.project.shown.clone(), what: what.to_owned(), output }
    }

    /// The error for a missing tool. `needed` is the tool with its version, or what is wrong with the installed
    /// version.
    pub fn missing(&self, tool: Tool, needed: impl Into<String>) -> BuildError {
        self.missing_for(needed, install(tool))
    }

    pub fn missing_for(&self, needed: impl Into<String>, install: String) -> BuildError {
        let wanted = format!("handlers in {}", self.project.language);
        BuildError::Missing { folder: self.project.shown.clone(), needed: needed.into(), wanted, install }
    }

    pub fn file<'p>(&self, action: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BuildError + use<'p> {
        move |source| BuildError::File { path: path.to_owned(), action, source }
    }

    /// The version that a tool prints, as numbers. Reads both `v20.1.0` and `go version go1.26.8 linux/amd64`.
    pub fn version(&self, program: &Path, argument: &str) -> Option<Vec<u32>> {
        let output = self.command(program).arg(argument).stderr(Stdio::null()).output().ok()?;
        numbers(&String::from_utf8_lossy(&output.stdout))
    }
}

/// The text without the line that advises to set `RUST_BACKTRACE`.
fn without_advice(text: &str) -> String {
    let is_advice = |line: &str| {
        let line = line.trim_start();
        line.starts_with("note: run with `RUST_BACKTRACE=")
            || line.starts_with("note: Some details are omitted, run with `RUST_B")
    };
    text.split_inclusive('\n').filter(|line| !is_advice(line)).collect()
}

fn append(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new().append(true).open(path)
}

/// The first dotted number of a text.
fn numbers(text: &str) -> Option<Vec<u32>> {
    let word = text.split(|c: char| !c.is_ascii_digit() && c != '.').find(|w| w.contains('.') && w.len() > 1)?;
    word.split('.').map(|part| part.parse().ok()).collect()
}

/// Searches the PATH for a program of this name.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_advice_about_the_inside_of_a_tool() {
        let text = "thread 'main' panicked at a.rs:1:1:\nno\nnote: run with `RUST_BACKTRACE=1` environment variable to display \
                    a backtrace\nend";
        assert_eq!(without_advice(text), "thread 'main' panicked at a.rs:1:1:\nno\nend");
        assert_eq!(without_advice("note: `RUST_BACKTRACE`\n"), "note: `RUST_BACKTRACE`\n");
    }

    #[test]
    fn versions_are_read_from_the_output_of_tools() {
        assert_eq!(numbers("v20.20.2\n"), Some(vec![20, 20, 2]));
        assert_eq!(numbers("go version go1.26.8 linux/amd64"), Some(vec![1, 26, 8]));
        assert_eq!(numbers("Python 3.11.7"), Some(vec![3, 11, 7]));
        assert_eq!(numbers("no number"), None);
    }
}
