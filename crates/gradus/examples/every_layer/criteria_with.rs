//! The losses with options: weights, smoothing, another reduction.

use super::criteria::*;
use gradus::prelude::*;

pub fn all() -> Vec<Criterion> {
    let mut all = elementwise();
    all.extend(of_labels());
    all.extend(of_distributions());
    all.extend(of_vectors());
    all.extend(of_boxes());
    all
}

/// A factor for each number of a row, from 1 to 2.
fn weights(y: &Tensor) -> Tensor {
    Tensor::linspace(1.0, 2.0, rows(y).size(1))
}

fn elementwise() -> Vec<Criterion> {
    vec![
        criterion!(mse_loss_with, any, |y, t, _| mse_loss_with(y, t, Reduction::Sum)),
        criterion!(l1_loss_with, any, |y, t, _| l1_loss_with(y, t, Reduction::None).mean()),
        criterion!(smooth_l1_loss_with, any, |y, t, _| {
            smooth_l1_loss_with(y, t, SmoothL1Options { beta: 0.5, ..Default::default() })
        }),
        criterion!(huber_loss_with, any, |y, t, _| {
            huber_loss_with(y, t, HuberOptions { delta: 2.0, ..Default::default() })
        }),
        criterion!(sigmoid_focal_loss_with, any, |y, t, _| {
            let reduction = Reduction::Mean;
            sigmoid_focal_loss_with(y, &bits(t), SigmoidFocalOptions { gamma: 1.0, reduction, ..Default::default() })
        }),
        criterion!(soft_margin_loss_with, any, |y, t, _| soft_margin_loss_with(y, &signs(t), Reduction::Sum)),
        criterion!(hinge_embedding_loss_with, any, |y, t, _| {
            let options = HingeEmbeddingOptions { margin: 2.0, ..Default::default() };
            hinge_embedding_loss_with(&y.square(), &signs(t), options)
        }),
        criterion!(margin_ranking_loss_with, any, |y, t, _| {
            let options = MarginRankingOptions { margin: 0.5, ..Default::default() };
            margin_ranking_loss_with(y, &t.zeros_like(), &signs(t), options)
        }),
        criterion!(gaussian_nll_loss_with, any, |y, t, _| {
            let options = GaussianNllOptions { full: true, ..Default::default() };
            gaussian_nll_loss_with(y, t, &t.ones_like(), options)
        }),
        criterion!(poisson_nll_loss_with, any, |y, t, _| {
            let options = PoissonNllOptions { log_input: false, ..Default::default() };
            poisson_nll_loss_with(&y.softplus(), &t.abs(), options)
        }),
        criterion!(binary_cross_entropy_with, classes, |y, t, _| {
            let options = BceOptions { weight: Some(weights(y)), ..Default::default() };
            binary_cross_entropy_with(&rows(y).sigmoid(), &rows(&bits(t)), options)
        }),
        criterion!(binary_cross_entropy_with_logits_with, classes, |y, t, _| {
            let options = BceWithLogitsOptions { pos_weight: Some(weights(y)), ..Default::default() };
            binary_cross_entropy_with_logits_with(&rows(y), &rows(&bits(t)), options)
        }),
    ]
}

