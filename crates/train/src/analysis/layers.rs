//! Statistics of activations and gradients by layer, over the time of a run.

use crate::callback::{Callback, Flow, Progress};
use crate::error::{Result, TrainError};
use crate::plots::Lines;
use crate::run_dir::RunDir;
use gradus_nn::Forward;
use gradus_nn::probe::layer_outputs;
use gradus_tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The file of the numbers.
const TABLE: &str = "layers.csv";
/// Below this part of the largest gradient of the same step, a gradient has vanished.
const VANISHED: f64 = 1e-4;
/// Above this norm of a layer's gradient, it has exploded.
const EXPLODED: f64 = 1e3;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// What a layer puts out.
    Activation,
    /// The gradient of the loss with respect to a parameter.
    Gradient,
}

/// Numbers on one layer's output, or one parameter's gradient, at one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerStatistics {
    /// Optimiser steps that were taken before.
    pub step: usize,
    /// What is described.
    pub quantity: Quantity,
    /// The layer, or the parameter's path.
    pub layer: String,
    /// Mean of all elements.
    pub mean: f64,
    /// Standard deviation of all elements (divisor N).
    pub std: f64,
    /// Root of the mean square.
    pub rms: f64,
    /// Root of the sum of squares.
    pub norm: f64,
    /// Share of elements that are 0.
    pub zeros: f64,
    /// Share of units that are 0 for all examples and places: dead ReLUs; of gradients, units that nothing reaches.
    pub dead: f64,
}

/// How large a gradient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GradientSize {
    /// Neither of the others.
    Usual,
    /// Its root mean square is below a ten-thousandth of the largest of any parameter.
    Vanishing,
    /// Its norm is above a thousand, or no number.
    Exploding,
}

impl LayerStatistics {
    /// The numbers on `x`, whose units lie along `units`.
    fn of(step: usize, quantity: Quantity, layer: String, x: &Tensor, units: usize) -> LayerStatistics {
        let x = x.detach().to_dtype(DType::F64);
        let square = x.square().mean().item_f64();
        let silent = x.eq_scalar(0.0).to_dtype(DType::F64);
        let dead = match x.rank() > units {
            true => {
                let others: Vec<isize> = (0..x.rank()).filter(|d| *d != units).map(|d| d as isize).collect();
                let shares = if others.is_empty() { silent.clone() } else { silent.mean_dim(&others[..], false) };
                shares.ge_scalar(1.0).to_dtype(DType::F64).mean().item_f64()
            }
            false => f64::from(square == 0.0),
        };
        LayerStatistics {
            step,
            quantity,
            layer,
            mean: x.mean().item_f64(),
            std: x.var(0).item_f64().max(0.0).sqrt(),
            rms: square.sqrt(),
            norm: (square * x.numel() as f64).sqrt(),
            zeros: silent.mean().item_f64(),
            dead,
        }
    }
}

/// Numbers on what each layer of `model` puts out for `x` ([`layer_outputs`]), in evaluation mode; the model's mode is
/// that afterwards.
///
/// ```
/// use gradus_nn::{Linear, ReLU, sequential};
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::activation_statistics;
/// let found = activation_statistics(&sequential![Linear::new(64, 32), ReLU], &Tensor::randn([32, 64]), 0);
/// assert_eq!(found[1].layer, "1 ReLU");
/// assert!(found[1].zeros > 0.3 && found[1].std < found[0].std);
/// ```
pub fn activation_statistics(model: &dyn Forward, x: &Tensor, step: usize) -> Vec<LayerStatistics> {
    model.eval();
    let rows = Rc::new(RefCell::new(Vec::new()));
    let into = rows.clone();
    layer_outputs(model, x, move |layer| {
        into.borrow_mut().push(LayerStatistics::of(step, Quantity::Activation, layer.name(), &layer.output, 1));
    });
    rows.take()
}

/// Numbers on the gradient of each parameter that has one.
pub fn gradient_statistics(model: &dyn Forward, step: usize) -> Vec<LayerStatistics> {
    let row = |(path, p): (String, Tensor)| Some(LayerStatistics::of(step, Quantity::Gradient, path, &p.grad()?, 0));
    model.named_parameters().into_iter().filter_map(row).collect()
}

/// Whether the gradients of one step vanish or explode on their way back, parameter by parameter.
pub fn gradient_sizes(rows: &[LayerStatistics]) -> Vec<(String, GradientSize)> {
    let gradients = || rows.iter().filter(|r| r.quantity == Quantity::Gradient);
    let largest = gradients().map(|r| r.rms).filter(|r| r.is_finite()).fold(0.0, f64::max);
    let size = |r: &LayerStatistics| match r {
        r if !r.norm.is_finite() || r.norm > EXPLODED => GradientSize::Exploding,
        r if r.rms < VANISHED * largest => GradientSize::Vanishing,
        _ => GradientSize::Usual,
    };
    gradients().map(|r| (r.layer.clone(), size(r))).collect()
}

