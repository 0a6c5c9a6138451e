//! The resources outside of itself that a handler may access. By default there are none.
//!
//! [`Permissions`] are the rules, as flags and `brrr.toml` write them. [`Permissions::grant`] applies them to this
//! machine at this moment. No text that these types produce contains the value of a variable.

mod address;
mod dirs;
mod env;
mod http;

use std::fmt;
use std::path::PathBuf;

pub use address::is_inside;
pub use dirs::DirRule;
pub use env::{EnvRule, looks_secret, parse_env_lines, read_env_file};
pub use http::{HttpRule, Reach};

/// The rules of what is allowed. `default()` allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The hosts that requests may go to. A request is allowed if one rule allows it.
    pub http: Vec<HttpRule>,
    /// The environment variables that the guest gets. Of two rules with the same key, the later rule holds.
    pub env: Vec<EnvRule>,
    /// The directories that the guest may use. Each needs another path in the guest.
    pub dirs: Vec<DirRule>,
}

/// The rules, applied to this machine: variables with their values, and directories that exist.
#[derive(Clone, Default)]
pub struct Grants {
    http: Vec<HttpRule>,
    env: Vec<(String, String)>,
    dirs: Vec<DirRule>,
}

/// A rule that can't be parsed, or that can't be granted on this machine.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// The text is not a valid rule. The message says what is wrong.
    #[error("{0}")]
    Rule(String),
    /// A rule passes on the variable `key` of this process, and the process has no such variable.
    #[error(
        "--env {key}: this process has no such variable to pass on; set it for `brrr-host`, or give its value in a file \
         (--env-file)"
    )]
    MissingVariable { key: String },
    /// The value of the variable `key` in this process is not UTF-8.
    #[error("--env {key}: its value is not UTF-8, which is all that a guest can take")]
    NotText { key: String },
    /// A file of variables can't be read.
    #[error("--env-file {}: {source}", path.display())]
    EnvFile { path: PathBuf, source: std::io::Error },
    /// A line in a file of variables is not valid. `line` is its number, from 1.
    #[error("--env-file {}, line {line}: {reason}", path.display())]
    EnvLine { path: PathBuf, line: usize, reason: String },
    /// A directory can't be listed, or its path in the guest is in use already.
    #[error("--dir {rule}: {reason}")]
    Dir { rule: DirRule, reason: String },
}

impl Permissions {
    /// Is nothing allowed?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.http.is_empty() && self.env.is_empty() && self.dirs.is_empty()
    }

    /// The union of both. If both have a rule for the same variable or the same path in the guest, the rule of `other`
    /// holds.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.http.extend_from_slice(&other.http);
        self.env.extend_from_slice(&other.env);
        self.dirs.retain(|rule| other.dirs.iter().all(|theirs| theirs.guest != rule.guest));
        self.dirs.extend_from_slice(&other.dirs);
        self
    }

    /// Reads the variables that are passed on, and checks that the directories exist.
    ///
    /// # Errors
    /// When one of these does not exist, or two directories have the same path in the guest.
    pub fn grant(&self) -> Result<Grants, PermissionError> {
        let mut env: Vec<(String, String)> = Vec::with_capacity(self.env.len());
        for rule in &self.env {
            let value = rule.value()?;
            env.retain(|(key, _)| key != rule.key());
            env.push((rule.key().to_owned(), value));
        }
        for (index, rule) in self.dirs.iter().enumerate() {
            rule.check()?;
            if self.dirs[..index].iter().any(|first| first.guest == rule.guest) {
                let reason = format!("another --dir has {} already", rule.guest);
                return Err(PermissionError::Dir { rule: rule.clone(), reason });
            }
        }
        Ok(Grants { http: self.http.clone(), env, dirs: self.dirs.clone() })
    }
}

/// For the user, without the values of variables.
impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = self.http.iter().map(|rule| format!("HTTP {rule}"));
        let env = self.env.iter().map(|rule| format!("env {rule}"));
        let dirs = self.dirs.iter().map(|rule| format!("dir {rule}"));
        let all: Vec<String> = http.chain(env).chain(dirs).collect();
        f.write_str(&all.join(", "))
    }
}

impl Grants {
    /// May a request go to this host, and to which addresses? The host is written as in a URL (`example.com`, `[::1]`).
    ///
    /// # Errors
    /// A message for the guest, with the refused host and the flag that would allow it.
    pub fn check_http(&self, tls: bool, host: &str, port: u16) -> Result<Reach, String> {
        let flag = flag(tls, host, port);
        let allowing = self.http.iter().filter(|rule| rule.allows(tls, host, port)).map(HttpRule::reach);
        let Some(reach) = allowing.max() else {
            return Err(format!("HTTP to {host}:{port} is not allowed: --allow-http {flag}"));
        };
        // The address of a name is known only after it was resolved.
        let address = host.trim_start_matches('[').trim_end_matches(']').parse();
        if reach == Reach::Outside && address.is_ok_and(is_inside) {
            let text = "an address of this machine or of the networks around it must be named by itself";
            return Err(format!("HTTP to {host}:{port} is not allowed: {text}: --allow-http {flag}"));
        }
        Ok(reach)
    }