fn of_labels() -> Vec<Criterion> {
    vec![
        criterion!(cross_entropy_with, classes, |y, t, _| {
            let options = CrossEntropyOptions { label_smoothing: 0.1, ..Default::default() };
            cross_entropy_with(&rows(y), &labels(t), options)
        }),
        criterion!(nll_loss_with, classes, |y, t, _| {
            let options = NllOptions { weight: Some(weights(y)), ..Default::default() };
            nll_loss_with(&rows(y).log_softmax(1), &labels(t), options)
        }),
        criterion!(focal_loss_with, classes, |y, t, _| {
            let options = FocalOptions { alpha: Some(weights(y)), gamma: 1.0, ..Default::default() };
            focal_loss_with(&rows(y), &labels(t), options)
        }),
        criterion!(multi_margin_loss_with, classes, |y, t, _| {
            multi_margin_loss_with(&rows(y), &labels(t), MultiMarginOptions { p: 2, ..Default::default() })
        }),
        criterion!(multilabel_margin_loss_with, classes, |y, t, _| {
            multilabel_margin_loss_with(&rows(y), &label_lists(t), Reduction::None).mean()
        }),
        criterion!(multilabel_soft_margin_loss_with, classes, |y, t, _| {
            let options = MultilabelSoftMarginOptions { weight: Some(weights(y)), ..Default::default() };
            multilabel_soft_margin_loss_with(&rows(y), &rows(&bits(t)), options)
        }),
        criterion!(ctc_loss_with, pairs, |y, _, _| {
            let (log_probs, targets, steps, lengths) = transcripts(y);
            let options = CtcOptions { zero_infinity: true, reduction: Reduction::Sum, ..Default::default() };
            ctc_loss_with(&log_probs, &targets, &steps, &lengths, options)
        }),
    ]
}

fn of_distributions() -> Vec<Criterion> {
    vec![
        criterion!(kl_div_with, classes, |y, t, _| {
            let options = KlDivOptions { log_target: true, reduction: KlDivReduction::BatchMean };
            kl_div_with(&rows(y).log_softmax(1), &rows(t).log_softmax(1), options)
        }),
        criterion!(js_divergence_with, classes, |y, t, _| {
            js_divergence_with(&rows(y).softmax(1), &rows(t).softmax(1), Reduction::Sum)
        }),
        criterion!(dice_loss_with, classes, |y, t, _| {
            let options = OverlapOptions { squared: true, ..Default::default() };
            dice_loss_with(&masks(y).sigmoid(), &masks(&bits(t)), options)
        }),
        criterion!(jaccard_loss_with, classes, |y, t, _| {
            let options = OverlapOptions { smooth: 1.0, ..Default::default() };
            jaccard_loss_with(&masks(y).sigmoid(), &masks(&bits(t)), options)
        }),
    ]
}

fn of_vectors() -> Vec<Criterion> {
    vec![
        criterion!(cosine_embedding_loss_with, classes, |y, t, _| {
            let alike = signs(&rows(t).select(1, 0));
            let options = CosineEmbeddingOptions { margin: -0.5, ..Default::default() };
            cosine_embedding_loss_with(&rows(y), &rows(t), &alike, options)
        }),
        criterion!(triplet_margin_loss_with, classes, |y, t, _| {
            let options = TripletMarginOptions { p: 1.0, margin: 2.0, ..Default::default() };
            triplet_margin_loss_with(&rows(y), &rows(t), &-rows(t), options)
        }),
        criterion!(triplet_margin_with_distance_loss_with, classes, |y, t, _| {
            let options = TripletMarginWithDistanceOptions { swap: true, ..Default::default() };
            triplet_margin_with_distance_loss_with(&rows(y), &rows(t), &-rows(t), by_angle, options)
        }),
        criterion!(info_nce_loss_with, classes, |y, t, _| {
            let options = InfoNceOptions { temperature: 0.5, negatives: Some(-rows(t)), ..Default::default() };
            info_nce_loss_with(&rows(y), &rows(t), options)
        }),
        criterion!(nt_xent_loss_with, classes, |y, t, _| {
            nt_xent_loss_with(&rows(y), &rows(t), NtXentOptions { temperature: 1.0, ..Default::default() })
        }),
    ]
}

fn of_boxes() -> Vec<Criterion> {
    fn mean() -> BoxIouOptions {
        BoxIouOptions { reduction: Reduction::Mean, ..Default::default() }
    }
    vec![
        criterion!(generalized_box_iou_loss_with, fours, |y, t, _| {
            generalized_box_iou_loss_with(&boxes(y), &boxes(t), mean())
        }),
        criterion!(distance_box_iou_loss_with, fours, |y, t, _| {
            distance_box_iou_loss_with(&boxes(y), &boxes(t), mean())
        }),
        criterion!(complete_box_iou_loss_with, fours, |y, t, _| {
            complete_box_iou_loss_with(&boxes(y), &boxes(t), mean())
        }),
    ]
}
