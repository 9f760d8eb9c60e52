//! A form of two inputs.

use crate::init::by_fan_in;
use crate::module::{Module, Param, Scope};
use gradus_tensor::{Tensor, fail};

/// A bilinear map of two inputs: `y[o] = x1^T A_o x2 + b[o]`.
///
/// Parameters: `weight` `[out, in1, in2]` and `bias` `[out]`, both begun evenly from ±1/sqrt(in1).
///
/// # Shapes
/// `[.., in1]` and `[.., in2]` with the same leading dimensions -> `[.., out]`
///
/// # Panics
/// `forward` panics if the shapes do not fit.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Bilinear.html>.
///
/// ```
/// use gradus_nn::Bilinear;
/// use gradus_tensor::Tensor;
/// let layer = Bilinear::new(20, 30, 40);
/// assert_eq!(layer.forward(&Tensor::zeros([8, 20]), &Tensor::zeros([8, 30])).shape(), [8, 40]);
/// ```
#[derive(Debug, Module)]
pub struct Bilinear {
    /// `[out, in1, in2]`
    pub weight: Param,
    /// `[out]`
    pub bias: Option<Param>,
    scope: Scope,
}

impl Bilinear {
    /// From `in1_features` and `in2_features` to `out_features`, with a bias.
    pub fn new(in1_features: usize, in2_features: usize, out_features: usize) -> Bilinear {
        let weight = Param::new(by_fan_in(&[out_features, in1_features, in2_features], in1_features));
        let bias = Some(Param::new(by_fan_in(&[out_features], in1_features)));
        Bilinear { weight, bias, scope: Scope::default() }
    }

    /// With or without a bias.
    pub fn bias(mut self, on: bool) -> Bilinear {
        if on != self.bias.is_some() {
            self.bias = on.then(|| Param::new(by_fan_in(&[self.weight.size(0)], self.weight.size(1))));
        }
        self
    }

    /// The form's value for the inputs `x1` and `x2`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let [out, in1, in2] = [0, 1, 2].map(|d| self.weight.size(d));
        let (s1, s2) = (x1.shape(), x2.shape());
        let fits = match (s1.split_last(), s2.split_last()) {
            (Some((a, lead1)), Some((b, lead2))) => (*a, *b) == (in1, in2) && lead1 == lead2,
            _ => false,
        };
        if !fits {
            fail("Bilinear", format_args!("needs inputs [.., {in1}] and [.., {in2}], got {s1} and {s2}"));
        }
        let lead = &s1[..s1.len() - 1];
        let n = lead.iter().product();
        // One product for all forms: [n, in1] x [in1, out in2] -> [n, out, in2].
        let forms = self.weight.transpose(0, 1).reshape([in1, out * in2]);
        let halves = x1.reshape([n, in1]).matmul(&forms).reshape([n, out, in2]);
        let y = (halves * x2.reshape([n, 1, in2])).sum_dim(-1, false).reshape([lead, &[out]].concat());
        match &self.bias {
            Some(b) => y + &**b,
            None => y,
        }
    }
}
