//! Mixing the examples of a batch.

use super::Step;
use crate::Random;
use gradus_tensor::{DType, Tensor};
use rand::RngExt;
use rand_distr::Beta;
use serde::{Deserialize, Serialize};

/// The batch moved on by one: each example is mixed with the one before it.
fn partner(x: &Tensor) -> Tensor {
    x.roll(1, 0)
}

/// Targets as rows of weights: classes one-hot, rows of weights as they are.
#[track_caller]
fn weights(targets: &Tensor, classes: usize) -> Tensor {
    match targets.rank() {
        1 => targets.to_dtype(DType::I64).one_hot(classes).to_dtype(DType::F32),
        _ => targets.clone(),
    }
}

macro_rules! mixing {
    ($name:ident, $doc:literal, $source:literal, $also:literal) => {
        #[doc = $doc]
        ///
        #[doc = concat!("Source: <", $source, ">, <", $also, ">")]
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            num_classes: usize,
            #[serde(default = "one")]
            alpha: f64,
        }

        impl $name {
            /// For classes from 0 to `num_classes` - 1, with alpha 1.
            pub fn new(num_classes: usize) -> $name {
                $name { num_classes, alpha: 1.0 }
            }

            /// The share is drawn from Beta(alpha, alpha).
            pub fn alpha(mut self, alpha: f64) -> $name {
                self.alpha = alpha;
                self
            }

            /// Whether the arguments are in their ranges.
            ///
            /// # Errors
            /// A sentence that says what is wrong.
            pub fn check(&self) -> Step<()> {
                match self.alpha > 0.0 && self.alpha.is_finite() && self.num_classes > 0 {
                    true => Ok(()),
                    false => Err(format!(
                        "alpha is {} and num_classes {}, but both must be above 0",
                        self.alpha, self.num_classes
                    )),
                }
            }

            /// The batch mixed with a random share, and its targets as rows of class weights.
            ///
            /// # Shapes
            /// `inputs`: [N, C, H, W]; `targets`: `[N]` (classes) or [N, classes]; result: the same inputs,
            /// [N, classes].
            ///
            /// # Panics
            /// If an argument is out of its range, or the shapes are others.
            #[track_caller]
            pub fn apply(&self, inputs: &Tensor, targets: &Tensor, rng: &mut Random) -> (Tensor, Tensor) {
                if let Err(e) = self.check() {
                    panic!("{}: {e}", stringify!($name));
                }
                let beta = Beta::new(self.alpha, self.alpha).expect("alpha is above 0");
                let share = rng.sample(beta);
                self.mix(inputs, targets, share, rng)
            }
        }
    };
}

fn one() -> f64 {
    1.0
}

mixing!(
    MixUp,
    "Blends each example and its target with another of the batch: share x + (1 - share) x'.",
    "https://arxiv.org/abs/1710.09412",
    "https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.v2.MixUp.html"
);
mixing!(
    CutMix,
    "Pastes a rectangle of another example of the batch into each, and mixes the targets by area.",
    "https://arxiv.org/abs/1905.04899",
    "https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.v2.CutMix.html"
);

fn blend(x: &Tensor, share: f64) -> Tensor {
    x * share + partner(x) * (1.0 - share)
}

impl MixUp {
    fn mix(&self, inputs: &Tensor, targets: &Tensor, share: f64, _: &mut Random) -> (Tensor, Tensor) {
        (blend(inputs, share), blend(&weights(targets, self.num_classes), share))
    }
}

impl CutMix {
    #[track_caller]
    fn mix(&self, inputs: &Tensor, targets: &Tensor, share: f64, rng: &mut Random) -> (Tensor, Tensor) {
        let shape = inputs.shape();
        assert!(shape.len() == 4, "CutMix: needs images [N, C, H, W], got the shape {shape}");
        let (cx, cy) = (rng.random_range(0..shape[3]), rng.random_range(0..shape[2]));
        let [x1, y1, x2, y2] = rectangle(shape[2], shape[3], cx, cy, share);
        let share = 1.0 - ((x2 - x1) * (y2 - y1)) as f64 / (shape[2] * shape[3]) as f64;
        let (plane, other) = (shape[2] * shape[3], partner(inputs).to_dtype(DType::F32).to_vec::<f32>());
        let mut pixels = inputs.to_dtype(DType::F32).to_vec::<f32>();
        for start in (0..pixels.len()).step_by(plane) {
            for y in y1..y2 {
                let row = start + y * shape[3];
                pixels[row + x1..row + x2].copy_from_slice(&other[row + x1..row + x2]);
            }
        }
        (Tensor::from_vec(pixels, shape), blend(&weights(targets, self.num_classes), share))
    }
}

/// Left, top, right and bottom of a rectangle of 1 - `share` of the area around (`cx`, `cy`), cut at the border.
fn rectangle(height: usize, width: usize, cx: usize, cy: usize, share: f64) -> [usize; 4] {
    let r = 0.5 * (1.0 - share).sqrt();
    let (half_w, half_h) = ((r * width as f64) as usize, (r * height as f64) as usize);
    [cx.saturating_sub(half_w), cy.saturating_sub(half_h), (cx + half_w).min(width), (cy + half_h).min(height)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draw;

    #[test]
    fn mixup_blends_examples_and_targets_alike() {
        let x = Tensor::from_vec(vec![0.0f32, 8.0, 4.0], [3, 1, 1, 1]);
        let y = Tensor::from_vec(vec![0i64, 1, 1], [3]);
        let (mixed, targets) = MixUp::new(2).mix(&x, &y, 0.75, &mut Draw::default().rng(0));
        assert_eq!(mixed.to_vec::<f32>(), [1.0, 6.0, 5.0]);
        assert_eq!(targets.to_vec::<f32>(), [0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        let (again, rows) = MixUp::new(2).alpha(0.4).apply(&x, &y, &mut Draw::new(1, 0).rng(0));
        let share = rows.to_vec::<f32>()[0];
        assert!((0.0..=1.0).contains(&share));
        assert!((again.to_vec::<f32>()[0] - 4.0 * (1.0 - share)).abs() < 1e-5);
    }

    #[test]
    fn cutmix_weighs_targets_by_area() {
        let x = Tensor::arange(2).reshape([2, 1, 1, 1]).expand([2, 3, 10, 8]).contiguous();
        let y = Tensor::from_vec(vec![0i64, 1], [2]);
        for i in 0..30 {
            let (mixed, targets) = CutMix::new(2).apply(&x, &y, &mut Draw::new(9, 0).rng(i));
            let pasted = mixed.select(0, 0).mean().item_f64();
            assert!((targets.at(&[0, 1]) - pasted).abs() < 1e-6 && (targets.sum().item_f64() - 2.0).abs() < 1e-6);
        }
        assert_eq!(rectangle(10, 8, 4, 5, 0.75), [2, 3, 6, 7]);
        assert_eq!(rectangle(10, 8, 0, 9, 0.0), [0, 4, 4, 10]);
    }
}
