//! Activations of one element that take arguments.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Tensor, fail};

macro_rules! with_options {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $t:ty = $default:expr),* $(,)? }
       |$layer:ident, $x:ident| $f:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, Module)]
        pub struct $name {
            $(#[module(skip)] $field: $t,)*
            scope: Scope,
        }

        impl $name {
            /// With PyTorch's defaults.
            pub fn new() -> $name {
                $name { $($field: $default,)* scope: Scope::default() }
            }

            $($(#[$field_doc])*
            pub fn $field(self, $field: $t) -> $name {
                $name { $field, ..self }
            })*
        }

        impl Default for $name {
            fn default() -> $name {
                $name::new()
            }
        }

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                let _scope = self.scope.enter();
                let $layer = self;
                $f
            }
        }
    )* };
}

/// Which form of [`GELU`] is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Approximate {
    /// x Phi(x), by the error function. The default.
    #[default]
    None,
    /// 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
    Tanh,
}

with_options! {
    /// x for x > 0, `negative_slope` x otherwise, element by element.
    ///
    /// PyTorch's slope is 0.01, and so is this one's. [`notes`](LeakyReLU::notes) and [`dcgan`](LeakyReLU::dcgan)
    /// are two others in use.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Maas et al., 2013, <https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf>.
    ///
    /// ```
    /// use gradus_nn::{Forward, LeakyReLU};
    /// use gradus_tensor::Tensor;
    /// let x = Tensor::from_slice(&[-1.0f32, 2.0], [2]);
    /// assert_eq!(LeakyReLU::new().forward(&x).to_vec::<f32>(), [-0.01, 2.0]);
    /// assert_eq!(LeakyReLU::new().negative_slope(0.5).forward(&x).to_vec::<f32>(), [-0.5, 2.0]);
    /// assert_eq!(LeakyReLU::dcgan().forward(&x).to_vec::<f32>(), [-0.2, 2.0]);
    /// ```
    LeakyReLU {
        /// Slope below zero (0.01).
        negative_slope: f64 = 0.01,
    } |layer, x| x.leaky_relu(layer.negative_slope);
    /// x for x > 0, alpha (e^x - 1) otherwise, element by element: a smoother ReLU whose mean can be 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Clevert et al., 2015, <https://arxiv.org/abs/1511.07289>.
    ///
    /// ```
    /// use gradus_nn::{ELU, Forward};
    /// use gradus_tensor::Tensor;
    /// let y = ELU::new().alpha(0.5).forward(&Tensor::from_slice(&[-1e4f32, 2.0], [2]));
    /// assert_eq!(y.to_vec::<f32>(), [-0.5, 2.0]);
    /// ```
    ELU {
        /// Minus the limit far below zero (1).
        alpha: f64 = 1.0,
    } |layer, x| x.elu(layer.alpha);
    /// x for x > 0, alpha (e^(x / alpha) - 1) otherwise, element by element: an ELU whose slope is continuous for
    /// every alpha.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if alpha is not positive.
    ///
    /// Source: Barron, 2017, <https://arxiv.org/abs/1704.07483>.
    ///
    /// ```
    /// use gradus_nn::{CELU, Forward};
    /// use gradus_tensor::Tensor;
    /// let y = CELU::new().alpha(2.0).forward(&Tensor::from_slice(&[-1e4f32, 2.0], [2]));
    /// assert_eq!(y.to_vec::<f32>(), [-2.0, 2.0]);
    /// ```
    CELU {
        /// Minus the limit far below zero (1).
        alpha: f64 = 1.0,
    } |layer, x| {
        let alpha = layer.alpha;
        if alpha.is_nan() || alpha <= 0.0 {
            fail("CELU", format_args!("needs a positive alpha, got {alpha}"));
        }
        (x / alpha).elu(1.0) * alpha
    };
    /// x Phi(x), element by element, where Phi is the distribution function of the standard normal distribution; or
    /// its approximation by tanh.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Hendrycks and Gimpel, 2016, <https://arxiv.org/abs/1606.08415>.
    ///
    /// ```
    /// use gradus_nn::{Approximate, Forward, GELU};
    /// use gradus_tensor::Tensor;
    /// let one = Tensor::scalar(1.0);
    /// assert!((GELU::new().forward(&one).item() - 0.841345).abs() < 1e-6);
    /// assert!((GELU::new().approximate(Approximate::Tanh).forward(&one).item() - 0.841192).abs() < 1e-6);
    /// ```
    GELU {
        /// The exact form or the approximation (the exact form).
        approximate: Approximate = Approximate::None,
    } |layer, x| match layer.approximate {
        Approximate::None => x.gelu(),
        Approximate::Tanh => x.gelu_tanh(),
    };
    /// ln(1 + e^(beta x)) / beta, element by element: a smooth ReLU. Where beta x lies above `threshold` it is x
    /// itself.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softplus};
    /// use gradus_tensor::Tensor;
    /// let y = Softplus::new().beta(2.0).forward(&Tensor::from_slice(&[-1e4f32, 0.0, 1e4], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.5 * 2f32.ln(), 1e4]);
    /// ```
    Softplus {
        /// Sharpness of the bend (1).
        beta: f64 = 1.0,
        /// Where the function becomes the identity (20).
        threshold: f64 = 20.0,
    } |layer, x| {
        let scaled = x * layer.beta;
        let soft = scaled.softplus() / layer.beta;
        scaled.gt_scalar(layer.threshold).where_(x, &soft)
    };
    /// x limited to `min_val ..= max_val`, element by element; the derivative at the corners is taken as 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if `min_val` is not below `max_val`.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Hardtanh};
    /// use gradus_tensor::Tensor;
    /// let y = Hardtanh::new().max_val(2.0).forward(&Tensor::from_slice(&[-3.0f32, 1.5, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [-1.0, 1.5, 2.0]);
    /// ```
    Hardtanh {
        /// Lower limit (-1).
        min_val: f64 = -1.0,
        /// Upper limit (1).
        max_val: f64 = 1.0,
    } |layer, x| {
        let (low, high) = (layer.min_val, layer.max_val);
        if low >= high {
            fail("Hardtanh", format_args!("min_val {low} is not below max_val {high}"));
        }
        x.clamp(low, high)
    };
    /// x where |x| > `lambd`, else 0, element by element.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardshrink.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Hardshrink};
    /// use gradus_tensor::Tensor;
    /// let y = Hardshrink::new().forward(&Tensor::from_slice(&[-2.0f32, 0.5, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [-2.0, 0.0, 3.0]);
    /// ```
    Hardshrink {
        /// Half the width of the gap (0.5).
        lambd: f64 = 0.5,
    } |layer, x| x.masked_fill(&x.detach().abs().le_scalar(layer.lambd), 0.0);
    /// x brought nearer to 0 by `lambd`, element by element: x - lambd above lambd, x + lambd below -lambd, 0 between.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// # Panics
    /// `forward` panics if `lambd` is negative.
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softshrink.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softshrink};
    /// use gradus_tensor::Tensor;
    /// let y = Softshrink::new().forward(&Tensor::from_slice(&[-2.0f32, 0.5, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [-1.5, 0.0, 2.5]);
    /// ```
    Softshrink {
        /// Half the width of the gap (0.5).
        lambd: f64 = 0.5,
    } |layer, x| {
        if layer.lambd < 0.0 {
            fail("Softshrink", format_args!("lambd is negative: {}", layer.lambd));
        }
        x.softshrink(layer.lambd)
    };
}

