//! Results that are computed when they are first read.
//!
//! Convolution, linear map and normalisation of channels are followed by a map of each channel, a sum or an
//! activation in most networks. Each alone is a pass over memory that costs about as much as it takes to fetch
//! its operand. So these operations leave a note of what is to be done ([`Deferred`]) in the storage of their
//! result, and an operation that can follow takes the note over, extended by itself: whoever reads the last
//! result has all of them computed in one pass ([`Finish`]). Nothing else knows: a storage that is read is
//! computed first, and one that is written to first has those computed that still depend on it.
//!
//! While a profile is taken, each operation is computed by itself, so that each has its time.
//!
//! A result that somebody still holds when a later one is read is computed by itself, and the later one from
//! it, so nothing heavy is ever done twice.

use crate::dtype::DType;
use crate::is_grad_enabled;
use crate::kernels::conv::{ConvShape, conv_backward_input, conv_forward};
use crate::kernels::finish::{self, Along, Finish, Then};
use crate::kernels::math::Num;
use crate::kernels::micro::Float;
use crate::ops::index::copy_rows;
use crate::ops::matmul::multiply;
use crate::shape::{Layout, Shape};
use crate::storage::{Plain, Storage};
use crate::{Tensor, dispatch_float, match_float, profiler};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

/// Results with fewer elements are computed at once: the note would cost more than the pass.
const LEAST: usize = 1024;
/// Most results that wait for each other.
const DEEPEST: usize = 8;

/// What is computed before the finish.
#[derive(Clone)]
enum Source {
    Conv {
        shape: ConvShape,
        x: Tensor,
        w: Tensor,
    },
    ConvTranspose {
        shape: ConvShape,
        x: Tensor,
        w: Tensor,
    },
    Linear {
        x: Tensor,
        w: Tensor,
        /// Whether `w` is likely to be multiplied again as it is.
        again: bool,
    },
    /// Rows of a contiguous table.
    Rows {
        table: Tensor,
        at: Arc<Vec<usize>>,
    },
    /// The operand less a number a channel.
    Centred {
        x: Tensor,
        mean: Option<Vec<f64>>,
    },
}

impl Source {
    fn operands(&self) -> [Option<&Tensor>; 2] {
        match self {
            Source::Conv { x, w, .. } | Source::ConvTranspose { x, w, .. } | Source::Linear { x, w, .. } => {
                [Some(x), Some(w)]
            }
            Source::Rows { table: x, .. } | Source::Centred { x, .. } => [Some(x), None],
        }
    }
}

/// A map of each element of a run, for both types.
#[derive(Clone)]
pub(crate) struct Activation {
    pub f32: Arc<Then<f32>>,
    pub f64: Arc<Then<f64>>,
}

/// Element types that can be finished.
pub(crate) trait Finished: Float + Num + Plain {
    fn activation(a: &Activation) -> &Then<Self>;
}
impl Finished for f32 {
    fn activation(a: &Activation) -> &Then<f32> {
        &*a.f32
    }
}
impl Finished for f64 {
    fn activation(a: &Activation) -> &Then<f64> {
        &*a.f64
    }
}

/// One step of the finish.
#[derive(Clone)]
enum Step {
    /// Factors and terms of the channels.
    Affine(Vec<f64>, Vec<f64>),
    Add(Tensor),
    Then(Activation),
}

/// The owned form of a [`Finish`].
#[derive(Clone, Default)]
struct Tail {
    scale: Option<Vec<f64>>,
    shift: Option<Vec<f64>>,
    residual: Option<Tensor>,
    then: Option<Activation>,
}

impl Tail {
    fn is_nothing(&self) -> bool {
        self.scale.is_none() && self.shift.is_none() && self.residual.is_none() && self.then.is_none()
    }

    fn accepts(&self, step: &Step) -> bool {
        match step {
            Step::Affine(..) | Step::Add(_) => self.residual.is_none() && self.then.is_none(),
            Step::Then(_) => self.then.is_none(),
        }
    }

