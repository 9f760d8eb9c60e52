//! Attention and the transformer: agreement with PyTorch and with plain loops here; gradients, masks, edges and messages
//! in the parts.

#[path = "attention/behaviour.rs"]
mod behaviour;
#[path = "attention/edges.rs"]
mod edges;
mod support;

use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed};
use support::{Args, Case, cases, check_gradients};

fn near(a: &Tensor, b: &Tensor) -> bool {
    a.shape() == b.shape() && (a - b).abs().max().item() < 1e-5
}

/// A drawn f64 tensor that takes gradients.
fn leaf<const N: usize>(shape: [usize; N]) -> Tensor {
    Tensor::randn(shape).to_dtype(DType::F64).requires_grad_(true)
}

/// A model in f64.
fn double<M: Module>(mut model: M) -> M {
    model.to_dtype(DType::F64);
    model
}

fn bools<const N: usize>(values: &[u8], shape: [usize; N]) -> Tensor {
    Tensor::from_slice(values, shape).to_dtype(DType::Bool)
}

fn small_transformer(layers: usize) -> Transformer {
    Transformer::new(TransformerOptions {
        d_model: 4,
        nhead: 2,
        num_encoder_layers: layers,
        num_decoder_layers: layers,
        dim_feedforward: 3,
        dropout: 0.0,
        ..Default::default()
    })
}

fn causal_target() -> TransformerMasks {
    TransformerMasks { tgt: AttentionMasks::causal(), ..Default::default() }
}

// ---- Agreement with PyTorch

/// The inputs of a case that are masks, by name; the others come first.
struct Inputs<'a> {
    rest: &'a [Tensor],
    names: Vec<&'a str>,
    masks: &'a [Tensor],
}

impl<'a> Inputs<'a> {
    fn of(case: &'a Case, x: &'a [Tensor]) -> Inputs<'a> {
        let names: Vec<&str> = case.args().0["masks"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        let (rest, masks) = x.split_at(x.len() - names.len());
        Inputs { rest, names, masks }
    }

    fn mask(&self, name: &str) -> Option<Tensor> {
        self.names.iter().position(|n| *n == name).map(|i| self.masks[i].clone())
    }

    /// The masks called `{prefix}mask` (or attn_mask) and `{prefix}key_padding_mask`.
    fn masks(&self, prefix: &str) -> AttentionMasks {
        let attn_mask = self.mask(&format!("{prefix}mask")).or_else(|| self.mask(&format!("{prefix}attn_mask")));
        let key_padding_mask = self.mask(&format!("{prefix}key_padding_mask"));
        AttentionMasks { attn_mask, key_padding_mask, is_causal: false }
    }
}

fn flag(args: &Args, name: &str, default: bool) -> bool {
    if args.has(name) { args.flag(name) } else { default }
}

fn function(case: &Case) {
    let args = case.args();
    case.check_function(|x| {
        let options = AttentionOptions {
            attn_mask: x.get(3).cloned(),
            is_causal: flag(&args, "is_causal", false),
            scale: args.has("scale").then(|| args.float("scale")),
            enable_gqa: flag(&args, "enable_gqa", false),
            ..Default::default()
        };
        vec![scaled_dot_product_attention_with(&x[0], &x[1], &x[2], options)]
    });
}

fn multihead(case: &Case) {
    let args = case.args();
    let make = || {
        let mut layer = MultiheadAttention::new(args.size("embed_dim"), args.size("num_heads"))
            .bias(flag(&args, "bias", true))
            .add_bias_kv(flag(&args, "add_bias_kv", false))
            .add_zero_attn(flag(&args, "add_zero_attn", false))
            .batch_first(flag(&args, "batch_first", false));
        if args.has("kdim") {
            layer = layer.kdim(args.size("kdim"));
        }
        if args.has("vdim") {
            layer = layer.vdim(args.size("vdim"));
        }
        layer
    };
    case.check(make, |m, x| {
        let inputs = Inputs::of(case, x);
        let q = &inputs.rest[0];
        let k = inputs.rest.get(1).unwrap_or(q);
        let v = inputs.rest.get(2).unwrap_or(k);
        let masks = AttentionMasks { is_causal: flag(&args, "is_causal", false), ..inputs.masks("") };
        if !flag(&args, "weights", true) {
            return vec![m.forward(q, k, v, &masks)];
        }
        let (output, weights) = m.forward_with_weights(q, k, v, &masks, args.flag("average"));
        assert!(near(&output, &m.forward(q, k, v, &masks)));
        vec![output, weights]
    });
}

