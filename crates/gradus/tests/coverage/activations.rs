//! Group B: activations.

rows! {
    B1 "Sigmoid 1 / (1 + e^-x) and its derivative f (1 - f)" [gradus::nn::Sigmoid]
        ["crates/nn/tests/activations.rs::activations_agree_with_pytorch",
         "crates/nn/tests/activations.rs::sigmoid_and_tanh_have_the_derivatives_of_the_book"];
    B2 "Logistic head for two classes" [gradus::nn::Sigmoid, gradus::nn::losses::binary_cross_entropy_with_logits]
        ["crates/nn/tests/activations.rs::the_logistic_head_is_a_softmax_of_two"];
    B3 "tanh and its derivative 1 - tanh^2" [gradus::nn::Tanh]
        ["crates/nn/tests/activations.rs::activations_agree_with_pytorch",
         "crates/nn/tests/activations.rs::sigmoid_and_tanh_have_the_derivatives_of_the_book"];
    B4 "ReLU" [gradus::nn::ReLU] ["crates/nn/tests/activations.rs::activations_agree_with_pytorch"];
    B5 "LeakyReLU, slope 0.01; presets 0.1 and 0.2" [gradus::nn::LeakyReLU]
        ["crates/nn/tests/activations.rs::activations_agree_with_pytorch"];
    B6 "Maxout of k linear functions, 2 by default" [gradus::nn::Maxout]
        ["crates/nn/tests/activations.rs::maxout_is_the_largest_of_its_linear_functions"];
    B7 "ELU, alpha = 1" [gradus::nn::ELU] ["crates/nn/tests/activations.rs::activations_agree_with_pytorch"];
    B8 "Heaviside step {0, 1} and sign {-1, 0, 1}" [gradus::nn::Heaviside, gradus::nn::Sign]
        ["crates/nn/tests/activations.rs::steps_differ_at_and_below_zero_and_refuse_gradients"];
    B9 "Softmax along a dimension" [gradus::nn::Softmax]
        ["crates/nn/tests/activations.rs::activations_agree_with_pytorch"];
    B10 "Jacobian of softmax, diag(s) - s s^T" [gradus::nn::Softmax]
        ["crates/nn/tests/activations.rs::softmax_has_the_jacobian_diag_s_minus_s_st"];
    B11 "LogSoftmax" [gradus::nn::LogSoftmax, gradus::nn::losses::nll_loss]
        ["crates/nn/tests/activations.rs::activations_agree_with_pytorch"];
    B12 "Log-sum-exp without overflow, in softmax, log-softmax, cross entropy and BCE with logits"
        [gradus::nn::Softmax, gradus::nn::LogSoftmax, gradus::nn::losses::cross_entropy,
         gradus::nn::losses::binary_cross_entropy_with_logits]
        ["crates/nn/tests/activations.rs::log_sum_exp_neither_overflows_nor_underflows"];
    B13 "Activations that can be exchanged" [gradus::nn::MultilayerPerceptron, gradus::nn::Sequential]
        ["crates/nn/tests/activations.rs::a_stack_applies_its_activations_in_turn"];
    B14 "A hidden layer makes exclusive or separable" [gradus::nn::Linear, gradus::nn::Tanh]
        ["crates/gradus/tests/examples/xor.rs::one_hidden_layer_learns_what_a_linear_model_cannot"];
    B15 "Squash: a vector's length becomes a probability" [gradus::nn::Squash]
        ["crates/nn/tests/capsules.rs::squash_turns_lengths_into_probabilities"];
}
