//! Recurrent networks, attention and convolutions over sequences.

use crate::job::{Job, adam, adamw, classifier, indices, labels, task};
use crate::prelude::*;

/// Recurrent layers over characters and the scores of the next one at every step.
#[derive(Module)]
pub(crate) struct CharNet<R> {
    layers: R,
    fc: Linear,
}

macro_rules! char_net {
    ($($layer:ty),*) => { $(
        impl Forward for CharNet<$layer> {
            fn forward(&self, x: &Tensor) -> Tensor {
                let (y, _) = self.layers.forward(x, None); // [N, T, hidden]
                self.fc.forward(&y).flatten(0, 1) // [N T, 83]
            }
        }
    )* };
}
char_net!(LSTM, GRU, RNN);

pub(crate) fn char_gru() -> Box<dyn Job> {
    let model = CharNet { layers: GRU::new(83, 256).num_layers(2).batch_first(true), fc: Linear::new(256, 83) };
    classifier(model, Tensor::randn([32, 64, 83]), labels(32 * 64, 83), adam)
}

pub(crate) fn char_rnn() -> Box<dyn Job> {
    let model = CharNet { layers: RNN::new(83, 256).num_layers(2).batch_first(true), fc: Linear::new(256, 83) };
    classifier(model, Tensor::randn([32, 64, 83]), labels(32 * 64, 83), adam)
}

/// An LSTM of `layers` layers of `hidden` units.
pub(crate) fn char_lstm(hidden: usize, layers: usize) -> CharNet<LSTM> {
    CharNet { layers: LSTM::new(83, hidden).num_layers(layers).batch_first(true), fc: Linear::new(hidden, 83) }
}

pub(crate) fn char_lstm_512() -> Box<dyn Job> {
    classifier(char_lstm(512, 2), Tensor::randn([8, 64, 83]), labels(8 * 64, 83), adam)
}

/// A tag for every word, read in both directions.
#[derive(Module)]
struct Tagger {
    words: Embedding,
    lstm: LSTM,
    fc: Linear,
}

impl Forward for Tagger {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (y, _) = self.lstm.forward(&self.words.forward(x), None); // [N, T, 256]
        self.fc.forward(&y).flatten(0, 1) // [N T, 20]
    }
}

pub(crate) fn bilstm() -> Box<dyn Job> {
    let model = Tagger {
        words: Embedding::new(5000, 128),
        lstm: LSTM::new(128, 128).bidirectional(true).batch_first(true),
        fc: Linear::new(256, 20),
    };
    let words = indices(16 * 100, 7919, 3, 5000).reshape([16, 100]);
    classifier(model, words, labels(16 * 100, 20), adam)
}

/// Attention to what came before.
#[derive(Module)]
struct CausalAttention {
    qkv: Linear,
    out: Linear,
    dropout: Dropout,
    heads: usize,
    p: f64,
    mode: Mode,
}

impl Forward for CausalAttention {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (n, l, width) = (x.size(0), x.size(1), x.size(2));
        let heads = |t: &Tensor| t.reshape([n, l, self.heads, width / self.heads]).transpose(1, 2);
        let qkv = self.qkv.forward(x).chunk(3, 2);
        let dropout_p = if self.mode.is_training() { self.p } else { 0.0 };
        let options = AttentionOptions { is_causal: true, dropout_p, ..Default::default() };
        let y = scaled_dot_product_attention_with(&heads(&qkv[0]), &heads(&qkv[1]), &heads(&qkv[2]), options);
        self.dropout.forward(&self.out.forward(&y.transpose(1, 2).reshape([n, l, width])))
    }
}

/// A block of a GPT: attention and a network of two layers, each behind a normalisation and beside a shortcut.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    attention: CausalAttention,
    norm2: LayerNorm,
    mlp: Sequential,
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.attention.forward(&self.norm1.forward(x));
        &x + self.mlp.forward(&self.norm2.forward(&x))
    }
}

