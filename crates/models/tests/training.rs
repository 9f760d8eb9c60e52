//! Every model learns a batch by heart. A program of its own: the numbers are drawn from the one generator, so no other
//! test may draw beside it.

#[path = "vision/small.rs"]
#[allow(dead_code)]
mod small;

use gradus_models::{Output, capsule_margin_loss, find};
use gradus_nn::Forward;
use gradus_nn::losses::{cross_entropy, mse_loss, nll_loss};
use gradus_nn::optim::{Adam, Optimizer};
use gradus_tensor::{Tensor, manual_seed};
use small::{Small, all};

/// The lowest loss as a share of the first one, within 30 steps of Adam on one batch.
fn overfit(small: &Small, model: &dyn Forward, loss: &dyn Fn(&Tensor) -> Tensor) -> f64 {
    let x = Tensor::randn(small.input);
    let mut optimizer = Adam::new(model.parameters(), small.lr);
    model.train();
    let mut losses = Vec::new();
    for _ in 0..30 {
        model.zero_grad();
        let now = loss(&model.forward(&x));
        losses.push(now.item_f64());
        now.backward();
        optimizer.step();
    }
    losses.iter().copied().fold(f64::INFINITY, f64::min) / losses[0]
}

#[test]
fn every_model_learns_a_batch_by_heart() {
    for small in all() {
        // One with which no class's score is 0 for good from the start where a ReLU ends the net.
        manual_seed(2);
        let model = small.build();
        let labels: Vec<i64> = (0..small.input[0] as i64).map(|i| i % 10).collect();
        let labels = Tensor::from_slice(&labels, [small.input[0]]);
        let share = match find(small.name).unwrap().output {
            Output::Logits => overfit(&small, &*model, &|y| cross_entropy(y, &labels)),
            Output::LogProbabilities => overfit(&small, &*model, &|y| nll_loss(y, &labels)),
            Output::PixelLogits => {
                let [n, _, h, w] = small.input;
                // Four squares of different classes, to be told apart by what is drawn there.
                let classes: Vec<i64> = (0..n * h * w).map(|i| (i / w % h / 16 * 2 + i % w / 16) as i64).collect();
                let classes = Tensor::from_slice(&classes, [n, h, w]);
                overfit(&small, &*model, &|y| cross_entropy(y, &classes))
            }
            Output::Image => {
                let mut flat = Vec::new();
                (0..small.input.iter().product::<usize>()).for_each(|i| flat.push(((i % 32) as f32 / 9.0).sin()));
                let wanted = Tensor::from_vec(flat, small.input);
                overfit(&small, &*model, &|y| mse_loss(y, &wanted))
            }
            Output::CapsuleLengths => overfit(&small, &*model, &|y| capsule_margin_loss(y, &labels)),
        };
        assert!(share < 0.1, "{}: the loss only fell to {share:.3} of the first one in 30 steps", small.name);
    }
}
