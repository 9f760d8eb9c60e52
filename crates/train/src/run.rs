//! From a recipe to a finished run directory, and back from a run directory to a model.

use crate::callback::Callback;
use crate::checkpoint::{self, Card};
use crate::datasets::{self, Splits};
use crate::error::{Result, TrainError};
use crate::metrics::Confusion;
use crate::plots;
use crate::profiling::Profiling;
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::trainer::{self, Trainer};
use crate::watchers::{BEST, Checkpoints, Interrupt, MetricsLog, NanGuard, Report, best_epoch};
use gradus_data::Dataset;
use gradus_models::Architecture;
use gradus_nn::Forward;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The file of the resolved recipe in a run directory.
pub const CONFIG: &str = "config.toml";
/// The file of the final numbers in a run directory.
pub const SUMMARY: &str = "summary.json";

/// The final numbers of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The recipe.
    pub recipe: String,
    /// The model.
    pub model: String,
    /// Numbers in the model that are learnt.
    pub parameters: usize,
    /// The seed.
    pub seed: u64,
    /// Finished epochs.
    pub epochs: usize,
    /// The epoch whose weights were kept, counted from 1.
    pub best_epoch: Option<usize>,
    /// Its accuracy on the validation examples.
    pub val_accuracy: Option<f64>,
    /// Accuracy of the best epoch on the test examples; nothing if the run was interrupted.
    pub test_accuracy: Option<f64>,
    /// Mean loss of a test example.
    pub test_loss: Option<f64>,
    /// How many examples the training, validation and test parts have.
    pub examples: [usize; 3],
    /// Wall time from the recipe to the charts.
    pub seconds: f64,
    /// Where the run is kept.
    pub run_dir: PathBuf,
    /// Whether the run was stopped before its last epoch.
    pub interrupted: bool,
}

/// What does not change the result of a run.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Ends the run after the current step once it is set.
    pub interrupt: Arc<AtomicBool>,
    /// How many steps are profiled after the first two.
    pub profile: Option<usize>,
}

