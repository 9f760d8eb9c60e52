//! The optimisers of a recipe and their settings, with PyTorch's names and defaults.

use crate::settings::settings;
use gradus_nn::optim::{
    ASGD, Adadelta, Adagrad, Adam, AdamW, Adamax, Lamb, Lbfgs, LineSearch, Lion, NAdam, Optimizer, RAdam, RMSprop,
    Rprop, Sgd,
};
use gradus_tensor::Tensor;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

settings! {
    /// Settings of SGD.
    SgdConfig {
        /// Learning rate.
        lr: f64 = 0.01,
        /// Momentum.
        momentum: f64 = 0.0,
        /// The part of a gradient that momentum leaves out.
        dampening: f64 = 0.0,
        /// Nesterov's form of momentum.
        nesterov: bool = false,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Adam and AdamW.
    AdamConfig {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// Divide by the largest second moment so far.
        amsgrad: bool = false,
        /// Weight decay.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Adamax.
    AdamaxConfig {
        /// Learning rate.
        lr: f64 = 2e-3,
        /// Decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of NAdam.
    NAdamConfig {
        /// Learning rate.
        lr: f64 = 2e-3,
        /// Decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// How fast the momentum falls.
        momentum_decay: f64 = 4e-3,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of RAdam.
    RAdamConfig {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of LAMB.
    LambConfig {
        /// Learning rate.
        lr: f64 = 1e-3,
        /// Decay rates of the two moments.
        betas: [f64; 2] = [0.9, 0.999],
        /// Added to the denominator.
        eps: f64 = 1e-6,
        /// Weight decay.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Lion.
    LionConfig {
        /// Learning rate.
        lr: f64 = 1e-4,
        /// Decay rates of step and momentum.
        betas: [f64; 2] = [0.9, 0.99],
        /// Weight decay.
        weight_decay: f64 = 0.0,
    }
    /// Settings of RMSprop.
    RMSpropConfig {
        /// Learning rate.
        lr: f64 = 0.01,
        /// Share of the mean square that stays in each step.
        alpha: f64 = 0.99,
        /// Added to the denominator.
        eps: f64 = 1e-8,
        /// Momentum.
        momentum: f64 = 0.0,
        /// Divide by the deviation, not by the root of the mean square.
        centered: bool = false,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Adagrad.
    AdagradConfig {
        /// Learning rate.
        lr: f64 = 0.01,
        /// How fast the rate falls.
        lr_decay: f64 = 0.0,
        /// Where the sum of squares begins.
        initial_accumulator_value: f64 = 0.0,
        /// Added to the denominator.
        eps: f64 = 1e-10,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Adadelta.
    AdadeltaConfig {
        /// Learning rate.
        lr: f64 = 1.0,
        /// Share of the running means that stays in each step.
        rho: f64 = 0.9,
        /// Added to the running means.
        eps: f64 = 1e-6,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of ASGD.
    AsgdConfig {
        /// Learning rate.
        lr: f64 = 0.01,
        /// How fast weights fall.
        lambd: f64 = 1e-4,
        /// The power by which the rate falls.
        alpha: f64 = 0.75,
        /// The step at which averaging begins.
        t0: f64 = 1e6,
        /// L2 penalty.
        weight_decay: f64 = 0.0,
    }
    /// Settings of Rprop.
    RpropConfig {
        /// The first step.
        lr: f64 = 0.01,
        /// Factors on a step when the gradient's sign changes, and when it stays.
        etas: [f64; 2] = [0.5, 1.2],
        /// The smallest and the largest step.
        step_sizes: [f64; 2] = [1e-6, 50.0],
    }
    /// Settings of L-BFGS.
    LbfgsConfig {
        /// Length of a step, or where the search for it begins.
        lr: f64 = 1.0,
        /// Iterations in a step, at most.
        max_iter: usize = 20,
        /// Evaluations of the loss in a step, at most; 0 for 1.25 times `max_iter`.
        max_eval: usize = 0,
        /// A step ends where no element of the gradient is larger.
        tolerance_grad: f64 = 1e-7,
        /// A step ends where neither a weight nor the loss changes by more.
        tolerance_change: f64 = 1e-9,
        /// How many past changes are kept.
        history_size: usize = 100,
        /// How the length of a step is chosen.
        line_search_fn: LineSearchFn = LineSearchFn::None,
    }
}

/// How L-BFGS chooses the length of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineSearchFn {
    /// It is the learning rate.
    None,
    /// It is searched until the strong Wolfe conditions hold.
    StrongWolfe,
}

impl LbfgsConfig {
    fn init(&self, parameters: Vec<Tensor>) -> Lbfgs {
        let optimizer = Lbfgs::new(parameters, self.lr)
            .max_iter(self.max_iter)
            .tolerance_grad(self.tolerance_grad)
            .tolerance_change(self.tolerance_change)
            .history_size(self.history_size)
            .line_search_fn(match self.line_search_fn {
                LineSearchFn::None => LineSearch::None,
                LineSearchFn::StrongWolfe => LineSearch::StrongWolfe,
            });
        if self.max_eval > 0 { optimizer.max_eval(self.max_eval) } else { optimizer }
    }
}

/// The table of optimisers: variant, name, settings, their defaults here, the optimiser that they make.
macro_rules! optimizers {
    ($($variant:ident $name:literal $config:ident $default:expr, $what:literal, |$p:ident, $c:ident| $make:expr;)*) => {
        /// An optimiser and its settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum OptimizerConfig {
            $(#[doc = $what] #[serde(rename = $name)] $variant($config),)*
        }

        impl OptimizerConfig {
            /// The names a recipe may use.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The optimiser called `name` with its default settings.
            pub fn by_name(name: &str) -> Option<OptimizerConfig> {
                match name {
                    $($name => Some(OptimizerConfig::$variant($default)),)*
                    _ => None,
                }
            }

            /// The base learning rate.
            pub fn lr(&self) -> f64 {
                match self { $(OptimizerConfig::$variant(c) => c.lr),* }
            }

            /// The optimiser over `parameters`.
            pub fn init(&self, parameters: Vec<Tensor>) -> Box<dyn Optimizer> {
                match self {
                    $(OptimizerConfig::$variant($c) => { let $p = parameters; Box::new($make) })*
                }
            }
        }
    };
}

optimizers! {
    Sgd "sgd" SgdConfig SgdConfig::default(), "Stochastic gradient descent.", |p, c| Sgd::new(p, c.lr)
        .momentum(c.momentum).dampening(c.dampening).nesterov(c.nesterov).weight_decay(c.weight_decay);
    Adam "adam" AdamConfig AdamConfig::default(), "Adam.", |p, c| Adam::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).eps(c.eps).amsgrad(c.amsgrad).weight_decay(c.weight_decay);
    AdamW "adamw" AdamConfig AdamConfig { weight_decay: 0.01, ..AdamConfig::default() },
        "Adam with decoupled weight decay.", |p, c| AdamW::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).eps(c.eps).amsgrad(c.amsgrad).weight_decay(c.weight_decay);
    Adamax "adamax" AdamaxConfig AdamaxConfig::default(), "Adam by the largest gradient.", |p, c| Adamax::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).eps(c.eps).weight_decay(c.weight_decay);
    NAdam "nadam" NAdamConfig NAdamConfig::default(), "Adam with Nesterov's momentum.", |p, c| NAdam::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).eps(c.eps).momentum_decay(c.momentum_decay).weight_decay(c.weight_decay);
    RAdam "radam" RAdamConfig RAdamConfig::default(), "Adam that warms up by itself.", |p, c| RAdam::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).eps(c.eps).weight_decay(c.weight_decay);
    Lamb "lamb" LambConfig LambConfig::default(), "Adam with steps by layer, for large batches.", |p, c|
        Lamb::new(p, c.lr).betas(c.betas[0], c.betas[1]).eps(c.eps).weight_decay(c.weight_decay);
    Lion "lion" LionConfig LionConfig::default(), "The sign of the momentum.", |p, c| Lion::new(p, c.lr)
        .betas(c.betas[0], c.betas[1]).weight_decay(c.weight_decay);
    RMSprop "rmsprop" RMSpropConfig RMSpropConfig::default(), "Gradients by their root mean square.", |p, c|
        RMSprop::new(p, c.lr).alpha(c.alpha).eps(c.eps).momentum(c.momentum).centered(c.centered)
        .weight_decay(c.weight_decay);
    Adagrad "adagrad" AdagradConfig AdagradConfig::default(), "Gradients by the root of all their squares.", |p, c|
        Adagrad::new(p, c.lr).lr_decay(c.lr_decay).initial_accumulator_value(c.initial_accumulator_value).eps(c.eps)
        .weight_decay(c.weight_decay);
    Adadelta "adadelta" AdadeltaConfig AdadeltaConfig::default(), "Steps by the sizes of the steps before.", |p, c|
        Adadelta::new(p, c.lr).rho(c.rho).eps(c.eps).weight_decay(c.weight_decay);
    Asgd "asgd" AsgdConfig AsgdConfig::default(), "Averaged stochastic gradient descent.", |p, c| ASGD::new(p, c.lr)
        .lambd(c.lambd).alpha(c.alpha).t0(c.t0).weight_decay(c.weight_decay);
    Rprop "rprop" RpropConfig RpropConfig::default(), "Steps by the signs of gradients, for whole batches.", |p, c|
        Rprop::new(p, c.lr).etas(c.etas[0], c.etas[1]).step_sizes(c.step_sizes[0], c.step_sizes[1]);
    Lbfgs "lbfgs" LbfgsConfig LbfgsConfig::default(), "Steps by an approximate second derivative, for whole batches.",
        |p, c| c.init(p);
}

impl OptimizerConfig {
    /// Whether a step evaluates the loss several times, on the same examples.
    pub(crate) fn searches(&self) -> bool {
        matches!(self, OptimizerConfig::Lbfgs(_))
    }

    /// Values an optimiser cannot work with.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Ok(Value::Table(settings)) = Value::try_from(self) else { unreachable!("settings are a table") };
        for key in ["max_iter", "history_size"] {
            if settings.get(key).and_then(Value::as_integer) == Some(0) {
                return Err(format!("setting `optimizer.{key}`: must be at least 1, got 0"));
            }
        }
        let nesterov = settings.get("nesterov").and_then(Value::as_bool).unwrap_or(false);
        for (key, value) in &settings {
            let numbers: Vec<f64> = match value {
                Value::Array(list) => list.iter().filter_map(Value::as_float).collect(),
                other => other.as_float().into_iter().collect(),
            };
            let (rule, fits): (&str, &dyn Fn(f64) -> bool) = match key.as_str() {
                "lr" => ("above 0 and finite", &|x| x > 0.0 && x.is_finite()),
                "momentum" if nesterov => ("above 0 with `nesterov`, and below 1", &|x| x > 0.0 && x < 1.0),
                "momentum" | "betas" | "rho" => ("at least 0 and below 1", &|x| (0.0..1.0).contains(&x)),
                "alpha" | "dampening" => ("at least 0 and at most 1", &|x| (0.0..=1.0).contains(&x)),
                "etas" | "step_sizes" => ("above 0 and finite", &|x| x > 0.0 && x.is_finite()),
                "eps" | "weight_decay" => ("at least 0", &|x| x >= 0.0 && x.is_finite()),
                _ => ("at least 0 and finite", &|x| x >= 0.0 && x.is_finite()),
            };
            if let Some(wrong) = numbers.into_iter().find(|x| !fits(*x)) {
                return Err(format!("setting `optimizer.{key}`: must be {rule}, got {wrong}"));
            }
        }
        ascending(&settings, "etas", 1.0).and_then(|()| ascending(&settings, "step_sizes", 0.0))
    }
}

/// The first of two below the second, on both sides of `middle` if that is not 0.
fn ascending(settings: &Table, key: &str, middle: f64) -> Result<(), String> {
    let pair: Vec<f64> =
        settings.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_float).collect();
    let [low, high] = pair[..] else { return Ok(()) };
    match low <= high && (middle == 0.0 || (low < middle && middle < high)) {
        true => Ok(()),
        false if middle == 0.0 => Err(format!("setting `optimizer.{key}`: must ascend, got {low} and {high}")),
        false => Err(format!("setting `optimizer.{key}`: must lie on both sides of {middle}, got {low} and {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimizer_lowers_a_loss_by_its_default_settings() {
        for name in OptimizerConfig::NAMES {
            let config = OptimizerConfig::by_name(name).unwrap();
            assert_eq!(config.check(), Ok(()), "{name}");
            let w = Tensor::full([3], 2.0).requires_grad_(true);
            let mut optimizer = config.init(vec![w.clone()]);
            assert_eq!(optimizer.lr(), config.lr());
            for _ in 0..50 {
                optimizer.step_with(&mut || w.square().sum());
            }
            assert!(w.square().sum().item() < 12.0, "{name}: {}", w.square().sum().item());
        }
    }

    #[test]
    fn settings_out_of_their_ranges_are_named() {
        let error = |name: &str, text: &str| {
            let mut table: Table = toml::from_str(text).unwrap();
            table.insert("name".into(), name.into());
            Value::Table(table).try_into::<OptimizerConfig>().unwrap().check().unwrap_err()
        };
        assert!(error("rprop", "etas = [0.5, 0.9]").contains("`optimizer.etas`: must lie on both sides of 1"));
        assert!(error("rprop", "step_sizes = [3.0, 2.0]").contains("must ascend, got 3 and 2"));
        assert!(error("sgd", "nesterov = true").contains("`optimizer.momentum`: must be above 0 with `nesterov`"));
        assert!(error("rmsprop", "alpha = 1.5").contains("`optimizer.alpha`: must be at least 0 and at most 1"));
        assert!(error("lbfgs", "max_iter = 0").contains("`optimizer.max_iter`: must be at least 1, got 0"));
        assert!(error("nadam", "momentum_decay = -1.0").contains("`optimizer.momentum_decay`: must be at least 0"));
    }
}
