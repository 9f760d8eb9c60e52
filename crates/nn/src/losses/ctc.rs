//! Connectionist temporal classification: the likelihood of a label sequence over all its alignments.

use super::Reduction;
use super::nll::check_log_probs;
use gradus_tensor::autograd::record;
use gradus_tensor::{DType, Element, Tensor, fail, is_grad_enabled};

/// Options of [`ctc_loss_with`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CtcOptions {
    /// The class that stands for no label (0).
    pub blank: usize,
    /// How the losses are made one. The mean is that of the losses divided by their targets' lengths (at least 1).
    pub reduction: Reduction,
    /// Whether a target too long for its input costs 0, without gradient, instead of infinity (no).
    pub zero_infinity: bool,
}

/// CTC loss: `-ln sum_a prod_t p_t(a_t)` over all alignments a which give the target once repeated classes
/// are merged and blanks are left out; divided by the target's length, averaged over the batch.
///
/// The sum runs forward and backward over the states (blank, y_1, blank, ..., blank) in f64 with exponents of 64
/// bits. Where no alignment exists the loss is infinite and the gradient NaN, as in PyTorch. It can be differentiated
/// once.
///
/// # Shapes
/// log-probabilities `[T, N, C]`, targets (i64) `[N, S]`, padded, or end to end `[sum of lengths]`, `N` lengths of
/// each -> scalar; or `[T, C]`, `[S]` and one length each
///
/// # Panics
/// If shapes or lengths do not fit; if a label is the blank or no class; if a log-probability is positive.
///
/// Source: Graves et al., 2006, <https://www.cs.toronto.edu/~graves/icml_2006.pdf>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/generated/torch.nn.CTCLoss.html>.
///
/// ```
/// use gradus_nn::losses::ctc_loss;
/// use gradus_tensor::Tensor;
/// // Two steps, each class as likely: "1" is read from (1, 1), (1, blank) and (blank, 1), so p = 3/9.
/// let log_p = Tensor::zeros([2, 1, 3]).log_softmax(2);
/// let loss = ctc_loss(&log_p, &Tensor::from_slice(&[1i64], [1, 1]), &[2], &[1]);
/// assert!((loss.item() - 3f32.ln()).abs() < 1e-6);
/// ```
#[track_caller]
pub fn ctc_loss(log_probs: &Tensor, targets: &Tensor, input_lengths: &[usize], target_lengths: &[usize]) -> Tensor {
    ctc_loss_with(log_probs, targets, input_lengths, target_lengths, CtcOptions::default())
}

/// [`ctc_loss`] with another blank or reduction, or with targets that do not fit counted as 0.
///
/// # Panics
/// As [`ctc_loss`].
#[track_caller]
pub fn ctc_loss_with(
    log_probs: &Tensor,
    targets: &Tensor,
    input_lengths: &[usize],
    target_lengths: &[usize],
    options: CtcOptions,
) -> Tensor {
    let batch = Batch::new(log_probs, targets, input_lengths, target_lengths, options.blank);
    let losses = batch.losses(log_probs, options.zero_infinity);
    if options.reduction != Reduction::Mean {
        return options.reduction.apply(losses);
    }
    let lengths: Vec<f64> = target_lengths.iter().map(|&l| l.max(1) as f64).collect();
    (losses / Tensor::from_vec(lengths, batch.shape()).to_dtype(log_probs.dtype())).mean()
}

const OP: &str = "ctc_loss";

/// A checked batch: the number of steps and the states of each sample.
struct Batch {
    steps: Vec<usize>,
    /// Classes of the states: blank, y_1, blank, y_2, ..., blank.
    states: Vec<Vec<usize>>,
    blank: usize,
    batched: bool,
}

