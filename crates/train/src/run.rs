//! From a recipe to a finished run directory, and back from a run directory to a model.

use crate::adversarial::{self, RobustnessReport};
use crate::analysis::LayerWatch;
use crate::callback::Callback;
use crate::checkpoint::{self, Card};
use crate::datasets::{self, Loader, Splits};
use crate::error::{Result, TrainError};
use crate::evaluation::Measured;
use crate::fitting::fitted;
use crate::hints::{Given, Hints};
use crate::lr_finder::{FindLr, LrSweep};
use crate::metrics::{EpochMetrics, RegressionScores};
use crate::numbers::MeasuredNumbers;
use crate::objective::Objective;
use crate::pixels::{MeasuredPixels, Measuring};
use crate::plots;
use crate::profiling::Profiling;
use crate::recipe::Recipe;
use crate::report;
use crate::run_dir::RunDir;
use crate::snapshot::Snapshot;
use crate::sources;
use crate::trainer::{self, Trainer};
use crate::transfer;
use crate::watchers::{BEST, Checkpoints, Interrupt, LAST, MetricsLog, NanGuard, Report, best_epoch};
use gradus_data::{Dataset, Draw};
use gradus_models::{Architecture, Extra, Model};
use gradus_nn::Forward;
use gradus_nn::utils::{AveragedModel, random_restarts};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The file of the resolved recipe in a run directory.
pub const CONFIG: &str = "config.toml";
/// The file of the final numbers in a run directory.
pub const SUMMARY: &str = "summary.json";
/// The file with version, machine and seed.
pub const ENVIRONMENT: &str = "environment.json";
/// The page that shows the run.
pub const REPORT: &str = "report.html";
/// Examples whose activations are watched.
const WATCHED: usize = 32;
/// The first and the last rate that [`find_lr`] tries, and its steps.
const SWEEP: [f64; 2] = [1e-6, 10.0];
const SWEEP_STEPS: usize = 150;

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
    /// Its accuracy on the validation examples; nothing where numbers are foretold.
    pub val_accuracy: Option<f64>,
    /// Its mean intersection over union on them, where every pixel has a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_miou: Option<f64>,
    /// Its loss on them.
    pub val_loss: Option<f64>,
    /// Accuracy of the best epoch on the test examples; nothing if the run was interrupted.
    pub test_accuracy: Option<f64>,
    /// Its mean intersection over union on them, where every pixel has a class; the accuracies are then of pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_miou: Option<f64>,
    /// Its errors on them, where numbers are foretold.
    pub test_errors: Option<RegressionScores>,
    /// Mean loss of a test example.
    pub test_loss: Option<f64>,
    /// How many examples the training, validation and test parts have.
    pub examples: [usize; 3],
    /// Wall time from the recipe to the charts.
    pub seconds: f64,
    /// How much of it training waited for batches.
    pub waited: f64,
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
    /// Whether rules of thumb that the run breaks are said.
    pub hints: bool,
}

/// Trains as `recipe` says, in a new directory under `out`.
///
/// # Errors
/// Unreadable data, an unwritable directory, a loss that is no number.
pub fn train(recipe: &Recipe, out: &Path, watch: Watch) -> Result<Summary> {
    // What is wrong with the data or the model is said before there is a directory.
    let prepared = Prepared::new(recipe, true)?;
    let dir = RunDir::create(out, &recipe.name)?;
    dir.write(CONFIG, prepared.recipe.to_toml())?;
    prepared.carry_out(dir, None, watch)
}

/// Trains `runs` times with seeds that follow each other, each in a directory of its own, and returns the run with the
/// best validation accuracy, or loss where numbers are foretold: a way out of local minima. Ctrl-C ends the run that is going, and no other begins.
///
/// # Errors
/// Those of [`train`], of the first run that has one.
///
/// # Panics
/// If `runs` is 0.
pub fn restarts(recipe: &Recipe, out: &Path, runs: u64, watch: &Watch) -> Result<Summary> {
    let mut failed = None;
    let seeds = (0..runs).map(|i| recipe.seed + i);
    let mut ended = false;
    let best = random_restarts(seeds, |seed| {
        if ended {
            return (f64::NAN, None);
        }
        let run = train(&Recipe { seed, ..recipe.clone() }, out, watch.clone());
        ended = run.as_ref().map_or(true, |s| s.interrupted);
        match run {
            Ok(s) => (s.val_miou.or(s.val_accuracy).map_or(s.val_loss.unwrap_or(f64::NAN), |a| 1.0 - a), Some(s)),
            Err(e) => {
                failed = Some(e);
                (f64::NAN, None)
            }
        }
    });
    match (failed, best.value) {
        (None, Some(summary)) => Ok(summary),
        (Some(e), _) => Err(e),
        (None, None) => unreachable!("the first run gave a summary or an error"),
    }
}

