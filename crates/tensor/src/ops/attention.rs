//! Scaled dot-product attention in one pass each way.
//!
//! The matrix of weights is never made as a whole, neither here nor on the way back. Where derivatives of derivatives
//! are recorded, or a gradient of the bias is asked for, the gradients are made of tensor operations instead
//! ([`Heads::composed`]).

use crate::autograd::{Ctx, Saved, is_grad_enabled, record};
use crate::kernels::attention::{Attention, Matrices, Output};
use crate::kernels::par::SharedMut;
use crate::shape::{Layout, Shape};
use crate::storage::Plain;
use crate::{Tensor, dispatch_float, fail};

const OP: &str = "attention";

/// Queries, keys and values with the same leading dimensions, and what is added to the scores.
struct Heads {
    q: Saved,
    k: Saved,
    v: Saved,
    /// In the shape of the scores.
    bias: Option<Saved>,
    scale: f64,
    /// Of each row of scores, the logarithm of its exponentials' sum.
    lse: Tensor,
}

impl Tensor {
    /// Softmax over the last dimension of the sum with `bias`, if there is one; zeros in rows where the bias is -inf
    /// throughout. (There the formula is 0 / 0, and a NaN would spread through every gradient.)
    ///
    /// # Panics
    /// If the shapes do not broadcast or the elements are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let hidden = f32::NEG_INFINITY;
    /// let bias = Tensor::from_slice(&[0.0, hidden, hidden, hidden], [2, 2]);
    /// let weights = Tensor::ones([2, 2]).masked_softmax(Some(&bias));
    /// assert_eq!(weights.to_vec::<f32>(), [1.0, 0.0, 0.0, 0.0]);
    /// ```
    #[track_caller]
    pub fn masked_softmax(&self, bias: Option<&Tensor>) -> Tensor {
        let Some(bias) = bias.filter(|_| self.numel() > 0) else { return self.softmax(-1) };
        let masked = self + bias;
        let blind = bias.detach().amax(-1, true).eq_scalar(f64::NEG_INFINITY); // (..., L, 1)
        if !blind.any() {
            return masked.softmax(-1);
        }
        masked.masked_fill(&blind, 0.0).softmax(-1).masked_fill(&blind, 0.0)
    }

    /// softmax(scale Q K^T + bias) V with this tensor as Q. A query from which the bias hides every key (-inf) gets
    /// zeros.
    ///
    /// # Shapes
    /// `Q [..., L, E], K [..., S, E], V [..., S, Ev], bias broadcasting to [..., L, S] -> [..., L, Ev]`; leading
    /// dimensions broadcast
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Vaswani et al., 2017, <https://arxiv.org/abs/1706.03762>; in tiles as by Dao et al., 2022,
    /// <https://arxiv.org/abs/2205.14135>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (q, k, v) = (Tensor::randn([2, 3, 4]), Tensor::zeros([2, 5, 4]), Tensor::ones([2, 5, 6]));
    /// let y = q.attention(&k, &v, None, 0.5);
    /// assert_eq!(y.shape(), [2, 3, 6]);
    /// assert!((y - 1.0).abs().max().item() < 1e-6);
    /// ```
    #[track_caller]
    pub fn attention(&self, key: &Tensor, value: &Tensor, bias: Option<&Tensor>, scale: f64) -> Tensor {
        let fits = [self, key, value].iter().all(|t| t.rank() >= 2)
            && self.size(-1) == key.size(-1)
            && key.size(-2) == value.size(-2);
        let lead = |t: &Tensor| Shape::new(&t.shape()[..t.rank().saturating_sub(2)]);
        let all = [Some(self), Some(key), Some(value), bias].into_iter().flatten();
        let batch = all.map(lead).try_fold(Shape::new(&[]), |all, one| all.broadcast(&one));
        let Some(batch) = batch.filter(|_| fits) else {
            let (q, k, v) = (self.shape(), key.shape(), value.shape());
            fail(OP, format_args!("needs Q [..., L, E], K [..., S, E] and V [..., S, Ev], got {q}, {k} and {v}"));
        };
        let full = |t: &Tensor, rows: isize, columns: isize| {
            let mut shape = batch;
            shape.push(rows as usize);
            shape.push(columns as usize);
            if t.shape() == shape { t.clone() } else { t.broadcast_to(shape) }
        };
        let like = |t: &Tensor| full(t, t.size(-2) as isize, t.size(-1) as isize);
        let (q, k, v) = (like(self), like(key), like(value));
        let bias = bias.map(|b| full(b, q.size(-2) as isize, k.size(-2) as isize));
        let (y, heads) = Heads::forward(&q, &k, &v, bias.as_ref(), scale);
        let Some(heads) = heads else { return y };
        let inputs: Vec<&Tensor> = [Some(&q), Some(&k), Some(&v), bias.as_ref()].into_iter().flatten().collect();
        record("attention", y, &inputs, move |ctx| {
            let biased = heads.bias.is_some() && ctx.needs(3);
            if is_grad_enabled() || biased {
                let [gq, gk, gv, gs] = heads.composed(ctx.grad(), &heads.q, &heads.k, &heads.v);
                [gq, gk, gv].into_iter().enumerate().for_each(|(i, g)| ctx.set(i, || g));
                if biased {
                    ctx.set(3, || gs);
                }
                return;
            }
            heads.gradients(ctx);
        })
    }

