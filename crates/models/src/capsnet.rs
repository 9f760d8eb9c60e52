//! A capsule network with dynamic routing, and the decoder that rebuilds its input.

use crate::ModelConfig;
use crate::extra::{Extra, Taught};
use crate::registry::check_width;
use gradus_nn::{CapsuleLayer, CapsuleLength, Conv2d, Forward, Linear, Module, PrimaryCapsules, Scope, Sequential};
use gradus_nn::{ReLU, Sigmoid, sequential};
use gradus_tensor::{Tensor, fail};
use serde::{Deserialize, Serialize};

/// Configuration of [`CapsNet`]; the defaults are the paper's for MNIST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CapsNetConfig {
    /// Channels, height and width of a picture.
    pub input: [usize; 3],
    /// Channels of the first convolution.
    pub channels: usize,
    /// Extent of both convolutions' kernels.
    pub kernel_size: usize,
    /// Kinds of primary capsules.
    pub primary_capsules: usize,
    /// Numbers of a primary capsule.
    pub primary_dim: usize,
    /// Numbers of a class's capsule.
    pub class_dim: usize,
    /// Rounds of routing.
    pub routing_iterations: usize,
    /// Units of the decoder's hidden layers.
    pub decoder: [usize; 2],
    /// Classes.
    pub num_classes: usize,
}

impl Default for CapsNetConfig {
    fn default() -> Self {
        CapsNetConfig {
            input: [1, 28, 28],
            channels: 256,
            kernel_size: 9,
            primary_capsules: 32,
            primary_dim: 8,
            class_dim: 16,
            routing_iterations: 3,
            decoder: [512, 1024],
            num_classes: 10,
        }
    }
}

impl CapsNetConfig {
    /// Extents of the primary capsules' map.
    fn map(&self) -> [usize; 2] {
        let k = self.kernel_size;
        [self.input[1], self.input[2]].map(|n| (n + 1).saturating_sub(k).saturating_sub(k - 1).div_ceil(2))
    }
}

impl ModelConfig for CapsNetConfig {
    type Model = CapsNet;

    fn check(&self) -> Result<(), String> {
        check_width("input", &self.input)?;
        for (field, width) in [
            ("channels", self.channels),
            ("kernel_size", self.kernel_size),
            ("primary_capsules", self.primary_capsules),
            ("primary_dim", self.primary_dim),
            ("class_dim", self.class_dim),
            ("routing_iterations", self.routing_iterations),
            ("num_classes", self.num_classes),
        ] {
            check_width(field, &[width])?;
        }
        check_width("decoder", &self.decoder)?;
        if self.map().contains(&0) {
            let least = 2 * self.kernel_size - 1;
            return Err(format!(
                "`input` must be at least {least}x{least} for a `kernel_size` of {}, got {:?}: layer `primary_capsules` \
                 would have nothing left",
                self.kernel_size, self.input
            ));
        }
        Ok(())
    }

    fn extra(&self) -> Extra {
        Extra::Reconstruction
    }

    fn forward_taught(model: &CapsNet, x: &Tensor, labels: &Tensor) -> Taught {
        let (outputs, rebuilt) = model.forward_with_reconstruction(x, Some(labels));
        Taught { outputs, auxiliary: vec![], reconstruction: Some(rebuilt) }
    }

    fn init(&self) -> CapsNet {
        let [height, width] = self.map();
        let capsules = self.primary_capsules * height * width;
        let pixels: usize = self.input.iter().product();
        let [a, b] = self.decoder;
        let (classes, dim) = (self.num_classes, self.class_dim);
        CapsNet {
            conv1: Conv2d::new(self.input[0], self.channels, self.kernel_size),
            primary_capsules: PrimaryCapsules::new(
                self.channels,
                self.primary_capsules,
                self.primary_dim,
                self.kernel_size,
            )
            .stride(2),
            class_capsules: CapsuleLayer::new(capsules, self.primary_dim, classes, dim)
                .routing_iterations(self.routing_iterations),
            decoder: sequential![
                Linear::new(classes * dim, a),
                ReLU,
                Linear::new(a, b),
                ReLU,
                Linear::new(b, pixels),
                Sigmoid
            ],
            input: self.input,
            scope: Scope::default(),
        }
    }
}

