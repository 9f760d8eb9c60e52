//! Connectionist temporal classification: the likelihood of a label sequence over all its alignments.

use super::Reduction;
use super::nll::check_log_probs;
use gradus_tensor::autograd::record;
use gradus_tensor::{DType, Tensor, fail, is_grad_enabled};

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
/// The sum runs forward and backward over the states (blank, y_1, blank, ..., blank) in logarithms, in f64. Where no
/// alignment exists the loss is infinite and the gradient NaN, as in PyTorch. It can be differentiated once.
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

    /// One loss a sample, in the graph.
    #[track_caller]
    fn losses(&self, log_probs: &Tensor, zero_infinity: bool) -> Tensor {
        let n = self.steps.len();
        let classes = log_probs.size(-1);
        let wanted = log_probs.requires_grad() && is_grad_enabled();
        let log_p = log_probs.detach().to_dtype(DType::F64).to_vec::<f64>();
        let mut gradient = vec![0.0; if wanted { log_p.len() } else { 0 }];
        let mut losses = Vec::with_capacity(n);
        for i in 0..n {
            let at = |t: usize, class: usize| (t * n + i) * classes + class;
            let lattice = Lattice { steps: self.steps[i], states: &self.states[i], blank: self.blank };
            let emission = |t: usize, class: usize| log_p[at(t, class)];
            let alpha = lattice.forward(&emission);
            let total = lattice.total(&alpha);
            let impossible = total == f64::NEG_INFINITY;
            losses.push(if impossible && zero_infinity { 0.0 } else { 0.0 - total });
            if !wanted || impossible && zero_infinity {
                continue;
            }
            if impossible {
                (0..lattice.steps).for_each(|t| gradient[at(t, 0)..at(t, 0) + classes].fill(f64::NAN));
                continue;
            }
            lattice.posteriors(&emission, &alpha, total, |t, class, p| gradient[at(t, class)] -= p);
        }
        let out = Tensor::from_vec(losses, self.shape()).to_dtype(log_probs.dtype());
        if !wanted {
            return out;
        }
        let gradient = Tensor::from_vec(gradient, log_probs.shape()).to_dtype(log_probs.dtype());
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

/// The states of one sample over its steps. Logarithms, in rows of a state each, step by step.
struct Lattice<'a> {
    steps: usize,
    states: &'a [usize],
    blank: usize,
}

impl Lattice<'_> {
    /// Whether state `s` may follow state `s - 2`: not over a blank between equal labels, and not into a blank.
    fn skips(&self, s: usize) -> bool {
        s >= 2 && self.states[s] != self.blank && self.states[s] != self.states[s - 2]
    }

    /// ln of the probability of all beginnings that end at step t in state s, emission included.
    fn forward(&self, emission: &dyn Fn(usize, usize) -> f64) -> Vec<f64> {
        let n = self.states.len();
        let mut alpha = vec![f64::NEG_INFINITY; self.steps * n];
        for t in 0..self.steps {
            for s in 0..n {
                let arriving = if t == 0 {
                    if s < 2 { 0.0 } else { f64::NEG_INFINITY }
                } else {
                    let before = |back: usize| alpha[(t - 1) * n + s - back];
                    let one = if s >= 1 { before(1) } else { f64::NEG_INFINITY };
                    let two = if self.skips(s) { before(2) } else { f64::NEG_INFINITY };
                    log_sum([before(0), one, two])
                };
                alpha[t * n + s] = arriving + emission(t, self.states[s]);
            }
        }
        alpha
    }

    /// ln of the probability of the target: the last step ends in the last label or the blank behind it.
    fn total(&self, alpha: &[f64]) -> f64 {
        let n = self.states.len();
        match self.steps {
            0 if n == 1 => 0.0,
            0 => f64::NEG_INFINITY,
            _ => {
                let last = &alpha[alpha.len() - n..];
                log_sum([last[n - 1], if n > 1 { last[n - 2] } else { f64::NEG_INFINITY }, f64::NEG_INFINITY])
            }
        }
    }

    /// Tells `visit` for each step and state the state's class and its probability given the target.
    fn posteriors(
        &self,
        emission: &dyn Fn(usize, usize) -> f64,
        alpha: &[f64],
        total: f64,
        mut visit: impl FnMut(usize, usize, f64),
    ) {
        let n = self.states.len();
        // ln of the probability of all ends after step t in state s.
        let mut beta: Vec<f64> = (0..n).map(|s| if s + 2 >= n { 0.0 } else { f64::NEG_INFINITY }).collect();
        for t in (0..self.steps).rev() {
            for s in 0..n {
                visit(t, self.states[s], (alpha[t * n + s] + beta[s] - total).exp());
            }
            for s in 0..n {
                let next = |to: usize| beta[to] + emission(t, self.states[to]);
                let one = if s + 1 < n { next(s + 1) } else { f64::NEG_INFINITY };
                let two = if s + 2 < n && self.skips(s + 2) { next(s + 2) } else { f64::NEG_INFINITY };
                // States after s are read before they are overwritten.
                beta[s] = log_sum([next(s), one, two]);
            }
        }
    }
}

/// ln of a sum of exponentials.
fn log_sum([a, b, c]: [f64; 3]) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    let (most, middle) = if c > high { (c, high) } else { (high, c) };
    if most == f64::NEG_INFINITY {
        return most;
    }
    // e^(most - most) is 1.
    most + ((middle - most).exp() + (low - most).exp()).ln_1p()
}
