//! The training loop.

use crate::callback::{Batch, Callback, Flow, Progress};
use crate::error::Result;
use crate::metrics::{Classification, Confusion, EpochMetrics, Regression, Running};
use crate::objective::Objective;
use crate::pixels;
use crate::recipe::Loss;
use crate::schedule::Schedule;
use crate::snapshot::Snapshot;
use crate::sources::TargetScale;
use gradus_data::{DataLoader, Dataset};
use gradus_models::Model;
use gradus_nn::Forward;
use gradus_nn::optim::Optimizer;
use gradus_nn::utils::AveragedModel;
use gradus_tensor::{DType, RngState, Tensor, no_grad, profiler::record_function, rng_state, set_rng_state};
use std::cell::RefCell;
use std::time::Instant;

/// A model, how it learns, and who watches.
pub struct Trainer<'a> {
    /// The model.
    pub model: &'a dyn Forward,
    /// The same model, if more than its outputs is minimised: auxiliary classifiers, a rebuilt input.
    pub taught: Option<&'a dyn Model>,
    /// The optimiser over its parameters; its learning rate is the base of the schedule.
    pub optimizer: Box<dyn Optimizer>,
    /// Whether the optimiser evaluates the loss several times in a step, as L-BFGS does: it then gets all examples of
    /// the step again, with the same random numbers each time.
    pub searches: bool,
    /// What is minimised.
    pub objective: Objective,
    /// The learning-rate schedule.
    pub schedule: Schedule,
    /// Passes over the training examples.
    pub epochs: usize,
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// What is foretold, where it is a number: errors are measured in its unit.
    pub target: Option<TargetScale>,
    /// An average of the weights, which is what is measured and kept as the best.
    pub average: Option<AveragedModel>,
    /// Where an earlier run was cut off, to go on from there.
    pub resume: Option<Snapshot>,
    /// Whatever else should happen, in this order.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl<'a> Trainer<'a> {
    /// Trains for `epochs` passes over `train`, measuring on `validation` after each.
    ///
    /// # Errors
    /// A batch that cannot be read, whatever a callback ends the run with, a snapshot that does not fit.
    pub fn fit<D: Dataset + 'static>(self, train: &DataLoader<D>, validation: &DataLoader<D>) -> Result<Progress<'a>> {
        let Trainer { model, taught, objective, schedule, epochs, accumulate, target, mut callbacks, .. } = self;
        let (optimizer, average, resume, searches) = (self.optimizer, self.average, self.resume, self.searches);
        let taught = taught.filter(|_| objective.wants_more());
        let (base_lr, batches) = (optimizer.lr(), train.num_batches());
        let mut at = Progress::new(model, objective.loss, optimizer, average, epochs, batches.div_ceil(accumulate));
        resume.map_or(Ok(()), |snapshot| snapshot.restore(&mut at))?;
        each(&mut callbacks, &mut at, |c, at| c.on_start(at).map(|()| Flow::Continue))?;
        let mut again = Again::default();
        while at.epoch < at.epochs && at.goes_on() {
            let done = at.begin_epoch();
            model.train();
            for (i, batch) in (done..).zip(train.epoch_from(at.epoch, done)) {
                let (images, labels) = batch?;
                let group = accumulate.min(batches - i / accumulate * accumulate); // batches of this step
                if i.is_multiple_of(accumulate) {
                    at.set_rates(&schedule, base_lr);
                    at.optimizer.borrow().zero_grad();
                    again.begin();
                }
                let (images, labels) = callbacks.iter_mut().fold((images, labels), |(x, y), c| c.on_batch(&at, x, y));
                let (outputs, loss) = match taught {
                    Some(model) => named("forward", || objective.taught(model, &images, &labels)),
                    None => {
                        let outputs = named("forward", || model.forward(&images));
                        let loss = named("loss", || objective.of(&images, &outputs, &labels));
                        (outputs, loss)
                    }
                };
                let batch = Batch { images: &images, labels: &labels, loss: loss.item_f64() };
                let right = named("metrics", || correct(at.loss, &outputs, &labels));
                at.running.add_pixels(batch.loss, right, images.size(0));
                callbacks.iter_mut().try_for_each(|c| c.on_loss(&at, &batch))?;
                (if group > 1 { loss / group as f64 } else { loss }).backward();
                at.batch = i + 1;
                let whole = at.batch.is_multiple_of(accumulate) || at.batch == batches;
                if searches {
                    again.batches.push((images, labels));
                }
                callbacks.iter_mut().try_for_each(|c| c.on_backward(&at, whole))?;
                if whole {
                    match searches {
                        true => again.step(&at, &objective, taught),
                        false => at.optimizer.borrow_mut().step(),
                    }
                    at.step += 1;
                    each(&mut callbacks, &mut at, |c, at| c.on_step(at))?;
                }
                if !at.goes_on() {
                    break;
                }
            }
            if !at.stopped {
                at.end_epoch(&at.averaged(|| measure(model, objective.loss, validation, target.as_ref()))?);
                each(&mut callbacks, &mut at, |c, at| c.on_epoch(at))?;
            }
        }
        each(&mut callbacks, &mut at, |c, at| c.on_end(at).map(|()| Flow::Continue))?;
        Ok(at)
    }
}

