//! Run directories and files that are either whole or absent.

use crate::error::{Result, TrainError};
use crate::recipe::Recipe;
use crate::run::{CONFIG, SUMMARY, Summary};
use gradus_tensor::io::atomic_write;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The directory of one run, new and empty when it is made.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes `<parent>/<name>-001`, or the first number that is free.
    ///
    /// The directory is made by one `mkdir`, so two runs started at once get different numbers.
    ///
    /// # Errors
    /// If the parent or the directory cannot be made.
    pub fn create(parent: &Path, name: &str) -> Result<RunDir> {
        fs::create_dir_all(parent).map_err(TrainError::io("create the run directory", parent))?;
        let mut number = 1 + highest_number(parent, name);
        loop {
            let path = parent.join(format!("{name}-{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(RunDir { path }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(TrainError::io("create the run directory", &path)(e)),
            }
        }
    }

    /// Opens the directory of an earlier run.
    ///
    /// # Errors
    /// If it is not a directory.
    pub fn open(path: &Path) -> Result<RunDir> {
        let meta = fs::metadata(path).map_err(TrainError::io("open the run", path))?;
        if !meta.is_dir() {
            return Err(TrainError::io("open the run", path)(io::ErrorKind::NotADirectory.into()));
        }
        Ok(RunDir { path: path.to_path_buf() })
    }

    /// The recipe of the run.
    ///
    /// # Errors
    /// If its file is missing or is no recipe.
    pub fn recipe(&self) -> Result<Recipe> {
        let config = self.file(CONFIG);
        let text = fs::read_to_string(&config).map_err(TrainError::io("read the run's recipe", &config))?;
        Recipe::parse(&text, &[] as &[&str]).map_err(|e| TrainError::Input(format!("`{}`: {e}", config.display())))
    }

    /// The final numbers, if the run has got so far.
    ///
    /// # Errors
    /// If the file is there and cannot be understood.
    pub fn summary(&self) -> Result<Option<Summary>> {
        let path = self.file(SUMMARY);
        let text = match fs::read_to_string(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(TrainError::io("read", &path))?,
        };
        let wrong = |e| TrainError::Input(format!("`{}` is no summary of a run: {e}", path.display()));
        serde_json::from_str(&text).map(Some).map_err(wrong)
    }

    /// Keeps other processes from writing to the run until the file is dropped or the process ends, however it ends.
    ///
    /// # Errors
    /// If another process has the run, or its recipe cannot be opened.
    pub fn lock(&self) -> Result<File> {
        let config = self.file(CONFIG);
        let file = File::open(&config).map_err(TrainError::io("open", &config))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(TrainError::Input(format!("the run `{}` is still going in another process", self.path.display())))
            }
            // A file system that has no locks is no reason not to train.
            _ => Ok(file),
        }
    }

    /// Where the directory is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file of the run; a reader, or a crash, sees the old content or the new, never a part.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        write_file(&self.file(name), bytes)
    }
}

/// Writes a file; a reader, or a crash, sees the old content or the new, never a part.
///
/// # Errors
/// If it cannot be written.
pub fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    atomic_write(path, |file| file.write_all(bytes.as_ref())).map_err(TrainError::io("write", path))
}

/// The highest number among the entries of `parent` called `<name>-<number>`, or 0.
fn highest_number(parent: &Path, name: &str) -> u32 {
    let Ok(entries) = fs::read_dir(parent) else { return 0 };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse().ok())
        .max()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_runs_get_different_directories() {
        let tmp = tempfile::tempdir().unwrap();
        let mut made: Vec<PathBuf> = std::thread::scope(|s| {
            let handles: Vec<_> =
                (0..8).map(|_| s.spawn(|| RunDir::create(tmp.path(), "digits").unwrap().path)).collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 8);
        assert!(made.iter().any(|p| p.ends_with("digits-001")), "{made:?}");
    }

    #[test]
    fn numbers_go_on_after_the_highest() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("mnist-007")).unwrap();
        fs::create_dir(tmp.path().join("mnist-mlp-030")).unwrap();
        assert!(RunDir::create(tmp.path(), "mnist").unwrap().path().ends_with("mnist-008"));
    }

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let tmp = tempfile::tempdir().unwrap();
        let run = RunDir::create(tmp.path(), "x").unwrap();
        run.write("a.txt", "long content").unwrap();
        run.write("a.txt", "short").unwrap();
        assert_eq!(fs::read(run.file("a.txt")).unwrap(), b"short");
        assert_eq!(fs::read_dir(run.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_parent_that_is_a_file_is_one_clear_error() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("file");
        fs::write(&file, "x").unwrap();
        let error = RunDir::create(&file.join("runs"), "digits").unwrap_err().to_string();
        assert!(error.starts_with("cannot create the run directory `"), "{error}");
    }
}