/// Goes on with a run that was interrupted or killed, as if it had never been: the weights become the same to the bit.
/// A run that is finished is left as it is.
///
/// # Errors
/// A path that is no run, a run that is still going, a damaged checkpoint, and those of [`train`].
pub fn resume(path: &Path, data: Option<&Path>, watch: Watch) -> Result<Summary> {
    let dir = RunDir::open(path)?;
    let mut recipe = dir.recipe()?;
    if let Some(data) = data {
        recipe.data.dir = data.display().to_string();
    }
    if let Some(summary) = dir.summary()?.filter(|s| !s.interrupted) {
        eprintln!("the run {} is finished already", dir.path().display());
        return Ok(summary);
    }
    let last = dir.file(LAST);
    let prepared = Prepared::new(&recipe, !last.exists())?;
    // A run that was killed before its first checkpoint begins anew.
    let snapshot = match last.exists() {
        false => None,
        true => {
            let (card, weights, snapshot) = checkpoint::read(&last)?;
            expect_architecture(&last, &card.recipe.model, &recipe.model)?;
            let wrong = |reason: String| TrainError::Checkpoint { path: last.clone(), reason };
            prepared.model.load_state_dict(&weights).map_err(|e| wrong(e.to_string()))?;
            Some(
                snapshot
                    .ok_or_else(|| wrong("it holds weights alone, so training cannot go on from it".to_string()))?,
            )
        }
    };
    prepared.carry_out(dir, snapshot, watch)
}

/// A recipe with its data read and its model built.
struct Prepared {
    recipe: Recipe,
    splits: Splits,
    model: Box<dyn Model>,
    start: Instant,
}

impl Prepared {
    /// `fresh` says that the weights do not come from a checkpoint of the same run.
    fn new(recipe: &Recipe, fresh: bool) -> Result<Prepared> {
        let start = Instant::now();
        let splits = datasets::load(recipe)?;
        let model = fitted(&recipe.model, &splits.preprocess.shape, splits.outputs()?).map_err(TrainError::Recipe)?;
        let recipe = Recipe { model, ..recipe.clone() };
        check_extra(&recipe, &splits.preprocess.shape)?;
        gradus_tensor::manual_seed(recipe.seed);
        let model = gradus_models::build(&recipe.model).map_err(|e| TrainError::Recipe(e.to_string()))?;
        if fresh {
            sources::text::begin(&recipe, &splits.encoding, &*model)?;
        }
        if !recipe.training.init_from.is_empty() {
            transfer::init_from(&*model, Path::new(&recipe.training.init_from), &recipe.training.new_layers)?;
        }
        recipe.training.freeze(&*model)?;
        Ok(Prepared { recipe, splits, model, start })
    }

    /// Trains, measures and leaves the results in `dir`.
    fn carry_out(self, dir: RunDir, snapshot: Option<Snapshot>, watch: Watch) -> Result<Summary> {
        let _lock = dir.lock()?;
        let (recipe, model) = (&self.recipe, &*self.model);
        let environment: serde_json::Map<_, _> =
            report::environment(recipe.seed).into_iter().map(|(k, v)| (k, v.into())).collect();
        dir.write(ENVIRONMENT, serde_json::to_string_pretty(&environment).expect("it is plain text") + "\n")?;
        eprintln!("{}", opening(recipe, model, &self.splits, &dir));
        let given = Given::default();
        let trainer = Trainer {
            callbacks: self.callbacks(&dir, &watch, &given)?,
            epochs: recipe.epochs,
            resume: snapshot,
            ..self.trainer()?
        };
        let done = trainer.fit(&self.splits.train, &self.splits.validation)?;
        let hints = given.borrow();
        self.finish(&dir, &done.history, done.stopped, &hints)
    }