/// What a watch draws, with captions.
const PICTURES: [(&str, &str); 4] = [
    ("gradients.svg", "Gradients over time"),
    ("activations.svg", "Activations over time"),
    ("depth.svg", "Activations over depth"),
    ("dead.svg", "Dead units over time"),
];

/// A callback that writes the statistics of every so many steps to `layers.csv` and draws them: `gradients.svg` and,
/// where it has inputs for it, `activations.svg` (over time), `depth.svg` (over depth) and `dead.svg`.
///
/// It changes nothing of the run: layers are looked at in evaluation mode and draw no random numbers.
pub struct LayerWatch<'a> {
    dir: &'a RunDir,
    every: usize,
    probe: Option<Tensor>,
    rows: Vec<LayerStatistics>,
}

impl<'a> LayerWatch<'a> {
    /// A watch on the gradients of every `every`-th step.
    ///
    /// # Panics
    /// If `every` is 0.
    #[track_caller]
    pub fn new(dir: &'a RunDir, every: usize) -> LayerWatch<'a> {
        assert!(every > 0, "LayerWatch: it looks every step at most");
        LayerWatch { dir, every, probe: None, rows: vec![] }
    }

    /// Watches also what the layers of the model put out for these inputs.
    pub fn activations(self, inputs: &Tensor) -> LayerWatch<'a> {
        LayerWatch { probe: Some(inputs.detach()), ..self }
    }

    /// The pictures of a run that was watched, with their captions.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn pictures(dir: &RunDir) -> Result<Vec<(&'static str, String)>> {
        let read = |(name, caption)| {
            let path = dir.file(name);
            let text = std::fs::read_to_string(&path).map_err(TrainError::io("read", &path))?;
            Ok((caption, text))
        };
        PICTURES.into_iter().filter(|(name, _)| dir.file(name).exists()).map(read).collect()
    }

    /// Writes the table and draws the pictures.
    fn write(&self, title: &str) -> Result<()> {
        self.dir.write(TABLE, table(&self.rows))?;
        self.dir.write("gradients.svg", over_time(&self.rows, title, Quantity::Gradient))?;
        if self.probe.is_some() {
            self.dir.write("activations.svg", over_time(&self.rows, title, Quantity::Activation))?;
            self.dir.write("depth.svg", over_depth(&self.rows, title))?;
            self.dir.write("dead.svg", dead_units(&self.rows, title))?;
        }
        Ok(())
    }
}

impl Callback for LayerWatch<'_> {
    fn on_start(&mut self, at: &Progress) -> Result<()> {
        // A run that goes on keeps what it saw before it was cut off.
        let path = self.dir.file(TABLE);
        if at.step > 0 && path.exists() {
            let wrong = |e| TrainError::Input(format!("`{}` is no table of layers: {e}", path.display()));
            let read: Result<Vec<LayerStatistics>, csv::Error> =
                csv::Reader::from_path(&path).and_then(|mut reader| reader.deserialize().collect());
            self.rows = read.map_err(wrong)?;
            self.rows.retain(|r| r.step < at.step);
        }
        Ok(())
    }

    fn on_backward(&mut self, at: &Progress, whole: bool) -> Result<()> {
        if whole && at.step.is_multiple_of(self.every) {
            if let Some(inputs) = &self.probe {
                self.rows.extend(activation_statistics(at.model, inputs, at.step));
                at.model.train();
            }
            self.rows.extend(gradient_statistics(at.model, at.step));
        }
        Ok(())
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        self.write(&format!("layers until epoch {}", at.epoch))?;
        Ok(Flow::Continue)
    }
}

/// The rows as CSV.
fn table(rows: &[LayerStatistics]) -> Vec<u8> {
    let mut out = csv::Writer::from_writer(vec![]);
    rows.iter().for_each(|row| out.serialize(row).expect("rows are plain values"));
    out.into_inner().expect("writing to memory does not fail")
}

/// A line for each layer of a quantity, in the order of the layers.
fn lines(
    rows: &[LayerStatistics],
    quantity: Quantity,
    y: impl Fn(&LayerStatistics) -> f64,
) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut found: Vec<(String, Vec<(f64, f64)>)> = vec![];
    for r in rows.iter().filter(|r| r.quantity == quantity) {
        let point = (r.step as f64, y(r));
        match found.iter_mut().find(|(name, _)| *name == r.layer) {
            Some((_, points)) => points.push(point),
            None => found.push((r.layer.clone(), vec![point])),
        }
    }
    found
}

fn chart(title: &str, subtitle: &str, axes: [&str; 2], series: Vec<(String, Vec<(f64, f64)>)>) -> String {
    Lines { title, subtitle, axes, series, ends: None, log_x: false, diagonal: false }.svg()
}

