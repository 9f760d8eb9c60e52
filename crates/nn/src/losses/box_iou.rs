//! Losses of boxes by their intersection over union (IoU).
//!
//! A box is `[x1, y1, x2, y2]` with x1 <= x2 and y1 <= y2.

use super::Reduction;
use gradus_tensor::{Tensor, fail, no_grad};
use std::f64::consts::PI;

/// Options of the losses of boxes.
#[derive(Clone, Copy, Debug)]
pub struct BoxIouOptions {
    /// What is added to denominators (1e-7).
    pub eps: f64,
    /// How the losses, one a pair of boxes, are made one: not at all, as in torchvision. The mean over no boxes is 0.
    pub reduction: Reduction,
}

impl Default for BoxIouOptions {
    fn default() -> Self {
        BoxIouOptions { eps: 1e-7, reduction: Reduction::None }
    }
}

/// Generalised IoU loss of pairs of boxes: 1 - IoU + (area(C) - area(A or B)) / area(C), where C is the smallest
/// box around both. It has a gradient also where the boxes lie apart.
///
/// # Shapes
/// boxes `[..., 4]` and the same -> `[...]`, one loss a pair
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Rezatofighi et al., 2019, <https://arxiv.org/abs/1902.09630>, in torchvision's form,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.generalized_box_iou_loss.html>.
///
/// ```
/// use gradus_nn::losses::generalized_box_iou_loss;
/// use gradus_tensor::Tensor;
/// let a = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 1.0], [1, 4]);
/// let b = Tensor::from_slice(&[2.0f32, 0.0, 3.0, 1.0], [1, 4]);
/// assert!((generalized_box_iou_loss(&a, &b).item() - 4.0 / 3.0).abs() < 1e-6);
/// ```
#[track_caller]
pub fn generalized_box_iou_loss(boxes1: &Tensor, boxes2: &Tensor) -> Tensor {
    generalized_box_iou_loss_with(boxes1, boxes2, BoxIouOptions::default())
}

/// [`generalized_box_iou_loss`] with another eps or reduction.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn generalized_box_iou_loss_with(boxes1: &Tensor, boxes2: &Tensor, options: BoxIouOptions) -> Tensor {
    let pair = Pair::new("generalized_box_iou_loss", boxes1, boxes2);
    let (intersection, union) = pair.overlap();
    let [width, height] = pair.around();
    let area = width * height;
    let iou = intersection / (&union + options.eps);
    options.reduce(1.0 - iou + (&area - &union) / (&area + options.eps))
}

/// Distance IoU loss of pairs of boxes: 1 - IoU + d^2 / c^2 with the distance d of their centres and the diagonal
/// c of the smallest box around both.
///
/// # Shapes
/// boxes `[..., 4]` and the same -> `[...]`, one loss a pair
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Zheng et al., 2020, <https://arxiv.org/abs/1911.08287>, in torchvision's form,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.distance_box_iou_loss.html>.
///
/// ```
/// use gradus_nn::losses::distance_box_iou_loss;
/// use gradus_tensor::Tensor;
/// let a = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 1.0], [1, 4]);
/// let b = Tensor::from_slice(&[2.0f32, 0.0, 3.0, 1.0], [1, 4]);
/// assert!((distance_box_iou_loss(&a, &b).item() - 1.4).abs() < 1e-6);
/// ```
#[track_caller]
pub fn distance_box_iou_loss(boxes1: &Tensor, boxes2: &Tensor) -> Tensor {
    distance_box_iou_loss_with(boxes1, boxes2, BoxIouOptions::default())
}

/// [`distance_box_iou_loss`] with another eps or reduction.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn distance_box_iou_loss_with(boxes1: &Tensor, boxes2: &Tensor, options: BoxIouOptions) -> Tensor {
    let pair = Pair::new("distance_box_iou_loss", boxes1, boxes2);
    options.reduce(pair.distance_loss(options.eps).0)
}