    fn append(&mut self, step: Step) {
        match step {
            Step::Affine(scale, shift) => {
                match &mut self.shift {
                    Some(old) => old.iter_mut().zip(&scale).zip(shift).for_each(|((b, a), s)| *b = *b * a + s),
                    none => *none = Some(shift),
                }
                match &mut self.scale {
                    Some(old) => old.iter_mut().zip(scale).for_each(|(old, a)| *old *= a),
                    none => *none = Some(scale),
                }
            }
            Step::Add(residual) => self.residual = Some(residual),
            Step::Then(activation) => self.then = Some(activation),
        }
    }

    /// Lends the finish to `f`.
    fn with<T: Finished, R>(&self, f: impl FnOnce(&Finish<'_, T>) -> R) -> R {
        let (scale, shift) = (rounded::<T>(&self.scale), rounded::<T>(&self.shift));
        let residual = self.residual.as_ref().map(|r| r.read::<T>());
        let then = self.then.as_ref().map(T::activation);
        f(&Finish { scale: scale.as_deref(), shift: shift.as_deref(), residual: residual.as_deref(), then })
    }
}

/// The numbers of the channels as the elements' type.
fn rounded<T: Float>(numbers: &Option<Vec<f64>>) -> Option<Vec<T>> {
    numbers.as_ref().map(|n| n.iter().map(|&v| T::from_f64(v)).collect())
}

/// A result this one continues, and what is to be done to it to get this one.
#[derive(Clone)]
struct Earlier {
    storage: Weak<Storage>,
    tail: Tail,
}

/// What is to be done to compute a storage's elements.
pub(crate) struct Deferred {
    source: Source,
    along: Along,
    tail: Tail,
    earlier: Vec<Earlier>,
    depth: usize,
}

/// How many storages wait to be computed.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Where they are; some may be gone or computed.
static LIST: Mutex<Vec<Weak<Storage>>> = Mutex::new(Vec::new());

impl Deferred {
    /// Computes the elements.
    pub fn run(mut self, dtype: DType, len: usize) -> crate::storage::Buffer {
        // The latest of the results it continues that somebody holds.
        let held = self.earlier.drain(..).rev().find_map(|e| Some((e.storage.upgrade()?, e.tail)));
        if let Some((storage, tail)) = held {
            let x = Tensor::from_parts(storage, Layout::contiguous(Shape::new(&[len])), None);
            (self.source, self.tail) = (Source::Centred { x, mean: None }, tail);
        }
        dispatch_float!(dtype, "deferred", T => Storage::fill::<T>(len, |out| self.compute::<T>(out)))
    }

    fn compute<T: Finished>(&self, out: &mut [T]) {
        self.tail.with::<T, _>(|finish| match &self.source {
            Source::Conv { shape, x, w } => conv_forward(shape, &x.read::<T>(), &w.read::<T>(), finish, out),
            Source::ConvTranspose { shape, x, w } => {
                conv_backward_input(shape, &x.read::<T>(), &w.read::<T>(), finish, out);
            }
            Source::Linear { x, w, again } => {
                if finish.scale.is_none() {
                    return multiply::<T>(x, w, *again, finish, out);
                }
                multiply::<T>(x, w, *again, &Finish::NOTHING, out);
                finish::in_place(self.along, finish, out);
            }
            Source::Rows { table, at } => {
                copy_rows(&table.read::<T>(), self.along.channels, |i| at[i], out);
                finish::in_place(self.along, finish, out);
            }
            Source::Centred { x, mean } => {
                finish::copy(self.along, &x.read::<T>(), rounded::<T>(mean).as_deref(), finish, out);
            }
        });
    }