fn over_time(rows: &[LayerStatistics], title: &str, quantity: Quantity) -> String {
    match quantity {
        Quantity::Gradient => {
            // Biases would double the lines and say little.
            let mut all = lines(rows, quantity, |r| r.rms.log10());
            all.retain(|(name, _)| !name.ends_with("bias"));
            chart(
                &format!("Gradients, {title}"),
                "size of an element of the gradient by parameter",
                ["step", "log10 of the root mean square"],
                all,
            )
        }
        Quantity::Activation => {
            let all = lines(rows, quantity, |r| r.std);
            chart(
                &format!("Activations, {title}"),
                "spread of what each layer puts out",
                ["step", "standard deviation"],
                all,
            )
        }
    }
}

/// The spread by depth at the first, the middle and the last step that was looked at.
fn over_depth(rows: &[LayerStatistics], title: &str) -> String {
    let mut steps: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for r in rows.iter().filter(|r| r.quantity == Quantity::Activation) {
        let layers = steps.entry(r.step).or_default();
        layers.push((layers.len() as f64, r.std));
    }
    let all: Vec<usize> = steps.keys().copied().collect();
    let mut shown: Vec<usize> =
        [0, all.len() / 2, all.len().saturating_sub(1)].iter().filter_map(|i| all.get(*i).copied()).collect();
    shown.dedup();
    let series = shown.into_iter().map(|s| (format!("step {s}"), steps.remove(&s).unwrap_or_default())).collect();
    chart(
        &format!("Depth, {title}"),
        "spread of what the layers put out, from the input on",
        ["layer", "standard deviation"],
        series,
    )
}