    /// [`Tensor::attention`] of queries, keys and values that lie one behind the other along the first dimension, as a
    /// single product makes them: their gradient is one tensor.
    ///
    /// # Shapes
    /// `[3, ..., L, E], bias broadcasting to [..., L, L] -> [..., L, E]`
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let x = Tensor::randn([3, 2, 4, 8]);
    /// let y = x.attention_packed(None, 0.5);
    /// let parts = x.unbind(0);
    /// assert_eq!(y.to_vec::<f32>(), parts[0].attention(&parts[1], &parts[2], None, 0.5).to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn attention_packed(&self, bias: Option<&Tensor>, scale: f64) -> Tensor {
        if self.rank() < 3 || self.size(0) != 3 {
            fail(OP, format_args!("needs queries, keys and values [3, ..., L, E], got {}", self.shape()));
        }
        let mut scores = Shape::new(&self.shape()[1..]);
        scores.set(self.rank() - 2, self.size(-2));
        let parts = |t: &Tensor| [t.select(0, 0), t.select(0, 1), t.select(0, 2)];
        let [q, k, v] = parts(&self.detach());
        if bias.is_some_and(Tensor::requires_grad) || self.numel() == 0 {
            let [q, k, v] = parts(self);
            return q.attention(&k, &v, bias, scale);
        }
        let bias = bias.map(|b| {
            if b.shape().broadcast(&scores) != Some(scores) {
                fail(OP, format_args!("the bias {} does not broadcast to the scores {scores}", b.shape()));
            }
            b.broadcast_to(scores)
        });
        let (y, heads) = Heads::forward(&q, &k, &v, bias.as_ref(), scale);
        let Some(heads) = heads else { return y };
        let whole = self.save();
        record("attention_packed", y, &[self], move |ctx| {
            ctx.set(0, || {
                if is_grad_enabled() {
                    let [q, k, v] = parts(&whole);
                    let [gq, gk, gv, _] = heads.composed(ctx.grad(), &q, &k, &v);
                    return Tensor::stack(&[&gq, &gk, &gv], 0);
                }
                heads.packed_gradient(ctx.grad(), &whole)
            })
        })
    }
}

/// A layout of the same shape without gaps, its dimensions in memory in the order of `like`'s but the last one
/// innermost.
fn dense(shape: Shape, like: &Layout) -> Layout {
    let inner = shape.len() - 1;
    let mut order: Vec<usize> = (0..inner).collect();
    let repeats = (0..inner).any(|d| like.strides[d] == 0 && shape[d] > 1);
    if !repeats {
        order.sort_by_key(|&d| std::cmp::Reverse(like.strides[d]));
    }
    let mut layout = Layout::contiguous(shape);
    let mut step = shape[inner];
    for &d in order.iter().rev() {
        layout.strides.set(d, step);
        step *= shape[d];
    }
    layout
}

