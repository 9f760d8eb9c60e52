//! Gradients to the second order, and what sees what.

use crate::support::check_gradients;
use crate::{bools, causal_target, double, leaf, near, small_transformer};
use gradus_nn::*;
use gradus_tensor::{Tensor, manual_seed};

// ---- Gradients

#[test]
fn gradients_of_the_function_are_right_to_the_second_order() {
    manual_seed(8);
    let inputs = [leaf([2, 3, 2]), leaf([2, 4, 2]), leaf([2, 4, 3]), leaf([3, 4])];
    let attend = |x: &[Tensor], options| vec![scaled_dot_product_attention_with(&x[0], &x[1], &x[2], options)];
    check_gradients(&ReLU, &inputs, |_, x| {
        attend(x, AttentionOptions { attn_mask: Some(x[3].clone()), ..Default::default() })
    });
    check_gradients(&ReLU, &inputs[..3], |_, x| attend(x, AttentionOptions { is_causal: true, ..Default::default() }));
    // The second query sees nothing.
    let mask = bools(&[1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0], [3, 4]);
    let options = AttentionOptions { attn_mask: Some(mask), scale: Some(0.7), ..Default::default() };
    check_gradients(&ReLU, &inputs[..3], |_, x| attend(x, options.clone()));
}

#[test]
fn gradients_of_multihead_attention_are_right_to_the_second_order() {
    manual_seed(9);
    let padding = bools(&[0, 0, 1, 1, 1, 1], [2, 3]);
    let masks = AttentionMasks { is_causal: true, ..AttentionMasks::padding(padding) };
    let layer = double(MultiheadAttention::new(4, 2).batch_first(true));
    check_gradients(&layer, &[leaf([2, 3, 4])], |m, x| vec![m.forward(&x[0], &x[0], &x[0], &masks)]);
    let layer = double(MultiheadAttention::new(4, 2).kdim(3).vdim(2).add_bias_kv(true).add_zero_attn(true));
    check_gradients(&layer, &[leaf([2, 1, 4]), leaf([3, 1, 3]), leaf([3, 1, 2])], |m, x| {
        let (output, weights) = m.forward_with_weights(&x[0], &x[1], &x[2], &AttentionMasks::default(), true);
        vec![output, weights]
    });
}

#[test]
fn gradients_of_transformers_are_right_to_the_second_order() {
    manual_seed(10);
    let (none, causal) = (AttentionMasks::default(), AttentionMasks::causal());
    for norm_first in [false, true] {
        let layer = TransformerEncoderLayer::new(4, 2).dim_feedforward(3).dropout(0.0).norm_first(norm_first);
        let layer = double(layer.activation(Tensor::gelu));
        check_gradients(&layer, &[leaf([3, 1, 4])], |m, x| vec![m.forward_masked(&x[0], &causal)]);
        let layer = TransformerDecoderLayer::new(4, 2).dim_feedforward(3).dropout(0.0).norm_first(norm_first);
        check_gradients(&double(layer), &[leaf([2, 1, 4]), leaf([3, 1, 4])], |m, x| {
            vec![m.forward(&x[0], &x[1], &causal, &none)]
        });
    }
    let model = double(small_transformer(1));
    check_gradients(&model, &[leaf([2, 1, 4]), leaf([2, 1, 4])], |m, x| {
        vec![m.forward(&x[0], &x[1], &causal_target())]
    });
    let network = double(PositionwiseFeedForward::new(3, 4).dropout(0.0).activation(Tensor::gelu));
    check_gradients(&network, &[leaf([2, 3])], |m, x| vec![m.forward(&x[0])]);
}

// ---- What sees what

/// `x` with other numbers at position `t` of dimension 0.
fn changed_at(x: &Tensor, t: usize) -> Tensor {
    let y = Tensor::from_slice(&x.to_vec::<f32>(), x.shape());
    gradus_tensor::no_grad(|| y.select(0, t).copy_(&Tensor::randn(y.select(0, t).shape())));
    y
}

fn rows_that_differ(a: &Tensor, b: &Tensor) -> Vec<usize> {
    (0..a.size(0)).filter(|&t| a.select(0, t).to_vec::<f32>() != b.select(0, t).to_vec::<f32>()).collect()
}

/// What is fed a sequence `[L, 1, 4]` and masks.
type Call<'a> = &'a dyn Fn(&Tensor, &AttentionMasks) -> Tensor;

#[test]
fn no_position_sees_a_later_one() {
    manual_seed(11);
    let masked = [
        AttentionMasks::causal(),
        AttentionMasks { attn_mask: Some(generate_square_subsequent_mask(5)), ..Default::default() },
    ];
    let attention = MultiheadAttention::new(4, 2);
    let layer = || TransformerEncoderLayer::new(4, 2).dim_feedforward(8).dropout(0.0);
    let encoder = TransformerEncoder::new(layer, 2);
    let (model, src) = (small_transformer(2), Tensor::randn([3, 1, 4]));
    let calls: [Call; 4] = [
        &|x, _| {
            let causal = AttentionOptions { is_causal: true, ..Default::default() };
            let x = x.transpose(0, 1);
            scaled_dot_product_attention_with(&x, &x, &x, causal).transpose(0, 1)
        },
        &|x, masks| attention.forward(x, x, x, masks),
        &|x, masks| encoder.forward_masked(x, masks),
        &|x, masks| model.forward(&src, x, &TransformerMasks { tgt: masks.clone(), ..Default::default() }),
    ];
    for (call, masks) in calls.iter().flat_map(|c| masked.iter().map(move |m| (c, m))) {
        let x = Tensor::randn([5, 1, 4]);
        for t in 0..5 {
            let later: Vec<usize> = (t..5).collect();
            assert_eq!(rows_that_differ(&call(&x, masks), &call(&changed_at(&x, t), masks)), later);
        }
    }
    // Without a mask, all see all.
    let x = Tensor::randn([5, 1, 4]);
    assert_eq!(rows_that_differ(&encoder.forward(&x), &encoder.forward(&changed_at(&x, 4))), [0, 1, 2, 3, 4]);
}

