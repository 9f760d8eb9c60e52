//! Edges, dropout, initial values and messages.

use crate::support::panic_of;
use crate::{bools, causal_target, near, small_transformer};
use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed};

// ---- Edges

#[test]
fn a_query_that_sees_nothing_gets_zeros_and_finite_gradients() {
    manual_seed(16);
    let hidden = Tensor::full([3, 3], f64::NEG_INFINITY);
    for mask in [bools(&[0; 9], [3, 3]), hidden] {
        let x = Tensor::randn([3, 4]).requires_grad_(true);
        let y = scaled_dot_product_attention_with(
            &x,
            &x,
            &x,
            AttentionOptions { attn_mask: Some(mask), ..Default::default() },
        );
        assert_eq!(y.to_vec::<f32>(), [0.0; 12]);
        y.sum().backward();
        assert_eq!(x.grad().unwrap().to_vec::<f32>(), [0.0; 12]);
    }
    // The second example is padding throughout.
    let masks = AttentionMasks::padding(bools(&[0, 0, 1, 1, 1, 1], [2, 3]));
    let layer = TransformerEncoderLayer::new(4, 2).dim_feedforward(8).dropout(0.0).batch_first(true);
    let x = Tensor::randn([2, 3, 4]).requires_grad_(true);
    let (y, weights) = layer.self_attn.forward_with_weights(&x, &x, &x, &masks, false);
    assert_eq!(weights.select(0, 1).to_vec::<f32>(), [0.0; 18]);
    let bias = layer.self_attn.out_proj.bias.as_deref().unwrap();
    assert!(near(&y.select(0, 1), &bias.expand([3, 4])));
    layer.forward_masked(&x, &masks).square().sum().backward();
    let gradients = layer.parameters().into_iter().chain([x]).map(|p| p.grad().unwrap());
    gradients.for_each(|g| assert!(g.isfinite().all()));
    let attention = Attention::new(DotScore::new());
    let (state, encoded) = (Tensor::randn([1, 4]), Tensor::randn([1, 3, 4]));
    let (context, weights) = attention.forward(&state, &encoded, Some(&bools(&[1; 3], [1, 3])));
    assert_eq!((context.to_vec::<f32>(), weights.to_vec::<f32>()), (vec![0.0; 4], vec![0.0; 3]));
}

#[test]
fn huge_scores_do_not_overflow() {
    let q = Tensor::from_slice(&[1e4f32, -1e4], [2, 1]);
    let y = scaled_dot_product_attention(&q, &Tensor::from_slice(&[1e4f32, -1e4], [2, 1]), &Tensor::eye(2));
    assert_eq!(y.to_vec::<f32>(), [1.0, 0.0, 0.0, 1.0]);
}

#[test]
fn sequences_and_batches_may_be_empty_or_of_one() {
    manual_seed(17);
    let masks = AttentionMasks::causal();
    let encoder = TransformerEncoder::new(|| TransformerEncoderLayer::new(4, 2).dim_feedforward(8), 2);
    let model = small_transformer(1);
    for (length, n) in [(0, 2), (1, 2), (3, 0), (1, 1), (0, 0)] {
        let x = Tensor::randn([length, n, 4]).requires_grad_(true);
        let y = encoder.forward_masked(&x, &masks);
        assert_eq!(y.shape(), [length, n, 4]);
        y.sum().backward();
        assert_eq!(x.grad().unwrap().shape(), [length, n, 4]);
        // An empty source: the decoder goes by the target alone.
        let y = model.forward(&Tensor::randn([0, n, 4]), &Tensor::randn([length, n, 4]), &causal_target());
        assert!(y.shape() == [length, n, 4] && y.isfinite().all());
    }
    // A sequence of one attends to itself: the value comes through.
    let x = Tensor::randn([2, 1, 4]);
    assert!(near(&scaled_dot_product_attention(&x, &x, &x), &x));
    let empty = scaled_dot_product_attention(&x, &Tensor::zeros([2, 0, 4]), &Tensor::zeros([2, 0, 3]));
    assert_eq!(empty.to_vec::<f32>(), [0.0; 6]);
    let positions = PositionalEncoding::new(4);
    assert_eq!(positions.forward(&Tensor::zeros([0, 2, 4])).shape(), [0, 2, 4]);
    assert_eq!(RotaryPositionalEmbedding::new(4).forward(&Tensor::zeros([2, 0, 4])).shape(), [2, 0, 4]);
    let (context, weights) =
        Attention::new(DotScore::new()).forward(&Tensor::zeros([2, 4]), &Tensor::zeros([2, 0, 4]), None);
    assert_eq!((context.to_vec::<f32>(), weights.shape()), (vec![0.0; 8], Tensor::zeros([2, 0]).shape()));
}

// ---- Dropout and initial values