/// Trains as `recipe` says, in a new directory under `out`.
///
/// # Errors
/// Unreadable data, an unwritable directory, a loss that is no number.
pub fn train(recipe: &Recipe, out: &Path, watch: Watch) -> Result<Summary> {
    let start = Instant::now();
    let splits = datasets::load(&recipe.data, recipe.batch_size, recipe.seed)?;
    gradus_tensor::manual_seed(recipe.seed);
    let model = gradus_models::build(&recipe.model).map_err(|e| TrainError::Recipe(e.to_string()))?;
    let dir = RunDir::create(out, &recipe.name)?;
    dir.write(CONFIG, recipe.to_toml())?;
    eprintln!("{}", opening(recipe, &*model, &splits, &dir));
    let card = Card::new(recipe, &splits);
    let report = Report::new();
    let profiling = watch.profile.map(|steps| Profiling::new(&dir, steps, report.printer()));
    let mut trainer = Trainer {
        model: &*model,
        optimizer: recipe.optimizer.init(model.parameters()),
        loss: recipe.loss,
        schedule: recipe.schedule.clone(),
        epochs: recipe.epochs,
        callbacks: vec![
            Box::new(NanGuard { dir: &dir }),
            Box::new(MetricsLog { dir: &dir }),
            Box::new(Checkpoints { dir: &dir, card }),
            Box::new(report),
            Box::new(Interrupt { flag: watch.interrupt }),
        ],
    };
    trainer.callbacks.extend(profiling.map(|p| Box::new(p) as Box<dyn Callback + '_>));
    let done = trainer.fit(&splits.train, &splits.validation)?;
    let best = best_epoch(&done.history);
    let mut summary = Summary {
        recipe: recipe.name.clone(),
        model: recipe.model.name.clone(),
        parameters: model.num_parameters(),
        seed: recipe.seed,
        epochs: done.history.len(),
        best_epoch: best.map(|i| i + 1),
        val_accuracy: best.map(|i| done.history[i].val_accuracy),
        test_accuracy: None,
        test_loss: None,
        examples: [splits.train.dataset().len(), splits.validation.dataset().len(), splits.test.dataset().len()],
        seconds: 0.0,
        run_dir: dir.path().to_path_buf(),
        interrupted: done.stopped,
    };
    let title = format!("{}: {}", recipe.name, recipe.model.name);
    if best.is_some() {
        dir.write("curves.svg", plots::curves_svg(&title, &done.history, best.map_or(0, |i| i + 1)))?;
    }
    if !done.stopped {
        checkpoint::load_weights(&dir.file(BEST), &*model)?;
        let (seen, confusion) = trainer::test(&*model, recipe.loss, &splits.test, splits.classes.len())?;
        dir.write(
            "confusion.svg",
            plots::confusion_svg(&format!("{title}, test examples"), &confusion, &splits.classes),
        )?;
        summary.test_accuracy = Some(seen.accuracy());
        summary.test_loss = Some(seen.loss());
    }
    summary.seconds = start.elapsed().as_secs_f64();
    dir.write(SUMMARY, serde_json::to_string_pretty(&summary).expect("a summary is plain values") + "\n")?;
    Ok(summary)
}

fn opening(recipe: &Recipe, model: &dyn Forward, splits: &Splits, dir: &RunDir) -> String {
    format!(
        "{} ({} parameters) on {}: {} training, {} validation and {} test examples; run in {}",
        recipe.model.name,
        model.num_parameters(),
        recipe.data.name,
        splits.train.dataset().len(),
        splits.validation.dataset().len(),
        splits.test.dataset().len(),
        dir.path().display()
    )
}

/// A trained model, opened from a run directory or a checkpoint file.
pub struct Trained {
    /// The model with its weights, in evaluation mode.
    pub model: Box<dyn Forward>,
    /// What was stored beside the weights.
    pub card: Card,
    /// The checkpoint it came from.
    pub checkpoint: PathBuf,
}

/// The measurements of a model on test examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Part of the examples classified rightly.
    pub accuracy: f64,
    /// Mean loss of an example.
    pub loss: f64,
    /// How many examples there were.
    pub examples: usize,
    /// Who was taken for whom.
    pub confusion: Confusion,
}

impl Trained {
    /// Opens the best checkpoint of a run directory (the last, if no epoch was finished), or a checkpoint file.
    ///
    /// # Errors
    /// A path that is neither, a damaged checkpoint, or one of another architecture than the run's recipe says.
    pub fn open(path: &Path) -> Result<Trained> {
        if path.is_file() {
            return Trained::from_checkpoint(path);
        }
        let dir = RunDir::open(path)?;
        let name = if dir.file(BEST).exists() { BEST } else { crate::watchers::LAST };
        let config = dir.file(CONFIG);
        let text = std::fs::read_to_string(&config).map_err(TrainError::io("read the run's recipe", &config))?;
        let recipe = Recipe::parse(&text, &[] as &[&str])
            .map_err(|e| TrainError::Input(format!("`{}`: {e}", config.display())))?;
        let trained = Trained::from_checkpoint(&dir.file(name))?;
        expect_architecture(&trained.checkpoint, &trained.card.recipe.model, &recipe.model)?;
        Ok(trained)
    }

    fn from_checkpoint(path: &Path) -> Result<Trained> {
        let (card, state) = checkpoint::read(path)?;
        let wrong = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let model = gradus_models::build(&card.recipe.model).map_err(|e| wrong(e.to_string()))?;
        model.load_state_dict(&state).map_err(|e| wrong(e.to_string()))?;
        model.eval();
        Ok(Trained { model, card, checkpoint: path.to_path_buf() })
    }

    /// Measures on the test examples of the run's data set, from `data` if it is given.
    ///
    /// # Errors
    /// Unreadable data.
    pub fn evaluate(&self, data: Option<&Path>) -> Result<Measured> {
        let mut config = self.card.recipe.data.clone();
        if let Some(dir) = data {
            config.dir = dir.display().to_string();
        }
        let test = datasets::load_test(&config, &self.card.preprocess)?;
        let (seen, confusion) = trainer::test(&*self.model, self.card.recipe.loss, &test, self.card.classes.len())?;
        Ok(Measured { accuracy: seen.accuracy(), loss: seen.loss(), examples: seen.examples(), confusion })
    }
}

fn expect_architecture(path: &Path, found: &Architecture, expected: &Architecture) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!("it holds another architecture, {found}; the run's {CONFIG} says {expected}"),
    })
}
