//! Servers that Java runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::installed;

/// What is installed in this folder, as a class path; `None`: nothing, or there is no Java.
pub fn class_path(folder: &str) -> Option<PathBuf> {
    let lib = installed(folder).join("lib");
    let java = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
    (java && installed(folder).join("installed").exists()).then_some(lib)
}

/// Arguments for a small server that starts fast, before those of its own.
pub fn arguments(lib: &Path) -> Vec<String> {
    // One garbage collector thread: tests share few cores with what they test.
    let mut args: Vec<String> = ["-XX:+UseSerialGC", "-Xmx512m"].map(str::to_owned).to_vec();
    args.extend(["-cp".to_owned(), format!("{}/*", lib.display())]);
    args
}
