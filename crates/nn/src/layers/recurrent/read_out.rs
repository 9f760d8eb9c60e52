//! What of a recurrent layer's results the next layer of a [`Sequential`](crate::Sequential) gets.

use super::cell::RecurrentCell;
use super::packed::PackedSequence;
use super::stack::Recurrent;
use crate::module::{Forward, Module};
use gradus_tensor::Tensor;

/// Many to one: the output of the last layer after the last step it read, from a state of zeros.
///
/// With two directions the reverse one's, which has read the sequence down to its first element, stands beside the
/// forward one's.
///
/// # Shapes
/// as [`Recurrent`]'s input -> `[N, directions * hidden]` (without N if the input has none)
///
/// # Panics
/// `forward` panics as [`Recurrent::forward`].
///
/// ```
/// use gradus_nn::{Embedding, Forward, LSTM, LastStep, Linear, sequential};
/// use gradus_tensor::Tensor;
/// let sentiment = sequential![
///     Embedding::new(1000, 16),
///     LastStep::new(LSTM::new(16, 32).num_layers(2).batch_first(true)),
///     Linear::new(32, 1),
/// ];
/// let reviews = Tensor::randint(0, 1000, [5, 40]);
/// assert_eq!(sentiment.forward(&reviews).shape(), [5, 1]);
/// ```
#[derive(Debug, Module)]
pub struct LastStep<C: RecurrentCell> {
    /// The layer read.
    pub layer: Recurrent<C>,
}

impl<C: RecurrentCell> LastStep<C> {
    /// Reads `layer`'s last step.
    pub fn new(layer: Recurrent<C>) -> LastStep<C> {
        LastStep { layer }
    }

    /// The same for sequences of different lengths, each after its own last step.
    ///
    /// # Panics
    /// As [`Recurrent::forward_packed`].
    pub fn forward_packed(&self, x: &PackedSequence) -> Tensor {
        self.layer.last_output(&self.layer.forward_packed(x, None).1)
    }
}

impl<C: RecurrentCell> Forward for LastStep<C> {
    fn forward(&self, x: &Tensor) -> Tensor {
        if x.rank() == C::RANK + 1 {
            let batch = 1 - self.layer.time_dim();
            return self.forward(&x.unsqueeze(batch)).squeeze(0);
        }
        self.layer.last_output(&self.layer.forward(x, None).1)
    }
}

/// Many to many: the outputs of all steps, from a state of zeros.
///
/// # Shapes
/// as [`Recurrent`]'s
///
/// # Panics
/// `forward` panics as [`Recurrent::forward`].
///
/// ```
/// use gradus_nn::{Forward, Linear, Outputs, RNN, sequential};
/// use gradus_tensor::Tensor;
/// let series = sequential![Outputs::new(RNN::new(1, 32).batch_first(true)), Linear::new(32, 1)];
/// assert_eq!(series.forward(&Tensor::zeros([4, 20, 1])).shape(), [4, 20, 1]);
/// ```
#[derive(Debug, Module)]
pub struct Outputs<C: RecurrentCell> {
    /// The layer read.
    pub layer: Recurrent<C>,
}

impl<C: RecurrentCell> Outputs<C> {
    /// Reads all of `layer`'s outputs.
    pub fn new(layer: Recurrent<C>) -> Outputs<C> {
        Outputs { layer }
    }
}

impl<C: RecurrentCell> Forward for Outputs<C> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.layer.forward(x, None).0
    }
}
