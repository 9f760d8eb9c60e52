//! Does a step of twice the work take twice the time? The same four nets at growing batches and sequences.

use crate::core_jobs;
use crate::job::{Job, adam, classifier, labels};
use crate::measure::{Effort, Phase, Reading, measure_job};
use crate::more::sequence::char_lstm;
use crate::prelude::*;

/// One net at growing sizes.
pub struct Series {
    /// The net.
    pub net: &'static str,
    /// What grows: the batch, or the length of the sequence.
    pub grows: &'static str,
    /// The sizes, ascending.
    pub sizes: &'static [usize],
    /// How much work a size is, up to a factor.
    pub work: fn(usize) -> f64,
    build: fn(usize) -> Box<dyn Job>,
}

const BATCHES: &[usize] = &[1, 4, 16, 64];
const LENGTHS: &[usize] = &[32, 128, 512];

/// An MLP, a convolutional net, an LSTM and a transformer.
pub const SCALING: &[Series] = &[
    batches("MLP 784-1024-1024-10", mlp),
    batches("three convolutions on 32x32", cnn),
    batches("LSTM 83-256-256, 64 steps", |n| lstm(n, 64)),
    batches("transformer, width 256, 128 positions", |n| encoder(n, 128)),
    Series {
        net: "LSTM 83-256-256, batch 4",
        grows: "sequence",
        sizes: LENGTHS,
        work: |l| l as f64,
        build: |l| lstm(4, l),
    },
    Series {
        net: "transformer, width 256, batch 4",
        grows: "sequence",
        sizes: LENGTHS,
        // A layer's 12 matrices of width x width, and the two products of the attention.
        work: |l| l as f64 * (1.0 + l as f64 / (6.0 * 256.0)),
        build: |l| encoder(4, l),
    },
];

const fn batches(net: &'static str, build: fn(usize) -> Box<dyn Job>) -> Series {
    Series { net, grows: "batch", sizes: BATCHES, work: |n| n as f64, build }
}

impl Series {
    /// Times the net at one size; the readings are named after net and size.
    pub fn measure(&self, size: usize, phases: &[Phase], effort: Effort, done: impl FnMut(Reading)) {
        let name = format!("{}: {} {size}", self.net, self.grows);
        measure_job(&name, [0.0; 2], || (self.build)(size), phases, effort, done);
    }

    /// Whether a unit of work takes longer at the larger of two sizes, beyond the noise of the two readings.
    pub fn rises(&self, smaller: (usize, &Reading), larger: (usize, &Reading)) -> bool {
        let a_unit = |ms: f64, size: usize| ms / (self.work)(size);
        a_unit(larger.1.ms_q1, larger.0) > a_unit(smaller.1.ms_q3, smaller.0)
    }
}

fn mlp(batch: usize) -> Box<dyn Job> {
    let model = sequential![Linear::new(784, 1024), ReLU, Linear::new(1024, 1024), ReLU, Linear::new(1024, 10)];
    classifier(model, Tensor::randn([batch, 784]), labels(batch, 10), adam)
}

fn cnn(batch: usize) -> Box<dyn Job> {
    classifier(core_jobs::cifar_net(), Tensor::randn([batch, 3, 32, 32]), labels(batch, 10), adam)
}

fn lstm(batch: usize, length: usize) -> Box<dyn Job> {
    classifier(char_lstm(256, 2), Tensor::randn([batch, length, 83]), labels(batch * length, 83), adam)
}

fn encoder(batch: usize, length: usize) -> Box<dyn Job> {
    let (net, x) = (crate::core_nets::TokenTransformer::new(), Tensor::randn([batch, length, 256]));
    classifier(net, x, labels(batch * length, 83), adam)
}