impl Batch {
    #[track_caller]
    fn new(log_probs: &Tensor, targets: &Tensor, steps: &[usize], lengths: &[usize], blank: usize) -> Batch {
        let (p, y) = (log_probs.shape(), targets.shape());
        let batched = p.len() == 3;
        let n = if batched { p[1] } else { 1 };
        let fits = batched && y.len() == 2 && y[0] == n || y.len() == 1;
        if !(2..=3).contains(&p.len()) || !fits {
            fail(
                OP,
                format_args!(
                    "needs log-probabilities [T, N, C] and targets [N, S] or [sum of lengths], or [T, C] and [S], got {p} and {y}"
                ),
            );
        }
        let (most, classes) = (p[0], p[p.len() - 1]);
        if steps.len() != n || lengths.len() != n {
            let message = format_args!("needs {n} lengths each, got {} and {}", steps.len(), lengths.len());
            fail(OP, message);
        }
        if blank >= classes {
            fail(OP, format_args!("blank {blank} is not a class index in 0..{classes}"));
        }
        if targets.dtype() != DType::I64 {
            fail(OP, format_args!("needs i64 targets, got {}; convert with to_dtype", targets.dtype()));
        }
        if let Some(i) = steps.iter().position(|&l| l > most) {
            fail(OP, format_args!("input length {} at position {i} is above the {most} steps there are", steps[i]));
        }
        let total: usize = lengths.iter().sum();
        if batched && y.len() == 1 && y[0] != total {
            fail(OP, format_args!("the target lengths make {total}, but there are {} labels", y[0]));
        }
        let labels = targets.to_vec::<i64>();
        let mut from = 0;
        let mut states = Vec::with_capacity(n);
        for (i, &length) in lengths.iter().enumerate() {
            let row = if y.len() == 2 { &labels[i * y[1]..(i + 1) * y[1]] } else { &labels[from..] };
            from += length;
            if length > row.len() {
                fail(OP, format_args!("target length {length} at position {i} is above the {} labels", row.len()));
            }
            let mut sample = vec![blank];
            for &label in &row[..length] {
                if label == blank as i64 || !(0..classes as i64).contains(&label) {
                    let why = if label == blank as i64 { "is the blank" } else { "is not a class index" };
                    fail(OP, format_args!("label {label} of target {i} {why} (classes 0..{classes})"));
                }
                sample.extend([label as usize, blank]);
            }
            states.push(sample);
        }
        check_log_probs(OP, log_probs);
        Batch { steps: steps.to_vec(), states, blank, batched }
    }

    /// Shape of the losses.
    fn shape(&self) -> Vec<usize> {
        if self.batched { vec![self.steps.len()] } else { vec![] }
    }

    /// One loss a sample, and their gradients if they are wanted.
    fn run<T: Element>(&self, log_probs: &Tensor, wanted: bool, zero_infinity: bool) -> (Vec<f64>, Tensor) {
        let (n, classes, log_p) = (self.steps.len(), log_probs.size(-1), log_probs.to_vec::<T>());
        let mut gradient = vec![T::default(); if wanted { log_p.len() } else { 0 }];
        let mut losses = Vec::with_capacity(n);
        for (i, states) in self.states.iter().enumerate() {
            let at = |t: usize, class: usize| (t * n + i) * classes + class;
            let lattice = Lattice::new(self.steps[i], states, self.blank, |t, class| log_p[at(t, class)]);
            let alpha = lattice.forward();
            let total = lattice.total(&alpha);
            let impossible = total.m == 0.0;
            losses.push(if impossible && zero_infinity { 0.0 } else { 0.0 - total.ln() });
            if !wanted || impossible && zero_infinity {
                continue;
            }
            if impossible {
                (0..lattice.steps).for_each(|t| gradient[at(t, 0)..at(t, 0) + classes].fill(T::from_f64(f64::NAN)));
                continue;
            }
            lattice.posteriors(&alpha, total, |t, s, p| {
                let g = &mut gradient[at(t, states[s])];
                *g = T::from_f64(g.to_f64() - p);
            });
        }
        let shape = if wanted { log_probs.shape().to_vec() } else { vec![0] };
        (losses, Tensor::from_vec(gradient, shape))
    }

    /// One loss a sample, in the graph.
    #[track_caller]
    fn losses(&self, log_probs: &Tensor, zero_infinity: bool) -> Tensor {
        let wanted = log_probs.requires_grad() && is_grad_enabled();
        let data = log_probs.detach();
        let (losses, gradient) = match log_probs.dtype() {
            DType::F32 => self.run::<f32>(&data, wanted, zero_infinity),
            _ => self.run::<f64>(&data.to_dtype(DType::F64), wanted, zero_infinity),
        };
        let out = Tensor::from_vec(losses, self.shape()).to_dtype(log_probs.dtype());
        if !wanted {
            return out;
        }
        let gradient = gradient.to_dtype(log_probs.dtype());
        let (saved, batched) = (log_probs.save(), self.batched);
        record(OP, out, &[log_probs], move |ctx| {
            ctx.set(0, || {
                let g = if batched { ctx.grad().unsqueeze(1) } else { ctx.grad().clone() };
                let once = record("ctc_loss_backward", gradient.clone(), &[&saved], |_| {
                    fail(OP, "can be differentiated once only; its gradient has no gradient here")
                });
                g * once
            })
        })
    }
}

/// A number m 2^e with 1 <= m < 2, or zero: products of thousands of probabilities neither vanish nor need logarithms.
#[derive(Clone, Copy)]
struct Wide {
    m: f64,
    e: i64,
}

impl Wide {
    const ZERO: Wide = Wide { m: 0.0, e: -(1 << 50) };
    const ONE: Wide = Wide { m: 1.0, e: 0 };

    /// m 2^e for any m that is not negative.
    #[inline(always)]
    fn new(m: f64, e: i64) -> Wide {
        if (f64::MIN_POSITIVE..f64::INFINITY).contains(&m) {
            let bits = m.to_bits();
            let digits = (bits & ((1 << 52) - 1)) | (1023 << 52);
            return Wide { m: f64::from_bits(digits), e: e + (bits >> 52) as i64 - 1023 };
        }
        // A NaN stays one.
        if m < 1.0 { Wide::ZERO } else { Wide { m, e: 0 } }
    }

