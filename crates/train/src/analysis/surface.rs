//! The loss along lines and planes through the space of weights.

use super::normals;
use crate::plots::{Lines, Plane};
use gradus_nn::{Forward, StateDict};
use gradus_tensor::{DType, Tensor, no_grad};
use serde::Serialize;

/// The loss over a plane of weights, `w + a d_1 + b d_2`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Surface {
    /// The places along both directions, ascending; 0 are the weights themselves.
    pub steps: Vec<f64>,
    /// The loss, row by row: `losses[j * n + i]` at `a = steps[i]`, `b = steps[j]`.
    pub losses: Vec<f64>,
}

/// The loss on a line from some weights to others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interpolation {
    /// The places: 0 are the first weights, 1 the second.
    pub steps: Vec<f64>,
    /// The loss at each.
    pub losses: Vec<f64>,
}

/// Puts weights back when it goes away, a panic included.
struct Restore {
    parameters: Vec<Tensor>,
    values: Vec<Tensor>,
}

impl Restore {
    fn of(model: &dyn Forward) -> Restore {
        let parameters = model.parameters();
        let values = parameters.iter().map(|p| p.detach() + 0.0).collect();
        Restore { parameters, values }
    }

    /// Sets the weights to the values that `f` gives for each.
    fn set(&self, f: impl Fn(usize, &Tensor) -> Tensor) {
        no_grad(|| self.parameters.iter().enumerate().for_each(|(i, p)| p.copy_(&f(i, &self.values[i]))));
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        self.set(|_, value| value.clone());
    }
}

/// A random direction for each parameter, each filter of it as long as that of the weights; 0 for biases and scales.
///
/// Networks with ReLU or batch norm do not change when filters are scaled, so without this the sharpness of a surface
/// would tell nothing but the size of the weights.
fn direction(seed: u64, values: &[Tensor]) -> Vec<Tensor> {
    let one = |(i, w): (usize, &Tensor)| {
        if w.rank() < 2 {
            return w.zeros_like();
        }
        let rows = w.detach().to_dtype(DType::F64).reshape([w.size(0), w.numel() / w.size(0)]); // (out, rest)
        let random = normals(seed.wrapping_mul(1_000_003).wrapping_add(i as u64), [rows.size(0), rows.size(1)]);
        let length = |t: &Tensor| t.square().sum_dim([1], true).sqrt();
        (&random * (length(&rows) / length(&random))).reshape(w.shape()).to_dtype(w.dtype())
    };
    values.iter().enumerate().map(one).collect()
}

/// The loss on a plane through the weights of `model` along two random directions, normalised filter by filter.
///
/// `loss` measures the model as it stands; the weights are as before afterwards. There are `side` places from `-extent`
/// to `extent` along each direction; an odd number has the weights themselves in the middle.
///
/// # Panics
/// If `side` is below 2.
///
/// Source: Li et al., 2018, <https://arxiv.org/abs/1712.09913>.
#[track_caller]
pub fn loss_surface(model: &dyn Forward, loss: &dyn Fn() -> f64, extent: f64, side: usize, seed: u64) -> Surface {
    let steps = places(-extent, extent, side);
    let weights = Restore::of(model);
    let (first, second) = (direction(2 * seed, &weights.values), direction(2 * seed + 1, &weights.values));
    let mut losses = Vec::with_capacity(side * side);
    for &b in &steps {
        for &a in &steps {
            weights.set(|i, w| w + &first[i] * a + &second[i] * b);
            losses.push(no_grad(loss));
        }
    }
    Surface { steps, losses }
}

/// The loss on the line from the weights `from` (0) to the weights `to` (1), and as far beyond both ends as `beyond`.
///
/// Entries that are not parameters, such as running means, stay those of the model. The weights are as before
/// afterwards.
///
/// # Panics
/// If `side` is below 2, or a parameter is missing in a state or has another shape there.
///
/// Source: Goodfellow et al., 2014, <https://arxiv.org/abs/1412.6544>.
#[track_caller]
pub fn interpolate_loss(
    model: &dyn Forward,
    loss: &dyn Fn() -> f64,
    from: &StateDict,
    to: &StateDict,
    beyond: f64,
    side: usize,
) -> Interpolation {
    let names: Vec<String> = model.named_parameters().into_iter().map(|(name, _)| name).collect();
    let weights = Restore::of(model);
    let of = |state: &StateDict| -> Vec<Tensor> {
        let entry = |name: &String| match state.get(name) {
            Some(t) => t.detach() + 0.0, // a copy: a state shares its elements with the model
            None => panic!("interpolate_loss: no `{name}` among the weights"),
        };
        names.iter().map(entry).collect()
    };
    let (from, to) = (of(from), of(to));
    let steps = places(-beyond, 1.0 + beyond, side);
    let at = |&step: &f64| {
        weights.set(|i, _| &from[i] * (1.0 - step) + &to[i] * step);
        no_grad(loss)
    };
    let losses = steps.iter().map(at).collect();
    Interpolation { steps, losses }
}

#[track_caller]
fn places(low: f64, high: f64, side: usize) -> Vec<f64> {
    assert!(side > 1, "a line has at least two places, got {side}");
    // From both ends, so that the middle of an odd number is exactly in the middle.
    let last = (side - 1) as f64;
    (0..side).map(|i| (low * (last - i as f64) + high * i as f64) / last).collect()
}

