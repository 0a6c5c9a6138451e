//! Builds Python with componentize-py in an environment of the project, through `python -m brrr.build`.

use std::path::{Path, PathBuf};

use super::BuildError;
use super::tools::Tools;
use super::venv::venv;
use crate::sdk;

pub fn build(tools: &Tools, output: &Path) -> Result<PathBuf, BuildError> {
    let requirements = tools.project.folder.join("requirements.txt");
    let requirements = requirements.is_file().then_some(requirements);
    let programs = venv(tools, &[sdk::python_pin("componentize-py")], requirements.as_deref())?;
    let mut command = tools.command(programs.join("python"));
    command.args(["-m", "brrr.build"]).args(&tools.project.sources).arg("-o").arg(output);
    // Python must write no compiled files into the project or the SDK.
    command.env("PYTHONPATH", tools.own("sdk/python/sdk")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env_remove("PYTHONHOME");
    let text = tools.run("the build", &mut command)?;
    for warning in text.lines().filter(|line| line.starts_with("warning: ")) {
        tools.talk.say(warning);
    }
    Ok(output.to_owned())
}
