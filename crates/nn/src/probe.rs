//! Looking into a model: what its layers put out, and how long they take.

use crate::Sequential;
use crate::module::{Forward, Module};
use gradus_tensor::profiler::{LayerStats, Profile, columns};
use gradus_tensor::{DType, Tensor, no_grad};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// Statistics of what one layer puts out.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// The layer's name in the list.
    pub name: String,
    /// The layer's type.
    pub kind: &'static str,
    /// Mean over all elements.
    pub mean: f64,
    /// Variance over all elements.
    pub variance: f64,
    /// Share of elements that are zero: the silent units behind a ReLU.
    pub zeros: f64,
}

/// Runs `x` through the layers of `model`, without a graph, and describes the output of each.
///
/// # Panics
/// Where a layer panics.
///
/// ```
/// use gradus_nn::{Linear, ReLU, probe::activations, sequential};
/// use gradus_tensor::Tensor;
/// let found = activations(&sequential![Linear::new(64, 64), ReLU], &Tensor::randn([32, 64]));
/// assert_eq!((found[1].name.as_str(), found[1].kind), ("1", "ReLU"));
/// assert!(found[1].zeros > 0.3 && found[1].variance < found[0].variance);
/// ```
pub fn activations(model: &Sequential, x: &Tensor) -> Vec<Activations> {
    no_grad(|| {
        let mut x = x.clone();
        let layer = |(name, layer): (&str, &dyn Forward)| {
            x = layer.forward(&x);
            let y = x.to_dtype(DType::F64);
            Activations {
                name: name.to_string(),
                kind: layer.named_modules().first().map_or("", |(_, kind)| *kind),
                mean: y.mean().item_f64(),
                variance: y.var(0).item_f64(),
                zeros: y.eq_scalar(0.0).to_dtype(DType::F64).mean().item_f64(),
            }
        };
        model.iter().map(layer).collect()
    })
}

/// What one module of a model took in a profile, with the modules inside it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayerTime {
    /// Its path, empty for the model.
    pub path: String,
    /// Its type.
    pub kind: &'static str,
    /// How often it ran forwards; 0 if that is not known, because it has no [`Scope`](crate::Scope).
    pub calls: usize,
    /// Time of its forward passes.
    pub forward: Duration,
    /// Time of the backward rules of its operations.
    pub backward: Duration,
    /// Part of the recorded time in both.
    pub share: f64,
    /// Bytes that were taken from the allocator in both.
    pub bytes: usize,
    /// Numbers in it that are learnt.
    pub parameters: usize,
}

/// The modules of a model that ran, in the order of [`Module::named_modules`]. Shown as a table.
#[derive(Clone, Debug)]
pub struct LayerTimes(Vec<LayerTime>);

impl Deref for LayerTimes {
    type Target = [LayerTime];
    fn deref(&self) -> &[LayerTime] {
        &self.0
    }
}

impl fmt::Display for LayerTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["layer", "kind", "calls", "forward ms", "backward ms", "%", "MiB", "parameters"];
        let millis = |d: Duration| format!("{:.3}", d.as_secs_f64() * 1e3);
        let none_as_empty = |n: usize| if n > 0 { n.to_string() } else { String::new() };
        let rows = self.iter().map(|l| {
            vec![
                if l.path.is_empty() { "(model)".to_string() } else { l.path.clone() },
                l.kind.to_string(),
                none_as_empty(l.calls),
                millis(l.forward),
                millis(l.backward),
                format!("{:.1}", 100.0 * l.share),
                format!("{:.2}", l.bytes as f64 / 1_048_576.0),
                none_as_empty(l.parameters),
            ]
        });
        f.write_str(&columns(&header, &rows.collect::<Vec<_>>(), 2..8))
    }
}

/// What each module of `model` took in `profile`. A module without a [`Scope`](crate::Scope) has the times of the
/// modules inside it.
///
/// Layers know their paths from the first visit on, such as that of [`Module::parameters`] for the optimiser: a
/// forward pass before it is not told apart by layers.
///
/// ```
/// use gradus_nn::{Forward, Linear, Module, ReLU, probe::layer_times, sequential};
/// use gradus_tensor::{Tensor, profiler::profile};
/// let model = sequential![Linear::new(64, 64), ReLU, Linear::new(64, 1)];
/// model.train();
/// let (_, profile) = profile(|| model.forward(&Tensor::randn([32, 64])).sum().backward());
/// let times = layer_times(&profile, &model);
/// println!("{times}");
/// assert_eq!((times[1].path.as_str(), times[1].kind, times[1].parameters), ("0", "Linear", 64 * 65));
/// assert!(times[1].backward.as_nanos() > 0);
/// ```
pub fn layer_times<M: Module + ?Sized>(profile: &Profile, model: &M) -> LayerTimes {
    let (found, parameters) = (profile.layers(), model.named_parameters());
    let recorded = profile.recorded().as_secs_f64();
    let within = |path: &str, outer: &str| {
        outer.is_empty() || path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let modules = model.named_modules().into_iter().filter_map(|(path, kind)| {
        let all: Vec<_> = found.iter().filter(|l| within(&l.path, &path)).collect();
        if all.is_empty() {
            return None;
        }
        // The forward pass of a module has those of the modules inside it in it.
        let forward: Vec<_> = all.iter().filter(|l| l.calls > 0).collect();
        let outermost = |l: &&&&LayerStats| !forward.iter().any(|o| o.path != l.path && within(&l.path, &o.path));
        let forward_time: Duration = forward.iter().filter(outermost).map(|l| l.forward).sum();
        let forward_bytes: usize = forward.iter().filter(outermost).map(|l| l.forward_bytes).sum();
        let backward: Duration = all.iter().map(|l| l.backward).sum();
        let time = (backward + forward_time).as_secs_f64();
        Some(LayerTime {
            calls: found.iter().find(|l| l.path == path).map_or(0, |l| l.calls),
            kind,
            forward: forward_time,
            backward,
            share: if recorded > 0.0 { time / recorded } else { 0.0 },
            bytes: forward_bytes + all.iter().map(|l| l.backward_bytes).sum::<usize>(),
            parameters: parameters.iter().filter(|(name, _)| within(name, &path)).map(|(_, p)| p.numel()).sum(),
            path,
        })
    });
    LayerTimes(modules.collect())
}
