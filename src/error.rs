//! The one error type of the library: every variant says what, where, expected, found, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong in the library, phrased for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file the user named cannot be used.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    /// Inputs or settings that do not fit together.
    #[error("{0}")]
    Invalid(String),
}

/// Result of a library call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A problem with the file at `path`.
    pub fn file(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::File {
            path: path.as_ref().to_path_buf(),
            problem: problem.into(),
        }
    }

    /// An operating-system error on the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            source,
        }
    }

    /// Inputs or settings that do not fit together.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid(problem.into())
    }
}
