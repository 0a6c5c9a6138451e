//! Builds Go with the standard toolchain, through the SDK's `brrr-build`.

use std::path::{Path, PathBuf};

use super::BuildError;
use super::install::Tool;
use super::tools::{Tools, find};
use super::venv::dotted;
use super::wasm_tools::wasm_tools;

/// The oldest version of Go that can be used. From this version on, Go downloads the version that the SDK's `go.mod`
/// requires.
const OLDEST: [u32; 2] = [1, 21];

pub fn build(tools: &Tools, output: &Path) -> Result<PathBuf, BuildError> {
    let go = go(tools)?;
    let wasm_tools = wasm_tools(tools)?;
    let builder = tools.own("bin/brrr-build");
    let mut command = tools.command(go);
    // `brrr-build` is a module of its own.
    let source = tools.own("sdk/go/cmd/brrr-build");
    command.arg("build").arg("-C").arg(source).arg("-buildvcs=false").arg("-o").arg(&builder);
    // `brrr-build` must be compiled for this machine, even if the user's environment selects another target.
    command.arg(".").env_remove("GOOS").env_remove("GOARCH").env("GOFLAGS", "");
    tools.run("building brrr-build", &mut command)?;
    let mut command = tools.command(builder);
    command.arg("-C").arg(&tools.project.folder).arg("-o").arg(output).env("WASM_TOOLS", wasm_tools);
    let text = tools.run("the build", &mut command)?;
    // With `--verbose` they are on stderr already.
    text.lines().filter_map(|line| line.strip_prefix("warning: ")).for_each(|text| tools.talk.warn(text));
    Ok(output.to_owned())
}

fn go(tools: &Tools) -> Result<PathBuf, BuildError> {
    let needed = "Go 1.26 or newer";
    let Some(go) = find("go") else { return Err(tools.missing(Tool::Go, needed)) };
    match tools.version(&go, "version") {
        Some(version) if version.as_slice() >= OLDEST.as_slice() => Ok(go),
        Some(version) => Err(tools.missing(Tool::Go, format!("{needed} (this is {})", dotted(&version)))),
        None => Err(tools.missing(Tool::Go, format!("{needed} ({} does not run)", go.display()))),
    }
}
