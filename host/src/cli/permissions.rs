//! What the components of a command may touch.

use std::path::PathBuf;

use brrr_worker::permissions::{DirRule, EnvRule, HttpRule, PermissionError, Permissions, looks_secret, read_env_file};

/// Nothing, but for what is given here.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "What the components may touch")]
pub struct PermissionArgs {
    /// Let them send HTTP requests to this host (`*.example.com`: to all below it): to its ports 80 (http) and 443 (https),
    /// or to the port given (`*`: all). `+private` behind it: also where the name leads to this machine or to a private
    /// network.
    #[arg(long, value_name = "HOST[:PORT]")]
    allow_http: Vec<HttpRule>,

    /// Let them see this variable of the environment, with the value that it has here, or another one. Everybody on this
    /// machine can read what is given as VALUE.
    #[arg(long, value_name = "KEY[=VALUE]")]
    env: Vec<EnvRule>,

    /// Let them see the variables in this file: lines of KEY=VALUE, or of KEY; `#` begins a comment.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Let them read and write this directory (`:ro`: only read), under the name that follows.
    #[arg(long, value_name = "HOST_PATH::GUEST_PATH[:ro]")]
    dir: Vec<DirRule>,

    /// Don't ask about what brrr.toml grants the components beyond its folder. (A file named by --config is not asked about.)
    #[arg(long, env = "BRRR_YES", value_parser = clap::builder::BoolishValueParser::new())]
    pub yes: bool,
}

impl PermissionArgs {
    /// What was given. Files come first, so that a variable of its own flag is over them.
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
