//! Builds Rust with cargo, either for rustup's target wasm32-wasip2 or with Debian's compiler for the web.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::install::Tool;
use super::tools::{Tools, find};
use super::{BuildError, crates};

const TARGET: &str = "wasm32-wasip2";

/// Debian's packages rustc-web, cargo-web and rust-web-src contain a compiler for wasm with the sources of its standard
/// library. They are for machines that can't download rustup's target; see scripts/guests/rust.sh.
const WEB_CARGO: &str = "/usr/bin/cargo";
const WEB_RUSTC: &str = "/usr/bin/rustc";
const WEB_SOURCES: &str = "/usr/lib/rustlib/src/rust/library/Cargo.toml";

/// Builds the project and returns the path of the file that cargo wrote.
pub fn build(tools: &Tools) -> Result<PathBuf, BuildError> {
    let cargo = find("cargo");
    let ordinary = cargo.filter(|_| sysroot(tools).is_some_and(|root| has_target(&root)));
    let mut command = match ordinary {
        Some(cargo) => {
            let mut command = tools.command(cargo);
            command.args(["build", "--target", TARGET]);
            command
        }
        None => web(tools)?,
    };
    let manifest = tools.project.folder.join("Cargo.toml");
    command.arg("--release").arg("--manifest-path").arg(&manifest);
    // Cargo then writes the messages for the user to stderr, and the messages for this program to stdout.
    command.arg("--message-format=json-render-diagnostics");
    let ended = tools.try_run("cargo build", &mut command, true)?;
    let unfit = || crates::unfit(&tree(tools, &manifest).unwrap_or_default());
    if !ended.status.success() {
        // The names are added only to an error that is about them: a mistake in the sources is the more likely reason.
        let about_them = crates::is_about_one(&ended.output);
        let hints: String = unfit().into_iter().filter(|_| about_them).map(|hint| format!("\n{hint}")).collect();
        return Err(tools.failed("cargo build", ended.output + &hints));
    }
    unfit().iter().for_each(|hint| tools.talk.warn(hint));
    component(&ended.data, &manifest).ok_or_else(|| {
        let what =
            "cargo build made no component, as Cargo.toml has no `[lib]` with `crate-type = [\"cdylib\"]`, which";
        tools.failed(what, String::new())
    })
}

/// The crates that the component is made of, each with its features, one in a line. `None`: cargo can't tell.
fn tree(tools: &Tools, manifest: &Path) -> Option<String> {
    let mut command = tools.command(find("cargo")?);
    command.args(["tree", "--quiet", "--target", TARGET, "--edges", "normal", "--prefix", "none", "--offline"]);
    command.args(["--format", "{p} features={f}", "--manifest-path"]).arg(manifest);
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// The .wasm file of this package, from cargo's messages. If the messages name only one such file, it is taken.
fn component(messages: &str, manifest: &Path) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made: Vec<(bool, PathBuf)> = artifacts
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let ours = message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest);
            let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
            let file = files.map(PathBuf::from).find(|path| path.extension().is_some_and(|e| e == "wasm"))?;
            Some((ours, file))
        })
        .collect();
    let ours = made.iter().find(|(ours, _)| *ours);
    match (ours, made.as_slice()) {
        (Some((_, file)), _) | (None, [(_, file)]) => Some(file.clone()),
        _ => None,
    }
}

/// The folder of the libraries of the compiler that builds this project. A project may choose another toolchain.
fn sysroot(tools: &Tools) -> Option<PathBuf> {
    let output = tools.command(find("rustc")?).args(["--print", "sysroot"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

/// Looks in the compiler's folder instead of asking rustup, because other installations can have the target as well.
fn has_target(sysroot: &Path) -> bool {
    sysroot.join("lib/rustlib").join(TARGET).is_dir()
}

/// The command of the fallback, or an error that names the missing tool.
fn web(tools: &Tools) -> Result<Command, BuildError> {
    let linker = of_toolchain(tools, "wasm-component-ld");
    let wasm_ld = of_toolchain(tools, "gcc-ld/wasm-ld").or_else(|| find("wasm-ld-19")).or_else(|| find("wasm-ld"));
    let all_there = [WEB_CARGO, WEB_RUSTC, WEB_SOURCES].iter().all(|path| Path::new(path).exists());
    let (true, Some(linker), Some(wasm_ld)) = (all_there, linker, wasm_ld) else {
        return Err(match find("cargo") {
            Some(_) => tools.missing(Tool::WasmTarget, format!("Rust's target {TARGET}")),
            None => tools.missing(Tool::Cargo, "cargo"),
        });
    };
    let mut command = tools.command(WEB_CARGO);
    // `-Z build-std` is an unstable option, so RUSTC_BOOTSTRAP is needed. The profile asks for panic_abort.
    command.args(["build", "--target", "wasm32-unknown-unknown", "-Z", "build-std=std,panic_abort"]);
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", WEB_RUSTC);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    command.env(
        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
        format!("-Clink-arg=--wasm-ld-path={}", wasm_ld.display()),
    );
    Ok(command)
}

/// A tool that a Rust toolchain contains, outside of the PATH.
fn of_toolchain(tools: &Tools, name: &str) -> Option<PathBuf> {
    let folders = sysroot(tools)?.join("lib/rustlib").read_dir().ok()?;
    let found = folders.flatten().map(|entry| entry.path().join("bin").join(name)).find(|path| path.exists());
    found.or_else(|| find(Path::new(name).file_name()?.to_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_of_the_package_is_found_among_others() {
        let line = |manifest: &str, file: &str| {
            serde_json::json!({"reason": "compiler-artifact", "manifest_path": manifest, "filenames": [file]})
                .to_string()
        };
        let all = [
            line("/w/dep/Cargo.toml", "/t/libdep.rlib"),
            line("/w/a/Cargo.toml", "/t/a.wasm"),
            line("/w/b/Cargo.toml", "/t/b.wasm"),
            "not JSON".to_owned(),
        ]
        .join("\n");
        assert_eq!(component(&all, Path::new("/w/b/Cargo.toml")), Some("/t/b.wasm".into()));
        // A workspace has several packages, and none of them is at its root.
        assert_eq!(component(&all, Path::new("/w/Cargo.toml")), None);
        assert_eq!(
            component(&line("/w/a/Cargo.toml", "/t/a.wasm"), Path::new("/w/Cargo.toml")),
            Some("/t/a.wasm".into())
        );
    }
}
