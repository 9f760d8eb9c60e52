//! Networks that make pictures.

use crate::core_nets::GanNets;
use crate::job::{Job, Task, adam, task};
use crate::prelude::*;
use gradus_tensor::autograd::{GradOptions, grad};

pub(crate) fn conv_autoencoder() -> Box<dyn Job> {
    let model = sequential![
        Conv2d::new(1, 16, 3).stride(2).padding(1),
        ReLU,
        Conv2d::new(16, 32, 3).stride(2).padding(1),
        ReLU,
        Conv2d::new(32, 64, 7),
        ReLU,
        ConvTranspose2d::new(64, 32, 7),
        ReLU,
        ConvTranspose2d::new(32, 16, 3).stride(2).padding(1).output_padding(1),
        ReLU,
        ConvTranspose2d::new(16, 1, 3).stride(2).padding(1).output_padding(1),
        Sigmoid
    ];
    let pictures = Tensor::randn([32, 1, 28, 28]).sigmoid();
    let target = pictures.clone();
    task(model, pictures, adam, move |y| mse_loss(y, &target))
}

/// A variational autoencoder of 784 numbers with 20 in the middle.
#[derive(Module)]
struct Vae {
    hidden: Linear,
    mean: Linear,
    log_variance: Linear,
    decoder: Sequential,
}

impl Vae {
    fn encode(&self, x: &Tensor) -> (Tensor, Tensor) {
        let h = self.hidden.forward(x).relu();
        (self.mean.forward(&h), self.log_variance.forward(&h))
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        let (mean, log_variance) = self.encode(x);
        let z = &mean + mean.randn_like() * (&log_variance * 0.5).exp();
        let options = BceWithLogitsOptions { reduction: Reduction::Sum, ..Default::default() };
        let reconstruction = binary_cross_entropy_with_logits_with(&self.decoder.forward(&z), x, options);
        let divergence = (&log_variance + 1.0 - mean.square() - log_variance.exp()).sum() * -0.5;
        (reconstruction + divergence) / x.size(0) as f64
    }
}

pub(crate) fn vae() -> Box<dyn Job> {
    let model = Vae {
        hidden: Linear::new(784, 400),
        mean: Linear::new(400, 20),
        log_variance: Linear::new(400, 20),
        decoder: sequential![Linear::new(20, 400), ReLU, Linear::new(400, 784)],
    };
    let x = Tensor::randn([128, 784]).sigmoid();
    let y = x.clone();
    let optimizer = adam(model.parameters());
    let output = move |m: &Vae| m.decoder.forward(&m.encode(&y).0).sum();
    Box::new(Task { model, optimizer, loss: move |m: &Vae| m.loss(&x), output })
}

/// Two convolutions behind normalisation and SiLU, told the time between them, beside a shortcut.
#[derive(Module)]
struct TimedBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    time: Linear,
    norm2: GroupNorm,
    conv2: Conv2d,
    shortcut: Option<Conv2d>,
}

impl TimedBlock {
    fn new(inputs: usize, outputs: usize) -> TimedBlock {
        TimedBlock {
            norm1: GroupNorm::new(8, inputs),
            conv1: Conv2d::new(inputs, outputs, 3).padding(1),
            time: Linear::new(128, outputs),
            norm2: GroupNorm::new(8, outputs),
            conv2: Conv2d::new(outputs, outputs, 3).padding(1),
            shortcut: (inputs != outputs).then(|| Conv2d::new(inputs, outputs, 1)),
        }
    }

    fn forward(&self, x: &Tensor, time: &Tensor) -> Tensor {
        let y = self.conv1.forward(&self.norm1.forward(x).silu());
        let y = y + self.time.forward(time).unsqueeze(2).unsqueeze(3);
        let y = self.conv2.forward(&self.norm2.forward(&y).silu());
        match &self.shortcut {
            Some(conv) => y + conv.forward(x),
            None => y + x,
        }
    }
}

/// Attention among the places of a picture, four heads.
#[derive(Module)]
struct PictureAttention {
    norm: GroupNorm,
    qkv: Conv2d,
    out: Conv2d,
}

impl PictureAttention {
    fn new(width: usize) -> PictureAttention {
        let (qkv, out) = (Conv2d::new(width, 3 * width, 1), Conv2d::new(width, width, 1));
        PictureAttention { norm: GroupNorm::new(8, width), qkv, out }
    }
}

impl Forward for PictureAttention {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (n, c, h, w) = (x.size(0), x.size(1), x.size(2), x.size(3));
        let heads = |t: &Tensor| t.reshape([n, 4, c / 4, h * w]).transpose(2, 3); // [N, 4, H W, C / 4]
        let qkv = self.qkv.forward(&self.norm.forward(x)).chunk(3, 1);
        let y = scaled_dot_product_attention(&heads(&qkv[0]), &heads(&qkv[1]), &heads(&qkv[2]));
        x + self.out.forward(&y.transpose(2, 3).reshape([n, c, h, w]))
    }
}

/// The network of a diffusion model: which noise is in this picture at this time?
#[derive(Module)]
struct DiffusionUNet {
    time: Sequential,
    inlet: Conv2d,
    down1: TimedBlock,
    shrink1: Conv2d,
    down2: TimedBlock,
    attention2: PictureAttention,
    shrink2: Conv2d,
    middle1: TimedBlock,
    attention: PictureAttention,
    middle2: TimedBlock,
    grow2: Conv2d,
    up2: TimedBlock,
    grow1: Conv2d,
    up1: TimedBlock,
    norm: GroupNorm,
    outlet: Conv2d,
}

