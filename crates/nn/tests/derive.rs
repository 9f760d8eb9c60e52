//! What `#[derive(Module)]` shows to a visitor, and under which names.

use gradus_nn::{
    BatchNorm2d, Buffer, Dropout, Forward, Linear, Mode, Module, Param, ReLU, Scope, Sequential, sequential,
};
use gradus_tensor::{DType, Tensor};
use std::collections::{BTreeMap, HashMap};

fn param(n: usize) -> Param {
    Param::new(Tensor::ones([n]))
}

fn names(module: &dyn Module) -> Vec<String> {
    module.named_parameters().into_iter().map(|(name, _)| name).collect()
}

#[derive(Module)]
struct Block {
    conv1: Linear,
    r#type: Param,
    #[module(rename = "gamma.weight")]
    scale: Param,
    downsample: Option<Linear>,
    #[module(skip)]
    #[allow(dead_code)]
    labels: HashMap<String, f64>,
    width: usize,
    sizes: [usize; 2],
    note: String,
}

impl Block {
    fn new(downsample: bool) -> Block {
        Block {
            conv1: Linear::new(2, 3).bias(false),
            r#type: param(1),
            scale: param(2),
            downsample: downsample.then(|| Linear::new(2, 3)),
            labels: HashMap::new(),
            width: 3,
            sizes: [1, 2],
            note: "a block".into(),
        }
    }
}

#[derive(Module)]
struct Net {
    layer1: Vec<Block>,
    heads: BTreeMap<String, Linear>,
    any: Box<dyn Forward>,
    pair: (Param, Param),
    seq: Sequential,
    fixed: [Param; 2],
}

fn net() -> Net {
    Net {
        layer1: vec![Block::new(false), Block::new(true)],
        heads: [("a".to_string(), Linear::new(1, 1)), ("b".to_string(), Linear::new(1, 1).bias(false))].into(),
        any: Box::new(Linear::new(1, 1).bias(false)),
        pair: (param(1), param(1)),
        seq: sequential![ReLU, sequential![Linear::new(2, 2).bias(false)]],
        fixed: [param(1), param(1)],
    }
}

#[test]
fn names_are_fields_joined_by_dots() {
    let expected = [
        "layer1.0.conv1.weight",
        "layer1.0.type",
        "layer1.0.gamma.weight",
        "layer1.1.conv1.weight",
        "layer1.1.type",
        "layer1.1.gamma.weight",
        "layer1.1.downsample.weight",
        "layer1.1.downsample.bias",
        "heads.a.weight",
        "heads.a.bias",
        "heads.b.weight",
        "any.weight",
        "pair.0",
        "pair.1",
        "seq.1.0.weight",
        "fixed.0",
        "fixed.1",
    ];
    assert_eq!(names(&net()), expected);
    assert_eq!(net().state_dict().names().collect::<Vec<_>>(), expected);
}

#[test]
fn modules_are_listed_with_their_types() {
    let block = Block::new(true);
    let expected = [("", "Block"), ("conv1", "Linear"), ("downsample", "Linear")];
    assert_eq!(block.named_modules(), expected.map(|(p, k)| (p.to_string(), k)));
    assert_eq!((block.width, &block.note[..], block.sizes), (3, "a block", [1, 2]));
}

