//! Groups I, Q, R and T: practice, evaluation, adversarial examples and rules of thumb.

pub mod practice {
    rows! {
        I1 "Epochs and batches: forward, loss, backward, step, over a new order each epoch" [gradus::train::Trainer]
            ["crates/gradus/tests/cli.rs::the_digits_recipe_reaches_98_percent"];
        I2 "Loss of an epoch, by examples and by batches" [gradus::train::metrics::Running]
            ["crates/train/src/metrics/mod.rs::the_loss_is_weighted_by_examples"];
        I3 "Reference small nets" [gradus::train::RECIPES]
            ["crates/gradus/tests/cli.rs::mnist_is_read_from_idx_files_gzipped_or_not"];
        I4 "A project from data to test" [gradus::train::run::train]
            ["crates/gradus/tests/cli.rs::a_run_leaves_everything_behind_and_can_be_measured_again"];
        I5 "The checkpoint that is best on validation examples" [gradus::train::Checkpoints]
            ["crates/gradus/tests/cli.rs::a_run_leaves_everything_behind_and_can_be_measured_again"];
        I6 "Training and evaluation modes" [gradus::train::evaluate]
            ["crates/gradus/tests/cli/resume.rs::a_run_that_is_killed_again_and_again_ends_with_the_same_weights",
             "crates/gradus/tests/cli/resume.rs::a_run_over_files_that_is_killed_again_and_again_ends_with_the_same_weights"];
        I7 "State dicts with strict shapes" [gradus::train::init_from]
            ["crates/gradus/tests/cli/training.rs::a_head_is_replaced_and_what_does_not_fit_is_named"];
        I8 "The architecture is part of the checkpoint" [gradus::train::Card]
            ["crates/gradus/tests/cli.rs::a_checkpoint_of_another_architecture_is_refused"];
        I9 "Hyper-parameters in one typed file" [gradus::train::Recipe, gradus::train::Training]
            ["crates/train/src/recipe.rs::parts_that_do_not_fit_each_other_are_refused"];
        I10 "Transfer: a new head, frozen layers, rates by layer" [gradus::train::init_from, gradus::train::Training]
            ["crates/gradus/tests/cli/training.rs::a_head_is_replaced_and_what_does_not_fit_is_named",
             "crates/gradus/tests/cli/training.rs::frozen_layers_stay_and_layers_have_rates_of_their_own"];
        I11 "Distillation with temperature and mixing weight" [gradus::train::Teacher]
            ["crates/train/src/objective.rs::a_student_that_says_what_its_teacher_says_has_no_distance",
             "crates/gradus/tests/cli/training.rs::a_student_learns_from_its_teacher"];
        I12 "Deep supervision: losses of auxiliary classifiers by their weights" [gradus::train::Objective]
            ["crates/train/src/objective.rs::auxiliary_classifiers_add_their_losses_by_their_weights"];
        I13 "A watch for overfitting" [gradus::train::Hints]
            ["crates/train/src/hints.rs::overfitting_is_seen_and_a_healthy_run_is_not"];
        I14 "Embeddings learnt apart from the model that uses them" [gradus::train::WordVectors, gradus::train::TextConfig]
            ["crates/train/src/word_vectors.rs::words_among_the_same_neighbours_are_alike_and_a_seed_gives_one_result",
             "crates/gradus/tests/cli/sources.rs::word_vectors_learnt_apart_know_words_that_no_class_was_given_for"];
    }
}

