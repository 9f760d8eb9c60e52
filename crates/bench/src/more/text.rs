//! Classifiers of texts.

use crate::job::{Job, adam, classifier, indices, labels};
use crate::prelude::*;

/// Convolutions of three widths over the words, the largest answer of each, and a layer on top.
#[derive(Module)]
struct TextCnn {
    words: Embedding,
    convs: Vec<Conv1d>,
    dropout: Dropout,
    fc: Linear,
}

impl Forward for TextCnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let words = self.words.forward(x).transpose(1, 2); // [N, width, T]
        let largest: Vec<Tensor> = self.convs.iter().map(|c| c.forward(&words).relu().amax(2, false)).collect();
        let features = Tensor::cat(&largest.iter().collect::<Vec<_>>(), 1); // [N, 300]
        self.fc.forward(&self.dropout.forward(&features))
    }
}

pub(crate) fn text_cnn() -> Box<dyn Job> {
    let model = TextCnn {
        words: Embedding::new(10_000, 128),
        convs: [3, 4, 5].map(|width| Conv1d::new(128, 100, width)).into(),
        dropout: Dropout::new(0.5),
        fc: Linear::new(300, 2),
    };
    let words = indices(32 * 128, 7919, 3, 10_000).reshape([32, 128]);
    classifier(model, words, labels(32, 2), adam)
}

pub(crate) fn bag_of_embeddings() -> Box<dyn Job> {
    let model = sequential![EmbeddingBag::new(50_000, 64), Linear::new(64, 4)];
    let words = indices(256 * 32, 7919, 3, 50_000).reshape([256, 32]);
    classifier(model, words, labels(256, 4), |p| Box::new(Sgd::new(p, 0.1)))
}