#[derive(Module)]
struct Pair(Param, #[module(rename = "second")] Param);

#[derive(Module)]
struct Marker;

#[derive(Module)]
enum Choice<M: Forward> {
    One(M),
    Two(Param, M),
    Named { inner: M, extra: Param },
    Neither,
}

#[derive(Module)]
struct Generic<M, T = ()>
where
    T: Send + Sync,
{
    first: M,
    rest: Vec<Option<M>>,
    #[module(skip)]
    tag: T,
}

#[test]
fn tuples_units_enums_and_generics() {
    assert_eq!(names(&Pair(param(1), param(1))), ["0", "second"]);
    assert!(names(&Marker).is_empty());
    let linear = || Linear::new(1, 1).bias(false);
    assert_eq!(names(&Choice::One(linear())), ["weight"]);
    assert_eq!(names(&Choice::Two(param(1), linear())), ["0", "1.weight"]);
    assert_eq!(names(&Choice::Named { inner: linear(), extra: param(1) }), ["inner.weight", "extra"]);
    assert!(names(&Choice::<Linear>::Neither).is_empty());
    let g = Generic { first: linear(), rest: vec![None, Some(linear())], tag: "untouched" };
    assert_eq!((names(&g), g.tag), (vec!["first.weight".to_string(), "rest.1.weight".to_string()], "untouched"));
}

#[derive(Module)]
struct Tied {
    encoder: Param,
    decoder: Param,
    table: Buffer,
    cache: Buffer,
    steps: Buffer,
}

fn tied() -> Tied {
    let shared = param(4);
    Tied {
        encoder: shared.clone(),
        decoder: shared,
        table: Buffer::new(Tensor::zeros([2])),
        cache: Buffer::transient(Tensor::zeros([3])),
        steps: Buffer::new(Tensor::from_slice(&[7i64], ())),
    }
}

#[test]
fn a_shared_parameter_counts_once_and_is_saved_twice() {
    let mut m = tied();
    assert_eq!((names(&m), m.num_parameters()), (vec!["encoder".to_string()], 4));
    assert_eq!(m.state_dict().names().collect::<Vec<_>>(), ["encoder", "decoder", "table", "steps"]);
    assert_eq!(m.named_buffers().len(), 3);
    m.to_dtype(DType::F64);
    assert!(m.encoder.shares_storage(&m.decoder) && m.num_parameters() == 4);
    assert_eq!((m.encoder.dtype(), m.table.dtype(), m.steps.dtype()), (DType::F64, DType::F64, DType::I64));
}

#[test]
fn freezing_reaches_every_holder_of_the_tensor() {
    let m = tied();
    let held = m.parameters();
    m.freeze();
    assert!(!held[0].requires_grad() && !m.decoder.requires_grad());
    let mut m = m;
    m.to_dtype(DType::F64);
    assert!(!m.encoder.requires_grad());
    m.unfreeze();
    assert!(m.encoder.requires_grad());
    m.encoder.sum().backward();
    assert!(m.decoder.grad().is_some());
    m.zero_grad();
    assert!(m.encoder.grad().is_none());
}

#[derive(Module, Default)]
struct Leafy {
    mode: Mode,
    scope: Scope,
}

#[test]
fn train_and_eval_reach_every_layer() {
    let m = vec![Leafy::default(), Leafy::default()];
    assert!(m.iter().all(|l| l.mode.is_training()));
    m.eval();
    assert!(m.iter().all(|l| !l.mode.is_training()));
    m.train();
    assert!(m.iter().all(|l| l.mode.is_training()));
}

#[test]
fn the_longest_path_of_a_layer_stays() {
    let m = (vec![Leafy::default()], Leafy::default());
    m.0.eval();
    assert_eq!(&*m.0[0].scope.path(), "0");
    m.eval();
    assert_eq!((&*m.0[0].scope.path(), &*m.1.scope.path()), ("0.0", "1"));
    m.0.train();
    assert_eq!(&*m.0[0].scope.path(), "0.0");
}

#[test]
fn a_wrong_state_dict_is_reported_whole_and_loads_nothing() {
    let m = sequential![Linear::new(2, 3), BatchNorm2d::new(3), Dropout::new(0.5), Linear::new(3, 1)];
    let before = m.state_dict().iter().map(|(_, t)| t.to_dtype(DType::F64).to_vec::<f64>()).collect::<Vec<_>>();
    let mut state = gradus_nn::StateDict::new();
    for (name, t) in m.state_dict().iter() {
        state.insert(name, t.full_like(9.0));
    }
    state.remove("0.bias");
    state.remove("1.num_batches_tracked");
    state.insert("3.weight", Tensor::zeros([1, 4]));
    state.insert("1.running_mean", Tensor::zeros([3]).to_dtype(DType::I64));
    state.insert("fc.weight", Tensor::zeros([1]));
    let error = m.load_state_dict(&state).unwrap_err();
    let expected = "the state dict does not fit the module; nothing was loaded\n  missing: 0.bias\n  \
        unexpected: fc.weight\n  shape of 3.weight: expected [1, 3], found [1, 4]\n  \
        type of 1.running_mean: expected f32, found i64";
    assert_eq!(error.to_string(), expected);
    let after = m.state_dict().iter().map(|(_, t)| t.to_dtype(DType::F64).to_vec::<f64>()).collect::<Vec<_>>();
    assert_eq!(before, after);

    // A missing count of batches is forgiven, and floats of another width are converted.
    for (name, t) in m.state_dict().iter().filter(|(n, _)| !n.ends_with("tracked")) {
        state.insert(name, t.full_like(9.0).to_dtype(DType::F64));
    }
    state.remove("fc.weight");
    m.load_state_dict(&state).unwrap();
    assert_eq!(m.state_dict().get("0.bias").unwrap().to_vec::<f32>(), [9.0; 3]);
}

#[test]
fn loading_keeps_the_tensors_the_optimiser_holds() {
    let m = Linear::new(2, 1).bias(false);
    let held = m.parameters();
    let state = [("weight", Tensor::from_slice(&[3.0f32, 4.0], [1, 2]))].into_iter().collect();
    m.load_state_dict(&state).unwrap();
    assert_eq!(held[0].to_vec::<f32>(), [3.0, 4.0]);
    assert!(m.weight.requires_grad());
}