    /// The variables that the guest gets. Each key is there once.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The directories that the guest may use.
    #[must_use]
    pub fn dirs(&self) -> &[DirRule] {
        &self.dirs
    }
}

/// The flag that allows only this host and port.
fn flag(tls: bool, host: &str, port: u16) -> String {
    let standard = port == if tls { 443 } else { 80 };
    if standard { host.to_owned() } else { format!("{host}:{port}") }
}

/// The error for a request to a name with an internal address.
#[must_use]
pub fn leads_inside(tls: bool, host: &str, port: u16, address: std::net::IpAddr) -> String {
    format!(
        "HTTP to {host}:{port} is not allowed: the name leads to {address}, which is this machine or in the networks around \
         it: --allow-http {}+private",
        flag(tls, host, port)
    )
}

impl std::fmt::Debug for Grants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<&str> = self.env.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("Grants").field("http", &self.http).field("env", &keys).field("dirs", &self.dirs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allowed_by_default() {
        let nothing = Permissions::default();
        assert!(nothing.is_empty());
        let grants = nothing.grant().unwrap();
        assert!(grants.env().is_empty() && grants.dirs().is_empty());
        let refused = grants.check_http(true, "example.com", 443).unwrap_err();
        assert_eq!(refused, "HTTP to example.com:443 is not allowed: --allow-http example.com");
        let refused = grants.check_http(false, "[::1]", 8080).unwrap_err();
        assert_eq!(refused, "HTTP to [::1]:8080 is not allowed: --allow-http [::1]:8080");
        // The flag in the message does allow the request.
        let rule: HttpRule = "[::1]:8080".parse().unwrap();
        let grants = Permissions { http: vec![rule], ..Permissions::default() }.grant().unwrap();
        assert_eq!(grants.check_http(false, "[::1]", 8080), Ok(Reach::Anywhere));
    }

    #[test]
    fn a_star_does_not_allow_private_addresses() {
        let grants = |rules: &[&str]| {
            let http = rules.iter().map(|rule| rule.parse().unwrap()).collect();
            Permissions { http, ..Permissions::default() }.grant().unwrap()
        };
        let star = grants(&["*"]);
        assert_eq!(star.check_http(true, "example.com", 443), Ok(Reach::Outside));
        for host in ["169.254.169.254", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]"] {
            let refused = star.check_http(false, host, 80).unwrap_err();
            assert!(refused.ends_with(&format!("--allow-http {host}")), "{refused}");
            assert_eq!(grants(&["*", host]).check_http(false, host, 80), Ok(Reach::Anywhere));
        }
    }

    #[test]
    fn the_later_of_two_values_counts_and_none_is_shown() {
        let rules = ["A=hunter1", "B=hunter2", "A=hunter3"].map(|rule| rule.parse().unwrap());
        let permissions = Permissions { env: rules.into(), ..Permissions::default() };
        let grants = permissions.grant().unwrap();
        assert_eq!(grants.env(), [("B".into(), "hunter2".into()), ("A".into(), "hunter3".into())]);
        let shown = format!("{permissions:?} {grants:?} {}", permissions.env[0]);
        assert!(shown.contains('A') && !shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn the_added_permissions_override_the_first_ones() {
        let of = |env: &str, dir: &str| Permissions {
            env: vec![env.parse().unwrap()],
            dirs: vec![dir.parse().unwrap()],
            ..Permissions::default()
        };
        let grants = of("A=1", "/tmp::/data").and(&of("A=2", "/::/data:ro")).grant().unwrap();
        assert_eq!(grants.env(), [("A".into(), "2".into())]);
        assert_eq!(grants.dirs(), ["/::/data:ro".parse().unwrap()]);
    }

    #[test]
    fn missing_variables_and_folders_are_named() {
        let env = vec!["BRRR_TEST_OF_NOTHING".parse().unwrap()];
        let error = Permissions { env, ..Permissions::default() }.grant().unwrap_err().to_string();
        assert!(error.contains("--env BRRR_TEST_OF_NOTHING"), "{error}");
        let dirs = vec!["/no/such/folder::/data:ro".parse().unwrap()];
        let error = Permissions { dirs, ..Permissions::default() }.grant().unwrap_err().to_string();
        assert!(error.starts_with("--dir /no/such/folder::/data:ro: "), "{error}");
        let dirs = vec!["/::/data".parse().unwrap(), "/tmp::/data:ro".parse().unwrap()];
        let error = Permissions { dirs, ..Permissions::default() }.grant().unwrap_err().to_string();
        assert!(error.starts_with("--dir /tmp::/data:ro: another"), "{error}");
    }
}
