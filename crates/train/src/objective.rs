//! What is minimised: the loss with what a recipe adds to it.

use crate::recipe::Loss;
use gradus_models::{Model, Taught};
use gradus_nn::Forward;
use gradus_nn::losses::{CrossEntropyOptions, cross_entropy_with, l1_penalty, l2_penalty};
use gradus_tensor::{Tensor, no_grad};

/// A loss, smoothed labels, penalties on the weights and a teacher.
pub struct Objective {
    /// The loss that is also measured on validation and test examples.
    pub loss: Loss,
    /// The share of the target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// The factor of the sum of |w|.
    pub l1: f64,
    /// The factor of the sum of w^2.
    pub l2: f64,
    /// The weights that are penalised: those with more than one dimension, so no biases and no scales.
    pub weights: Vec<Tensor>,
    /// A model to be imitated.
    pub teacher: Option<Teacher>,
    /// The factors of the losses of auxiliary classifiers, from deep to early: one for all, or one each; none where
    /// they are left out.
    pub aux_weights: Vec<f64>,
    /// The factor of the squared error of the input that a model rebuilds, the sum over an input.
    pub reconstruction: f64,
}

/// A trained model whose outputs are imitated.
///
/// The loss is `(1 - a) loss + a T^2 KL(softmax(teacher / T) || softmax(student / T))`.
///
/// Source: Hinton et al., 2015, <https://arxiv.org/abs/1503.02531>.
pub struct Teacher {
    /// The model, in evaluation mode.
    pub model: Box<dyn Forward>,
    /// The factor and the shift that make of our inputs what the teacher learnt from, each `[C, 1, 1]` or the like.
    pub rescale: Option<(Tensor, Tensor)>,
    /// The temperature T that softens both outputs.
    pub temperature: f64,
    /// The share a of the teacher's word.
    pub weight: f64,
}

impl Objective {
    /// The loss alone.
    pub fn new(loss: Loss) -> Objective {
        Objective {
            loss,
            label_smoothing: 0.0,
            l1: 0.0,
            l2: 0.0,
            weights: vec![],
            teacher: None,
            aux_weights: vec![],
            reconstruction: 0.0,
        }
    }

    /// What is minimised for one batch.
    ///
    /// # Shapes
    /// `images`: the model's input; `outputs`: [N, classes]; `labels`: `[N]` i64, or [N, classes] probabilities;
    /// result: `[]`.
    pub fn of(&self, images: &Tensor, outputs: &Tensor, labels: &Tensor) -> Tensor {
        let mut loss = self.criterion(outputs, labels);
        if let Some(teacher) = &self.teacher {
            loss = loss * (1.0 - teacher.weight) + teacher.distance(images, outputs) * teacher.weight;
        }
        if self.l1 > 0.0 {
            loss = loss + l1_penalty(&self.weights, self.l1);
        }
        if self.l2 > 0.0 {
            loss = loss + l2_penalty(&self.weights, self.l2);
        }
        loss
    }
}

impl Objective {
    /// Whether more than the outputs is needed of a model.
    pub fn wants_more(&self) -> bool {
        !self.aux_weights.is_empty() || self.reconstruction > 0.0
    }

    /// The loss of some outputs, with smoothed labels if that is asked for.
    fn criterion(&self, outputs: &Tensor, labels: &Tensor) -> Tensor {
        match self.label_smoothing > 0.0 {
            // Log-probabilities are their own log-softmax, so this is right for both losses.
            true => {
                let options = CrossEntropyOptions { label_smoothing: self.label_smoothing, ..Default::default() };
                cross_entropy_with(outputs, labels, options)
            }
            false => self.loss.of(outputs, labels),
        }
    }

