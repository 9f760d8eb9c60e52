//! Activations: layers without parameters that act on each element, or along one dimension.

use crate::module::{Forward, Module};
use gradus_tensor::Tensor;

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Module)]
        pub struct $name;

        impl Forward for $name {
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op()
            }
        }
    )* };
}

elementwise! {
    /// max(x, 0), element by element; the derivative at 0 is taken as 0.
    ///
    /// Source: Nair and Hinton, 2010, <https://dl.acm.org/doi/10.5555/3104322.3104425>.
    ///
    /// ```
    /// use gradus_nn::{Forward, ReLU};
    /// use gradus_tensor::Tensor;
    /// let y = ReLU.forward(&Tensor::from_slice(&[-1.0f32, 2.0], [2]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 2.0]);
    /// ```
    ReLU => relu;
    /// 1 / (1 + e^-x), element by element.
    ///
    /// ```
    /// use gradus_nn::{Forward, Sigmoid};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Sigmoid.forward(&Tensor::scalar(0.0)).item(), 0.5);
    /// ```
    Sigmoid => sigmoid;
    /// (e^x - e^-x) / (e^x + e^-x), element by element.
    ///
    /// ```
    /// use gradus_nn::{Forward, Tanh};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Tanh.forward(&Tensor::scalar(0.0)).item(), 0.0);
    /// ```
    Tanh => tanh;
    /// The input itself.
    ///
    /// ```
    /// use gradus_nn::{Forward, Identity};
    /// use gradus_tensor::Tensor;
    /// assert_eq!(Identity.forward(&Tensor::scalar(3.0)).item(), 3.0);
    /// ```
    Identity => clone;
}

macro_rules! along_dim {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        pub struct $name {
            dim: isize,
        }

        impl $name {
            /// Along `dim`, counted from the end if negative.
            pub fn new(dim: isize) -> $name {
                $name { dim }
            }
        }

        impl Forward for $name {
            fn forward(&self, x: &Tensor) -> Tensor {
                x.$op(self.dim)
            }
        }
    )* };
}

along_dim! {
    /// e^x_i / sum_j e^x_j along one dimension.
    ///
    /// # Panics
    /// `forward` panics if the input does not have the dimension.
    ///
    /// ```
    /// use gradus_nn::{Forward, Softmax};
    /// use gradus_tensor::Tensor;
    /// let p = Softmax::new(1).forward(&Tensor::zeros([2, 4]));
    /// assert_eq!(p.to_vec::<f32>(), [0.25; 8]);
    /// ```
    Softmax => softmax;
    /// x_i - ln sum_j e^x_j along one dimension: what [`nll_loss`](crate::losses::nll_loss) takes.
    ///
    /// # Panics
    /// `forward` panics if the input does not have the dimension.
    ///
    /// ```
    /// use gradus_nn::{Forward, LogSoftmax};
    /// use gradus_tensor::Tensor;
    /// let log_p = LogSoftmax::new(-1).forward(&Tensor::from_slice(&[0.0f32, 1e4], [1, 2]));
    /// assert_eq!(log_p.to_vec::<f32>(), [-1e4, 0.0]);
    /// ```
    LogSoftmax => log_softmax;
}
