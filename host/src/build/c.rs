//! Builds C and C++ with clang and wasi-libc, through the SDK's `brrr-cc`.

use std::fs;
use std::path::{Path, PathBuf};

use super::install::Tool;
use super::tools::{Tools, find};
use super::wasm_tools::wasm_tools;
use super::{BuildError, Talk};

/// The exit code of `brrr-cc` when a tool is missing: EX_UNAVAILABLE of sysexits.h.
const UNAVAILABLE: i32 = 69;

pub fn build(tools: &Tools, output: &Path) -> Result<PathBuf, BuildError> {
    let Some(bash) = find("bash") else { return Err(tools.missing(Tool::Bash, "bash")) };
    let brrr_cc = tools.own("sdk/c/sdk/bin/brrr-cc");
    let mut command = tools.command(&bash);
    command.arg(&brrr_cc).arg("--check").args(&tools.project.sources);
    // This runs before wasm-tools is installed. It runs silently, because the output of `brrr-cc` becomes the error.
    let quiet = Talk::new(tools.talk.progress, false);
    let probe = Tools { project: tools.project, talk: &quiet }.try_run("brrr-cc", &mut command, false)?;
    if probe.status.code() == Some(UNAVAILABLE) {
        let message = probe.output.trim().trim_start_matches("brrr-cc: ");
        let (problem, install) = message.split_once(". ").unwrap_or((message, ""));
        return Err(tools.missing_for(format!("clang with its libraries for wasm ({problem})"), install.to_owned()));
    }
    let wasm_tools = wasm_tools(tools)?;
    let mut command = tools.command(bash);
    command.arg(brrr_cc).args(&tools.project.sources).args(flags(tools)?).arg("-o").arg(output);
    command.env("WASM_TOOLS", wasm_tools);
    tools.run("the build", &mut command)?;
    Ok(output.to_owned())
}

/// The compiler's options, from `compile_flags.txt`, one on each line. Editors read the same file.
fn flags(tools: &Tools) -> Result<Vec<String>, BuildError> {
    let path = tools.project.folder.join("compile_flags.txt");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(tools.file("read", &path))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