/// Complete IoU loss of pairs of boxes: the [`distance_box_iou_loss`] plus alpha v, where
/// v = 4 / pi^2 (atan(w / h) - atan(w' / h'))^2 compares the aspect ratios and alpha = v / (1 - IoU + v) is taken
/// as a constant.
///
/// # Shapes
/// boxes `[..., 4]` and the same -> `[...]`, one loss a pair
///
/// # Panics
/// If the shapes do not fit.
///
/// Source: Zheng et al., 2020, <https://arxiv.org/abs/1911.08287>, in torchvision's form,
/// <https://docs.pytorch.org/vision/stable/generated/torchvision.ops.complete_box_iou_loss.html>.
///
/// ```
/// use gradus_nn::losses::complete_box_iou_loss;
/// use gradus_tensor::Tensor;
/// let a = Tensor::from_slice(&[0.0f32, 0.0, 2.0, 1.0], [1, 4]);
/// assert!(complete_box_iou_loss(&a, &a).item().abs() < 1e-6);
/// ```
#[track_caller]
pub fn complete_box_iou_loss(boxes1: &Tensor, boxes2: &Tensor) -> Tensor {
    complete_box_iou_loss_with(boxes1, boxes2, BoxIouOptions::default())
}

/// [`complete_box_iou_loss`] with another eps (of the denominator of alpha only, as in torchvision) or reduction.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn complete_box_iou_loss_with(boxes1: &Tensor, boxes2: &Tensor, options: BoxIouOptions) -> Tensor {
    let pair = Pair::new("complete_box_iou_loss", boxes1, boxes2);
    // torchvision hands its eps to alpha alone.
    let (loss, iou) = pair.distance_loss(BoxIouOptions::default().eps);
    let angle = |corners: &[Tensor; 4]| {
        let [width, height] = size(corners);
        let flat = height.eq_scalar(0.0);
        (width / height.masked_fill(&flat, options.eps)).atan()
    };
    let v = (angle(&pair.b) - angle(&pair.a)).square() * (4.0 / (PI * PI));
    let alpha = no_grad(|| &v / (1.0 - &iou + &v + options.eps));
    options.reduce(loss + alpha * v)
}

impl BoxIouOptions {
    fn reduce(&self, losses: Tensor) -> Tensor {
        match self.reduction {
            Reduction::Mean if losses.numel() == 0 => losses.sum(),
            reduction => reduction.apply(losses),
        }
    }
}

/// Corners x1, y1, x2, y2 of two lists of boxes.
struct Pair {
    a: [Tensor; 4],
    b: [Tensor; 4],
}

impl Pair {
    #[track_caller]
    fn new(op: &str, a: &Tensor, b: &Tensor) -> Pair {
        if a.shape() != b.shape() || a.rank() == 0 || a.size(-1) != 4 {
            fail(op, format_args!("needs boxes [..., 4] of the same shape, got {} and {}", a.shape(), b.shape()));
        }
        let corners = |t: &Tensor| [0, 1, 2, 3].map(|i| t.select(-1, i));
        Pair { a: corners(a), b: corners(b) }
    }

    /// Areas of the intersections and of the unions.
    fn overlap(&self) -> (Tensor, Tensor) {
        let side = |i: usize| (self.a[i + 2].minimum(&self.b[i + 2]) - self.a[i].maximum(&self.b[i])).relu();
        let area = |corners: &[Tensor; 4]| {
            let [width, height] = size(corners);
            width * height
        };
        let intersection = side(0) * side(1);
        let union = area(&self.a) + area(&self.b) - &intersection;
        (intersection, union)
    }

    /// Width and height of the smallest boxes around both.
    fn around(&self) -> [Tensor; 2] {
        [0, 1].map(|i| self.a[i + 2].maximum(&self.b[i + 2]) - self.a[i].minimum(&self.b[i]))
    }

    /// The distance IoU loss, and the IoU.
    fn distance_loss(&self, eps: f64) -> (Tensor, Tensor) {
        let (intersection, union) = self.overlap();
        let iou = intersection / (union + eps);
        let [width, height] = self.around();
        let diagonal = width.square() + height.square() + eps;
        let apart = |i: usize| (&self.a[i] + &self.a[i + 2] - &self.b[i] - &self.b[i + 2]) * 0.5;
        let distance = apart(0).square() + apart(1).square();
        (1.0 - &iou + distance / diagonal, iou)
    }
}

fn size([x1, y1, x2, y2]: &[Tensor; 4]) -> [Tensor; 2] {
    [x2 - x1, y2 - y1]
}
