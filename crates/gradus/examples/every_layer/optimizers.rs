//! Every optimiser, with a rate at which a small model gets better in a dozen steps.

use gradus::prelude::*;

type Make = fn(Vec<Tensor>) -> Box<dyn Optimizer>;

/// The optimisers by name.
pub const ALL: [(&str, Make); 14] = [
    ("Sgd", |p| Box::new(Sgd::new(p, 0.2).momentum(0.5))),
    ("Adam", |p| Box::new(Adam::new(p, 0.02))),
    ("AdamW", |p| Box::new(AdamW::new(p, 0.02))),
    ("Adamax", |p| Box::new(Adamax::new(p, 0.02))),
    ("NAdam", |p| Box::new(NAdam::new(p, 0.02))),
    ("RAdam", |p| Box::new(RAdam::new(p, 0.1))),
    ("Lamb", |p| Box::new(Lamb::new(p, 0.02))),
    ("Lion", |p| Box::new(Lion::new(p, 0.01))),
    ("RMSprop", |p| Box::new(RMSprop::new(p, 0.005))),
    ("Adagrad", |p| Box::new(Adagrad::new(p, 0.03))),
    ("Adadelta", |p| Box::new(Adadelta::new(p, 1.0).eps(1e-4))),
    ("ASGD", |p| Box::new(ASGD::new(p, 0.3))),
    ("Rprop", |p| Box::new(Rprop::new(p, 0.005))),
    ("Lbfgs", |p| Box::new(Lbfgs::new(p, 1.0).max_iter(4).line_search_fn(LineSearch::StrongWolfe))),
];

/// Whether an optimiser only makes sense where the loss has no noise.
pub fn wants_exact_loss(name: &str) -> bool {
    matches!(name, "Rprop" | "Lbfgs")
}
