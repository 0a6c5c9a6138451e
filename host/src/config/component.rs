//! `[[components]]`: the components that a worker serves, their topics, and their permissions.

use std::path::{Path, PathBuf};

use brrr_worker::permissions::{DirRule, EnvRule, HttpRule, PermissionError, Permissions, read_env_file};
use schemars::JsonSchema;
use serde::Deserialize;

use super::values::Text;

/// A component that `run` serves when its command line names no component.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Component {
    /// The component, or a project's folder, which is built first. Relative to this file. Or a component in a registry:
    /// oci://REGISTRY/NAME:TAG.
    pub path: PathBuf,
    /// A command that builds the component, for languages that this program does not build itself. It runs in this file's
    /// folder, before the component is loaded; with `--watch` again after a change.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub build: Option<String>,
    /// The files and folders that `--watch` looks at for such a component. Not given: all files of this file's folder but
    /// hidden files, components, and folders with the usual names of output.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
    /// The folder of the file.
    #[serde(skip)]
    pub folder: PathBuf,
    /// The topic of its tasks, in place of the file's topic.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub topic: Option<String>,
    /// Hosts that it may send HTTP requests to: `HOST[:PORT]`.
    #[serde(default)]
    allow_http: Vec<Text<HttpRule>>,
    /// Environment variables that it gets: `KEY`, with the value at the worker, or `KEY=VALUE`.
    #[serde(default)]
    env: Vec<Text<EnvRule>>,
    /// A file of lines `KEY=VALUE`, the environment variables that it gets. Relative to this file.
    #[serde(default)]
    env_file: Option<PathBuf>,
    /// Folders that it may use: `HOST_PATH::GUEST_PATH`, with `:ro` at the end for reading only. Relative to this file.
    #[serde(default)]
    dirs: Vec<Text<DirRule>>,
}

impl Component {
    /// The component's permissions.
    ///
    /// # Errors
    /// When the file of its environment can't be read.
    pub fn permissions(&self) -> Result<Permissions, PermissionError> {
        let mut env = self.env_file.as_deref().map(read_env_file).transpose()?.unwrap_or_default();
        // A later value replaces an earlier one, so `env` comes after `env-file`.
        env.extend(self.env.iter().map(|rule| rule.0.clone()));
        Ok(Permissions {
            http: self.allow_http.iter().map(|rule| rule.0.clone()).collect(),
            env,
            dirs: self.dirs.iter().map(|rule| rule.0.clone()).collect(),
        })
    }

    /// The component's permissions as texts for the user, without the values of variables.
    pub fn grants(&self) -> Vec<String> {
        let http = self.allow_http.iter().map(|rule| format!("allow-http {}", rule.0));
        let env = self.env.iter().map(|rule| format!("env {}", rule.0));
        let file = self.env_file.iter().map(|path| format!("env-file {}", path.display()));
        let dirs = self.dirs.iter().map(|rule| format!("dir {}", rule.0));
        http.chain(env).chain(file).chain(dirs).collect()
    }

    /// The permissions that reach beyond the component and this folder: the network, the environment, other folders.
    pub fn reach(&self, is_inside: impl Fn(&Path) -> bool) -> Vec<String> {
        let http = self.allow_http.iter().map(|rule| format!("HTTP to {}", rule.0));
        let passed_on = self.env.iter().filter(|rule| !rule.0.has_value());
        let env = passed_on.map(|rule| format!("the variable {}", rule.0));
        let file =
            self.env_file.iter().filter(|path| !is_inside(path)).map(|path| format!("the file {}", path.display()));
        let dirs =
            self.dirs.iter().filter(|rule| !is_inside(&rule.0.host)).map(|rule| format!("the folder {}", rule.0));
        http.chain(env).chain(file).chain(dirs).collect()
    }

    /// The component with its relative paths taken from this folder.
    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        // A component in a registry is in no folder.
        if !self.path.to_string_lossy().starts_with("oci://") {
            self.path = folder.join(self.path);
        }
        folder.clone_into(&mut self.folder);
        self.env_file = self.env_file.map(|path| folder.join(path));
        for rule in &mut self.dirs {
            rule.0.host = folder.join(&rule.0.host);
        }
        self
    }
}
