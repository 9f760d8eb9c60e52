//! Layers of sequences: recurrent cells and layers, attention, transformers.

use super::case::*;
use gradus::prelude::*;

pub fn cases() -> Vec<Case> {
    let mut all = cells();
    all.extend(recurrent());
    all.extend(readers());
    all.extend(lengths_and_pieces());
    all.extend(scores());
    all.extend(attention());
    all.extend(positions());
    all.extend(transformers());
    all
}

/// Five steps of three sequences, four numbers each.
fn sequences() -> Tensor {
    Tensor::randn([5, 3, 4])
}

/// Four steps of two films, one channel.
fn films() -> Tensor {
    Tensor::randn([2, 4, 1, 5, 5])
}

/// Two steps of a cell, so that the weights of the state are used as well.
fn two_steps<C: RecurrentCell>(cell: &C, x: &Tensor) -> Tensor {
    let state = cell.forward(x, None);
    cell.output(&cell.forward(x, Some(&state)))
}

/// The outputs of a layer.
fn outputs<C: RecurrentCell>(layer: &Recurrent<C>, x: &Tensor) -> Tensor {
    layer.forward(x, None).0
}

fn cells() -> Vec<Case> {
    let x = || Tensor::randn([6, 4]);
    let image = || Tensor::randn([2, 1, 5, 5]);
    vec![
        with("RNNCell", || RNNCell::new(4, 3).nonlinearity(Tanh), two_steps, x()),
        with("GRUCell", || GRUCell::new(4, 3).update_gate(UpdateGate::Writes), two_steps, x()),
        with("LSTMCell", || LSTMCell::new(4, 3).forget_bias(1.0), two_steps, x()),
        with("PeepholeLSTMCell", || PeepholeLSTMCell::new(4, 3), two_steps, x()),
        with("ConvRNNCell", || ConvRNNCell::new(1, 2, 3).read_out(2, Sigmoid), two_steps, image()),
        with("ConvLSTMCell", || ConvLSTMCell::new(1, 2, 3).peepholes(5, 5), two_steps, image()),
        with(
            "LSTMGates",
            || LSTMCell::new(4, 3),
            |cell: &LSTMCell, x| {
                let rows = x.size(0);
                let before = LSTMState { h: Tensor::zeros([rows, 3]), c: Tensor::ones([rows, 3]) };
                let gates = cell.gates(x, &before);
                gates.use_gate(&gates.remember(&before.c))
            },
            x(),
        ),
    ]
}

fn recurrent() -> Vec<Case> {
    vec![
        with("RNN", || RNN::new(4, 3).single_bias(), outputs, sequences()),
        with("GRU", || GRU::new(4, 3).bidirectional(true), outputs, sequences()),
        with("LSTM", || LSTM::new(4, 3).num_layers(2).proj_size(2), outputs, sequences()).loss("mse_loss"),
        with("PeepholeLSTM", || PeepholeLSTM::new(4, 3), outputs, sequences()),
        with("Recurrent", || Recurrent::of(GRUCell::new(4, 3).reset_after(false)), outputs, sequences()),
        with("ConvRNN", || ConvRNN::new(1, 2, 3), outputs, films()),
        with("ConvLSTM", || ConvLSTM::new(1, 2, 3), outputs, films()).loss("mse_loss"),
        with("VanillaRNN", || VanillaRNN::new(4, 3, 2), |net: &VanillaRNN, x| net.forward(x, None).0, sequences()),
        with(
            "ElmanNetwork",
            || ElmanNetwork::new(4, 3, 2).two_biases(true),
            |net: &ElmanNetwork, x| net.forward(x, None).0,
            sequences(),
        ),
        alone("TDNN", || TDNN::new(4, 3, 2).causal(true).activation(Sigmoid), sequences()),
    ]
}

fn readers() -> Vec<Case> {
    vec![
        alone("LastStep", || LastStep::new(LSTM::new(4, 3)), sequences()),
        alone("Outputs", || Outputs::new(RNN::new(4, 3).batch_first(true)), sequences()),
        alone("Stateful", || Stateful::new(GRU::new(4, 3), Reset::PerBatch), sequences()),
    ]
}

/// Sequences of different lengths, and sequences in pieces.
fn lengths_and_pieces() -> Vec<Case> {
    vec![
        with(
            "PackedSequence",
            || GRU::new(4, 3),
            |layer: &GRU, x| {
                let packed = pack_padded_sequence(x, &[5, 2, 4], false, false);
                let (y, _) = layer.forward_packed(&packed, None);
                pad_packed_sequence(&y, false, 0.0, None).0
            },
            sequences(),
        ),
        with(
            "TimeChunk",
            || RNN::new(4, 3),
            |layer: &RNN, x| {
                let mut pieces = vec![];
                truncated_bptt(layer, x, 2, None, |piece: TimeChunk| pieces.push(piece.output));
                Tensor::cat(&pieces.iter().collect::<Vec<_>>(), 0)
            },
            sequences(),
        ),
        with(
            "LSTMState",
            || LSTM::new(4, 3),
            |layer: &LSTM, x| {
                let (_, LSTMState { h, c }) = layer.forward(x, None);
                layer.forward(x, Some(&LSTMState { h: h.detach(), c: c.detach() })).0
            },
            sequences(),
        ),
    ]
}

