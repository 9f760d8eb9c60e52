//! What a model's layers are, what they put out and what they cost.

use crate::graph::{Vertex, vertices};
use crate::reach::Reach;
use crate::window::windows;
use gradus_nn::Forward;
use gradus_tensor::autograd::VIEWS;
use gradus_tensor::{Shape, Tensor};
use std::collections::{HashMap, HashSet};

/// One call of a layer, or an operation between layers.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRow {
    /// The path of the layer, or of the module whose `forward` runs the operation; empty for the model itself.
    pub path: String,
    /// The layer's type, or the operation.
    pub kind: String,
    /// The shape of its result.
    pub output: Shape,
    /// The rows whose results it takes; the first row is the input.
    pub inputs: Vec<usize>,
    /// Learnt numbers but biases; a layer that is called again has none left.
    pub weights: usize,
    /// Learnt biases.
    pub biases: usize,
    /// Multiply-accumulate operations: see [`Summary::macs`].
    pub macs: u64,
    /// Elements of its result, 0 where that is a view of what is there already.
    pub activations: usize,
    /// How many pixels of the input, down and across, an element of its result depends on; beyond the edges as well.
    pub receptive_field: Option<[f64; 2]>,
    /// How many pixels of the input lie between neighbours of its result, down and across.
    pub stride: Option<[f64; 2]>,
}

impl LayerRow {
    /// Numbers in it that are learnt.
    pub fn parameters(&self) -> usize {
        self.weights + self.biases
    }
}

/// A model on one input of a certain shape, in evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The input, then the layers and the operations between them in the order in which they run. Those that do nothing
    /// in evaluation, such as dropout, are left out.
    pub rows: Vec<LayerRow>,
    /// Learnt numbers of layers that do not run in evaluation, such as auxiliary classifiers.
    pub unused: usize,
}

impl Summary {
    /// Learnt numbers but biases, of the layers that run.
    pub fn weights(&self) -> usize {
        self.rows.iter().map(|row| row.weights).sum()
    }

    /// Learnt biases, of the layers that run.
    pub fn biases(&self) -> usize {
        self.rows.iter().map(|row| row.biases).sum()
    }

    /// All learnt numbers.
    pub fn parameters(&self) -> usize {
        self.weights() + self.biases() + self.unused
    }

    /// Multiply-accumulate operations of convolutions, linear layers and matrix products for one input.
    ///
    /// A convolution has `C_in C_out k^2 H_out W_out / groups` of them, a linear layer `n_in n_out`. Biases,
    /// normalisations, activations and pooling are not counted, as is usual in published figures.
    pub fn macs(&self) -> u64 {
        self.rows.iter().map(|row| row.macs).sum()
    }

    /// Floating-point operations: two for every multiply-accumulate.
    pub fn flops(&self) -> u64 {
        2 * self.macs()
    }

    /// Elements of all results: what training keeps for one input, if nothing is computed again.
    pub fn activations(&self) -> usize {
        self.rows.iter().map(|row| row.activations).sum()
    }

    /// The rows of each kind together, in the order in which they first appear.
    pub fn by_kind(&self) -> Vec<LayerRow> {
        let mut kinds: Vec<LayerRow> = Vec::new();
        for row in &self.rows[1..] {
            match kinds.iter_mut().find(|k| k.kind == row.kind) {
                Some(kind) => {
                    kind.weights += row.weights;
                    kind.biases += row.biases;
                    kind.macs += row.macs;
                    kind.activations += row.activations;
                }
                None => kinds.push(row.clone()),
            }
        }
        kinds
    }
}

/// What `model` does with one input of shape `input` (without the batch); the model is in evaluation afterwards.
///
/// The receptive field grows as `r + (k - 1) j` where a window of k meets neighbours that lie j pixels of the input
/// apart, and j as `j s` with its stride s, which adds up to `1 + sum_l (k_l - 1) prod_{i < l} s_i`. Where paths meet
/// again the largest counts. Sources: Araujo, Norris and Sim, 2019, <https://distill.pub/2019/computing-receptive-fields/>
/// (fields); Dumoulin and Visin, 2016, <https://arxiv.org/abs/1603.07285> (transposed convolutions).
///
/// # Panics
/// If the model does not take such an input.
///
/// ```
/// let model = gradus_models::find("lenet5").unwrap();
/// let summary = gradus_models::summarize(&*model.build(&Default::default()).unwrap(), &[1, 28, 28]);
/// let conv = &summary.rows[1];
/// assert_eq!((conv.path.as_str(), conv.kind.as_str(), conv.output[1..].to_vec()), ("features.0", "Conv2d", vec![6, 28, 28]));
/// assert_eq!((conv.weights, conv.biases, conv.macs), (150, 6, 25 * 6 * 28 * 28));
/// assert_eq!(summary.parameters(), 61_706);
/// ```
pub fn summarize(model: &dyn Forward, input: &[usize]) -> Summary {
    let frozen: Vec<Tensor> = model.parameters().into_iter().filter(|p| !p.requires_grad()).collect();
    model.unfreeze();
    model.eval();
    let batch: Vec<usize> = std::iter::once(1).chain(input.iter().copied()).collect();
    let x = Tensor::zeros(batch).requires_grad_(true);
    x.set_name(INPUT);
    let (graph, windows) = windows(|| vertices(&model.forward(&x)));
    frozen.into_iter().for_each(|p| drop(p.requires_grad_(false)));

    let mut rows = Rows::of(model, &x);
    let mut reaches: Vec<Option<Reach>> = Vec::new();
    for vertex in &graph {
        let reach = match (vertex.op.as_str(), vertex.place.as_str()) {
            ("leaf", INPUT) => (vertex.shape.len() == 4).then_some(Reach::INPUT),
            ("leaf", _) => None,
            (_, layer) if rows.kinds.get(layer) == Some(&"MaxUnpool2d") => Reach::unpooled(vertex, &graph, &reaches),
            (_, layer) => Reach::of(vertex, &graph, &reaches, windows.get(layer)),
        };
        rows.add(vertex, &graph, reach);
        reaches.push(reach);
    }
    let unused = rows.parameters.values().flatten().map(|(_, numel)| numel).sum();
    Summary { rows: rows.rows, unused }
}

