//! Looking into a model: what its layers put out, and how long they take.

use crate::module::{Forward, Module};
use gradus_tensor::autograd::{Traced, VIEWS, observe};
use gradus_tensor::profiler::{LayerStats, Profile, columns};
use gradus_tensor::{DType, Tensor, no_grad};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

/// What one call of a layer put out, or an operation between layers.
#[derive(Clone, Debug)]
pub struct LayerOutput {
    /// The path of the layer, or of the module whose `forward` runs the operation; empty for the model itself.
    pub path: String,
    /// The layer's type, or the operation.
    pub kind: String,
    /// 1, or more for a layer that runs again and for further operations of its kind in the same place.
    pub call: usize,
    /// What it put out, outside any graph.
    pub output: Tensor,
}

impl LayerOutput {
    /// Path, kind and, from the second call on, its number: `layer1.0 relu (2)`.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.path, self.kind);
        if self.call > 1 { format!("{} ({})", name.trim(), self.call) } else { name.trim().to_string() }
    }
}

/// Runs `x` through `model`, without a graph, and hands what each of its layers puts out to `see`, in the order in
/// which they run, whatever the model is made of. A layer is a module without modules inside it; what a `forward`
/// computes between layers, such as the activations of a residual net, counts as one too. Views and copies of elements
/// that were there already, and what is put around them, are left out. Returns the model's output.
///
/// # Panics
/// Where a layer panics.
///
/// ```
/// use gradus_nn::{Linear, ReLU, probe::layer_outputs, sequential};
/// use gradus_tensor::Tensor;
/// let model = sequential![Linear::new(4, 3), ReLU];
/// layer_outputs(&model, &Tensor::ones([2, 4]), |layer| println!("{}: {}", layer.name(), layer.output.shape()));
/// ```
pub fn layer_outputs<M: Forward + ?Sized>(model: &M, x: &Tensor, see: impl FnMut(&LayerOutput) + 'static) -> Tensor {
    let modules = model.named_modules(); // which also tells the layers their paths
    let parents: HashSet<&str> = modules.iter().map(|(path, _)| path.rsplit_once('.').map_or("", |p| p.0)).collect();
    let is_layer = |path: &str| if path.is_empty() { modules.len() == 1 } else { !parents.contains(path) };
    let kinds = modules.iter().filter(|(path, _)| is_layer(path)).cloned().collect();
    let watcher = Rc::new(RefCell::new(Watcher { kinds, calls: HashMap::new(), open: None, see }));
    let into = watcher.clone();
    let y = no_grad(|| observe(move |done, y| into.borrow_mut().operation(done, y), || model.forward(x)));
    watcher.borrow_mut().close();
    y
}

/// Puts the operations of a layer together: the last of those in a row is what the layer puts out.
struct Watcher<F> {
    /// The type of each layer, by path.
    kinds: HashMap<String, &'static str>,
    /// How often each pair of path and kind came.
    calls: HashMap<(String, String), usize>,
    open: Option<LayerOutput>,
    see: F,
}

impl<F: FnMut(&LayerOutput)> Watcher<F> {
    fn operation(&mut self, done: &Traced, y: &Tensor) {
        if !y.dtype().is_float() {
            return; // places of maxima, masks
        }
        let kind = self.kinds.get(&done.layer).copied();
        match &mut self.open {
            Some(open) if kind.is_some() && open.path == done.layer => {
                open.output = y.detach();
                return;
            }
            _ => (),
        }
        self.close();
        if VIEWS.contains(&done.op) || ["pad", "contiguous"].contains(&done.op) {
            return;
        }
        let kind = kind.unwrap_or(done.op).to_string();
        let call = self.calls.entry((done.layer.clone(), kind.clone())).or_default();
        *call += 1;
        self.open = Some(LayerOutput { path: done.layer.clone(), kind, call: *call, output: y.detach() });
    }

    fn close(&mut self) {
        if let Some(output) = self.open.take() {
            (self.see)(&output);
        }
    }
}

/// Statistics of what one layer puts out.
#[derive(Clone, Debug, PartialEq)]
pub struct Activations {
    /// The layer's name: [`LayerOutput::name`].
    pub name: String,
    /// The layer's type, or the operation.
    pub kind: String,
    /// Mean over all elements.
    pub mean: f64,
    /// Variance over all elements.
    pub variance: f64,
    /// Share of elements that are zero: the silent units behind a ReLU.
    pub zeros: f64,
}

