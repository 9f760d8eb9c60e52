//! Recurrent cells on pictures: products become convolutions.

use super::cell::{Activation, RecurrentCell};
use super::lstm::LSTMState;
use super::stack::Recurrent;
use crate::init::{by_fan_in, fans};
use crate::layers::{Identity, IntoSizes, Tanh};
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{ConvConfig, Tensor, fail};

/// A convolution that keeps the size of its input.
fn same(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Tensor {
    let padding = [weight.size(2) / 2, weight.size(3) / 2];
    x.conv2d(weight, bias.map(|b| &**b), ConvConfig::default().padding(padding))
}

/// A parameter begun as a convolution's of a weight of this shape.
fn begin(shape: &[usize], weight: &[usize]) -> Param {
    Param::new(by_fan_in(shape, fans(weight).0))
}

#[track_caller]
fn odd(kind: &str, kernel: [usize; 2]) -> [usize; 2] {
    if kernel.iter().any(|k| k % 2 == 0) {
        fail(kind, format_args!("a kernel that keeps the size must be odd, got {kernel:?}"));
    }
    kernel
}

/// One step of a convolutional recurrent network: h' = tanh(W_ih ⋆ x + W_hh ⋆ h + b), and with
/// [`ConvRNNCell::read_out`] the output y = σ_y(W_hy ⋆ h' + b_y), else h'.
///
/// Parameters: `weight_ih` `[hidden, in, kh, kw]`, `weight_hh` `[hidden, hidden, kh, kw]`, `bias` `[hidden]`; with a
/// read-out `weight_hy` `[out, hidden, kh, kw]` and `bias_y` `[out]`. All begin as a convolution's. Zeros around
/// the picture keep its size.
///
/// # Shapes
/// `[N, in, H, W]`, h `[N, hidden, H, W]` -> `[N, hidden, H, W]`; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: the recurrent part of Pinheiro and Collobert, 2014, <https://arxiv.org/abs/1306.2795>.
///
/// ```
/// use gradus_nn::{ConvRNNCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let h = ConvRNNCell::new(1, 4, 3).forward(&Tensor::ones([2, 1, 6, 5]), None);
/// assert_eq!(h.shape(), [2, 4, 6, 5]);
/// ```
#[derive(Debug, Module)]
pub struct ConvRNNCell {
    /// `[hidden, in, kh, kw]`
    pub weight_ih: Param,
    /// `[hidden, hidden, kh, kw]`
    pub weight_hh: Param,
    /// `[hidden]`
    pub bias: Option<Param>,
    /// `[out, hidden, kh, kw]`
    pub weight_hy: Option<Param>,
    /// `[out]`
    pub bias_y: Option<Param>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    output_activation: Activation,
    scope: Scope,
}

impl ConvRNNCell {
    /// From `in_channels` to a state of `hidden_channels`, with tanh, a bias and no read-out.
    ///
    /// # Panics
    /// If the kernel's size is even.
    #[track_caller]
    pub fn new(in_channels: usize, hidden_channels: usize, kernel_size: impl IntoSizes<2>) -> ConvRNNCell {
        let [kh, kw] = odd(Self::CELL, kernel_size.into_sizes());
        let (w_ih, w_hh) = ([hidden_channels, in_channels, kh, kw], [hidden_channels, hidden_channels, kh, kw]);
        ConvRNNCell {
            weight_ih: begin(&w_ih, &w_ih),
            weight_hh: begin(&w_hh, &w_hh),
            bias: Some(begin(&w_ih[..1], &w_ih)),
            weight_hy: None,
            bias_y: None,
            activation: Activation::new(Self::CELL, Tanh),
            output_activation: Activation::new(Self::CELL, Identity),
            scope: Scope::default(),
        }
    }

    /// With or without biases.
    pub fn bias(mut self, on: bool) -> ConvRNNCell {
        self.bias = on.then(|| begin(&self.weight_ih.shape()[..1], &self.weight_ih.shape()));
        self.bias_y = self.weight_hy.as_ref().filter(|_| on).map(|w| begin(&w.shape()[..1], &w.shape()));
        self
    }

    /// σ, [`Tanh`] at first.
    ///
    /// # Panics
    /// If it has parameters.
    #[track_caller]
    pub fn activation(mut self, activation: impl Forward + 'static) -> ConvRNNCell {
        self.activation = Activation::new(Self::CELL, activation);
        self
    }

    /// With an output y = σ_y(W_hy ⋆ h + b_y) of `channels` channels, where σ_y is `activation`.
    ///
    /// # Panics
    /// If the activation has parameters.
    #[track_caller]
    pub fn read_out(mut self, channels: usize, activation: impl Forward + 'static) -> ConvRNNCell {
        self.output_activation = Activation::new(Self::CELL, activation);
        self.with_read_out(channels)
    }

    fn with_read_out(mut self, channels: usize) -> ConvRNNCell {
        let mut shape = self.weight_hh.shape().to_vec();
        shape[0] = channels;
        self.weight_hy = Some(begin(&shape, &shape));
        self.bias_y = self.bias.is_some().then(|| begin(&shape[..1], &shape));
        self
    }

    /// Channels of the state.
    pub fn hidden_channels(&self) -> usize {
        self.weight_hh.size(1)
    }
}

impl RecurrentCell for ConvRNNCell {
    type State = Tensor;
    const CELL: &'static str = "ConvRNNCell";
    const LAYER: &'static str = "ConvRNN";
    const RANK: usize = 3;

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.weight_hy.as_ref().map_or(self.hidden_channels(), |w| w.size(0))
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.hidden_channels(), input[2], input[3]]]
    }

    fn like(&self, input_size: usize) -> ConvRNNCell {
        let kernel = [self.weight_hh.size(2), self.weight_hh.size(3)];
        let new = ConvRNNCell::new(input_size, self.hidden_channels(), kernel).bias(self.bias.is_some());
        let new = match &self.weight_hy {
            Some(w) => new.with_read_out(w.size(0)),
            None => new,
        };
        let (activation, output_activation) = (self.activation.clone(), self.output_activation.clone());
        ConvRNNCell { activation, output_activation, ..new }
    }

    fn project(&self, x: &Tensor) -> Tensor {
        same(x, &self.weight_ih, self.bias.as_ref())
    }

    fn step(&self, projected: &Tensor, h: &Tensor) -> Tensor {
        self.activation.apply(&(projected + same(h, &self.weight_hh, None)))
    }

    fn output(&self, h: &Tensor) -> Tensor {
        let read = |w: &Param| self.output_activation.apply(&same(h, w, self.bias_y.as_ref()));
        self.weight_hy.as_ref().map_or(h.clone(), read)
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// A convolutional recurrent layer over films; its steps are those of [`ConvRNNCell`].
///
/// The state is a picture, and all states are kept for the gradient: memory grows with T * hidden * H * W.
/// Options and panics are those of [`Recurrent`], except that the batch comes first.
///
/// # Shapes
/// `[N, T, in, H, W]` -> `[N, T, hidden, H, W]` and `[layers, N, hidden, H, W]`; also without N
///
/// ```
/// use gradus_nn::{ConvRNN, ConvRNNCell, Recurrent, Sigmoid};
/// use gradus_tensor::Tensor;
/// let films = Tensor::zeros([2, 7, 1, 6, 5]);
/// assert_eq!(ConvRNN::new(1, 4, 3).forward(&films, None).0.shape(), [2, 7, 4, 6, 5]);
/// let labelled = Recurrent::of(ConvRNNCell::new(1, 4, 3).read_out(2, Sigmoid)).batch_first(true);
/// assert_eq!(labelled.forward(&films, None).0.shape(), [2, 7, 2, 6, 5]);
/// ```
pub type ConvRNN = Recurrent<ConvRNNCell>;

impl Recurrent<ConvRNNCell> {
    /// One layer in one direction, with a bias and no read-out, batch first.
    ///
    /// # Panics
    /// If the kernel's size is even.
    #[track_caller]
    pub fn new(in_channels: usize, hidden_channels: usize, kernel_size: impl IntoSizes<2>) -> Self {
        Recurrent::of(ConvRNNCell::new(in_channels, hidden_channels, kernel_size)).batch_first(true)
    }

    /// With or without biases.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }
}

/// One step of a convolutional LSTM: [`LSTMCell`](super::LSTMCell) with convolutions for products,
/// (i, f, g, o) = W_ih ⋆ x + W_hh ⋆ h + b, c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c').
///
/// [`ConvLSTMCell::peepholes`] adds p_i ⊙ c, p_f ⊙ c and p_o ⊙ c' to the gates, as in the paper; their weights
/// fix the size of the pictures.
///
/// Parameters: `weight_ih` `[4 hidden, in, kh, kw]`, `weight_hh` `[4 hidden, hidden, kh, kw]`, `bias` `[4 hidden]`,
/// gates in the order i, f, g, o, begun as a convolution's; with peepholes `weight_ch` `[3 hidden, H, W]` in the
/// order i, f, o, begun as zeros. Zeros around the picture keep its size.
///
/// # Shapes
/// `[N, in, H, W]`, h and c `[N, hidden, H, W]` -> h, c; or all of them without N
///
/// # Panics
/// `forward` panics if input or state have another shape.
///
/// Source: Shi et al., 2015, <https://arxiv.org/abs/1506.04214>.
///
/// ```
/// use gradus_nn::{ConvLSTMCell, RecurrentCell};
/// use gradus_tensor::Tensor;
/// let state = ConvLSTMCell::new(1, 4, [3, 5]).forward(&Tensor::ones([2, 1, 6, 5]), None);
/// assert_eq!(state.c.shape(), [2, 4, 6, 5]);
/// ```
#[derive(Debug, Module)]
pub struct ConvLSTMCell {
    /// `[4 hidden, in, kh, kw]`
    pub weight_ih: Param,
    /// `[4 hidden, hidden, kh, kw]`
    pub weight_hh: Param,
    /// `[4 hidden]`
    pub bias: Option<Param>,
    /// `[3 hidden, H, W]`
    pub weight_ch: Option<Param>,
    scope: Scope,
}

impl ConvLSTMCell {
    /// From `in_channels` to a state of `hidden_channels`, with a bias and no peepholes.
    ///
    /// # Panics
    /// If the kernel's size is even.
    #[track_caller]
    pub fn new(in_channels: usize, hidden_channels: usize, kernel_size: impl IntoSizes<2>) -> ConvLSTMCell {
        let [kh, kw] = odd(Self::CELL, kernel_size.into_sizes());
        let rows = 4 * hidden_channels;
        let (w_ih, w_hh) = ([rows, in_channels, kh, kw], [rows, hidden_channels, kh, kw]);
        ConvLSTMCell {
            weight_ih: begin(&w_ih, &w_ih),
            weight_hh: begin(&w_hh, &w_hh),
            bias: Some(begin(&[rows], &w_ih)),
            weight_ch: None,
            scope: Scope::default(),
        }
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> ConvLSTMCell {
        self.bias = on.then(|| begin(&self.weight_ih.shape()[..1], &self.weight_ih.shape()));
        self
    }

    /// With peepholes, for pictures of this size only.
    pub fn peepholes(mut self, height: usize, width: usize) -> ConvLSTMCell {
        self.weight_ch = Some(Param::new(Tensor::zeros([3 * self.hidden_channels(), height, width])));
        self
    }

    /// Channels of the state.
    pub fn hidden_channels(&self) -> usize {
        self.weight_hh.size(1)
    }

    /// `sum` and what the peephole of a gate (0 input, 1 forget, 2 output) adds.
    fn peeped(&self, sum: &Tensor, gate: usize, c: &Tensor) -> Tensor {
        let n = self.hidden_channels();
        self.weight_ch.as_ref().map_or(sum.clone(), |w| sum + w.narrow(0, gate * n, n) * c)
    }
}

impl RecurrentCell for ConvLSTMCell {
    type State = LSTMState;
    const CELL: &'static str = "ConvLSTMCell";
    const LAYER: &'static str = "ConvLSTM";
    const RANK: usize = 3;

    fn input_size(&self) -> usize {
        self.weight_ih.size(1)
    }

    fn output_size(&self) -> usize {
        self.hidden_channels()
    }

    fn state_shapes(&self, input: &[usize]) -> Vec<Vec<usize>> {
        vec![vec![input[0], self.hidden_channels(), input[2], input[3]]; 2]
    }

    fn like(&self, input_size: usize) -> ConvLSTMCell {
        let kernel = [self.weight_hh.size(2), self.weight_hh.size(3)];
        let new = ConvLSTMCell::new(input_size, self.hidden_channels(), kernel).bias(self.bias.is_some());
        match &self.weight_ch {
            Some(w) => new.peepholes(w.size(1), w.size(2)),
            None => new,
        }
    }

    fn project(&self, x: &Tensor) -> Tensor {
        if let Some(w) = &self.weight_ch
            && (w.size(1), w.size(2)) != (x.size(2), x.size(3))
        {
            let (h, w) = (w.size(1), w.size(2));
            fail(
                Self::LAYER,
                format_args!("has peepholes for pictures [{h}, {w}], got [{}, {}]", x.size(2), x.size(3)),
            );
        }
        same(x, &self.weight_ih, self.bias.as_ref())
    }

    fn step(&self, projected: &Tensor, LSTMState { h, c }: &LSTMState) -> LSTMState {
        let sums = (projected + same(h, &self.weight_hh, None)).chunk(4, 1);
        let i = self.peeped(&sums[0], 0, c).sigmoid();
        let f = self.peeped(&sums[1], 1, c).sigmoid();
        let c = f * c + i * sums[2].tanh();
        let o = self.peeped(&sums[3], 2, &c).sigmoid();
        LSTMState { h: o * c.tanh(), c }
    }

    fn output(&self, state: &LSTMState) -> Tensor {
        state.h.clone()
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// A convolutional LSTM layer over films; its steps are those of [`ConvLSTMCell`].
///
/// Options and panics are those of [`Recurrent`], except that the batch comes first.
///
/// # Shapes
/// `[N, T, in, H, W]` -> `[N, T, hidden, H, W]`, h and c `[layers, N, hidden, H, W]`; also without N
///
/// ```
/// use gradus_nn::ConvLSTM;
/// use gradus_tensor::Tensor;
/// let (y, state) = ConvLSTM::new(1, 4, 3).num_layers(2).forward(&Tensor::zeros([2, 7, 1, 6, 5]), None);
/// assert_eq!(y.shape(), [2, 7, 4, 6, 5]);
/// assert_eq!(state.h.shape(), [2, 2, 4, 6, 5]);
/// ```
pub type ConvLSTM = Recurrent<ConvLSTMCell>;

impl Recurrent<ConvLSTMCell> {
    /// One layer in one direction, with a bias and no peepholes, batch first.
    ///
    /// # Panics
    /// If the kernel's size is even.
    #[track_caller]
    pub fn new(in_channels: usize, hidden_channels: usize, kernel_size: impl IntoSizes<2>) -> Self {
        Recurrent::of(ConvLSTMCell::new(in_channels, hidden_channels, kernel_size)).batch_first(true)
    }

    /// With or without a bias.
    pub fn bias(self, on: bool) -> Self {
        self.arranged(|cell| cell.bias(on))
    }

    /// With peepholes, for pictures of this size only.
    pub fn peepholes(self, height: usize, width: usize) -> Self {
        self.arranged(|cell| cell.peepholes(height, width))
    }
}
