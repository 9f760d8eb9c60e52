//! Softmax, its logarithm, and the cross entropy made of it.

use crate::autograd::{record, record_with_output};
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
        let d = resolve_dim("softmax", dim, self.rank().max(1)) as isize;
        if self.rank() > 0 && d != self.rank() as isize - 1 {
            return self.transpose(d, -1).softmax(-1).transpose(d, -1);
        }
        let out = self.normalise("softmax", Kind::Softmax);
        record_with_output("softmax", out, &[self], |ctx| {
            ctx.set(0, || {
                let s = ctx.output();
                let gs = ctx.grad() * s;
                let total = if gs.rank() == 0 { gs.clone() } else { gs.sum_dim(-1, true) };
                gs - s * total
            })
        })
    }

    /// ln softmax along `dim`, exact also where the probability rounds to zero.
    ///
    /// # Panics
    /// If there is no such dimension or the elements are not f32 or f64.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Tensor {
        let d = resolve_dim("log_softmax", dim, self.rank().max(1)) as isize;
        if self.rank() > 0 && d != self.rank() as isize - 1 {
            return self.transpose(d, -1).log_softmax(-1).transpose(d, -1);
        }
        let out = self.normalise("log_softmax", Kind::LogSoftmax);
        record_with_output("log_softmax", out, &[self], |ctx| {
            ctx.set(0, || {
                let g = ctx.grad();
                let total = if g.rank() == 0 { g.clone() } else { g.sum_dim(-1, true) };
                g - ctx.output().exp() * total
            })
        })
    }

    #[track_caller]
    fn normalise(&self, op: &str, kind: Kind) -> Tensor {
        let x = self.contiguous_data();
        let n = x.shape().last().copied().unwrap_or(1);
        dispatch_float!(self.dtype(), op, T => {
            let src = x.read::<T>();
            Tensor::build::<T>(x.shape(), |out| softmax::rows(&src, n, out, kind))
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
        let log_p = self.normalise(OP, Kind::LogSoftmax);
        let out = dispatch_float!(self.dtype(), OP, T => {
            let (p, y) = (log_p.read::<T>(), labels.read::<i64>());
            let total: f64 = y.iter().enumerate().map(|(i, &c)| Element::to_f64(p[i * classes + c as usize])).sum();
            Tensor::full_of((), -total / n as f64, self.dtype())
        });
        let x = self.save();
        record(OP, out, &[self], move |ctx| {
            ctx.set(0, || (x.softmax(-1) - labels.one_hot(classes).to_dtype(x.dtype())) * (ctx.grad() / n as f64))
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