    /// The outputs of a model for one batch, and what is minimised: as [`Objective::of`], and with
    /// `sum_k w_k loss(auxiliary_k)` (deep supervision) and `r mean_n sum_i (rebuilt_ni - x_ni)^2` where they are asked for.
    ///
    /// # Shapes
    /// As [`Objective::of`].
    ///
    /// Source: Szegedy et al., 2014, <https://arxiv.org/abs/1409.4842>, with w = 0.3; torchvision's reference takes 0.4
    /// for Inception v3, <https://github.com/pytorch/vision/tree/main/references/classification>. Sabour et al., 2017,
    /// <https://arxiv.org/abs/1710.09829>, with r = 0.0005.
    pub fn taught(&self, model: &dyn Model, images: &Tensor, labels: &Tensor) -> (Tensor, Tensor) {
        let Taught { outputs, auxiliary, reconstruction } = model.forward_taught(images, labels);
        let mut loss = self.of(images, &outputs, labels);
        for (k, head) in auxiliary.iter().enumerate() {
            if let Some(weight) = self.aux_weights.get(k).or(self.aux_weights.last()) {
                loss = loss + self.criterion(head, labels) * *weight;
            }
        }
        if let (Some(rebuilt), true) = (reconstruction, self.reconstruction > 0.0) {
            loss = loss + (rebuilt - images).square().sum() * (self.reconstruction / images.size(0) as f64);
        }
        (outputs, loss)
    }
}

