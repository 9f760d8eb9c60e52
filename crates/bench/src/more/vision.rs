//! Networks that look at pictures, volumes and single examples.

use crate::core_nets::{BasicBlock, ResNet18};
use crate::job::{Job, Task, adam, adamw, classifier, labels, momentum};
use crate::prelude::*;

/// A convolution without bias, batch normalisation and ReLU.
fn conv_bn_relu(layers: &mut Sequential, inputs: usize, outputs: usize) {
    layers.push(Conv2d::new(inputs, outputs, 3).padding(1).bias(false));
    layers.push(BatchNorm2d::new(outputs));
    layers.push(ReLU);
}

pub(crate) fn vgg11_bn() -> Box<dyn Job> {
    let mut model = Sequential::new();
    let mut inputs = 3;
    for stage in [&[64][..], &[128], &[256, 256], &[512, 512], &[512, 512]] {
        for &outputs in stage {
            conv_bn_relu(&mut model, inputs, outputs);
            inputs = outputs;
        }
        model.push(MaxPool2d::new(2));
    }
    model.push(Flatten::new());
    model.push(Linear::new(512, 10));
    classifier(model, Tensor::randn([16, 3, 32, 32]), labels(16, 10), adam)
}

pub(crate) fn alexnet() -> Box<dyn Job> {
    let model = sequential![
        Conv2d::new(3, 64, 11).stride(4).padding(2),
        ReLU,
        MaxPool2d::new(3).stride(2),
        Conv2d::new(64, 192, 5).padding(2),
        ReLU,
        MaxPool2d::new(3).stride(2),
        Conv2d::new(192, 384, 3).padding(1),
        ReLU,
        Conv2d::new(384, 256, 3).padding(1),
        ReLU,
        Conv2d::new(256, 256, 3).padding(1),
        ReLU,
        MaxPool2d::new(3).stride(2),
        Flatten::new(),
        Dropout::new(0.5),
        Linear::new(9216, 1024),
        ReLU,
        Dropout::new(0.5),
        Linear::new(1024, 100)
    ];
    classifier(model, Tensor::randn([4, 3, 224, 224]), labels(4, 100), momentum)
}

/// A 1x1, a 3x3 and a 5x5 path, the latter two behind a 1x1 reduction, and a pooled one.
fn inception(inputs: usize, one: usize, three: [usize; 2], five: [usize; 2], pooled: usize) -> Concat {
    let reduced = |[narrow, wide]: [usize; 2], kernel: usize| {
        let conv = Conv2d::new(narrow, wide, kernel).padding(kernel / 2);
        sequential![Conv2d::new(inputs, narrow, 1), ReLU, conv, ReLU]
    };
    Concat::new()
        .branch(sequential![Conv2d::new(inputs, one, 1), ReLU])
        .branch(reduced(three, 3))
        .branch(reduced(five, 5))
        .branch(sequential![MaxPool2d::new(3).stride(1).padding(1), Conv2d::new(inputs, pooled, 1), ReLU])
}

pub(crate) fn inception_net() -> Box<dyn Job> {
    let model = sequential![
        Conv2d::new(3, 64, 3).padding(1),
        ReLU,
        MaxPool2d::new(2),
        Conv2d::new(64, 192, 3).padding(1),
        ReLU,
        inception(192, 64, [96, 128], [16, 32], 32),
        inception(256, 128, [128, 192], [32, 96], 64),
        MaxPool2d::new(2),
        inception(480, 192, [96, 208], [16, 48], 64),
        AdaptiveAvgPool2d::new(1),
        Flatten::new(),
        Linear::new(512, 10)
    ];
    classifier(model, Tensor::randn([8, 3, 32, 32]), labels(8, 10), adam)
}

pub(crate) fn densenet() -> Box<dyn Job> {
    let mut model = sequential![Conv2d::new(3, 16, 3).padding(1).bias(false)];
    let mut width = 16;
    for block in 0..3 {
        let layers = DenseBlock::new(6, width, 12);
        width = layers.out_channels();
        model.push(layers);
        model.push(BatchNorm2d::new(width));
        model.push(ReLU);
        if block < 2 {
            model.push(Conv2d::new(width, width, 1).bias(false));
            model.push(AvgPool2d::new(2));
        }
    }
    model.push(AdaptiveAvgPool2d::new(1));
    model.push(Flatten::new());
    model.push(Linear::new(width, 10));
    classifier(model, Tensor::randn([16, 3, 32, 32]), labels(16, 10), adam)
}

pub(crate) fn resnet18_alone() -> Box<dyn Job> {
    classifier(ResNet18::new(), Tensor::randn([1, 3, 32, 32]), labels(1, 10), adam)
}

