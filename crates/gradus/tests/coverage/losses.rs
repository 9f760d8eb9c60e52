//! Group D: losses, penalties, norms and divergences.

rows! {
    D1 "Mean squared error; beside it absolute, smooth L1 and Huber" [
        gradus::nn::losses::mse_loss, gradus::nn::losses::l1_loss, gradus::nn::losses::smooth_l1_loss,
        gradus::nn::losses::huber_loss
    ] [
        "crates/nn/tests/goldens.rs::losses_agree_with_pytorch", "crates/nn/tests/criteria.rs::losses_agree_with_pytorch"
    ];
    D2 "Softmax cross entropy of logits" [gradus::nn::losses::cross_entropy] [
        "crates/nn/tests/losses.rs::cross_entropy_of_labels", "crates/nn/tests/goldens.rs::losses_agree_with_pytorch"
    ];
    D3 "Negative log-likelihood of log-probabilities" [gradus::nn::losses::nll_loss] [
        "crates/nn/tests/goldens.rs::losses_agree_with_pytorch", "crates/nn/tests/criteria.rs::likelihoods_are_one_thing"
    ];
    D4 "Cross entropy is log-softmax and NLL; NLL refuses what is no log-probability (W15)" [
        gradus::nn::losses::cross_entropy, gradus::nn::losses::nll_loss, gradus::nn::LogSoftmax
    ] [
        "crates/nn/tests/criteria.rs::likelihoods_are_one_thing",
        "crates/nn/tests/criteria.rs::nll_refuses_what_is_no_log_probability"
    ];
    D5 "The greatest likelihood is the least NLL; also of Poisson and normal distributions" [
        gradus::nn::losses::nll_loss, gradus::nn::losses::poisson_nll_loss, gradus::nn::losses::gaussian_nll_loss
    ] [
        "crates/nn/tests/criteria.rs::likelihoods_are_one_thing", "crates/nn/tests/criteria.rs::losses_agree_with_pytorch"
    ];
    D6 "Binary cross entropy of probabilities" [gradus::nn::losses::binary_cross_entropy] [
        "crates/nn/tests/goldens.rs::losses_agree_with_pytorch", "crates/nn/tests/losses.rs::gradients_of_both_orders"
    ];
    D7 "Binary cross entropy of logits, exact at +-1e4 (W16); beside it focal, soft margin and multi-label" [
        gradus::nn::losses::binary_cross_entropy_with_logits, gradus::nn::losses::sigmoid_focal_loss,
        gradus::nn::losses::focal_loss, gradus::nn::losses::soft_margin_loss,
        gradus::nn::losses::multilabel_soft_margin_loss
    ] [
        "crates/nn/tests/goldens.rs::losses_agree_with_pytorch", "crates/nn/tests/criteria.rs::extreme_logits"
    ];
    D8 "Multi-class hinge, margin 1; beside it multi-label, ranking and embedding hinges" [
        gradus::nn::losses::multi_margin_loss, gradus::nn::losses::multilabel_margin_loss,
        gradus::nn::losses::margin_ranking_loss, gradus::nn::losses::hinge_embedding_loss
    ] [
        "crates/nn/tests/criteria.rs::hinge_in_the_sum_form", "crates/nn/tests/criteria.rs::losses_agree_with_pytorch"
    ];
    D9 "Triplet loss max(0, d_ap - d_an + m); beside it cosine, InfoNCE and NT-Xent" [
        gradus::nn::losses::triplet_margin_loss, gradus::nn::losses::triplet_margin_with_distance_loss,
        gradus::nn::losses::cosine_embedding_loss, gradus::nn::losses::info_nce_loss,
        gradus::nn::losses::nt_xent_loss, gradus::nn::distance::pairwise_distance,
        gradus::nn::distance::cosine_similarity
    ] [
        "crates/nn/tests/criteria.rs::losses_agree_with_pytorch", "crates/nn/tests/criteria.rs::gradients_of_margin_losses"
    ];
    D10 "L1 penalty (W17)" [gradus::nn::losses::l1_penalty] [
        "crates/nn/tests/criteria.rs::penalties_are_sums_without_a_half"
    ];
    D11 "L2 penalty, the sum of squares without 1/2 (W17)" [gradus::nn::losses::l2_penalty] [
        "crates/nn/tests/criteria.rs::penalties_are_sums_without_a_half"
    ];
    D12 "Weight decay apart from the L2 penalty (W18)" [
        gradus::nn::optim::AdamW, gradus::nn::losses::l2_penalty
    ] [
        "crates/nn/tests/trajectory.rs::optimisers_follow_pytorch",
        "crates/nn/tests/criteria.rs::penalties_are_sums_without_a_half"
    ];
    D13 "The regularisation constant is the penalties' factor" [
        gradus::nn::losses::l1_penalty, gradus::nn::losses::l2_penalty
    ] ["crates/nn/tests/criteria.rs::penalties_are_sums_without_a_half"];
    D14 "Noise on inputs and noise on weights" [gradus::nn::GaussianNoise, gradus::nn::optim::WeightNoise] [
        "crates/nn/tests/criteria.rs::noise_on_inputs_and_on_weights"
    ];
    D15 "Label smoothing of classes, s/C, customary with s = 0.1 (W42: not the one-sided factor of a GAN)" [
        gradus::nn::losses::CrossEntropyOptions
    ] [
        "crates/nn/tests/criteria.rs::label_smoothing_is_a_mixture_with_the_uniform_distribution",
        "crates/nn/tests/goldens.rs::losses_agree_with_pytorch"
    ];
    D16 "Frobenius norm" [gradus::nn::losses::frobenius_norm] [
        "crates/nn/tests/criteria.rs::losses_agree_with_pytorch"
    ];
    D17 "Mixed norm, inner 1 and outer 2 (W19)" [gradus::nn::losses::mixed_norm] [
        "crates/nn/tests/criteria.rs::cauchy_schwarz_bounds_the_mixed_norm"
    ];
    D18 "Cauchy-Schwarz: the mixed norm is at most sqrt(h) times Frobenius'" [
        gradus::nn::losses::mixed_norm, gradus::nn::losses::frobenius_norm
    ] ["crates/nn/tests/criteria.rs::cauchy_schwarz_bounds_the_mixed_norm"];
    D19 "Kullback-Leibler divergence" [gradus::nn::losses::kl_div] [
        "crates/nn/tests/criteria.rs::divergences_have_their_properties",
        "crates/nn/tests/criteria.rs::losses_agree_with_pytorch"
    ];
    D20 "Jensen-Shannon divergence with M = (P + Q) / 2, to the base e (W20)" [gradus::nn::losses::js_divergence] [
        "crates/nn/tests/criteria.rs::divergences_have_their_properties"
    ];
    D21 "Weighted sum of named losses; losses of masks, boxes and sequences that are such terms" [
        gradus::nn::losses::LossTerms, gradus::nn::losses::dice_loss, gradus::nn::losses::jaccard_loss,
        gradus::nn::losses::generalized_box_iou_loss, gradus::nn::losses::distance_box_iou_loss,
        gradus::nn::losses::complete_box_iou_loss, gradus::nn::losses::ctc_loss
    ] [
        "crates/nn/tests/criteria.rs::terms_are_weighted_and_reported",
        "crates/nn/tests/criteria.rs::losses_agree_with_pytorch",
        "crates/nn/tests/criteria.rs::ctc_sums_over_all_alignments"
    ];
}
