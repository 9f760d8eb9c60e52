//! What a recipe may add to training (its section `training`), each a callback of its own.

use crate::callback::{Callback, Flow, Progress};
use crate::error::{Result, TrainError, did_you_mean};
use crate::watchers::best_epoch;
use gradus_nn::Forward;
use gradus_nn::optim::WeightNoise;
use gradus_nn::utils::{clip_grad_norm_, clip_grad_value_};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};

/// The section `training` of a recipe. Every number is 0 and every list empty where nothing is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Batches whose gradients make one step.
    pub accumulate: usize,
    /// Every element of a gradient is kept within this distance of 0.
    pub clip_value: f64,
    /// All gradients are scaled so that their joint norm is at most this.
    pub clip_norm: f64,
    /// The share of the averaged weights that stays in each step (0.999 is usual).
    pub ema: f64,
    /// The share of the target that is spread over all classes.
    pub label_smoothing: f64,
    /// How the examples of a batch are mixed with each other.
    pub mix: Mixing,
    /// The share of the other example is drawn from Beta(`mix_alpha`, `mix_alpha`).
    pub mix_alpha: f64,
    /// Deviation of the normal noise on inputs.
    pub input_noise: f64,
    /// Deviation of the normal noise on weights.
    pub weight_noise: f64,
    /// The factor of the sum of |w|, biases and scales left out.
    pub l1: f64,
    /// The factor of the sum of w^2, biases and scales left out.
    pub l2: f64,
    /// Layers, by the beginning of their path, whose parameters stay as they are.
    pub freeze: Vec<String>,
    /// The layer up to which, itself included, parameters stay as they are.
    pub freeze_to: String,
    /// Rates of some layers as factors on `optimizer.lr`, as in `["conv1=0.1"]`.
    pub layer_rates: Vec<String>,
    /// The factor on the rate from each layer to the one before it.
    pub layer_decay: f64,
    /// Epochs without a better validation loss after which the run ends.
    pub patience: usize,
    /// Steps after which the run ends.
    pub max_steps: usize,
    /// Minutes after which the run ends.
    pub max_minutes: f64,
    /// Steps between two checkpoints within an epoch.
    pub checkpoint_steps: usize,
    /// Steps between two looks at the layers.
    pub watch_layers: usize,
    /// A file of weights to begin from: ours, safetensors or PyTorch's.
    pub init_from: String,
    /// Layers that are not taken from it.
    pub new_layers: Vec<String>,
    /// Factors of the losses of a model's auxiliary classifiers, from deep to early: one for all, or one each.
    pub aux_weights: Vec<f64>,
    /// The factor of the squared error, summed over an input, of the input that a model rebuilds.
    pub reconstruction: f64,
    /// A run or a checkpoint whose outputs are imitated.
    pub teacher: String,
    /// The temperature that softens both outputs.
    pub temperature: f64,
    /// The share of the teacher in the loss.
    pub teacher_weight: f64,
}

/// How the examples of a batch are mixed with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixing {
    /// Not at all.
    None,
    /// See [`MixUp`](struct@gradus_data::transforms::MixUp).
    Mixup,
    /// See [`CutMix`](struct@gradus_data::transforms::CutMix); for pictures.
    Cutmix,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            accumulate: 1,
            clip_value: 0.0,
            clip_norm: 0.0,
            ema: 0.0,
            label_smoothing: 0.0,
            mix: Mixing::None,
            mix_alpha: 1.0,
            input_noise: 0.0,
            weight_noise: 0.0,
            l1: 0.0,
            l2: 0.0,
            freeze: vec![],
            freeze_to: String::new(),
            layer_rates: vec![],
            layer_decay: 1.0,
            patience: 0,
            max_steps: 0,
            max_minutes: 0.0,
            checkpoint_steps: 0,
            watch_layers: 0,
            init_from: String::new(),
            new_layers: vec![],
            aux_weights: vec![],
            reconstruction: 0.0,
            teacher: String::new(),
            temperature: 2.0,
            teacher_weight: 0.7,
        }
    }
}

