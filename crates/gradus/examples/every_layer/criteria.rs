//! Every loss as a function of an output of any shape and of as many random numbers, which the target is made of.

use gradus::nn::distance::cosine_similarity;
use gradus::prelude::*;

/// A loss under its own name: the shapes it fits, and its value.
macro_rules! criterion {
    ($name:ident, $fits:expr, $value:expr) => {
        Criterion { name: stringify!($name), value: $value, fits: $fits }
    };
}
pub(super) use criterion;

/// A loss by name.
pub struct Criterion {
    pub name: &'static str,
    /// The loss of an output, random numbers of its shape, and the parameters.
    pub value: fn(&Tensor, &Tensor, &[Tensor]) -> Tensor,
    /// Whether the loss can be made of outputs of this shape.
    pub fits: fn(&[usize]) -> bool,
}

/// One row a sample.
pub fn rows(x: &Tensor) -> Tensor {
    x.reshape([x.size(0) as isize, -1])
}

/// 1 where a number is positive, else 0.
pub fn bits(t: &Tensor) -> Tensor {
    t.gt_scalar(0.0).to_dtype(t.dtype())
}

/// 1 where a number is positive, else -1.
pub fn signs(t: &Tensor) -> Tensor {
    bits(t) * 2.0 - 1.0
}

/// The class of each row.
pub fn labels(t: &Tensor) -> Tensor {
    rows(t).argmax(1, false)
}

/// Lists of one class each: the class, then -1 for the end.
pub fn label_lists(t: &Tensor) -> Tensor {
    let classes = rows(t).size(1);
    let mut lists = vec![];
    for label in labels(t).to_vec::<i64>() {
        lists.push(label);
        lists.extend(std::iter::repeat_n(-1, classes - 1));
    }
    Tensor::from_vec(lists, [t.size(0), classes])
}

/// Soft masks of one class.
pub fn masks(x: &Tensor) -> Tensor {
    rows(x).unsqueeze(1)
}

/// Boxes of two corners each, of four numbers each.
pub fn boxes(x: &Tensor) -> Tensor {
    let x = x.reshape([-1, 4]);
    let (corner, size) = (x.narrow(1, 0, 2), x.narrow(1, 2, 2).softplus() + 0.1);
    Tensor::cat(&[&corner, &(&corner + size)], 1)
}

/// What CTC takes of an output: log-probabilities of two classes, of which the first is the blank, at half as many
/// steps as a row has numbers; a target of one label for each sample; and the lengths of both.
pub fn transcripts(y: &Tensor) -> (Tensor, Tensor, Vec<usize>, Vec<usize>) {
    let y = rows(y);
    let (samples, steps) = (y.size(0), y.size(1) / 2);
    let log_probs = y.reshape([samples, steps, 2]).transpose(0, 1).log_softmax(2);
    let targets = Tensor::from_vec(vec![1i64; samples], [samples, 1]);
    (log_probs, targets, vec![steps; samples], vec![1; samples])
}

/// A distance of one's own for triplets.
pub fn by_angle(a: &Tensor, b: &Tensor) -> Tensor {
    1.0 - cosine_similarity(a, b, 1, 1e-8)
}

pub fn any(_: &[usize]) -> bool {
    true
}

fn width(shape: &[usize]) -> usize {
    shape.iter().skip(1).product()
}

/// Samples of two numbers or more, of which something can be chosen.
pub fn classes(shape: &[usize]) -> bool {
    shape.len() > 1 && shape[0] > 1 && width(shape) > 1
}

pub fn fours(shape: &[usize]) -> bool {
    shape.iter().product::<usize>().is_multiple_of(4)
}

pub fn pairs(shape: &[usize]) -> bool {
    classes(shape) && width(shape).is_multiple_of(2)
}

/// All losses of the library, with and without options, and its norms and penalties.
pub fn all() -> Vec<Criterion> {
    let mut all = elementwise();
    all.extend(of_classes());
    all.extend(of_vectors());
    all.extend(super::criteria_with::all());
    all
}

