//! Limits how a run uses the folders that it was granted.
//!
//! An open file takes a file descriptor of the whole process. A pipe blocks a thread until another process opens its
//! other end. The list of a large folder is in the host's memory. So each `open-at` is counted, for the run and for the
//! process. Anything except a file or a folder is refused. A list counts as memory of the run until the guest drops it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec;

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceType};
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntry, ErrorCode, HostDescriptor as _, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsResult, ReaddirIterator};

use super::state::State;
use super::wasi::files;

/// The most files and folders, with their streams, that one run may hold open. Shells and language runtimes expect this
/// limit.
pub(super) const OPEN_FILES: usize = 256;

/// The version that wasmtime-wasi links. Guests of other versions 0.2 are linked to it too.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// The bytes that an entry of a list takes besides its name.
const ENTRY: usize = 48;

/// The most open files of all runs together. They leave half of the process's descriptors to all other code.
static MOST_OF_PROCESS: LazyLock<usize> = LazyLock::new(|| {
    #[cfg(unix)]
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let files = Some(8192);
    files.map_or(usize::MAX, |files| usize::try_from(files / 2).unwrap_or(usize::MAX))
});

static OF_PROCESS: AtomicUsize = AtomicUsize::new(0);

/// A run holds too many files open.
#[derive(Debug, thiserror::Error)]
#[error("too many open files")]
pub(super) struct TooManyFiles;

/// All runs of this process together hold too many files open.
#[derive(Debug, thiserror::Error)]
#[error(
    "all runs of this process together have {0} files open, half of its limit (`ulimit -n`): raise it, or lower --max-running"
)]
pub(super) struct NoHandles(usize);

/// The descriptors that are counted for one run. Dropping this gives them back.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    mine: usize,
    /// Folders that were opened before the run began.
    granted: usize,
}

impl OpenFiles {
    /// Counts the folders that the run was granted.
    pub fn grant(&mut self, folders: usize) -> Result<(), NoHandles> {
        self.granted = folders;
        self.hold(folders)
    }

    /// Counts one more open file, or refuses it.
    fn one_more(&mut self, table: &mut ResourceTable) -> wasmtime::Result<()> {
        // A stream keeps its file open after the guest has dropped the descriptor, so it is counted too.
        let is_file = |entry: &&mut (dyn std::any::Any + Send)| {
            entry.is::<Descriptor>() || entry.is::<DynInputStream>() || entry.is::<DynOutputStream>()
        };
        let open = table.iter_mut().filter(is_file).count();
        if open >= OPEN_FILES {
            return Err(TooManyFiles.into());
        }
        Ok(self.hold(self.granted + open + 1)?)
    }

    fn hold(&mut self, handles: usize) -> Result<(), NoHandles> {
        let more = handles.saturating_sub(self.mine);
        if more > 0 && OF_PROCESS.fetch_add(more, Ordering::Relaxed) + more > *MOST_OF_PROCESS {
            OF_PROCESS.fetch_sub(more, Ordering::Relaxed);
            return Err(NoHandles(*MOST_OF_PROCESS));
        }
        OF_PROCESS.fetch_sub(self.mine.saturating_sub(handles), Ordering::Relaxed);
        self.mine = handles;
        Ok(())
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        OF_PROCESS.fetch_sub(self.mine, Ordering::Relaxed);
    }
}

/// Puts these limits in front of the functions of `wasi:filesystem` that need them.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap_async("[method]descriptor.open-at", |store, params| Box::new(open_at(store, params)))?;
    types.func_wrap_async("[method]descriptor.read-directory", |store, params| {
        Box::new(read_directory(store, params))
    })?;
    types.resource("directory-entry-stream", ResourceType::host::<ReaddirIterator>(), |mut store, rep| {
        let state: &mut State = store.data_mut();
        let list = state.table.delete(Resource::<List>::new_own(rep))?;
        state.memory.free(list.bytes);
        Ok(())
    })?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: StoreContextMut<'_, State>, (list,): (Resource<ReaddirIterator>,)| {
            let list = store.data_mut().table.get_mut(&Resource::<List>::new_borrow(list.rep()))?;
            Ok((answer(list.entries.next().transpose())?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

type FileAnswer<T> = (Result<T, ErrorCode>,);
type Open = (Resource<Descriptor>, PathFlags, String, OpenFlags, DescriptorFlags);

async fn open_at(
    mut store: StoreContextMut<'_, State>,
    (folder, path_flags, path, open_flags, flags): Open,
) -> wasmtime::Result<FileAnswer<Resource<Descriptor>>> {
    let state = store.data_mut();
    state.open_files.one_more(&mut state.table)?;
    let mut files = files(state);
    let same = Resource::new_borrow(folder.rep());
    // A file that does not exist may be created. Opening the file finds all other errors.
    if let Ok(found) = files.stat_at(same, path_flags, path.clone()).await
        && !matches!(
            found.type_,
            DescriptorType::RegularFile | DescriptorType::Directory | DescriptorType::SymbolicLink
        )
    {
        return Ok((Err(ErrorCode::NotPermitted),));
    }
    Ok((answer(files.open_at(folder, path_flags, path, open_flags, flags).await)?,))
}

/// The entries of a folder that the guest has not read yet.
struct List {
    entries: vec::IntoIter<FsResult<DirectoryEntry>>,
    bytes: usize,
}

async fn read_directory(
    mut store: StoreContextMut<'_, State>,
    (folder,): (Resource<Descriptor>,),
) -> wasmtime::Result<FileAnswer<Resource<ReaddirIterator>>> {
    let state = store.data_mut();
    let read = files(state).read_directory(folder).await;
    let read = match answer(read)? {
        Ok(read) => state.table.delete(read)?,
        Err(code) => return Ok((Err(code),)),
    };
    let entries: Vec<_> = read.into_iter().collect();
    let bytes = entries.iter().map(|entry| ENTRY + entry.as_ref().map_or(0, |entry| entry.name.len())).sum();
    state.memory.take(bytes)?;
    let list = state.table.push(List { entries: entries.into_iter(), bytes })?;
    Ok((Ok(Resource::new_own(list.rep())),))
}

/// Separates an error that the guest gets from an error that ends its run.
fn answer<T>(result: FsResult<T>) -> wasmtime::Result<Result<T, ErrorCode>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => Ok(Err(error.downcast()?)),
    }
}