const INPUT: &str = "(input)";

/// Rows as they come together.
struct Rows {
    rows: Vec<LayerRow>,
    /// The type of each layer without layers inside it.
    kinds: HashMap<String, &'static str>,
    /// Parameters no row has yet, by the layer that holds them: name and size.
    parameters: HashMap<String, Vec<(String, usize)>>,
    /// The row of each vertex.
    row_of: Vec<Option<usize>>,
}

impl Rows {
    fn of(model: &dyn Forward, x: &Tensor) -> Rows {
        let modules = model.named_modules();
        let parents: HashSet<&str> = modules.iter().filter_map(|(path, _)| Some(path.rsplit_once('.')?.0)).collect();
        let is_layer = |path: &str| !path.is_empty() && !parents.contains(path);
        let kinds = modules.iter().filter(|(path, _)| is_layer(path)).cloned().collect();
        let mut parameters: HashMap<String, Vec<(String, usize)>> = HashMap::new();
        for (path, parameter) in model.named_parameters() {
            let (layer, name) = path.rsplit_once('.').unwrap_or(("", &path));
            parameters.entry(layer.into()).or_default().push((name.into(), parameter.numel()));
        }
        let input = LayerRow {
            path: String::new(),
            kind: "Input".into(),
            output: x.shape(),
            inputs: Vec::new(),
            weights: 0,
            biases: 0,
            macs: 0,
            activations: 0,
            receptive_field: Some(Reach::INPUT.field),
            stride: Some(Reach::INPUT.stride),
        };
        Rows { rows: vec![input], kinds, parameters, row_of: Vec::new() }
    }

    fn add(&mut self, vertex: &Vertex, graph: &[Vertex], reach: Option<Reach>) {
        if vertex.op == "leaf" {
            return self.row_of.push((vertex.place == INPUT).then_some(0));
        }
        let mut inputs: Vec<usize> = vertex.inputs.iter().filter_map(|&i| self.row_of[i]).collect();
        let last = self.rows.len() - 1;
        // The operations of a layer are one row: its last result is what it puts out.
        let same = self.kinds.contains_key(&vertex.place) && self.rows[last].path == vertex.place;
        if same {
            inputs.retain(|&row| row != last);
        } else {
            self.rows.push(self.fresh(vertex));
        }
        let at = self.rows.len() - 1;
        let row = &mut self.rows[at];
        row.inputs.extend(inputs);
        row.inputs.sort_unstable();
        row.inputs.dedup();
        let extents: Vec<usize> = vertex.shape.clone();
        let numel = extents.iter().product();
        row.output = gradus_tensor::IntoShape::into_shape(&extents[..]);
        row.macs += macs(vertex, graph);
        row.activations = if VIEWS.contains(&&*vertex.op) { row.activations.min(numel) } else { numel };
        row.receptive_field = reach.map(|r| r.field);
        row.stride = reach.filter(|r| r.spatial).map(|r| r.stride);
        for (name, numel) in self.parameters.remove(&vertex.place).unwrap_or_default() {
            *(if name == "bias" { &mut row.biases } else { &mut row.weights }) += numel;
        }
        self.row_of.push(Some(at));
    }

    fn fresh(&self, vertex: &Vertex) -> LayerRow {
        let kind = self.kinds.get(&vertex.place).map_or_else(|| vertex.op.clone(), ToString::to_string);
        let output = self.rows[0].output;
        let (receptive_field, stride) = (None, None);
        let path = vertex.place.clone();
        let (weights, biases, macs, activations, inputs) = (0, 0, 0, 0, Vec::new());
        LayerRow { path, kind, output, inputs, weights, biases, macs, activations, receptive_field, stride }
    }
}

/// The multiply-accumulates of one operation.
fn macs(vertex: &Vertex, graph: &[Vertex]) -> u64 {
    let of = |i: usize| vertex.inputs.get(i).map_or(&[][..], |&i| &graph[i].shape[..]);
    let size = |shape: &[usize]| shape.iter().map(|&n| n as u64).product::<u64>();
    match vertex.op.as_str() {
        // Each element of the result (or of the input) meets all weights of one channel.
        "conv" => size(&vertex.shape) * size(of(1).get(1..).unwrap_or_default()),
        "conv_transpose" => size(of(0)) * size(of(1).get(1..).unwrap_or_default()),
        "linear" => size(&vertex.shape) * of(0).last().map_or(0, |&n| n as u64),
        "matmul" => size(&vertex.shape) * summed(&vertex.shape, of(0), vertex.inputs.len()) as u64,
        _ => 0,
    }
}

/// The extent that a matrix product sums over. An operand without gradient is not in the graph, so that `first` is the
/// right one if it is the only one and has other rows than the product.
fn summed(product: &[usize], first: &[usize], operands: usize) -> usize {
    match (product, first) {
        ([.., rows, _], [.., extent, _]) if operands == 1 && rows != extent => *extent,
        _ => first.last().copied().unwrap_or(0),
    }
}
