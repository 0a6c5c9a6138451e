//! Decides whose files this program uses: files of the user who runs it, and files of root.
//!
//! A folder can belong to somebody else, or come from somebody else. Its content must not make this program write or
//! delete a file in another place.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// The folder in a project with the project's state and the tools of its build.
pub const OWN_FOLDER: &str = ".brrr";

/// Does a file belong to this user, to root, or to the user who became root by `sudo`?
///
/// # Errors
/// The owner of the file, as text.
pub fn check_owner(found: &Metadata) -> Result<(), String> {
    let (owner, me) = (found.uid(), rustix::process::geteuid());
    let before_sudo = || std::env::var("SUDO_UID").is_ok_and(|uid| uid == owner.to_string());
    if owner == me.as_raw() || owner == 0 || me.is_root() && before_sudo() {
        Ok(())
    } else {
        Err(format!("it belongs to another user (uid {owner})"))
    }
}

/// Does a file that this program found by itself, and its folder, belong to somebody whom the user trusts?
///
/// # Errors
/// The owner of the file or of the folder, as text.
pub fn check_found(file: &Metadata, folder: &Metadata) -> Result<(), String> {
    check_owner(file)?;
    check_owner(folder).map_err(|reason| format!("its folder: {reason}"))
}

/// Checks the project's own folder, which need not exist.
///
/// # Errors
/// When it is a link, which could lead anywhere, or belongs to another user.
pub fn check_own_folder(project: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(project.join(OWN_FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    let refused = |reason: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    if !found.is_dir() {
        return refused("it is no folder (a link is not followed); remove it".to_owned());
    }
    check_owner(&found).or_else(refused)
}

/// Joins a path to a folder.
///
/// # Errors
/// When the path would lead out of the folder, or through a link.
pub fn below(folder: &Path, path: &Path) -> io::Result<PathBuf> {
    let refused =
        |reason| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{}: {reason}", path.display())));
    let mut whole = folder.to_owned();
    for part in path.components() {
        let Component::Normal(part) = part else { return refused("it leads out of its folder") };
        whole.push(part);
        if fs::symlink_metadata(&whole).is_ok_and(|found| found.is_symlink()) {
            return refused("it is a link, which is not followed; remove it");
        }
    }
    Ok(whole)
}

/// Does a path lead to a place below a folder after all links are followed? The file itself need not exist.
pub fn is_inside(folder: &Path, path: &Path) -> bool {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(folder) = folder.canonicalize() else { return false };
    if fs::symlink_metadata(path).is_ok() {
        return path.canonicalize().is_ok_and(|path| path.starts_with(&folder));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.canonicalize().is_ok_and(|parent| parent.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(folder.path().join("secret"), "").unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        symlink(folder.path().join("secret"), root.join("a/link")).unwrap();
        for inside in ["a", "a/b/c", "new"] {
            assert_eq!(below(&root, Path::new(inside)).unwrap(), root.join(inside));
            assert!(is_inside(&root, &root.join(inside)) || inside == "a/b/c", "{inside}");
        }
        for outside in ["/etc/passwd", "../secret", "a/../../secret", "up/secret", "a/link"] {
            assert!(below(&root, Path::new(outside)).is_err(), "{outside}");
            assert!(!is_inside(&root, &root.join(outside)), "{outside}");
        }
    }

    #[test]
    fn a_link_is_no_folder_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_own_folder(folder.path()).is_ok(), "not there yet");
        symlink("/tmp", folder.path().join(OWN_FOLDER)).unwrap();
        assert!(check_own_folder(folder.path()).is_err());
        fs::remove_file(folder.path().join(OWN_FOLDER)).unwrap();
        fs::create_dir(folder.path().join(OWN_FOLDER)).unwrap();
        assert!(check_own_folder(folder.path()).is_ok());
    }
}
