//! Servers that run on Java.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::installed;

/// The class path of what is installed in this folder. `None`: nothing is installed, or there is no Java.
pub fn class_path(folder: &str) -> Option<PathBuf> {
    let lib = installed(folder).join("lib");
    let java = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
    (java && installed(folder).join("installed").exists()).then_some(lib)
}

/// Arguments that make a server small and quick to start. The server's own arguments follow them.
pub fn arguments(lib: &Path) -> Vec<String> {
    // One garbage collector thread, because tests and servers share few cores.
    let mut args: Vec<String> = ["-XX:+UseSerialGC", "-Xmx512m"].map(str::to_owned).to_vec();
    args.extend(["-cp".to_owned(), format!("{}/*", lib.display())]);
    args
}
