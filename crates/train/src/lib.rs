//! Recipes, the training loop, run directories, metrics and plots.
//!
//! A [`Recipe`] decides everything about a run; [`run::train`] turns it into a run directory; [`Trainer`] is the
//! loop, and each [`Callback`] something that happens beside it.

mod callback;
mod checkpoint;
mod datasets;
mod error;
mod evaluation;
pub mod metrics;
pub mod plots;
mod predict;
mod profiling;
mod recipe;
pub mod run;
mod run_dir;
mod schedule;
mod settings;
mod trainer;
mod watchers;

pub use callback::{Batch, Callback, Flow, Progress};
pub use checkpoint::{Card, Preprocess};
pub use datasets::Splits;
pub use error::{Result, TrainError, did_you_mean};
pub use evaluation::{Choice, Measured};
pub use predict::{Fit, Prediction, predict_files};
pub use profiling::Profiling;
pub use recipe::{AdamConfig, DataConfig, Loss, OptimizerConfig, RECIPES, Recipe, Scaling, SgdConfig};
pub use run::{Summary, Trained};
pub use run_dir::RunDir;
pub use schedule::{Constant, Cosine, Schedule, Step};
pub use trainer::{Trainer, evaluate, test};
pub use watchers::{Checkpoints, Interrupt, MetricsLog, NanGuard, Report, best_epoch};