    fn depends_on(&self, storage: &Storage) -> bool {
        let is = |s: &Arc<Storage>| std::ptr::eq(Arc::as_ptr(s), storage);
        self.source.operands().into_iter().flatten().chain(&self.tail.residual).any(|t| is(&t.0.storage))
            || self.earlier.iter().any(|e| std::ptr::eq(e.storage.as_ptr(), storage))
    }

    /// Makes the tensor that stands for the result.
    fn tensor(self, dtype: DType, shape: Shape) -> Tensor {
        let storage = Storage::waiting(dtype, shape.numel(), self);
        WAITING.fetch_add(1, SeqCst);
        let mut list = LIST.lock().unwrap_or_else(|e| e.into_inner());
        if list.len() == list.capacity() {
            list.retain(|s| s.upgrade().is_some_and(|s| s.is_waiting()));
        }
        list.push(Arc::downgrade(&storage));
        drop(list);
        Tensor::from_parts(storage, Layout::contiguous(shape), None)
    }
}

/// A storage has been computed, or dropped without that.
pub(crate) fn no_longer_waiting() {
    WAITING.fetch_sub(1, SeqCst);
}

/// Computes everything that still depends on the present elements of `storage`.
pub(crate) fn before_change(storage: &Storage) {
    if WAITING.load(SeqCst) == 0 {
        return;
    }
    let waiting: Vec<Arc<Storage>> =
        LIST.lock().unwrap_or_else(|e| e.into_inner()).iter().filter_map(Weak::upgrade).collect();
    for s in &waiting {
        if s.deferred(|d| d.is_some_and(|d| d.depends_on(storage))) {
            s.compute();
        }
    }
}

/// How many results stand between `t` and computed ones.
fn depth(t: &Tensor) -> usize {
    t.0.storage.deferred(|d| d.map_or(0, |d| d.depth))
}

/// Whether the note in a tensor's storage is about just its elements.
fn whole(t: &Tensor) -> bool {
    t.0.storage.is_waiting() && t.is_contiguous() && t.numel() == t.0.storage.len
}

fn start(source: Source, along: Along, tail: Tail, dtype: DType, shape: Shape) -> Tensor {
    let operands = source.operands().into_iter().flatten().chain(&tail.residual);
    let mut deepest = 0;
    for t in operands {
        let d = depth(t);
        if d >= DEEPEST {
            t.0.storage.compute();
        } else {
            deepest = deepest.max(d);
        }
    }
    let deferred = Deferred { source, along, tail, earlier: Vec::new(), depth: deepest + 1 };
    let t = deferred.tensor(dtype, shape);
    if shape.numel() < LEAST || profiler::is_running() {
        t.0.storage.compute();
    }
    t
}

/// The numbers of a tensor of one dimension.
fn numbers(t: &Tensor) -> Vec<f64> {
    let t = t.contiguous_data();
    match_float!(t.dtype(), "deferred", T => t.read::<T>().iter().map(|&v| Float::to_f64(v)).collect())
}

fn bias_tail(bias: Option<&Tensor>) -> Tail {
    Tail { shift: bias.map(numbers), ..Tail::default() }
}

/// The convolution of contiguous operands.
pub(crate) fn conv(shape: ConvShape, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, out: Shape) -> Tensor {
    let along = Along { channels: shape.c_out, size: shape.output.iter().product() };
    start(Source::Conv { shape, x: x.detach(), w: w.detach() }, along, bias_tail(bias), x.dtype(), out)
}

/// The transposed convolution of contiguous operands.
pub(crate) fn conv_transpose(shape: ConvShape, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, out: Shape) -> Tensor {
    let along = Along { channels: shape.c_in, size: shape.input.iter().product() };
    start(Source::ConvTranspose { shape, x: x.detach(), w: w.detach() }, along, bias_tail(bias), x.dtype(), out)
}

/// `x w + bias` of a matrix x.
pub(crate) fn linear(x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let out = Shape::new(&[x.size(0), w.size(1)]);
    start(
        Source::Linear { x: x.detach(), w: w.detach(), again: !is_grad_enabled() },
        Along { channels: out[1], size: 1 },
        bias_tail(bias),
        x.dtype(),
        out,
    )
}

/// The rows `at` of a contiguous table, each of `width` elements.
pub(crate) fn rows(table: &Tensor, at: Vec<usize>, width: usize, out: Shape) -> Tensor {
    let along = Along { channels: width, size: 1 };
    start(Source::Rows { table: table.detach(), at: Arc::new(at) }, along, Tail::default(), table.dtype(), out)
}

/// Calls `f` with the table and the positions, if all of `t` are rows of `width` elements that wait to be looked up.
pub(crate) fn with_rows<T: Plain, R>(t: &Tensor, width: usize, f: impl FnOnce(&[T], &[usize]) -> R) -> Option<R> {
    if !whole(t) {
        return None;
    }
    let (table, at) = t.0.storage.deferred(|d| match d {
        Some(Deferred { source: Source::Rows { table, at }, along, tail, .. })
            if along.channels == width && tail.is_nothing() =>
        {
            Some((table.clone(), at.clone()))
        }
        _ => None,
    })?;
    let elements = table.read::<T>();
    // Whoever changes the table has `t` computed first, and changes it only when nobody reads it any more.
    t.0.storage.is_waiting().then(|| f(&elements, &at))
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` by channel, of a contiguous `[n, channels, size...]`.
pub(crate) fn normalised(
    x: &Tensor,
    (mean, var): (&Tensor, &Tensor),
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Tensor {
    let s = x.shape();
    let along = Along { channels: s[1], size: s[2..].iter().product() };
    let mut scale: Vec<f64> = numbers(var).iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
    if let Some(w) = weight {
        scale.iter_mut().zip(numbers(w)).for_each(|(a, w)| *a *= w);
    }
    let tail = Tail { scale: Some(scale), ..bias_tail(bias) };
    start(Source::Centred { x: x.detach(), mean: Some(numbers(mean)) }, along, tail, x.dtype(), s)
}

/// `x * scale + shift` by channel, of a contiguous `[n, channels, size...]`: a step where `x` waits.
pub(crate) fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Tensor {
    let s = x.shape();
    let along = Along { channels: s[1], size: s[2..].iter().product() };
    let (scale, shift) = (numbers(scale), numbers(shift));
    let same = |d: &Deferred| d.along == along;
    follow(x, 0, same, || Step::Affine(scale.clone(), shift.clone())).unwrap_or_else(|| {
        let tail = Tail { scale: Some(scale), shift: Some(shift), ..Tail::default() };
        start(Source::Centred { x: x.detach(), mean: None }, along, tail, x.dtype(), s)
    })
}

/// `x + y` as a step of `x`, if `x` waits and `y` is laid out as it.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Option<Tensor> {
    let beside = depth(y);
    let fits = x.shape() == y.shape() && x.dtype() == y.dtype() && y.is_contiguous() && !x.shares_storage(y);
    if !fits || beside >= DEEPEST {
        return None;
    }
    follow(x, beside + 1, |_| true, || Step::Add(y.detach()))
}

/// A map of each element as a step of `x`, if `x` waits.
pub(crate) fn then(x: &Tensor, activation: impl Fn() -> Activation) -> Option<Tensor> {
    follow(x, 0, |_| true, || Step::Then(activation()))
}

/// The result of one more step on a waiting `x`, if it can be taken; `least` is the depth that the step itself
/// brings. What `fits` and `step` do must not look into another storage: two threads that each held one and waited
/// for the other's would wait forever.
fn follow(x: &Tensor, least: usize, fits: impl Fn(&Deferred) -> bool, step: impl Fn() -> Step) -> Option<Tensor> {
    if !whole(x) {
        return None;
    }
    let next = x.0.storage.deferred(|d| {
        let d = d.filter(|d| fits(d))?;
        let step = step();
        if !d.tail.accepts(&step) {
            return None;
        }
        let mut earlier = d.earlier.clone();
        earlier.push(Earlier { storage: Arc::downgrade(&x.0.storage), tail: Tail::default() });
        earlier.iter_mut().for_each(|e| e.tail.append(step.clone()));
        let mut tail = d.tail.clone();
        tail.append(step);
        let depth = d.depth.max(least);
        Some(Deferred { source: d.source.clone(), along: d.along, tail, earlier, depth })
    })?;
    Some(next.tensor(x.dtype(), x.shape()))
}

/// Refuses element types other than f32 and f64, as an operation that computes at once does.
#[track_caller]
pub(crate) fn check_float(op: &'static str, t: &Tensor) {
    match_float!(t.dtype(), op, T => { let _: Option<T> = None; })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{GradOptions, grad};
    use crate::{ConvConfig, no_grad};

    fn leaf(seed: usize, shape: &[usize]) -> Tensor {
        let n: usize = shape.iter().product();
        let v = (0..n).map(|i| ((i * 37 + seed * 101) % 41) as f64 / 20.0 - 1.0).collect();
        Tensor::from_vec::<f64>(v, shape).requires_grad_(true)
    }

    type Build = fn(&[Tensor], &dyn Fn(Tensor) -> Tensor) -> Tensor;

    /// Chains of operations; `see` is called on every intermediate result.
    const CHAINS: [(&str, Build); 6] = [
        ("conv, affine, sum, relu", |t, see| {
            let c = ConvConfig::default().padding([1, 1]);
            let y = see(t[0].conv2d(&t[1], Some(&t[2]), c));
            let y = see(y.channel_affine(&t[3], &t[4]));
            see(&y + &t[5]).relu()
        }),
        ("conv, leaky relu", |t, see| {
            see(t[0].conv2d(&t[1], Some(&t[2]), ConvConfig::default().padding([1, 1]))).leaky_relu(0.2)
        }),
        ("transposed conv, tanh", |t, see| {
            see(t[0].conv_transpose2d(&t[1], Some(&t[2]), ConvConfig::default().stride([2, 2]))).tanh()
        }),
        ("batch norm, sum, relu", |t, see| {
            let y = see(t[0].batch_norm(Some(&t[3]), Some(&t[4]), 1e-5).0);
            see(&t[5] + &y).relu()
        }),
        ("affine twice, gelu", |t, see| {
            let y = see(t[0].channel_affine(&t[3], &t[4]));
            see(y.channel_affine(&t[4], &t[3])).gelu()
        }),
        ("linear, sum, silu", |t, see| {
            let x = t[0].reshape([36, 32]);
            let w = t[5].reshape([36, 32]);
            let y = see(x.linear(&w, None));
            see(y + Tensor::ones([36, 36]).to_dtype(DType::F64)).silu()
        }),
    ];

    fn leaves() -> Vec<Tensor> {
        vec![
            leaf(0, &[2, 4, 12, 12]),
            leaf(1, &[4, 4, 3, 3]),
            leaf(2, &[4]),
            leaf(3, &[4]),
            leaf(4, &[4]),
            leaf(5, &[2, 4, 12, 12]),
        ]
    }

    /// The result and the gradients to the second order.
    fn everything(build: Build, see: &dyn Fn(Tensor) -> Tensor) -> (bool, Vec<f64>) {
        let t = leaves();
        let y = build(&t, see);
        let waits = y.0.storage.is_waiting();
        let mut all = y.to_vec::<f64>();
        let used: Vec<&Tensor> = t.iter().collect();
        let options = GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
        let first = grad(&[&y.square().sum()], &used, options);
        first.iter().map(|g| g.square().sum()).reduce(|a, b| a + b).unwrap().backward();
        first.iter().for_each(|g| all.extend(g.to_vec::<f64>()));
        t.iter().filter_map(Tensor::grad).for_each(|g| all.extend(g.to_vec::<f64>()));
        (waits, all)
    }

    #[test]
    fn chains_equal_their_operations_one_by_one() {
        for (name, build) in CHAINS {
            let (waited, fused) = everything(build, &|t| t);
            assert!(waited, "{name} was computed before anybody read it");
            let (_, read) = everything(build, &|t| {
                t.to_vec::<f64>();
                t
            });
            assert_eq!(fused.len(), read.len());
            let scale = read.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            let off = fused.iter().zip(&read).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= 1e-12 * scale, "{name}: {off} of {scale}");
        }
    }

    #[test]
    fn results_that_are_held_stay_what_they_were() {
        let t = leaves();
        let y = t[0].conv2d(&t[1], None, ConvConfig::default());
        let z = y.relu();
        let relu: Vec<f64> = z.to_vec();
        assert!(!y.0.storage.is_waiting(), "a result in use is computed once, before what follows it");
        let own: Vec<f64> = y.to_vec();
        assert!(own.iter().any(|&v| v < 0.0));
        assert!(own.iter().zip(&relu).all(|(&a, &b)| a.max(0.0) == b));
    }

    #[test]
    fn operands_changed_in_place_count_as_they_were() {
        no_grad(|| {
            let t = leaves();
            let want: Vec<f64> = t[0].conv2d(&t[1], None, ConvConfig::default()).relu().to_vec();
            let early = t[0].conv2d(&t[1], None, ConvConfig::default()).relu();
            t[1].mul_(2.0);
            t[0].zero_();
            assert_eq!(early.to_vec::<f64>(), want);
            let held = leaf(7, &[2, 4, 12, 12]).channel_affine(&t[3], &t[4]);
            let before: Vec<f64> = held.to_vec();
            let held = leaf(7, &[2, 4, 12, 12]).channel_affine(&t[3], &t[4]);
            let after = held.relu();
            held.mul_(-1.0);
            assert!(after.to_vec::<f64>().iter().zip(&before).all(|(&a, &b)| a == b.max(0.0)));
            assert!(held.to_vec::<f64>().iter().zip(&before).all(|(&a, &b)| a == -b));
        });
    }

    #[test]
    fn rows_are_looked_up_when_they_are_read() {
        let table = leaf(3, &[50, 40]);
        let at: Vec<i64> = (0..60).map(|i| (i * 17 + 5) % 50).collect();
        let at = Tensor::from_slice(&at, [60]);
        let v = leaf(4, &[12, 40]);
        let looked_up = || table.index_select(0, &at);
        let done = looked_up();
        done.to_vec::<f64>();
        let columns = v.unsqueeze(2); // [12, 40, 1]
        let want = done.reshape([12, 5, 40]).bmm(&columns).to_vec::<f64>();
        no_grad(|| {
            let x = looked_up().reshape([12, 5, 40]);
            assert_eq!(x.bmm(&columns).to_vec::<f64>(), want);
            assert!(x.0.storage.is_waiting(), "the product copied the rows to memory");
            let (sum, sums) = (looked_up() + leaf(5, &[60, 40]), (&done + leaf(5, &[60, 40])).to_vec::<f64>());
            table.mul_(2.0);
            assert!(!x.0.storage.is_waiting(), "the rows were not kept as they were");
            assert_eq!(x.bmm(&columns).to_vec::<f64>(), want);
            assert_eq!(sum.to_vec::<f64>(), sums);
        });
    }

    #[test]
    fn long_chains_and_several_readers_are_served() {
        let w = Tensor::eye(32);
        let mut x = Tensor::ones([32, 32]);
        for _ in 0..20_000 {
            x = x.linear(&w, None);
        }
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| assert_eq!(x.sum().item(), 1024.0));
            }
        });
        let y = x.linear(&w, None);
        assert_eq!((&y + &y).sum().item(), 2048.0);
    }
}