fn elementwise() -> Vec<Criterion> {
    vec![
        criterion!(mse_loss, any, |y, t, _| mse_loss(y, t)),
        criterion!(l1_loss, any, |y, t, _| l1_loss(y, t)),
        criterion!(smooth_l1_loss, any, |y, t, _| smooth_l1_loss(y, t)),
        criterion!(huber_loss, any, |y, t, _| huber_loss(y, t)),
        criterion!(binary_cross_entropy, any, |y, t, _| binary_cross_entropy(&y.sigmoid(), &bits(t))),
        criterion!(binary_cross_entropy_with_logits, any, |y, t, _| { binary_cross_entropy_with_logits(y, &bits(t)) }),
        criterion!(sigmoid_focal_loss, any, |y, t, _| sigmoid_focal_loss(y, &bits(t)).mean()),
        criterion!(soft_margin_loss, any, |y, t, _| soft_margin_loss(y, &signs(t))),
        criterion!(hinge_embedding_loss, any, |y, t, _| hinge_embedding_loss(&y.square(), &signs(t))),
        criterion!(margin_ranking_loss, any, |y, t, _| margin_ranking_loss(y, &t.zeros_like(), &signs(t))),
        criterion!(gaussian_nll_loss, any, |y, t, _| gaussian_nll_loss(y, t, &t.ones_like())),
        criterion!(poisson_nll_loss, any, |y, t, _| poisson_nll_loss(y, &t.abs())),
        criterion!(l1_penalty, any, |y, t, parameters| {
            LossTerms::new()
                .add("error", 1.0, &mse_loss(y, t))
                .add("penalty", 1.0, &l1_penalty(parameters, 1e-3))
                .total()
        }),
        criterion!(l2_penalty, any, |y, t, parameters| mse_loss(y, t) + l2_penalty(parameters, 1e-3)),
    ]
}

fn of_classes() -> Vec<Criterion> {
    vec![
        criterion!(cross_entropy, classes, |y, t, _| cross_entropy(&rows(y), &labels(t))),
        criterion!(nll_loss, classes, |y, t, _| nll_loss(&rows(y).log_softmax(1), &labels(t))),
        criterion!(focal_loss, classes, |y, t, _| focal_loss(&rows(y), &labels(t))),
        criterion!(multi_margin_loss, classes, |y, t, _| multi_margin_loss(&rows(y), &labels(t))),
        criterion!(multilabel_margin_loss, classes, |y, t, _| multilabel_margin_loss(&rows(y), &label_lists(t))),
        criterion!(multilabel_soft_margin_loss, classes, |y, t, _| {
            multilabel_soft_margin_loss(&rows(y), &rows(&bits(t)))
        }),
        criterion!(kl_div, classes, |y, t, _| kl_div(&rows(y).log_softmax(1), &rows(t).softmax(1))),
        criterion!(js_divergence, classes, |y, t, _| js_divergence(&rows(y).softmax(1), &rows(t).softmax(1))),
        criterion!(dice_loss, classes, |y, t, _| dice_loss(&masks(y).sigmoid(), &masks(&bits(t)))),
        criterion!(jaccard_loss, classes, |y, t, _| jaccard_loss(&masks(y).sigmoid(), &masks(&bits(t)))),
        criterion!(ctc_loss, pairs, |y, _, _| {
            let (log_probs, targets, steps, lengths) = transcripts(y);
            ctc_loss(&log_probs, &targets, &steps, &lengths)
        }),
    ]
}

fn of_vectors() -> Vec<Criterion> {
    vec![
        criterion!(cosine_embedding_loss, classes, |y, t, _| {
            cosine_embedding_loss(&rows(y), &rows(t), &Tensor::ones([t.size(0)]))
        }),
        criterion!(triplet_margin_loss, classes, |y, t, _| triplet_margin_loss(&rows(y), &rows(t), &-rows(t))),
        criterion!(triplet_margin_with_distance_loss, classes, |y, t, _| {
            triplet_margin_with_distance_loss(&rows(y), &rows(t), &-rows(t), by_angle)
        }),
        criterion!(info_nce_loss, classes, |y, t, _| info_nce_loss(&rows(y), &rows(t))),
        criterion!(nt_xent_loss, classes, |y, t, _| nt_xent_loss(&rows(y), &rows(t))),
        criterion!(frobenius_norm, classes, |y, t, _| frobenius_norm(&(rows(y) - rows(t)))),
        criterion!(mixed_norm, classes, |y, t, _| mixed_norm(&(rows(y) - rows(t)), 2.0, 1.0)),
        criterion!(generalized_box_iou_loss, fours, |y, t, _| {
            generalized_box_iou_loss(&boxes(y), &boxes(t)).mean()
        }),
        criterion!(distance_box_iou_loss, fours, |y, t, _| distance_box_iou_loss(&boxes(y), &boxes(t)).mean()),
        criterion!(complete_box_iou_loss, fours, |y, t, _| complete_box_iou_loss(&boxes(y), &boxes(t)).mean()),
    ]
}
