//! `.brrr/venv`: the Python environment of one project, with Python packages and the tools that come as such packages.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::install::Tool;
use super::tools::{Tools, find};

/// The oldest version of Python that componentize-py and the SDK support.
const OLDEST: [u32; 2] = [3, 11];

/// Creates the environment with these packages and those of a `requirements.txt`, and returns its folder of programs.
/// Returns at once if the environment is complete. A project that was moved or copied gets a new environment.
///
/// # Errors
/// When there is no Python that can create environments, or pip fails.
pub fn venv(tools: &Tools, packages: &[String], requirements: Option<&Path>) -> Result<PathBuf, BuildError> {
    let folder = tools.own("venv");
    let programs = folder.join("bin");
    let mut wanted = packages.join("\n");
    if let Some(path) = requirements {
        wanted += "\n";
        wanted += &fs::read_to_string(path).map_err(tools.file("read", path))?;
    }
    let stamp = folder.join(".installed");
    // `python` is a link, which is broken once Python itself was replaced.
    // The installed programs name the folder of their environment. After a move they don't start. In a copy they would run
    // the original's Python, and pip would install into the original.
    let place = folder.join(".place");
    let here = folder.to_string_lossy();
    let made_here = fs::read_to_string(&place).is_ok_and(|made_in| made_in == here);
    if !made_here || !programs.join("python").exists() || !programs.join("pip").exists() {
        let python = python(tools)?;
        tools.talk.say("making .brrr/venv");
        let mut command = tools.command(python);
        // Isolated: the environment variables of the user's own Python don't count here.
        tools.run("python3 -m venv", command.args(["-I", "-m", "venv", "--clear"]).arg(&folder))?;
        fs::write(&place, here.as_bytes()).map_err(tools.file("written", &place))?;
    }
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    let names: Vec<_> = packages.iter().map(|package| package.replace("==", " ")).collect();
    let more = if requirements.is_some() { " and requirements.txt" } else { "" };
    tools.talk.say(&format!("installing {}{more} into .brrr/venv", names.join(", ")));
    let mut command = tools.command(programs.join("python"));
    command.args(["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]).args(packages);
    if let Some(path) = requirements {
        command.arg("-r").arg(path);
    }
    tools.run("pip install", &mut command)?;
    fs::write(&stamp, wanted).map_err(tools.file("written", &stamp))?;
    Ok(programs)
}

/// Finds a Python that is new enough and can create environments.
fn python(tools: &Tools) -> Result<PathBuf, BuildError> {
    let needed = format!("Python {}.{} or newer", OLDEST[0], OLDEST[1]);
    // Newer versions are searched by their names, because `python3` is the system's version and may be old.
    let names = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"];
    let mut older = None;
    for python in names.into_iter().filter_map(find) {
        match tools.version(&python, "--version") {
            Some(version) if version.as_slice() >= OLDEST.as_slice() => {
                let mut command = tools.command(&python);
                let probe = tools.try_run("python3", command.args(["-c", "import ensurepip, venv"]), false)?;
                if probe.status.success() {
                    return Ok(python);
                }
                return Err(
                    tools.missing(Tool::PythonVenv, format!("{} lacks its module venv, which", python.display()))
                );
            }
            version => older = older.or(version),
        }
    }
    Err(tools.missing(
        Tool::Python,
        match older {
            Some(version) => format!("{needed} (this is {})", dotted(&version)),
            None => needed,
        },
    ))
}

pub fn dotted(version: &[u32]) -> String {
    version.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}
