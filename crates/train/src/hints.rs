//! Rules of thumb that a run breaks, said once each with the figure that shows it.
//!
//! They are advice from lecture notes and papers, not laws: a hint never changes a run.

use crate::analysis::{GradientSize, gradient_sizes, gradient_statistics};
use crate::callback::{Batch, Callback, Flow, Progress};
use crate::datasets::Splits;
use crate::error::Result;
use crate::metrics::EpochMetrics;
use crate::optimizers::OptimizerConfig;
use crate::recipe::{Loss, Recipe, Scaling};
use gradus_data::{Dataset, Draw};
use gradus_nn::Forward;
use gradus_tensor::Tensor;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// What a hint is about: its row in the table, and one line on the rule.
pub struct HintRow {
    /// The number of the rule.
    pub id: &'static str,
    /// The rule.
    pub rule: &'static str,
}

/// Every rule that is watched.
pub const HINTS: &[HintRow] = &[
    HintRow {
        id: "T1",
        rule: "three layers often do better than two, and more seldom help; convolutional nets excepted",
    },
    HintRow { id: "T2", rule: "more units tend to help, up to about twice the number of inputs" },
    HintRow { id: "T3", rule: "batches of 128 to 256 are a usual start; the rate goes up and down with the batch" },
    HintRow { id: "T4", rule: "inputs are shifted and scaled before training (https://arxiv.org/abs/1606.02228)" },
    HintRow { id: "T5", rule: "recurrent nets in the literature have one to three layers of 128 to 1024 units" },
    HintRow { id: "T6", rule: "two recurrent layers are good, a third seldom helps; LSTM and GRU beat the plain cell" },
    HintRow { id: "T7", rule: "Adam is the usual first choice for recurrent nets and GANs" },
    HintRow {
        id: "T8",
        rule: "cross-entropy for classes, squared error for quantities; the output must be what the loss takes",
    },
    HintRow {
        id: "T9",
        rule: "a softmax over n classes; a loss that starts far above ln n has outputs that are too large",
    },
    HintRow { id: "T10", rule: "more filters find more patterns; a larger kernel only makes each pattern larger" },
    HintRow { id: "T11", rule: "several convolutions before each pooling: too much pooling throws features away" },
    HintRow { id: "T12", rule: "look up what others use on the same data before tuning" },
    HintRow {
        id: "T13",
        rule: "more and better data helps more than a better net; watch how far training runs ahead of validation",
    },
    HintRow { id: "T14", rule: "gradients should neither explode nor vanish on their way back" },
    HintRow { id: "T15", rule: "a unit that is shut for every input learns nothing: dead ReLUs, gates at 0" },
    HintRow { id: "T16", rule: "weights shared over time or space need fewer examples than as many free ones" },
    HintRow { id: "T17", rule: "in many dimensions a halt is more often a saddle or a plateau than a local minimum" },
];

/// The hints of a run, in the order they were given.
pub type Given = Rc<RefCell<Vec<String>>>;

/// Watches a run and says what it notices, each thing once.
pub struct Hints<'a> {
    say: Box<dyn Fn(&str) + 'a>,
    given: Given,
    said: HashSet<&'static str>,
    classes: usize,
    /// Of each bias, which units ever had a gradient in the first epoch.
    alive: BTreeMap<String, Vec<bool>>,
    norms: Vec<f64>,
}

/// Gradients are looked at every so many steps.
const EVERY: usize = 5;
/// The step at which they are compared with each other.
const SETTLED: usize = 4 * EVERY;

