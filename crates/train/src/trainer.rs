//! The training loop.

use crate::callback::{Batch, Callback, Flow, Progress};
use crate::error::Result;
use crate::metrics::{Confusion, EpochMetrics, Running};
use crate::recipe::Loss;
use crate::schedule::Schedule;
use gradus_data::DataLoader;
use gradus_nn::Forward;
use gradus_nn::optim::Optimizer;
use gradus_tensor::{Tensor, no_grad, profiler::record_function};
use std::time::Instant;

/// A model, how it learns, and who watches.
pub struct Trainer<'a> {
    /// The model.
    pub model: &'a dyn Forward,
    /// The optimiser over its parameters; its learning rate is the base of the schedule.
    pub optimizer: Box<dyn Optimizer>,
    /// What is minimised.
    pub loss: Loss,
    /// The learning-rate schedule.
    pub schedule: Schedule,
    /// Passes over the training examples.
    pub epochs: usize,
    /// Whatever else should happen, in this order.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
}

impl<'a> Trainer<'a> {
    /// Trains for `epochs` passes over `train`, measuring on `validation` after each.
    ///
    /// # Errors
    /// Whatever a callback ends the run with.
    pub fn fit(&mut self, train: &DataLoader, validation: &DataLoader) -> Result<Progress<'a>> {
        let base_lr = self.optimizer.lr();
        let mut at = self.start(train.num_batches());
        self.callbacks.iter_mut().try_for_each(|c| c.on_start(&at))?;
        while at.epoch < at.epochs && !at.stopped {
            at.begin_epoch();
            self.model.train();
            for batch in train.epoch(at.epoch) {
                let (images, labels) = batch?;
                let done = at.step as f64 / at.steps_per_epoch as f64;
                at.lr = base_lr * self.schedule.factor(done, at.epochs);
                self.optimizer.set_lr(at.lr);
                self.optimizer.zero_grad();
                let outputs = named("forward", || self.model.forward(&images));
                let loss = named("loss", || self.loss.of(&outputs, &labels));
                let batch = Batch { images: &images, labels: &labels, loss: loss.item_f64() };
                let right = named("metrics", || correct(&outputs, &labels));
                at.running.add(batch.loss, right, images.size(0));
                self.callbacks.iter_mut().try_for_each(|c| c.on_loss(&at, &batch))?;
                loss.backward();
                self.optimizer.step();
                at.step += 1;
                for c in &mut self.callbacks {
                    at.stopped |= c.on_step(&at)? == Flow::Stop;
                }
                if at.stopped {
                    break;
                }
            }
            if !at.stopped {
                at.end_epoch(&evaluate(self.model, self.loss, validation, |_, _| ())?);
                self.callbacks.iter_mut().try_for_each(|c| c.on_epoch(&at))?;
            }
        }
        self.callbacks.iter_mut().try_for_each(|c| c.on_end(&at))?;
        Ok(at)
    }

    fn start(&self, steps_per_epoch: usize) -> Progress<'a> {
        Progress {
            model: self.model,
            loss: self.loss,
            epoch: 0,
            epochs: self.epochs,
            step: 0,
            steps_per_epoch,
            lr: self.optimizer.lr(),
            running: Running::default(),
            epoch_start: Instant::now(),
            history: Vec::new(),
            stopped: false,
        }
    }
}

impl Progress<'_> {
    fn begin_epoch(&mut self) {
        self.epoch += 1;
        self.running = Running::default();
        self.epoch_start = Instant::now();
    }

    fn end_epoch(&mut self, validation: &Running) {
        self.history.push(EpochMetrics {
            epoch: self.epoch,
            lr: self.lr,
            train_loss: self.running.loss(),
            train_batch_loss: self.running.batch_mean_loss(),
            train_accuracy: self.running.accuracy(),
            val_loss: validation.loss(),
            val_accuracy: validation.accuracy(),
            seconds: self.epoch_start.elapsed().as_secs_f64(),
        });
    }
}

/// Loss and accuracy of `model`, in evaluation mode and without a graph; `each` sees every (truth, prediction).
///
/// # Errors
/// If a batch cannot be read.
pub fn evaluate(
    model: &dyn Forward,
    loss: Loss,
    data: &DataLoader,
    mut each: impl FnMut(usize, usize),
) -> Result<Running> {
    model.eval();
    let mut seen = Running::default();
    no_grad(|| {
        for batch in data.epoch(0) {
            let (images, labels) = batch?;
            let outputs = model.forward(&images);
            let predicted = outputs.argmax(1, false).to_vec::<i64>();
            let truth = labels.to_vec::<i64>();
            let right = predicted.iter().zip(&truth).filter(|(p, t)| p == t).count();
            seen.add(loss.of(&outputs, &labels).item_f64(), right, truth.len());
            truth.iter().zip(&predicted).for_each(|(&t, &p)| each(t as usize, p as usize));
        }
        Ok(seen)
    })
}

/// As [`evaluate`], with the confusion matrix.
///
/// # Errors
/// As [`evaluate`].
pub fn test(model: &dyn Forward, loss: Loss, data: &DataLoader, classes: usize) -> Result<(Running, Confusion)> {
    let mut confusion = Confusion::new(classes);
    let seen = evaluate(model, loss, data, |truth, predicted| confusion.add(truth, predicted))?;
    Ok((seen, confusion))
}

/// Runs `f` under a name that the profiler shows.
fn named<R>(name: &str, f: impl FnOnce() -> R) -> R {
    let _span = record_function(name);
    f()
}

/// How many rows of `outputs` [N, classes] are highest at their label.
fn correct(outputs: &Tensor, labels: &Tensor) -> usize {
    let predicted = outputs.detach().argmax(1, false).to_vec::<i64>();
    predicted.iter().zip(labels.to_vec::<i64>()).filter(|(p, t)| **p == *t).count()
}
