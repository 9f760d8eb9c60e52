//! The workloads, as rows: a name and how to build it.

use gradus::prelude::*;

/// A row of the table.
pub struct Workload {
    pub name: &'static str,
    pub build: fn() -> Job,
}

/// A model with fixed data and its optimiser.
pub struct Job {
    pub model: Sequential,
    input: Tensor,
    labels: Tensor,
    optimizer: Box<dyn Optimizer>,
}

pub const WORKLOADS: &[Workload] = &[
    Workload { name: "w01_mlp_b64", build: mlp },
    Workload { name: "w02_mlp_wide_b128", build: mlp_wide },
    Workload { name: "w03_cnn_mnist_b64", build: cnn_mnist },
];

impl Job {
    fn new(
        model: Sequential,
        input: Tensor,
        classes: i64,
        optimizer: impl Fn(Vec<Tensor>) -> Box<dyn Optimizer>,
    ) -> Job {
        let n = input.size(0);
        let labels = Tensor::from_vec((0..n as i64).map(|i| i * 7 % classes).collect(), [n]);
        let optimizer = optimizer(model.parameters());
        Job { model, input, labels, optimizer }
    }

    pub fn train_step(&mut self) -> f32 {
        self.optimizer.zero_grad();
        let loss = cross_entropy(&self.model.forward(&self.input), &self.labels);
        loss.backward();
        self.optimizer.step();
        loss.item()
    }

    pub fn infer_step(&mut self) -> f32 {
        no_grad(|| self.model.forward(&self.input).sum().item())
    }
}

fn adam(params: Vec<Tensor>) -> Box<dyn Optimizer> {
    Box::new(Adam::new(params, 1e-3))
}

fn mlp() -> Job {
    let model = sequential![Linear::new(784, 128), ReLU, Linear::new(128, 64), ReLU, Linear::new(64, 10)];
    Job::new(model, Tensor::randn([64, 784]), 10, |p| Box::new(Sgd::new(p, 3e-3)))
}

fn mlp_wide() -> Job {
    let model = sequential![
        Linear::new(784, 1024),
        ReLU,
        Dropout::new(0.2),
        Linear::new(1024, 1024),
        ReLU,
        Dropout::new(0.2),
        Linear::new(1024, 10)
    ];
    Job::new(model, Tensor::randn([128, 784]), 10, adam)
}

fn cnn_mnist() -> Job {
    let model = sequential![
        Conv2d::new(1, 32, 3).padding(1),
        ReLU,
        MaxPool2d::new(2),
        Conv2d::new(32, 64, 3).padding(1),
        ReLU,
        MaxPool2d::new(2),
        Flatten::new(),
        Linear::new(3136, 128),
        ReLU,
        Linear::new(128, 10)
    ];
    Job::new(model, Tensor::randn([64, 1, 28, 28]), 10, adam)
}