impl Surface {
    /// The surface from above: dark where the loss is low, in steps of its logarithm where it spans much.
    pub fn svg(&self, title: &str) -> String {
        const LEVELS: f64 = 16.0;
        const FINE: usize = 8;
        let n = self.steps.len();
        let finite = || self.losses.iter().copied().filter(|l| l.is_finite());
        let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), l| (a.min(l), b.max(l)));
        let logarithmic = low > 0.0 && high / low > 30.0;
        let scale = |l: f64| if logarithmic { l.ln() } else { l };
        let part = |l: f64| match l.is_finite() {
            true if high > low => (scale(l) - scale(low)) / (scale(high) - scale(low)),
            true => 0.0,
            false => 1.0,
        };
        // Between the places the loss is taken as bilinear, so that the borders of the levels are smooth.
        let side = (n - 1) * FINE + 1;
        let mut ground = vec![0f32; 3 * side * side];
        for p in 0..side * side {
            let (x, y) = (p % side, side - 1 - p / side);
            let (i, j) = ((x / FINE).min(n - 2), (y / FINE).min(n - 2));
            let (u, v) = (x as f64 / FINE as f64 - i as f64, y as f64 / FINE as f64 - j as f64);
            let at = |i: usize, j: usize| part(self.losses[j * n + i]);
            let value = (at(i, j) * (1.0 - u) + at(i + 1, j) * u) * (1.0 - v)
                + (at(i, j + 1) * (1.0 - u) + at(i + 1, j + 1) * u) * v;
            let level = ((value * LEVELS).floor().min(LEVELS - 1.0) / (LEVELS - 1.0)) as f32;
            let (dark, light) = ([0.12f32, 0.20, 0.45], [0.99f32, 0.93, 0.80]);
            (0..3).for_each(|c| ground[c * side * side + p] = dark[c] + (light[c] - dark[c]) * level);
        }
        let ends = self.steps[0]..self.steps[n - 1];
        Plane {
            title,
            subtitle: &format!(
                "loss from {low:.4} (dark) to {high:.4} (light){} along two random directions",
                if logarithmic { ", by its logarithm," } else { "" }
            ),
            axes: ["first direction", "second direction"],
            ends: [ends.clone(), ends],
            ground: Some(Tensor::from_vec(ground, [3, side, side])),
            points: vec![(0.0, 0.0, 1)],
            legend: vec![],
        }
        .svg()
    }
}

impl Interpolation {
    /// The loss along the line.
    pub fn svg(&self, title: &str) -> String {
        Lines {
            title,
            subtitle: "loss on the line between two sets of weights",
            axes: ["part of the way", "loss"],
            series: vec![("loss".into(), self.steps.iter().copied().zip(self.losses.iter().copied()).collect())],
            ends: None,
            log_x: false,
            diagonal: false,
        }
        .svg()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::{Linear, Module, ReLU, Sequential, sequential};

    fn net() -> Sequential {
        let net = sequential![Linear::new(3, 5), ReLU, Linear::new(5, 2)];
        for (i, p) in net.parameters().iter().enumerate() {
            no_grad(|| p.copy_(&normals(i as u64, [p.numel()]).reshape(p.shape()).to_dtype(DType::F32)));
        }
        net
    }

    #[test]
    fn directions_have_the_lengths_of_the_filters_and_leave_biases() {
        let net = net();
        let values: Vec<Tensor> = net.parameters().iter().map(Tensor::detach).collect();
        let found = direction(3, &values);
        let lengths = |t: &Tensor| t.square().sum_dim([1], false).sqrt().to_vec::<f32>();
        for i in [0, 2] {
            let (a, b) = (lengths(&found[i]), lengths(&values[i]));
            assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-5 * y), "{a:?} {b:?}");
            assert_eq!(found[i + 1].abs().max().item(), 0.0);
        }
        assert_ne!(found[0].to_vec::<f32>(), direction(4, &values)[0].to_vec::<f32>());
    }

    #[test]
    fn a_surface_has_the_loss_of_the_weights_in_its_middle_and_leaves_them_alone() {
        let net = net();
        let x = normals(8, [16, 3]).to_dtype(DType::F32);
        let target = net.forward(&x).detach();
        let loss = || (net.forward(&x) - &target).square().mean().item_f64();
        let before = net.parameters()[0].to_vec::<f32>();
        let surface = loss_surface(&net, &loss, 1.0, 5, 0);
        assert_eq!(before, net.parameters()[0].to_vec::<f32>());
        assert_eq!((surface.steps[2], surface.losses[12]), (0.0, 0.0));
        assert!(surface.losses.iter().enumerate().all(|(i, l)| i == 12 || *l > 0.0));
        assert_eq!(surface, loss_surface(&net, &loss, 1.0, 5, 0));
        let svg = surface.svg("bowl");
        assert!(svg.contains("bowl") && svg.contains("loss from 0.0000") && svg.contains("data:image/png"));
    }

    #[test]
    fn a_line_goes_from_one_state_to_the_other() {
        let net = net();
        let from = net.state_dict();
        let copy: Vec<Vec<f32>> = net.parameters().iter().map(|p| p.to_vec::<f32>()).collect();
        let mut to = StateDict::new();
        from.iter().for_each(|(name, t)| drop(to.insert(name, t * 3.0)));
        let size = || net.parameters()[0].detach().sum().item_f64();
        let line = interpolate_loss(&net, &size, &from, &to, 0.5, 5);
        let whole = f64::from(copy[0].iter().sum::<f32>());
        assert_eq!(line.steps, [-0.5, 0.0, 0.5, 1.0, 1.5]);
        for (got, times) in line.losses.iter().zip([0.0, 1.0, 2.0, 3.0, 4.0]) {
            assert!((got - times * whole).abs() < 1e-4, "{:?}", line.losses);
        }
        assert_eq!(copy[0], net.parameters()[0].to_vec::<f32>());
        assert!(line.svg("between").contains("<polyline"));
    }
}