    /// e^x.
    fn exp(x: f64) -> Wide {
        if x == f64::NEG_INFINITY {
            return Wide::ZERO;
        }
        let e = (x * std::f64::consts::LOG2_E).floor();
        // ln 2 in two parts, so that e times the first is exact.
        let r = x - e * 0.693_147_180_369_123_8 - e * 1.908_214_929_270_587_7e-10;
        Wide::new(r.exp(), e as i64)
    }

    fn ln(self) -> f64 {
        if self.m == 0.0 { f64::NEG_INFINITY } else { self.m.ln() + self.e as f64 * std::f64::consts::LN_2 }
    }

    /// The number as it is if its exponent is `e`, for one that is not larger.
    #[inline(always)]
    fn at(self, e: i64) -> f64 {
        self.m * f64::from_bits((((self.e - e).max(-1022) + 1023) as u64) << 52)
    }

    /// (a + b + c) d.
    #[inline(always)]
    fn sum_times(a: Wide, b: Wide, c: Wide, d: Wide) -> Wide {
        let e = a.e.max(b.e).max(c.e);
        Wide::new((a.at(e) + b.at(e) + c.at(e)) * d.m, e + d.e)
    }

    #[inline(always)]
    fn times(self, other: Wide) -> Wide {
        Wide::new(self.m * other.m, self.e + other.e)
    }
}

/// The states of one sample over its steps: rows of a state each, step by step.
struct Lattice {
    steps: usize,
    /// Whether a state may be reached from the last but one: not over a blank between equal labels, and not a blank.
    skips: Vec<bool>,
    /// Probability of each state's class.
    emissions: Vec<Wide>,
}

impl Lattice {
    fn new<T: Element>(steps: usize, states: &[usize], blank: usize, log_p: impl Fn(usize, usize) -> T) -> Lattice {
        let skips = (0..states.len()).map(|s| s >= 2 && states[s] != blank && states[s] != states[s - 2]).collect();
        let mut emissions = Vec::with_capacity(steps * states.len());
        for t in 0..steps {
            let of = |class: usize| Wide::exp(log_p(t, class).to_f64());
            let space = of(blank);
            emissions.extend(states.iter().map(|&class| if class == blank { space } else { of(class) }));
        }
        Lattice { steps, skips, emissions }
    }

    /// Probability of all beginnings that end at step t in state s, emission included.
    fn forward(&self) -> Vec<Wide> {
        let n = self.skips.len();
        let mut alpha = vec![Wide::ZERO; self.steps * n];
        for t in 0..self.steps {
            let (done, now) = alpha.split_at_mut(t * n);
            let emissions = &self.emissions[t * n..][..n];
            if t == 0 {
                let first = n.min(2);
                now[..first].copy_from_slice(&emissions[..first]);
                continue;
            }
            let before = &done[(t - 1) * n..];
            let (mut one, mut two) = (Wide::ZERO, Wide::ZERO);
            for s in 0..n {
                let skipped = if self.skips[s] { two } else { Wide::ZERO };
                now[s] = Wide::sum_times(before[s], one, skipped, emissions[s]);
                (two, one) = (one, before[s]);
            }
        }
        alpha
    }

    /// Probability of the target: the last step ends in the last label or the blank behind it.
    fn total(&self, alpha: &[Wide]) -> Wide {
        let n = self.skips.len();
        match self.steps {
            0 if n == 1 => Wide::ONE,
            0 => Wide::ZERO,
            _ => {
                let last = &alpha[alpha.len() - n..];
                let label = if n > 1 { last[n - 2] } else { Wide::ZERO };
                Wide::sum_times(last[n - 1], label, Wide::ZERO, Wide::ONE)
            }
        }
    }

    /// Tells `visit` for each step and state its probability given the target.
    fn posteriors(&self, alpha: &[Wide], total: Wide, mut visit: impl FnMut(usize, usize, f64)) {
        let n = self.skips.len();
        // Probability of all ends after step t in state s.
        let mut beta: Vec<Wide> = (0..n).map(|s| if s + 2 >= n { Wide::ONE } else { Wide::ZERO }).collect();
        for t in (0..self.steps).rev() {
            for s in 0..n {
                let both = alpha[t * n + s].times(beta[s]);
                visit(t, s, both.at(total.e) / total.m);
            }
            let (mut one, mut two) = (Wide::ZERO, Wide::ZERO);
            for s in (0..n).rev() {
                let next = beta[s].times(self.emissions[t * n + s]);
                let skipped = if s + 2 < n && self.skips[s + 2] { two } else { Wide::ZERO };
                beta[s] = Wide::sum_times(next, one, skipped, Wide::ONE);
                (two, one) = (one, next);
            }
        }
    }
}
