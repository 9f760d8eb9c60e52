//! The core workloads: how each is built.

use crate::core_nets::*;
use crate::job::{Job, Task, adam, classifier, indices, labels};
use crate::prelude::*;

pub(crate) fn mlp() -> Box<dyn Job> {
    let model = sequential![Linear::new(784, 128), ReLU, Linear::new(128, 64), ReLU, Linear::new(64, 10)];
    classifier(model, Tensor::randn([64, 784]), labels(64, 10), |p| Box::new(Sgd::new(p, 3e-3)))
}

pub(crate) fn mlp_wide() -> Box<dyn Job> {
    let model = sequential![
        Linear::new(784, 1024),
        ReLU,
        Dropout::new(0.2),
        Linear::new(1024, 1024),
        ReLU,
        Dropout::new(0.2),
        Linear::new(1024, 10)
    ];
    classifier(model, Tensor::randn([128, 784]), labels(128, 10), adam)
}

pub(crate) fn cnn_mnist() -> Box<dyn Job> {
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
    classifier(model, Tensor::randn([64, 1, 28, 28]), labels(64, 10), adam)
}

pub(crate) fn cnn_cifar() -> Box<dyn Job> {
    classifier(cifar_net(), Tensor::randn([32, 3, 32, 32]), labels(32, 10), adam)
}

pub(crate) fn cifar_net() -> Sequential {
    let mut model = Sequential::new();
    for (from, to) in [(3, 16), (16, 32), (32, 64)] {
        model.push(Conv2d::new(from, to, 3).padding(1));
        model.push(ReLU);
        model.push(MaxPool2d::new(2));
    }
    model.push(Flatten::new());
    model.push(Dropout::new(0.25));
    model.push(Linear::new(1024, 500));
    model.push(ReLU);
    model.push(Dropout::new(0.25));
    model.push(Linear::new(500, 10));
    model
}

pub(crate) fn resnet18() -> Box<dyn Job> {
    classifier(ResNet18::new(), Tensor::randn([16, 3, 32, 32]), labels(16, 10), adam)
}

pub(crate) fn char_lstm() -> Box<dyn Job> {
    classifier(CharLstm::new(), Tensor::randn([32, 64, 83]), labels(32 * 64, 83), adam)
}

pub(crate) fn transformer() -> Box<dyn Job> {
    classifier(TokenTransformer::new(), Tensor::randn([8, 128, 256]), labels(8 * 128, 83), adam)
}

pub(crate) fn unet() -> Box<dyn Job> {
    let pixels = Tensor::from_vec((0..4 * 64 * 64i64).map(|i| i * 7 % 6 % 2).collect(), [4, 64, 64]);
    classifier(UNet::new(), Tensor::randn([4, 1, 64, 64]), pixels, adam)
}

pub(crate) fn norm_stack() -> Box<dyn Job> {
    classifier(NormStack::new(), Tensor::randn([64, 512]), labels(64, 10), adam)
}

/// A step of the discriminator, then one of the generator; inference is the generator alone.
struct Gan {
    nets: GanNets,
    generator_optimizer: Adam,
    discriminator_optimizer: Adam,
    real: Tensor,
    noise: Tensor,
}

pub(crate) fn dcgan() -> Box<dyn Job> {
    let nets = GanNets::new();
    let adam = |params| Adam::new(params, 2e-4).betas(0.5, 0.999);
    Box::new(Gan {
        generator_optimizer: adam(nets.generator.parameters()),
        discriminator_optimizer: adam(nets.discriminator.parameters()),
        nets,
        real: Tensor::randn([32, 3, 32, 32]).tanh(),
        noise: Tensor::randn([32, 100, 1, 1]),
    })
}

impl Job for Gan {
    fn model(&self) -> &dyn Module {
        &self.nets
    }

    fn train_step(&mut self) -> f32 {
        let judge = |x: &Tensor, label: f64| {
            let logits = self.nets.discriminator.forward(x);
            binary_cross_entropy_with_logits(&logits, &logits.full_like(label))
        };
        self.discriminator_optimizer.zero_grad();
        let on_real = judge(&self.real, 1.0);
        on_real.backward();
        let fake = self.nets.generator.forward(&self.noise);
        let on_fake = judge(&fake.detach(), 0.0);
        on_fake.backward();
        self.discriminator_optimizer.step();
        self.generator_optimizer.zero_grad();
        judge(&fake, 1.0).backward();
        self.generator_optimizer.step();
        on_real.item() + on_fake.item()
    }

    fn infer_step(&self) -> f32 {
        no_grad(|| self.nets.generator.forward(&self.noise).sum().item())
    }
}

pub(crate) fn mobilenet() -> Box<dyn Job> {
    classifier(MobileNet::new(), Tensor::randn([16, 3, 32, 32]), labels(16, 10), adam)
}

pub(crate) fn skipgram() -> Box<dyn Job> {
    let words = |n, a, b| indices(n, a, b, 20_000);
    let (center, positive) = (words(512, 7919, 3), words(512, 6101, 11));
    let negative = words(2560, 3571, 17).reshape([512, 5]);
    let model = SkipGram::new(20_000, 128);
    let optimizer = Box::new(Sgd::new(model.parameters(), 0.1));
    let scores = move |m: &SkipGram| m.scores(&center, &positive, &negative);
    let again = scores.clone();
    // ln sigmoid(x) = -softplus(-x)
    let loss = move |m: &SkipGram| {
        let (pos, neg) = scores(m);
        ((-pos).softplus() + neg.softplus().sum_dim(1, false)).mean()
    };
    let output = move |m: &SkipGram| {
        let (pos, neg) = again(m);
        pos.sum() + neg.sum()
    };
    Box::new(Task { model, optimizer, loss, output })
}