pub mod measures {
    rows! {
        Q1 "Sensitivity, recall, true positive rate" [gradus::train::metrics::Confusion]
            ["crates/train/tests/metrics.rs::classification_is_as_in_scikit_learn"];
        Q2 "Specificity" [gradus::train::metrics::Confusion]
            ["crates/train/tests/metrics.rs::classification_is_as_in_scikit_learn"];
        Q3 "Precision" [gradus::train::metrics::Confusion]
            ["crates/train/tests/metrics.rs::classification_is_as_in_scikit_learn"];
        Q4 "The table of two classes, rows actual, columns predicted" [gradus::train::metrics::Confusion]
            ["crates/train/src/metrics/confusion.rs::the_confusion_matrix_counts_rows_by_truth"];
        Q5 "A threshold by cost or by sensitivity" [gradus::train::metrics::Threshold]
            ["crates/train/tests/metrics.rs::curves_and_thresholds_are_as_in_scikit_learn",
             "crates/gradus/tests/cli/evaluation.rs::a_threshold_is_chosen_by_sensitivity_or_by_cost"];
        Q6 "ROC curve" [gradus::train::metrics::roc_curve]
            ["crates/train/tests/metrics.rs::curves_and_thresholds_are_as_in_scikit_learn"];
        Q7 "AUC, nothing for one class alone" [gradus::train::metrics::roc_auc_score]
            ["crates/train/tests/metrics.rs::the_area_of_one_class_alone_is_nothing"];
        Q8 "The ROC curve seen the other way: specificity" [gradus::train::metrics::RocCurve]
            ["crates/train/tests/metrics.rs::curves_and_thresholds_are_as_in_scikit_learn",
             "crates/gradus/tests/cli/evaluation.rs::an_evaluation_is_the_same_as_a_table_as_json_and_as_pictures"];
        Q9 "Confusion matrix of several classes, raw and row-normalised" [gradus::train::metrics::Confusion]
            ["crates/train/tests/metrics.rs::classification_is_as_in_scikit_learn"];
        Q10 "Type I and type II errors" [gradus::train::metrics::ClassRow]
            ["crates/train/tests/metrics.rs::classification_is_as_in_scikit_learn"];
    }
}

pub mod adversarial {
    rows! {
        R1 "FGSM" [gradus::train::Attack]
            ["crates/train/src/adversarial.rs::fgsm_of_a_linear_model_is_its_formula"];
        R2 "The iterative method, within an epsilon ball" [gradus::train::Adversary]
            ["crates/train/src/adversarial.rs::changes_stay_within_epsilon_and_the_range_of_pixels"];
        R3 "The least likely class" [gradus::train::Attack]
            ["crates/train/src/adversarial.rs::untargeted_attacks_raise_the_loss_and_the_least_likely_class_becomes_likelier"];
        R5 "Robustness: accuracy against epsilon" [gradus::train::robustness]
            ["crates/gradus/tests/cli/training.rs::attacks_lower_the_accuracy_with_their_size"];
    }
}

pub mod rules {
    rows! {
        T1 "Number of layers" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::layers_that_break_a_rule_are_named_and_others_are_not"];
        T2 "Units of a layer" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::layers_that_break_a_rule_are_named_and_others_are_not"];
        T3 "Batch size" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::every_recipe_gets_hints_with_figures_that_hold"];
        T4 "Inputs that are normalised" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::every_recipe_gets_hints_with_figures_that_hold"];
        T5 "Sizes of recurrent nets" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::recurrent_layers_are_counted_by_depth_not_by_direction"];
        T6 "Depth and cell of recurrent nets" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::recurrent_layers_are_counted_by_depth_not_by_direction"];
        T7 "Adam for recurrent nets" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::recurrent_layers_are_counted_by_depth_not_by_direction"];
        T8 "The loss that fits the output" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::layers_that_break_a_rule_are_named_and_others_are_not"];
        T9 "The output that fits the classes" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::a_first_loss_far_above_chance_exploding_and_vanishing_gradients_and_dead_units_are_said_with_figures"];
        T10 "Filters and kernels" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::every_recipe_gets_hints_with_figures_that_hold"];
        T11 "Pooling" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::layers_that_break_a_rule_are_named_and_others_are_not"];
        T12 "What others use" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::every_recipe_gets_hints_with_figures_that_hold"];
        T13 "Data, and overfitting" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::overfitting_is_seen_and_a_healthy_run_is_not"];
        T14 "Gradients that explode or vanish" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::a_first_loss_far_above_chance_exploding_and_vanishing_gradients_and_dead_units_are_said_with_figures"];
        T15 "Units that are shut" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::a_first_loss_far_above_chance_exploding_and_vanishing_gradients_and_dead_units_are_said_with_figures"];
        T16 "Shared weights" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::layers_that_break_a_rule_are_named_and_others_are_not"];
        T17 "Saddles and plateaus" [gradus::train::HINTS]
            ["crates/train/src/hints.rs::a_halt_needs_five_epochs_and_a_loss_worth_mentioning"];
    }
}
