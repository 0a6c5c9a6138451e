//! Why a guest can't be loaded.

use std::path::PathBuf;
use std::time::Duration;

use super::world::WIT_VERSION;

/// Why a component can't be served. Every message says what is wrong, names the file, and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine itself could not be started.
    #[error(
        "the WebAssembly engine could not be started: {reason}; a smaller number of parallel runs needs less memory"
    )]
    Engine { reason: String },

    /// There is no file at `path`.
    #[error("{}: no such file; give the path of a WebAssembly component", path.display())]
    NotFound { path: PathBuf },

    /// The file can't be read.
    #[error("{}: could not be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },

    /// The file is not binary WebAssembly. `hint` says what it seems to be.
    #[error(
        "{}: not WebAssembly{}; give a component built for the world `worker` of brrr:worker {WIT_VERSION}",
        path.display(),
        hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default()
    )]
    NotWasm { path: PathBuf, hint: Option<String> },

    /// The file is a core WebAssembly module, not a component. `preview1`: it imports `wasi_snapshot_preview1`.
    #[error(
        "{}: a core WebAssembly module, not a component; build it with a toolchain that makes components \
         (Rust: target wasm32-wasip2), or wrap it: brrr-host wit > worker.wit, wasm-tools component embed worker.wit \
         --world worker MODULE -o EMBEDDED, then wasm-tools component new EMBEDDED{} -o COMPONENT{}",
        path.display(),
        if *preview1 { " --adapt wasi_snapshot_preview1.reactor.wasm" } else { "" },
        if *preview1 {
            "; it imports wasi_snapshot_preview1, which that adapter (a file of every release of wasmtime) turns into WASI 0.2"
        } else {
            ""
        }
    )]
    CoreModule { path: PathBuf, preview1: bool },

    /// The component does not export `brrr:worker/handler`. `exports` are the names that it exports.
    #[error(
        "{}: a component of another world: it does not export brrr:worker/handler ({WIT_VERSION}), but {}; build it for \
         the world `worker` of brrr:worker (brrr-host wit)",
        path.display(),
        list(exports)
    )]
    OtherWorld { path: PathBuf, exports: Vec<String> },

    /// The component was built for a version of `brrr:worker` that this host does not support. `found` is that version.
    #[error(
        "{}: built for brrr:worker {found}, but this host speaks {WIT_VERSION}; rebuild it with the SDK of \
         this version, or run it with a host of its own",
        path.display()
    )]
    OtherVersion { path: PathBuf, found: String },

    /// The component imports an interface that this host does not provide. `import` is its name.
    #[error(
        "{}: imports {import}, which this host does not provide; it provides brrr:worker {WIT_VERSION} and WASI 0.2 \
         (HTTP: outgoing requests only): build the component without what needs this import",
        path.display()
    )]
    UnknownImport { path: PathBuf, import: String },

    /// The component uses proposals that this host has switched off. `uses` names them.
    #[error(
        "{}: uses {uses}, which this host has switched off on purpose: a guest can reach only what handlers need; build \
         the component without",
        path.display()
    )]
    SwitchedOff { path: PathBuf, uses: String },

    /// The file is damaged, or uses features that this engine does not know.
    #[error("{}: could not be compiled: {reason}; if the file is whole, its toolchain is newer than this host", path.display())]
    Invalid { path: PathBuf, reason: String },

    /// The compilation would take gigabytes or minutes; see `effort`.
    #[error("{}: would take too much memory and time to compile: {reason}; build it with optimisation, or split it", path.display())]
    TooMuchToCompile { path: PathBuf, reason: String },

    /// No trusted key has signed the component.
    #[error("{}: refused, because it has no signature of a trusted key (--trust): {reason}", path.display())]
    Untrusted { path: PathBuf, reason: String },

    /// The component has the right names but other types, or it is larger than a slot.
    #[error("{}: does not fit this host: {reason}", path.display())]
    Unfit { path: PathBuf, reason: String },

    /// The component failed while it was asked for its tasks (`describe`).
    #[error("{}: failed when it was asked for its tasks (`describe`): {reason}", path.display())]
    DescribeFailed { path: PathBuf, reason: String },

    /// The component did not return its tasks (`describe`) within `limit`.
    #[error("{}: did not name its tasks (`describe`) within {} s; it may not wait for anything there", path.display(), limit.as_secs())]
    DescribeTimeout { path: PathBuf, limit: Duration },

    /// The component has no tasks.
    #[error("{}: has no tasks; register at least one handler in it", path.display())]
    NoTasks { path: PathBuf },

    /// The component has `tasks` tasks, and `most` are allowed.
    #[error("{}: has {tasks} tasks; a component may have {most}: split it", path.display())]
    TooManyTasks { path: PathBuf, tasks: usize, most: usize },

    /// An option that the component sets for `task` is not valid.
    #[error("{}: says of the task {task:?} what can't be: {reason}", path.display())]
    BadOption { path: PathBuf, task: String, reason: String },

    /// The name of a task of the component is not valid.
    #[error("{}: has a task by which nobody could call it: {reason}", path.display())]
    BadName { path: PathBuf, reason: String },

    /// The component has two tasks with the same name.
    #[error("{}: claims the task {task:?} twice; give one of the two handlers another name", path.display())]
    TaskTwice { path: PathBuf, task: String },

    /// Two components of the topic have a task with the same name. `first` and `second` are their files.
    #[error(
        "both {} and {} claim the task {task:?}; serve only one of them on this topic, or rename the task in one",
        first.display(),
        second.display()
    )]
    TaskClaimedByTwo { task: String, first: PathBuf, second: PathBuf },
}

/// Text of a component for a message, shortened to what a user can read.
pub(super) fn short(text: &str) -> String {
    // Longer than any reasonable name or reason.
    const SHOWN: usize = 500;
    if text.len() <= SHOWN { text.to_owned() } else { format!("{}…", &text[..text.floor_char_boundary(SHOWN)]) }
}

fn list(names: &[String]) -> String {
    // The first exports are enough to recognise a world.
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).map(|name| short(name)).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "nothing".to_owned(),
        n if n > SHOWN => format!("{shown} and {} more", n - SHOWN),
        _ => shown,
    }
}