fn activation(args: &Args) -> fn(&Tensor) -> Tensor {
    if args.has("activation") && args.text("activation") == "gelu" { Tensor::gelu } else { Tensor::relu }
}

/// The builder calls that encoder and decoder layers share.
macro_rules! layer {
    ($layer:ident, $args:expr) => {{
        let args = $args;
        $layer::new(args.size("d_model"), args.size("nhead"))
            .dim_feedforward(args.size("dim_feedforward"))
            .dropout(args.float("dropout"))
            .activation(activation(args))
            .layer_norm_eps(if args.has("layer_norm_eps") { args.float("layer_norm_eps") } else { 1e-5 })
            .batch_first(flag(args, "batch_first", false))
            .norm_first(flag(args, "norm_first", false))
            .bias(flag(args, "bias", true))
    }};
}

fn encoder_layer(case: &Case) {
    let call = |m: &TransformerEncoderLayer, x: &[Tensor]| {
        let inputs = Inputs::of(case, x);
        vec![m.forward_masked(&inputs.rest[0], &inputs.masks("src_"))]
    };
    case.check(|| layer!(TransformerEncoderLayer, &case.args()), call);
}

fn decoder_layer(case: &Case) {
    let call = |m: &TransformerDecoderLayer, x: &[Tensor]| {
        let inputs = Inputs::of(case, x);
        vec![m.forward(&inputs.rest[0], &inputs.rest[1], &inputs.masks("tgt_"), &inputs.masks("memory_"))]
    };
    case.check(|| layer!(TransformerDecoderLayer, &case.args()), call);
}

fn encoder(case: &Case) {
    let args = case.args();
    let make = || {
        let stack = TransformerEncoder::new(|| layer!(TransformerEncoderLayer, &args), args.size("num_layers"));
        if args.flag("norm") { stack.norm(LayerNorm::new(args.size("d_model"))) } else { stack }
    };
    case.check(make, |m, x| {
        let inputs = Inputs::of(case, x);
        let attn_mask = inputs.mask("mask");
        vec![m.forward_masked(&inputs.rest[0], &AttentionMasks { attn_mask, ..inputs.masks("src_") })]
    });
}

fn decoder(case: &Case) {
    let args = case.args();
    let make = || {
        let stack = TransformerDecoder::new(|| layer!(TransformerDecoderLayer, &args), args.size("num_layers"));
        if args.flag("norm") { stack.norm(LayerNorm::new(args.size("d_model"))) } else { stack }
    };
    case.check(make, |m, x| {
        let inputs = Inputs::of(case, x);
        vec![m.forward(&inputs.rest[0], &inputs.rest[1], &inputs.masks("tgt_"), &inputs.masks("memory_"))]
    });
}

fn transformer(case: &Case) {
    let args = case.args();
    let make = || {
        Transformer::new(TransformerOptions {
            d_model: args.size("d_model"),
            nhead: args.size("nhead"),
            num_encoder_layers: args.size("num_encoder_layers"),
            num_decoder_layers: args.size("num_decoder_layers"),
            dim_feedforward: args.size("dim_feedforward"),
            dropout: args.float("dropout"),
            activation: activation(&args),
            layer_norm_eps: if args.has("layer_norm_eps") { args.float("layer_norm_eps") } else { 1e-5 },
            batch_first: flag(&args, "batch_first", false),
            norm_first: flag(&args, "norm_first", false),
            bias: flag(&args, "bias", true),
        })
    };
    case.check(make, |m, x| {
        let inputs = Inputs::of(case, x);
        let [src, tgt, memory] = ["src_", "tgt_", "memory_"].map(|prefix| inputs.masks(prefix));
        vec![m.forward(&inputs.rest[0], &inputs.rest[1], &TransformerMasks { src, tgt, memory })]
    });
}

