//! Asks the user once about the permissions that a `brrr.toml` gives its components beyond its folder. Such a file may
//! be part of a project of somebody else. Permissions from flags, or from a file that the user named, need no question.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use brrr_protocol::model::hex;
use brrr_worker::text::line;
use etcetera::BaseStrategy as _;
use sha2::{Digest as _, Sha256};

use super::ExitError;
use super::output::say;
use crate::config::Config;
use crate::exit::Exit;
use crate::trust;

/// Finds out whether the user allows the permissions in the file.
///
/// # Errors
/// When the user refuses, or can't be asked.
pub fn check(config: &Config, yes: bool) -> anyhow::Result<()> {
    let Some(path) = config.path.as_deref().filter(|_| !config.is_named && !yes) else { return Ok(()) };
    let folder = path.parent().unwrap_or(Path::new(""));
    let of = |component: &crate::config::Component| {
        let shown = component.path.display().to_string();
        let reach = component.reach(|path| trust::is_inside(folder, path));
        reach.into_iter().map(move |what| line(&format!("{shown}: {what}")).into_owned()).collect::<Vec<_>>()
    };
    let granted: Vec<String> = config.components.iter().flat_map(of).collect();
    if granted.is_empty() {
        return Ok(());
    }
    let digest = hex(&Sha256::digest(granted.join("\n")));
    let note = note_of(folder);
    if note.as_ref().is_some_and(|note| fs::read_to_string(note).is_ok_and(|known| known.trim() == digest)) {
        return Ok(());
    }
    let list = granted.join(", ");
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = format!(
            "{} lets components reach what lies outside of this folder ({list}), and you have not allowed that yet: start \
             it once in a terminal, or give --yes (BRRR_YES=1)",
            path.display()
        );
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    say(format_args!("{} lets components reach what lies outside of this folder:", path.display()));
    granted.iter().for_each(|what| say(format_args!("  {what}")));
    let _ = write!(io::stderr().lock(), "Allow this, now and later? [y/N] ");
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") {
        return Err(ExitError::new(Exit::Usage, format!("{}: not allowed", path.display())).into());
    }
    if let Err(error) = note.ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(|note| keep(&note, &digest)) {
        tracing::warn!("the answer can't be kept, so you will be asked again: {error}");
    }
    Ok(())
}

/// The file that records what the user allowed in a folder.
fn note_of(folder: &Path) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = folder.canonicalize().ok()?;
    let base = etcetera::choose_base_strategy().ok()?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    let name = hex(&Sha256::digest(folder.as_os_str().as_encoded_bytes()));
    Some(state.join("brrr-host").join("allowed").join(name))
}

fn keep(note: &Path, digest: &str) -> io::Result<()> {
    let folder = note.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(note)?;
    writeln!(file, "{digest}")
}
