//! Group E: optimisers, schedules of the learning rate, clipping.

rows! {
    E1 "Gradient descent: w = w - lr slope (not the weight, as the notes say)"
        [gradus::nn::optim::Sgd, gradus::nn::optim::Optimizer]
        ["crates/nn/tests/optim.rs::plain_descent_and_weight_decay",
         "crates/nn/tests/trajectory.rs::the_notes_network_follows_pytorch"];
    E2 "Minibatch stochastic gradient descent; small batches that add up to a large one"
        [gradus::nn::optim::Sgd]
        ["crates/nn/tests/optim.rs::small_batches_add_up_to_a_large_one",
         "crates/nn/tests/trajectory.rs::the_notes_network_follows_pytorch_at_a_high_rate"];
    E3 "Momentum (also Nesterov's)"
        [gradus::nn::optim::Sgd]
        ["crates/nn/tests/optim.rs::momentum_begins_with_the_whole_gradient",
         "crates/nn/tests/trajectory.rs::optimisers_follow_pytorch"];
    E4 "AdaGrad"
        [gradus::nn::optim::Adagrad]
        ["crates/nn/tests/trajectory.rs::optimisers_follow_pytorch"];
    E5 "RMSProp: a running mean of squares, which is no momentum; that is an option of its own"
        [gradus::nn::optim::RMSprop]
        ["crates/nn/tests/trajectory.rs::optimisers_follow_pytorch"];
    E6 "Adam (RMSProp's scale and momentum), AdamW and their kin"
        [gradus::nn::optim::Adam, gradus::nn::optim::AdamW, gradus::nn::optim::Adamax, gradus::nn::optim::NAdam,
         gradus::nn::optim::RAdam, gradus::nn::optim::Adadelta, gradus::nn::optim::Lion, gradus::nn::optim::Lamb,
         gradus::nn::optim::Rprop, gradus::nn::optim::ASGD, gradus::nn::optim::Lbfgs]
        ["crates/nn/tests/optim.rs::adam_and_adamw_follow_their_papers",
         "crates/nn/tests/trajectory.rs::optimisers_follow_pytorch"];
    E7 "Adam's correction of the bias that comes from means which begin at zero"
        [gradus::nn::optim::Adam]
        ["crates/nn/tests/optim.rs::adam_and_adamw_follow_their_papers"];
    E8 "Adam's denominator: the root of the second moment (no second derivative) plus eps"
        [gradus::nn::optim::Adam]
        ["crates/nn/tests/optim.rs::adam_and_adamw_follow_their_papers"];
    E9 "Exponential decay: lr0 e^(-k t)"
        [gradus::nn::optim::lr_scheduler::ExponentialLR]
        ["crates/nn/tests/schedules.rs::formulas_of_the_notes",
         "crates/nn/tests/schedules.rs::schedules_follow_pytorch"];
    E10 "Inverse decay: lr0 / (1 + k t)"
        [gradus::nn::optim::lr_scheduler::InverseLR]
        ["crates/nn/tests/schedules.rs::formulas_of_the_notes",
         "crates/nn/tests/schedules.rs::schedules_follow_pytorch"];
    E11 "Inverse square root decay (inverse sqrtm in the notes): lr0 / sqrt(t); the transformer's with warm-up"
        [gradus::nn::optim::lr_scheduler::InverseSqrtLR, gradus::nn::optim::lr_scheduler::NoamLR]
        ["crates/nn/tests/schedules.rs::formulas_of_the_notes",
         "crates/nn/tests/schedules.rs::schedules_follow_pytorch"];
    E12 "Linear decay: lr0 (1 - t / T); polynomial decay"
        [gradus::nn::optim::lr_scheduler::LinearLR, gradus::nn::optim::lr_scheduler::PolynomialLR]
        ["crates/nn/tests/schedules.rs::formulas_of_the_notes",
         "crates/nn/tests/schedules.rs::schedules_follow_pytorch"];
    E13 "Cosine decay, with restarts, warm-up, and as one cycle"
        [gradus::nn::optim::lr_scheduler::CosineAnnealingLR,
         gradus::nn::optim::lr_scheduler::CosineAnnealingWarmRestarts, gradus::nn::optim::lr_scheduler::Warmup,
         gradus::nn::optim::lr_scheduler::OneCycleLR, gradus::nn::optim::lr_scheduler::CyclicLR]
        ["crates/nn/tests/schedules.rs::formulas_of_the_notes",
         "crates/nn/tests/schedules.rs::warm_up_rises_to_the_schedule_after_it",
         "crates/nn/tests/schedules.rs::schedules_follow_pytorch"];
    E14 "Step decay, at equal distances, at milestones, and when nothing improves"
        [gradus::nn::optim::lr_scheduler::StepLR, gradus::nn::optim::lr_scheduler::MultiStepLR,
         gradus::nn::optim::lr_scheduler::ReduceLROnPlateau]
        ["crates/nn/tests/schedules.rs::schedules_follow_pytorch",
         "crates/nn/tests/schedules.rs::a_plateau_goes_on_from_its_counts"];
    E15 "Manual decay: milestones with values, functions, live changes"
        [gradus::nn::optim::lr_scheduler::ManualLR, gradus::nn::optim::lr_scheduler::LambdaLR]
        ["crates/nn/tests/schedules.rs::rates_are_set_by_hand_at_milestones_and_live"];
    E16 "Fixed learning rate, and one for each group of parameters"
        [gradus::nn::optim::ParamGroup, gradus::nn::optim::lr_scheduler::ConstantLR]
        ["crates/nn/tests/schedules.rs::rates_are_set_by_hand_at_milestones_and_live",
         "crates/nn/tests/optim.rs::a_group_has_rates_of_its_own_which_follow_the_base"];
    E17 "Clipping of the gradient's elements to -v..v"
        [gradus::nn::utils::clip_grad_value_]
        ["crates/nn/tests/utils.rs::gradients_are_clipped_as_by_pytorch"];
    E18 "Clipping of the global norm, which is returned as it was"
        [gradus::nn::utils::clip_grad_norm_, gradus::nn::utils::clip_grad_norm_with,
         gradus::nn::utils::get_total_norm]
        ["crates/nn/tests/utils.rs::gradients_are_clipped_as_by_pytorch",
         "crates/nn/tests/utils.rs::edges_of_clipping",
         "crates/nn/tests/utils.rs::gradients_that_are_not_finite"];
    E19 "Two optimisers at once"
        [gradus::nn::optim::Optimizer]
        ["crates/nn/tests/optim.rs::two_optimisers_step_their_own_networks"];
    E20 "Random restarts; averages of weights"
        [gradus::nn::utils::random_restarts, gradus::nn::utils::AveragedModel]
        ["crates/nn/tests/utils.rs::restarts_keep_the_best_and_can_be_repeated",
         "crates/nn/tests/utils.rs::averages_are_those_of_pytorch"];
    E21 "Claims on optimisers: momentum skips a local minimum, more is not always better, Adam promises no global \
         minimum, larger batches have less variance"
        [gradus::nn::optim::Optimizer]
        ["crates/gradus/tests/examples/optimizer_paths.rs::momentum_skips_a_local_minimum_and_more_is_not_always_better"];
}