fn walk(kinds: &[&str], check: fn(&Case)) {
    let found: Vec<Case> = cases("attention").into_iter().filter(|c| kinds.contains(&c.kind())).collect();
    assert!(found.len() >= 2, "no cases of {kinds:?}");
    found.iter().for_each(check);
}

#[test]
fn the_function_agrees_with_pytorch() {
    walk(&["scaled_dot_product_attention"], function);
}

#[test]
fn multihead_attention_agrees_with_pytorch() {
    walk(&["MultiheadAttention"], multihead);
}

#[test]
fn encoders_agree_with_pytorch() {
    walk(&["TransformerEncoderLayer"], encoder_layer);
    walk(&["TransformerEncoder"], encoder);
}

#[test]
fn decoders_agree_with_pytorch() {
    walk(&["TransformerDecoderLayer"], decoder_layer);
    walk(&["TransformerDecoder"], decoder);
}

#[test]
fn transformers_agree_with_pytorch() {
    walk(&["Transformer"], transformer);
}

// ---- Agreement with plain loops

/// Weights and outputs of one head without batch, by the definition.
fn plain(q: &Tensor, k: &Tensor, v: &Tensor, sees: impl Fn(usize, usize) -> bool) -> (Tensor, Tensor) {
    let (l, s, e, n) = (q.size(0), k.size(0), q.size(1), v.size(1));
    let (mut weights, mut output) = (vec![0.0; l * s], vec![0.0; l * n]);
    for i in 0..l {
        let dot = |j: usize| (0..e).map(|d| q.at(&[i, d]) * k.at(&[j, d])).sum::<f64>() / (e as f64).sqrt();
        let terms: Vec<f64> = (0..s).map(|j| if sees(i, j) { dot(j).exp() } else { 0.0 }).collect();
        for j in 0..s {
            weights[i * s + j] = terms[j] / terms.iter().sum::<f64>();
            (0..n).for_each(|d| output[i * n + d] += weights[i * s + j] * v.at(&[j, d]));
        }
    }
    (Tensor::from_vec(output, [l, n]), Tensor::from_vec(weights, [l, s]))
}

#[test]
fn the_plain_form_is_the_oracle() {
    manual_seed(1);
    for (shared, identity) in [(true, true), (false, true), (true, false), (false, false)] {
        let oracle = double(NotesAttention::new(3, 5).shared_kq(shared).v_identity(identity));
        let (x, y) = (leaf([4, 3]), leaf([6, 3]));
        let (output, weights) = oracle.forward(&x, &y);
        let matrix = |own: &Option<Param>| own.as_ref().or(oracle.w_kq.as_ref()).unwrap().tensor().clone();
        let (k, q) = (x.matmul(&matrix(&oracle.w_k)), y.matmul(&matrix(&oracle.w_q)));
        let v = oracle.w_v.as_ref().map_or(x.clone(), |w| x.matmul(w));
        assert!((&output - scaled_dot_product_attention(&q, &k, &v)).abs().max().item_f64() < 1e-14);
        let (expected, expected_weights) = plain(&q, &k, &v, |_, _| true);
        assert!(near(&output, &expected) && near(&weights, &expected_weights));
        assert_eq!((weights.shape(), output.size(0)), (Tensor::zeros([6, 4]).shape(), 6));
        check_gradients(&oracle, &[x, y], |m, x| vec![m.forward(&x[0], &x[1]).0]);
    }
    // With the same input on both sides and one matrix, the scores are symmetric: relevance cannot be one-sided.
    let attention = NotesAttention::new(3, 5);
    let x = Tensor::randn([4, 3]);
    let log = attention.forward(&x, &x).1.log();
    let centred = |t: Tensor| &t - t.diagonal(0, 0, 1).unsqueeze(1);
    let half = centred(log);
    let norms = x.matmul(attention.w_kq.as_ref().unwrap()).square().sum_dim(1, false) / 5f64.sqrt();
    let scores = half + norms.unsqueeze(1);
    assert!(near(&scores, &scores.t()));
}

