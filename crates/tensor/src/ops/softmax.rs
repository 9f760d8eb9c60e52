//! Softmax, its logarithm, and the cross entropy made of it.

use crate::autograd::{is_grad_enabled, record, record_with_output};
use crate::kernels::math::Num;
use crate::kernels::softmax::{self, Kind};
use crate::shape::resolve_dim;
use crate::{DType, Element, Tensor, dispatch_float, fail};

impl Tensor {
    /// e^x_i / sum_j e^x_j along `dim`, computed without overflow.
    ///
    /// The derivative is diag(s) - s s^T, applied as s * (g - sum(g * s)).
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let s = Tensor::from_slice(&[1e4f32, 1e4], [2]).softmax(0);
    /// assert_eq!(s.to_vec::<f32>(), [0.5, 0.5]);
    /// ```
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Tensor {
        self.normalised("softmax", dim, Kind::Softmax)
    }

    /// ln softmax along `dim`, exact also where the probability rounds to zero.
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not f32 or f64.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        self.normalised("log_softmax", dim, Kind::LogSoftmax)
    }

    #[track_caller]
    fn normalised(&self, op: &'static str, dim: isize, kind: Kind) -> Tensor {
        let d = resolve_dim(op, dim, self.rank().max(1));
        if self.rank() > 0 && d + 1 != self.rank() && !self.is_contiguous() {
            let turned = self.transpose(d as isize, -1);
            if turned.is_contiguous() {
                return turned.normalised(op, -1, kind).transpose(d as isize, -1);
            }
        }
        let (x, (n, inner)) = (self.contiguous_data(), extents(self, d));
        let out = dispatch_float!(self.dtype(), op, T => {
            let src = x.read::<T>();
            Tensor::build::<T>(x.shape(), |out| match inner {
                1 => softmax::rows(&src, n, out, kind),
                _ => softmax::columns(&src, n, inner, out, kind),
            })
        });
        record_with_output(op, out, &[self], move |ctx| {
            ctx.set(0, || {
                let (y, g) = (ctx.output(), ctx.grad());
                if is_grad_enabled() {
                    let sum = |t: &Tensor| if t.rank() == 0 { t.clone() } else { t.sum_dim(d as isize, true) };
                    if kind == Kind::LogSoftmax {
                        return g - y.exp() * sum(g);
                    }
                    let gy = g * y;
                    return &gy - y * sum(&gy);
                }
                let (y, g) = (y.contiguous_data(), g.contiguous_data());
                dispatch_float!(y.dtype(), op, T => {
                    let (ys, gs) = (y.read::<T>(), g.read::<T>());
                    Tensor::build::<T>(y.shape(), |out| match inner {
                        1 => softmax::rows_gradient(&ys, &gs, n, out, kind),
                        _ => softmax::columns_gradient(&ys, &gs, n, inner, out, kind),
                    })
                })
            })
        })
    }

    /// Mean cross entropy of logits `[N, C]` against class indices `[N]` (i64):
    /// `-1/N sum_i ln softmax(x_i)[y_i]`, with softmax, logarithm and choice in one pass.
    ///
    /// # Panics
    /// If the shapes do not fit or a label is not in 0..C.
    #[track_caller]
    pub fn cross_entropy_mean(&self, labels: &Tensor) -> Tensor {
        const OP: &str = "cross_entropy";
        if self.rank() != 2 || labels.rank() != 1 || labels.size(0) != self.size(0) {
            fail(OP, format_args!("needs logits [N, C] and labels [N], got {} and {}", self.shape(), labels.shape()));
        }
        let (n, classes) = (self.size(0), self.size(1));
        check_labels(OP, labels, classes);
        let labels = labels.contiguous_data();
        let logits = self.contiguous_data();
        let out = dispatch_float!(self.dtype(), OP, T => {
            let (x, y) = (logits.read::<T>(), labels.read::<i64>());
            let losses = Tensor::build::<T>(labels.shape(), |out| softmax::cross_entropies(&x, classes, &y, out));
            let total: f64 = losses.read::<T>().iter().map(|&l| Element::to_f64(l)).sum();
            Tensor::full_of((), total / n as f64, self.dtype())
        });
        let x = self.save();
        record(OP, out, &[self], move |ctx| {
            ctx.set(0, || {
                if is_grad_enabled() {
                    let wanted = labels.one_hot(classes).to_dtype(x.dtype());
                    return (x.softmax(-1) - wanted) * (ctx.grad() / n as f64);
                }
                let (logits, factor) = (x.contiguous_data(), ctx.grad().item_f64() / n as f64);
                dispatch_float!(x.dtype(), OP, T => {
                    let (x, y, factor) = (logits.read::<T>(), labels.read::<i64>(), <T as Num>::from_f64(factor));
                    Tensor::build::<T>(logits.shape(), |out| {
                        softmax::cross_entropies_gradient(&x, classes, &y, factor, out)
                    })
                })
            })
        })
    }

    /// Ones at the positions this i64 tensor names, along a new last dimension of extent `classes` (i64).
    ///
    /// # Panics
    /// If an element is not in 0..classes.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Tensor {
        check_labels("one_hot", self, classes);
        let idx = self.contiguous_data();
        let idx = idx.read::<i64>();
        let mut shape = self.shape();
        shape.push(classes);
        Tensor::build::<i64>(shape, |out| {
            out.fill(0);
            idx.iter().enumerate().for_each(|(i, &c)| out[i * classes + c as usize] = 1);
        })
    }
}

/// The extent of dimension `d`, and the product of those behind it.
fn extents(t: &Tensor, d: usize) -> (usize, usize) {
    let shape = t.shape();
    (shape.get(d).copied().unwrap_or(1), shape.get(d + 1..).map_or(1, |rest| rest.iter().product()))
}

/// Refuses labels that are not i64 or not class indices.
#[track_caller]
pub(crate) fn check_labels(op: &str, labels: &Tensor, classes: usize) {
    if labels.dtype() != DType::I64 {
        fail(op, format_args!("needs i64 labels, got {}; convert with to_dtype", labels.dtype()));
    }
    let data = labels.contiguous_data();
    let bad = data.read::<i64>().iter().position(|&c| c < 0 || c >= classes as i64);
    if let Some(i) = bad {
        let label = data.read::<i64>()[i];
        fail(op, format_args!("label {label} at position {i} is not a class index in 0..{classes}"));
    }
}