impl Training {
    /// Values that make no sense.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong =
            |key: &str, rule: &str, got: String| Err(format!("setting `training.{key}`: must be {rule}, got {got}"));
        if self.accumulate == 0 {
            return wrong("accumulate", "at least 1", "0".into());
        }
        let sizes = [
            ("clip_value", self.clip_value),
            ("clip_norm", self.clip_norm),
            ("input_noise", self.input_noise),
            ("weight_noise", self.weight_noise),
            ("l1", self.l1),
            ("l2", self.l2),
            ("max_minutes", self.max_minutes),
            ("reconstruction", self.reconstruction),
        ];
        if let Some(w) = self.aux_weights.iter().find(|w| !(**w >= 0.0 && w.is_finite())) {
            return wrong("aux_weights", "a list of numbers that are at least 0 and finite", w.to_string());
        }
        if let Some((key, got)) = sizes.into_iter().find(|(_, x)| !(*x >= 0.0 && x.is_finite())) {
            return wrong(key, "at least 0 and finite", got.to_string());
        }
        for (key, got) in [("ema", self.ema), ("label_smoothing", self.label_smoothing)] {
            if !(0.0..1.0).contains(&got) {
                return wrong(key, "at least 0 and below 1", got.to_string());
            }
        }
        if !(self.mix_alpha > 0.0 && self.mix_alpha.is_finite()) {
            return wrong("mix_alpha", "above 0 and finite", self.mix_alpha.to_string());
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            return wrong("temperature", "above 0 and finite", self.temperature.to_string());
        }
        if !(0.0..=1.0).contains(&self.teacher_weight) {
            return wrong("teacher_weight", "between 0 and 1", self.teacher_weight.to_string());
        }
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            return wrong("layer_decay", "above 0 and at most 1", self.layer_decay.to_string());
        }
        for rate in &self.layer_rates {
            let factor = rate.split_once('=').and_then(|(_, f)| f.trim().parse::<f64>().ok());
            if factor.is_none_or(|f| !(f >= 0.0 && f.is_finite())) {
                return wrong("layer_rates", "a list such as [\"conv1=0.1\"]", format!("\"{rate}\""));
            }
        }
        Ok(())
    }

    /// Takes the frozen layers of `model` out of training.
    ///
    /// # Errors
    /// If a layer is named that the model lacks, or nothing is left to train.
    pub(crate) fn freeze(&self, model: &dyn Forward) -> Result<()> {
        let named = model.named_parameters();
        for prefix in &self.freeze {
            let found = parameters_of(&named, "freeze", prefix)?;
            found.iter().for_each(|p| drop(p.clone().requires_grad_(false)));
        }
        if !self.freeze_to.is_empty() {
            parameters_of(&named, "freeze_to", &self.freeze_to)?;
            let last = named.iter().rposition(|(path, _)| is_within(path, &self.freeze_to)).unwrap_or(0);
            named[..=last].iter().for_each(|(_, p)| drop(p.clone().requires_grad_(false)));
        }
        match named.iter().any(|(_, p)| p.requires_grad()) {
            true => Ok(()),
            false => Err(TrainError::Recipe(
                "settings `training.freeze` and `training.freeze_to`: no parameter is left to train".into(),
            )),
        }
    }

    /// The parameters of `model` by the factor on their rate; those with the factor 1 come first.
    ///
    /// # Errors
    /// If a layer is named that the model lacks.
    pub(crate) fn rates(&self, model: &dyn Forward) -> Result<Vec<(f64, Vec<Tensor>)>> {
        let named = model.named_parameters();
        let mut by_layer: Vec<(&str, f64)> = Vec::new();
        let layer = |path: &'_ str| path.rsplit_once('.').map_or(0, |(head, _)| head.len());
        for (path, _) in &named {
            let head = &path[..layer(path)];
            if by_layer.last().is_none_or(|(last, _)| *last != head) {
                by_layer.push((head, 1.0));
            }
        }
        let depth = by_layer.len();
        by_layer.iter_mut().enumerate().for_each(|(i, l)| l.1 = self.layer_decay.powi((depth - 1 - i) as i32));
        let mut factors: Vec<f64> = Vec::new();
        for (path, _) in &named {
            let head = &path[..layer(path)];
            factors.push(by_layer.iter().find(|(l, _)| *l == head).map_or(1.0, |l| l.1));
        }
        for rate in &self.layer_rates {
            let (prefix, factor) = rate.split_once('=').expect("it was checked");
            parameters_of(&named, "layer_rates", prefix.trim())?;
            for ((path, _), f) in named.iter().zip(&mut factors) {
                if is_within(path, prefix.trim()) {
                    *f = factor.trim().parse().expect("it was checked");
                }
            }
        }
        let mut groups: Vec<(f64, Vec<Tensor>)> = vec![(1.0, vec![])];
        for ((_, p), factor) in named.into_iter().zip(factors) {
            match groups.iter_mut().find(|(f, _)| *f == factor) {
                Some((_, group)) => group.push(p),
                None => groups.push((factor, vec![p])),
            }
        }
        Ok(groups)
    }

    /// The callbacks that change what is learnt, and those that end the run.
    pub(crate) fn callbacks(&self) -> Vec<Box<dyn Callback>> {
        let mut list: Vec<Box<dyn Callback>> = Vec::new();
        if self.input_noise > 0.0 {
            list.push(Box::new(InputNoise { std: self.input_noise }));
        }
        if self.weight_noise > 0.0 {
            list.push(Box::new(NoisyWeights { std: self.weight_noise, noise: None }));
        }
        if self.clip_value > 0.0 || self.clip_norm > 0.0 {
            list.push(Box::new(Clip { value: self.clip_value, norm: self.clip_norm }));
        }
        if self.ema > 0.0 {
            list.push(Box::new(Average));
        }
        if self.patience > 0 {
            list.push(Box::new(EarlyStopping { patience: self.patience }));
        }
        if self.max_steps > 0 || self.max_minutes > 0.0 {
            list.push(Box::new(Budget { steps: self.max_steps, minutes: self.max_minutes }));
        }
        list
    }
}

