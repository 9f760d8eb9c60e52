//! Capsules: groups of neurons whose vector's length is the probability that something is there and whose direction
//! is its state (Sabour, Frosst and Hinton, 2017, <https://arxiv.org/abs/1710.09829>).

use super::conv::{Conv2d, Padding};
use super::sizes::IntoSizes;
use crate::module::{Forward, Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// Shortens vectors along one dimension to a length in [0, 1), keeping their direction:
/// v = |s|^2 / (1 + |s|^2) * s / |s|. A zero vector stays, with gradient 0.
///
/// # Shapes
/// any -> the same
///
/// # Panics
/// `forward` panics if the input does not have the dimension.
///
/// Source: Sabour et al., 2017, equation 1, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_nn::{Forward, Squash};
/// use gradus_tensor::Tensor;
/// let v = Squash::new(-1).forward(&Tensor::from_slice(&[0.0f32, 1.0, 0.0, 0.0], [2, 2]));
/// assert_eq!(v.to_vec::<f32>(), [0.0, 0.5, 0.0, 0.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Squash {
    dim: isize,
    scope: Scope,
}

impl Squash {
    /// Vectors along `dim`, counted from the end if negative.
    pub fn new(dim: isize) -> Squash {
        Squash { dim, scope: Scope::default() }
    }
}

impl Forward for Squash {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        squash(x, self.dim)
    }
}

fn squash(x: &Tensor, dim: isize) -> Tensor {
    let length = x.norm_dim(2.0, [dim], true);
    x * (&length / (length.square() + 1.0))
}

/// Routing by agreement. Each capsule i below predicts the vector of each capsule j above; those whose predictions
/// agree with the outcome are coupled to it more strongly, for a number of rounds:
///
/// c_i = softmax_j(b_ij), s_j = sum_i c_ij u_(j|i), v_j = squash(s_j), then b_ij += u_(j|i) . v_j, with b = 0 at first.
///
/// Returns v and the coupling coefficients c of the last round, which sum to 1 over j. Gradients flow through all
/// rounds.
///
/// # Shapes
/// `predictions` `[N, J, I, D]` -> v `[N, J, D]`, c `[N, J, I]`
///
/// # Panics
/// If `predictions` has another rank or `iterations` is 0.
///
/// Source: Sabour et al., 2017, procedure 1, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_nn::dynamic_routing;
/// use gradus_tensor::Tensor;
/// let (v, c) = dynamic_routing(&Tensor::ones([2, 5, 3, 4]), 3);
/// assert_eq!((v.shape().to_vec(), c.shape().to_vec()), (vec![2, 5, 4], vec![2, 5, 3]));
/// ```
#[track_caller]
pub fn dynamic_routing(predictions: &Tensor, iterations: usize) -> (Tensor, Tensor) {
    if predictions.rank() != 4 || iterations == 0 {
        let shape = predictions.shape();
        let what =
            format_args!("needs predictions [N, J, I, D] and at least 1 iteration, got {shape} and {iterations}");
        fail("dynamic_routing", what);
    }
    // Each round reads all of them twice, which is faster in the order of these products than in another.
    let predictions = &predictions.contiguous();
    let mut logits = predictions.detach().select(3, 0).zeros_like();
    for round in 1.. {
        let couplings = logits.softmax(1);
        let s = couplings.unsqueeze(2).matmul(predictions).squeeze(2); // [N, J, 1, I] x [N, J, I, D] -> [N, J, D]
        let v = squash(&s, -1);
        if round == iterations {
            return (v, couplings);
        }
        logits = logits + predictions.matmul(&v.unsqueeze(-1)).squeeze(-1); // [N, J, I, D] x [N, J, D, 1] -> [N, J, I]
    }
    unreachable!("the rounds end at `iterations`")
}

/// The first layer of capsules: a convolution whose channels are taken together as vectors, and squashed.
///
/// Parameters: those of [`Conv2d`], named `conv.weight` `[capsules * dim, in, kernel, kernel]` and `conv.bias`.
///
/// # Shapes
/// `[N, in, H, W]` -> `[N, capsules * H' * W', dim]`, where H' and W' are those of the convolution; the places of one
/// kind of capsule lie together
///
/// # Panics
/// `forward` panics if the input has another rank or number of channels, or is smaller than the kernel.
///
/// Source: Sabour et al., 2017, section 4, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_nn::{Forward, PrimaryCapsules};
/// use gradus_tensor::Tensor;
/// let layer = PrimaryCapsules::new(16, 4, 8, 9).stride(2);
/// assert_eq!(layer.forward(&Tensor::zeros([2, 16, 20, 20])).shape(), [2, 4 * 6 * 6, 8]);
/// ```
#[derive(Debug, Module)]
pub struct PrimaryCapsules {
    /// The convolution, to `capsules * dim` channels.
    pub conv: Conv2d,
    capsules: usize,
    dim: usize,
    scope: Scope,
}

