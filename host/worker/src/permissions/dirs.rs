//! The directories that a guest may use, and their names in the guest.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::PermissionError;

/// `HOST_PATH::GUEST_PATH[:ro]`: a directory of this machine, and its name in the guest. The guest may read and write
/// it, or only read it (`:ro`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirRule {
    /// The path of the directory on this machine.
    pub host: PathBuf,
    /// The absolute path in the guest, without `.`, `..` and a slash at its end.
    pub guest: String,
    /// The guest may read the directory, but not change it.
    pub read_only: bool,
}

impl DirRule {
    pub(super) fn check(&self) -> Result<(), PermissionError> {
        // The directory is opened here, because a directory that can't be listed would fail at every run.
        std::fs::read_dir(&self.host).map(drop).map_err(|error| {
            let reason = format!("{}: {error}", self.host.display());
            PermissionError::Dir { rule: self.clone(), reason }
        })
    }
}

impl FromStr for DirRule {
    type Err = PermissionError;

    fn from_str(text: &str) -> Result<Self, PermissionError> {
        parse(text).map_err(|reason| {
            PermissionError::Rule(format!("{reason}; write HOST_PATH::GUEST_PATH or HOST_PATH::GUEST_PATH:ro"))
        })
    }
}

fn parse(text: &str) -> Result<DirRule, String> {
    let (host, guest) = text.rsplit_once("::").ok_or("it does not say where the guest sees it")?;
    if host.is_empty() {
        return Err("it has no directory of this machine".to_owned());
    }
    let (guest, read_only) = match guest.strip_suffix(":ro") {
        Some(guest) => (guest, true),
        None => (guest, false),
    };
    if let Some((_, suffix)) = guest.split_once(':') {
        return Err(format!("\":{suffix}\" means nothing after the guest's path"));
    }
    let Some(inner) = guest.strip_prefix('/') else {
        return Err(format!("the guest's path is absolute: /{}", guest.trim_start_matches("./")));
    };
    let inner = inner.trim_end_matches('/');
    if !inner.is_empty() && inner.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("the guest's path has no `.`, `..` or empty parts".to_owned());
    }
    Ok(DirRule { host: host.into(), guest: format!("/{inner}"), read_only })
}

impl fmt::Display for DirRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}{}", self.host.display(), self.guest, if self.read_only { ":ro" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_round_trip_as_text() {
        for text in ["data::/data", "/var/x::/in/put:ro", "a::b::/c", ".::/"] {
            assert_eq!(text.parse::<DirRule>().unwrap().to_string(), text);
        }
        let rule: DirRule = "data::/data/:ro".parse().unwrap();
        assert_eq!(rule, DirRule { host: "data".into(), guest: "/data".to_owned(), read_only: true });
    }

    #[test]
    fn invalid_rules_are_explained() {
        for (text, words) in [
            ("data", "where the guest"),
            ("data:/data", "where the guest"),
            ("::/data", "no directory"),
            ("data::data", "absolute: /data"),
            ("data::", "absolute"),
            ("data::/data:rw", ":rw"),
            ("data::/a/../b", "`..`"),
            ("data::/a//b", "empty"),
        ] {
            let error = text.parse::<DirRule>().unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("write HOST_PATH"), "{text}: {error}");
        }
    }
}
