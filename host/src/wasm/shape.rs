//! What a file is, told from its outline: before the seconds that compiling it may take.

use std::path::Path;

use wasmparser::{Chunk, ComponentExternalKind, Parser, Payload};

use super::error::LoadError;
use super::world::{self, HANDLER};

/// The outline of a component that this host can serve.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub imports: Vec<String>,
    pub wit_version: String,
}

/// What this host provides of its own package, and of WASI 0.2 (all of `wasi:cli/imports`, and requests of `wasi:http`).
const PROVIDED: [(&str, &str, &[&str]); 8] = [
    ("brrr:worker", "0.1.", &["types", "tasks", "control", "log", "handler"]),
    (
        "wasi:cli",
        "0.2.",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:clocks", "0.2.", &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", "0.2.", &["types", "preopens"]),
    ("wasi:http", "0.2.", &["types", "outgoing-handler"]),
    ("wasi:io", "0.2.", &["error", "poll", "streams"]),
    ("wasi:random", "0.2.", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:sockets",
        "0.2.",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
];

/// Looks at a file's outline.
pub(super) fn inspect(path: &Path, bytes: &[u8]) -> Result<Shape, LoadError> {
    let owned = || path.to_owned();
    if !bytes.starts_with(b"\0asm") {
        return Err(LoadError::NotWasm { path: owned(), hint: hint(bytes) });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule { path: owned() });
    }
    let (imports, exports) = outline(bytes).map_err(|e| LoadError::Invalid { path: owned(), reason: e.to_string() })?;

    let handler = exports.iter().find_map(|name| {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        (interface == HANDLER).then(|| version.to_owned())
    });
    let Some(wit_version) = handler else {
        return Err(LoadError::OtherWorld { path: owned(), exports });
    };
    if !world::serves(&wit_version) {
        return Err(LoadError::OtherVersion { path: owned(), found: wit_version });
    }
    if let Some(import) = imports.iter().find(|name| !provided(name)) {
        return Err(LoadError::UnknownImport { path: owned(), import: import.clone() });
    }
    Ok(Shape { imports, wit_version })
}

/// Names of the top-level imports and exports. Nested modules and components are skipped unread.
fn outline(bytes: &[u8]) -> wasmparser::Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        let (payload, consumed) = match parser.parse(rest, true)? {
            Chunk::Parsed { payload, consumed } => (payload, consumed),
            Chunk::NeedMoreData(_) => return Ok((imports, exports)),
        };
        let skip = match payload {
            Payload::ModuleSection { unchecked_range, .. } | Payload::ComponentSection { unchecked_range, .. } => {
                unchecked_range.len()
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
                0
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind != ComponentExternalKind::Type {
                        exports.push(export.name.name.to_owned());
                    }
                }
                0
            }
            Payload::End(_) => return Ok((imports, exports)),
            _ => 0,
        };
        // A length that runs past the end is the compiler's to complain about.
        rest = rest.get(consumed + skip..).unwrap_or_default();
    }
}

fn provided(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, name)) = interface.split_once('/') else { return false };
    PROVIDED.iter().any(|(p, v, names)| *p == package && version.starts_with(v) && names.contains(&name))
}

/// What people give by mistake.
fn hint(bytes: &[u8]) -> Option<String> {
    let hint = if bytes.is_empty() {
        "the file is empty"
    } else if bytes.starts_with(b"\x7fELF") {
        "it is native code; a compiled component (.cwasm) is not taken from outside either"
    } else if bytes.starts_with(b"(module") || bytes.starts_with(b"(component") {
        "it is WebAssembly text: convert it with wasm-tools parse"
    } else {
        return None;
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_is_not_provided() {
        assert!(provided("wasi:clocks/wall-clock@0.2.6"));
        assert!(!provided("wasi:clocks/wall-clock@0.3.0"));
        assert!(!provided("wasi:http/types@0.2.0"));
        assert!(!provided("brrr:worker/tasks@0.9.0"));
        assert!(!provided("print"));
    }
}
