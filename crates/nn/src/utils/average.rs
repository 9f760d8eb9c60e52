//! Averages of a model's weights over time.

use crate::optim::rule::Wanted;
use crate::{LoadError, Module, StateDict};
use gradus_tensor::{Tensor, no_grad};

/// A running average of a model's parameters, often better than the last ones: the mean over all updates (SWA), or
/// one that forgets (EMA).
///
/// The first update copies. Then a = a + (p - a) / (n + 1) after n updates, or a = decay a + (1 - decay) p. Buffers
/// are copied unless [`AveragedModel::use_buffers`]; integers always are.
///
/// Source: Izmailov et al., 2018, <https://arxiv.org/abs/1803.05407>, and Polyak and Juditsky, 1992,
/// <https://doi.org/10.1137/0330046>, in PyTorch's form,
/// <https://docs.pytorch.org/docs/stable/optim.html#weight-averaging-swa-and-ema>.
///
/// ```
/// use gradus_nn::{Linear, Module, utils::AveragedModel};
/// use gradus_tensor::no_grad;
/// let model = Linear::new(2, 1).bias(false);
/// let mut average = AveragedModel::ema(&model, 0.9);
/// for weight in [1.0, 2.0] {
///     no_grad(|| model.weight.fill_(weight)); // stands for a training step
///     average.update_parameters(&model);
/// }
/// average.swap(&model); // the model has the average now, and the average keeps the model's parameters
/// assert!((model.weight.at(&[0, 0]) - 1.1).abs() < 1e-6);
/// average.swap(&model);
/// assert_eq!(model.weight.at(&[0, 0]), 2.0);
/// ```
pub struct AveragedModel {
    decay: Option<f64>,
    use_buffers: bool,
    n_averaged: u64,
    /// Parameters, then buffers, in the model's order.
    entries: Vec<Entry>,
}

struct Entry {
    name: String,
    tensor: Tensor,
    is_buffer: bool,
}

/// Parameters and buffers of a model.
fn entries(model: &dyn Module) -> Vec<Entry> {
    let entry = |is_buffer| move |(name, t): (String, Tensor)| Entry { name, tensor: t.detach(), is_buffer };
    let buffers = model.named_buffers().into_iter().map(entry(true));
    model.named_parameters().into_iter().map(entry(false)).chain(buffers).collect()
}

fn copy(t: &Tensor) -> Tensor {
    let new = t.zeros_like();
    new.copy_(t);
    new
}

impl AveragedModel {
    /// The mean over all updates, of equal weight (stochastic weight averaging).
    pub fn new(model: &dyn Module) -> AveragedModel {
        let copied = entries(model).into_iter().map(|e| Entry { tensor: copy(&e.tensor), ..e }).collect();
        AveragedModel { decay: None, use_buffers: false, n_averaged: 0, entries: copied }
    }

    /// The exponential moving average, of which the share `decay` stays in each update (0.999 is usual).
    ///
    /// # Panics
    /// If `decay` is not between 0 and 1.
    #[track_caller]
    pub fn ema(model: &dyn Module, decay: f64) -> AveragedModel {
        assert!((0.0..=1.0).contains(&decay), "decay must be between 0 and 1, got {decay}");
        AveragedModel { decay: Some(decay), ..AveragedModel::new(model) }
    }

    /// Whether buffers, as the running means of batch norm, are averaged too (no: they are copied).
    pub fn use_buffers(mut self, on: bool) -> AveragedModel {
        self.use_buffers = on;
        self
    }

    /// How many updates there were.
    pub fn n_averaged(&self) -> u64 {
        self.n_averaged
    }

    /// Takes the model's parameters into the average.
    ///
    /// # Panics
    /// If the model is not the one that the average was made of, or its like.
    #[track_caller]
    pub fn update_parameters(&mut self, model: &dyn Module) {
        let part = match self.decay {
            _ if self.n_averaged == 0 => 1.0,
            Some(decay) => 1.0 - decay,
            None => 1.0 / (self.n_averaged + 1) as f64,
        };
        for (mine, new) in self.beside(model) {
            let averaged = (self.use_buffers || !mine.is_buffer) && mine.tensor.dtype().is_float();
            match averaged && part < 1.0 {
                true => no_grad(|| mine.tensor.add_(&(&new - &mine.tensor), part)),
                false => mine.tensor.copy_(&new),
            }
        }
        self.n_averaged += 1;
    }

    /// Exchanges parameters and buffers with the model's: once to use the average, again to go on training.
    ///
    /// # Panics
    /// If the model is not the one that the average was made of, or its like.
    #[track_caller]
    pub fn swap(&mut self, model: &dyn Module) {
        for (mine, theirs) in self.beside(model) {
            let kept = copy(&theirs);
            theirs.copy_(&mine.tensor);
            mine.tensor.copy_(&kept);
        }
    }

    #[track_caller]
    fn beside(&self, model: &dyn Module) -> Vec<(&Entry, Tensor)> {
        let theirs = entries(model);
        let fits = |(a, b): (&Entry, &Entry)| a.name == b.name && a.tensor.shape() == b.tensor.shape();
        let same = theirs.len() == self.entries.len() && self.entries.iter().zip(&theirs).all(fits);
        assert!(same, "the average was made of a model with other parameters or buffers");
        self.entries.iter().zip(theirs.into_iter().map(|e| e.tensor)).collect()
    }

    /// The averages under the names that PyTorch gives them: `n_averaged`, and `module.` before each path. The
    /// tensors share their elements with the average.
    pub fn state_dict(&self) -> StateDict {
        let count = ("n_averaged".to_string(), Tensor::from_slice(&[self.n_averaged as i64], ()));
        let all = self.entries.iter().map(|e| (format!("module.{}", e.name), e.tensor.clone()));
        [count].into_iter().chain(all).collect()
    }

    /// Goes on from a state that [`AveragedModel::state_dict`] gave.
    ///
    /// # Errors
    /// If it is not the state of such a model. The error lists every entry that is wrong, and nothing was loaded.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<(), LoadError> {
        let mut wanted = Wanted::of(state);
        let mine = self.state_dict();
        let found: Vec<_> = mine.iter().map(|(name, like)| wanted.take(name.to_string(), like)).collect();
        wanted.done()?;
        for ((_, tensor), found) in mine.iter().zip(found.iter().flatten()) {
            tensor.copy_(found);
        }
        // The count is no tensor of the average, but a copy made for the state.
        self.n_averaged = mine.get("n_averaged").expect("it is part of the state").item_i64() as u64;
        Ok(())
    }
}