/// The examples of a step, for an optimiser that evaluates their loss again.
#[derive(Default)]
struct Again {
    batches: Vec<(Tensor, Tensor)>,
    random: Option<RngState>,
}

impl Again {
    /// Before the first batch of a step.
    fn begin(&mut self) {
        *self = Again { batches: vec![], random: Some(rng_state()) };
    }

    /// Takes the step. Each evaluation draws the same random numbers, so that there is one loss to be minimised.
    fn step(&self, at: &Progress, objective: &Objective, taught: Option<&dyn Model>) {
        let parts = self.batches.len() as f64;
        let loss = |(images, labels): &(Tensor, Tensor)| match taught {
            Some(model) => objective.taught(model, images, labels).1 / parts,
            None => objective.of(images, &at.model.forward(images), labels) / parts,
        };
        at.optimizer.borrow_mut().step_with(&mut || {
            self.random.into_iter().for_each(set_rng_state);
            let all = self.batches.iter().map(loss).reduce(|sum, part| sum + part);
            all.expect("a step has a batch")
        });
    }
}

/// Calls every callback in turn and notes what it wants.
fn each<'a>(
    callbacks: &mut [Box<dyn Callback + 'a>],
    at: &mut Progress,
    call: impl Fn(&mut dyn Callback, &Progress) -> Result<Flow>,
) -> Result<()> {
    for c in callbacks {
        match call(&mut **c, at)? {
            Flow::Continue => (),
            Flow::Stop => at.stopped = true,
            Flow::Finish => at.finished = true,
        }
    }
    Ok(())
}

impl<'a> Progress<'a> {
    /// A run before its first step.
    fn new(
        model: &'a dyn Forward,
        loss: Loss,
        optimizer: Box<dyn Optimizer>,
        average: Option<AveragedModel>,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> Progress<'a> {
        Progress {
            model,
            loss,
            epoch: 0,
            epochs,
            batch: 0,
            step: 0,
            steps_per_epoch,
            lr: optimizer.lr(),
            optimizer: RefCell::new(optimizer),
            average: RefCell::new(average),
            running: Running::default(),
            epoch_start: Instant::now(),
            history: Vec::new(),
            stopped: false,
            finished: false,
        }
    }

    /// Whether there is another step.
    fn goes_on(&self) -> bool {
        !self.stopped && !self.finished
    }

    /// Begins the next epoch, or goes on with one that was cut off; returns how many of its batches are done.
    fn begin_epoch(&mut self) -> usize {
        self.epoch += 1;
        self.epoch_start = Instant::now();
        if self.batch == 0 {
            self.running = Running::default();
        }
        self.batch
    }

    /// Sets the learning rate, and the momentum if the schedule has one, of the next step.
    fn set_rates(&mut self, schedule: &Schedule, base: f64) {
        let rates = schedule.rates(self.step, self.steps_per_epoch, self.epochs, &self.history);
        self.lr = base * rates.factor;
        let mut optimizer = self.optimizer.borrow_mut();
        optimizer.set_lr(self.lr);
        if let (Some(momentum), Some(_)) = (rates.momentum, optimizer.current_momentum()) {
            optimizer.set_momentum(momentum);
        }
    }

    fn end_epoch(&mut self, measured: &Validation) {
        let Validation { seen: validation, numbers, pixels } = measured;
        self.batch = 0;
        let share = |seen: &Running| (!self.loss.is_regression()).then(|| seen.accuracy());
        self.history.push(EpochMetrics {
            epoch: self.epoch,
            lr: self.lr,
            train_loss: self.running.loss(),
            train_batch_loss: self.running.batch_mean_loss(),
            train_accuracy: share(&self.running),
            val_loss: validation.loss(),
            val_accuracy: share(validation),
            val_miou: pixels.as_ref().map(Confusion::mean_iou),
            val_errors: numbers.as_ref().map(Regression::scores),
            seconds: self.epoch_start.elapsed().as_secs_f64(),
        });
    }
}

/// Loss and accuracy of `model`, in evaluation mode and without a graph; `each` sees every batch's outputs and labels.
///
/// # Errors
/// If a batch cannot be read.
pub fn evaluate<D: Dataset + 'static>(
    model: &dyn Forward,
    loss: Loss,
    data: &DataLoader<D>,
    each: impl FnMut(&Tensor, &Tensor),
) -> Result<Running> {
    model.eval();
    evaluate_by(&|x| model.forward(x), loss, data, each)
}