/// The layers that have dead units at some time.
fn dead_units(rows: &[LayerStatistics], title: &str) -> String {
    let mut some = lines(rows, Quantity::Activation, |r| r.dead);
    some.retain(|(_, points)| points.iter().any(|(_, dead)| *dead > 0.0));
    let subtitle = match some.is_empty() {
        true => "no unit of any layer is 0 for every example",
        false => "share of units that are 0 for every example, of the layers that have such",
    };
    chart(&format!("Dead units, {title}"), subtitle, ["step", "share"], some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::normals;
    use crate::objective::Objective;
    use crate::recipe::Loss;
    use crate::schedule::Schedule;
    use crate::trainer::Trainer;
    use gradus_data::{DataLoader, TensorDataset};
    use gradus_nn::optim::Sgd;
    use gradus_nn::{BatchNorm1d, Linear, Module, ReLU, Residual, Sequential, Tanh, sequential};
    use gradus_tensor::no_grad;

    fn set(p: &Tensor, values: &Tensor) {
        no_grad(|| p.copy_(values));
    }

    #[test]
    fn numbers_are_those_of_their_definitions() {
        let x = Tensor::from_slice(&[0.0f32, 2.0, 0.0, 0.0, 4.0, 0.0], [2, 3]);
        let r = LayerStatistics::of(7, Quantity::Activation, "a".into(), &x, 1);
        assert_eq!((r.step, r.mean, r.zeros), (7, 1.0, 4.0 / 6.0));
        assert!((r.rms - (20.0f64 / 6.0).sqrt()).abs() < 1e-12 && (r.norm - 20.0f64.sqrt()).abs() < 1e-12);
        assert!((r.std - (20.0f64 / 6.0 - 1.0).sqrt()).abs() < 1e-12);
        assert!((r.dead - 2.0 / 3.0).abs() < 1e-12); // the first unit and the third
        assert_eq!(LayerStatistics::of(0, Quantity::Gradient, "b".into(), &x, 0).dead, 0.0);
        let bias = Tensor::from_slice(&[0.0f32, 1.0], [2]);
        assert_eq!(LayerStatistics::of(0, Quantity::Gradient, "b".into(), &bias, 0).dead, 0.5);
    }

    #[test]
    fn dead_units_are_counted() {
        let net = sequential![Linear::new(2, 4), ReLU];
        set(&net.parameters()[1], &Tensor::from_slice(&[-1e6f32, 1e6, -1e6, 1e6], [4]));
        let found = activation_statistics(&net, &Tensor::randn([8, 2]), 0);
        assert_eq!((found[0].dead, found[1].dead, found[1].zeros), (0.0, 0.5, 0.5));
    }

    #[test]
    fn layers_of_a_residual_block_have_the_numbers_that_are_computed_by_hand() {
        let block = Residual::new(Linear::new(2, 2).bias(false));
        set(&block.parameters()[0], &Tensor::from_slice(&[-1.0f32, 0.0, 1.0, -1.0], [2, 2]));
        let net = sequential![block, ReLU];
        let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 0.0], [2, 2]);
        // Linear: [[-1, -1], [-3, 3]]; with the input added [[0, 1], [0, 3]], which the ReLU leaves as it is.
        let found = activation_statistics(&net, &x, 4);
        let rows: Vec<_> = found.iter().map(|r| (&*r.layer, r.step, r.mean, r.zeros, r.dead)).collect();
        assert_eq!(rows[0], ("0.inner Linear", 4, -0.5, 0.0, 0.0));
        assert_eq!(rows[1], ("0 add", 4, 1.0, 0.5, 0.5));
        assert_eq!(rows[2], ("1 ReLU", 4, 1.0, 0.5, 0.5));
        assert_eq!(rows.len(), 3);
        assert!((found[0].std - 4.75f64.sqrt()).abs() < 1e-12 && (found[1].std - 1.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn layers_with_dead_units_alone_are_drawn_and_their_absence_is_said() {
        let net = sequential![Linear::new(2, 4), ReLU];
        set(&net.parameters()[1], &Tensor::from_slice(&[-1e6f32, 1e6, 1e6, 1e6], [4]));
        let rows = activation_statistics(&net, &Tensor::randn([8, 2]), 0);
        let svg = dead_units(&rows, "x");
        assert!(svg.contains("1 ReLU") && !svg.contains("0 Linear") && svg.contains("of the layers that have such"));
        assert!(dead_units(&rows[..1], "x").contains("no unit of any layer"));
    }

    #[test]
    fn gradients_that_vanish_and_explode_are_told_from_usual_ones() {
        // Twelve saturated layers: what comes back to the first is nothing.
        let mut net = Sequential::new();
        for i in 0..12 {
            net.push(Linear::new(4, 4));
            net.push(Tanh);
            set(&net.parameters()[2 * i], &(Tensor::eye(4) * 5.0));
        }
        net.push(Linear::new(4, 1));
        let sizes = |factor: f64| {
            net.zero_grad();
            (net.forward(&Tensor::ones([3, 4])).sum() * factor).backward();
            gradient_sizes(&gradient_statistics(&net, 0)).into_iter().map(|s| s.1).collect::<Vec<_>>()
        };
        let found = sizes(1.0);
        assert_eq!((found[0], *found.last().unwrap()), (GradientSize::Vanishing, GradientSize::Usual));
        assert_eq!(*sizes(1e6).last().unwrap(), GradientSize::Exploding);
    }

    /// The state after a short run, with or without the watch.
    fn train(dir: &RunDir, watched: bool) -> Vec<f32> {
        let net = sequential![Linear::new(2, 8), BatchNorm1d::new(8), ReLU, Linear::new(8, 2)];
        for (i, p) in net.parameters().iter().enumerate() {
            set(p, &normals(i as u64, [p.numel()]).reshape(p.shape()).to_dtype(DType::F32));
        }
        let x = normals(9, [40, 2]).to_dtype(DType::F32);
        let labels = x.select(1, 0).ge_scalar(0.0).to_dtype(DType::I64);
        let loader = DataLoader::new(TensorDataset::new(x.clone(), labels)).batch_size(10);
        let watch = LayerWatch::new(dir, 2).activations(&x);
        let trainer = Trainer {
            model: &net,
            taught: None,
            optimizer: Box::new(Sgd::new(net.parameters(), 0.1)),
            searches: false,
            objective: Objective::new(Loss::CrossEntropy),
            schedule: Schedule::by_name("constant").unwrap(),
            epochs: 3,
            accumulate: 1,
            average: None,
            resume: None,
            target: None,
            callbacks: if watched { vec![Box::new(watch)] } else { vec![] },
        };
        trainer.fit(&loader, &loader).unwrap();
        net.state_dict().iter().flat_map(|(_, t)| t.to_dtype(DType::F32).to_vec::<f32>()).collect()
    }

    #[test]
    fn a_watch_writes_a_table_and_pictures_and_changes_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = RunDir::open(tmp.path()).unwrap();
        assert_eq!(train(&dir, false), train(&dir, true));
        let mut reader = csv::Reader::from_path(dir.file(TABLE)).unwrap();
        let rows: Vec<LayerStatistics> = reader.deserialize().collect::<Result<_, _>>().unwrap();
        // Steps 0, 2, ..., 10 of 12; four layers and six parameters at each.
        assert_eq!(rows.len(), 6 * 10);
        assert_eq!((rows[0].step, rows[0].layer.as_str(), rows[59].step), (0, "0 Linear", 10));
        assert_eq!(rows[9].layer, "3.bias");
        for (name, word) in [
            ("gradients.svg", "0.weight"),
            ("activations.svg", "2 ReLU"),
            ("depth.svg", "step 10"),
            ("dead.svg", "share"),
        ] {
            let svg = std::fs::read_to_string(dir.file(name)).unwrap();
            assert!(svg.contains(word) && svg.contains("</svg>"), "{name}");
        }
    }
}
