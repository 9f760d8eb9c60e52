//! Groups Q and H: looking into data and models.

pub mod models {
    rows! {
        Q18 "Decision boundary of two inputs, and all combinations of the last hidden layer"
            [gradus::train::analysis::decision_boundary_svg, gradus::train::analysis::hidden_codes]
            ["crates/train/src/analysis/boundary.rs::regions_have_the_colour_of_the_class_that_is_decided_for",
             "crates/train/src/analysis/boundary.rs::the_codes_of_exclusive_or_are_told_apart_by_the_head",
             "crates/gradus/tests/cli/analysis.rs::models_of_numbers_texts_and_masks_are_looked_into_by_what_fits_them"];
        Q19 "Universal approximation" [gradus::nn::Linear, gradus::nn::Tanh]
            ["crates/gradus/tests/examples/universal_approximation.rs::the_error_falls_with_every_widening"];
        Q20 "Loss curves, loss surfaces along filter-normalised directions, loss on the line between two sets of weights"
            [gradus::train::analysis::loss_surface, gradus::train::analysis::interpolate_loss]
            ["crates/gradus/tests/examples/loss_curves.rs::cross_entropy_pulls_where_least_squares_of_a_sigmoid_does_not",
             "crates/train/src/analysis/surface.rs::a_surface_has_the_loss_of_the_weights_in_its_middle_and_leaves_them_alone",
             "crates/train/src/analysis/surface.rs::a_line_goes_from_one_state_to_the_other"];
        Q21 "Second moment = covariance + mu mu^T; sigma^2 I only if isotropic (W69)"
            [gradus::train::analysis::Moments]
            ["crates/train/src/analysis/moments.rs::the_second_moment_is_the_covariance_and_the_mean_times_itself",
             "crates/train/src/analysis/moments.rs::for_independent_coordinates_of_one_variance_it_is_sigma_squared_on_the_diagonal"];
        Q22 "Hessian: products, extreme eigenvalues, condition number; it has variance and mean in it"
            [gradus::train::analysis::Hessian]
            ["crates/train/src/analysis/hessian.rs::the_ends_of_the_spectrum_are_those_of_the_whole_matrix",
             "crates/train/src/analysis/hessian.rs::products_are_finite_differences_of_the_gradient",
             "crates/train/src/analysis/hessian.rs::the_hessian_of_squared_error_has_the_mean_in_it_and_centring_lowers_its_condition_number"];
        Q23 "Activations by layer of any model, over depth and over time; dead units"
            [gradus::train::analysis::LayerWatch, gradus::train::analysis::activation_statistics,
             gradus::nn::probe::layer_outputs]
            ["crates/train/src/analysis/layers.rs::a_watch_writes_a_table_and_pictures_and_changes_nothing",
             "crates/train/src/analysis/layers.rs::layers_of_a_residual_block_have_the_numbers_that_are_computed_by_hand",
             "crates/train/src/analysis/layers.rs::dead_units_are_counted",
             "crates/nn/src/probe.rs::layers_and_what_lies_between_them_are_seen_whatever_the_model_is_made_of",
             "crates/gradus/tests/cli/training.rs::layers_are_watched_over_time_without_changing_the_run",
             "crates/gradus/tests/examples/variance_by_init.rs::only_centred_data_and_scaled_weights_keep_the_variance"];
        Q24 "Gradients by parameter: usual, vanishing, exploding"
            [gradus::train::analysis::gradient_statistics, gradus::train::analysis::gradient_sizes]
            ["crates/train/src/analysis/layers.rs::gradients_that_vanish_and_explode_are_told_from_usual_ones"];
        Q25 "Filters and feature maps as pictures; saliency and occlusion maps"
            [gradus::train::analysis::filter_tiles, gradus::train::analysis::feature_maps,
             gradus::train::analysis::feature_map_tiles, gradus::train::analysis::saliency, gradus::train::analysis::Occlusion]
            ["crates/train/src/analysis/maps.rs::layers_show_their_outputs_as_pictures",
             "crates/train/src/analysis/maps.rs::saliency_of_a_linear_model_is_the_size_of_its_weights",
             "crates/train/src/analysis/maps.rs::occlusion_finds_the_pixels_that_count_and_covers_the_border",
             "crates/gradus/tests/cli/analysis.rs::a_trained_model_is_looked_into"];
        Q26 "Inside a recurrent cell: gates and memory along a sequence, how often gates are shut and open"
            [gradus::train::analysis::GateTrace, gradus::nn::LSTMGates]
            ["crates/train/src/analysis/gates.rs::gates_that_are_open_and_shut_are_counted_and_the_memory_adds_up"];
        Q27 "t-SNE, which shows and does not cluster (W70), seeded; trustworthiness; PCA"
            [gradus::train::analysis::Tsne, gradus::train::analysis::trustworthiness, gradus::train::analysis::Pca]
            ["crates/train/tests/analysis.rs::the_map_of_all_digits_is_as_trustworthy_as_that_of_scikit_learn",
             "crates/train/tests/analysis.rs::trustworthiness_is_that_of_scikit_learn",
             "crates/train/tests/analysis.rs::principal_components_are_those_of_scikit_learn",
             "crates/train/src/analysis/tsne.rs::a_seed_gives_one_map_whatever_the_number_of_threads"];
        Q28 "Invariance to rotation, scale and translation" [gradus::train::analysis::invariance]
            ["crates/train/src/analysis/invariance.rs::a_model_that_sums_is_invariant_where_nothing_leaves_the_picture",
             "crates/gradus/tests/cli/analysis.rs::a_trained_model_is_looked_into"];
    }
}

pub mod data {
    rows! {
        H8 "Why inputs are centred: the condition number falls" [gradus::train::analysis::Hessian]
            ["crates/gradus/tests/examples/centring.rs::centring_lowers_the_condition_number_and_the_steps",
             "crates/train/src/analysis/hessian.rs::the_hessian_of_squared_error_has_the_mean_in_it_and_centring_lowers_its_condition_number"];
        H22 "Low and high frequencies of a picture" [gradus::train::analysis::split_frequencies]
            ["crates/train/src/analysis/frequency.rs::edges_are_high_and_even_surfaces_low",
             "crates/train/src/analysis/frequency.rs::a_wave_is_weighted_by_its_frequency_in_both_directions"];
    }
}