/// A capsule network: a convolution, primary capsules, and a capsule for each class, to which the primary ones are
/// routed by agreement. How long a class's vector is says how likely the class is there, its direction in what state.
///
/// Neurons in groups can represent how parts lie to one another: a face is there only if eyes and mouth are there and
/// agree on where it is. A decoder rebuilds the picture from the vector of its class, so that the vector must describe
/// it; it serves as a regulariser.
///
/// # Shapes
/// `[N, C, H, W]` -> `[N, num_classes]` lengths in [0, 1), to be trained with [`capsule_margin_loss`]
///
/// # Panics
/// `forward` panics if the input has another shape than the configuration's.
///
/// Source: Sabour, Frosst and Hinton, 2017, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_models::{CapsNetConfig, ModelConfig, capsule_margin_loss};
/// use gradus_nn::losses::mse_loss;
/// use gradus_tensor::Tensor;
/// let config = CapsNetConfig { channels: 8, primary_capsules: 2, decoder: [16, 16], ..Default::default() };
/// let model = config.init();
/// let (x, labels) = (Tensor::rand([2, 1, 28, 28]), Tensor::from_slice(&[3i64, 7], [2]));
/// let (lengths, rebuilt) = model.forward_with_reconstruction(&x, Some(&labels));
/// let loss = capsule_margin_loss(&lengths, &labels) + mse_loss(&rebuilt, &x) * (0.0005 * 784.0);
/// assert!(loss.item() > 0.0);
/// ```
#[derive(Module)]
pub struct CapsNet {
    conv1: Conv2d,
    primary_capsules: PrimaryCapsules,
    class_capsules: CapsuleLayer,
    decoder: Sequential,
    input: [usize; 3],
    scope: Scope,
}

impl CapsNet {
    /// The vectors of the classes, `[N, num_classes, class_dim]`.
    ///
    /// # Panics
    /// As `forward`.
    pub fn poses(&self, x: &Tensor) -> Tensor {
        let shape = x.shape();
        if shape.len() != 4 || shape[1..] != self.input {
            let [c, h, w] = self.input;
            fail("CapsNet", format_args!("needs an input [N, {c}, {h}, {w}], got {shape}"));
        }
        let x = self.conv1.forward(x).relu(); // (N, channels, H - k + 1, W - k + 1)
        self.class_capsules.forward(&self.primary_capsules.forward(&x)) // (N, capsules, 8) -> (N, K, 16)
    }

    /// The lengths, and the pictures `[N, C, H, W]` rebuilt from the vector of each one's class: that of `labels` (i64,
    /// `[N]`), or the longest.
    ///
    /// # Panics
    /// As `forward`, or if a label is no class.
    pub fn forward_with_reconstruction(&self, x: &Tensor, labels: Option<&Tensor>) -> (Tensor, Tensor) {
        let _scope = self.scope.enter();
        let poses = self.poses(x);
        let lengths = CapsuleLength.forward(&poses);
        let chosen = labels.map_or_else(|| lengths.argmax(1, false), Tensor::clone);
        (lengths, self.reconstruct(&poses, &chosen))
    }

    /// The pictures `[N, C, H, W]` that the vectors `poses` of the classes `labels` describe.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is no class.
    pub fn reconstruct(&self, poses: &Tensor, labels: &Tensor) -> Tensor {
        let (n, classes) = (poses.size(0), poses.size(1));
        let mask = labels.one_hot(classes).to_dtype(poses.dtype()).unsqueeze(-1); // (N, K, 1)
        let kept = (poses * mask).flatten(1, -1); // (N, K, 16) -> (N, 16 K): the other classes' vectors are 0
        let [c, h, w] = self.input;
        self.decoder.forward(&kept).reshape([n, c, h, w]) // (N, C H W) -> (N, C, H, W)
    }
}

impl Forward for CapsNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        CapsuleLength.forward(&self.poses(x)) // (N, K, 16) -> (N, K)
    }
}

/// The loss of capsules' lengths v: the class that is there must be longer than 0.9, every other shorter than 0.1, the
/// mean over the batch of sum_k T_k max(0, 0.9 - v_k)^2 + 0.5 (1 - T_k) max(0, v_k - 0.1)^2.
///
/// # Shapes
/// lengths `[N, K]`, labels (i64) `[N]` -> scalar
///
/// # Panics
/// If the shapes do not fit or a label is no class.
///
/// Source: Sabour et al., 2017, equation 4, <https://arxiv.org/abs/1710.09829>.
///
/// ```
/// use gradus_models::capsule_margin_loss;
/// use gradus_tensor::Tensor;
/// let lengths = Tensor::from_slice(&[0.95f32, 0.3], [1, 2]);
/// let loss = capsule_margin_loss(&lengths, &Tensor::from_slice(&[0i64], [1]));
/// assert!((loss.item() - 0.5 * 0.04).abs() < 1e-6);
/// ```
#[track_caller]
pub fn capsule_margin_loss(lengths: &Tensor, labels: &Tensor) -> Tensor {
    let (shape, given) = (lengths.shape(), labels.shape());
    if shape.len() != 2 || given.len() != 1 || given[0] != shape[0] {
        fail("capsule_margin_loss", format_args!("needs lengths [N, K] and labels [N], got {shape} and {given}"));
    }
    let there = labels.one_hot(shape[1]).to_dtype(lengths.dtype());
    let short = (0.9 - lengths).relu().square() * &there;
    let long = (lengths - 0.1).relu().square() * (1.0 - &there) * 0.5;
    (short + long).sum_dim([1], false).mean()
}