impl Teacher {
    /// `T^2 KL(teacher || student)`, the mean over examples.
    fn distance(&self, images: &Tensor, outputs: &Tensor) -> Tensor {
        let t = self.temperature;
        let images = self.rescale.as_ref().map_or_else(|| images.clone(), |(factor, shift)| images * factor + shift);
        let word = no_grad(|| self.model.forward(&images)) / t;
        let (log_p, log_q) = (word.log_softmax(1), (outputs / t).log_softmax(1));
        let n = outputs.size(0) as f64;
        (log_p.exp() * (log_p - log_q)).sum() * (t * t / n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::losses::cross_entropy;
    use gradus_nn::{Flatten, Linear, Module, sequential};

    fn batch() -> (Tensor, Tensor, Tensor) {
        gradus_tensor::manual_seed(3);
        (Tensor::randn([4, 3]), Tensor::randn([4, 2]), Tensor::from_slice(&[0i64, 1, 1, 0], [4]))
    }

    #[test]
    fn nothing_added_is_the_loss_itself() {
        let (x, out, y) = batch();
        for (loss, out) in [(Loss::CrossEntropy, out.clone()), (Loss::Nll, out.log_softmax(1))] {
            assert_eq!(Objective::new(loss).of(&x, &out, &y).item(), loss.of(&out, &y).item());
        }
    }

    #[test]
    fn smoothing_and_penalties_add_what_their_formulas_say() {
        let (x, out, y) = batch();
        let plain = cross_entropy(&out, &y).item_f64();
        let spread = -(out.log_softmax(1).mean().item_f64());
        let smooth = Objective { label_smoothing: 0.2, ..Objective::new(Loss::CrossEntropy) };
        assert!((smooth.of(&x, &out, &y).item_f64() - (0.8 * plain + 0.2 * spread)).abs() < 1e-6);
        let weights = vec![Tensor::from_slice(&[1.0f32, -2.0], [1, 2])];
        let penal = Objective { l1: 0.1, l2: 0.01, weights, ..Objective::new(Loss::CrossEntropy) };
        assert!((penal.of(&x, &out, &y).item_f64() - (plain + 0.3 + 0.05)).abs() < 1e-6);
    }

    fn built(json: &str) -> Box<dyn Model> {
        gradus_tensor::manual_seed(5);
        gradus_models::build(&serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn auxiliary_classifiers_add_their_losses_by_their_weights() {
        let google =
            built(r#"{"name": "googlenet", "width_mult": 0.0625, "num_classes": 3, "dropout": 0, "dropout_aux": 0}"#);
        let inception = built(r#"{"name": "inception_v3", "width_mult": 0.0625, "num_classes": 3, "dropout": 0}"#);
        // The net, the side of its pictures, weights of the auxiliary losses, each head's factor, a weight of a head.
        let all_alike = ([0.3].as_slice(), [0.3, 0.3].as_slice());
        let one_each = ([0.5, 0.1].as_slice(), [0.5, 0.1].as_slice());
        let one_head = ([0.4].as_slice(), [0.4].as_slice());
        for (net, side, cases, of_head) in [
            (google, 64, vec![all_alike, one_each], "aux1.fc2.weight"),
            (inception, 299, vec![one_head], "AuxLogits.fc.weight"),
        ] {
            let (x, y) = (Tensor::randn([2, 3, side, side]), Tensor::from_slice(&[0i64, 2], [2]));
            net.eval();
            let plain = net.forward(&x).to_vec::<f32>();
            let taught = net.forward_taught(&x, &y);
            let loss = |out: &Tensor| cross_entropy(out, &y).item_f64();
            for (weights, factors) in cases {
                assert_eq!(taught.auxiliary.len(), factors.len());
                let auxiliary: f64 = taught.auxiliary.iter().zip(factors).map(|(out, f)| f * loss(out)).sum();
                let objective = Objective { aux_weights: weights.to_vec(), ..Objective::new(Loss::CrossEntropy) };
                let (outputs, sum) = objective.taught(&*net, &x, &y);
                assert!((sum.item_f64() - loss(&taught.outputs) - auxiliary).abs() < 1e-5 && objective.wants_more());
                assert!(auxiliary > 0.1 && outputs.to_vec::<f32>() == plain);
            }
            // The head's own weights have a gradient only if its loss counts.
            let head = |objective: Objective| {
                net.zero_grad();
                objective.taught(&*net, &x, &y).1.backward();
                let named = net.named_parameters();
                let weight = &named.iter().find(|(path, _)| path == of_head).unwrap().1;
                weight.grad().is_some_and(|g| g.abs().max().item() > 0.0)
            };
            assert!(head(Objective { aux_weights: vec![0.3], ..Objective::new(Loss::CrossEntropy) }));
            assert!(!head(Objective::new(Loss::CrossEntropy)));
        }
    }

    #[test]
    fn a_rebuilt_input_adds_its_squared_error() {
        let net = built(r#"{"name": "capsnet", "channels": 4, "primary_capsules": 2, "decoder": [8, 8]}"#);
        let (x, y) = (Tensor::rand([3, 1, 28, 28]), Tensor::from_slice(&[3i64, 7, 1], [3]));
        let rebuilt = net.forward_taught(&x, &y).reconstruction.unwrap();
        let squares = (rebuilt - &x).square().sum().item_f64() / 3.0;
        let plain = Loss::Margin.of(&net.forward(&x), &y).item_f64();
        let objective = Objective { reconstruction: 0.0005, ..Objective::new(Loss::Margin) };
        assert!((objective.taught(&*net, &x, &y).1.item_f64() - (plain + 0.0005 * squares)).abs() < 1e-5);
    }

    #[test]
    fn a_student_that_says_what_its_teacher_says_has_no_distance() {
        let (x, _, y) = batch();
        let model = sequential![Flatten::new(), Linear::new(3, 2)];
        let (same, other) = (model.forward(&x), Tensor::randn([4, 2]));
        let log = |t: &Tensor| (t / 2.0).log_softmax(1).to_vec::<f32>();
        let (p, q) = (log(&same), log(&other));
        let kl: f64 = p.iter().zip(&q).map(|(p, q)| f64::from(p.exp() * (p - q))).sum::<f64>() / 4.0;
        model.eval();
        let teacher = Teacher { model: Box::new(model), rescale: None, temperature: 2.0, weight: 0.5 };
        let taught = Objective { teacher: Some(teacher), ..Objective::new(Loss::CrossEntropy) };
        let half = |out: &Tensor| 0.5 * cross_entropy(out, &y).item_f64();
        assert!((taught.of(&x, &same, &y).item_f64() - half(&same)).abs() < 1e-6);
        assert!((taught.of(&x, &other, &y).item_f64() - (half(&other) + 0.5 * 4.0 * kl)).abs() < 1e-5);

        // Its gradient at the outputs z is ((1 - a) (softmax(z) - y) + a T (softmax(z / T) - softmax(teacher / T))) / n.
        let leaf = other.detach().requires_grad_(true);
        taught.of(&x, &leaf, &y).backward();
        let (soft, word) = ((&other / 2.0).softmax(1), (&same.detach() / 2.0).softmax(1));
        let hard = other.softmax(1) - y.one_hot(2).to_dtype(gradus_tensor::DType::F32);
        let want = (hard * 0.5 + (soft - word) * (0.5 * 2.0)) / 4.0;
        assert!((leaf.grad().unwrap() - want).abs().max().item() < 1e-6);
    }
}