/// A decoder that predicts the next token.
#[derive(Module)]
struct Gpt {
    tokens: Embedding,
    positions: Embedding,
    dropout: Dropout,
    blocks: Vec<Block>,
    norm: LayerNorm,
    fc: Linear,
}

impl Gpt {
    fn new(vocabulary: usize, length: usize, width: usize, heads: usize, depth: usize, p: f64) -> Gpt {
        let block = || Block {
            norm1: LayerNorm::new(width),
            attention: CausalAttention {
                qkv: Linear::new(width, 3 * width),
                out: Linear::new(width, width),
                dropout: Dropout::new(p),
                heads,
                p,
                mode: Mode::default(),
            },
            norm2: LayerNorm::new(width),
            mlp: sequential![
                Linear::new(width, 4 * width),
                GELU::new(),
                Linear::new(4 * width, width),
                Dropout::new(p)
            ],
        };
        Gpt {
            tokens: Embedding::new(vocabulary, width),
            positions: Embedding::new(length, width),
            dropout: Dropout::new(p),
            blocks: (0..depth).map(|_| block()).collect(),
            norm: LayerNorm::new(width),
            fc: Linear::new(width, vocabulary).bias(false),
        }
    }
}

impl Forward for Gpt {
    fn forward(&self, x: &Tensor) -> Tensor {
        let places = Tensor::from_vec((0..x.size(1) as i64).collect(), [x.size(1)]);
        let x = self.tokens.forward(x) + self.positions.forward(&places);
        let x = self.blocks.iter().fold(self.dropout.forward(&x), |x, block| block.forward(&x));
        self.fc.forward(&self.norm.forward(&x)).flatten(0, 1)
    }
}

pub(crate) fn gpt() -> Box<dyn Job> {
    let tokens = indices(4 * 256, 7919, 3, 1000).reshape([4, 256]);
    classifier(Gpt::new(1000, 256, 256, 8, 4, 0.1), tokens, labels(4 * 256, 1000), adamw)
}

pub(crate) fn long_attention() -> Box<dyn Job> {
    let model = TransformerEncoderLayer::new(256, 4).dim_feedforward(1024).dropout(0.0).batch_first(true);
    let target = Tensor::randn([1, 2048, 256]);
    task(model, Tensor::randn([1, 2048, 256]), adam, move |y| mse_loss(y, &target))
}

/// Two causal convolutions, dilated, beside a shortcut.
#[derive(Module)]
struct TemporalBlock {
    net: Sequential,
    shortcut: Option<Conv1d>,
}

impl TemporalBlock {
    fn new(inputs: usize, outputs: usize, dilation: usize) -> TemporalBlock {
        let mut net = Sequential::new();
        for from in [inputs, outputs] {
            net.push(ConstantPad1d::new([2 * dilation as isize, 0], 0.0));
            net.push(Conv1d::new(from, outputs, 3).dilation(dilation));
            net.push(ReLU);
            net.push(Dropout::new(0.1));
        }
        TemporalBlock { net, shortcut: (inputs != outputs).then(|| Conv1d::new(inputs, outputs, 1)) }
    }
}

impl Forward for TemporalBlock {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.net.forward(x);
        match &self.shortcut {
            Some(conv) => (y + conv.forward(x)).relu(),
            None => (y + x).relu(),
        }
    }
}

/// A temporal convolutional network; the last step's output is classified.
#[derive(Module)]
struct Tcn {
    blocks: Sequential,
    fc: Linear,
}

impl Forward for Tcn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.blocks.forward(x); // [N, 64, T]
        self.fc.forward(&y.select(2, y.size(2) - 1))
    }
}

pub(crate) fn tcn() -> Box<dyn Job> {
    let mut blocks = Sequential::new();
    for (inputs, dilation) in [(8, 1), (64, 2), (64, 4), (64, 8)] {
        blocks.push(TemporalBlock::new(inputs, 64, dilation));
    }
    let model = Tcn { blocks, fc: Linear::new(64, 10) };
    classifier(model, Tensor::randn([16, 8, 256]), labels(16, 10), adam)
}
