//! Finds the components that a worker serves, with their topics: those on the command line, or else those of
//! `brrr.toml`.

use std::path::{Path, PathBuf};

use brrr_protocol::model::Topic;
use brrr_worker::permissions::{Grants, Permissions};

use super::RunCommand;
use crate::build::OwnBuild;
use crate::cli::ExitError;
use crate::cli::build::own_build;
use crate::cli::options::topic;
use crate::config::{Component, Config};
use crate::exit::Exit;

/// A component to serve.
pub struct Served {
    pub path: PathBuf,
    pub topic: Topic,
    /// What the component may access.
    pub grants: Grants,
    /// The user's command that builds it.
    pub build: Option<OwnBuild>,
}

/// The components to serve. None: what was pushed to the topic is served.
///
/// # Errors
/// When there are no components, a component has no topic, or a file or directory of its permissions does not exist.
pub fn served(args: &RunCommand, config: &Config) -> anyhow::Result<Vec<Served>> {
    let for_all = args.permissions.permissions()?;
    if !args.guests.is_empty() {
        let named = |path: &PathBuf| {
            // The settings of a component in the file hold for it also when the command line names it.
            let known = config.components.iter().find(|component| is_same(&component.path, path));
            one(args, path.clone(), known, &for_all)
        };
        return args.guests.iter().map(named).collect();
    }
    if config.components.is_empty() {
        if args.topic.is_some() && !args.watch {
            // What was pushed to the topic is served.
            return Ok(Vec::new());
        }
        let text = "which component? name it (brrr-host run --topic demo guest.wasm), list it in brrr.toml under \
                    [[components]], or name only the topic to serve what is pushed to it";
        return Err(ExitError::new(Exit::Usage, text).into());
    }
    let listed = |component: &Component| one(args, component.path.clone(), Some(component), &for_all);
    config.components.iter().map(listed).collect()
}

fn one(args: &RunCommand, path: PathBuf, known: Option<&Component>, for_all: &Permissions) -> anyhow::Result<Served> {
    let own = known.and_then(|component| component.topic.as_deref()).map(topic).transpose();
    let own = own.map_err(|text| ExitError::new(Exit::Usage, format!("{}: {text}", path.display())))?;
    let topic = own.or_else(|| args.topic.clone()).ok_or_else(|| {
        let text = format!("{}: on which topic? --topic TOPIC, or `topic` in brrr.toml", path.display());
        ExitError::new(Exit::Usage, text)
    })?;
    let permissions = known.map(Component::permissions).transpose()?.unwrap_or_default();
    let permissions = permissions.and(for_all);
    let grants = permissions.grant()?;
    if !permissions.is_empty() {
        tracing::info!("{} may reach: {permissions}", path.display());
    }
    Ok(Served { path, topic, grants, build: known.and_then(own_build) })
}

/// Do the two paths name the same file or folder, in whatever spelling?
fn is_same(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}
