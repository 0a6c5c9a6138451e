//! WASI 0.2 for guests whose language's library wants it, with nothing behind it that a replay could see differ, and
//! nothing that reaches out of the guest but what it was granted.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{WasiCli, WasiCliCtxView, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::cli::environment;
use wasmtime_wasi::p2::bindings::filesystem::types;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};

use super::clocks;
use super::files::NoHandles;
use super::output::{Pipe, Stream, Touch};
use super::state::State;
use crate::permissions::DirRule;

/// Bytes of randomness that a guest may ask for at once: it is made in the host's memory, and nobody needs so much.
const MAX_RANDOM: u64 = 1 << 20;

/// Links all of `wasi:cli/imports`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    clocks::add_to_linker(linker)?;
    environment::add_to_linker::<State, WasiCli>(linker, environment)?;
    types::add_to_linker::<State, WasiFilesystem>(linker, files)?;
    linker.allow_shadowing(false);
    super::files::add_to_linker(linker)
}

/// The environment, with a note of who asks for it.
fn environment(state: &mut State) -> WasiCliCtxView<'_> {
    if !state.access.grants.env().is_empty() {
        state.printer.touch(Touch::Env);
    }
    state.cli()
}

/// The directories, as above.
pub(super) fn files(state: &mut State) -> WasiFilesystemCtxView<'_> {
    if !state.access.grants.dirs().is_empty() {
        state.printer.touch(Touch::Dirs);
    }
    state.filesystem()
}

/// A granted folder can't be opened. The run is not begun without it: what it then came to would be wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFolder {
    #[error("--dir {rule}: {reason:#}")]
    Unopened { rule: DirRule, reason: wasmtime::Error },
    #[error(transparent)]
    NoHandles(#[from] NoHandles),
}

/// Opens the folders that the run was granted, before it begins.
pub(super) fn open_folders(state: &mut State) -> Result<(), NoFolder> {
    let access = state.access.clone();
    let dirs = access.grants.dirs();
    if dirs.is_empty() {
        return Ok(());
    }
    state.open_files.grant(dirs.len())?;
    let mut builder = context(state);
    for rule in dirs {
        let perms = if rule.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        builder
            .preopened_dir(&rule.host, &rule.guest, perms)
            .map_err(|reason| NoFolder::Unopened { rule: rule.clone(), reason })?;
    }
    state.wasi = Some(Box::new(builder.build()));
    Ok(())
}

/// For runs that were granted none.
pub(super) fn context_without_folders(state: &State) -> WasiCtx {
    context(state).build()
}

/// A system without arguments and network (requests go by `wasi:http`), and with no more environment than was granted. Its
/// clocks are ours and are not in here.
fn context(state: &State) -> WasiCtxBuilder {
    let pipe = |stream| Pipe { printer: state.printer.clone(), stream };
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(pipe(Stream::Stdout))
        .stderr(pipe(Stream::Stderr))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .max_random_size(MAX_RANDOM)
        .envs(state.access.grants.env());
    if !state.leaf {
        builder
            .secure_random(random(state, "secure"))
            .insecure_random(random(state, "insecure"))
            .insecure_random_seed(u128::from_le_bytes(first_half(&seed(state, "seed"))));
    }
    builder
}

/// `ChaCha20`, named so that no update of a library changes what a replay sees.
fn random(state: &State, purpose: &str) -> ChaCha20Rng {
    ChaCha20Rng::from_seed(seed(state, purpose))
}

fn seed(state: &State, purpose: &str) -> [u8; 32] {
    crate::seed::seed(purpose, &state.job_id, &state.call, state.attempt)
}

fn first_half(bytes: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&bytes[..16]);
    half
}