/// The scores of the first element of each sequence with all, or what attention makes of them.
fn scores() -> Vec<Case> {
    fn first<S: Score>(score: &S, x: &Tensor) -> Tensor {
        score.scores(&x.select(1, 0), x)
    }
    let x = || Tensor::randn([3, 5, 4]);
    vec![
        with("AdditiveScore", || AdditiveScore::new(4, 4, 6), first, x()),
        with("ConcatScore", || ConcatScore::new(4, 4, 6), first, x()),
        with("GeneralScore", || GeneralScore::new(4, 4), first, x()),
        Case {
            how: "behind Linear",
            ..with(
                "DotScore",
                || (Linear::new(4, 4), DotScore::new()),
                |(map, score): &(Linear, DotScore), x| score.scores(&map.forward(&x.select(1, 0)), x),
                x(),
            )
        },
        with(
            "Attention",
            || Attention::new(GeneralScore::new(4, 4)),
            |layer: &Attention<GeneralScore>, x| layer.forward(x, x, None).0,
            x(),
        ),
    ]
}

fn attention() -> Vec<Case> {
    let x = || Tensor::randn([3, 5, 4]);
    vec![
        with(
            "MultiheadAttention",
            || MultiheadAttention::new(4, 2).batch_first(true),
            |layer: &MultiheadAttention, x| layer.forward(x, x, x, &AttentionMasks::default()),
            x(),
        ),
        with(
            "AttentionMasks",
            || MultiheadAttention::new(4, 2).batch_first(true).add_bias_kv(true),
            |layer: &MultiheadAttention, x| {
                let padding = Tensor::arange(5).ge_scalar(4.0).expand([3, 5]);
                let masks = AttentionMasks { is_causal: true, ..AttentionMasks::padding(padding) };
                layer.forward_with_weights(x, x, x, &masks, true).0
            },
            x(),
        ),
        with(
            "NotesAttention",
            || NotesAttention::new(4, 3).shared_kq(false).v_identity(false),
            |layer: &NotesAttention, x| layer.forward(x, x).0,
            Tensor::randn([5, 4]),
        ),
        Case {
            how: "behind Linear",
            ..with(
                "AttentionOptions",
                || Linear::new(4, 4),
                |map: &Linear, x| {
                    let options = AttentionOptions { attn_mask: Some(alibi_bias(2, 5, 5)), ..Default::default() };
                    scaled_dot_product_attention_with(&map.forward(x), x, &map.forward(x), options)
                },
                Tensor::randn([3, 2, 5, 4]),
            )
        },
    ]
}

fn positions() -> Vec<Case> {
    vec![
        after_projection("PositionalEncoding", || PositionalEncoding::new(4).batch_first(true)).noisy(),
        alone("LearnedPositionalEncoding", || LearnedPositionalEncoding::new(9, 4), sequences()).noisy(),
        after_projection("RotaryPositionalEmbedding", || RotaryPositionalEmbedding::new(4)),
    ]
}

fn transformers() -> Vec<Case> {
    let encoder_layer = || TransformerEncoderLayer::new(4, 2).dim_feedforward(8);
    let decoder_layer = || TransformerDecoderLayer::new(4, 2).dim_feedforward(8);
    vec![
        alone("TransformerEncoderLayer", encoder_layer, sequences()).noisy(),
        alone("TransformerEncoder", move || TransformerEncoder::new(encoder_layer, 2), sequences()).noisy(),
        with(
            "TransformerDecoderLayer",
            decoder_layer,
            |layer: &TransformerDecoderLayer, x| {
                layer.forward(x, &x.tanh(), &AttentionMasks::causal(), &AttentionMasks::default())
            },
            sequences(),
        )
        .noisy(),
        with(
            "TransformerDecoder",
            move || TransformerDecoder::new(decoder_layer, 2).norm(LayerNorm::new(4)),
            |layer: &TransformerDecoder, x| {
                layer.forward(x, &x.tanh(), &AttentionMasks::causal(), &AttentionMasks::default())
            },
            sequences(),
        )
        .noisy(),
        with("Transformer", transformer, translate, sequences()).noisy(),
    ]
}

fn transformer() -> Transformer {
    Transformer::new(TransformerOptions {
        d_model: 4,
        nhead: 2,
        num_encoder_layers: 1,
        num_decoder_layers: 1,
        dim_feedforward: 8,
        ..Default::default()
    })
}

fn translate(model: &Transformer, x: &Tensor) -> Tensor {
    let masks = TransformerMasks { tgt: AttentionMasks::causal(), ..Default::default() };
    model.forward(&x.tanh(), x, &masks)
}