/// As [`evaluate`], of any way from inputs to outputs.
fn evaluate_by<D: Dataset + 'static>(
    forward: &dyn Fn(&Tensor) -> Tensor,
    loss: Loss,
    data: &DataLoader<D>,
    mut each: impl FnMut(&Tensor, &Tensor),
) -> Result<Running> {
    let mut seen = Running::default();
    no_grad(|| {
        for batch in data.epoch(0) {
            let (images, labels) = batch?;
            let outputs = forward(&images);
            let right = correct(loss, &outputs, &labels);
            seen.add_pixels(loss.of(&outputs, &labels).item_f64(), right, labels.size(0));
            each(&outputs, &labels);
        }
        Ok(seen)
    })
}

/// What is measured after an epoch.
struct Validation {
    seen: Running,
    numbers: Option<Regression>,
    pixels: Option<Confusion>,
}

/// As [`evaluate`], with the numbers of each example if numbers are foretold, and how pixels were classified.
fn measure<D: Dataset + 'static>(
    model: &dyn Forward,
    loss: Loss,
    data: &DataLoader<D>,
    target: Option<&TargetScale>,
) -> Result<Validation> {
    if let Some(target) = target {
        let (seen, numbers) = test_numbers(model, loss, data, target)?;
        return Ok(Validation { seen, numbers: Some(numbers), pixels: None });
    }
    let mut pixels = None;
    let seen = evaluate(model, loss, data, |outputs, labels| {
        if labels.rank() == 3 {
            let confusion = pixels.get_or_insert_with(|| Confusion::new(outputs.size(1)));
            pixels::count(confusion, &pixels::decided(outputs), &labels.to_vec::<i64>());
        }
    })?;
    Ok(Validation { seen, numbers: None, pixels })
}

/// As [`evaluate`], with the true and the foretold numbers of each example, in their own unit.
///
/// # Errors
/// As [`evaluate`].
pub fn test_numbers<D: Dataset + 'static>(
    model: &dyn Forward,
    loss: Loss,
    data: &DataLoader<D>,
    target: &TargetScale,
) -> Result<(Running, Regression)> {
    let (mut truth, mut predicted, mut width) = (Vec::new(), Vec::new(), 1);
    let unit = |t: &Tensor| t.to_dtype(DType::F64).to_vec::<f64>().into_iter().map(|v| v * target.std + target.mean);
    let seen = evaluate(model, loss, data, |outputs, labels| {
        width = outputs.size(1);
        truth.extend(unit(labels));
        predicted.extend(unit(outputs));
    })?;
    Ok((seen, Regression::new(truth, predicted, width)))
}

/// Logarithms of class probabilities of pictures in several crops, the mean over the crops: [N, crops, C, H, W] to
/// [N, classes]. Anything else goes straight through the model.
fn over_crops(model: &dyn Forward, images: &Tensor, crops: usize) -> Tensor {
    if crops == 1 {
        return model.forward(images);
    }
    let shape = images.shape();
    // (N, crops, C, H, W) -> (N crops, C, H, W)
    let outputs = model.forward(&images.reshape([&[shape[0] * crops], &shape[2..]].concat()));
    let classes = outputs.size(1);
    // (N crops, classes) -> (N, crops, classes) -> (N, classes)
    outputs.softmax(1).reshape([shape[0], crops, classes]).mean_dim(1, false).log()
}

/// As [`evaluate`], with the probabilities of each example: the mean over its crops if it has several.
///
/// # Errors
/// As [`evaluate`].
pub fn test<D: Dataset + 'static>(
    model: &dyn Forward,
    loss: Loss,
    data: &DataLoader<D>,
    classes: usize,
    crops: usize,
) -> Result<(Running, Classification)> {
    let (mut truth, mut probabilities) = (Vec::new(), Vec::new());
    model.eval();
    let seen = evaluate_by(&|x| over_crops(model, x, crops), loss, data, |outputs, labels| {
        truth.extend(labels.to_vec::<i64>().into_iter().map(|t| t as usize));
        // Log-probabilities are their own log-softmax, so this is right for them as for logits.
        probabilities.extend(loss.logits(&outputs.to_dtype(DType::F64)).softmax(1).to_vec::<f64>());
    })?;
    Ok((seen, Classification::new(truth, probabilities, classes)))
}

/// Runs `f` under a name that the profiler shows.
fn named<R>(name: &str, f: impl FnOnce() -> R) -> R {
    let _span = record_function(name);
    f()
}

/// How many rows of `outputs` [N, classes] are highest at their label, or where their label's probability is highest,
/// and of how many; of masks the pixels that count. Nothing where numbers are foretold.
fn correct(loss: Loss, outputs: &Tensor, labels: &Tensor) -> [usize; 2] {
    if loss.is_regression() {
        return [0, labels.size(0)];
    }
    if labels.rank() == 3 {
        return pixels::correct(&pixels::decided(outputs), &labels.to_vec::<i64>());
    }
    let classes = |t: &Tensor| t.detach().argmax(1, false).to_vec::<i64>();
    let truth = if labels.dtype().is_float() { classes(labels) } else { labels.to_vec::<i64>() };
    [classes(outputs).iter().zip(truth).filter(|(p, t)| **p == *t).count(), labels.size(0)]
}