/// Whether the parameter at `path` belongs to the layer `prefix`.
fn is_within(path: &str, prefix: &str) -> bool {
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'))
}

/// The parameters of the layer `prefix`, of which there must be some.
fn parameters_of(named: &[(String, Tensor)], key: &str, prefix: &str) -> Result<Vec<Tensor>> {
    let found: Vec<Tensor> = named.iter().filter(|(path, _)| is_within(path, prefix)).map(|(_, p)| p.clone()).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut layers: Vec<&str> = named.iter().filter_map(|(path, _)| Some(path.rsplit_once('.')?.0)).collect();
    layers.dedup();
    let hint = did_you_mean(prefix, layers.iter().copied());
    Err(TrainError::Recipe(format!(
        "setting `training.{key}`: the model has no layer `{prefix}`{hint}. Layers with parameters: {}",
        layers.join(", ")
    )))
}

/// Normal noise on inputs.
struct InputNoise {
    std: f64,
}

impl Callback for InputNoise {
    fn on_batch(&mut self, _: &Progress, images: Tensor, labels: Tensor) -> (Tensor, Tensor) {
        (&images + images.randn_like() * self.std, labels)
    }
}

/// Normal noise on weights while gradients are taken.
struct NoisyWeights {
    std: f64,
    noise: Option<WeightNoise>,
}

impl Callback for NoisyWeights {
    fn on_batch(&mut self, at: &Progress, images: Tensor, labels: Tensor) -> (Tensor, Tensor) {
        self.noise = Some(WeightNoise::new(&at.model.parameters(), self.std));
        (images, labels)
    }

    fn on_backward(&mut self, _: &Progress, _: bool) -> Result<()> {
        self.noise = None;
        Ok(())
    }
}

/// Keeps gradients small.
struct Clip {
    value: f64,
    norm: f64,
}

impl Callback for Clip {
    fn on_backward(&mut self, at: &Progress, whole: bool) -> Result<()> {
        let parameters = if whole { at.model.parameters() } else { vec![] };
        if whole && self.value > 0.0 {
            clip_grad_value_(&parameters, self.value);
        }
        if whole && self.norm > 0.0 {
            clip_grad_norm_(&parameters, self.norm);
        }
        Ok(())
    }
}

/// Takes every step's weights into the average.
struct Average;

impl Callback for Average {
    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        at.average.borrow_mut().iter_mut().for_each(|average| average.update_parameters(at.model));
        Ok(Flow::Continue)
    }
}

/// Ends the run when the validation loss has not improved for some epochs.
struct EarlyStopping {
    patience: usize,
}

impl Callback for EarlyStopping {
    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        let losses: Vec<f64> = at.history.iter().map(|m| m.val_loss).collect();
        let best = (0..losses.len()).reduce(|best, i| if losses[i] < losses[best] { i } else { best });
        let since = best.map_or(0, |best| losses.len() - 1 - best);
        if since < self.patience {
            return Ok(Flow::Continue);
        }
        let kept = best_epoch(&at.history).map_or(0, |i| i + 1);
        eprintln!("ends early: no better validation loss for {since} epochs; epoch {kept} is kept");
        Ok(Flow::Finish)
    }
}

/// Ends the run after so many steps, or so much time.
struct Budget {
    steps: usize,
    minutes: f64,
}

impl Callback for Budget {
    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        let spent =
            (self.steps > 0 && at.step >= self.steps) || (self.minutes > 0.0 && at.seconds() >= 60.0 * self.minutes);
        Ok(if spent { Flow::Finish } else { Flow::Continue })
    }
}
