//! Finds out what a file is from its outline, before it is compiled, which may take seconds.

use std::path::Path;

use wasmparser::{ComponentExternalKind, Parser, Payload};

use super::error::{LoadError, short};
use super::world::{World, is_supported};

/// The outline of a component that this host can serve.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The names of what the component exports.
    pub exports: Vec<String>,
    /// The names of the interfaces that the component imports.
    pub imports: Vec<String>,
    /// The version of `brrr:worker` whose handler the component exports.
    pub wit_version: String,
    /// The world of that handler.
    pub world: World,
}

const OURS: &str = "brrr:worker";

/// The interfaces that this host provides: those of `brrr:worker`, and WASI 0.2 (all of `wasi:cli/imports`, and
/// requests of `wasi:http`).
const PROVIDED: [(&str, &str, &[&str]); 8] = [
    (OURS, "0.2.", &["types", "tasks", "tasks-async", "control", "log"]),
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

/// The number of bytes of a file that tell whether it is WebAssembly, or else what it is.
pub(super) const HEAD: u64 = 16;

pub(super) fn is_wasm(head: &[u8]) -> bool {
    head.starts_with(b"\0asm")
}

/// Checks a file's outline.
pub(super) fn inspect(path: &Path, bytes: &[u8]) -> Result<Shape, LoadError> {
    let owned = || path.to_owned();
    if !is_wasm(bytes) {
        return Err(LoadError::NotWasm { path: owned(), hint: hint(bytes) });
    }
    if Parser::is_core_wasm(bytes) {
        return Err(LoadError::CoreModule { path: owned(), preview1: imports_preview1(bytes) });
    }
    let (imports, exports) = outline(bytes).map_err(|e| LoadError::Invalid { path: owned(), reason: short(&e) })?;

    let handler = exports.iter().find_map(|name| {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        Some((World::find(interface)?, version.to_owned()))
    });
    let Some((world, wit_version)) = handler else {
        return Err(LoadError::OtherWorld { path: owned(), exports });
    };
    if !is_supported(&wit_version) {
        return Err(LoadError::OtherVersion { path: owned(), found: short(&wit_version) });
    }
    if let Some(import) = imports.iter().find(|name| !provided(name, world)) {
        return Err(LoadError::UnknownImport { path: owned(), import: short(import) });
    }
    Ok(Shape { exports, imports, wit_version, world })
}

/// How deep components may nest. Composed components nest two or three levels deep. The compiler keeps a copy of each
/// component with all components inside it.
const NESTED: usize = 50;

/// The names of the top-level imports and exports.
fn outline(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|e| e.to_string())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } if depth == NESTED => {
                return Err(format!("components nest more than {NESTED} deep in it"));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(|e| e.to_string())?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|e| e.to_string())?;
                    if export.kind != ComponentExternalKind::Type {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

/// Does a core module import WASI in the form from before components?
fn imports_preview1(bytes: &[u8]) -> bool {
    let sections = Parser::new(0).parse_all(bytes).map_while(Result::ok);
    let imports = sections.filter_map(|payload| match payload {
        Payload::ImportSection(section) => Some(section),
        _ => None,
    });
    let mut modules =
        imports.flat_map(|section| section.into_imports().map_while(Result::ok).map(|import| import.module));
    modules.any(|module| module == "wasi_snapshot_preview1")
}

fn provided(import: &str, world: World) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let Some((package, name)) = interface.split_once('/') else { return false };
    let fits = package != OURS || !name.starts_with("tasks") || name == world.tasks();
    fits && PROVIDED.iter().any(|(p, v, names)| *p == package && version.starts_with(v) && names.contains(&name))
}

/// Recognises files that users pass by mistake.
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
    fn http_is_provided_for_requests() {
        assert!(provided("wasi:clocks/wall-clock@0.2.6", World::Plain));
        assert!(!provided("wasi:clocks/wall-clock@0.3.0", World::Plain));
        assert!(provided("wasi:http/types@0.2.0", World::Plain));
        assert!(!provided("wasi:http/incoming-handler@0.2.0", World::Plain));
        assert!(!provided("brrr:worker/tasks@0.9.0", World::Plain));
        assert!(!provided("print", World::Plain));
        assert!(provided("brrr:worker/tasks@0.2.0", World::Plain));
        assert!(provided("brrr:worker/tasks-async@0.2.0", World::Concurrent));
        assert!(!provided("brrr:worker/tasks@0.2.0", World::Concurrent));
        assert!(!provided("brrr:worker/tasks-async@0.2.0", World::Plain));
    }
}
