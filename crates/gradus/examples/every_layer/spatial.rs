//! Layers of signals, pictures and volumes: convolutions, pools, pads, norms, capsules, and what moves pixels.

use super::case::*;
use gradus::prelude::*;

pub fn cases() -> Vec<Case> {
    let mut all = convolutions();
    all.extend(convolutions_of_other_kinds());
    all.extend(pools());
    all.extend(adaptive_pools());
    all.extend(unpools());
    all.extend(pads());
    all.extend(norms());
    all.extend(pixels());
    all.extend(capsules());
    all
}

fn signal() -> Tensor {
    Tensor::randn([3, 2, 8])
}

fn picture() -> Tensor {
    Tensor::randn([3, 2, 6, 6])
}

fn volume() -> Tensor {
    Tensor::randn([2, 2, 4, 4, 4])
}

fn convolutions() -> Vec<Case> {
    vec![
        alone("Conv1d", || Conv1d::new(2, 4, 3).stride(2), signal()),
        alone("Conv2d", || Conv2d::new(2, 4, [3, 5]).padding(Padding::Same), picture()),
        alone("Conv3d", || Conv3d::new(2, 4, 3).groups(2), volume()),
        alone("ConvTranspose1d", || ConvTranspose1d::new(2, 3, 3).stride(2), signal()),
        alone("ConvTranspose2d", || ConvTranspose2d::new(2, 3, 3).stride(2).padding(1), picture()),
        alone("ConvTranspose3d", || ConvTranspose3d::new(2, 2, 2), volume()),
        alone("DepthwiseSeparableConv1d", || DepthwiseSeparableConv1d::new(2, 4, 3), signal()),
        alone("DepthwiseSeparableConv2d", || DepthwiseSeparableConv2d::new(2, 4, 3).padding(1), picture()),
        alone("DepthwiseSeparableConv3d", || DepthwiseSeparableConv3d::new(2, 4, 3), volume()),
    ]
}

fn convolutions_of_other_kinds() -> Vec<Case> {
    let high_pass = || FixedConv2d::high_pass(filters::laplacian()).padding(Padding::Same);
    let detail = || FixedConv2d::new(filters::detail(3)).padding_mode(PaddingMode::Replicate).padding(1);
    let spectral = || SpectralNorm::new(ConvTranspose2d::new(2, 3, 3)).n_power_iterations(2);
    vec![
        after_conv2d("FixedConv2d", FixedConv2d::sobel),
        after_conv2d("filters::laplacian", high_pass),
        after_conv2d("filters::detail", detail),
        alone("WeightNorm of Conv2d", || WeightNorm::new(Conv2d::new(2, 4, 3)), picture()),
        alone("WeightNorm of Embedding", || WeightNorm::new(Embedding::new(9, 4)), Tensor::randint(0, 9, [3, 4])),
        alone("SpectralNorm of ConvTranspose2d", spectral, picture()),
    ]
}

fn pools() -> Vec<Case> {
    vec![
        after_conv1d("AvgPool1d", || AvgPool1d::new(2)),
        after_conv2d("AvgPool2d", || AvgPool2d::new(3).stride(1).padding(1).count_include_pad(false)),
        after_conv3d("AvgPool3d", || AvgPool3d::new(2)),
        after_conv1d("LPPool1d", || LPPool1d::new(2.0, 2)),
        after_conv2d("LPPool2d", || LPPool2d::new(2.0, 3).ceil_mode(true)),
        after_conv3d("LPPool3d", || LPPool3d::new(2.0, 2)),
        after_conv1d("MaxPool1d", || MaxPool1d::new(2)),
        after_conv2d("MaxPool2d", || MaxPool2d::new(3).stride(2)),
        after_conv3d("MaxPool3d", || MaxPool3d::new(2)),
    ]
}

fn adaptive_pools() -> Vec<Case> {
    vec![
        after_conv1d("AdaptiveAvgPool1d", || AdaptiveAvgPool1d::new(3)),
        after_conv2d("AdaptiveAvgPool2d", || AdaptiveAvgPool2d::new([2, 4])),
        after_conv3d("AdaptiveAvgPool3d", || AdaptiveAvgPool3d::new(2)),
        after_conv1d("AdaptiveMaxPool1d", || AdaptiveMaxPool1d::new(3)),
        after_conv2d("AdaptiveMaxPool2d", || AdaptiveMaxPool2d::new([2, 4])),
        after_conv3d("AdaptiveMaxPool3d", || AdaptiveMaxPool3d::new(2)),
    ]
}

