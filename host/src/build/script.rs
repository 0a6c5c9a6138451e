//! Builds JavaScript and TypeScript with esbuild and componentize-qjs, through the SDK's `build.mjs`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::install::Tool;
use super::tools::{Tools, find};
use super::venv::dotted;
use super::{BuildError, Language};

/// The oldest version of Node, as the SDK's `engines` says.
const OLDEST: u32 = 20;

pub fn build(tools: &Tools, output: &Path) -> Result<PathBuf, BuildError> {
    let node = node(tools)?;
    compilers(tools)?;
    dependencies(tools)?;
    let program = match tools.project.language {
        Language::Typescript => "sdk/typescript/sdk/bin/build.mjs",
        _ => "sdk/javascript/sdk/bin/build.mjs",
    };
    let mut command = tools.command(node);
    command.arg(tools.own(program)).args(&tools.project.sources).arg("-o").arg(output);
    tools.run("the build", &mut command)?;
    Ok(output.to_owned())
}

fn node(tools: &Tools) -> Result<PathBuf, BuildError> {
    let needed = format!("Node {OLDEST} or newer");
    let Some(node) = find("node") else { return Err(tools.missing(Tool::Node, needed)) };
    match tools.version(&node, "--version") {
        Some(version) if version[0] >= OLDEST => Ok(node),
        Some(version) => Err(tools.missing(Tool::Node, format!("{needed} (this is {})", dotted(&version)))),
        None => Err(tools.missing(Tool::Node, format!("{needed} ({} does not run)", node.display()))),
    }
}

/// Installs the packages that the SDK compiles with, beside the SDK, in the versions of the SDK's lock file.
fn compilers(tools: &Tools) -> Result<(), BuildError> {
    let sdk = tools.own("sdk/typescript/sdk");
    let lock = sdk.join("package-lock.json");
    let types = tools.project.language == Language::Typescript;
    let mut wanted = fs::read_to_string(&lock).map_err(tools.file("read", &lock))?;
    if !types {
        wanted += "without tsc";
    }
    let stamp = sdk.join("node_modules/.installed-by-brrr-host");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    tools.talk.say("installing esbuild and componentize-qjs into .brrr/sdk");
    // See scripts/setup/node.sh for why this is not `npm ci`.
    let mut arguments = vec!["--no-save", "--no-progress", "--loglevel=error"];
    if !types {
        arguments.push("--omit=dev");
    }
    npm_install(tools, &sdk, &arguments)?;
    fs::write(&stamp, wanted).map_err(tools.file("written", &stamp))
}

/// Installs the packages that the project itself depends on.
fn dependencies(tools: &Tools) -> Result<(), BuildError> {
    let folder = &tools.project.folder;
    let manifest = folder.join("package.json");
    let Ok(text) = fs::read_to_string(&manifest) else { return Ok(()) };
    // If the file is not JSON, npm reports the error.
    let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
    let has = |key: &str| parsed[key].as_object().is_some_and(|packages| !packages.is_empty());
    if !has("dependencies") && !has("devDependencies") {
        return Ok(());
    }
    let wanted =
        |text: &str| text.to_owned() + &fs::read_to_string(folder.join("package-lock.json")).unwrap_or_default();
    let stamp = folder.join("node_modules/.installed-by-brrr-host");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted(&text)) {
        return Ok(());
    }
    tools.talk.say("npm install");
    npm_install(tools, folder, &["--no-progress", "--loglevel=error", "--no-fund", "--no-audit"])?;
    // The stamp covers npm's lock file, so it is written after npm has run.
    fs::write(&stamp, wanted(&text)).map_err(tools.file("written", &stamp))
}

fn npm_install(tools: &Tools, folder: &Path, arguments: &[&str]) -> Result<(), BuildError> {
    let Some(npm) = find("npm") else { return Err(tools.missing(Tool::Npm, "npm")) };
    let mut command = tools.command(npm);
    tools.run("npm install", command.current_dir(folder).arg("install").args(arguments)).map(drop)
}
