//! Group P: attention and the transformer.

rows! {
    P2 "Attention decoder: scores, softmax, weighted sum, a new context every step"
        [gradus::nn::Attention]
        ["crates/nn/tests/attention.rs::a_decoder_step_sums_the_states_by_their_weights"];
    P3 "Additive (Bahdanau) score"
        [gradus::nn::AdditiveScore]
        ["crates/nn/tests/attention.rs::scores_are_those_of_the_papers",
         "crates/nn/tests/attention.rs::additive_is_concat_cut_in_two"];
    P4 "Multiplicative (Luong) attention, of a decoder's top state"
        [gradus::nn::Attention, gradus::nn::Score]
        ["crates/nn/tests/attention.rs::scores_are_those_of_the_papers",
         "crates/nn/src/layers/attention/scores.rs"];
    P5 "Dot score" [gradus::nn::DotScore] ["crates/nn/tests/attention.rs::scores_are_those_of_the_papers"];
    P6 "General score" [gradus::nn::GeneralScore] ["crates/nn/tests/attention.rs::scores_are_those_of_the_papers"];
    P7 "Concat score" [gradus::nn::ConcatScore] ["crates/nn/tests/attention.rs::scores_are_those_of_the_papers"];
    P10 "Attention of queries to keys and values"
        [gradus::nn::layers::scaled_dot_product_attention, gradus::nn::MultiheadAttention]
        ["crates/nn/tests/attention.rs::multihead_attention_agrees_with_pytorch",
         "crates/nn/tests/attention.rs::heads_are_attentions_side_by_side"];
    P11 "The plain form: shared matrix for keys and queries, values as they are; an oracle"
        [gradus::nn::NotesAttention] ["crates/nn/tests/attention.rs::the_plain_form_is_the_oracle"];
    P12 "Scaled dot-product attention"
        [gradus::nn::layers::scaled_dot_product_attention,
         gradus::nn::layers::scaled_dot_product_attention_with,
         gradus::nn::AttentionOptions]
        ["crates/nn/tests/attention.rs::the_function_agrees_with_pytorch",
         "crates/nn/tests/attention/behaviour.rs::gradients_of_the_function_are_right_to_the_second_order",
         "crates/nn/tests/attention/edges.rs::a_query_that_sees_nothing_gets_zeros_and_finite_gradients"];
    P13 "Self-attention"
        [gradus::nn::MultiheadAttention]
        ["crates/nn/tests/attention/behaviour.rs::without_positions_self_attention_is_blind_to_order",
         "crates/nn/tests/attention.rs::the_same_tensor_is_projected_at_once_to_the_same_result"];
    P14 "Multi-head self-attention"
        [gradus::nn::MultiheadAttention]
        ["crates/nn/tests/attention.rs::multihead_attention_agrees_with_pytorch",
         "crates/nn/tests/attention/behaviour.rs::gradients_of_multihead_attention_are_right_to_the_second_order"];
    P15 "Position-wise feed-forward network"
        [gradus::nn::PositionwiseFeedForward]
        ["crates/nn/tests/attention/behaviour.rs::the_network_is_the_same_at_every_position"];
    P16 "Transformer encoder: layers and stack"
        [gradus::nn::TransformerEncoderLayer, gradus::nn::TransformerEncoder]
        ["crates/nn/tests/attention.rs::encoders_agree_with_pytorch", "crates/nn/src/layers/attention/encoder.rs"];
    P17 "Transformer decoder: self-attention, attention to the encoder's outputs, feed-forward"
        [gradus::nn::TransformerDecoderLayer, gradus::nn::TransformerDecoder, gradus::nn::Transformer]
        ["crates/nn/tests/attention.rs::decoders_agree_with_pytorch",
         "crates/nn/tests/attention.rs::transformers_agree_with_pytorch",
         "crates/nn/tests/attention/behaviour.rs::the_decoder_attends_to_itself_then_to_the_memory"];
    P18 "Causal mask"
        [gradus::nn::AttentionMasks, gradus::nn::layers::generate_square_subsequent_mask]
        ["crates/nn/tests/attention/behaviour.rs::no_position_sees_a_later_one"];
    P19 "Positional encoding, sinusoidal, learned and rotary; residuals with layer normalisation"
        [gradus::nn::PositionalEncoding, gradus::nn::LearnedPositionalEncoding,
         gradus::nn::RotaryPositionalEmbedding, gradus::nn::layers::alibi_bias, gradus::nn::LayerNorm]
        ["crates/nn/tests/attention.rs::positions_are_sines_cosines_or_learned",
         "crates/nn/tests/attention.rs::rotated_scores_depend_on_the_distance",
         "crates/nn/tests/attention.rs::encoders_agree_with_pytorch"];
}
