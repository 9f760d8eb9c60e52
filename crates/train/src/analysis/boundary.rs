//! Where in a plane a model decides for which class, and the code that its last hidden layer makes of it.

use crate::plots::{Plane, color, ends_of};
use gradus_tensor::{DType, Tensor, no_grad};
use std::collections::BTreeMap;

/// Places of a side of the plane.
const SIDE: usize = 160;
/// Units whose codes are written down at most.
const UNITS: usize = 16;

/// The regions of a plane where a model decides for each class, with examples on it.
///
/// A colour is stronger where the model is surer. `forward` goes from points to scores (logits or log-probabilities)
/// of the classes; one score alone is that of the second of two classes, decided at 0.
///
/// # Shapes
/// `points`: [N, 2]; `labels`: `[N]` i64; `forward`: [M, 2] -> [M, classes] or [M, 1].
///
/// # Panics
/// If the points are not [N, 2] or there are not N labels.
#[track_caller]
pub fn decision_boundary_svg(
    title: &str,
    forward: &dyn Fn(&Tensor) -> Tensor,
    points: &Tensor,
    labels: &Tensor,
    names: &[String],
) -> String {
    assert!(
        points.rank() == 2 && points.size(1) == 2 && labels.numel() == points.size(0),
        "decision_boundary: points are [N, 2] with N labels, got {} and {}",
        points.shape(),
        labels.shape()
    );
    let flat = points.detach().to_dtype(DType::F64).contiguous().to_vec::<f64>();
    let places = || flat.chunks_exact(2).map(|p| (p[0], p[1]));
    let ends = ends_of(places().collect::<Vec<_>>().into_iter());
    let grid = plane_grid(&ends, SIDE).to_dtype(points.dtype());
    let scores = probabilities(&no_grad(|| forward(&grid)));
    let classes = scores.size(1);
    let mut ground = vec![0f32; 3 * SIDE * SIDE];
    for (i, row) in scores.to_vec::<f64>().chunks_exact(classes).enumerate() {
        let best = (0..classes).fold(0, |b, c| if row[c] > row[b] { c } else { b });
        let strength = 0.15 + 0.4 * (row[best] - 1.0 / classes as f64) / (1.0 - 1.0 / classes as f64);
        for (channel, value) in color(best).into_iter().enumerate() {
            ground[channel * SIDE * SIDE + i] = 1.0 - strength as f32 * (1.0 - value);
        }
    }
    let truth = labels.to_vec::<i64>();
    let said = decide(&no_grad(|| forward(points)));
    let right = said.iter().zip(&truth).filter(|(s, t)| **s as i64 == **t).count();
    Plane {
        title,
        subtitle: &format!("{right} of {} points are in a region of their class", truth.len()),
        axes: ["first input", "second input"],
        ends,
        ground: Some(Tensor::from_vec(ground, [3, SIDE, SIDE])),
        points: places().zip(&truth).map(|((x, y), t)| (x, y, *t as usize)).collect(),
        legend: names.to_vec(),
    }
    .svg()
}

/// Points of a plane in rows from the top, [side * side, 2] f64.
fn plane_grid(ends: &[std::ops::Range<f64>; 2], side: usize) -> Tensor {
    let at = |range: &std::ops::Range<f64>, i: usize| {
        range.start + (range.end - range.start) * (i as f64 + 0.5) / side as f64
    };
    let values = (0..side * side).flat_map(|i| [at(&ends[0], i % side), at(&ends[1], side - 1 - i / side)]);
    Tensor::from_vec(values.collect::<Vec<f64>>(), [side * side, 2])
}

/// Class probabilities of scores, [M, classes] f64.
fn probabilities(scores: &Tensor) -> Tensor {
    let scores = scores.detach().to_dtype(DType::F64);
    match scores.size(1) {
        1 => Tensor::cat(&[&scores.zeros_like(), &scores], 1).softmax(1),
        _ => scores.softmax(1),
    }
}

fn decide(scores: &Tensor) -> Vec<usize> {
    probabilities(scores).argmax(1, false).to_vec::<i64>().into_iter().map(|c| c as usize).collect()
}

/// One combination of hidden units that are on and off.
#[derive(Clone, Debug, PartialEq)]
pub struct HiddenCode {
    /// Which units are on.
    pub code: Vec<bool>,
    /// How many examples of each class have it.
    pub examples: Vec<usize>,
    /// The class that the head answers to it, with 1 for a unit that is on and `off` for one that is not.
    pub answer: usize,
}

