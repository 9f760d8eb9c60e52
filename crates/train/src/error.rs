//! What can go wrong between a recipe and a finished run.

use std::path::{Path, PathBuf};

pub use gradus_models::did_you_mean;

/// A result whose error is a [`TrainError`].
pub type Result<T, E = TrainError> = std::result::Result<T, E>;

/// A failure reached from a recipe, a file or the run itself; its text is one clear message.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe, or a setting given on the command line, is wrong.
    #[error("{0}")]
    Recipe(String),
    /// A data file could not be read.
    #[error(transparent)]
    Data(#[from] gradus_data::DataError),
    /// A file of weights could not be read or written.
    #[error(transparent)]
    State(#[from] gradus_nn::serialize::StateError),
    /// A file or directory could not be read or written.
    #[error("cannot {action} `{path}`: {source}")]
    Io {
        /// What was tried ("write", "create the directory").
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A checkpoint is damaged or does not belong to this model.
    #[error("checkpoint `{path}`: {reason}")]
    Checkpoint {
        /// The checkpoint file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something the user named cannot be used.
    #[error("{0}")]
    Input(String),
    /// The loss stopped being a finite number.
    #[error(
        "the loss became {loss} in epoch {epoch}, step {step}: it began {origin}. Kept the last good checkpoint, \
         `{kept}`. A lower learning rate (--set optimizer.lr=...) often cures this"
    )]
    NonFinite {
        /// The loss that was seen.
        loss: f64,
        /// The epoch, counted from 1.
        epoch: usize,
        /// The optimiser step, counted from 1.
        step: usize,
        /// The layer and operation where the first non-finite value arose.
        origin: String,
        /// The checkpoint that is still good.
        kept: PathBuf,
    },
}

impl TrainError {
    /// Whether the caller asked for something that does not exist or make sense (exit code 2, not 1).
    pub fn is_usage(&self) -> bool {
        matches!(self, TrainError::Recipe(_))
    }

    /// Wraps an input/output error with what was tried and where.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> TrainError {
        let path = path.to_path_buf();
        move |source| TrainError::Io { action, path, source }
    }
}