impl<'a> Hints<'a> {
    /// Hints for a run, printed by `say` and collected in `given`.
    pub fn new(classes: usize, given: Given, say: impl Fn(&str) + 'a) -> Hints<'a> {
        let (said, alive) = (HashSet::new(), BTreeMap::new());
        Hints { say: Box::new(say), given, said, classes, alive, norms: vec![] }
    }

    fn hint(&mut self, id: &'static str, figure: String) {
        if !self.said.insert(id) {
            return;
        }
        let rule = HINTS.iter().find(|h| h.id == id).map_or("", |h| h.rule);
        let text = format!("hint {id}: {figure}. Rule of thumb: {rule}");
        (self.say)(&text);
        self.given.borrow_mut().push(text);
    }

    /// What can be said before the first step.
    pub fn before(&mut self, recipe: &Recipe, splits: &Splits, model: &dyn Forward) {
        for (id, figure) in at_start(recipe, splits, model) {
            self.hint(id, figure);
        }
    }

    /// What the finished epochs show.
    fn after_epoch(&mut self, history: &[EpochMetrics]) {
        if let Some(figure) = overfitting(history) {
            self.hint("T13", figure);
        }
        if let Some(figure) = halted(history) {
            self.hint("T17", figure);
        }
    }
}

/// The recurrent layers of a model, those that read backwards left out: plain cells, gated cells, units of the widest.
fn recurrent(modules: &[(String, &'static str)], parameters: &[(String, Tensor)]) -> (usize, usize, usize) {
    let is_plain = |path: &str| {
        let layer = path.rsplit_once('.').map_or("", |(layer, _)| layer);
        modules.iter().any(|(at, kind)| at == layer && kind.starts_with("RNN"))
    };
    let layers = parameters.iter().filter(|(path, _)| path.contains("weight_ih") && !path.ends_with("_reverse"));
    let plain = layers.clone().filter(|(path, _)| is_plain(path)).count();
    let back = parameters.iter().filter(|(path, p)| path.contains("weight_hh") && p.rank() == 2);
    (plain, layers.count() - plain, back.map(|(_, p)| p.size(1)).max().unwrap_or(0))
}

/// Layers of a kind.
fn count(kinds: &[&str], wanted: &[&str]) -> usize {
    kinds.iter().filter(|kind| !kind.ends_with("Cell") && wanted.iter().any(|w| kind.starts_with(w))).count()
}

/// The hints on a recipe, its data and its model.
fn at_start(recipe: &Recipe, splits: &Splits, model: &dyn Forward) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let modules = model.named_modules();
    let kinds: Vec<&str> = modules.iter().map(|(_, kind)| *kind).collect();
    let (linear, conv) = (count(&kinds, &["Linear"]), count(&kinds, &["Conv"]));
    let pools = count(&kinds, &["MaxPool", "AvgPool"]);
    let inputs: usize = splits.preprocess.shape.iter().product();
    let parameters = model.named_parameters();
    let (plain, gated, units) = recurrent(&modules, &parameters);
    if conv + plain + gated == 0 && (1..3).contains(&linear) {
        found.push(("T1", format!("the net has {linear} layers of weights")));
    }
    // Hidden layers are the matrices [units, inputs] but the last.
    let matrices: Vec<_> = parameters.iter().filter(|(_, p)| p.rank() == 2).collect();
    if let (0, Some((path, p))) =
        (conv + plain + gated, matrices.iter().rev().skip(1).find(|(_, p)| p.size(0) > 2 * inputs))
    {
        found.push(("T2", format!("`{path}` has {} units for {inputs} inputs", p.size(0))));
    }
    let examples = splits.train.dataset().len();
    if !(16..=512).contains(&recipe.batch_size) {
        found.push(("T3", format!("batch_size is {}, of {examples} training examples", recipe.batch_size)));
    }
    if recipe.data.normalize == Scaling::None || recipe.data.table.as_ref().is_some_and(|t| t.raw) {
        let some: Vec<usize> = (0..examples.min(256)).collect();
        if let Ok((x, _)) = splits.train.dataset().get(&some, Draw::default()) {
            found.push(("T4", format!("inputs are not normalised: their mean is {:.3}", x.mean().item())));
        }
    }
    let depth = plain + gated;
    if depth > 3 || units > 1024 {
        found.push(("T5", format!("recurrent layers: {depth}, of {units} units")));
    }
    if plain > 0 && gated == 0 || depth == 3 {
        found.push(("T6", format!("recurrent layers: {depth}, {plain} of them plain cells")));
    }
    if plain + gated > 0 && matches!(recipe.optimizer, OptimizerConfig::Sgd(_)) {
        found.push(("T7", "the net is recurrent and optimizer.name is sgd".to_string()));
    }
    if recipe.loss == Loss::CrossEntropy && count(&kinds, &["LogSoftmax", "Softmax"]) > 0 && ends_in_softmax(&kinds) {
        found.push((
            "T8",
            "the model ends in a softmax and cross-entropy makes another; the loss `nll` takes its output".into(),
        ));
    }
    if let Some((path, p)) = parameters.iter().find(|(_, p)| p.rank() == 4) {
        let (filters, kernel) = (p.size(0), p.size(2));
        if filters < 8 || kernel > 7 {
            found.push((
                "T10",
                format!("the first convolution `{path}` has {filters} filters of {kernel}x{}", p.size(3)),
            ));
        }
    }
    if pools > 0 && pools >= conv {
        found.push(("T11", format!("{pools} pooling layers and {conv} convolutions")));
    }
    let classes = splits.classes.len().max(1);
    if splits.target.is_none() && !recipe.data.has_masks() && examples / classes < 100 {
        found.push(("T12", format!("{examples} training examples are {} a class", examples / classes)));
    }
    let weights = model.num_parameters();
    if conv + plain + gated == 0 && weights > 50 * examples {
        found.push(("T16", format!("{weights} free weights for {examples} examples")));
    }
    found
}

/// Whether a softmax comes last.
fn ends_in_softmax(kinds: &[&str]) -> bool {
    kinds.last().is_some_and(|kind| kind.contains("Softmax"))
}

/// Training runs ahead while validation gets worse: the loss on validation examples is a fifth above its best, for
/// three epochs at least, and above that of training.
fn overfitting(history: &[EpochMetrics]) -> Option<String> {
    let last = history.last()?;
    let best = history.iter().min_by(|a, b| a.val_loss.total_cmp(&b.val_loss))?;
    let ahead = last.val_loss > 1.2 * best.val_loss && last.epoch >= best.epoch + 3;
    (ahead && last.train_loss < best.train_loss).then(|| {
        format!(
            "since epoch {} the validation loss went from {:.4} to {:.4} while that of training fell to {:.4}",
            best.epoch, best.val_loss, last.val_loss, last.train_loss
        )
    })
}

/// A matrix or kernel whose gradient is next to nothing beside that of others.
fn vanished(model: &dyn Forward) -> Option<String> {
    let sizes = gradient_sizes(&gradient_statistics(model, 0));
    let weights: Vec<_> = sizes.iter().filter(|(path, _)| path.ends_with("weight")).collect();
    let (path, _) = weights.iter().find(|(_, size)| *size == GradientSize::Vanishing)?;
    let count = weights.iter().filter(|(_, size)| *size == GradientSize::Vanishing).count();
    let of = weights.len();
    Some(format!("gradients of {count} of {of} weights, `{path}` first, are below a ten-thousandth of the largest"))
}

/// Five epochs without a change of the training loss by a thousandth, far from 0.
fn halted(history: &[EpochMetrics]) -> Option<String> {
    let recent = &history[history.len().checked_sub(6)?..];
    let (low, high) =
        recent.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), m| (l.min(m.train_loss), h.max(m.train_loss)));
    (high - low < 1e-3 * high && low > 0.05).then(|| {
        format!("the training loss stayed between {low:.4} and {high:.4} for five epochs; another rate may leave it")
    })
}