/// Writes down all combinations of the last hidden layer: which examples have them, and what the head makes of each.
///
/// A unit is on where its output is above `threshold`; `off` is what stands for a unit that is off, 0 after a ReLU or a
/// sigmoid, -1 after tanh. A head that separates the codes of different classes has solved the task.
///
/// # Shapes
/// `hidden`: [N, units]; `labels`: `[N]` i64; `head`: [M, units] -> [M, classes] or [M, 1].
///
/// # Panics
/// If there are more than 16 units.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::hidden_codes;
/// let hidden = Tensor::from_slice(&[0.9f32, 0.1, 0.8, 0.7], [2, 2]);
/// let and = |code: &Tensor| code.sum_dim([1], true) - 1.5;
/// let codes = hidden_codes(&hidden, &Tensor::from_slice(&[0i64, 1], [2]), 0.5, 0.0, &and);
/// let answers: Vec<usize> = codes.iter().map(|c| c.answer).collect();
/// assert_eq!(answers, [0, 0, 0, 1]); // of (0, 0), (0, 1), (1, 0), (1, 1)
/// assert_eq!((&codes[2].examples[..], &codes[3].examples[..]), (&[1, 0][..], &[0, 1][..]));
/// ```
#[track_caller]
pub fn hidden_codes(
    hidden: &Tensor,
    labels: &Tensor,
    threshold: f64,
    off: f64,
    head: &dyn Fn(&Tensor) -> Tensor,
) -> Vec<HiddenCode> {
    let units = hidden.size(1);
    assert!(units <= UNITS, "hidden_codes: {units} units have 2^{units} codes; up to {UNITS} are written down");
    let on = |code: usize, unit: usize| code >> (units - 1 - unit) & 1 == 1;
    let all = 1usize << units;
    let values = (0..all).flat_map(|code| (0..units).map(move |u| if on(code, u) { 1.0 } else { off }));
    let codes = Tensor::from_vec(values.collect::<Vec<f64>>(), [all, units]).to_dtype(hidden.dtype());
    let answers = decide(&no_grad(|| head(&codes)));
    let truth = labels.to_vec::<i64>();
    let classes = truth.iter().map(|&t| t as usize + 1).chain(answers.iter().map(|a| a + 1)).max().unwrap_or(0);
    let mut seen: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let outputs = hidden.detach().to_dtype(DType::F64).contiguous().to_vec::<f64>();
    for (row, t) in outputs.chunks_exact(units.max(1)).zip(&truth) {
        let code = row.iter().fold(0, |code, x| code << 1 | usize::from(*x > threshold));
        seen.entry(code).or_insert_with(|| vec![0; classes])[*t as usize] += 1;
    }
    (0..all)
        .map(|code| HiddenCode {
            code: (0..units).map(|u| on(code, u)).collect(),
            examples: seen.remove(&code).unwrap_or_else(|| vec![0; classes]),
            answer: answers[code],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    fn names() -> Vec<String> {
        ["left".into(), "right".into()].into()
    }

    #[test]
    fn regions_have_the_colour_of_the_class_that_is_decided_for() {
        let points = Tensor::from_slice(&[-1.0f32, -1.0, 1.0, 1.0, 0.5, -1.0], [3, 2]);
        let labels = Tensor::from_slice(&[0i64, 1, 0], [3]);
        let svg = decision_boundary_svg("x", &|p| p.narrow(1, 0, 1) * 50.0, &points, &labels, &names());
        assert!(svg.contains("2 of 3 points") && svg.contains("left") && svg.matches("r=\"3.2\"").count() == 3);
        let data = svg.split("base64,").nth(1).unwrap().split('"').next().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let is = |x: u32, y: u32, class: usize| {
            let p = picture.get_pixel(x, y).0;
            let c = color(class);
            (0..3).all(|i| ((255.0 - f32::from(p[i])) / 255.0 - 0.55 * (1.0 - c[i])).abs() < 0.01)
        };
        assert!(is(5, 80, 0) && is(150, 80, 1) && !is(5, 80, 1));
    }

    #[test]
    fn up_is_the_second_input() {
        let points = Tensor::from_slice(&[0.0f64, -1.0, 0.0, 1.0], [2, 2]);
        let grid = plane_grid(&ends_of([(0.0, -1.0), (1.0, 1.0)].into_iter()), 4).to_vec::<f64>();
        assert!(grid[1] > 0.5 && grid[31] < -0.5 && grid[0] < grid[2]);
        let labels = Tensor::from_slice(&[0i64, 1], [2]);
        let three = |p: &Tensor| Tensor::cat(&[&(p.narrow(1, 1, 1) * -9.0), &(p.narrow(1, 1, 1) * 9.0)], 1);
        assert!(decision_boundary_svg("x", &three, &points, &labels, &names()).contains("2 of 2 points"));
    }

    #[test]
    fn the_codes_of_exclusive_or_are_told_apart_by_the_head() {
        // Units: x or y, x and y. Exclusive or is the first without the second.
        let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], [4, 2]);
        let sum = x.sum_dim([1], true);
        let hidden = Tensor::cat(&[&(&sum - 0.5), &(&sum - 1.5)], 1).tanh();
        let labels = Tensor::from_slice(&[0i64, 1, 1, 0], [4]);
        let head = |h: &Tensor| h.narrow(1, 0, 1) - h.narrow(1, 1, 1) - 1.0;
        let codes = hidden_codes(&hidden, &labels, 0.0, -1.0, &head);
        let found: Vec<(Vec<bool>, Vec<usize>, usize)> =
            codes.into_iter().map(|c| (c.code, c.examples, c.answer)).collect();
        assert_eq!(found[0], (vec![false, false], vec![1, 0], 0));
        assert_eq!(found[1], (vec![false, true], vec![0, 0], 0)); // no input has it
        assert_eq!(found[2], (vec![true, false], vec![0, 2], 1));
        assert_eq!(found[3], (vec![true, true], vec![1, 0], 0));
    }
}
