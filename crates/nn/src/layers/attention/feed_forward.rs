//! The position-wise network of the transformer.

use crate::module::{Forward, Module, Scope};
use crate::{Dropout, Linear};
use gradus_tensor::Tensor;

/// A network of one hidden layer, the same at every position: W_2 dropout(activation(W_1 x + b_1)) + b_2.
///
/// The same computation is part of [`TransformerEncoderLayer`](crate::TransformerEncoderLayer) and
/// [`TransformerDecoderLayer`](crate::TransformerDecoderLayer), whose parameters carry the same names.
///
/// # Shapes
/// `[..., d_model]` -> the same
///
/// # Panics
/// `forward` panics if the last dimension of the input is not `d_model`.
///
/// Source: Vaswani et al., 2017, section 3.3, <https://arxiv.org/abs/1706.03762>.
///
/// ```
/// use gradus_nn::{Forward, PositionwiseFeedForward};
/// use gradus_tensor::Tensor;
/// let network = PositionwiseFeedForward::new(8, 32).activation(Tensor::gelu);
/// assert_eq!(network.forward(&Tensor::zeros([2, 5, 8])).shape(), [2, 5, 8]);
/// ```
#[derive(Debug, Module)]
pub struct PositionwiseFeedForward {
    /// From `d_model` to `dim_feedforward` numbers.
    pub linear1: Linear,
    /// Back to `d_model`.
    pub linear2: Linear,
    dropout: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    scope: Scope,
}

impl PositionwiseFeedForward {
    /// A network of width `d_model` with `dim_feedforward` hidden units.
    pub fn new(d_model: usize, dim_feedforward: usize) -> PositionwiseFeedForward {
        PositionwiseFeedForward {
            linear1: Linear::new(d_model, dim_feedforward),
            linear2: Linear::new(dim_feedforward, d_model),
            dropout: Dropout::new(0.1),
            activation: Tensor::relu,
            scope: Scope::default(),
        }
    }

    /// Probability of dropping a hidden unit in training (0.1).
    ///
    /// # Panics
    /// If it is not in 0..=1.
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self
    }

    /// What the hidden units apply (`Tensor::relu`).
    pub fn activation(mut self, activation: fn(&Tensor) -> Tensor) -> Self {
        self.activation = activation;
        self
    }

    /// With or without biases.
    pub fn bias(mut self, on: bool) -> Self {
        (self.linear1, self.linear2) = (self.linear1.bias(on), self.linear2.bias(on));
        self
    }
}

impl Forward for PositionwiseFeedForward {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        feed_forward(x, [&self.linear1, &self.linear2], &self.dropout, self.activation)
    }
}

/// The computation of [`PositionwiseFeedForward`].
pub(super) fn feed_forward(
    x: &Tensor,
    [linear1, linear2]: [&Linear; 2],
    dropout: &Dropout,
    activation: fn(&Tensor) -> Tensor,
) -> Tensor {
    linear2.forward(&dropout.forward(&activation(&linear1.forward(x))))
}
