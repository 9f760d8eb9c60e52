//! What may be added to the training loop without touching it.

use crate::error::Result;
use crate::metrics::{EpochMetrics, Running};
use crate::recipe::Loss;
use gradus_nn::Forward;
use gradus_tensor::Tensor;
use std::time::Instant;

/// Where a run stands; handed to every callback.
pub struct Progress<'a> {
    /// The model in training.
    pub model: &'a dyn Forward,
    /// What is minimised.
    pub loss: Loss,
    /// The epoch, counted from 1; 0 before the first.
    pub epoch: usize,
    /// Epochs of the whole run.
    pub epochs: usize,
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
    /// Whether a callback ended the run before its last epoch was finished.
    pub stopped: bool,
}

/// Whether the loop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the run after this step.
    Stop,
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

    /// After the loss of a batch, before its gradients and its step.
    ///
    /// # Errors
    /// An error ends the run; the step is not taken.
    fn on_loss(&mut self, at: &Progress, batch: &Batch) -> Result<()> {
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
    fn on_epoch(&mut self, at: &Progress) -> Result<()> {
        Ok(())
    }

    /// At the end of a run that no error cut short, whether it was stopped early or not.
    ///
    /// # Errors
    /// An error takes the place of the run's result.
    fn on_end(&mut self, at: &Progress) -> Result<()> {
        Ok(())
    }
}
