//! Adversarial examples: inputs changed a little so that a model errs, and how it stands up to them.

use crate::error::{Result, TrainError};
use crate::evaluation::Measured;
use crate::plots::{Lines, Tile, grid_svg};
use crate::recipe::Loss;
use crate::run_dir::RunDir;
use gradus_nn::Forward;
use gradus_tensor::{Tensor, no_grad};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Examples of one forward and backward pass.
const BATCH: usize = 256;
/// Pictures of a grid.
const SHOWN: usize = 6;

/// How an input is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// One step along the sign of the gradient: `x + eps sign(grad_x L(x, y))`.
    ///
    /// Source: Goodfellow et al., 2014, <https://arxiv.org/abs/1412.6572>.
    Fgsm,
    /// Small steps of the same kind, each brought back to within `eps` of the input.
    ///
    /// Source: Kurakin et al., 2016, <https://arxiv.org/abs/1607.02533>; Madry et al., 2017,
    /// <https://arxiv.org/abs/1706.06083>.
    Pgd,
    /// Small steps towards the class that the model finds least likely: `x - step sign(grad_x L(x, y_LL))`.
    ///
    /// Source: Kurakin et al., 2016, <https://arxiv.org/abs/1607.02533>.
    LeastLikely,
}

impl Attack {
    /// All attacks with their names.
    pub const ALL: [(&'static str, Attack); 3] =
        [("fgsm", Attack::Fgsm), ("pgd", Attack::Pgd), ("least-likely", Attack::LeastLikely)];

    /// The name.
    pub fn name(self) -> &'static str {
        Attack::ALL.iter().find(|(_, a)| *a == self).map_or("", |(name, _)| name)
    }
}

/// An attack with its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adversary {
    /// How inputs are changed.
    pub attack: Attack,
    /// The most a pixel may change.
    pub epsilon: f64,
    /// Steps of the attacks that take several.
    pub steps: usize,
}

impl Adversary {
    /// Changed pixels: each within `epsilon` of what it was, and within [0, 1].
    ///
    /// `forward` goes from pixels to the model's outputs. The model should be in evaluation mode.
    ///
    /// # Shapes
    /// `pixels`: `[N, ...]`; `labels`: `[N]` i64; result: that of `pixels`.
    pub fn change(&self, forward: &dyn Fn(&Tensor) -> Tensor, loss: Loss, pixels: &Tensor, labels: &Tensor) -> Tensor {
        let steps = if self.attack == Attack::Fgsm { 1 } else { self.steps.max(1) };
        // A step is larger than its share of the way, so that the border is reached also along a crooked one.
        let size = if steps == 1 { self.epsilon } else { (2.5 * self.epsilon / steps as f64).min(self.epsilon) };
        let (direction, target) = match self.attack {
            Attack::LeastLikely => (-1.0, no_grad(|| forward(pixels)).argmin(1, false)),
            _ => (1.0, labels.clone()),
        };
        let (low, high) = (pixels - self.epsilon, pixels + self.epsilon);
        let mut x = pixels.detach();
        for _ in 0..steps {
            let leaf = x.detach().requires_grad_(true);
            // The sum, so that an example's gradient does not depend on who is in the batch with it.
            let n = leaf.size(0) as f64;
            (loss.of(&forward(&leaf), &target) * n).backward();
            let gradient = leaf.grad().expect("the input takes a gradient");
            x = no_grad(|| {
                (leaf.detach() + gradient.sign() * (direction * size)).maximum(&low).minimum(&high).clamp(0.0, 1.0)
            });
        }
        x
    }
}

/// Accuracy under an attack of one size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Robustness {
    /// How inputs were changed.
    pub attack: Attack,
    /// The most a pixel could change.
    pub epsilon: f64,
    /// The part of the examples that was still classified rightly.
    pub accuracy: f64,
}

/// What a model makes of attacked test examples.
pub struct RobustnessReport {
    /// A row for each attack and size.
    pub rows: Vec<Robustness>,
    /// Clean and changed pictures.
    tiles: Vec<Tile>,
}

/// Attacks the first `most` test examples with every attack at every size.
///
/// # Errors
/// If a size is negative or not finite, or the examples are no pictures.
pub fn robustness(
    model: &dyn Forward,
    loss: Loss,
    measured: &Measured,
    epsilons: &[f64],
    steps: usize,
    most: usize,
) -> Result<RobustnessReport> {
    if let Some(wrong) = epsilons.iter().find(|e| !(**e >= 0.0 && e.is_finite())) {
        return Err(TrainError::Recipe(format!(
            "an epsilon is at least 0, as a part of the range of a pixel; got {wrong}"
        )));
    }
    if epsilons.is_empty() {
        return Ok(RobustnessReport { rows: vec![], tiles: vec![] });
    }
    if !measured.has_pictures() {
        return Err(TrainError::Input("only pictures are attacked; leave --adversarial out".into()));
    }
    model.eval();
    let takes: Vec<(Tensor, bool)> = model.parameters().into_iter().map(|p| (p.clone(), p.requires_grad())).collect();
    model.freeze(); // only the input's gradient is wanted
    let n = most.min(measured.examples());
    let inputs = measured.inputs(&(0..n).collect::<Vec<_>>())?;
    let pixels = measured.preprocess.to_pixels(&inputs).clamp(0.0, 1.0);
    let truth: Vec<i64> = measured.classification.truth()[..n].iter().map(|&t| t as i64).collect();
    let labels = Tensor::from_vec(truth.clone(), [n]);
    let scale = measured.preprocess.scale();
    let forward = |x: &Tensor| model.forward(&scale.apply(x));
    let predict = |x: &Tensor| no_grad(|| forward(x)).argmax(1, false).to_vec::<i64>();
    let name = |c: i64| measured.classes[c as usize].as_str();
    let mut report = RobustnessReport { rows: vec![], tiles: vec![] };
    for (_, attack) in Attack::ALL {
        for &epsilon in epsilons {
            let adversary = Adversary { attack, epsilon, steps };
            let mut right = 0;
            for first in (0..n).step_by(BATCH) {
                let count = BATCH.min(n - first);
                let (x, y) = (pixels.narrow(0, first, count), labels.narrow(0, first, count));
                let changed = adversary.change(&forward, loss, &x, &y);
                let said = predict(&changed);
                right += said.iter().zip(&truth[first..]).filter(|(s, t)| s == t).count();
                if first == 0 {
                    for i in 0..SHOWN.min(count) {
                        let words = vec![
                            format!("{} {epsilon}", attack.name()),
                            match said[i] == truth[i] {
                                true => format!("{} still", name(truth[i])),
                                false => format!("{} taken for {}", name(truth[i]), name(said[i])),
                            },
                        ];
                        report.tiles.push(Tile { pixels: changed.select(0, i), words });
                    }
                }
            }
            report.rows.push(Robustness { attack, epsilon, accuracy: right as f64 / n as f64 });
        }
    }
    takes.into_iter().for_each(|(p, on)| drop(p.requires_grad_(on)));
    Ok(report)
}