    /// What learns, without anything that watches.
    fn trainer(&self) -> Result<Trainer<'_>> {
        let (recipe, model) = (&self.recipe, &*self.model);
        let training = &recipe.training;
        Ok(Trainer {
            model,
            taught: Some(&*self.model),
            optimizer: recipe.optimizer(model)?,
            searches: recipe.optimizer.searches(),
            objective: Objective { teacher: transfer::teacher(recipe, &self.splits)?, ..recipe.objective(model) },
            schedule: recipe.schedule.clone(),
            epochs: recipe.epochs,
            accumulate: training.accumulate,
            target: self.splits.target.clone(),
            average: (training.ema > 0.0).then(|| AveragedModel::ema(model, training.ema)),
            resume: None,
            callbacks: vec![],
        })
    }

    /// Who watches, in the order in which they are called.
    fn callbacks<'a>(&'a self, dir: &'a RunDir, watch: &Watch, given: &Given) -> Result<Vec<Box<dyn Callback + 'a>>> {
        let recipe = &self.recipe;
        let report = Report::new();
        let mut list: Vec<Box<dyn Callback + 'a>> = vec![Box::new(NanGuard { dir })];
        if watch.hints {
            let mut hints = Hints::new(self.splits.classes.len(), given.clone(), report.printer());
            hints.before(recipe, &self.splits, &*self.model);
            list.push(Box::new(hints));
        }
        // Before anything changes gradients, and before the checkpoints, so that no look is missing when a run goes on.
        if recipe.training.watch_layers > 0 {
            let watch = LayerWatch::new(dir, recipe.training.watch_layers);
            list.push(Box::new(watch.activations(&self.few_inputs()?)));
        }
        // What ends the run comes before the checkpoints, so that they say that it has ended.
        list.extend(recipe.training.callbacks().into_iter().map(|c| c as Box<dyn Callback>));
        list.push(Box::new(MetricsLog { dir }));
        let card = Card::new(recipe, &self.splits);
        list.push(Box::new(Checkpoints { dir, card, every: recipe.training.checkpoint_steps }));
        let profiling = watch.profile.map(|steps| Profiling::new(dir, steps, report.printer()));
        list.push(Box::new(report));
        list.push(Box::new(Interrupt { flag: watch.interrupt.clone() }));
        list.extend(profiling.map(|p| Box::new(p) as Box<dyn Callback + 'a>));
        Ok(list)
    }

    /// Inputs that show what layers put out: the first validation examples.
    fn few_inputs(&self) -> Result<Tensor> {
        let examples = self.splits.validation.dataset();
        let (inputs, _) = examples.get(&(0..examples.len().min(WATCHED)).collect::<Vec<_>>(), Draw::default())?;
        Ok(self.splits.preprocess.first_crop(inputs))
    }

    /// Measures the best epoch on the test examples, and writes the summary, the pictures and the report.
    fn finish(&self, dir: &RunDir, history: &[EpochMetrics], stopped: bool, hints: &[String]) -> Result<Summary> {
        let (recipe, splits, model) = (&self.recipe, &self.splits, &*self.model);
        let best = best_epoch(history);
        let mut summary = Summary {
            recipe: recipe.name.clone(),
            model: recipe.model.name.clone(),
            parameters: model.num_parameters(),
            seed: recipe.seed,
            epochs: history.len(),
            best_epoch: best.map(|i| i + 1),
            val_accuracy: best.and_then(|i| history[i].val_accuracy),
            val_miou: best.and_then(|i| history[i].val_miou),
            val_loss: best.map(|i| history[i].val_loss),
            test_accuracy: None,
            test_miou: None,
            test_errors: None,
            test_loss: None,
            examples: [&splits.train, &splits.validation, &splits.test].map(|part| part.dataset().len()),
            seconds: 0.0,
            waited: splits.train.waited().as_secs_f64(),
            run_dir: dir.path().to_path_buf(),
            interrupted: stopped,
        };
        let title = format!("{}: {}", recipe.name, recipe.model.name);
        let mut pictures = Vec::new();
        if best.is_some() {
            let svg = plots::curves_svg(&title, history, best.map_or(0, |i| i + 1));
            dir.write("curves.svg", &svg)?;
            pictures.push(("Curves", svg));
        }
        if !stopped {
            checkpoint::load_weights(&dir.file(BEST), model)?;
            self.test(dir, &title, &mut summary, &mut pictures)?;
        }
        if recipe.training.watch_layers > 0 {
            pictures.extend(LayerWatch::pictures(dir)?);
        }
        summary.seconds = self.start.elapsed().as_secs_f64();
        let page = report::Report {
            summary: &summary,
            config: &recipe.to_toml(),
            environment: &report::environment(recipe.seed),
            history,
            pictures: &pictures,
            hints,
        };
        dir.write(REPORT, page.html())?;
        dir.write(SUMMARY, serde_json::to_string_pretty(&summary).expect("a summary is plain values") + "\n")?;
        Ok(summary)
    }

    /// Measures the model on the test examples, into the summary and pictures.
    fn test(
        &self,
        dir: &RunDir,
        title: &str,
        summary: &mut Summary,
        pictures: &mut Vec<(&'static str, String)>,
    ) -> Result<()> {
        let splits = &self.splits;
        match measure(&*self.model, &Card::new(&self.recipe, splits), &splits.test)? {
            Evaluation::Classes(measured) => {
                let svg = plots::confusion_svg(
                    &format!("{title}, test examples"),
                    &measured.classification.confusion(),
                    &splits.classes,
                );
                dir.write("confusion.svg", &svg)?;
                pictures.push(("Test examples", svg));
                if measured.has_pictures() {
                    pictures.push(("Worst mistakes", measured.mistakes_svg(title)?));
                }
                summary.test_accuracy = Some(measured.accuracy());
                summary.test_loss = Some(measured.loss);
            }
            Evaluation::Pixels(measured) => {
                for (file, caption, svg) in measured.drawn(title)? {
                    dir.write(file, &svg)?;
                    pictures.push((caption, svg));
                }
                summary.test_miou = Some(measured.mean_iou());
                summary.test_accuracy = Some(measured.pixel_accuracy());
                summary.test_loss = Some(measured.loss);
            }
            Evaluation::Numbers(measured) => {
                let svg = measured.svg(title);
                dir.write("numbers.svg", &svg)?;
                pictures.push(("Test examples", svg));
                summary.test_errors = Some(measured.numbers.scores());
                summary.test_loss = Some(measured.loss);
            }
        }
        Ok(())
    }
}

/// Tries rates that rise from step to step on a fresh model, without keeping anything.
///
/// # Errors
/// Unreadable data, layers that the model lacks.
pub fn find_lr(recipe: &Recipe) -> Result<LrSweep> {
    let prepared = Prepared::new(recipe, true)?;
    let finder = FindLr::new(SWEEP, SWEEP_STEPS);
    let sweep = finder.sweep.clone();
    let steps_per_epoch = prepared.splits.train.num_batches().div_ceil(recipe.training.accumulate).max(1);
    let trainer = Trainer {
        callbacks: vec![Box::new(finder)],
        epochs: SWEEP_STEPS.div_ceil(steps_per_epoch) + 1,
        ..prepared.trainer()?
    };
    trainer.fit(&prepared.splits.train, &prepared.splits.validation)?;
    Ok(sweep.take())
}

/// What is measured on test examples.
pub enum Evaluation {
    /// Of a model that tells classes apart.
    Classes(Measured),
    /// Of a model that gives every pixel a class.
    Pixels(MeasuredPixels),
    /// Of one that foretells numbers.
    Numbers(MeasuredNumbers),
}

/// A model on test examples.
fn measure(model: &dyn Forward, card: &Card, test: &Loader) -> Result<Evaluation> {
    let loss = card.recipe.loss;
    if let Some(target) = &card.target {
        let (seen, numbers) = trainer::test_numbers(model, loss, test, target)?;
        // Steps beyond the next would lie between each other.
        let in_time = card.recipe.data.series.as_ref().is_some_and(|series| series.horizon == 1);
        return Ok(Evaluation::Numbers(MeasuredNumbers {
            loss: seen.loss(),
            numbers,
            target: target.name.clone(),
            in_time,
        }));
    }
    if card.recipe.data.has_masks() {
        let mut measuring = Measuring::new(card.classes.len());
        let seen = trainer::evaluate(model, loss, test, |outputs, labels| measuring.add(outputs, labels))?;
        return Ok(Evaluation::Pixels(MeasuredPixels {
            loss: seen.loss(),
            confusion: measuring.confusion,
            classes: card.classes.clone(),
            examples: test.dataset().clone(),
            preprocess: card.preprocess.clone(),
            shown: measuring.worst,
        }));
    }
    let (sample, _) = test.dataset().get(&[0], Draw::default())?;
    let crops = if sample.rank() == card.preprocess.shape.len() + 2 { sample.size(1) } else { 1 };
    let (seen, classification) = trainer::test(model, loss, test, card.classes.len(), crops)?;
    Ok(Evaluation::Classes(Measured {
        loss: seen.loss(),
        classification,
        classes: card.classes.clone(),
        examples: test.dataset().clone(),
        preprocess: card.preprocess.clone(),
    }))
}

/// Pictures must be large enough for the auxiliary classifiers that are to be trained.
fn check_extra(recipe: &Recipe, shape: &[usize]) -> Result<()> {
    let extra = gradus_models::find(&recipe.model.name).and_then(|row| row.extra(&recipe.model.config));
    match (extra, shape) {
        (Ok(Extra::Auxiliary { smallest, .. }), &[_, h, w])
            if !recipe.training.aux_weights.is_empty() && h.min(w) < smallest =>
        {
            Err(TrainError::Recipe(format!(
                "setting `training.aux_weights`: the auxiliary classifiers of `{}` need pictures of at least \
                 {smallest}x{smallest}, got {h}x{w}",
                recipe.model.name
            )))
        }
        _ => Ok(()),
    }
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

/// How a trained model is measured.
#[derive(Clone, Debug, Default)]
pub struct EvaluateOptions {
    /// The directory of the data, if it is not the one of the run.
    pub data: Option<PathBuf>,
    /// Whether the four corners and the middle of each picture are looked at, and the mean of what is said is taken.
    pub five_crop: bool,
    /// Whether pictures that cannot be read are left out.
    pub skip_broken: bool,
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
        let name = if dir.file(BEST).exists() { BEST } else { LAST };
        let recipe = dir.recipe()?;
        let trained = Trained::from_checkpoint(&dir.file(name))?;
        expect_architecture(&trained.checkpoint, &trained.card.recipe.model, &recipe.model)?;
        Ok(trained)
    }

    fn from_checkpoint(path: &Path) -> Result<Trained> {
        let (card, state, _) = checkpoint::read(path)?;
        let wrong = |reason: String| TrainError::Checkpoint { path: path.to_path_buf(), reason };
        let model = gradus_models::build(&card.recipe.model).map_err(|e| wrong(e.to_string()))?;
        model.load_state_dict(&state).map_err(|e| wrong(e.to_string()))?;
        model.eval();
        Ok(Trained { model, card, checkpoint: path.to_path_buf() })
    }

    /// Measures on the test examples of the run's data.
    ///
    /// # Errors
    /// Unreadable data.
    pub fn evaluate(&self, how: &EvaluateOptions) -> Result<Evaluation> {
        measure(&*self.model, &self.card, &self.test_examples(how)?)
    }

    /// The test examples of the run's data.
    pub(crate) fn test_examples(&self, how: &EvaluateOptions) -> Result<Loader> {
        let mut config = self.card.recipe.data.clone();
        if let Some(dir) = &how.data {
            config.dir = dir.display().to_string();
        }
        match &mut config.folder {
            Some(folder) => folder.skip_broken |= how.skip_broken,
            None if how.skip_broken => {
                return Err(TrainError::Input(
                    "only pictures in directories can be skipped; leave --skip-broken out".into(),
                ));
            }
            None => (),
        }
        datasets::load_test(&self.card, &config, how.five_crop)
    }

    /// Attacks the first `most` test examples that were measured.
    ///
    /// # Errors
    /// If a size is negative or not finite.
    pub fn robustness(
        &self,
        measured: &Measured,
        epsilons: &[f64],
        steps: usize,
        most: usize,
    ) -> Result<RobustnessReport> {
        adversarial::robustness(&*self.model, self.card.recipe.loss, measured, epsilons, steps, most)
    }
}

fn expect_architecture(path: &Path, found: &Architecture, expected: &Architecture) -> Result<()> {
    // A field that came into a model after the checkpoint was written has its default there.
    let whole = |given: &Architecture| {
        let defaults = gradus_models::find(&given.name).map(|row| row.default_architecture().config);
        let mut config = defaults.unwrap_or_default();
        config.extend(given.config.clone());
        config
    };
    if found.name == expected.name && whole(found) == whole(expected) {
        return Ok(());
    }
    Err(TrainError::Checkpoint {
        path: path.to_path_buf(),
        reason: format!("it holds another architecture, {found}; the run's {CONFIG} says {expected}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_a_checkpoint_is_too_old_to_know_has_its_default_there() {
        let now = gradus_models::find("digits-cnn").unwrap().default_architecture();
        let mut old = now.clone();
        old.config.remove("dropout");
        let path = Path::new("last.safetensors");
        assert!(expect_architecture(path, &old, &now).is_ok());
        old.config.insert("hidden".into(), 7.into());
        assert!(expect_architecture(path, &old, &now).unwrap_err().to_string().contains("another architecture"));
        let other = Architecture { name: "lenet5".into(), ..now.clone() };
        assert!(expect_architecture(path, &other, &now).is_err());
    }
}