#[test]
fn heads_are_attentions_side_by_side() {
    manual_seed(2);
    let layer = double(MultiheadAttention::new(6, 2).batch_first(true));
    let (q, k) = (leaf([1, 3, 6]), leaf([1, 4, 6]));
    let (_, weights) = layer.forward_with_weights(&q, &k, &k, &AttentionMasks::default(), false);
    let project = |x: &Tensor, i: usize| {
        let weight = layer.in_proj_weight.as_ref().unwrap();
        let bias = layer.in_proj_bias.as_ref().unwrap();
        x.select(0, 0).linear(&weight.narrow(0, 6 * i, 6), Some(&bias.narrow(0, 6 * i, 6)))
    };
    let (pq, pk, pv) = (project(&q, 0), project(&k, 1), project(&k, 2));
    let mut heads = vec![];
    for h in 0..2 {
        let [q, k, v] = [&pq, &pk, &pv].map(|t| t.narrow(1, 3 * h, 3));
        let (output, expected) = plain(&q, &k, &v, |_, _| true);
        assert!(near(&weights.select(0, 0).select(0, h), &expected));
        heads.push(output);
    }
    let joined = layer.out_proj.forward(&Tensor::cat(&[&heads[0], &heads[1]], 1));
    assert!(near(&layer.forward(&q, &k, &k, &AttentionMasks::default()).select(0, 0), &joined));
}

#[test]
fn the_same_tensor_is_projected_at_once_to_the_same_result() {
    manual_seed(3);
    let layer = MultiheadAttention::new(4, 2);
    let x = Tensor::randn([3, 2, 4]);
    let masks = AttentionMasks::causal();
    let y = layer.forward(&x, &x, &x, &masks);
    assert!(near(&y, &layer.forward(&x, &x.clone(), &x.clone(), &masks)));
    let kv = x.clone();
    assert!(near(&y, &layer.forward(&x, &kv, &kv, &masks)));
    assert!(near(&y, &layer.forward(&x, &x, &x.clone(), &masks)));
}

/// The score of one query and one key.
type Reference = fn(&dyn Score, &[f64], &[f64]) -> f64;

/// Every score with what computes it from a query and a key.
fn score_cases() -> Vec<(Box<dyn Score>, Reference)> {
    fn matrix(score: &dyn Score, name: &str) -> Tensor {
        score.named_parameters().into_iter().find(|(n, _)| n == name).unwrap().1
    }
    fn network(weights: &[(&Tensor, &[f64])], v: &Tensor) -> f64 {
        let unit = |h: usize| -> f64 {
            weights.iter().map(|(w, x)| (0..x.len()).map(|d| w.at(&[h, d]) * x[d]).sum::<f64>()).sum::<f64>().tanh()
        };
        (0..v.size(1)).map(|h| v.at(&[0, h]) * unit(h)).sum()
    }
    vec![
        (Box::new(double(GeneralScore::new(3, 2))), |score, q, k| {
            let w = matrix(score, "w_a");
            (0..3).map(|i| (0..2).map(|j| q[i] * w.at(&[i, j]) * k[j]).sum::<f64>()).sum()
        }),
        (Box::new(double(ConcatScore::new(3, 2, 4))), |score, q, k| {
            let joined: Vec<f64> = q.iter().chain(k).copied().collect();
            network(&[(&matrix(score, "w_a.weight"), &joined)], &matrix(score, "v_a.weight"))
        }),
        (Box::new(double(AdditiveScore::new(3, 2, 4))), |score, q, k| {
            let (w, u) = (matrix(score, "w_a.weight"), matrix(score, "u_a.weight"));
            network(&[(&w, q), (&u, k)], &matrix(score, "v_a.weight"))
        }),
    ]
}

