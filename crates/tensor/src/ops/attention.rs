//! Scaled dot-product attention in one pass each way.
//!
//! The matrix of weights is never made as a whole, neither here nor on the way back. Where derivatives of derivatives
//! are recorded, or a gradient of the bias is asked for, the gradients are made of tensor operations instead
//! ([`Heads::composed`]).

use crate::autograd::{Ctx, Saved, is_grad_enabled, record_with_output};
use crate::kernels::attention::{Attention, Dropout, Matrices, Output};
use crate::kernels::math::Real;
use crate::kernels::micro::Float;
use crate::kernels::par::{self, SharedMut};
use crate::shape::{Layout, Shape};
use crate::storage::Plain;
use crate::{Element, Tensor, dispatch_float, fail};

const OP: &str = "attention";

/// What an attention does to its scores and weights; see [`Tensor::attention_with`].
#[derive(Clone, Copy, Debug)]
pub struct AttentionRule<'a> {
    /// What the products of queries and keys are multiplied by.
    pub scale: f64,
    /// What is added to the scores, broadcast to `[..., L, S]`.
    pub bias: Option<&'a Tensor>,
    /// Whether query i sees keys 0..=i only.
    pub causal: bool,
    /// Probability with which each weight is zeroed; the others are multiplied by 1 / (1 - p).
    pub dropout: f64,
}

impl<'a> AttentionRule<'a> {
    /// Nothing but the scale and the bias.
    pub fn new(bias: Option<&'a Tensor>, scale: f64) -> AttentionRule<'a> {
        AttentionRule { scale, bias, causal: false, dropout: 0.0 }
    }

    /// The draw that says which weights are dropped, if some are.
    #[track_caller]
    fn draw(&self) -> Option<Dropout> {
        if !(0.0..=1.0).contains(&self.dropout) {
            fail(OP, format_args!("dropout {} is not a probability in 0..=1", self.dropout));
        }
        (self.dropout > 0.0).then(|| Dropout { key: crate::random::draw_key(), p: self.dropout })
    }
}

/// Queries, keys and values with the same leading dimensions, and what is added to the scores.
struct Heads {
    q: Saved,
    k: Saved,
    v: Saved,
    /// In the shape of the scores.
    bias: Option<Saved>,
    scale: f64,
    causal: bool,
    dropout: Option<Dropout>,
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
        self.attention_with(key, value, &AttentionRule::new(bias, scale))
    }

