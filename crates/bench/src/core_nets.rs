//! The networks of the core workloads that are more than a list of layers, as a user would write them.

use crate::prelude::*;

/// Two 3x3 convolutions beside a shortcut.
#[derive(Module)]
pub(crate) struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<Sequential>,
}

impl BasicBlock {
    pub(crate) fn new(inputs: usize, outputs: usize, stride: usize) -> BasicBlock {
        let shortcut = || {
            let conv = Conv2d::new(inputs, outputs, 1).stride(stride).bias(false);
            sequential![conv, BatchNorm2d::new(outputs)]
        };
        BasicBlock {
            conv1: Conv2d::new(inputs, outputs, 3).stride(stride).padding(1).bias(false),
            bn1: BatchNorm2d::new(outputs),
            conv2: Conv2d::new(outputs, outputs, 3).padding(1).bias(false),
            bn2: BatchNorm2d::new(outputs),
            downsample: (inputs != outputs || stride != 1).then(shortcut),
        }
    }
}

impl Forward for BasicBlock {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x)).relu();
        let y = self.bn2.forward(&self.conv2.forward(&y));
        match &self.downsample {
            Some(shortcut) => (y + shortcut.forward(x)).relu(),
            None => (y + x).relu(),
        }
    }
}

/// ResNet-18 for 32x32 pictures: a 3x3 stem without pooling.
#[derive(Module)]
pub(crate) struct ResNet18 {
    net: Sequential,
}

impl ResNet18 {
    pub(crate) fn new() -> ResNet18 {
        let net = sequential![
            Conv2d::new(3, 64, 3).padding(1).bias(false),
            BatchNorm2d::new(64),
            ReLU,
            ResNet18::stages(),
            AdaptiveAvgPool2d::new(1),
            Flatten::new(),
            Linear::new(512, 10)
        ];
        ResNet18 { net }
    }

    /// The eight blocks from 64 to 512 channels.
    pub(crate) fn stages() -> Sequential {
        let mut stages = Sequential::new();
        let mut inputs = 64;
        for (outputs, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
            stages.push(BasicBlock::new(inputs, outputs, stride));
            inputs = outputs;
        }
        stages
    }
}

impl Forward for ResNet18 {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.net.forward(x)
    }
}

/// A 1x1 expansion, a depthwise 3x3 convolution and a 1x1 projection, beside a shortcut where shapes allow one.
#[derive(Module)]
struct InvertedResidual {
    conv: Sequential,
    shortcut: bool,
}

impl InvertedResidual {
    fn new(inputs: usize, outputs: usize, stride: usize, expansion: usize) -> InvertedResidual {
        let hidden = inputs * expansion;
        let mut conv = Sequential::new();
        if expansion != 1 {
            conv.push(Conv2d::new(inputs, hidden, 1).bias(false));
            conv.push(BatchNorm2d::new(hidden));
            conv.push(ReLU6);
        }
        conv.push(Conv2d::new(hidden, hidden, 3).stride(stride).padding(1).groups(hidden).bias(false));
        conv.push(BatchNorm2d::new(hidden));
        conv.push(ReLU6);
        conv.push(Conv2d::new(hidden, outputs, 1).bias(false));
        conv.push(BatchNorm2d::new(outputs));
        InvertedResidual { conv, shortcut: inputs == outputs && stride == 1 }
    }
}

impl Forward for InvertedResidual {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.conv.forward(x);
        if self.shortcut { x + y } else { y }
    }
}

/// Six inverted residual blocks of MobileNetV2.
#[derive(Module)]
pub(crate) struct MobileNet {
    net: Sequential,
}

impl MobileNet {
    pub(crate) fn new() -> MobileNet {
        let mut net = sequential![Conv2d::new(3, 32, 3).padding(1).bias(false), BatchNorm2d::new(32), ReLU6];
        let mut inputs = 32;
        for (expansion, outputs, stride) in [(1, 16, 1), (6, 24, 1), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 64, 2)] {
            net.push(InvertedResidual::new(inputs, outputs, stride, expansion));
            inputs = outputs;
        }
        net.push(AdaptiveAvgPool2d::new(1));
        net.push(Flatten::new());
        net.push(Linear::new(64, 10));
        MobileNet { net }
    }
}

impl Forward for MobileNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.net.forward(x)
    }
}

/// Skip-gram with negative sampling: one table for the words, one for their contexts.
#[derive(Module)]
pub(crate) struct SkipGram {
    words: Embedding,
    contexts: Embedding,
}

impl SkipGram {
    pub(crate) fn new(vocabulary: usize, width: usize) -> SkipGram {
        let (words, contexts) = (Embedding::new(vocabulary, width), Embedding::new(vocabulary, width));
        let bound = 0.5 / width as f64;
        init::uniform_(&words.weight, -bound, bound);
        init::normal_(&contexts.weight, 0.0, 0.01);
        SkipGram { words, contexts }
    }

    /// The scores `[N]` of the true contexts and `[N, K]` of the drawn ones.
    pub(crate) fn scores(&self, center: &Tensor, positive: &Tensor, negative: &Tensor) -> (Tensor, Tensor) {
        let v = self.words.forward(center); // [N, width]
        let true_scores = (&v * self.contexts.forward(positive)).sum_dim(1, false); // [N]
        let drawn = self.contexts.forward(negative).bmm(&v.unsqueeze(2)); // [N, K, width] x [N, width, 1]
        (true_scores, drawn.squeeze(2))
    }
}