#[test]
fn scores_are_those_of_the_papers() {
    manual_seed(4);
    let (q, k) = (leaf([2, 5, 3]), leaf([2, 4, 2]));
    for (score, reference) in score_cases() {
        let found = score.scores(&q, &k);
        assert_eq!(found.shape(), [2, 5, 4]);
        for at in 0..2 * 5 * 4 {
            let (n, i, j) = (at / 20, at / 4 % 5, at % 4);
            let row = |t: &Tensor, i: usize| t.select(0, n).select(0, i).to_vec::<f64>();
            let expected = reference(&*score, &row(&q, i), &row(&k, j));
            assert!((found.at(&[n, i, j]) - expected).abs() < 1e-12);
        }
        // One step alone.
        assert!(near(&score.scores(&q.select(1, 1), &k), &found.select(1, 1)));
        check_gradients(&score, &[q.clone(), k.clone()], |m, x| vec![m.scores(&x[0], &x[1])]);
    }
    // |a| |b| cos(angle)
    let (a, b) = (leaf([1, 3]), leaf([1, 1, 3]));
    let cosine = (&a * &b).sum() / (a.norm() * b.norm());
    assert!(near(&DotScore::new().scores(&a, &b).reshape(()), &(a.norm() * b.norm() * cosine)));
    check_gradients(&DotScore::new(), &[leaf([2, 3]), leaf([2, 4, 3])], |m, x| vec![m.scores(&x[0], &x[1])]);
}

#[test]
fn additive_is_concat_cut_in_two() {
    manual_seed(5);
    let (concat, additive) = (ConcatScore::new(3, 2, 4), AdditiveScore::new(3, 2, 4));
    let joined = Tensor::cat(&[&additive.w_a.weight, &additive.u_a.weight], 1).detach();
    let state = [("w_a.weight", joined), ("v_a.weight", additive.v_a.weight.detach())];
    concat.load_state_dict(&state.into_iter().map(|(n, t)| (n.to_string(), t)).collect::<StateDict>()).unwrap();
    let (q, k) = (Tensor::randn([2, 3]), Tensor::randn([2, 5, 2]));
    assert!(near(&concat.scores(&q, &k), &additive.scores(&q, &k)));
}

#[test]
fn a_decoder_step_sums_the_states_by_their_weights() {
    manual_seed(6);
    let attention = double(Attention::new(AdditiveScore::new(3, 2, 4)));
    let (state, encoded) = (leaf([2, 3]), leaf([2, 4, 2]));
    let padding = bools(&[0, 0, 0, 1, 0, 1, 1, 1], [2, 4]);
    let (context, weights) = attention.forward(&state, &encoded, Some(&padding));
    let scores = attention.score.scores(&state, &encoded);
    for n in 0..2 {
        let seen = if n == 0 { 3 } else { 1 };
        let terms: Vec<f64> = (0..seen).map(|j| scores.at(&[n, j]).exp()).collect();
        for j in 0..4 {
            let expected = if j < seen { terms[j] / terms.iter().sum::<f64>() } else { 0.0 };
            assert!((weights.at(&[n, j]) - expected).abs() < 1e-12);
        }
        for d in 0..2 {
            let expected: f64 = (0..4).map(|j| weights.at(&[n, j]) * encoded.at(&[n, j, d])).sum();
            assert!((context.at(&[n, d]) - expected).abs() < 1e-12);
        }
    }
    // All steps at once are the steps one by one; a float mask does as the Bool one.
    let steps = leaf([2, 5, 3]);
    let hidden = Tensor::full_of((), f64::NEG_INFINITY, DType::F64);
    let float = padding.where_(&hidden, &Tensor::zeros([2, 4]).to_dtype(DType::F64));
    let (contexts, all) = attention.forward(&steps, &encoded, Some(&float));
    for i in 0..5 {
        let (context, weights) = attention.forward(&steps.select(1, i), &encoded, Some(&padding));
        assert!(near(&contexts.select(1, i), &context) && near(&all.select(1, i), &weights));
    }
    check_gradients(&attention, &[state, encoded], |m, x| {
        let (context, weights) = m.forward(&x[0], &x[1], Some(&padding));
        vec![context, weights]
    });
}