impl DiffusionUNet {
    fn new() -> DiffusionUNet {
        let conv = |inputs, outputs| Conv2d::new(inputs, outputs, 3).padding(1);
        DiffusionUNet {
            time: sequential![Linear::new(32, 128), SiLU, Linear::new(128, 128), SiLU],
            inlet: conv(3, 32),
            down1: TimedBlock::new(32, 32),
            shrink1: conv(32, 32).stride(2),
            down2: TimedBlock::new(32, 64),
            attention2: PictureAttention::new(64),
            shrink2: conv(64, 64).stride(2),
            middle1: TimedBlock::new(64, 128),
            attention: PictureAttention::new(128),
            middle2: TimedBlock::new(128, 128),
            grow2: conv(128, 64),
            up2: TimedBlock::new(128, 64),
            grow1: conv(64, 32),
            up1: TimedBlock::new(64, 32),
            norm: GroupNorm::new(8, 32),
            outlet: conv(32, 3),
        }
    }

    fn forward(&self, x: &Tensor, time: &Tensor) -> Tensor {
        let t = self.time.forward(time); // [N, 128]
        let larger = Upsample::new().scale_factor(2.0);
        let a = self.down1.forward(&self.inlet.forward(x), &t); // [N, 32, 32, 32]
        let b = self.attention2.forward(&self.down2.forward(&self.shrink1.forward(&a), &t)); // [N, 64, 16, 16]
        let c = self.attention.forward(&self.middle1.forward(&self.shrink2.forward(&b), &t)); // [N, 128, 8, 8]
        let c = self.middle2.forward(&c, &t);
        let y = Tensor::cat(&[&self.grow2.forward(&larger.forward(&c)), &b], 1);
        let y = self.up2.forward(&y, &t); // [N, 64, 16, 16]
        let y = Tensor::cat(&[&self.grow1.forward(&larger.forward(&y)), &a], 1);
        let y = self.up1.forward(&y, &t); // [N, 32, 32, 32]
        self.outlet.forward(&self.norm.forward(&y).silu())
    }
}

pub(crate) fn diffusion() -> Box<dyn Job> {
    let model = DiffusionUNet::new();
    let (x, noise, time) = (Tensor::randn([8, 3, 32, 32]), Tensor::randn([8, 3, 32, 32]), Tensor::randn([8, 32]).sin());
    let optimizer = adam(model.parameters());
    let (y, t) = (x.clone(), time.clone());
    let loss = move |m: &DiffusionUNet| mse_loss(&m.forward(&x, &time), &noise);
    Box::new(Task { model, optimizer, loss, output: move |m: &DiffusionUNet| m.forward(&y, &t).sum() })
}

/// The two nets of a Wasserstein GAN: DCGAN's, the judge without normalisation.
#[derive(Module)]
struct Wgan {
    generator: Sequential,
    critic: Sequential,
}

/// A step of the critic with a penalty on the norm of its input's gradient, then one of the generator.
struct WganSteps {
    nets: Wgan,
    generator_optimizer: Adam,
    critic_optimizer: Adam,
    real: Tensor,
    noise: Tensor,
}

pub(crate) fn wgan_gp() -> Box<dyn Job> {
    let down = |inputs, outputs| Conv2d::new(inputs, outputs, 4).stride(2).padding(1);
    let critic = sequential![
        down(3, 64),
        LeakyReLU::dcgan(),
        down(64, 128),
        LeakyReLU::dcgan(),
        down(128, 256),
        LeakyReLU::dcgan(),
        Conv2d::new(256, 1, 4),
        Flatten::new()
    ];
    let nets = Wgan { generator: GanNets::new().generator, critic };
    let adam = |params| Adam::new(params, 1e-4).betas(0.0, 0.9);
    Box::new(WganSteps {
        generator_optimizer: adam(nets.generator.parameters()),
        critic_optimizer: adam(nets.critic.parameters()),
        nets,
        real: Tensor::randn([16, 3, 32, 32]).tanh(),
        noise: Tensor::randn([16, 100, 1, 1]),
    })
}

impl WganSteps {
    fn penalty(&self, fake: &Tensor) -> Tensor {
        let share = Tensor::rand([fake.size(0), 1, 1, 1]);
        let between = (&self.real * &share + fake * (1.0 - &share)).requires_grad_(true);
        let scores = self.nets.critic.forward(&between).sum();
        let slope = grad(&[&scores], &[&between], GradOptions { create_graph: true, ..Default::default() });
        (slope[0].flatten(1, -1).norm_dim(2.0, 1, false) - 1.0).square().mean() * 10.0
    }
}

impl Job for WganSteps {
    fn model(&self) -> &dyn Module {
        &self.nets
    }

    fn train_step(&mut self) -> f32 {
        let fake = self.nets.generator.forward(&self.noise);
        let (critic, held) = (&self.nets.critic, fake.detach());
        self.critic_optimizer.zero_grad();
        let distance = critic.forward(&held).mean() - critic.forward(&self.real).mean();
        let loss = distance + self.penalty(&held);
        loss.backward();
        self.critic_optimizer.step();
        self.generator_optimizer.zero_grad();
        (-self.nets.critic.forward(&fake).mean()).backward();
        self.generator_optimizer.step();
        loss.item()
    }

    fn infer_step(&self) -> f32 {
        no_grad(|| self.nets.generator.forward(&self.noise).sum().item())
    }
}