/// Two LSTM layers over characters, and the scores of the next one at every step.
#[derive(Module)]
pub(crate) struct CharLstm {
    lstm: LSTM,
    fc: Linear,
}

impl CharLstm {
    pub(crate) fn new() -> CharLstm {
        CharLstm { lstm: LSTM::new(83, 256).num_layers(2).batch_first(true), fc: Linear::new(256, 83) }
    }
}

impl Forward for CharLstm {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (y, _) = self.lstm.forward(x, None); // [N, T, 256]
        self.fc.forward(&y).reshape([-1, 83]) // [N T, 83]
    }
}

/// Four encoder layers and the scores of every token.
#[derive(Module)]
pub(crate) struct TokenTransformer {
    encoder: TransformerEncoder,
    fc: Linear,
}

impl TokenTransformer {
    pub(crate) fn new() -> TokenTransformer {
        let layer = || TransformerEncoderLayer::new(256, 8).dim_feedforward(1024).dropout(0.0).batch_first(true);
        TokenTransformer { encoder: TransformerEncoder::new(layer, 4), fc: Linear::new(256, 83) }
    }
}

impl Forward for TokenTransformer {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc.forward(&self.encoder.forward(x)).reshape([-1, 83]) // [N L, 83]
    }
}

/// The two nets of DCGAN for 32x32 pictures.
#[derive(Module)]
pub(crate) struct GanNets {
    pub(crate) generator: Sequential,
    pub(crate) discriminator: Sequential,
}

impl GanNets {
    pub(crate) fn new() -> GanNets {
        let up = |inputs, outputs, stride, padding| {
            let layer = ConvTranspose2d::new(inputs, outputs, 4).stride(stride).padding(padding).bias(false);
            init::normal_(&layer.weight, 0.0, 0.02);
            layer
        };
        let down = |inputs, outputs, stride, padding| {
            let layer = Conv2d::new(inputs, outputs, 4).stride(stride).padding(padding).bias(false);
            init::normal_(&layer.weight, 0.0, 0.02);
            layer
        };
        let mut generator = Sequential::new();
        for (inputs, outputs, stride, padding) in [(100, 256, 1, 0), (256, 128, 2, 1), (128, 64, 2, 1)] {
            generator.push(up(inputs, outputs, stride, padding));
            generator.push(BatchNorm2d::new(outputs));
            generator.push(ReLU);
        }
        generator.push(up(64, 3, 2, 1));
        generator.push(Tanh);
        let mut discriminator = sequential![down(3, 64, 2, 1), LeakyReLU::dcgan()];
        for (inputs, outputs) in [(64, 128), (128, 256)] {
            discriminator.push(down(inputs, outputs, 2, 1));
            discriminator.push(BatchNorm2d::new(outputs));
            discriminator.push(LeakyReLU::dcgan());
        }
        discriminator.push(down(256, 1, 1, 0));
        discriminator.push(Flatten::new());
        GanNets { generator, discriminator }
    }
}

/// Two convolutions with normalisation.
fn double_conv(inputs: usize, outputs: usize) -> Sequential {
    let mut layers = Sequential::new();
    for from in [inputs, outputs] {
        layers.push(Conv2d::new(from, outputs, 3).padding(1).bias(false));
        layers.push(BatchNorm2d::new(outputs));
        layers.push(ReLU);
    }
    layers
}

/// A U-Net of three resolutions.
#[derive(Module)]
pub(crate) struct UNet {
    down1: Sequential,
    down2: Sequential,
    middle: Sequential,
    pool: MaxPool2d,
    up2: ConvTranspose2d,
    conv2: Sequential,
    up1: ConvTranspose2d,
    conv1: Sequential,
    out: Conv2d,
}

impl UNet {
    pub(crate) fn new() -> UNet {
        UNet {
            down1: double_conv(1, 32),
            down2: double_conv(32, 64),
            middle: double_conv(64, 128),
            pool: MaxPool2d::new(2),
            up2: ConvTranspose2d::new(128, 64, 2).stride(2),
            conv2: double_conv(128, 64),
            up1: ConvTranspose2d::new(64, 32, 2).stride(2),
            conv1: double_conv(64, 32),
            out: Conv2d::new(32, 2, 1),
        }
    }
}

impl Forward for UNet {
    fn forward(&self, x: &Tensor) -> Tensor {
        let a = self.down1.forward(x); // [N, 32, H, W]
        let b = self.down2.forward(&self.pool.forward(&a)); // [N, 64, H/2, W/2]
        let c = self.middle.forward(&self.pool.forward(&b)); // [N, 128, H/4, W/4]
        let y = self.conv2.forward(&Tensor::cat(&[&self.up2.forward(&c), &b], 1)); // [N, 64, H/2, W/2]
        let y = self.conv1.forward(&Tensor::cat(&[&self.up1.forward(&y), &a], 1)); // [N, 32, H, W]
        self.out.forward(&y)
    }
}

/// Six residual layers of a product, layer normalisation, GELU and dropout.
#[derive(Module)]
pub(crate) struct NormStack {
    layers: Vec<Sequential>,
    fc: Linear,
}

impl NormStack {
    pub(crate) fn new() -> NormStack {
        let layer = || sequential![Linear::new(512, 512), LayerNorm::new(512), GELU::new(), Dropout::new(0.1)];
        NormStack { layers: (0..6).map(|_| layer()).collect(), fc: Linear::new(512, 10) }
    }
}

impl Forward for NormStack {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.layers.iter().fold(x.clone(), |x, layer| &x + layer.forward(&x));
        self.fc.forward(&y)
    }
}