/// Runs `x` through the layers of `model`, without a graph, and describes what [`layer_outputs`] sees of each.
///
/// # Panics
/// Where a layer panics.
///
/// ```
/// use gradus_nn::{Linear, ReLU, probe::activations, sequential};
/// use gradus_tensor::Tensor;
/// let found = activations(&sequential![Linear::new(64, 64), ReLU], &Tensor::randn([32, 64]));
/// assert_eq!((found[1].name.as_str(), found[1].kind.as_str()), ("1 ReLU", "ReLU"));
/// assert!(found[1].zeros > 0.3 && found[1].variance < found[0].variance);
/// ```
pub fn activations<M: Forward + ?Sized>(model: &M, x: &Tensor) -> Vec<Activations> {
    let found = Rc::new(RefCell::new(Vec::new()));
    let into = found.clone();
    layer_outputs(model, x, move |layer| {
        let y = layer.output.to_dtype(DType::F64);
        into.borrow_mut().push(Activations {
            name: layer.name(),
            kind: layer.kind.clone(),
            mean: y.mean().item_f64(),
            variance: y.var(0).item_f64(),
            zeros: y.eq_scalar(0.0).to_dtype(DType::F64).mean().item_f64(),
        });
    });
    found.take()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dropout, Linear, MaxPool2d, Sequential, sequential};
    use gradus_tensor::PadMode;

    #[derive(Module)]
    struct Block {
        a: Linear,
        b: Linear,
        dropout: Dropout,
    }

    impl Forward for Block {
        fn forward(&self, x: &Tensor) -> Tensor {
            let h = self.dropout.forward(&self.a.forward(x)).relu();
            (self.b.forward(&h) + &h).relu()
        }
    }

    fn weight(layer: &Linear, values: [f32; 4]) {
        no_grad(|| layer.weight.copy_(&Tensor::from_slice(&values, [2, 2])));
    }

    /// Names and elements of what is seen.
    fn seen(model: &dyn Forward, x: &Tensor) -> Vec<(String, Vec<f32>)> {
        let found = Rc::new(RefCell::new(Vec::new()));
        let into = found.clone();
        let see = move |o: &LayerOutput| into.borrow_mut().push((o.name(), o.output.contiguous().to_vec()));
        let y = layer_outputs(model, x, see);
        assert!(!y.requires_grad());
        found.take()
    }

    #[test]
    fn layers_and_what_lies_between_them_are_seen_whatever_the_model_is_made_of() {
        let block =
            Block { a: Linear::new(2, 2).bias(false), b: Linear::new(2, 2).bias(false), dropout: Dropout::new(0.5) };
        weight(&block.a, [1.0, 0.0, 0.0, -1.0]);
        weight(&block.b, [0.0, 1.0, 1.0, 0.0]);
        let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, -4.0], [2, 2]);
        let want = |within: &str, outside: &str| {
            [
                (format!("{within}a Linear"), vec![1.0, -2.0, 3.0, 4.0]),
                (format!("{outside}relu"), vec![1.0, 0.0, 3.0, 4.0]),
                (format!("{within}b Linear"), vec![0.0, 1.0, 4.0, 3.0]),
                (format!("{outside}add"), vec![1.0, 1.0, 7.0, 7.0]),
                (format!("{outside}relu (2)"), vec![1.0, 1.0, 7.0, 7.0]),
            ]
        };
        block.eval();
        assert_eq!(seen(&block, &x), want("", ""));
        let nested = sequential![sequential![block]];
        nested.eval();
        assert_eq!(seen(&nested, &x), want("0.0.", "0.0 "));
    }

    #[test]
    fn a_layer_that_runs_twice_is_told_apart_and_views_and_places_are_left_out() {
        #[derive(Module)]
        struct Twice {
            pool: MaxPool2d,
        }
        impl Forward for Twice {
            fn forward(&self, x: &Tensor) -> Tensor {
                let x = self.pool.forward(&(x * 2.0));
                let x = x.flatten(1, -1).reshape([1, 1, 2, 2]); // (1, 1, 2, 2) -> (1, 4) -> (1, 1, 2, 2)
                self.pool.forward(&x.pad(&[(1, 1), (1, 1)], PadMode::Constant(0.0)).narrow(2, 1, 2).narrow(3, 1, 2))
            }
        }
        let x = Tensor::from_vec((0..16).map(|i| i as f32).collect(), [1, 1, 4, 4]);
        let names: Vec<(String, Vec<f32>)> = seen(&Twice { pool: MaxPool2d::new(2) }, &x);
        assert_eq!(names[1], ("pool MaxPool2d".to_string(), vec![10.0, 14.0, 26.0, 30.0]));
        assert_eq!(names[2], ("pool MaxPool2d (2)".to_string(), vec![30.0]));
        assert_eq!(names.len(), 3);
        // A model that is one layer has no path, and an empty one no layers.
        assert_eq!(seen(&MaxPool2d::new(4), &x), [("MaxPool2d".to_string(), vec![15.0])]);
        assert!(seen(&Sequential::new(), &x).is_empty());
    }
}
