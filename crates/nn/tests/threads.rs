//! One seed gives one loss curve, to the last bit, whatever the number of threads.

use gradus_nn::losses::cross_entropy;
use gradus_nn::optim::{Adam, Optimizer, Sgd};
use gradus_nn::{BatchNorm2d, Conv2d, Dropout, Flatten, Forward, Linear, MaxPool2d, Module, ReLU, sequential};
use gradus_tensor::{Tensor, manual_seed, set_threads, threads};

/// Losses and final parameters of a net with everything random in it: initial values, batches, dropout.
fn curve(adam: bool) -> Vec<u32> {
    manual_seed(7);
    let model = sequential![
        Conv2d::new(1, 16, 3).padding(1),
        BatchNorm2d::new(16),
        ReLU,
        MaxPool2d::new(2),
        Conv2d::new(16, 32, 3).padding(1),
        ReLU,
        MaxPool2d::new(2),
        Flatten::new(),
        Dropout::new(0.3),
        Linear::new(32 * 7 * 7, 200),
        ReLU,
        Linear::new(200, 10)
    ];
    let mut optimizer: Box<dyn Optimizer> = match adam {
        true => Box::new(Adam::new(model.parameters(), 1e-3)),
        false => Box::new(Sgd::new(model.parameters(), 0.05).momentum(0.9).nesterov(true).weight_decay(1e-4)),
    };
    let mut bits = vec![];
    for _ in 0..6 {
        let (x, y) = (Tensor::randn([48, 1, 28, 28]), Tensor::randint(0, 10, [48]));
        optimizer.zero_grad();
        let loss = cross_entropy(&model.forward(&x), &y);
        loss.backward();
        optimizer.step();
        bits.push(loss.item().to_bits());
    }
    let last = model
        .state_dict()
        .iter()
        .flat_map(|(_, t)| t.to_dtype(gradus_tensor::DType::F32).to_vec::<f32>())
        .collect::<Vec<_>>();
    bits.extend(last.iter().map(|v| v.to_bits()));
    bits
}

#[test]
fn the_curve_does_not_depend_on_the_number_of_threads() {
    let before = threads();
    for adam in [false, true] {
        let mut curves = vec![];
        for n in [1, 2, 4, 2] {
            set_threads(n);
            curves.push(curve(adam));
        }
        assert!(curves[0].len() > 300_000);
        assert!(f32::from_bits(curves[0][5]).is_finite() && curves[0][0] != curves[0][5]);
        for (i, c) in curves.iter().enumerate().skip(1) {
            let first = (0..c.len()).find(|&k| c[k] != curves[0][k]);
            assert_eq!(first, None, "run {i} (adam: {adam}) differs from the run on one thread");
        }
    }
    set_threads(before);
}
