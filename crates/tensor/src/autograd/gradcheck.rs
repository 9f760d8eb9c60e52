//! Checking gradients against finite differences.

use super::{GradOptions, grad, no_grad};
use crate::{DType, Tensor, fail};
use std::fmt;

/// Where a gradient and its finite difference disagree.
#[derive(Clone, Debug)]
pub struct GradCheck {
    /// Which input.
    pub input: usize,
    /// Which element of it, in row-major order.
    pub element: usize,
    /// The gradient computed by the backward rule.
    pub analytic: f64,
    /// The central difference.
    pub numeric: f64,
}

impl fmt::Display for GradCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GradCheck { input, element, analytic, numeric } = self;
        write!(
            f,
            "gradient of input {input}, element {element}: the rule gives {analytic}, finite differences {numeric}"
        )
    }
}

impl std::error::Error for GradCheck {}

const STEP: f64 = 1e-6;
const RELATIVE: f64 = 1e-5;
const ABSOLUTE: f64 = 1e-7;

/// Compares the gradient of `f` at `inputs` (f64) with central differences,
/// (L(x + h) - L(x - h)) / 2h, where L weighs the elements of `f`'s result by fixed, uneven factors.
///
/// # Errors
/// The first element at which the two differ by more than 1e-5 of their size.
///
/// # Panics
/// If an input is not f64.
///
/// ```
/// use gradus_tensor::{DType, Tensor, autograd::gradcheck};
/// let x = Tensor::from_slice(&[0.3f64, -1.2], [2]);
/// gradcheck(|x| x[0].tanh(), &[x]).unwrap();
/// ```
#[track_caller]
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Tensor]) -> Result<(), GradCheck> {
    let loss = |x: &[Tensor]| {
        let out = f(x);
        (&out * weights(&out, 0.7)).sum()
    };
    let leaves = leaves(inputs);
    let out = loss(&leaves);
    if !out.requires_grad() {
        fail("gradcheck", "the function's result does not depend differentiably on its inputs");
    }
    let refs: Vec<&Tensor> = leaves.iter().collect();
    let options = GradOptions { allow_unused: true, ..Default::default() };
    let analytic = grad(&[&out], &refs, options);
    for (i, g) in analytic.iter().enumerate() {
        let g = g.to_vec::<f64>();
        let base = leaves[i].to_vec::<f64>();
        for e in 0..base.len() {
            let at = |delta: f64| {
                let mut moved = base.clone();
                moved[e] += delta;
                let mut x: Vec<Tensor> = leaves.iter().map(Tensor::detach).collect();
                x[i] = Tensor::from_vec(moved, inputs[i].shape());
                // Not under `no_grad`: `f` may itself call `grad`, as in `gradgradcheck`.
                loss(&x).item_f64()
            };
            let numeric = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            if (g[e] - numeric).abs() > ABSOLUTE + RELATIVE * numeric.abs().max(g[e].abs())
                || g[e].is_nan() != numeric.is_nan()
            {
                return Err(GradCheck { input: i, element: e, analytic: g[e], numeric });
            }
        }
    }
    Ok(())
}

/// Compares second derivatives of `f` at `inputs` (f64) with finite differences of the first ones.
///
/// # Errors
/// As [`gradcheck`].
#[track_caller]
pub fn gradgradcheck(f: impl Fn(&[Tensor]) -> Tensor, inputs: &[Tensor]) -> Result<(), GradCheck> {
    let first = |x: &[Tensor]| {
        let x: Vec<Tensor> =
            x.iter().map(|t| if t.requires_grad() { t.clone() } else { t.clone().requires_grad_(true) }).collect();
        let out = f(&x);
        let loss = (&out * weights(&out, 0.7)).sum();
        let refs: Vec<&Tensor> = x.iter().collect();
        let options = GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
        let grads = grad(&[&loss], &refs, options);
        grads.iter().map(|g| (g * weights(g, 1.3)).sum()).reduce(|a, b| a + b).expect("at least one input")
    };
    // A function that is linear in its inputs has second derivatives of zero and no graph for them.
    if !first(&leaves(inputs)).requires_grad() {
        return Ok(());
    }
    gradcheck(first, inputs)
}

#[track_caller]
fn leaves(inputs: &[Tensor]) -> Vec<Tensor> {
    inputs
        .iter()
        .map(|t| {
            if t.dtype() != DType::F64 {
                fail("gradcheck", format_args!("needs f64 inputs, got {}", t.dtype()));
            }
            t.detach().requires_grad_(true)
        })
        .collect()
}

/// Fixed factors between 0.5 and 1.5, different for neighbouring elements.
fn weights(t: &Tensor, phase: f64) -> Tensor {
    no_grad(|| {
        let w = (0..t.numel()).map(|i| 1.0 + 0.5 * (phase + 1.7 * i as f64).sin()).collect();
        Tensor::from_vec::<f64>(w, t.shape())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::record;

    #[test]
    fn a_wrong_rule_is_found() {
        let wrong = |x: &[Tensor]| {
            record("wrong", no_grad(|| x[0].square()), &[&x[0]], |ctx| ctx.set(0, || ctx.grad().clone()))
        };
        let e = gradcheck(wrong, &[Tensor::from_slice(&[3.0f64], [1])]).unwrap_err();
        assert!((e.numeric - 6.0 * 1.322).abs() < 0.01, "{e}");
    }

    #[test]
    fn second_derivatives_are_checked_too() {
        let x = Tensor::from_slice(&[0.5f64, 1.5], [2]);
        gradgradcheck(|x| x[0].exp() * x[0].square(), &[x]).unwrap();
    }
}