impl LeakyReLU {
    /// The slope 0.1 that lecture notes often give.
    pub fn notes() -> LeakyReLU {
        LeakyReLU::new().negative_slope(0.1)
    }

    /// The slope 0.2 of the discriminator in DCGAN (Radford et al., 2015, <https://arxiv.org/abs/1511.06434>).
    pub fn dcgan() -> LeakyReLU {
        LeakyReLU::new().negative_slope(0.2)
    }
}

/// x where x > `threshold`, else `value`, element by element.
///
/// # Shapes
/// any -> the same
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Threshold.html>.
///
/// ```
/// use gradus_nn::{Forward, Threshold};
/// use gradus_tensor::Tensor;
/// let y = Threshold::new(0.1, 20.0).forward(&Tensor::from_slice(&[-2.0f32, 0.0, 3.0], [3]));
/// assert_eq!(y.to_vec::<f32>(), [20.0, 20.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug, Module)]
pub struct Threshold {
    threshold: f64,
    value: f64,
}

impl Threshold {
    /// Replaces what is not above `threshold` by `value`.
    pub fn new(threshold: f64, value: f64) -> Threshold {
        Threshold { threshold, value }
    }
}

impl Forward for Threshold {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.masked_fill(&x.le_scalar(self.threshold), self.value)
    }
}