    /// [`Tensor::attention`] with a causal mask and dropout of the weights. Which weights are dropped is decided by
    /// one draw of the generator and their places.
    ///
    /// # Panics
    /// As [`Tensor::attention`], and if the dropout is no probability.
    ///
    /// ```
    /// use gradus_tensor::{AttentionRule, Tensor};
    /// let x = Tensor::randn([3, 4]);
    /// let y = x.attention_with(&x, &x, &AttentionRule { causal: true, ..AttentionRule::new(None, 0.5) });
    /// // The first query sees itself only.
    /// assert_eq!(y.select(0, 0).to_vec::<f32>(), x.select(0, 0).to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn attention_with(&self, key: &Tensor, value: &Tensor, rule: &AttentionRule) -> Tensor {
        self.attend(key, value, rule, rule.draw())
    }

    #[track_caller]
    fn attend(&self, key: &Tensor, value: &Tensor, rule: &AttentionRule, dropout: Option<Dropout>) -> Tensor {
        let bias = rule.bias;
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
        let (y, heads) = Heads::forward(&q, &k, &v, &AttentionRule { bias: bias.as_ref(), ..*rule }, dropout);
        let Some(heads) = heads else { return y };
        let inputs: Vec<&Tensor> = [Some(&q), Some(&k), Some(&v), bias.as_ref()].into_iter().flatten().collect();
        record_with_output("attention", y, &inputs, move |ctx| {
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
        self.attention_packed_with(&AttentionRule::new(bias, scale))
    }

    /// [`Tensor::attention_packed`] with a causal mask and dropout, as of [`Tensor::attention_with`].
    ///
    /// # Panics
    /// As [`Tensor::attention_packed`], and if the dropout is no probability.
    ///
    /// ```
    /// use gradus_tensor::{AttentionRule, Tensor};
    /// let x = Tensor::randn([3, 2, 4, 8]);
    /// let rule = AttentionRule { causal: true, ..AttentionRule::new(None, 0.5) };
    /// let parts = x.unbind(0);
    /// let y = parts[0].attention_with(&parts[1], &parts[2], &rule);
    /// assert_eq!(x.attention_packed_with(&rule).to_vec::<f32>(), y.to_vec::<f32>());
    /// ```
    #[track_caller]
    pub fn attention_packed_with(&self, rule: &AttentionRule) -> Tensor {
        let bias = rule.bias;
        if self.rank() < 3 || self.size(0) != 3 {
            fail(OP, format_args!("needs queries, keys and values [3, ..., L, E], got {}", self.shape()));
        }
        let mut scores = Shape::new(&self.shape()[1..]);
        scores.set(self.rank() - 2, self.size(-2));
        let parts = |t: &Tensor| [t.select(0, 0), t.select(0, 1), t.select(0, 2)];
        let [q, k, v] = parts(&self.detach());
        if bias.is_some_and(Tensor::requires_grad) || self.numel() == 0 {
            let [q, k, v] = parts(self);
            return q.attention_with(&k, &v, rule);
        }
        let bias = bias.map(|b| {
            if b.shape().broadcast(&scores) != Some(scores) {
                fail(OP, format_args!("the bias {} does not broadcast to the scores {scores}", b.shape()));
            }
            b.broadcast_to(scores)
        });
        let (y, heads) = Heads::forward(&q, &k, &v, &AttentionRule { bias: bias.as_ref(), ..*rule }, rule.draw());
        let Some(heads) = heads else { return y };
        let whole = self.save();
        record_with_output("attention_packed", y, &[self], move |ctx| {
            ctx.set(0, || {
                if is_grad_enabled() {
                    let [q, k, v] = parts(&whole);
                    let [gq, gk, gv, _] = heads.composed(ctx.grad(), &q, &k, &v);
                    return Tensor::stack(&[&gq, &gk, &gv], 0);
                }
                heads.packed_gradient(ctx.grad(), ctx.output(), &whole)
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

/// The bias with the causal mask, if there is one.
fn with_causal(bias: Option<&Tensor>, causal: bool, q: &Tensor, k: &Tensor) -> Option<Tensor> {
    if !causal {
        return bias.cloned();
    }
    let mask = Tensor::full_of([q.size(-2), k.size(-2)], f64::NEG_INFINITY, q.dtype()).triu(1);
    Some(bias.map_or(mask.clone(), |bias| bias + mask))
}

impl Heads {
    /// The result, and what the way back needs; that is recorded already (`None`) where an extent is zero.
    #[track_caller]
    fn forward(
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        rule: &AttentionRule,
        dropout: Option<Dropout>,
    ) -> (Tensor, Option<Heads>) {
        let AttentionRule { bias, scale, causal, .. } = *rule;
        let all = [Some(q), Some(k), Some(v), bias].into_iter().flatten();
        if let Some(other) = all.clone().find(|t| t.dtype() != q.dtype()) {
            let (own, other) = (q.dtype(), other.dtype());
            fail(OP, format_args!("the queries are {own}, another operand {other}; convert with to_dtype"));
        }
        if [q, k, v].iter().any(|t| t.numel() == 0) {
            // There is nothing to see, or nobody to see it.
            let bias = with_causal(bias, causal, q, k);
            let weights = (q * scale).matmul(&k.transpose(-2, -1)).masked_softmax(bias.as_ref());
            let weights = dropout.map_or(weights.clone(), |d| weights.dropout(d.p));
            return (weights.matmul(v), None);
        }
        let mut shape = q.shape();
        shape.set(q.rank() - 1, v.size(-1));
        let layout = dense(shape, q.layout());
        let rows = shape.numel() / v.size(-1);
        let heads = |lse: &Tensor| {
            let (q, k, v, bias) = (q.save(), k.save(), v.save(), bias.map(Tensor::save));
            Heads { q, k, v, bias, scale, causal, dropout, lse: lse.clone() }
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
            causal: self.causal,
            dropout: self.dropout,
        });
    }

    /// Runs the kernel of the way back; `out` says where the gradients go, each if it is wanted.
    fn backward<T: Plain + Element + Float + Real>(&self, gy: &Tensor, y: &Tensor, out: [Option<Output<'_, T>>; 3]) {
        let (gy, y) = (gy.detach(), y.detach());
        let (g, o, lse) = (gy.read_storage::<T>(), y.read_storage::<T>(), self.lse.read::<T>());
        let g = Matrices { data: &g, layout: gy.layout() };
        let o = Matrices { data: &o, layout: y.layout() };
        self.with_kernel(|kernel: &Attention<'_, T>| {
            let groups = if out[0].is_some() { kernel.groups() } else { 1 };
            let shares = if groups > 1 { groups * self.q.numel() } else { 0 };
            let shares = Tensor::build::<T>(Shape::new(&[shares]), |_| ());
            kernel.backward((g, o), &lse, out, &mut shares.write::<T>());
        });
    }

    /// The gradients by kernels.
    fn gradients(&self, ctx: &Ctx) {
        let operands = [&self.q, &self.k, &self.v];
        let layouts = operands.map(|t| dense(t.shape(), t.layout()));
        dispatch_float!(self.q.dtype(), OP, T => {
            let flat = |i: usize| Shape::new(&[if ctx.needs(i) { operands[i].numel() } else { 0 }]);
            let built = [0, 1, 2].map(|i| Tensor::build::<T>(flat(i), |_| ()));
            {
                let mut data = built.each_ref().map(|t| t.write::<T>());
                let [q, k, v] = data.each_mut().map(|d| SharedMut::new(d));
                let out = |i: usize, data| ctx.needs(i).then(|| Output { data, layout: &layouts[i] });
                self.backward::<T>(ctx.grad(), ctx.output(), [out(0, q), out(1, k), out(2, v)]);
            }
            for (i, g) in built.iter().enumerate() {
                ctx.set(i, || g.with_layout(layouts[i]));
            }
        });
    }

    /// The gradient of all three operands, which are parts of `whole`.
    fn packed_gradient(&self, gy: &Tensor, y: &Tensor, whole: &Tensor) -> Tensor {
        let layout = dense(whole.shape(), whole.layout());
        let part = |i: usize| Layout {
            shape: Shape::new(&layout.shape[1..]),
            strides: Shape::new(&layout.strides[1..]),
            offset: i * layout.strides[0],
        };
        let parts = [part(0), part(1), part(2)];
        let built = dispatch_float!(whole.dtype(), OP, T => {
            Tensor::build::<T>(Shape::new(&[whole.numel()]), |out| {
                let data = SharedMut::new(out);
                let out = |i: usize| Some(Output { data, layout: &parts[i] });
                self.backward::<T>(gy, y, [out(0), out(1), out(2)]);
            })
        });
        built.with_layout(layout)
    }

    /// The gradients of queries, keys, values and scores as differentiable functions of all that they depend on.
    fn composed(&self, gy: &Tensor, q: &Tensor, k: &Tensor, v: &Tensor) -> [Tensor; 4] {
        let bias = with_causal(self.bias.as_deref(), self.causal, q, k);
        let weights = (q * self.scale).matmul(&k.transpose(-2, -1)).masked_softmax(bias.as_ref());
        let mask = self.mask(weights.shape());
        let seen = |t: &Tensor| mask.as_ref().map_or(t.clone(), |mask| t * mask);
        let gw = seen(&gy.matmul(&v.transpose(-2, -1))) * &weights;
        let gs = &gw - &weights * gw.sum_dim(-1, true);
        let gq = gs.matmul(k) * self.scale;
        let gk = gs.transpose(-2, -1).matmul(q) * self.scale;
        [gq, gk, seen(&weights).transpose(-2, -1).matmul(gy), gs]
    }

    /// What dropout multiplies the weights by.
    fn mask(&self, shape: Shape) -> Option<Tensor> {
        let dropout = self.dropout?;
        let n = shape[shape.len() - 1];
        Some(dispatch_float!(self.q.dtype(), OP, T => {
            Tensor::build::<T>(shape, |out| par::for_each_chunk_mut(out, n, |row, part| dropout.fill(row, part)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::autograd::{gradcheck, gradgradcheck};

    fn operand(shape: &[usize], seed: usize) -> Tensor {
        let n: usize = shape.iter().product();
        let value = |i: usize| ((i * 37 + seed * 101) % 89) as f64 / 30.0 - 1.4;
        Tensor::from_vec((0..n).map(value).collect(), shape).requires_grad_(true)
    }

    /// The definition, in plain operations.
    fn plain(x: &[Tensor], rule: &AttentionRule, dropout: Option<Dropout>) -> Tensor {
        let (l, s) = (x[0].size(-2), x[1].size(-2));
        let scores = (&x[0] * rule.scale).matmul(&x[1].transpose(-2, -1));
        let hidden = Tensor::full_of([l, s], f64::NEG_INFINITY, x[0].dtype()).triu(1);
        let scores = rule.bias.map_or(scores.clone(), |b| scores + b);
        let weights = if rule.causal { scores + hidden } else { scores }.softmax(-1);
        let Some(dropout) = dropout else { return weights.matmul(&x[2]) };
        let mask = Tensor::build::<f64>(weights.shape(), |out| {
            out.chunks_exact_mut(s).enumerate().for_each(|(row, part)| dropout.fill(row, part));
        });
        (weights * mask.to_dtype(x[0].dtype())).matmul(&x[2])
    }

    /// Lengths beyond a tile and a block, whole ones and others, a single query, and few matrices, whose keys are cut
    /// into groups.
    #[test]
    fn tiles_blocks_and_groups_give_what_the_definition_gives() {
        let cases = [([2, 300, 520], 3), ([1, 256, 512], 16), ([9, 40, 130], 4), ([1, 1, 700], 5), ([2, 3, 600], 16)];
        for (([batch, l, s], e), (causal, p)) in
            cases.into_iter().flat_map(|c| [(false, 0.0), (true, 0.0), (true, 0.3)].map(|o| (c, o)))
        {
            let x = [operand(&[batch, l, e], 1), operand(&[batch, s, e], 2), operand(&[batch, s, 2], 3)];
            // Padding at the end, a whole block of it.
            let bias = Tensor::arange(s)
                .ge_scalar(s as f64 * 0.45)
                .to_dtype(DType::F64)
                .masked_fill(&Tensor::arange(s).ge_scalar(s as f64 * 0.45), f64::NEG_INFINITY);
            let rule = AttentionRule { scale: 0.6, bias: Some(&bias), causal, dropout: p };
            let dropout = (p > 0.0).then_some(Dropout { key: 11, p });
            let weight = operand(&[batch, l, 2], 4).detach();
            let run = |f: &dyn Fn(&[Tensor]) -> Tensor| {
                let y = f(&x);
                (&y * &weight).sum().backward();
                let grads = x.each_ref().map(|x| x.grad().unwrap());
                x.iter().for_each(Tensor::zero_grad);
                [vec![y.detach()], grads.to_vec()].concat()
            };
            let own = run(&|x| x[0].attend(&x[1], &x[2], &rule, dropout));
            let oracle = run(&|x| plain(x, &rule, dropout));
            for (i, (a, b)) in own.iter().zip(&oracle).enumerate() {
                let error = (a - b).abs().max().item_f64();
                assert!(
                    error < 1e-10,
                    "{batch} {l} {s} {e} causal {causal} dropout {p}: result {i} differs by {error}"
                );
            }
        }
    }

    #[test]
    fn dropped_weights_are_differentiated_to_the_second_order() {
        let x = [operand(&[2, 3, 4], 1), operand(&[2, 5, 4], 2), operand(&[2, 5, 2], 3), operand(&[3, 5], 4)];
        let dropout = Some(Dropout { key: 5, p: 0.4 });
        let f = |x: &[Tensor]| {
            let rule = AttentionRule { causal: true, ..AttentionRule::new(x.get(3), 0.7) };
            x[0].attend(&x[1], &x[2], &rule, dropout)
        };
        for inputs in [&x[..], &x[..3]] {
            gradcheck(f, inputs).unwrap();
            gradgradcheck(f, inputs).unwrap();
        }
        let packed = operand(&[3, 2, 4, 2], 6);
        let parts = packed.unbind(0);
        let rule = AttentionRule { dropout: 1.0, ..AttentionRule::new(None, 0.5) };
        let y = packed.attention_packed_with(&rule);
        assert_eq!(y.to_vec::<f64>(), parts[2].zeros_like().to_vec::<f64>());
        y.sum().backward();
        assert!(packed.grad().unwrap().eq_scalar(0.0).all());
    }
}