fn share_of_zeros(t: &Tensor) -> f64 {
    t.eq_scalar(0.0).to_dtype(DType::F64).mean().item_f64()
}

fn fill(p: &Tensor, value: f64) {
    init::constant_(p, value);
}

#[test]
fn dropout_acts_on_weights_in_training() {
    manual_seed(18);
    let layer = MultiheadAttention::new(4, 2).dropout(0.3);
    let (x, none) = (Tensor::randn([150, 1, 4]), AttentionMasks::default());
    let (_, dropped) = layer.forward_with_weights(&x, &x, &x, &none, false);
    layer.eval();
    let (_, all) = layer.forward_with_weights(&x, &x, &x, &none, false);
    // 45000 draws: a standard deviation is 0.0022.
    assert!(share_of_zeros(&all) == 0.0 && (share_of_zeros(&dropped) - 0.3).abs() < 0.01);
    let kept = dropped.ne_scalar(0.0).to_dtype(DType::F32);
    assert!(near(&dropped, &(&all * kept / 0.7)));
    let ones = Tensor::zeros([150, 150]);
    let options = AttentionOptions { dropout_p: 0.3, ..Default::default() };
    let weights = scaled_dot_product_attention_with(&ones, &ones, &Tensor::eye(150), options);
    assert!((share_of_zeros(&weights) - 0.3).abs() < 0.015);
    assert!((weights.max().item() - 1.0 / (150.0 * 0.7)).abs() < 1e-6);
}

#[test]
fn dropout_acts_on_branches_and_hidden_units_in_training() {
    manual_seed(19);
    let layer = TransformerEncoderLayer::new(64, 1).dim_feedforward(64).dropout(0.25).norm_first(true);
    let (x, [attention, linear1, linear2]) =
        (Tensor::zeros([100, 1, 64]), [&layer.self_attn.out_proj, &layer.linear1, &layer.linear2]);
    [attention, linear1, linear2].iter().for_each(|l| fill(&l.weight, 0.0));
    fill(linear2.bias.as_deref().unwrap(), 0.0);
    // Ones from the attention, nothing from the network.
    fill(attention.bias.as_deref().unwrap(), 1.0);
    let y = layer.forward(&x);
    assert!((share_of_zeros(&y) - 0.25).abs() < 0.025 && (y.max().item() - 1.0 / 0.75).abs() < 1e-6);
    // Ones from the hidden units, each through to one output: dropped as such, and as an element of the result.
    fill(attention.bias.as_deref().unwrap(), 0.0);
    fill(linear1.bias.as_deref().unwrap(), 1.0);
    gradus_tensor::no_grad(|| linear2.weight.copy_(&Tensor::eye(64)));
    let y = layer.forward(&x);
    let expected = 1.0 - 0.75 * 0.75;
    assert!((share_of_zeros(&y) - expected).abs() < 0.03 && (y.max().item() - 1.0 / (0.75 * 0.75)).abs() < 1e-6);
    layer.eval();
    assert_eq!(layer.forward(&x).to_vec::<f32>(), [1.0; 6400]);
    let positions = PositionalEncoding::new(64).dropout(0.5);
    assert!((share_of_zeros(&positions.forward(&(Tensor::ones([100, 1, 64]) * 5.0))) - 0.5).abs() < 0.03);
}

#[test]
fn dropout_acts_in_the_decoder_and_its_parts() {
    manual_seed(21);
    let layer = TransformerDecoderLayer::new(64, 1).dim_feedforward(8).dropout(0.25).norm_first(true);
    let (x, none) = (Tensor::zeros([100, 1, 64]), AttentionMasks::default());
    let attentions = [&layer.self_attn.out_proj, &layer.multihead_attn.out_proj];
    [attentions[0], attentions[1], &layer.linear2].iter().for_each(|l| fill(&l.weight, 0.0));
    fill(layer.linear2.bias.as_deref().unwrap(), 0.0);
    // Ones from either attention in turn, nothing from the other and from the network.
    for (on, off) in [(0, 1), (1, 0)] {
        fill(attentions[on].bias.as_deref().unwrap(), 1.0);
        fill(attentions[off].bias.as_deref().unwrap(), 0.0);
        layer.train();
        let y = layer.forward(&x, &x, &none, &none);
        assert!((share_of_zeros(&y) - 0.25).abs() < 0.025 && (y.max().item() - 1.0 / 0.75).abs() < 1e-6);
        layer.eval();
        assert_eq!(layer.forward(&x, &x, &none, &none).to_vec::<f32>(), [1.0; 6400]);
    }
    // The weights of both attentions are dropped as well.
    layer.train();
    for attention in [&layer.self_attn, &layer.multihead_attn] {
        let (_, weights) = attention.forward_with_weights(&x, &x, &x, &none, true);
        assert!((share_of_zeros(&weights) - 0.25).abs() < 0.025);
    }
    let network = PositionwiseFeedForward::new(64, 64).dropout(0.25).bias(false);
    gradus_tensor::no_grad(|| network.linear1.weight.copy_(&Tensor::eye(64)));
    gradus_tensor::no_grad(|| network.linear2.weight.copy_(&Tensor::eye(64)));
    assert!((share_of_zeros(&network.forward(&(&x + 1.0))) - 0.25).abs() < 0.025);
    let learned = LearnedPositionalEncoding::new(100, 64).dropout(0.5);
    assert!((share_of_zeros(&learned.forward(&(&x + 1.0))) - 0.5).abs() < 0.03);
}

