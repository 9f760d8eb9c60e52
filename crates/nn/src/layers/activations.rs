//! Activations: layers that act on each element, or along one dimension, and learn nothing.
//!
//! Here are those without arguments; `options` has those with, `dims` those along a dimension. Layers that learn or
//! draw ([`PReLU`](crate::PReLU), [`RReLU`](crate::RReLU), [`Maxout`](crate::Maxout)) have files of their own.

mod dims;
mod options;

pub use dims::{GLU, LogSoftmax, Softmax, Softmax2d, Softmin};
pub use options::{Approximate, CELU, ELU, GELU, Hardshrink, Hardtanh, LeakyReLU, Softplus, Softshrink, Threshold};

use crate::module::{Forward, Module};
use gradus_tensor::Tensor;

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident |$x:ident| $f:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Module)]
        pub struct $name;

        impl Forward for $name {
            fn forward(&self, $x: &Tensor) -> Tensor {
                $f
            }
        }
    )* };
}

elementwise! {
    /// max(x, 0), element by element; the derivative at 0 is taken as 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Nair and Hinton, 2010, <https://dl.acm.org/doi/10.5555/3104322.3104425>.
    ///
    /// ```
    /// use gradus_nn::{Forward, ReLU};
    /// use gradus_tensor::Tensor;
    /// let y = ReLU.forward(&Tensor::from_slice(&[-1.0f32, 2.0], [2]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 2.0]);
    /// ```
    ReLU |x| x.relu();
    /// min(max(x, 0), 6), element by element; the derivative at 0 and at 6 is taken as 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, ReLU6};
    /// use gradus_tensor::Tensor;
    /// let y = ReLU6.forward(&Tensor::from_slice(&[-1.0f32, 2.0, 7.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 2.0, 6.0]);
    /// ```
    ReLU6 |x| x.clamp(0.0, 6.0);
    /// The logistic function 1 / (1 + e^-x), element by element: between 0 and 1, without overflow.
    ///
    /// Its derivative is f'(x) = e^-x / (1 + e^-x)^2 = f(x) (1 - f(x)). Of a difference of two logits it is their
    /// two-class softmax, so one output with it is the head of a logistic regression; train it by
    /// [`binary_cross_entropy_with_logits`](crate::losses::binary_cross_entropy_with_logits), which contains it.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Sigmoid};
    /// use gradus_tensor::Tensor;
    /// let y = Sigmoid.forward(&Tensor::from_slice(&[-1e4f32, 0.0, 1e4], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.5, 1.0]);
    /// ```
    Sigmoid |x| x.sigmoid();
    /// ln(1 / (1 + e^-x)), element by element, exact also where the logistic function rounds to 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, LogSigmoid};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(LogSigmoid.forward(&Tensor::scalar(-1e4)).item(), -1e4);
    /// ```
    LogSigmoid |x| x.log_sigmoid();
    /// (e^x - e^-x) / (e^x + e^-x), element by element: between -1 and 1. Its derivative is 1 - tanh^2 x, which is 1
    /// at 0, so that small inputs keep their variance.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Tanh};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tanh.forward(&Tensor::scalar(0.0)).item(), 0.0);
    /// ```
    Tanh |x| x.tanh();
    /// x - tanh x, element by element.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanhshrink.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Tanhshrink};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tanhshrink.forward(&Tensor::scalar(50.0)).item(), 49.0);
    /// ```
    Tanhshrink |x| x - x.tanh();
    /// x / (1 + |x|), element by element: between -1 and 1.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softsign};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Softsign.forward(&Tensor::scalar(-3.0)).item(), -0.75);
    /// ```
    Softsign |x| x.softsign();
    /// x / (1 + e^-x), element by element, also called swish.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Elfwing et al., 2017, <https://arxiv.org/abs/1702.03118>; Ramachandran et al., 2017,
    /// <https://arxiv.org/abs/1710.05941>.
    ///
    /// ```
    /// use gradus_nn::{Forward, SiLU};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(SiLU.forward(&Tensor::scalar(1e4)).item(), 1e4);
    /// ```
    SiLU |x| x.silu();
    /// x tanh(ln(1 + e^x)), element by element.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Misra, 2019, <https://arxiv.org/abs/1908.08681>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Mish};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Mish.forward(&Tensor::scalar(0.0)).item(), 0.0);
    /// ```
    Mish |x| x.mish();
    /// x / 6 + 1/2, limited to 0 ..= 1, element by element; the derivative at the corners is taken as 0.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Courbariaux et al., 2015, <https://arxiv.org/abs/1511.00363>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Hardsigmoid};
    /// use gradus_tensor::Tensor;
    /// let y = Hardsigmoid.forward(&Tensor::from_slice(&[-4.0f32, 0.0, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.5, 1.0]);
    /// ```
    Hardsigmoid |x| x.hardsigmoid();
    /// x min(max(x + 3, 0), 6) / 6, element by element.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Howard et al., 2019, <https://arxiv.org/abs/1905.02244>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Hardswish};
    /// use gradus_tensor::Tensor;
    /// let y = Hardswish.forward(&Tensor::from_slice(&[-4.0f32, 0.0, 5.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.0, 5.0]);
    /// ```
    Hardswish |x| x.hardswish();
    /// scale (x for x > 0, alpha (e^x - 1) otherwise), element by element, with alpha = 1.6733 and scale = 1.0507
    /// such that mean 0 and variance 1 are kept from layer to layer. [`AlphaDropout`](crate::AlphaDropout) goes
    /// with it.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Klambauer et al., 2017, <https://arxiv.org/abs/1706.02515>.
    ///
    /// ```
    /// use gradus_nn::{Forward, SELU};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(SELU.forward(&Tensor::scalar(1.0)).item(), 1.050701);
    /// ```
    SELU |x| x.elu(SELU_ALPHA) * SELU_SCALE;
    /// -1, 0 or 1 by the sign of x, element by element. It has no useful gradient: a backward pass that reaches it
    /// panics.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.sign.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Sign};
    /// use gradus_tensor::Tensor;
    /// let y = Sign.forward(&Tensor::from_slice(&[-0.5f32, 0.0, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [-1.0, 0.0, 1.0]);
    /// ```
    Sign |x| x.sign();
    /// 1 for x >= 0, else 0, element by element: the step of a [`Perceptron`](crate::Perceptron), which is sometimes
    /// called sign too. It has no useful gradient: a backward pass that reaches it panics.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: Rosenblatt, 1958, <https://doi.org/10.1037/h0042519>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Heaviside};
    /// use gradus_tensor::Tensor;
    /// let y = Heaviside.forward(&Tensor::from_slice(&[-0.5f32, 0.0, 3.0], [3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 1.0, 1.0]);
    /// ```
    Heaviside |x| x.heaviside();
    /// The input itself.
    ///
    /// # Shapes
    /// any -> the same
    ///
    /// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Identity.html>.
    ///
    /// ```
    /// use gradus_nn::{Forward, Identity};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Identity.forward(&Tensor::scalar(3.0)).item(), 3.0);
    /// ```
    Identity |x| x.clone();
}

/// Constants of [`SELU`]: the fixed point of mean 0 and variance 1, to more digits than the paper prints.
pub(crate) const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
pub(crate) const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
