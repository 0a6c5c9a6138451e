//! A folder that only this user can write. It is held open: every file is opened relative to it, and then checked
//! through its own descriptor.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// An open folder.
pub struct Folder {
    folder: OwnedFd,
    /// The path, for messages.
    path: PathBuf,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder, and creates it if it does not exist. The folders above it must belong to this user or to root,
    /// and other users must not be able to rename their content, because the owner of a folder decides what is in it.
    ///
    /// # Errors
    /// When the folder can't be opened, or another user could write it: which folder, and why.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        // A home folder may be a link, but the cache folder may not. The resolved path counts: each of its folders is
        // opened without following links, and checked.
        let parent = resolve(path.parent().unwrap_or(Path::new("/")))?;
        let mut folder = open("/", FOLDER, Mode::empty())?;
        let mut walked = PathBuf::from("/");
        for part in parent.components().filter(|part| matches!(part, Component::Normal(_))) {
            folder = enter(&folder, Path::new(part.as_os_str())).map_err(|e| named(&walked.join(part), e.into()))?;
            walked.push(part);
            check_above(&fstat(&folder)?).map_err(|reason| refused(&walked, reason))?;
        }
        let folder = enter(&folder, Path::new(name)).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => refused(&path, "is not a folder (a link is not followed)"),
            error => named(&path, error.into()),
        })?;
        check_own(&fstat(&folder)?).map_err(|reason| refused(&path, reason))?;
        Ok(Self { folder, path })
    }

    /// A file's path, for messages.
    pub fn shown(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it does not exist, or is not a file that only this user can write.
    pub fn read(&self, name: &str) -> io::Result<File> {
        // Opened without blocking, because opening a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.folder, name, flags, Mode::empty())?;
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(refused(&self.shown(name), "is no file"));
        }
        check_own(&found).map_err(|reason| refused(&self.shown(name), reason))?;
        Ok(file.into())
    }

    /// Writes a file so that no process ever sees a part of it.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut bits = [0; 8];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        let new = format!(".{:016x}.new", u64::from_ne_bytes(bits));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.folder, &new, flags, Mode::RUSR | Mode::WUSR)?);
        // There is no sync: a file that a power failure left half written does not have its digest, and is created
        // again.
        let written = file.write_all(bytes).and_then(|()| Ok(renameat(&self.folder, &new, &self.folder, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.folder, &new, AtFlags::empty());
        }
        written
    }

    /// Removes files that were not used for this time.
    pub fn remove_older_than(&self, age: Duration) {
        let Ok(files) = Dir::read_from(&self.folder) else { return };
        for entry in files.flatten() {
            let file = openat(
                &self.folder,
                entry.file_name(),
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            );
            let Ok(file) = file.map(File::from) else { continue };
            let touched = file.metadata().and_then(|found| found.modified());
            if touched.is_ok_and(|at| at.elapsed().is_ok_and(|since| since > age)) {
                let _ = unlinkat(&self.folder, entry.file_name(), AtFlags::empty());
            }
        }
    }
}

/// Keeps a file from being removed as unused. If this fails, the component is compiled again some day.
pub fn touch(file: &File) {
    let _ = file.set_modified(SystemTime::now());
}

/// The path without links. Parts that do not exist stay as they are.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(error) };
            Ok(resolve(parent)?.join(name))
        }
        resolved => resolved.map_err(|error| named(path, error)),
    }
}

/// Opens a folder within another folder, and creates it if it does not exist.
fn enter(folder: impl AsFd, name: &Path) -> rustix::io::Result<OwnedFd> {
    match openat(&folder, name, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => {
            match mkdirat(&folder, name, Mode::RWXU) {
                // `EXIST`: another process has created it meanwhile.
                Err(Errno::EXIST) | Ok(()) => openat(&folder, name, FOLDER, Mode::empty()),
                Err(error) => Err(error),
            }
        }
        opened => opened,
    }
}

/// Checks a folder above the cache folder. Its group may write it, because many systems give each user a group of their
/// own.
fn check_above(found: &Stat) -> Result<(), &'static str> {
    let (owner, mode) = (found.st_uid, Mode::from_raw_mode(found.st_mode));
    if owner != geteuid().as_raw() && owner != 0 {
        Err("belongs to another user")
    } else if mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX) {
        Err("can be written by other users")
    } else {
        Ok(())
    }
}

fn check_own(found: &Stat) -> Result<(), &'static str> {
    if found.st_uid != geteuid().as_raw() {
        Err("belongs to another user")
    } else if Mode::from_raw_mode(found.st_mode).intersects(Mode::WGRP | Mode::WOTH) {
        Err("can be written by other users (chmod 700 it)")
    } else {
        Ok(())
    }
}

fn refused(path: &Path, reason: &str) -> io::Error {
    named(path, io::Error::new(io::ErrorKind::PermissionDenied, reason.to_owned()))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
