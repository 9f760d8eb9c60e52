//! What can be wrong with data from outside.

use std::path::{Path, PathBuf};

/// Why a data file or directory was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// None of the names a file may have exists.
    #[error("{}: found none of {}", dir.display(), names.join(", "))]
    Missing {
        /// The directory that was searched.
        dir: PathBuf,
        /// The names looked for.
        names: Vec<String>,
    },
    /// A field of a file is not what it must be.
    #[error("{}: {field}: found {found}, expected {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The part of it that is wrong.
        field: String,
        /// What stands there.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A data set that lives in files was asked for without a directory.
    #[error("the data set {name} needs a directory with {files}")]
    NoDirectory {
        /// The data set.
        name: &'static str,
        /// The files the directory must hold.
        files: &'static str,
    },
    /// A step does not fit a picture.
    #[error("{transform}: {reason}")]
    Transform {
        /// The step.
        transform: &'static str,
        /// Why not, and what would be right.
        reason: String,
    },
    /// A picture of a data set cannot be used.
    #[error("{}: {reason}", path.display())]
    Picture {
        /// Its file.
        path: PathBuf,
        /// Why not, and what would be right.
        reason: String,
    },
    /// An array file cannot be used.
    #[error(transparent)]
    Array(#[from] gradus_tensor::io::IoError),
}

impl DataError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> DataError {
        DataError::Io { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(
        path: &Path,
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> DataError {
        DataError::Malformed {
            path: path.to_owned(),
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}
