//! Group C, in part: perceptrons, dense layers, dropout, capsules, modules.

rows! {
    C1 "Perceptron and its learning rule" [gradus::nn::Perceptron]
        ["crates/nn/tests/activations.rs::the_perceptron_rule_follows_its_formula_and_converges",
         "crates/gradus/tests/examples/perceptron.rs::the_rule_converges_exactly_where_a_line_separates"];
    C2 "Stack of layers h_l = step(W_l h_(l-1) + b_l)" [gradus::nn::MultilayerPerceptron]
        ["crates/nn/tests/activations.rs::a_stack_applies_its_activations_in_turn"];
    C3 "Dense layer, forward and closed-form backward" [gradus::nn::Linear]
        ["crates/nn/tests/activations.rs::a_dense_layer_has_its_closed_form_gradients"];
    C4 "Layers without a bias" [gradus::nn::Linear, gradus::nn::Conv2d]
        ["crates/nn/tests/activations.rs::a_bias_before_batch_norm_does_nothing"];
    C27 "Dropout: p is a probability, 1 / (1 - p) in training, the identity in use"
        [gradus::nn::Dropout, gradus::nn::Dropout1d, gradus::nn::Dropout2d, gradus::nn::Dropout3d,
         gradus::nn::AlphaDropout, gradus::nn::FeatureAlphaDropout, gradus::nn::DropPath]
        ["crates/nn/tests/activations.rs::dropouts_drop_what_their_names_say",
         "crates/nn/tests/activations.rs::alpha_dropout_keeps_mean_and_variance"];
    C28 "Capsules: length for existence, direction for state"
        [gradus::nn::PrimaryCapsules, gradus::nn::CapsuleLayer, gradus::nn::CapsuleLength]
        ["crates/nn/tests/capsules.rs::primary_capsules_are_the_channels_of_a_convolution",
         "crates/nn/tests/capsules.rs::a_capsule_layer_predicts_and_routes"];
    C29 "Dynamic routing between capsules" [gradus::nn::dynamic_routing]
        ["crates/nn/tests/capsules.rs::routing_follows_the_procedure",
         "crates/nn/tests/capsules.rs::agreement_draws_the_couplings"];
    C31 "Modules, registered parameters, Sequential, lists and maps of modules"
        [gradus::nn::Module, gradus::nn::Param, gradus::nn::Sequential]
        ["crates/nn/tests/activations.rs::lists_and_maps_of_modules_are_modules"];
}