impl PrimaryCapsules {
    /// From `in_channels` channels to `capsules` kinds of capsules, of `dim` numbers each, with a kernel of this size,
    /// step 1, no padding, and a bias.
    pub fn new(in_channels: usize, capsules: usize, dim: usize, kernel_size: impl IntoSizes<2>) -> PrimaryCapsules {
        let conv = Conv2d::new(in_channels, capsules * dim, kernel_size);
        PrimaryCapsules { conv, capsules, dim, scope: Scope::default() }
    }

    /// Step of the kernel over the input (1).
    pub fn stride(mut self, stride: impl IntoSizes<2>) -> PrimaryCapsules {
        self.conv = self.conv.stride(stride);
        self
    }

    /// Zeros added at both ends (0).
    pub fn padding(mut self, padding: impl Into<Padding<2>>) -> PrimaryCapsules {
        self.conv = self.conv.padding(padding);
        self
    }
}

impl Forward for PrimaryCapsules {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        if x.rank() != 4 || x.size(1) != self.conv.weight.size(1) {
            let (channels, found) = (self.conv.weight.size(1), x.shape());
            fail("PrimaryCapsules", format_args!("needs an input [N, {channels}, H, W], got {found}"));
        }
        let y = self.conv.forward(x);
        let (n, h, w) = (y.size(0), y.size(2), y.size(3));
        // [N, capsules, dim, H'W'] -> [N, capsules, H'W', dim]
        let vectors = y.reshape([n, self.capsules, self.dim, h * w]).transpose(2, 3);
        squash(&vectors.reshape([n, self.capsules * h * w, self.dim]), -1)
    }
}

/// A layer of capsules above another: each capsule i below predicts each capsule j above by a matrix,
/// u_(j|i) = W_ij u_i, and [`dynamic_routing`] joins the predictions. The length of an output vector is the
/// probability that what its capsule stands for is there ([`CapsuleLength`]), its direction the state it is in.
///
/// Parameter: `weight` `[out_capsules, in_capsules, out_dim, in_dim]`, begun from a normal distribution of standard
/// deviation 0.1.
///
/// # Shapes
/// `[N, in_capsules, in_dim]` -> `[N, out_capsules, out_dim]`
///
/// # Panics
/// `forward` panics if the input has another shape.
///
/// Source: Sabour et al., 2017, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_nn::{CapsuleLayer, CapsuleLength, Forward};
/// use gradus_tensor::Tensor;
/// let digits = CapsuleLayer::new(144, 8, 10, 16).routing_iterations(3);
/// let poses = digits.forward(&Tensor::randn([2, 144, 8]));
/// assert_eq!(poses.shape(), [2, 10, 16]);
/// assert!(CapsuleLength.forward(&poses).max().item() < 1.0);
/// ```
#[derive(Debug, Module)]
pub struct CapsuleLayer {
    /// `[out_capsules, in_capsules, out_dim, in_dim]`
    pub weight: Param,
    routing_iterations: usize,
    scope: Scope,
}

impl CapsuleLayer {
    /// From `in_capsules` vectors of `in_dim` numbers to `out_capsules` of `out_dim`, with 3 rounds of routing.
    pub fn new(in_capsules: usize, in_dim: usize, out_capsules: usize, out_dim: usize) -> CapsuleLayer {
        let weight = Param::new(Tensor::normal(0.0, 0.1, [out_capsules, in_capsules, out_dim, in_dim]));
        CapsuleLayer { weight, routing_iterations: 3, scope: Scope::default() }
    }

    /// Rounds of routing (3).
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn routing_iterations(self, routing_iterations: usize) -> CapsuleLayer {
        if routing_iterations == 0 {
            fail("CapsuleLayer", "needs at least one round of routing");
        }
        CapsuleLayer { routing_iterations, ..self }
    }
}

impl Forward for CapsuleLayer {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let (capsules, dim) = (self.weight.size(1), self.weight.size(3));
        if x.rank() != 3 || x.size(1) != capsules || x.size(2) != dim {
            fail("CapsuleLayer", format_args!("needs an input [N, {capsules}, {dim}], got {}", x.shape()));
        }
        // [1, I, N, in_dim] x [J, I, in_dim, out_dim] -> [J, I, N, out_dim]
        let predictions = x.transpose(0, 1).unsqueeze(0).matmul(&self.weight.transpose(2, 3));
        // -> [N, J, I, out_dim]
        dynamic_routing(&predictions.permute(&[2, 0, 1, 3]), self.routing_iterations).0
    }
}

/// The lengths of the vectors along the last dimension, |v|: of capsules' outputs, the probabilities of existence.
/// The derivative at a zero vector is taken as 0.
///
/// # Shapes
/// `[..., dim]` -> `[...]`
///
/// # Panics
/// `forward` panics if the input has no dimension.
///
/// Source: Sabour et al., 2017, section 2, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_nn::{CapsuleLength, Forward};
/// use gradus_tensor::Tensor;
/// let p = CapsuleLength.forward(&Tensor::from_slice(&[0.3f64, 0.4, 0.0, 0.0], [2, 2]));
/// assert_eq!(p.to_vec::<f64>(), [0.5, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct CapsuleLength;

impl Forward for CapsuleLength {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.norm_dim(2.0, [-1], false)
    }
}
