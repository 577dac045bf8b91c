//! The one error type of the library: every variant says what, where, expected, found, and what to do.

use std::path::{Path, PathBuf};

/// What can go wrong in the library, phrased for the person at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file the user named cannot be used.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The operating system refused to read or write a file. The cause is part of the message, so it is not also a
    /// `source` that would be printed after it.
    #[error("{}: {cause}", path.display())]
    Io {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// Another process works in a folder.
    #[error("{}: another hmorph is training in this folder; wait for it or choose another folder", path.display())]
    Busy { path: PathBuf },
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
    pub fn io(path: impl AsRef<Path>, cause: std::io::Error) -> Self {
        let path = path.as_ref();
        match cause.kind() {
            std::io::ErrorKind::IsADirectory => Self::file(path, is_folder(path)),
            _ => Self::Io {
                path: path.to_path_buf(),
                cause,
            },
        }
    }

    /// A table at `path` that cannot be read.
    pub fn csv(path: impl AsRef<Path>, error: csv::Error) -> Self {
        let text = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(cause) => Self::io(path, cause),
            _ => Self::file(path, text),
        }
    }

    /// Inputs or settings that do not fit together.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid(problem.into())
    }
}

/// Of a folder in the place of a file: it may be that of a run, whose files are meant.
fn is_folder(path: &Path) -> String {
    let meant = ["best.safetensors", "last.safetensors", "config.toml"].map(|name| path.join(name));
    let there = meant.iter().filter(|file| file.is_file());
    let there: Vec<String> = there.map(|file| file.display().to_string()).collect();
    match there.is_empty() {
        true => "is a folder; expected a file".into(),
        false => format!(
            "is a folder; name a file in it, such as {}",
            there.join(" or ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_run_folder_in_the_place_of_a_file_names_those_that_may_be_meant() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            let read = std::fs::read(folder.path()).unwrap_err();
            Error::io(folder.path(), read).to_string()
        };
        assert!(
            refused().ends_with(": is a folder; expected a file"),
            "{}",
            refused()
        );
        for name in ["best.safetensors", "config.toml", "metrics.csv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let place = folder.path().display();
        let expected = format!(
            "{place}: is a folder; name a file in it, such as {place}/best.safetensors or {place}/config.toml"
        );
        assert_eq!(refused(), expected);
    }
}
