//! Numbers of parameters at full width.

use gradus_models::{MODELS, find};
use gradus_nn::Module;

/// As torchvision publishes them (`get_model_weights(name).DEFAULT.meta["num_params"]`).
const TORCHVISION: &[(&str, usize)] = &[
    ("alexnet", 61_100_840),
    ("vgg11", 132_863_336),
    ("vgg11_bn", 132_868_840),
    ("vgg13", 133_047_848),
    ("vgg13_bn", 133_053_736),
    ("vgg16", 138_357_544),
    ("vgg16_bn", 138_365_992),
    ("vgg19", 143_667_240),
    ("vgg19_bn", 143_678_248),
    ("resnet18", 11_689_512),
    ("resnet34", 21_797_672),
    ("resnet50", 25_557_032),
    ("resnet101", 44_549_160),
    ("resnet152", 60_192_808),
    ("wide_resnet50_2", 68_883_240),
    ("wide_resnet101_2", 126_886_696),
    ("resnext50_32x4d", 25_028_904),
    ("resnext101_32x8d", 88_791_336),
    ("resnext101_64x4d", 83_455_272),
    ("squeezenet1_0", 1_248_424),
    ("squeezenet1_1", 1_235_496),
    ("mobilenet_v2", 3_504_872),
    ("densenet121", 7_978_856),
    ("densenet161", 28_681_000),
    ("densenet169", 14_149_480),
    ("densenet201", 20_013_928),
    ("inception_v3", 27_161_264),
];

/// As the papers give them, rounded to the digits they print: DenseNet-BC in table 2 of the paper, the CIFAR ResNets in
/// table 6. The plain net of 20 layers has the same number as its residual twin.
const PAPERS: &[(&str, f64, f64)] = &[
    ("resnet20_cifar", 0.27e6, 0.005e6),
    ("resnet32_cifar", 0.46e6, 0.01e6),
    ("resnet44_cifar", 0.66e6, 0.01e6),
    ("resnet56_cifar", 0.85e6, 0.01e6),
    ("resnet110_cifar", 1.7e6, 0.05e6),
    ("plain20_cifar", 0.27e6, 0.005e6),
    ("plain56_cifar", 0.85e6, 0.01e6),
    ("densenet100_bc_cifar", 0.8e6, 0.05e6),
    ("densenet190_bc_cifar", 25.6e6, 0.05e6),
];

/// Counted by hand: not published anywhere, or small enough to be sure of.
const OURS: &[(&str, usize)] = &[
    ("digits-cnn", 90_090),
    ("mnist-cnn", 421_642),
    ("mnist-mlp", 109_386),
    ("perceptron", 7_850),
    ("mlp", 784 * 256 + 256 + 256 * 256 + 256 + 2_570),
    ("lenet5", 61_706),
    // The paper's 8.2 million: convolutions, primary capsules, routing matrices, decoder.
    ("capsnet", 20_992 + 5_308_672 + 1_474_560 + 1_411_344),
    // VGG-16's convolutions, the two layers of 4096, scores, transposed convolutions.
    ("fcn32s", 14_714_688 + 102_764_544 + 16_781_312 + 86_037 + 441 * 64 * 64),
    ("fcn16s", 14_714_688 + 102_764_544 + 16_781_312 + 86_037 + 10_773 + 441 * (16 + 32 * 32)),
    ("fcn8s", 14_714_688 + 102_764_544 + 16_781_312 + 86_037 + 10_773 + 5_397 + 441 * (16 + 16 + 16 * 16)),
    ("segnet", 29_455_125),
    ("unet", 31_037_698),
    ("encoder_decoder", 896 + 18_496 + 73_856 + 32_832 + 8_224 + 387),
    // Figure 5 of the paper, summed up block by block.
    ("inception_v2", 11_194_984),
    // torchvision publishes 6,624,904, without the two auxiliary classifiers: 1x1 convolutions with batch norm, 2048 to
    // 1024 units, and 1000 classes.
    ("googlenet", 6_624_904 + (512 + 528) * 128 + 2 * (256 + 2048 * 1024 + 1024 + 1_025_000)),
    // torchvision's with 10 classes and a 3x3 stem: less 3 * 64 * (49 - 9), less 990 * 513.
    ("resnet18_cifar", 11_689_512 - 7_680 - 990 * 513),
    ("resnet34_cifar", 21_797_672 - 7_680 - 990 * 513),
];

fn parameters(name: &str) -> usize {
    let row = find(name).unwrap();
    row.build(&row.default_architecture().config).unwrap().num_parameters()
}

fn check(part: usize) {
    for (name, published) in TORCHVISION.iter().chain(OURS).skip(part).step_by(4) {
        assert_eq!(parameters(name), *published, "{name}");
    }
}

#[test]
fn sizes_are_the_published_ones_part_0() {
    check(0);
}

#[test]
fn sizes_are_the_published_ones_part_1() {
    check(1);
}

#[test]
fn sizes_are_the_published_ones_part_2() {
    check(2);
}

#[test]
fn sizes_are_the_published_ones_part_3() {
    check(3);
}

#[test]
fn sizes_are_those_of_the_papers() {
    for (name, published, rounding) in PAPERS {
        let found = parameters(name) as f64;
        assert!((found - published).abs() <= *rounding, "{name}: {found}, published {published}");
    }
}

#[test]
fn every_model_is_in_one_of_the_tables() {
    let known =
        |name| TORCHVISION.iter().chain(OURS).any(|(n, _)| *n == name) || PAPERS.iter().any(|(n, _, _)| *n == name);
    for row in MODELS {
        assert!(known(row.name), "{} is in no table of sizes", row.name);
    }
}
