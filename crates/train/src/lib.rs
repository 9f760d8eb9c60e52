//! Recipes, the training loop, run directories, metrics and plots.