#[test]
fn parameters_begin_as_in_pytorch() {
    manual_seed(20);
    let max = |p: &Tensor| p.abs().max().item_f64();
    let near = |found: f64, bound: f64| found <= bound && found > 0.97 * bound;
    let layer = MultiheadAttention::new(32, 4).add_bias_kv(true);
    assert!(near(max(layer.in_proj_weight.as_ref().unwrap()), (6.0f64 / 128.0).sqrt()));
    assert!(near(max(&layer.out_proj.weight), 1.0 / 32f64.sqrt()));
    assert_eq!([&layer.in_proj_bias, &layer.out_proj.bias].map(|b| max(b.as_ref().unwrap())), [0.0; 2]);
    // Xavier's normal rule for [1, 1, 32]: a variance of 2 / 64.
    let spread = layer.bias_k.as_ref().unwrap().square().mean().item_f64() * 32.0;
    assert!((0.4..2.0).contains(&spread), "{spread}");
    let layer = MultiheadAttention::new(32, 4).kdim(16).vdim(64);
    assert!(near(max(layer.k_proj_weight.as_ref().unwrap()), (6.0f64 / 48.0).sqrt()));
    assert!(near(max(layer.v_proj_weight.as_ref().unwrap()), (6.0f64 / 96.0).sqrt()));
    let options = TransformerOptions { d_model: 32, nhead: 4, dim_feedforward: 64, ..Default::default() };
    let model = Transformer::new(TransformerOptions { num_encoder_layers: 2, num_decoder_layers: 2, ..options });
    for (name, p) in model.named_parameters().iter().filter(|(_, p)| p.rank() == 2) {
        let bound = (6.0 / (p.size(0) + p.size(1)) as f64).sqrt();
        assert!(near(max(p), bound), "{name}");
    }
    let first = |i: usize| model.encoder.layers[i].linear1.weight.to_vec::<f32>();
    assert_ne!(first(0), first(1));
}

#[test]
fn arguments_may_come_in_any_order() {
    let a = TransformerEncoderLayer::new(4, 2).bias(false).dim_feedforward(8).batch_first(true);
    let b = TransformerEncoderLayer::new(4, 2).batch_first(true).dim_feedforward(8).bias(false);
    let names = |m: &dyn Module| m.state_dict().iter().map(|(n, t)| format!("{n} {}", t.shape())).collect::<Vec<_>>();
    assert_eq!(names(&a), names(&b));
    assert_eq!(names(&a).len(), 6);
    let a = MultiheadAttention::new(4, 2).bias(false).kdim(3).add_bias_kv(true);
    let b = MultiheadAttention::new(4, 2).add_bias_kv(true).kdim(3).bias(false);
    assert_eq!(names(&a), names(&b));
}

// ---- Messages

#[test]
fn wrong_shapes_name_the_layer() {
    let model = small_transformer(2);
    model.parameters();
    let (none, x) = (AttentionMasks::default(), Tensor::zeros([3, 2, 4]));
    let wide = Tensor::zeros([3, 2, 5]);
    let attn = &model.encoder.layers[1].self_attn;
    assert_eq!(
        panic_of(|| model.encoder.forward(&wide)),
        "MultiheadAttention in layer `encoder.layers.0.self_attn`: needs query [L, N, 4], key [S, N, 4] and value \
         [S, N, 4], got [3, 2, 5], [3, 2, 5] and [3, 2, 5]"
    );
    let message = panic_of(|| attn.forward(&x, &Tensor::zeros([3, 1, 4]), &Tensor::zeros([3, 1, 4]), &none));
    assert!(message.contains("layer `encoder.layers.1.self_attn`") && message.contains("got [3, 2, 4], [3, 1, 4]"));
    let attn_mask = Some(Tensor::zeros([2, 3]));
    assert_eq!(
        panic_of(|| attn.forward(&x, &x, &x, &AttentionMasks { attn_mask, ..Default::default() })),
        "MultiheadAttention in layer `encoder.layers.1.self_attn`: needs an attn_mask [3, 3] or [4, 3, 3], got [2, 3]"
    );
    let message = panic_of(|| attn.forward(&x, &x, &x, &AttentionMasks::padding(Tensor::zeros([3, 2]))));
    assert!(message.ends_with("needs a key_padding_mask [2, 3], got [3, 2]"), "{message}");
    let indices = AttentionMasks::padding(Tensor::zeros([2, 3]).to_dtype(DType::I64));
    assert!(panic_of(|| attn.forward(&x, &x, &x, &indices)).ends_with("needs a mask of bool or float, got i64"));
    assert_eq!(
        panic_of(|| model.forward(&x, &wide, &TransformerMasks::default())),
        "Transformer: needs [S, N, 4] and [T, N, 4], got [3, 2, 4] and [3, 2, 5]"
    );
    assert_eq!(
        panic_of(|| MultiheadAttention::new(10, 3)),
        "MultiheadAttention: embed_dim 10 must be a multiple of num_heads 3"
    );
    assert!(panic_of(|| TransformerEncoderLayer::new(4, 0)).contains("multiple of num_heads 0"));
    assert!(panic_of(|| MultiheadAttention::new(4, 2).dropout(1.5)).contains("1.5 is not a probability"));
}

