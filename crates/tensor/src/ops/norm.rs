//! Normalisation in one pass each way.
//!
//! The backward passes are kernels as well. Where derivatives of derivatives are recorded, the same gradients are
//! made of tensor operations instead ([`Plan::composed`]).

use crate::autograd::{Ctx, Saved, is_grad_enabled, record};
use crate::deferred;
use crate::dtype::Element;
use crate::kernels::norm::batch::{self, Channels};
use crate::kernels::norm::group::{self, Groups, Wanted};
use crate::shape::{IntoShape, Shape};
use crate::{Tensor, dispatch_float, fail};
use std::cell::OnceCell;

/// The operand with the dimensions that belong together side by side, and over which of them means are taken.
#[derive(Clone)]
struct Plan {
    view: Shape,
    dims: [isize; 2],
    /// Weight and bias in the view.
    along: Shape,
    centred: bool,
    eps: f64,
}

/// Gradients of the operand, the weight and the bias.
struct Gradients {
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
}

impl Plan {
    fn channels(s: &Channels, eps: f64) -> Plan {
        let (view, along) = (Shape::new(&[s.n, 1, s.channels, s.size]), Shape::new(&[s.channels, 1]));
        Plan { view, dims: [0, 3], along, centred: true, eps }
    }

    fn groups(s: &Groups) -> Plan {
        let n = s.rows / s.groups.max(1);
        let view = Shape::new(&[n, s.groups, s.planes, s.size]);
        let along = Shape::new(&[s.groups, s.planes, 1]);
        Plan { view, dims: [2, 3], along, centred: s.centred, eps: s.eps }
    }

    /// The gradients as differentiable functions of all that they depend on.
    fn composed(&self, gy: &Tensor, x: &Tensor, weight: Option<&Tensor>) -> Gradients {
        let mean = |t: &Tensor| t.mean_dim(self.dims, true);
        let (g, view) = (gy.reshape(self.view), x.reshape(self.view));
        let centred = if self.centred { &view - mean(&view) } else { view };
        let r = (mean(&centred.square()) + self.eps).rsqrt();
        let z = centred * &r;
        let h = weight.map_or(g.clone(), |w| &g * w.reshape(self.along));
        let flat = if self.centred { &h - mean(&h) } else { h.clone() };
        let gx = (flat - &z * mean(&(h * &z))) * r;
        Gradients {
            x: gx.reshape(x.shape()),
            weight: (&g * z).sum_to(&self.along).reshape([self.along.numel()]),
            bias: g.sum_to(&self.along).reshape([self.along.numel()]),
        }
    }
}

/// Where weight and bias stand among the recorded inputs.
#[derive(Clone, Copy)]
struct Places {
    weight: Option<usize>,
    bias: Option<usize>,
}

impl Places {
    fn of(weight: Option<&Tensor>, bias: Option<&Tensor>) -> Places {
        Places { weight: weight.map(|_| 1), bias: bias.map(|_| 1 + weight.is_some() as usize) }
    }

    fn wanted(&self, ctx: &Ctx) -> Wanted {
        let parameters = self.weight.is_some_and(|i| ctx.needs(i)) || self.bias.is_some_and(|i| ctx.needs(i));
        Wanted { x: ctx.needs(0), parameters }
    }

    /// Hands over the gradients, the parameters' in the parameters' shape.
    fn set(&self, ctx: &Ctx, shape: Shape, g: Gradients) {
        ctx.set(0, || g.x);
        for (place, g) in [(self.weight, g.weight), (self.bias, g.bias)] {
            if let Some(i) = place {
                ctx.set(i, || g.reshape(shape));
            }
        }
    }
}

