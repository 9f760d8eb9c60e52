//! Recipes, the training loop, run directories, metrics and plots.
//!
//! A [`Recipe`] decides everything about a run; [`run::train`] turns it into a run directory; [`Trainer`] is the
//! loop, and each [`Callback`] something that happens beside it.

mod adversarial;
pub mod analysis;
mod callback;
mod checkpoint;
mod datasets;
mod error;
mod evaluation;
mod hints;
mod lr_finder;
pub mod metrics;
mod objective;
pub mod plots;
mod practice;
mod predict;
mod profiling;
mod recipe;
mod report;
pub mod run;
mod run_dir;
mod runs;
mod schedule;
mod settings;
mod snapshot;
mod tensorboard;
mod trainer;
mod transfer;
mod watchers;

pub use adversarial::{Adversary, Attack, Robustness, RobustnessReport, robustness};
pub use callback::{Batch, Callback, Flow, Progress};
pub use checkpoint::{Card, Preprocess};
pub use datasets::Splits;
pub use error::{Result, TrainError, did_you_mean};
pub use evaluation::{Choice, Measured};
pub use hints::{HINTS, HintRow, Hints};
pub use lr_finder::LrSweep;
pub use objective::{Objective, Teacher};
pub use practice::Training;
pub use predict::{Fit, Prediction, predict_files};
pub use profiling::Profiling;
pub use recipe::{AdamConfig, DataConfig, Loss, OptimizerConfig, RECIPES, Recipe, Scaling, SgdConfig};
pub use run::{Summary, Trained};
pub use run_dir::{RunDir, write_file};
pub use runs::{METRIC_NAMES, RunRow, State, compare_svg, list_runs};
pub use schedule::*;
pub use snapshot::{PREFIX as RESUME_PREFIX, Snapshot};
pub use tensorboard::{Event, event_file};
pub use trainer::{Trainer, evaluate, test};
pub use transfer::init_from;
pub use watchers::{Checkpoints, Interrupt, MetricsLog, NanGuard, Report, best_epoch};