#[test]
fn wrong_shapes_are_named_by_functions_scores_and_positions() {
    let (x, mask) = (Tensor::zeros([2, 3, 4]), Some(Tensor::zeros([2, 3])));
    const OP: &str = "scaled_dot_product_attention";
    assert_eq!(
        panic_of(|| scaled_dot_product_attention(&x, &Tensor::zeros([2, 3, 5]), &x)),
        format!(
            "{OP}: needs query [..., L, E], key [..., S, E] and value [..., S, Ev], got [2, 3, 4], [2, 3, 5] and [2, 3, 4]"
        )
    );
    let with = |options| panic_of(|| scaled_dot_product_attention_with(&x, &x, &x, options));
    assert_eq!(
        with(AttentionOptions { attn_mask: mask.clone(), ..Default::default() }),
        format!("{OP}: needs an attn_mask that broadcasts to [..., 3, 3], got [2, 3]")
    );
    let both = AttentionOptions { attn_mask: mask, is_causal: true, ..Default::default() };
    assert_eq!(with(both), format!("{OP}: takes attn_mask or is_causal, not both"));
    assert!(with(AttentionOptions { dropout_p: -0.1, ..Default::default() }).contains("-0.1 is not a probability"));
    let grouped = AttentionOptions { enable_gqa: true, ..Default::default() };
    let message = panic_of(|| scaled_dot_product_attention_with(&Tensor::zeros([3, 2, 4]), &x, &x, grouped));
    assert!(
        message.contains("the heads (dimension -3) of [3, 2, 4] to be a multiple of those of [2, 3, 4]"),
        "{message}"
    );
    let attention = Attention::new(GeneralScore::new(3, 2));
    attention.parameters();
    let (query, keys) = (Tensor::zeros([2, 3]), Tensor::zeros([2, 5, 4]));
    assert_eq!(
        panic_of(|| attention.forward(&query, &keys, None)),
        "GeneralScore in layer `score`: needs a query [N, 3] or [N, L, 3] and keys [N, S, 2], got [2, 3] and [2, 5, 4]"
    );
    let message = panic_of(|| attention.forward(&query, &Tensor::zeros([2, 5, 2]), Some(&Tensor::zeros([5]))));
    assert_eq!(message, "Attention: needs a key_padding_mask [2, 5], got [5]");
    let message = panic_of(|| DotScore::new().scores(&query, &keys));
    assert!(message.ends_with("needs a query [N, E] or [N, L, E] and keys [N, S, E], got [2, 3] and [2, 5, 4]"));
    let message = panic_of(|| NotesAttention::new(3, 2).forward(&query, &x.select(0, 0)));
    assert_eq!(message, "NotesAttention: needs x [S, 3] and y [L, 3], got [2, 3] and [3, 4]");
    let positions = PositionalEncoding::new(4).max_len(2);
    assert!(panic_of(|| positions.forward(&query)).ends_with("needs an input [L, N, 4] or [L, 4], got [2, 3]"));
    let message = panic_of(|| positions.forward(&Tensor::zeros([3, 1, 4])));
    assert_eq!(message, "PositionalEncoding: has max_len 2 positions, the input [3, 1, 4] has 3");
    let rotary = RotaryPositionalEmbedding::new(4).max_seq_len(8);
    assert!(panic_of(|| rotary.forward(&query)).ends_with("needs an input [..., L, 4], got [2, 3]"));
    assert!(panic_of(|| rotary.forward_from(&x, 6)).ends_with("has max_seq_len 8, the input [2, 3, 4] has 6..9"));
    assert!(panic_of(|| RotaryPositionalEmbedding::new(3)).ends_with("dim must be even, got 3"));
}