#[test]
fn positions_are_sines_cosines_or_learned() {
    let layer = PositionalEncoding::new(5).max_len(7).dropout(0.0);
    let y = layer.forward(&Tensor::zeros([7, 2, 5]).to_dtype(DType::F64));
    for (t, d) in (0..7).flat_map(|t| (0..5).map(move |d| (t, d))) {
        let angle = t as f64 / 10000f64.powf((d / 2 * 2) as f64 / 5.0);
        let expected = if d % 2 == 0 { angle.sin() } else { angle.cos() };
        assert!((y.at(&[t, 1, d]) - expected).abs() < 1e-12);
    }
    let first = PositionalEncoding::new(5).dropout(0.0).batch_first(true);
    assert!(near(&first.forward(&Tensor::zeros([2, 7, 5])), &y.transpose(0, 1).to_dtype(DType::F32)));
    assert!(layer.state_dict().is_empty() && layer.parameters().is_empty());
    let learned = double(LearnedPositionalEncoding::new(4, 3).dropout(0.0));
    let x = leaf([3, 2, 3]);
    assert!(near(&learned.forward(&x), &(&x + learned.weight.narrow(0, 0, 3).unsqueeze(1))));
    check_gradients(&learned, std::slice::from_ref(&x), |m, x| vec![m.forward(&x[0]).square()]);
    let learned = double(LearnedPositionalEncoding::new(4, 3).dropout(0.0).batch_first(true));
    assert!(near(&learned.forward(&x), &(&x + learned.weight.narrow(0, 0, 2))));
}

#[test]
fn rotated_scores_depend_on_the_distance() {
    manual_seed(7);
    let rotary = RotaryPositionalEmbedding::new(6).base(100.0).max_seq_len(32);
    let (q, k) = (leaf([1, 6]), leaf([1, 6]));
    let score = |i: usize, j: usize| (rotary.forward_from(&q, i) * rotary.forward_from(&k, j)).sum().item_f64();
    for (i, j, shift) in [(0, 0, 9), (3, 1, 5), (2, 7, 20)] {
        assert!((score(i, j) - score(i + shift, j + shift)).abs() < 1e-12);
    }
    assert!((score(3, 1) - score(4, 1)).abs() > 1e-3);
    let x = leaf([2, 3, 5, 6]);
    let y = rotary.forward(&x);
    assert!(near(&y.square().sum_dim(-1, false), &x.square().sum_dim(-1, false)));
    for (t, p) in (0..5).flat_map(|t| (0..3).map(move |p| (t, p))) {
        let (sin, cos) = (t as f64 * 100f64.powf(-(p as f64) / 3.0)).sin_cos();
        let (a, b) = (x.at(&[1, 2, t, 2 * p]), x.at(&[1, 2, t, 2 * p + 1]));
        assert!((y.at(&[1, 2, t, 2 * p]) - (a * cos - b * sin)).abs() < 1e-12);
        assert!((y.at(&[1, 2, t, 2 * p + 1]) - (a * sin + b * cos)).abs() < 1e-12);
    }
    check_gradients(&rotary, &[leaf([2, 6])], |m, x| vec![m.forward_from(&x[0], 3).square()]);
}

#[test]
fn linear_biases_fall_with_the_distance() {
    let bias = alibi_bias(8, 4, 5);
    for at in 0..8 * 4 * 5 {
        let (h, i, j) = (at / 20, at / 5 % 4, at % 5);
        let expected = -0.5f64.powi(h as i32 + 1) * (i as f64 - j as f64).abs();
        assert_eq!(bias.at(&[h, i, j]), expected);
    }
    // Six heads: those of four, then the first and third of eight.
    let slopes: Vec<f64> = (0..6).map(|h| -alibi_bias(6, 1, 2).at(&[h, 0, 1])).collect();
    let expected = [2.0, 4.0, 6.0, 8.0, 1.0, 3.0].map(|e: f64| (-e).exp2() as f32 as f64);
    assert_eq!(slopes, expected);
    let x = Tensor::randn([2, 6, 5, 3]);
    let options = AttentionOptions { attn_mask: Some(alibi_bias(6, 5, 5)), ..Default::default() };
    assert_eq!(scaled_dot_product_attention_with(&x, &x, &x, options).shape(), [2, 6, 5, 3]);
}
