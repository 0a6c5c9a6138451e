//! Files and folders for their owner alone: a database holds what users pass to their calls.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// How a file is opened that is made if it is missing, for its owner alone.
pub(super) fn file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes a folder, and those above it that are missing, for their owner alone.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Takes the rights of others away from a database that lies in a `.brrr`, and from that folder: an earlier version of this
/// program, or a tool that copied them, may have made them wider. Files elsewhere stay as their owner wants them. If it can't be
/// done, because they belong to somebody else, they stay too.
#[cfg(unix)]
pub(super) fn tighten(path: &Path) {
    use std::fs::{Permissions, set_permissions, symlink_metadata};
    use std::os::unix::fs::PermissionsExt as _;

    let Some(folder) = path.parent().filter(|folder| folder.file_name().is_some_and(|name| name == ".brrr")) else {
        return;
    };
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    };
    let files: [std::path::PathBuf; 4] = [folder.into(), path.into(), beside("-wal"), beside("-shm")];
    for file in files {
        // Not through a link, which may lead to what is not ours.
        let Ok(found) = symlink_metadata(&file) else { continue };
        let mode = found.permissions().mode();
        if !found.is_symlink() && mode & 0o077 != 0 {
            // See above.
            let _ = set_permissions(&file, Permissions::from_mode(mode & 0o7700));
        }
    }
}

#[cfg(not(unix))]
pub(super) fn tighten(_: &Path) {}
