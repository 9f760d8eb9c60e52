//! The networks of the workloads that are more than a list of layers, as a user would write them.

use gradus::prelude::*;

/// Two 3x3 convolutions beside a shortcut.
#[derive(Module)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    downsample: Option<Sequential>,
}

impl BasicBlock {
    fn new(inputs: usize, outputs: usize, stride: usize) -> BasicBlock {
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
pub struct ResNet18 {
    net: Sequential,
}

impl ResNet18 {
    pub fn new() -> ResNet18 {
        let mut net = sequential![Conv2d::new(3, 64, 3).padding(1).bias(false), BatchNorm2d::new(64), ReLU];
        let mut inputs = 64;
        for (outputs, stride) in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)] {
            net.push(BasicBlock::new(inputs, outputs, stride));
            inputs = outputs;
        }
        net.push(AdaptiveAvgPool2d::new(1));
        net.push(Flatten::new());
        net.push(Linear::new(512, 10));
        ResNet18 { net }
    }
}

impl Forward for ResNet18 {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.net.forward(x)
    }
}

/// min(max(x, 0), 6)
#[derive(Module)]
struct ReLU6;

impl Forward for ReLU6 {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.clamp(0.0, 6.0)
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
pub struct MobileNet {
    net: Sequential,
}

impl MobileNet {
    pub fn new() -> MobileNet {
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
pub struct SkipGram {
    words: Embedding,
    contexts: Embedding,
}

impl SkipGram {
    pub fn new(vocabulary: usize, width: usize) -> SkipGram {
        let (words, contexts) = (Embedding::new(vocabulary, width), Embedding::new(vocabulary, width));
        let bound = 0.5 / width as f64;
        init::uniform_(&words.weight, -bound, bound);
        init::normal_(&contexts.weight, 0.0, 0.01);
        SkipGram { words, contexts }
    }

    /// The scores `[N]` of the true contexts and `[N, K]` of the drawn ones.
    pub fn scores(&self, center: &Tensor, positive: &Tensor, negative: &Tensor) -> (Tensor, Tensor) {
        let v = self.words.forward(center); // [N, width]
        let true_scores = (&v * self.contexts.forward(positive)).sum_dim(1, false); // [N]
        let drawn = self.contexts.forward(negative).bmm(&v.unsqueeze(2)); // [N, K, width] x [N, width, 1]
        (true_scores, drawn.squeeze(2))
    }
}
