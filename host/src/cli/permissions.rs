//! Flags for what the components of a command may access.

use std::path::PathBuf;

use brrr_worker::permissions::{DirRule, EnvRule, HttpRule, PermissionError, Permissions, looks_secret, read_env_file};

/// The components may access nothing except what these flags allow.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What the components may touch")]
pub struct PermissionArgs {
    /// Allow HTTP requests to this host (`*.example.com`: to all hosts below it): to its ports 80 (http) and 443
    /// (https), or
    /// to the given port (`*`: to all ports). Append `+private` to allow a host whose name leads to this machine or to
    /// a
    /// private network.
    #[arg(long, value_name = "HOST[:PORT]")]
    allow_http: Vec<HttpRule>,

    /// Pass this environment variable to the components, with its value here or with the given VALUE. Everybody on this
    /// machine
    /// can read a VALUE on the command line.
    #[arg(long, value_name = "KEY[=VALUE]")]
    env: Vec<EnvRule>,

    /// Pass the variables in this file to the components: lines of KEY=VALUE, or of KEY. `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Allow reading and writing this directory, under the name GUEST_PATH (`:ro`: only reading).
    #[arg(long, value_name = "HOST_PATH::GUEST_PATH[:ro]")]
    dir: Vec<DirRule>,

    /// Don't ask before brrr.toml gives the components permissions beyond its folder. (There is no question about a
    /// file that --config names.)
    #[arg(long, env = "BRRR_YES", value_parser = clap::builder::BoolishValueParser::new())]
    pub yes: bool,
}

impl PermissionArgs {
    /// The permissions that the flags give. Files come first, so that `--env` overrides them.
    ///
    /// # Errors
    /// When a file of variables can't be read.
    pub fn permissions(&self) -> Result<Permissions, PermissionError> {
        let mut env = Vec::new();
        for path in &self.env_file {
            env.extend(read_env_file(path)?);
        }
        for rule in &self.env {
            if rule.has_value() && looks_secret(rule.key()) {
                tracing::warn!(
                    "every user of this machine can read the value of {key} on the command line; set it in the \
                     environment and give --env {key}, or use --env-file",
                    key = rule.key()
                );
            }
            env.push(rule.clone());
        }
        Ok(Permissions { http: self.allow_http.clone(), env, dirs: self.dir.clone() })
    }
}