impl RobustnessReport {
    /// Draws accuracy against size and a grid of changed pictures into `dir`, and says which files there are.
    ///
    /// # Errors
    /// If the directory or a file cannot be written.
    pub fn pictures(&self, title: &str, dir: &Path) -> Result<Vec<PathBuf>> {
        std::fs::create_dir_all(dir).map_err(TrainError::io("create the directory", dir))?;
        let dir = RunDir::open(dir)?;
        let series = |(name, attack): (&str, Attack)| {
            let rows = self.rows.iter().filter(|r| r.attack == attack);
            (name.to_string(), rows.map(|r| (r.epsilon, r.accuracy)).collect())
        };
        let lines = Lines {
            title: &format!("{title}: robustness"),
            subtitle: "accuracy on test examples whose pixels may each change by epsilon",
            axes: ["epsilon", "accuracy"],
            series: Attack::ALL.into_iter().map(series).collect(),
            ends: None,
            log_x: false,
            diagonal: false,
        };
        let grid = grid_svg(
            &format!("{title}: adversarial examples"),
            "attack and epsilon, truth and what was said",
            &self.tiles,
            SHOWN,
        );
        let files = [("robustness.svg", lines.svg()), ("adversarial.svg", grid)];
        files.iter().try_for_each(|(name, svg)| dir.write(name, svg))?;
        Ok(files.iter().map(|(name, _)| dir.file(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::{Flatten, Linear, Module, Sequential, sequential};

    fn net() -> Sequential {
        gradus_tensor::manual_seed(4);
        let net = sequential![Flatten::new(), Linear::new(6, 3)];
        net.eval();
        net
    }

    fn changed(attack: Attack, epsilon: f64) -> (Tensor, Tensor, Tensor, Sequential) {
        let net = net();
        let (x, y) = (Tensor::rand([5, 6]), Tensor::from_slice(&[0i64, 1, 2, 1, 0], [5]));
        let adversary = Adversary { attack, epsilon, steps: 7 };
        let out = adversary.change(&|x| net.forward(x), Loss::CrossEntropy, &x, &y);
        (x, y, out, net)
    }

    #[test]
    fn changes_stay_within_epsilon_and_the_range_of_pixels() {
        for (_, attack) in Attack::ALL {
            let (x, _, out, _) = changed(attack, 0.3);
            assert!((&out - &x).abs().max().item() <= 0.3 + 1e-6, "{attack:?}");
            assert!(out.min().item() >= 0.0 && out.max().item() <= 1.0, "{attack:?}");
            assert_ne!(out.to_vec::<f32>(), x.to_vec::<f32>());
            let (x, _, out, _) = changed(attack, 0.0);
            assert_eq!(out.to_vec::<f32>(), x.to_vec::<f32>());
        }
    }

    #[test]
    fn fgsm_of_a_linear_model_is_its_formula() {
        let (x, y, out, net) = changed(Attack::Fgsm, 0.1);
        // d L / d x = W^T (softmax - one-hot); its sign, times epsilon, clipped.
        let error = net.forward(&x).softmax(1) - y.one_hot(3).to_dtype(gradus_tensor::DType::F32); // [5, 3]
        let weight = net.parameters()[0].detach(); // [3, 6]
        let want = (&x + error.detach().matmul(&weight).sign() * 0.1).clamp(0.0, 1.0);
        assert_eq!(out.to_vec::<f32>(), want.to_vec::<f32>());
    }

    #[test]
    fn untargeted_attacks_raise_the_loss_and_the_least_likely_class_becomes_likelier() {
        for attack in [Attack::Fgsm, Attack::Pgd] {
            let (x, y, out, net) = changed(attack, 0.1);
            let loss = |x: &Tensor| Loss::CrossEntropy.of(&net.forward(x), &y).item();
            assert!(loss(&out) > loss(&x), "{attack:?}");
        }
        let (x, _, out, net) = changed(Attack::LeastLikely, 0.1);
        let least = net.forward(&x).argmin(1, false);
        let share = |x: &Tensor| -Loss::CrossEntropy.of(&net.forward(x), &least).item();
        assert!(share(&out) > share(&x));
    }
}
