//! Tells the user how to install a missing tool on this machine.

use std::fs;

/// A tool that this program can't install by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Cargo,
    WasmTarget,
    Python,
    /// The part of Python that Debian has in a package of its own.
    PythonVenv,
    Node,
    Npm,
    Go,
    Bash,
}

/// The systems whose package managers this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Debian,
    Fedora,
    Arch,
    Mac,
    Other,
}

/// The command line that installs the tool.
#[must_use]
pub fn install(tool: Tool) -> String {
    on(platform(), tool).to_owned()
}

fn platform() -> Platform {
    if cfg!(target_os = "macos") {
        return Platform::Mac;
    }
    of_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// Reads the text of a file `os-release`; see os-release(5).
fn of_release(text: &str) -> Platform {
    let of =
        |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().replace(['"', '\''], "");
    let ids = format!("{} {}", of("ID="), of("ID_LIKE="));
    let is = |name| ids.split_whitespace().any(|id| id == name);
    match () {
        () if is("debian") || is("ubuntu") => Platform::Debian,
        () if is("fedora") || is("rhel") => Platform::Fedora,
        () if is("arch") => Platform::Arch,
        () => Platform::Other,
    }
}

fn on(platform: Platform, tool: Tool) -> &'static str {
    use Platform::{Arch, Debian, Fedora, Mac, Other};
    match (tool, platform) {
        (Tool::Cargo, _) => {
            "install Rust: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh (see https://rustup.rs)"
        }
        (Tool::WasmTarget, _) => "install it: rustup target add wasm32-wasip2",
        (Tool::Python, Debian) => {
            "install it: sudo apt-get install python3 python3-venv (where that is older: https://www.python.org/downloads)"
        }
        (Tool::PythonVenv, Debian) => "install it: sudo apt-get install python3-venv",
        (Tool::Python | Tool::PythonVenv, Fedora) => "install it: sudo dnf install python3",
        (Tool::Python | Tool::PythonVenv, Arch) => "install it: sudo pacman -S python",
        (Tool::Python | Tool::PythonVenv, Mac) => "install it: brew install python",
        (Tool::Python | Tool::PythonVenv, Other) => "get one from https://www.python.org/downloads",
        (Tool::Node | Tool::Npm, Debian) => {
            "install it: sudo apt-get install nodejs npm (where that is older: https://nodejs.org/en/download)"
        }
        (Tool::Node | Tool::Npm, Fedora) => "install it: sudo dnf install nodejs npm",
        (Tool::Node | Tool::Npm, Arch) => "install it: sudo pacman -S nodejs npm",
        (Tool::Node | Tool::Npm, Mac) => "install it: brew install node",
        (Tool::Node | Tool::Npm, Other) => "get one from https://nodejs.org/en/download",
        (Tool::Go, Mac) => "install it: brew install go",
        (Tool::Go, Fedora) => "install it: sudo dnf install golang",
        (Tool::Go, Arch) => "install it: sudo pacman -S go",
        // Debian's package is often too old.
        (Tool::Go, Debian | Other) => "get one from https://go.dev/dl",
        (Tool::Bash, Debian) => "install it: sudo apt-get install bash",
        (Tool::Bash, _) => "install bash by your package manager",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_is_read_from_the_release_file() {
        assert_eq!(of_release("NAME=x\nID=debian\n"), Platform::Debian);
        assert_eq!(of_release("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Platform::Debian);
        assert_eq!(of_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Platform::Fedora);
        assert_eq!(of_release("ID=nixos\n"), Platform::Other);
        assert_eq!(of_release(""), Platform::Other);
    }
}