pub(crate) fn resnet18_large() -> Box<dyn Job> {
    let model = sequential![
        Conv2d::new(3, 64, 7).stride(2).padding(3).bias(false),
        BatchNorm2d::new(64),
        ReLU,
        MaxPool2d::new(3).stride(2).padding(1),
        ResNet18::stages(),
        AdaptiveAvgPool2d::new(1),
        Flatten::new(),
        Linear::new(512, 1000)
    ];
    classifier(model, Tensor::randn([1, 3, 224, 224]), labels(1, 1000), momentum)
}

/// ResNet-20: three stages of three blocks.
pub(crate) fn resnet20() -> Box<dyn Job> {
    let mut model = Sequential::new();
    conv_bn_relu(&mut model, 3, 16);
    let mut inputs = 16;
    for (outputs, stride) in [(16, 1), (32, 2), (64, 2)] {
        for block in 0..3 {
            model.push(BasicBlock::new(inputs, outputs, if block == 0 { stride } else { 1 }));
            inputs = outputs;
        }
    }
    model.push(AdaptiveAvgPool2d::new(1));
    model.push(Flatten::new());
    model.push(Linear::new(64, 10));
    classifier(model, Tensor::randn([32, 3, 32, 32]), labels(32, 10), momentum)
}

pub(crate) fn mlp_alone() -> Box<dyn Job> {
    let model = sequential![Linear::new(784, 128), ReLU, Linear::new(128, 64), ReLU, Linear::new(64, 10)];
    classifier(model, Tensor::randn([1, 784]), labels(1, 10), |p| Box::new(Sgd::new(p, 3e-3)))
}

/// A vision transformer: patches as tokens behind one for the class, with learned positions.
#[derive(Module)]
struct ViT {
    patches: Conv2d,
    class: Param,
    positions: Param,
    encoder: TransformerEncoder,
    fc: Linear,
}

impl ViT {
    fn new(width: usize, heads: usize, depth: usize) -> ViT {
        let layer = || {
            let layer = TransformerEncoderLayer::new(width, heads).dim_feedforward(4 * width).dropout(0.0);
            layer.activation(Tensor::gelu).norm_first(true).batch_first(true)
        };
        ViT {
            patches: Conv2d::new(3, width, 4).stride(4),
            class: Param::new(Tensor::zeros([1, 1, width])),
            positions: Param::new(Tensor::randn([1, 65, width]) * 0.02),
            encoder: TransformerEncoder::new(layer, depth).norm(LayerNorm::new(width)),
            fc: Linear::new(width, 10),
        }
    }
}

impl Forward for ViT {
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.patches.forward(x).flatten(2, -1).transpose(1, 2); // [N, 64, width]
        let class = self.class.expand([y.size(0), 1, y.size(2)]);
        let y = Tensor::cat(&[&class, &y], 1) + self.positions.tensor(); // [N, 65, width]
        self.fc.forward(&self.encoder.forward(&y).select(1, 0))
    }
}

pub(crate) fn vit() -> Box<dyn Job> {
    classifier(ViT::new(192, 3, 6), Tensor::randn([16, 3, 32, 32]), labels(16, 10), adamw)
}

pub(crate) fn conv3d() -> Box<dyn Job> {
    let mut model = Sequential::new();
    for (inputs, outputs) in [(1, 16), (16, 32), (32, 64)] {
        model.push(Conv3d::new(inputs, outputs, 3).padding(1));
        model.push(BatchNorm3d::new(outputs));
        model.push(ReLU);
        model.push(MaxPool3d::new(2));
    }
    model.push(AdaptiveAvgPool3d::new(1));
    model.push(Flatten::new());
    model.push(Linear::new(64, 10));
    classifier(model, Tensor::randn([4, 1, 16, 32, 32]), labels(4, 10), adam)
}

/// Three pictures a row through one net: the first should be nearer to the second than to the third.
pub(crate) fn siamese() -> Box<dyn Job> {
    let model = sequential![
        Conv2d::new(1, 32, 5),
        ReLU,
        MaxPool2d::new(2),
        Conv2d::new(32, 64, 5),
        ReLU,
        MaxPool2d::new(2),
        Flatten::new(),
        Linear::new(1024, 256),
        ReLU,
        Linear::new(256, 64)
    ];
    let [anchor, positive, negative] = [(); 3].map(|()| Tensor::randn([32, 1, 28, 28]));
    let optimizer = adam(model.parameters());
    let one = anchor.clone();
    let loss =
        move |m: &Sequential| triplet_margin_loss(&m.forward(&anchor), &m.forward(&positive), &m.forward(&negative));
    Box::new(Task { model, optimizer, loss, output: move |m: &Sequential| m.forward(&one).sum() })
}
