//! Recipes, the training loop, run directories, metrics and plots.

mod error;
mod metrics;
pub mod plots;
mod run_dir;
mod schedule;
mod settings;

pub use error::{Result, TrainError, did_you_mean};
pub use metrics::{Confusion, EpochMetrics, Running};
pub use run_dir::{RunDir, write_atomically};
pub use schedule::{Constant, Cosine, Schedule, Step};
