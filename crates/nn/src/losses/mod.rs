//! Losses, one file each: functions of the output and the target. Also penalties on parameters and norms.
//!
//! Each loss has a short form, which averages (those taken from torchvision give one loss an element, as there),
//! and a `_with` form, which takes the options. Names, arguments and defaults are PyTorch's functional ones.
//!
//! - of numbers: [`mse_loss`], [`l1_loss`], [`smooth_l1_loss`], [`huber_loss`], [`poisson_nll_loss`],
//!   [`gaussian_nll_loss`]
//! - of classes: [`cross_entropy`], [`nll_loss`], [`focal_loss`], [`multi_margin_loss`]
//! - of several labels or yes and no: [`binary_cross_entropy_with_logits`], [`binary_cross_entropy`],
//!   [`sigmoid_focal_loss`], [`multilabel_soft_margin_loss`], [`multilabel_margin_loss`], [`soft_margin_loss`]
//! - of distributions: [`kl_div`], [`js_divergence`]
//! - of embeddings and rankings: [`triplet_margin_loss`], [`triplet_margin_with_distance_loss`],
//!   [`cosine_embedding_loss`], [`hinge_embedding_loss`], [`margin_ranking_loss`], [`info_nce_loss`], [`nt_xent_loss`]
//! - of masks and boxes: [`dice_loss`], [`jaccard_loss`], [`generalized_box_iou_loss`], [`distance_box_iou_loss`],
//!   [`complete_box_iou_loss`]
//! - of sequences without alignment: [`ctc_loss`]
//! - of parameters and matrices: [`l1_penalty`], [`l2_penalty`], [`frobenius_norm`], [`mixed_norm`]
//! - of several terms: [`LossTerms`]

mod bce;
mod bce_with_logits;
mod box_iou;
mod cosine_embedding;
mod cross_entropy;
mod ctc;
mod dice;
mod focal;
mod gaussian_nll;
mod hinge_embedding;
mod huber;
mod info_nce;
mod jaccard;
mod js_divergence;
mod kl_div;
mod l1;
mod margin_ranking;
mod mse;
mod multi_margin;
mod multilabel_margin;
mod multilabel_soft_margin;
mod nll;
mod norms;
mod penalties;
mod poisson_nll;
mod smooth_l1;
mod soft_margin;
mod terms;
mod triplet_margin;

pub use bce::{BceOptions, binary_cross_entropy, binary_cross_entropy_with};
pub use bce_with_logits::{
    BceWithLogitsOptions, binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_with,
};
pub use box_iou::{
    BoxIouOptions, complete_box_iou_loss, complete_box_iou_loss_with, distance_box_iou_loss,
    distance_box_iou_loss_with, generalized_box_iou_loss, generalized_box_iou_loss_with,
};
pub use cosine_embedding::{CosineEmbeddingOptions, cosine_embedding_loss, cosine_embedding_loss_with};
pub use cross_entropy::{CrossEntropyOptions, cross_entropy, cross_entropy_with};
pub use ctc::{CtcOptions, ctc_loss, ctc_loss_with};
pub use dice::{OverlapOptions, dice_loss, dice_loss_with};
pub use focal::{
    FocalOptions, SigmoidFocalOptions, focal_loss, focal_loss_with, sigmoid_focal_loss, sigmoid_focal_loss_with,
};
pub use gaussian_nll::{GaussianNllOptions, gaussian_nll_loss, gaussian_nll_loss_with};
pub use hinge_embedding::{HingeEmbeddingOptions, hinge_embedding_loss, hinge_embedding_loss_with};
pub use huber::{HuberOptions, huber_loss, huber_loss_with};
pub use info_nce::{InfoNceOptions, NtXentOptions, info_nce_loss, info_nce_loss_with, nt_xent_loss, nt_xent_loss_with};
pub use jaccard::{jaccard_loss, jaccard_loss_with};
pub use js_divergence::{js_divergence, js_divergence_with};
pub use kl_div::{KlDivOptions, KlDivReduction, kl_div, kl_div_with};
pub use l1::{l1_loss, l1_loss_with};
pub use margin_ranking::{MarginRankingOptions, margin_ranking_loss, margin_ranking_loss_with};
pub use mse::{mse_loss, mse_loss_with};
pub use multi_margin::{MultiMarginOptions, multi_margin_loss, multi_margin_loss_with};
pub use multilabel_margin::{multilabel_margin_loss, multilabel_margin_loss_with};
pub use multilabel_soft_margin::{
    MultilabelSoftMarginOptions, multilabel_soft_margin_loss, multilabel_soft_margin_loss_with,
};
pub use nll::{NllOptions, nll_loss, nll_loss_with};
pub use norms::{frobenius_norm, mixed_norm};
pub use penalties::{l1_penalty, l2_penalty};
pub use poisson_nll::{PoissonNllOptions, poisson_nll_loss, poisson_nll_loss_with};
pub use smooth_l1::{SmoothL1Options, smooth_l1_loss, smooth_l1_loss_with};
pub use soft_margin::{soft_margin_loss, soft_margin_loss_with};
pub use terms::LossTerms;
pub use triplet_margin::{
    TripletMarginOptions, TripletMarginWithDistanceOptions, triplet_margin_loss, triplet_margin_loss_with,
    triplet_margin_with_distance_loss, triplet_margin_with_distance_loss_with,
};

use gradus_tensor::{Tensor, fail};

/// How the losses of the elements are made one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reduction {
    /// Their mean; a weighted mean where classes are weighted. The default.
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

/// Refuses a target that is neither 1 nor -1, such as labels 0 and 1.
#[track_caller]
fn check_signs(op: &str, target: &Tensor) {
    let target = target.detach();
    if !target.abs().eq_scalar(1.0).all() {
        fail(op, "needs targets 1 or -1, got others (labels y of 0 and 1 become 2 y - 1)");
    }
}
