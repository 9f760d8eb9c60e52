//! Whether a model says the same of a picture that is turned, made larger or moved.

use crate::plots::Lines;
use gradus_tensor::{DType, Tensor, no_grad};
use serde::Serialize;

/// Pictures of one forward pass.
const BATCH: usize = 256;

/// How a picture is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Turned counter-clockwise about its middle, in degrees.
    Rotation,
    /// Made larger about its middle by a factor.
    Scale,
    /// Moved to the right, in pixels.
    Translation,
}

impl Change {
    /// All changes, each with what its amount is.
    pub const ALL: [(Change, &'static str); 3] = [
        (Change::Rotation, "degrees counter-clockwise"),
        (Change::Scale, "factor"),
        (Change::Translation, "pixels to the right"),
    ];

    /// Pictures changed by `amount`, read off bilinearly, with 0 from beyond the border.
    ///
    /// # Shapes
    /// `pixels`: [N, C, H, W]; the result too.
    ///
    /// # Panics
    /// If the pictures are not [N, C, H, W], or a scale is not above 0.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// use gradus_train::analysis::Change;
    /// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [1, 1, 2, 2]);
    /// assert_eq!(Change::Translation.apply(&x, 1.0).to_vec::<f32>(), [0.0, 1.0, 0.0, 3.0]);
    /// ```
    #[track_caller]
    pub fn apply(self, pixels: &Tensor, amount: f64) -> Tensor {
        assert!(pixels.rank() == 4, "Change: pictures are [N, C, H, W], got {}", pixels.shape());
        assert!(self != Change::Scale || amount > 0.0, "Change: a scale is above 0, got {amount}");
        let (h, w) = (pixels.size(2), pixels.size(3));
        let middle = [(w as f64 - 1.0) / 2.0, (h as f64 - 1.0) / 2.0];
        let (sin, cos) = amount.to_radians().sin_cos();
        // Where the pixel at (x, y), rows downwards, comes from.
        let source = |x: usize, y: usize| {
            let (dx, dy) = (x as f64 - middle[0], y as f64 - middle[1]);
            let (dx, dy) = match self {
                Change::Rotation => (cos * dx - sin * dy, sin * dx + cos * dy),
                Change::Scale => (dx / amount, dy / amount),
                Change::Translation => (dx - amount, dy),
            };
            (dx + middle[0], dy + middle[1])
        };
        let mut taps = Vec::with_capacity(h * w);
        for i in 0..h * w {
            let (x, y) = source(i % w, i / w);
            let (left, top) = (x.floor(), y.floor());
            let (u, v) = (x - left, y - top);
            let corners = [
                (0.0, 0.0, (1.0 - u) * (1.0 - v)),
                (1.0, 0.0, u * (1.0 - v)),
                (0.0, 1.0, (1.0 - u) * v),
                (1.0, 1.0, u * v),
            ];
            taps.push(corners.map(|(a, b, weight)| {
                let (x, y) = (left + a, top + b);
                let inside = x >= 0.0 && y >= 0.0 && x < w as f64 && y < h as f64;
                if inside { (y as usize * w + x as usize, weight as f32) } else { (0, 0.0) }
            }));
        }
        let from = pixels.detach().to_dtype(DType::F32).contiguous().to_vec::<f32>();
        let maps = from.chunks_exact(h * w);
        let out: Vec<f32> =
            maps.flat_map(|map| taps.iter().map(|t| t.iter().map(|(i, k)| map[*i] * k).sum())).collect();
        Tensor::from_vec(out, pixels.shape()).to_dtype(pixels.dtype())
    }
}

/// What became of a model's answers when pictures were changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Invariance {
    /// How pictures were changed.
    pub change: Change,
    /// By how much.
    pub amount: f64,
    /// Share of the pictures of which the model says what it said before.
    pub agreement: f64,
    /// Share of the pictures that it classifies rightly.
    pub accuracy: f64,
}

