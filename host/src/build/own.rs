//! A component that a command of the user builds: `build = "…"` in brrr.toml. So every toolchain can be used.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BuildError, is_source};

/// A command that builds a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnBuild {
    /// The command, for a shell.
    pub command: String,
    /// The folder of brrr.toml. The command runs there.
    pub folder: PathBuf,
    /// The files and folders that the component is made of, relative to `folder`. Empty: all that may be sources.
    pub sources: Vec<PathBuf>,
}

/// Folders in which build tools usually put their output.
const OUTPUT: &[&str] = &["build", "dist", "out", "obj", "bin", "zig-out", ".zig-cache", "_build"];

impl OwnBuild {
    /// Runs the command to its end.
    ///
    /// # Errors
    /// When it can't be started, or fails. The error has all that it printed.
    pub fn run(&self) -> Result<(), BuildError> {
        let folder = if self.folder.as_os_str().is_empty() { Path::new(".") } else { &self.folder };
        let failed = |what: String, output: String| Err(BuildError::Failed { folder: folder.to_owned(), what, output });
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(&self.command).current_dir(folder).stdin(Stdio::null());
        match shell.output() {
            Err(error) => failed(format!("`{}` (sh: {error})", self.command), String::new()),
            Ok(ended) if ended.status.success() => Ok(()),
            Ok(ended) => {
                let text = [ended.stdout, ended.stderr].concat();
                let how = format!("`{}` ({})", self.command, ended.status);
                failed(how, String::from_utf8_lossy(&text).into_owned())
            }
        }
    }

    /// Can the component depend on this file? The path is relative to the folder.
    #[must_use]
    pub fn is_source(&self, path: &Path) -> bool {
        if !self.sources.is_empty() {
            return self.sources.iter().any(|source| path.starts_with(source) || source.starts_with(path));
        }
        is_source(path) && !path.iter().any(|part| OUTPUT.iter().any(|name| part == *name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(command: &str, sources: &[&str]) -> OwnBuild {
        let sources = sources.iter().map(PathBuf::from).collect();
        OwnBuild { command: command.to_owned(), folder: std::env::temp_dir(), sources }
    }

    #[test]
    fn a_command_that_fails_says_what_it_printed() {
        assert!(own("exit 0", &[]).run().is_ok());
        let Err(BuildError::Failed { what, output, .. }) = own("echo no such rule >&2; exit 3", &[]).run() else {
            panic!("it has failed");
        };
        assert!(what.contains("exit 3") && what.contains("status: 3"), "{what}");
        assert_eq!(output, "no such rule\n");
    }

    #[test]
    fn the_output_of_a_build_is_no_source() {
        let all = own("", &[]);
        let count = |own: &OwnBuild, path: &str| own.is_source(Path::new(path));
        assert!(count(&all, "src/main.zig") && count(&all, "Makefile"));
        assert!(!count(&all, "build/x.o") && !count(&all, "app.wasm") && !count(&all, "target/x"));
        let some = own("", &["src", "a/b.txt"]);
        assert!(count(&some, "src/deep/x") && count(&some, "a") && count(&some, "a/b.txt"));
        assert!(!count(&some, "a/c.txt") && !count(&some, "Makefile"));
    }
}