/// Each behind a convolution and the pooling that it undoes.
fn unpools() -> Vec<Case> {
    vec![
        with(
            "MaxUnpool1d",
            || (Conv1d::new(2, 3, 3).padding(1), MaxPool1d::new(2), MaxUnpool1d::new(2)),
            |(conv, pool, unpool): &(Conv1d, MaxPool1d, MaxUnpool1d), x| {
                let (y, places) = pool.forward_with_indices(&conv.forward(x));
                unpool.forward(&y, &places)
            },
            signal(),
        ),
        with(
            "MaxUnpool2d",
            || (Conv2d::new(2, 3, 3).padding(1), MaxPool2d::new(2), MaxUnpool2d::new(2)),
            |(conv, pool, unpool): &(Conv2d, MaxPool2d, MaxUnpool2d), x| {
                let (y, places) = pool.forward_with_indices(&conv.forward(x));
                unpool.forward_to(&y, &places, [6, 6])
            },
            picture(),
        ),
        with(
            "MaxUnpool3d",
            || (Conv3d::new(2, 3, 3).padding(1), MaxPool3d::new(2), MaxUnpool3d::new(2)),
            |(conv, pool, unpool): &(Conv3d, MaxPool3d, MaxUnpool3d), x| {
                let (y, places) = pool.forward_with_indices(&conv.forward(x));
                unpool.forward(&y, &places)
            },
            volume(),
        ),
    ]
    .into_iter()
    .map(|case| Case { how: "behind conv and pool", ..case })
    .collect()
}

fn pads() -> Vec<Case> {
    vec![
        after_conv1d("CircularPad1d", || CircularPad1d::new([2, 1])),
        after_conv2d("CircularPad2d", || CircularPad2d::new(1)),
        after_conv3d("CircularPad3d", || CircularPad3d::new(1)),
        after_conv1d("ConstantPad1d", || ConstantPad1d::new([1, 2], 0.5)),
        after_conv2d("ConstantPad2d", || ConstantPad2d::new([1, 0, 0, -1], 0.5)),
        after_conv3d("ConstantPad3d", || ConstantPad3d::new(1, 0.5)),
        after_conv1d("ReflectionPad1d", || ReflectionPad1d::new(2)),
        after_conv2d("ReflectionPad2d", || ReflectionPad2d::new([1, 2, 1, 2])),
        after_conv3d("ReflectionPad3d", || ReflectionPad3d::new(1)),
        after_conv1d("ReplicationPad1d", || ReplicationPad1d::new(2)),
        after_conv2d("ReplicationPad2d", || ReplicationPad2d::new(1)),
        after_conv3d("ReplicationPad3d", || ReplicationPad3d::new([1, 0, 1, 0, 1, 0])),
        after_conv1d("ZeroPad1d", || ZeroPad1d::new(1)),
        after_conv2d("ZeroPad2d", || ZeroPad2d::new([1, 0, 0, -1])),
        after_conv3d("ZeroPad3d", || ZeroPad3d::new(1)),
    ]
}

fn norms() -> Vec<Case> {
    let tracked = || InstanceNorm2d::new(2).affine(true).track_running_stats(true);
    vec![
        alone("BatchNorm1d", || BatchNorm1d::new(5), Tensor::randn([8, 5])),
        alone("BatchNorm2d", || BatchNorm2d::new(2).momentum(None), picture()),
        alone("BatchNorm3d", || BatchNorm3d::new(2), volume()),
        alone("InstanceNorm1d", || InstanceNorm1d::new(2).affine(true), signal()),
        alone("InstanceNorm2d", tracked, picture()),
        after_conv3d("InstanceNorm3d", || InstanceNorm3d::new(4)),
        alone("GroupNorm", || GroupNorm::new(2, 4), Tensor::randn([3, 4, 6])),
        alone("LayerNorm", || LayerNorm::new([2, 8]), signal()),
        alone("RMSNorm", || RMSNorm::new(5), Tensor::randn([8, 5])),
        after_conv2d("LocalResponseNorm", || LocalResponseNorm::new(3).alpha(0.1)),
    ]
}

fn pixels() -> Vec<Case> {
    let linear = Interpolation::Linear { align_corners: false };
    vec![
        after_conv2d("ChannelShuffle", || ChannelShuffle::new(2)),
        after_conv2d("PixelShuffle", || PixelShuffle::new(2)),
        after_conv2d("PixelUnshuffle", || PixelUnshuffle::new(2)),
        after_conv2d("Unfold", || Unfold::new(3).stride(3)),
        after_conv2d("Fold", || sequential![Unfold::new(2), Fold::new([6, 6], 2)]),
        after_conv2d("Upsample", move || Upsample::new().scale_factor(2.0).mode(linear)),
    ]
}

fn capsules() -> Vec<Case> {
    let poses = || Tensor::randn([3, 6, 4]);
    let lengths = || sequential![CapsuleLayer::new(6, 4, 3, 5), CapsuleLength];
    vec![
        alone("PrimaryCapsules", || PrimaryCapsules::new(2, 2, 4, 3), picture()),
        alone("CapsuleLayer", || CapsuleLayer::new(6, 4, 3, 5).routing_iterations(2), poses()),
        Case { how: "behind CapsuleLayer", ..alone("CapsuleLength", lengths, poses()) },
    ]
}