#[test]
fn without_positions_self_attention_is_blind_to_order() {
    manual_seed(12);
    let encoder = TransformerEncoder::new(|| TransformerEncoderLayer::new(4, 2).dim_feedforward(8).dropout(0.0), 2);
    let positions = PositionalEncoding::new(4).dropout(0.0);
    let order = Tensor::from_slice(&[3i64, 0, 4, 1, 2], [5]);
    let x = Tensor::randn([5, 2, 4]);
    let shuffled = x.index_select(0, &order);
    let difference = |f: &dyn Fn(&Tensor) -> Tensor| (f(&x).index_select(0, &order) - f(&shuffled)).abs().max().item();
    assert!(difference(&|x| encoder.forward(x)) < 1e-5);
    assert!(difference(&|x| encoder.forward(&positions.forward(x))) > 0.1);
    // Attention to a memory does not depend on the memory's order.
    let attention = MultiheadAttention::new(4, 2);
    let query = Tensor::randn([3, 2, 4]);
    let attend = |memory: &Tensor| attention.forward(&query, memory, memory, &AttentionMasks::default());
    assert!(near(&attend(&x), &attend(&shuffled)));
}

#[test]
fn the_decoder_attends_to_itself_then_to_the_memory() {
    manual_seed(13);
    let layer = TransformerDecoderLayer::new(4, 2).dim_feedforward(8).dropout(0.0);
    let (tgt, memory, none) = (Tensor::randn([3, 1, 4]), Tensor::randn([5, 1, 4]), AttentionMasks::default());
    let causal = AttentionMasks::causal();
    let y = layer.forward(&tgt, &memory, &causal, &none);
    let x = layer.norm1.forward(&(&tgt + layer.self_attn.forward(&tgt, &tgt, &tgt, &causal)));
    let x = layer.norm2.forward(&(&x + layer.multihead_attn.forward(&x, &memory, &memory, &none)));
    let network = layer.linear2.forward(&layer.linear1.forward(&x).relu());
    assert!(near(&y, &layer.norm3.forward(&(&x + network))));
    // Every position sees all of the memory, whatever the target's mask.
    for t in 0..5 {
        let other = layer.forward(&tgt, &changed_at(&memory, t), &causal, &none);
        assert_eq!(rows_that_differ(&y, &other), [0, 1, 2]);
    }
    // It is the encoder's output that the decoder of a transformer sees, and nothing else of the source.
    let model = small_transformer(2);
    let (src, masks) = (Tensor::randn([5, 1, 4]), causal_target());
    let by_hand = model.decoder.forward(&tgt, &model.encoder.forward(&src), &masks.tgt, &masks.memory);
    assert!(near(&model.forward(&src, &tgt, &masks), &by_hand));
    let hidden = AttentionMasks::padding(bools(&[1; 5], [1, 5]));
    let blind = TransformerMasks { memory: hidden, ..causal_target() };
    let others = model.forward(&changed_at(&src, 2), &tgt, &blind);
    assert_eq!(rows_that_differ(&model.forward(&src, &tgt, &blind), &others), [0usize; 0]);
}

#[test]
fn the_content_of_padding_does_not_matter() {
    manual_seed(14);
    let encoder = TransformerEncoder::new(|| TransformerEncoderLayer::new(4, 2).dim_feedforward(8).dropout(0.0), 2);
    let short = Tensor::randn([3, 1, 4]);
    let padded = Tensor::cat(&[&short, &(Tensor::randn([2, 1, 4]) * 100.0)], 0);
    let masks = AttentionMasks::padding(bools(&[0, 0, 0, 1, 1], [1, 5]));
    assert!(near(&encoder.forward_masked(&padded, &masks).narrow(0, 0, 3), &encoder.forward(&short)));
}

#[test]
fn the_network_is_the_same_at_every_position() {
    manual_seed(15);
    let network = PositionwiseFeedForward::new(3, 4).dropout(0.0);
    let x = Tensor::randn([5, 2, 3]);
    let y = network.forward(&x);
    for t in 0..5 {
        let hidden =
            (x.select(0, t).matmul(&network.linear1.weight.t()) + network.linear1.bias.as_deref().unwrap()).relu();
        let expected = hidden.matmul(&network.linear2.weight.t()) + network.linear2.bias.as_deref().unwrap();
        assert!(near(&y.select(0, t), &expected));
    }
    assert_eq!(PositionwiseFeedForward::new(3, 4).bias(false).num_parameters(), 24);
}