/// Asks `forward` about pictures turned by up to 45 degrees, scaled by 0.7 to 1.4 and moved by up to a quarter.
///
/// Pooling makes a net indifferent to small translations alone; convolution is equivariant to them, and neither is
/// invariant to rotation or scale.
///
/// # Shapes
/// `pixels`: [N, C, H, W]; `labels`: `[N]` i64; `forward`: pictures to [N, classes].
pub fn invariance(forward: &dyn Fn(&Tensor) -> Tensor, pixels: &Tensor, labels: &Tensor) -> Vec<Invariance> {
    let (n, quarter) = (pixels.size(0), (pixels.size(3) / 4).max(1) as f64);
    let classes = |x: &Tensor| -> Vec<i64> {
        no_grad(|| x.split(BATCH, 0).iter().flat_map(|part| forward(part).argmax(1, false).to_vec::<i64>()).collect())
    };
    let (before, truth) = (classes(pixels), labels.to_vec::<i64>());
    let amounts = |change: Change| match change {
        Change::Rotation => vec![-45.0, -30.0, -15.0, -5.0, 0.0, 5.0, 15.0, 30.0, 45.0],
        Change::Scale => vec![0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4],
        Change::Translation => (-4..=4).map(|i| f64::from(i) / 4.0 * quarter).collect(),
    };
    let share = |a: &[i64], b: &[i64]| a.iter().zip(b).filter(|(x, y)| x == y).count() as f64 / n as f64;
    let row = |change: Change, amount: f64| {
        let after = classes(&change.apply(pixels, amount));
        Invariance { change, amount, agreement: share(&after, &before), accuracy: share(&after, &truth) }
    };
    Change::ALL.iter().flat_map(|(change, _)| amounts(*change).into_iter().map(|a| row(*change, a))).collect()
}

/// One chart for each kind of change: its name and the SVG.
pub fn invariance_svgs(title: &str, rows: &[Invariance]) -> Vec<(&'static str, String)> {
    let chart = |(change, unit): (Change, &'static str)| {
        let of = |y: fn(&Invariance) -> f64| {
            rows.iter().filter(|r| r.change == change).map(|r| (r.amount, y(r))).collect::<Vec<_>>()
        };
        let name = match change {
            Change::Rotation => "rotation",
            Change::Scale => "scale",
            Change::Translation => "translation",
        };
        let svg = Lines {
            title: &format!("{title}: {name}"),
            subtitle: "the same answer as before, and the right one, of pictures that were changed",
            axes: [unit, "share"],
            series: vec![("same answer".into(), of(|r| r.agreement)), ("right answer".into(), of(|r| r.accuracy))],
            ends: None,
            log_x: false,
            diagonal: false,
        };
        (name, svg.svg())
    };
    Change::ALL.into_iter().map(chart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_turn_scale_and_move() {
        let x = Tensor::from_vec((0..9).map(|i| i as f32).collect::<Vec<f32>>(), [1, 1, 3, 3]);
        let rounded = |t: Tensor| t.to_vec::<f32>().into_iter().map(|v| (v * 1e4).round() / 1e4).collect::<Vec<_>>();
        // The right column comes to the top.
        assert_eq!(rounded(Change::Rotation.apply(&x, 90.0)), [2., 5., 8., 1., 4., 7., 0., 3., 6.]);
        assert_eq!(rounded(Change::Rotation.apply(&x, 0.0)), x.to_vec::<f32>());
        assert_eq!(rounded(Change::Scale.apply(&x, 2.0)), [2., 2.5, 3., 3.5, 4., 4.5, 5., 5.5, 6.]);
        assert_eq!(rounded(Change::Translation.apply(&x, 0.5))[..3], [0.0, 0.5, 1.5]);
    }

    #[test]
    fn a_model_that_sums_is_invariant_where_nothing_leaves_the_picture() {
        // The brightest of two maps: the sum of the left half, that of the right half.
        let sides = |x: &Tensor| {
            let sum = |from: usize| x.narrow(3, from, 8).flatten(1, -1).sum_dim([1], true);
            Tensor::cat(&[&sum(0), &sum(8)], 1)
        };
        let mut pixels = vec![0f32; 16 * 16];
        (6..10).for_each(|y| (2..5).for_each(|x| pixels[y * 16 + x] = 1.0)); // left of the middle
        let rows = invariance(&sides, &Tensor::from_vec(pixels, [1, 1, 16, 16]), &Tensor::from_slice(&[1i64], [1]));
        let of = |change: Change, amount: f64| {
            rows.iter().find(|r| r.change == change && r.amount == amount).map(|r| (r.agreement, r.accuracy)).unwrap()
        };
        assert_eq!(of(Change::Rotation, 45.0), (1.0, 0.0));
        assert_eq!(of(Change::Scale, 0.7), (1.0, 0.0));
        assert_eq!((of(Change::Translation, -1.0), of(Change::Translation, 4.0)), ((1.0, 0.0), (1.0, 0.0)));
        let far = Change::Translation.apply(&Tensor::ones([1, 1, 16, 16]), 9.0);
        assert_eq!(sides(&far).argmax(1, false).item_i64(), 1);
        let svgs = invariance_svgs("x", &rows);
        assert_eq!(svgs.iter().map(|s| s.0).collect::<Vec<_>>(), ["rotation", "scale", "translation"]);
        assert!(svgs.iter().all(|s| s.1.contains("same answer")));
    }
}
