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
mod fitting;
mod hints;
mod lr_finder;
pub mod metrics;
mod numbers;
mod objective;
mod optimizers;
mod pixels;
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
mod sources;
mod tensorboard;
mod trainer;
mod transfer;
mod watchers;
mod word_vectors;

pub use adversarial::{Adversary, Attack, Robustness, RobustnessReport, robustness};
pub use callback::{Batch, Callback, Flow, Progress};
pub use checkpoint::{Card, Preprocess};
pub use datasets::{Loader, Splits};
pub use error::{Result, TrainError, did_you_mean};
pub use evaluation::{Choice, Measured};
pub use hints::{HINTS, HintRow, Hints};
pub use lr_finder::LrSweep;
pub use numbers::{MeasuredNumbers, compact};
pub use objective::{Objective, Teacher};
pub use optimizers::*;
pub use pixels::{MeasuredPixels, Segmented, overlay};
pub use practice::{Mixing, Training};
pub use predict::{Fit, Prediction, predict_files};
pub use profiling::Profiling;
pub use recipe::{DataConfig, Loss, RECIPES, Recipe, Scaling};
pub use run::{EvaluateOptions, Evaluation, Summary, Trained};
pub use run_dir::{RunDir, write_file};
pub use runs::{RunRow, State, compare_svg, list_runs, metric_names};
pub use schedule::*;
pub use snapshot::{PREFIX as RESUME_PREFIX, Snapshot};
pub use sources::{
    BagWeights, Encoding, FolderConfig, MaskConfig, SOURCES, SeriesConfig, TableConfig, TargetScale, TextConfig,
    Transforms,
};
pub use tensorboard::{Event, event_file};
pub use trainer::{Trainer, evaluate, test, test_numbers};
pub use transfer::init_from;
pub use watchers::{Checkpoints, Interrupt, MetricsLog, NanGuard, Report, best_epoch};
pub use word_vectors::WordVectors;
