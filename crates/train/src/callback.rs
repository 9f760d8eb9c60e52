//! What may be added to the training loop without touching it.

use crate::error::Result;
use crate::metrics::{EpochMetrics, Running};
use crate::recipe::Loss;
use gradus_nn::Forward;
use gradus_nn::optim::Optimizer;
use gradus_nn::utils::AveragedModel;
use gradus_tensor::Tensor;
use std::cell::RefCell;
use std::time::Instant;

/// Where a run stands; handed to every callback.
pub struct Progress<'a> {
    /// The model in training.
    pub model: &'a dyn Forward,
    /// What is minimised.
    pub loss: Loss,
    /// What changes the weights.
    pub optimizer: RefCell<Box<dyn Optimizer>>,
    /// An average of the weights, if the run keeps one.
    pub average: RefCell<Option<AveragedModel>>,
    /// The epoch, counted from 1; 0 before the first.
    pub epoch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
    /// Batches of the current epoch that are done; 0 between epochs.
    pub batch: usize,
    /// Optimiser steps taken so far in the run.
    pub step: usize,
    /// Optimiser steps of one epoch.
    pub steps_per_epoch: usize,
    /// The learning rate of the current step.
    pub lr: f64,
    /// Loss and accuracy of the current epoch so far.
    pub running: Running,
    /// When the current epoch began.
    pub epoch_start: Instant,
    /// The epochs that are finished.
    pub history: Vec<EpochMetrics>,
    /// Whether the run was cut off; it can be continued.
    pub stopped: bool,
    /// Whether a callback found that the run has done enough.
    pub finished: bool,
}

impl Progress<'_> {
    /// Runs `f` with the averaged weights in the model, if the run keeps an average.
    pub fn averaged<R>(&self, f: impl FnOnce() -> R) -> R {
        let swap = || self.average.borrow_mut().iter_mut().for_each(|average| average.swap(self.model));
        swap();
        let result = f();
        swap();
        result
    }

    /// Wall time of the run so far, that of an earlier part included.
    pub fn seconds(&self) -> f64 {
        let open = if self.batch > 0 { self.epoch_start.elapsed().as_secs_f64() } else { 0.0 };
        self.history.iter().map(|m| m.seconds).sum::<f64>() + open
    }
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Cut the run off after this step.
    Stop,
    /// The run has done enough: it ends as after its last epoch.
    Finish,
}

/// A batch whose loss is known and whose gradients are not.
pub struct Batch<'a> {
    /// The inputs.
    pub images: &'a Tensor,
    /// The classes.
    pub labels: &'a Tensor,
    /// The mean loss.
    pub loss: f64,
}

/// Something that watches a run, and may end it. Every method does nothing unless it is written.
#[allow(unused_variables, reason = "the default methods do nothing")]
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// An error ends the run.
    fn on_start(&mut self, at: &Progress) -> Result<()> {
        Ok(())
    }

    /// Before the forward pass: what the model sees of a batch.
    fn on_batch(&mut self, at: &Progress, images: Tensor, labels: Tensor) -> (Tensor, Tensor) {
        (images, labels)
    }

    /// After the loss of a batch, before its gradients and its step.
    ///
    /// # Errors
    /// An error ends the run; the step is not taken.
    fn on_loss(&mut self, at: &Progress, batch: &Batch) -> Result<()> {
        Ok(())
    }

    /// After the backward pass of a batch; `whole` says that the gradients are complete and the step comes next.
    ///
    /// # Errors
    /// An error ends the run; the step is not taken.
    fn on_backward(&mut self, at: &Progress, whole: bool) -> Result<()> {
        Ok(())
    }

    /// After an optimiser step.
    ///
    /// # Errors
    /// An error ends the run.
    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// After an epoch and its validation; the last entry of `at.history` is its metrics.
    ///
    /// # Errors
    /// An error ends the run.
    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        Ok(Flow::Continue)
    }

    /// At the end of a run that no error cut short, whether it was stopped early or not.
    ///
    /// # Errors
    /// An error takes the place of the run's result.
    fn on_end(&mut self, at: &Progress) -> Result<()> {
        Ok(())
    }
}