impl Tensor {
    /// Normalises each channel over all examples and places: y = (x - mean) / sqrt(var + eps) * weight + bias, with
    /// the (biased) variance; also gives mean and variance, which are outside the graph.
    ///
    /// Over no values mean and variance are NaN.
    ///
    /// # Shapes
    /// `x [N, C, ...], weight [C], bias [C] -> y [N, C, ...], mean [C], var [C]`
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Ioffe and Szegedy, 2015, <https://arxiv.org/abs/1502.03167>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (y, mean, var) = Tensor::arange(4).reshape([2, 2]).batch_norm(None, None, 0.0);
    /// assert_eq!(y.to_vec::<f32>(), [-1.0, -1.0, 1.0, 1.0]);
    /// assert_eq!((mean.to_vec::<f32>(), var.to_vec::<f32>()), (vec![1.0, 2.0], vec![1.0, 1.0]));
    /// ```
    #[track_caller]
    pub fn batch_norm(&self, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> (Tensor, Tensor, Tensor) {
        const OP: &str = "batch_norm";
        if self.rank() < 2 {
            fail(OP, format_args!("needs an input [N, C, ...], got {}", self.shape()));
        }
        let shape = self.shape();
        let s = Channels { n: shape[0], channels: shape[1], size: shape[2..].iter().product() };
        self.check_parameters(OP, &[s.channels], weight, bias);
        let x = self.contiguous_data();
        let (mean, var) = dispatch_float!(self.dtype(), OP, T => {
            let x = x.read::<T>();
            let mut var = vec![0.0 as T; s.channels];
            let mean = Tensor::build::<T>(Shape::new(&[s.channels]), |mean| batch::moments(&s, &x, mean, &mut var));
            (mean, Tensor::from_vec(var, [s.channels]))
        });
        let y = deferred::normalised(&x, (&mean, &var), weight, bias, eps);
        let (plan, places) = (Plan::channels(&s, eps), Places::of(weight, bias));
        let (sx, sw, sm, sv) = (self.save(), weight.map(Tensor::save), mean.save(), var.save());
        let rule = move |ctx: &Ctx| {
            let weight = sw.as_deref();
            if is_grad_enabled() {
                return places.set(ctx, Shape::new(&[s.channels]), plan.composed(ctx.grad(), &sx, weight));
            }
            let operands = [&*sx, ctx.grad(), &*sm, &*sv].map(Tensor::contiguous_data);
            batch_gradients(ctx, &s, &operands, weight, places, eps);
        };
        let inputs: Vec<&Tensor> = [Some(self), weight, bias].into_iter().flatten().collect();
        (record("batch_norm", y, &inputs, rule), mean, var)
    }

    /// Multiplies each channel by a number and adds another: y = x * scale + shift. What batch normalisation by fixed
    /// averages amounts to.
    ///
    /// # Shapes
    /// `x [N, C, ...], scale [C], shift [C] -> [N, C, ...]`
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (scale, shift) = (Tensor::from_slice(&[1.0f32, 10.0], [2]), Tensor::ones([2]));
    /// let y = Tensor::arange(4).reshape([2, 2]).channel_affine(&scale, &shift);
    /// assert_eq!(y.to_vec::<f32>(), [1.0, 11.0, 3.0, 31.0]);
    /// ```
    #[track_caller]
    pub fn channel_affine(&self, scale: &Tensor, shift: &Tensor) -> Tensor {
        const OP: &str = "channel_affine";
        if self.rank() < 2 {
            fail(OP, format_args!("needs an input [N, C, ...], got {}", self.shape()));
        }
        let shape = self.shape();
        self.check_parameters(OP, &shape[1..2], Some(scale), Some(shift));
        deferred::check_float(OP, self);
        let y = deferred::affine(&self.contiguous_data(), scale, shift);
        let mut along = Shape::new(&[shape[1]]);
        (2..shape.len()).for_each(|_| along.push(1));
        let (sx, ss) = (self.save(), scale.save());
        let sum = move |t: Tensor| t.sum_to(&along).reshape([shape[1]]);
        record(OP, y, &[self, scale, shift], move |ctx| {
            ctx.set(0, || ctx.grad() * ss.reshape(along));
            ctx.set(1, || sum(ctx.grad() * &*sx));
            ctx.set(2, || sum(ctx.grad().clone()));
        })
    }

    /// Normalises each example over its last dimensions, which have the extents `normalized_shape`:
    /// y = (x - mean) / sqrt(var + eps) * weight + bias, with the (biased) variance.
    ///
    /// # Shapes
    /// `x [..., normalized_shape...], weight and bias [normalized_shape...] -> [..., normalized_shape...]`
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Ba, Kiros and Hinton, 2016, <https://arxiv.org/abs/1607.06450>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let y = Tensor::arange(4).reshape([2, 2]).layer_norm(2, None, None, 0.0);
    /// assert_eq!(y.to_vec::<f32>(), [-1.0, 1.0, -1.0, 1.0]);
    /// ```
    #[track_caller]
    pub fn layer_norm(
        &self,
        normalized_shape: impl IntoShape,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Tensor {
        let s = self.rows_of("layer_norm", normalized_shape.into_shape(), true, eps, weight, bias);
        let (y, _, _, rule) = self.by_group("layer_norm", s, weight, bias);
        record("layer_norm", y, &rule.inputs(self, weight, bias), move |ctx| rule.apply(ctx))
    }

    /// Divides each example by its root mean square over its last dimensions, which have the extents
    /// `normalized_shape`: y = x / sqrt(mean(x^2) + eps) * weight.
    ///
    /// # Shapes
    /// `x [..., normalized_shape...], weight [normalized_shape...] -> [..., normalized_shape...]`
    ///
    /// # Panics
    /// If the shapes do not fit or the elements are not of one type, f32 or f64.
    ///
    /// Source: Zhang and Sennrich, 2019, <https://arxiv.org/abs/1910.07467>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let y = Tensor::from_slice(&[3.0f32, -3.0], [1, 2]).rms_norm(2, None, 0.0);
    /// assert_eq!(y.to_vec::<f32>(), [1.0, -1.0]);
    /// ```
    #[track_caller]
    pub fn rms_norm(&self, normalized_shape: impl IntoShape, weight: Option<&Tensor>, eps: f64) -> Tensor {
        let s = self.rows_of("rms_norm", normalized_shape.into_shape(), false, eps, weight, None);
        let (y, _, _, rule) = self.by_group("rms_norm", s, weight, None);
        record("rms_norm", y, &rule.inputs(self, weight, None), move |ctx| rule.apply(ctx))
    }

    /// Normalises each of `num_groups` groups of channels of each example:
    /// y = (x - mean) / sqrt(var + eps) * weight + bias, with the (biased) variance; also gives mean and variance,
    /// which are outside the graph.
    ///
    /// # Shapes
    /// `x [N, C, ...], weight [C], bias [C] -> y [N, C, ...], mean [N, groups], var [N, groups]`
    ///
    /// # Panics
    /// If the shapes do not fit, the channels cannot be divided into so many groups, or the elements are not of one
    /// type, f32 or f64.
    ///
    /// Source: Wu and He, 2018, <https://arxiv.org/abs/1803.08494>.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let (y, mean, _) = Tensor::arange(4).reshape([1, 4]).group_norm(2, None, None, 0.0);
    /// assert_eq!((y.to_vec::<f32>(), mean.to_vec::<f32>()), (vec![-1.0, 1.0, -1.0, 1.0], vec![0.5, 2.5]));
    /// ```
    #[track_caller]
    pub fn group_norm(
        &self,
        num_groups: usize,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> (Tensor, Tensor, Tensor) {
        let shape = self.shape();
        if shape.len() < 2 || num_groups == 0 || !shape[1].is_multiple_of(num_groups) {
            fail("group_norm", format_args!("needs an input [N, C, ...] with C in {num_groups} groups, got {shape}"));
        }
        self.check_parameters("group_norm", &shape[1..2], weight, bias);
        let (planes, size) = (shape[1] / num_groups, shape[2..].iter().product());
        let s = Groups { rows: shape[0] * num_groups, groups: num_groups, planes, size, centred: true, eps };
        let (y, mean, var, rule) = self.by_group("group_norm", s, weight, bias);
        let y = record("group_norm", y, &rule.inputs(self, weight, bias), move |ctx| rule.apply(ctx));
        let moments = [shape[0], num_groups];
        (y, mean.view(moments), var.view(moments))
    }

    /// The operand as rows of its last dimensions.
    #[track_caller]
    fn rows_of(
        &self,
        op: &str,
        normalized: Shape,
        centred: bool,
        eps: f64,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> Groups {
        let shape = self.shape();
        if normalized.is_empty() || !shape.ends_with(&normalized) {
            let inner = normalized.iter().map(|n| format!(", {n}")).collect::<String>();
            fail(op, format_args!("needs an input [...{inner}], got {shape}"));
        }
        self.check_parameters(op, &normalized, weight, bias);
        let rows = shape[..shape.len() - normalized.len()].iter().product();
        Groups { rows, groups: 1, planes: normalized.numel(), size: 1, centred, eps }
    }

    #[track_caller]
    fn check_parameters(&self, op: &str, shape: &[usize], weight: Option<&Tensor>, bias: Option<&Tensor>) {
        for (name, t) in [("weight", weight), ("bias", bias)] {
            let Some(t) = t else { continue };
            if *t.shape() != *shape {
                let found = t.shape();
                fail(
                    op,
                    format_args!("needs a {name} {} for the input {}, got {found}", Shape::new(shape), self.shape()),
                );
            }
            if t.dtype() != self.dtype() {
                let (own, other) = (self.dtype(), t.dtype());
                fail(op, format_args!("the input is {own}, the {name} {other}; convert with to_dtype"));
            }
        }
    }

    /// Forward pass by groups, not yet recorded: result, mean and variance of each row, and the way back.
    #[track_caller]
    fn by_group(
        &self,
        op: &str,
        s: Groups,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
    ) -> (Tensor, Tensor, Tensor, GroupRule) {
        let (x, w, b) =
            (self.contiguous_data(), weight.map(Tensor::contiguous_data), bias.map(Tensor::contiguous_data));
        let (y, mean, var) = dispatch_float!(self.dtype(), op, T => {
            let x = x.read::<T>();
            let (w, b) = (w.as_ref().map(|t| t.read::<T>()), b.as_ref().map(|t| t.read::<T>()));
            let (mut mean, mut var) = (vec![0.0 as T; s.rows], vec![0.0 as T; s.rows]);
            let y = Tensor::build::<T>(self.shape(), |out| {
                group::forward(&s, &x, w.as_deref(), b.as_deref(), (out, &mut mean, &mut var))
            });
            (y, Tensor::from_vec(mean, [s.rows]), Tensor::from_vec(var, [s.rows]))
        });
        let shape = weight.or(bias).map_or(Shape::new(&[s.groups * s.planes]), Tensor::shape);
        let places = Places::of(weight, bias);
        let rule = GroupRule {
            s,
            places,
            shape,
            x: self.save(),
            weight: weight.map(Tensor::save),
            mean: mean.save(),
            var: var.save(),
        };
        (y, mean, var, rule)
    }
}

/// What the backward pass by groups needs.
struct GroupRule {
    s: Groups,
    places: Places,
    /// Of weight and bias.
    shape: Shape,
    x: Saved,
    weight: Option<Saved>,
    mean: Saved,
    var: Saved,
}

impl GroupRule {
    fn inputs<'a>(&self, x: &'a Tensor, weight: Option<&'a Tensor>, bias: Option<&'a Tensor>) -> Vec<&'a Tensor> {
        [Some(x), weight, bias].into_iter().flatten().collect()
    }

    fn apply(&self, ctx: &Ctx) {
        let (s, weight) = (&self.s, self.weight.as_deref());
        if is_grad_enabled() {
            let gradients = Plan::groups(s).composed(ctx.grad(), &self.x, weight);
            return self.places.set(ctx, self.shape, gradients);
        }
        let [x, gy, mean, var] = [&*self.x, ctx.grad(), &*self.mean, &*self.var].map(Tensor::contiguous_data);
        let (weight, wanted) = (weight.map(Tensor::contiguous_data), self.places.wanted(ctx));
        let empty = Shape::new(&[0]);
        let flat = if wanted.parameters { Shape::new(&[s.groups * s.planes]) } else { empty };
        let gradients = dispatch_float!(x.dtype(), "group_norm", T => {
            let (mut gw, mut gb) = (vec![0.0 as T; flat.numel()], vec![0.0 as T; flat.numel()]);
            let gx = Tensor::build::<T>(if wanted.x { x.shape() } else { empty }, |gx| {
                let weight = weight.as_ref().map(|t| t.read::<T>());
                let operands = (&*x.read::<T>(), &*gy.read::<T>());
                let moments = (&*mean.read::<T>(), &*var.read::<T>());
                group::backward(s, operands, moments, weight.as_deref(), wanted, (gx, &mut gw, &mut gb));
            });
            Gradients { x: gx, weight: Tensor::from_vec(gw, flat), bias: Tensor::from_vec(gb, flat) }
        });
        self.places.set(ctx, self.shape, gradients);
    }
}

/// The gradients of a batch normalisation by kernels: `operands` are x, the result's gradient, mean and variance.
fn batch_gradients(ctx: &Ctx, s: &Channels, operands: &[Tensor; 4], weight: Option<&Tensor>, places: Places, eps: f64) {
    let [x, gy, mean, var] = operands;
    dispatch_float!(x.dtype(), "batch_norm", T => {
        let (x_data, gy, mean, var) = (x.read::<T>(), gy.read::<T>(), mean.read::<T>(), var.read::<T>());
        let weight = weight.map(Tensor::contiguous_data);
        let weight = weight.as_ref().map(|t| t.read::<T>());
        let sums = OnceCell::new();
        // Where the gradient of x is asked for, the sums are its by-product.
        ctx.set(0, || {
            Tensor::build::<T>(x.shape(), |gx| {
                let all = batch::backward_both(s, (&x_data, &gy), (&mean, &var), weight.as_deref(), eps, gx);
                let _ = sums.set(all);
            })
        });
        let sums = || sums.get_or_init(|| batch::backward_sums(s, &x_data, &gy, &mean));
        let vector = |f: &dyn Fn(usize) -> f64| {
            Tensor::from_vec((0..s.channels).map(|c| f(c) as T).collect::<Vec<T>>(), [s.channels])
        };
        // Without values there is no variance, and the sums are zero.
        let deviation = |c: usize| if x.numel() > 0 { (Element::to_f64(var[c]) + eps).sqrt() } else { 1.0 };
        if let Some(i) = places.weight {
            ctx.set(i, || vector(&|c| sums()[c][1] / deviation(c)));
        }
        if let Some(i) = places.bias {
            ctx.set(i, || vector(&|c| sums()[c][0]));
        }
    });
}