impl Callback for Hints<'_> {
    fn on_loss(&mut self, at: &Progress, batch: &Batch) -> Result<()> {
        let chance = (self.classes as f64).ln();
        if self.classes > 1 && at.step == 0 && at.batch == 0 && batch.loss > 2.0 * chance.max(0.5) {
            self.hint(
                "T9",
                format!("the first loss is {:.3}; guessing among {} classes has {chance:.3}", batch.loss, self.classes),
            );
        }
        Ok(())
    }

    fn on_backward(&mut self, at: &Progress, whole: bool) -> Result<()> {
        if !whole || !at.step.is_multiple_of(EVERY) {
            return Ok(());
        }
        let parameters = at.model.named_parameters();
        let squares = parameters.iter().filter_map(|(_, p)| Some(p.grad()?.square().sum().item_f64()));
        let norm = squares.sum::<f64>().sqrt();
        let mut usual = self.norms.clone();
        usual.sort_by(f64::total_cmp);
        match usual.get(usual.len() / 2) {
            Some(&median) if usual.len() >= 5 && norm > 100.0 * median && norm > 10.0 => self.hint(
                "T14",
                format!(
                    "in step {} the norm of the gradient is {norm:.3e}, {:.0} times the usual {median:.3e}",
                    at.step + 1,
                    norm / median
                ),
            ),
            _ => (),
        }
        self.norms.push(norm);
        if let (SETTLED, Some(figure)) = (at.step, vanished(at.model)) {
            self.hint("T14", figure);
        }
        if at.epoch == 1 {
            for (path, p) in parameters.iter().filter(|(path, p)| path.ends_with("bias") && p.rank() == 1) {
                let Some(gradient) = p.grad() else { continue };
                let alive = self.alive.entry(path.clone()).or_insert_with(|| vec![false; p.numel()]);
                alive
                    .iter_mut()
                    .zip(gradient.to_dtype(gradus_tensor::DType::F32).to_vec::<f32>())
                    .for_each(|(a, g)| *a |= g != 0.0);
            }
        }
        Ok(())
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        let dead = |(path, alive): (&String, &Vec<bool>)| {
            let dead = alive.iter().filter(|a| !**a).count();
            (5 * dead >= alive.len() && dead > 0)
                .then(|| format!("{dead} of {} units of `{path}` had no gradient in the first epoch", alive.len()))
        };
        if let Some(figure) = self.alive.iter().find_map(dead) {
            self.hint("T15", figure);
        }
        self.alive.clear();
        self.after_epoch(&at.history);
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::normals;
    use crate::objective::Objective;
    use crate::schedule::Schedule;
    use crate::trainer::Trainer;
    use gradus_data::{DataLoader, TensorDataset};
    use gradus_nn::optim::Sgd;
    use gradus_nn::{
        Conv2d, LSTM, LastStep, Linear, LogSoftmax, MaxPool2d, Module, RNN, ReLU, Sequential, Tanh, sequential,
    };
    use gradus_tensor::{DType, no_grad};

    fn epochs(losses: &[(f64, f64)]) -> Vec<EpochMetrics> {
        let epoch = |(i, &(train_loss, val_loss)): (usize, &(f64, f64))| EpochMetrics {
            epoch: i + 1,
            lr: 0.1,
            train_loss,
            train_batch_loss: train_loss,
            train_accuracy: Some(0.5),
            val_loss,
            val_accuracy: Some(0.5),
            val_miou: None,
            val_errors: None,
            seconds: 1.0,
        };
        losses.iter().enumerate().map(epoch).collect()
    }

    #[test]
    fn overfitting_is_seen_and_a_healthy_run_is_not() {
        let bad = epochs(&[(1.0, 1.1), (0.5, 0.8), (0.3, 0.9), (0.2, 1.0), (0.1, 1.2)]);
        assert!(overfitting(&bad).unwrap().contains("since epoch 2"), "{:?}", overfitting(&bad));
        assert_eq!(overfitting(&epochs(&[(1.0, 1.1), (0.5, 0.8), (0.3, 0.7), (0.2, 0.71), (0.1, 0.72)])), None);
        assert_eq!(overfitting(&[]), None);
    }

    #[test]
    fn a_halt_needs_five_epochs_and_a_loss_worth_mentioning() {
        assert!(halted(&epochs(&[(2.3, 2.3); 6])).is_some());
        assert_eq!(halted(&epochs(&[(2.3, 2.3); 5])), None);
        assert_eq!(halted(&epochs(&[(0.001, 2.3); 9])), None);
    }

    #[test]
    fn rules_have_numbers_of_their_own_and_are_said_once() {
        let ids: HashSet<&str> = HINTS.iter().map(|h| h.id).collect();
        assert_eq!(ids.len(), 17);
        let given = Given::default();
        let mut hints = Hints::new(10, given.clone(), |_| ());
        hints.hint("T3", "batch_size is 1".into());
        hints.hint("T3", "batch_size is 2".into());
        assert_eq!(given.borrow().len(), 1);
        assert!(given.borrow()[0].starts_with("hint T3: batch_size is 1. Rule of thumb: batches of 128"));
    }

    /// The hints on the digits with some settings, of their model or another.
    fn start(settings: &[&str], model: Option<&dyn Forward>) -> Vec<(&'static str, String)> {
        let recipe = Recipe::load("digits", settings).unwrap();
        let splits = crate::datasets::load(&recipe).unwrap();
        let own = gradus_models::build(&recipe.model).unwrap();
        at_start(&recipe, &splits, model.unwrap_or(&*own))
    }

    fn ids(found: &[(&'static str, String)]) -> Vec<&'static str> {
        found.iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn every_recipe_gets_hints_with_figures_that_hold() {
        assert_eq!(ids(&start(&[], None)), Vec::<&str>::new());
        let odd = ["batch_size=2", "data.normalize=none", "model.channels=[4,8,8]", "data.validation=0.6"];
        let small = start(&odd, None);
        assert_eq!(ids(&small), ["T3", "T4", "T10", "T12"]);
        assert!(small[0].1.contains("batch_size is 2, of 575"), "{}", small[0].1);
        assert!(small[1].1.contains("inputs are not normalised: their mean is 0.30"), "{}", small[1].1);
        assert!(small[2].1.contains("`conv1.weight` has 4 filters of 3x3"), "{}", small[2].1);
        assert!(small[3].1.contains("575 training examples are 57 a class"), "{}", small[3].1);
        assert_eq!(ids(&start(&["batch_size=1024"], None)), ["T3"]);
    }

    #[test]
    fn layers_that_break_a_rule_are_named_and_others_are_not() {
        let flat = |layers: Vec<Box<dyn Forward>>| {
            let mut net = Sequential::new();
            layers.into_iter().for_each(|layer| net.push(layer));
            net
        };
        // Three layers of weights, 64 inputs.
        let healthy = sequential![Linear::new(64, 96), ReLU, Linear::new(96, 96), ReLU, Linear::new(96, 10)];
        assert_eq!(ids(&start(&[], Some(&healthy))), Vec::<&str>::new());
        let says = |net: &dyn Forward, id: &str, words: &str| {
            let found = start(&[], Some(net));
            let figure = found.iter().find(|(i, _)| *i == id).unwrap_or_else(|| panic!("no {id} in {found:?}"));
            assert!(figure.1.contains(words), "{id}: {}", figure.1);
        };
        says(&flat(vec![Box::new(Linear::new(64, 10))]), "T1", "1 layers of weights");
        says(&sequential![Linear::new(64, 200), Linear::new(200, 10)], "T2", "`0.weight` has 200 units for 64 inputs");
        says(&sequential![Linear::new(64, 10), LogSoftmax::new(1)], "T8", "`nll` takes its output");
        let pooled = sequential![Conv2d::new(1, 8, 3).padding(1), MaxPool2d::new(2), MaxPool2d::new(2)];
        says(&pooled, "T11", "2 pooling layers and 1 convolutions");
        says(&sequential![Conv2d::new(1, 16, 9).padding(4)], "T10", "16 filters of 9x9");
        let wide = sequential![Linear::new(64, 600), Linear::new(600, 100), Linear::new(100, 10)];
        says(&wide, "T16", "100110 free weights for 1294 examples");
    }

    #[test]
    fn recurrent_layers_are_counted_by_depth_not_by_direction() {
        let deep = |layers| LastStep::new(LSTM::new(8, 16).num_layers(layers).bidirectional(true));
        assert_eq!(ids(&start(&[], Some(&deep(2)))), Vec::<&str>::new());
        assert_eq!(start(&[], Some(&deep(3))), [("T6", "recurrent layers: 3, 0 of them plain cells".to_string())]);
        assert_eq!(start(&[], Some(&deep(4))), [("T5", "recurrent layers: 4, of 16 units".to_string())]);
        let plain = LastStep::new(RNN::new(8, 1200));
        assert_eq!(ids(&start(&[], Some(&plain))), ["T5", "T6"]);
        assert_eq!(ids(&start(&["optimizer.name=sgd"], Some(&deep(1)))), ["T7"]);
    }

    /// What is said while a net learns, without shuffling, to tell the rows of `x` apart.
    fn said(net: &Sequential, x: Tensor, classes: usize, epochs: usize) -> Vec<String> {
        let labels: Vec<i64> = (0..x.size(0)).map(|i| (i % classes) as i64).collect();
        let loader = DataLoader::new(TensorDataset::new(x, Tensor::from_vec(labels.clone(), [labels.len()])));
        let given = Given::default();
        let trainer = Trainer {
            model: net,
            optimizer: Box::new(Sgd::new(net.parameters(), 1e-6)),
            taught: None,
            searches: false,
            objective: Objective::new(Loss::CrossEntropy),
            schedule: Schedule::by_name("constant").unwrap(),
            epochs,
            accumulate: 1,
            target: None,
            average: None,
            resume: None,
            callbacks: vec![Box::new(Hints::new(classes, given.clone(), |_| ()))],
        };
        trainer.fit(&loader.batch_size(1), &DataLoader::new(few(classes))).unwrap();
        given.take()
    }

    /// A few examples for validation.
    fn few(classes: usize) -> TensorDataset {
        let labels: Vec<i64> = (0..classes as i64).collect();
        TensorDataset::new(Tensor::ones([classes, 4]), Tensor::from_vec(labels, [classes]))
    }

    #[test]
    fn a_first_loss_far_above_chance_exploding_and_vanishing_gradients_and_dead_units_are_said_with_figures() {
        let set = |p: &Tensor, values: &Tensor| no_grad(|| p.copy_(values));
        let net = || {
            let net = sequential![Linear::new(4, 8), ReLU, Linear::new(8, 3)];
            set(&net.parameters()[1], &Tensor::full([8], 10.0)); // no unit is shut
            let small: Vec<f32> = (0..24).map(|i| 0.02 * ((i / 8 + i % 8) % 3) as f32 - 0.02).collect();
            set(&net.parameters()[2], &Tensor::from_vec(small, [3, 8]));
            net
        };
        let x = || normals(9, [40, 4]).to_dtype(DType::F32);
        assert_eq!(said(&net(), x(), 3, 2), Vec::<String>::new());

        let loud = net();
        set(&loud.parameters()[3], &Tensor::from_slice(&[-50.0f32, 50.0, 0.0], [3]));
        let found = said(&loud, x(), 3, 1);
        assert!(found[0].starts_with("hint T9: the first loss is "), "{found:?}");
        assert!(found[0].contains("guessing among 3 classes has 1.099"), "{found:?}");

        // One example, at the 31st step, is a thousand times as large as the others.
        let spike: Vec<f32> = (0..160).map(|i| if i / 4 == 30 { 3e3 } else { 1.0 + (i % 3) as f32 }).collect();
        let line = sequential![Linear::new(4, 3)];
        line.parameters().iter().for_each(|p| set(p, &p.zeros_like()));
        let found = said(&line, Tensor::from_vec(spike, [40, 4]), 3, 1);
        assert!(found.iter().any(|h| h.starts_with("hint T14: in step 31 the norm")), "{found:?}");

        let mut deep = Sequential::new();
        for i in 0..12 {
            deep.push(Linear::new(4, 4));
            deep.push(Tanh);
            set(&deep.parameters()[2 * i], &(Tensor::eye(4) * 5.0));
        }
        deep.push(Linear::new(4, 3));
        let found = said(&deep, x(), 3, 1);
        let words = "of 13 weights, `0.weight` first, are below a ten-thousandth";
        assert!(found.iter().any(|h| h.starts_with("hint T14: gradients of") && h.contains(words)), "{found:?}");

        let dead = net();
        set(&dead.parameters()[1], &Tensor::from_slice(&[-1e6f32, -1e6, -1e6, 10.0, 10.0, 10.0, 10.0, 10.0], [8]));
        let found = said(&dead, x(), 3, 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("hint T15: 3 of 8 units of `0.bias` had no gradient"), "{found:?}");
    }
}
