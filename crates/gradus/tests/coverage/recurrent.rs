//! Group O, as far as layers go: recurrent cells and layers, and (in `state`) the row on their initial state.

rows! {
    O1 "Vanilla RNN cell, with read-out and one or two biases"
        [gradus::nn::RNNCell, gradus::nn::VanillaRNN]
        ["crates/nn/tests/recurrent.rs::cells_agree_with_pytorch",
         "crates/nn/tests/recurrent.rs::vanilla_network_has_its_matrices_and_biases"];
    O2 "RNN(input, hidden, layers, batch_first): outputs and hidden state"
        [gradus::nn::RNN]
        ["crates/nn/tests/recurrent.rs::layers_agree_with_pytorch"];
    O3 "Stateful RNN: state kept across batches"
        [gradus::nn::Stateful]
        ["crates/nn/tests/recurrent.rs::stateful_layer_follows_its_policy_and_detaches"];
    O4 "Hidden-state reset policy: per batch, per epoch, carried"
        [gradus::nn::Reset]
        ["crates/nn/tests/recurrent.rs::stateful_layer_follows_its_policy_and_detaches"];
    O5 "Backpropagation through time"
        [gradus::nn::Recurrent]
        ["crates/nn/tests/recurrent.rs::gradients_to_second_order",
         "crates/nn/tests/recurrent.rs::truncated_backpropagation_cuts_between_chunks"];
    O6 "Truncated BPTT by detaching the state"
        [gradus::nn::truncated_bptt, gradus::nn::Stateful]
        ["crates/nn/tests/recurrent.rs::truncated_backpropagation_cuts_between_chunks"];
    O7 "Eigenvalues of a recurrent matrix: W = Q^T L Q, h_t = Q^T L^t Q h_0"
        [gradus::nn::RNN]
        ["crates/gradus/tests/examples/rnn_spectrum.rs::gradients_through_time_follow_the_eigenvalues"];
    O8 "Exploding gradients are clipped; vanishing ones take an LSTM or GRU"
        [gradus::nn::LSTM, gradus::nn::GRU]
        ["crates/gradus/tests/examples/rnn_spectrum.rs::gradients_through_time_follow_the_eigenvalues"];
    O9 "LSTM, gates i, f, g, o, with a forget-bias option"
        [gradus::nn::LSTM, gradus::nn::LSTMCell, gradus::nn::LSTMState]
        ["crates/nn/tests/recurrent.rs::layers_agree_with_pytorch",
         "crates/nn/tests/recurrent.rs::cells_agree_with_pytorch",
         "crates/nn/tests/recurrent.rs::forget_bias_is_where_pytorch_keeps_it"];
    O10 "LSTM as learn, forget, remember and use gates on short- and long-term memory"
        [gradus::nn::LSTMGates]
        ["crates/nn/tests/recurrent.rs::four_gates_make_the_step"];
    O11 "Peephole LSTM"
        [gradus::nn::PeepholeLSTM, gradus::nn::PeepholeLSTMCell]
        ["crates/nn/tests/recurrent.rs::peephole_lstm_follows_its_formula"];
    O12 "GRU, reset before or after the product, both meanings of the update gate"
        [gradus::nn::GRU, gradus::nn::GRUCell, gradus::nn::UpdateGate]
        ["crates/nn/tests/recurrent.rs::gru_in_both_forms_and_both_signs",
         "crates/nn/tests/recurrent.rs::layers_agree_with_pytorch"];
    O13 "Convolutional RNN and LSTM over [N, T, C, H, W]"
        [gradus::nn::ConvRNN, gradus::nn::ConvLSTM, gradus::nn::ConvRNNCell, gradus::nn::ConvLSTMCell]
        ["crates/nn/tests/recurrent.rs::convolutional_rnn_follows_its_formula",
         "crates/nn/tests/recurrent.rs::convolutional_lstm_follows_its_formula"];
    O14 "Time-delay network: a fixed window of delays"
        [gradus::nn::TDNN]
        ["crates/nn/tests/recurrent.rs::tdnn_sees_its_window_and_no_more"];
    O15 "Elman network: states as further inputs of the hidden nodes"
        [gradus::nn::ElmanNetwork]
        ["crates/nn/tests/recurrent.rs::vanilla_network_has_its_matrices_and_biases"];
    O16 "Folded and unfolded view"
        [gradus::nn::Recurrent]
        ["crates/nn/tests/recurrent.rs::folded_and_unfolded_views"];
    O17 "Stacked recurrent layers"
        [gradus::nn::Recurrent]
        ["crates/nn/tests/recurrent.rs::layers_agree_with_pytorch",
         "crates/nn/tests/recurrent.rs::dropout_lies_between_layers_and_in_training_only"];
    O18 "Width of the state, whatever the number of steps"
        [gradus::nn::LSTM]
        ["crates/nn/tests/recurrent.rs::names_sizes_and_first_values_are_pytorchs"];
    O19 "Bidirectional layers"
        [gradus::nn::Recurrent]
        ["crates/nn/tests/recurrent.rs::layers_agree_with_pytorch",
         "crates/nn/tests/recurrent.rs::layouts_are_views_of_one_another"];
    O20 "batch_first and (seq, batch, input)"
        [gradus::nn::Recurrent]
        ["crates/nn/tests/recurrent.rs::layouts_are_views_of_one_another"];
    O21 "Many-to-one and many-to-many read-outs"
        [gradus::nn::LastStep, gradus::nn::Outputs]
        ["crates/nn/tests/recurrent.rs::layouts_are_views_of_one_another"];
}

/// The row of group F that is about recurrent layers.
pub mod state {
    rows! {
        F6 "Recurrent hidden state begins as zeros"
            [gradus::nn::RecurrentCell]
            ["crates/nn/tests/recurrent.rs::the_state_begins_as_zeros",
             "crates/nn/tests/recurrent.rs::layers_agree_with_pytorch"];
    }
}
