//! Losses, one file each: functions of the output and the target.
//!
//! Each has a short form, which averages, and a `_with` form, which takes the options.

mod bce;
mod bce_with_logits;
mod cross_entropy;
mod mse;
mod nll;

pub use bce::{BceOptions, binary_cross_entropy, binary_cross_entropy_with};
pub use bce_with_logits::{
    BceWithLogitsOptions, binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_with,
};
pub use cross_entropy::{CrossEntropyOptions, cross_entropy, cross_entropy_with};
pub use mse::{mse_loss, mse_loss_with};
pub use nll::{NllOptions, nll_loss, nll_loss_with};

use gradus_tensor::{Tensor, fail};

/// How the losses of the elements are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean; a weighted mean where classes are weighted.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// They are not: the result holds one loss an element.
    None,
}

impl Reduction {
    fn apply(self, losses: Tensor) -> Tensor {
        match self {
            Reduction::Mean => losses.mean(),
            Reduction::Sum => losses.sum(),
            Reduction::None => losses,
        }
    }
}

/// Refuses to broadcast a target: `[N]` against `[N, 1]` would be compared all with all.
#[track_caller]
fn check_same_shape(op: &str, x: &Tensor, target: &Tensor) {
    if x.shape() != target.shape() {
        let message = format_args!("input {} and target {} must have the same shape", x.shape(), target.shape());
        fail(op, message);
    }
}
