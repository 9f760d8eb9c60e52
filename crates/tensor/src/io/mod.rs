//! Tensors in files: NumPy's `.npy` and `.npz`, and the safe way to replace a file.

mod header;
pub mod npy;
#[cfg(test)]
mod tests;

pub use npy::{map_npy, read_npy, read_npz, write_npy, write_npz};

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a file of tensors was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is not what it must be.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// The file, with the entry's name for an archive.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The content is well formed but has no counterpart here.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// The file, with the entry's name for an archive.
        path: PathBuf,
        /// What was found, and what is possible.
        what: String,
    },
}

impl IoError {
    pub(crate) fn file(path: &Path, source: io::Error) -> IoError {
        IoError::File { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> IoError {
        IoError::Malformed { path: path.to_owned(), what: what.into() }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> IoError {
        IoError::Unsupported { path: path.to_owned(), what: what.into() }
    }
}

/// The bytes that elements of `size` bytes in the shape `dims` take, or `None` if a tensor cannot have
/// this shape: too many dimensions, or an extent or product beyond memory (an extent of zero hides nothing).
///
/// Every reader of files from outside asks this before it makes a tensor.
pub fn checked_bytes(dims: &[usize], size: usize) -> Option<usize> {
    if dims.len() > crate::MAX_RANK {
        return None;
    }
    let whole = dims.iter().try_fold(size, |n, &d| n.checked_mul(d.max(1)))?;
    if whole > isize::MAX as usize {
        return None;
    }
    Some(if dims.contains(&0) { 0 } else { whole })
}

/// Writes a file so that a crash leaves the old one or the new one whole, never a part.
///
/// `write` fills a temporary file in the same directory, which is flushed to disk and then renamed to
/// `path`. If anything fails the temporary file is removed and `path` is untouched.
///
/// # Errors
/// What `write` or the file system returned.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("gradus-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir).unwrap();
/// use std::io::Write;
/// gradus_tensor::io::atomic_write(dir.join("note.txt"), |f| writeln!(f, "whole or not at all")).unwrap();
/// # std::fs::remove_dir_all(&dir).unwrap();
/// ```
pub fn atomic_write(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let path = path.as_ref();
    let Some(name) = path.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
    };
    let mut temp_name = std::ffi::OsString::from(".");
    temp_name.push(name);
    temp_name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Relaxed)));
    let temp = path.with_file_name(temp_name);
    let done = fill(&temp, write).and_then(|()| fs::rename(&temp, path));
    if done.is_err() {
        let _ = fs::remove_file(&temp);
        return done;
    }
    sync_directory(path);
    Ok(())
}

fn fill(temp: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).open(temp)?;
    let mut w = BufWriter::with_capacity(1 << 18, file);
    write(&mut w)?;
    w.flush()?;
    w.get_ref().sync_all()
}

/// Makes the rename itself durable. The file is whole either way, so a system that cannot do this for
/// directories is not an error.
fn sync_directory(path: &Path) {
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    if let Ok(dir) = File::open(parent) {
        let _ = dir.sync_all();
    }
}