impl Heads {
    /// The result, and what the way back needs; that is recorded already (`None`) where an extent is zero.
    #[track_caller]
    fn forward(q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<&Tensor>, scale: f64) -> (Tensor, Option<Heads>) {
        let all = [Some(q), Some(k), Some(v), bias].into_iter().flatten();
        if let Some(other) = all.clone().find(|t| t.dtype() != q.dtype()) {
            let (own, other) = (q.dtype(), other.dtype());
            fail(OP, format_args!("the queries are {own}, another operand {other}; convert with to_dtype"));
        }
        if [q, k, v].iter().any(|t| t.numel() == 0) {
            let weights = (q * scale).matmul(&k.transpose(-2, -1)).masked_softmax(bias);
            return (weights.matmul(v), None);
        }
        let mut shape = q.shape();
        shape.set(q.rank() - 1, v.size(-1));
        let layout = dense(shape, q.layout());
        let rows = shape.numel() / v.size(-1);
        let heads = |lse: &Tensor| {
            let (q, k, v, bias) = (q.save(), k.save(), v.save(), bias.map(Tensor::save));
            Heads { q, k, v, bias, scale, lse: lse.clone() }
        };
        dispatch_float!(q.dtype(), OP, T => {
            let lse = Tensor::build::<T>(Shape::new(&[rows]), |_| ());
            let heads = heads(&lse);
            let y = Tensor::build::<T>(Shape::new(&[shape.numel()]), |out| {
                let out = Output { data: SharedMut::new(out), layout: &layout };
                heads.with_kernel(|kernel: &Attention<'_, T>| kernel.forward(&out, &mut lse.write::<T>()));
            });
            (y.with_layout(layout), Some(heads))
        })
    }

    /// Runs a kernel on the operands.
    fn with_kernel<T: Plain>(&self, f: impl FnOnce(&Attention<'_, T>)) {
        let [q, k, v] = [&self.q, &self.k, &self.v].map(|t| t.read_storage::<T>());
        let bias = self.bias.as_ref().map(|t| (t.read_storage::<T>(), t.layout()));
        f(&Attention {
            batch: self.lse.numel() / self.q.size(-2),
            l: self.q.size(-2),
            s: self.k.size(-2),
            e: self.q.size(-1),
            ev: self.v.size(-1),
            scale: self.scale,
            q: Matrices { data: &q, layout: self.q.layout() },
            k: Matrices { data: &k, layout: self.k.layout() },
            v: Matrices { data: &v, layout: self.v.layout() },
            bias: bias.as_ref().map(|(data, layout)| Matrices { data, layout }),
        });
    }

    /// The gradients by kernels.
    fn gradients(&self, ctx: &Ctx) {
        let operands = [&self.q, &self.k, &self.v];
        let layouts = operands.map(|t| dense(t.shape(), t.layout()));
        let gy = ctx.grad().detach();
        dispatch_float!(gy.dtype(), OP, T => {
            let flat = |i: usize| Shape::new(&[if ctx.needs(i) { operands[i].numel() } else { 0 }]);
            let built = [0, 1, 2].map(|i| Tensor::build::<T>(flat(i), |_| ()));
            {
                let mut data = built.each_ref().map(|t| t.write::<T>());
                let [q, k, v] = data.each_mut().map(|d| SharedMut::new(d));
                let out = |i: usize, data| ctx.needs(i).then(|| Output { data, layout: &layouts[i] });
                let (g, lse) = (gy.read_storage::<T>(), self.lse.read::<T>());
                let g = Matrices { data: &g, layout: gy.layout() };
                self.with_kernel(|kernel: &Attention<'_, T>| kernel.backward(g, &lse, [out(0, q), out(1, k), out(2, v)]));
            }
            for (i, g) in built.iter().enumerate() {
                ctx.set(i, || g.with_layout(layouts[i]));
            }
        });
    }

    /// The gradient of all three operands, which are parts of `whole`.
    fn packed_gradient(&self, gy: &Tensor, whole: &Tensor) -> Tensor {
        let gy = gy.detach();
        let layout = dense(whole.shape(), whole.layout());
        let part = |i: usize| Layout {
            shape: Shape::new(&layout.shape[1..]),
            strides: Shape::new(&layout.strides[1..]),
            offset: i * layout.strides[0],
        };
        let parts = [part(0), part(1), part(2)];
        let built = dispatch_float!(gy.dtype(), OP, T => {
            Tensor::build::<T>(Shape::new(&[whole.numel()]), |out| {
                let data = SharedMut::new(out);
                let out = |i: usize| Some(Output { data, layout: &parts[i] });
                let (g, lse) = (gy.read_storage::<T>(), self.lse.read::<T>());
                let g = Matrices { data: &g, layout: gy.layout() };
                self.with_kernel(|kernel: &Attention<'_, T>| kernel.backward(g, &lse, [out(0), out(1), out(2)]));
            })
        });
        built.with_layout(layout)
    }

    /// The gradients of queries, keys, values and scores as differentiable functions of all that they depend on.
    fn composed(&self, gy: &Tensor, q: &Tensor, k: &Tensor, v: &Tensor) -> [Tensor; 4] {
        let weights = (q * self.scale).matmul(&k.transpose(-2, -1)).masked_softmax(self.bias.as_deref());
        let gw = gy.matmul(&v.transpose(-2, -1)) * &weights;
        let gs = &gw - &weights * gw.sum_dim(-1, true);
        let gq = gs.matmul(k) * self.scale;
        let gk = gs.transpose(-2, -1).matmul(q) * self.scale;
        [gq, gk, weights.transpose(-2, -1).matmul(gy), gs]
    }
}
