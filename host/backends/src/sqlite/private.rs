//! Files and folders that only their owner can access. A database contains the data that users pass to their calls.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

/// The options to open a file. A missing file is created, with access for its owner only.
pub(super) fn file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder and its missing parent folders, with access for their owner only.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Removes the access of other users from a `.brrr` folder and the database in it. An earlier version of this program,
/// or a tool that copied the files, may have given wider access. Other folders keep the access that their owner chose.
/// If the change fails because the files belong to another user, they stay unchanged.
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
        // A link is not followed, because it may lead to a file of another program.
        let Ok(found) = symlink_metadata(&file) else { continue };
        let mode = found.permissions().mode();
        if !found.is_symlink() && mode & 0o077 != 0 {
            // A failure is ignored, see above.
            let _ = set_permissions(&file, Permissions::from_mode(mode & 0o7700));
        }
    }
}

#[cfg(not(unix))]
pub(super) fn tighten(_: &Path) {}
