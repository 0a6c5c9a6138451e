//! Files of the directories that the worker lets a component use (`brrr-host run --dir HOST_PATH::GUEST_PATH[:ro]`).
//!
//! They are there on every target. With a WASI target the standard library's `std::fs` does the same, and more. Paths are
//! absolute. What is written is no part of a call's value, and each run of a handler writes it again: leave it to a leaf.

use std::io;

/// The bytes of a file.
///
/// # Errors
/// When it is not there, or not allowed: with the flag that would.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    system::read(path).map_err(|error| about(path, &error))
}

/// The text of a file.
///
/// # Errors
/// As [`read`], and when it is not UTF-8.
pub fn read_to_string(path: &str) -> io::Result<String> {
    let text = String::from_utf8(read(path)?);
    text.map_err(|error| about(path, &io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// Writes a file, in place of what was there.
///
/// # Errors
/// When its directory is not there, is only to be read, or is not allowed: with the flag that would.
pub fn write(path: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    system::write(path, bytes.as_ref()).map_err(|error| about(path, &error))
}

/// Removes a file.
///
/// # Errors
/// As [`write()`], and when it is not there.
pub fn remove(path: &str) -> io::Result<()> {
    system::remove(path).map_err(|error| about(path, &error))
}

/// The names in a directory, sorted.
///
/// # Errors
/// As [`read`].
pub fn list(path: &str) -> io::Result<Vec<String>> {
    let mut names = system::list(path).map_err(|error| about(path, &error))?;
    names.sort();
    Ok(names)
}

fn about(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(not(target_family = "wasm"))]
mod system {
    use std::{fs, io};

    pub(super) use fs::{read, remove_file as remove, write};

    pub(super) fn list(path: &str) -> io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }
}

#[cfg(target_family = "wasm")]
mod system {
    use std::io::{Error, ErrorKind, Result};

    use wasip2::filesystem::preopens::get_directories;
    use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

    /// Moved at once between guest and host.
    const PIECE: usize = 64 << 10;

    pub(super) fn read(path: &str) -> Result<Vec<u8>> {
        let file = open(path, OpenFlags::empty(), DescriptorFlags::READ)?;
        let mut bytes = Vec::new();
        loop {
            let (piece, end) = file.read(PIECE as u64, bytes.len() as u64).map_err(error)?;
            bytes.extend(piece);
            if end {
                return Ok(bytes);
            }
        }
    }

    pub(super) fn write(path: &str, bytes: &[u8]) -> Result<()> {
        let file = open(path, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE)?;
        let mut written = 0;
        while written < bytes.len() {
            let piece = &bytes[written..bytes.len().min(written + PIECE)];
            let count = file.write(piece, written as u64).map_err(error)?;
            if count == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            written += count as usize;
        }
        Ok(())
    }

    pub(super) fn remove(path: &str) -> Result<()> {
        let (directory, rest) = place(path)?;
        directory.unlink_file_at(&rest).map_err(error)
    }

    pub(super) fn list(path: &str) -> Result<Vec<String>> {
        let directory = open(path, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
        let entries = directory.read_directory().map_err(error)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read_directory_entry().map_err(error)? {
            names.push(entry.name);
        }
        Ok(names)
    }

    fn open(path: &str, how: OpenFlags, to: DescriptorFlags) -> Result<Descriptor> {
        let (directory, rest) = place(path)?;
        directory.open_at(PathFlags::SYMLINK_FOLLOW, &rest, how, to).map_err(error)
    }

    /// The directory that a path is in, and the path in it. Of several the deepest.
    fn place(path: &str) -> Result<(Descriptor, String)> {
        let within = |root: &str| {
            let rest = path.strip_prefix(root.trim_end_matches('/'))?;
            if rest.is_empty() { Some(".") } else { rest.strip_prefix('/') }.map(str::to_owned)
        };
        let found = get_directories().into_iter().filter_map(|(directory, root)| {
            let rest = within(&root)?;
            Some((root.len(), directory, rest))
        });
        let (_, directory, rest) = found.max_by_key(|(length, ..)| *length).ok_or_else(|| {
            let parent = path.rsplit_once('/').map_or("/", |(parent, _)| if parent.is_empty() { "/" } else { parent });
            Error::new(ErrorKind::PermissionDenied, format!("not allowed: --dir HOST_PATH::{parent}"))
        })?;
        Ok((directory, if rest.is_empty() { ".".into() } else { rest }))
    }

    fn error(code: ErrorCode) -> Error {
        let kind = match code {
            ErrorCode::NoEntry => ErrorKind::NotFound,
            ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => ErrorKind::PermissionDenied,
            ErrorCode::Exist => ErrorKind::AlreadyExists,
            ErrorCode::IsDirectory => ErrorKind::IsADirectory,
            ErrorCode::NotDirectory => ErrorKind::NotADirectory,
            _ => ErrorKind::Other,
        };
        // In a directory that is open, this is what its rule says.
        if code == ErrorCode::NotPermitted {
            return Error::new(kind, "not permitted: it is outside of what --dir opens, or only to be read");
        }
        Error::new(kind, code.message())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_error_names_the_path() {
        let error = super::read("/no/such/file").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with("/no/such/file: "), "{error}");
    }
}
