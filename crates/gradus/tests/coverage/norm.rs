//! Groups F and G: initialisers and normalisation.

/// Group F.
pub mod initialisers {
    rows! {
        F1 "Random initial values are needed to break the symmetry of units" [gradus::nn::init::normal_, gradus::nn::init::constant_] ["crates/gradus/tests/examples/zero_init.rs::equal_units_stay_equal_and_cannot_learn"];
        F2 "Xavier/Glorot, uniform and normal" [gradus::nn::init::xavier_uniform_, gradus::nn::init::xavier_normal_] ["crates/nn/tests/goldens.rs::initialisers_have_pytorchs_spread"];
        F3 "He/Kaiming, uniform and normal" [gradus::nn::init::kaiming_uniform_, gradus::nn::init::kaiming_normal_] ["crates/nn/tests/goldens.rs::initialisers_have_pytorchs_spread"];
        F4 "Evenly from ±1/sqrt(fan-in)" [gradus::nn::init::uniform_fan_in_] ["crates/nn/tests/norm.rs::fan_in_bounds_the_range", "crates/nn/tests/goldens.rs::initialisers_have_pytorchs_spread"];
        F5 "Normal or uniform around a mean; truncated, orthogonal, identity and sparse beside them" [gradus::nn::init::normal_, gradus::nn::init::uniform_, gradus::nn::init::trunc_normal_, gradus::nn::init::orthogonal_, gradus::nn::init::eye_, gradus::nn::init::dirac_, gradus::nn::init::sparse_] ["crates/nn/src/init.rs::spreads_are_those_of_the_papers", "crates/nn/tests/norm.rs::truncated_normals_have_their_moments", "crates/nn/tests/norm.rs::orthogonal_matrices_are_orthogonal"];
        F7 "How mean and variance go through products and sums, with the conditions (W27)" [gradus::nn::init::Moments] ["crates/nn/tests/norm.rs::variance_goes_through_products_and_sums_as_stated"];
        F8 "Equal variance from layer to layer takes centred data and scaled weights (W28)" [gradus::nn::probe::activations, gradus::nn::probe::Activations] ["crates/gradus/tests/examples/variance_by_init.rs::only_centred_data_and_scaled_weights_keep_the_variance"];
    }
}

/// Group G.
pub mod normalisation {
    rows! {
        G1 "Batch normalisation in training, differentiable scale and shift" [gradus::nn::BatchNorm1d, gradus::nn::BatchNorm2d, gradus::nn::BatchNorm3d] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch", "crates/nn/tests/norm.rs::every_normalisation_differentiates_twice"];
        G2 "eps is numerical only; the running variance is unbiased (W29)" [gradus::nn::BatchNorm1d] ["crates/nn/tests/norm.rs::eps_is_added_to_the_variance", "crates/nn/tests/norm.rs::the_running_variance_is_unbiased_and_without_eps"];
        G3 "Batch normalisation in use by running averages" [gradus::nn::BatchNorm2d] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch", "crates/nn/tests/goldens.rs::layers_agree_with_pytorch"];
        G4 "Batch normalisation of vectors and of pictures" [gradus::nn::BatchNorm1d, gradus::nn::BatchNorm2d] ["crates/nn/tests/goldens.rs::layers_agree_with_pytorch"];
        G5 "Before the activation; the layer before needs no bias" [gradus::nn::BatchNorm1d] ["crates/nn/tests/norm.rs::a_bias_before_batch_norm_does_nothing"];
        G6 "Batch normalisation in a recurrence" [gradus::nn::BatchNorm1d] ["crates/nn/tests/norm.rs::batch_norm_works_in_a_recurrence"];
        G7 "Layer normalisation, and by the root mean square" [gradus::nn::LayerNorm, gradus::nn::RMSNorm] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch"];
        G8 "Instance normalisation" [gradus::nn::InstanceNorm1d, gradus::nn::InstanceNorm2d, gradus::nn::InstanceNorm3d] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch"];
        G9 "Group normalisation" [gradus::nn::GroupNorm] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch"];
        G10 "Weight normalisation, and spectral beside it" [gradus::nn::WeightNorm, gradus::nn::SpectralNorm, gradus::nn::layers::HasWeight] ["crates/nn/tests/norm.rs::normalisations_and_initialisers_agree_with_pytorch", "crates/nn/tests/norm.rs::spectral_norm_bounds_the_layer"];
        G11 "What batch normalisation is good for, and the dispute about why" [gradus::nn::BatchNorm1d] ["crates/nn/tests/norm.rs::batch_norm_forgives_careless_initial_values"];
        G12 "Normalised inputs are better conditioned and converge in fewer steps (W30); local response normalisation" [gradus::nn::BatchNorm1d, gradus::nn::LocalResponseNorm] ["crates/nn/tests/norm.rs::normalised_inputs_converge_in_fewer_steps"];
    }
}
