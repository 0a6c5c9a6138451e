//! Why a project was not built.

use std::io;
use std::path::PathBuf;

/// Why a project was not built. Each message says what the user can do.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{}: no such file or folder", path.display())]
    NotFound { path: PathBuf },
    #[error("{}: nothing to build: {why}", path.display())]
    NotAProject { path: PathBuf, why: String },
    #[error("{}: {needed} is needed for {wanted}; {install}", folder.display())]
    Missing { folder: PathBuf, needed: String, wanted: String, install: String },
    /// A tool reported an error. `output` is all that the tool printed; it is empty if the user has seen the output
    /// already.
    #[error("{}: {what} failed{}", folder.display(), if output.is_empty() { "" } else { ", see above" })]
    Failed { folder: PathBuf, what: String, output: String },
    #[error("{}: can't be {action}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
}
