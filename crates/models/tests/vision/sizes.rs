//! Numbers of parameters at full width.

use gradus_models::{MODELS, Summary, find, summarize};

/// As torchvision publishes them: `num_params` and `_ops` of `get_model_weights(name).DEFAULT.meta`, the latter in
/// thousands of millions of multiply-accumulates; `python scripts/compare/vision.py --sizes` prints them.
const TORCHVISION: &[(&str, usize, f64)] = &[
    ("alexnet", 61_100_840, 0.714),
    ("vgg11", 132_863_336, 7.609),
    ("vgg11_bn", 132_868_840, 7.609),
    ("vgg13", 133_047_848, 11.308),
    ("vgg13_bn", 133_053_736, 11.308),
    ("vgg16", 138_357_544, 15.47),
    ("vgg16_bn", 138_365_992, 15.47),
    ("vgg19", 143_667_240, 19.632),
    ("vgg19_bn", 143_678_248, 19.632),
    ("resnet18", 11_689_512, 1.814),
    ("resnet34", 21_797_672, 3.664),
    ("resnet50", 25_557_032, 4.089),
    ("resnet101", 44_549_160, 7.801),
    ("resnet152", 60_192_808, 11.514),
    ("wide_resnet50_2", 68_883_240, 11.398),
    ("wide_resnet101_2", 126_886_696, 22.753),
    ("resnext50_32x4d", 25_028_904, 4.23),
    ("resnext101_32x8d", 88_791_336, 16.414),
    ("resnext101_64x4d", 83_455_272, 15.46),
    ("squeezenet1_0", 1_248_424, 0.819),
    ("squeezenet1_1", 1_235_496, 0.349),
    ("mobilenet_v2", 3_504_872, 0.301),
    ("densenet121", 7_978_856, 2.834),
    ("densenet161", 28_681_000, 7.728),
    ("densenet169", 14_149_480, 3.36),
    ("densenet201", 20_013_928, 4.291),
    ("inception_v3", 27_161_264, 5.713),
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

/// As torchvision publishes it, like the third column of [`TORCHVISION`]. (The published parameters are without the
/// auxiliary classifiers.)
const GOOGLENET: f64 = 1.498;

fn of(name: &str) -> Summary {
    let row = find(name).unwrap();
    summarize(&*row.build(&Default::default()).unwrap(), row.input)
}

/// Every model's numbers are the published ones, and those of the registry's list.
fn check(part: usize) {
    for row in MODELS.iter().skip(part).step_by(8) {
        let name = row.name;
        let found = of(name);
        assert_eq!((found.parameters(), found.macs()), (row.parameters(), row.macs()), "{name}");
        let published = TORCHVISION.iter().find(|p| p.0 == name).map(|p| (Some(p.1), Some(p.2)));
        let own = OURS.iter().find(|p| p.0 == name).map(|p| (Some(p.1), None));
        let (parameters, giga_macs) = published.or(own).unwrap_or_default();
        assert_eq!(found.parameters(), parameters.unwrap_or(row.parameters()), "{name}");
        if let Some(published) = giga_macs.or((name == "googlenet").then_some(GOOGLENET)) {
            // They are cut or rounded to three decimals.
            let ours = found.macs() as f64 / 1e9;
            assert!((ours - published).abs() < 0.001, "{name}: {ours}, torchvision has {published}");
        }
        if let Some((_, published, rounding)) = PAPERS.iter().find(|p| p.0 == name) {
            let found = found.parameters() as f64;
            assert!((found - published).abs() <= *rounding, "{name}: {found}, published {published}");
        }
        let known = found.rows.iter().all(|row| row.receptive_field.is_some());
        assert!(known || name == "capsnet", "{name}: a row without a receptive field");
    }
}

macro_rules! parts {
    ($($name:ident $part:literal)*) => { $(
        #[test]
        fn $name() {
            check($part);
        }
    )* };
}
parts!(sizes_are_the_published_ones_part_0 0 sizes_are_the_published_ones_part_1 1
    sizes_are_the_published_ones_part_2 2 sizes_are_the_published_ones_part_3 3
    sizes_are_the_published_ones_part_4 4 sizes_are_the_published_ones_part_5 5
    sizes_are_the_published_ones_part_6 6 sizes_are_the_published_ones_part_7 7);

#[test]
fn every_model_is_in_one_of_the_tables() {
    let known = |name| {
        TORCHVISION.iter().any(|p| p.0 == name)
            || OURS.iter().any(|p| p.0 == name)
            || PAPERS.iter().any(|p| p.0 == name)
    };
    for row in MODELS {
        assert!(known(row.name), "{} is in no table of sizes", row.name);
    }
}

/// The field and stride at the layer `path`.
fn reach(summary: &Summary, path: &str) -> (f64, f64) {
    let row = summary.rows.iter().rev().find(|row| row.path == path).unwrap();
    let (field, stride) = (row.receptive_field.unwrap(), row.stride.unwrap());
    assert_eq!((field[0], stride[0]), (field[1], stride[1]), "{path}");
    (field[0], stride[0])
}

/// AlexNet and VGG-16: <https://distill.pub/2019/computing-receptive-fields/>. ResNet-50 has 427 with the stride on the
/// 3x3 convolution of a stage's first block: 11 of the stem, then 3 * 8, 8 + 3 * 16, 16 + 5 * 32 and 32 + 2 * 64.
#[test]
fn receptive_fields_are_the_published_ones() {
    let (alexnet, vgg) = (of("alexnet"), of("vgg16"));
    assert_eq!(reach(&alexnet, "features.12"), (195.0, 32.0));
    assert_eq!(reach(&vgg, "features.30"), (212.0, 32.0));
    assert_eq!(reach(&vgg, "features.28"), (196.0, 16.0));
    let resnet = of("resnet50");
    assert_eq!(reach(&resnet, "maxpool"), (11.0, 4.0));
    assert_eq!(reach(&resnet, "layer4.2"), (427.0, 32.0));
    // The mean over 7x7 places sees 6 * 32 more.
    assert_eq!(resnet.rows.last().unwrap().receptive_field, Some([619.0; 2]));
}

/// From the output to the input r <- s r + (k - s), from the input to the output 1 + sum (k_l - 1) prod_(i<l) s_i.
#[test]
fn both_formulas_of_the_receptive_field_give_the_summarys() {
    let (conv, pool) = ((3, 1), (2, 2));
    let vgg: Vec<(usize, usize)> = [2, 2, 3, 3, 3].iter().flat_map(|&n| [vec![conv; n], vec![pool]].concat()).collect();
    let alexnet = vec![(11, 4), (3, 2), (5, 1), (3, 2), (3, 1), (3, 1), (3, 1), (3, 2)];
    // The stem, and the 3x3 convolutions of the second stage on: a basic block has two, the first with the stride.
    let resnet = [vec![(7, 2), (3, 2)], vec![(3, 1); 4], [vec![(3, 2)], vec![(3, 1); 3]].concat().repeat(3)].concat();
    for (name, path, layers) in
        [("vgg16", "features.30", vgg), ("alexnet", "features.12", alexnet), ("resnet18", "layer4.1", resnet)]
    {
        let recurrence = layers.iter().rev().fold(1, |r, (k, s)| s * r + k - s);
        let (closed, stride) = layers.iter().fold((1, 1), |(r, before), (k, s)| (r + (k - 1) * before, before * s));
        assert_eq!(recurrence, closed, "{name}");
        assert_eq!(reach(&of(name), path), (closed as f64, stride as f64), "{name}");
    }
}

#[test]
fn a_convolutional_net_sees_more_with_fewer_parameters_than_a_perceptron() {
    let (mlp, lenet) = (of("mlp"), of("lenet5"));
    assert!(mlp.parameters() > 4 * lenet.parameters());
    assert!(mlp.macs() < lenet.macs());
}

#[test]
fn decoders_come_back_to_the_resolution_of_the_picture() {
    for name in ["fcn8s", "segnet", "unet", "encoder_decoder"] {
        let row = find(name).unwrap();
        let model = super::small::all().into_iter().find(|s| s.name == name).unwrap().build();
        let summary = summarize(&*model, &[row.input[0], 64, 64]);
        assert_eq!(summary.rows.last().unwrap().stride, Some([1.0; 2]), "{name}");
    }
}

/// A multilayer perceptron of n_0, n_1, ... units has sum n_l n_(l+1) weights and as many multiply-accumulates, and a bias
/// for each unit but the inputs.
#[test]
fn a_perceptron_of_several_layers_counts_as_its_formula() {
    let found = of("mnist-mlp");
    let weights = 784 * 128 + 128 * 64 + 64 * 10;
    assert_eq!((found.weights(), found.biases(), found.macs()), (weights, 128 + 64 + 10, weights as u64));
    assert_eq!(found.flops(), 2 * found.macs());
}

/// Memory and operations sit in the convolutions, parameters in the linear layers.
#[test]
fn vgg_has_its_parameters_in_linear_layers_and_the_rest_in_convolutions() {
    let kinds = of("vgg16").by_kind();
    let most = |of: &dyn Fn(&gradus_models::LayerRow) -> u64| kinds.iter().max_by_key(|k| of(k)).unwrap().kind.clone();
    assert_eq!(most(&|k| k.parameters() as u64), "Linear");
    assert_eq!(most(&|k| k.macs), "Conv2d");
    let memory = |kind: &str| kinds.iter().find(|k| k.kind == kind).unwrap().activations;
    // ReLU's results are as large as the convolutions'.
    assert_eq!(memory("Conv2d"), memory("ReLU") - 2 * 4096);
    assert!(memory("Conv2d") > 100 * memory("Linear"));
}

/// Predictions, and in each round a weighted sum, after all but the last an agreement. The couplings of the first round
/// are constants.
#[test]
fn every_product_of_the_rounds_of_routing_counts() {
    let layer = gradus_nn::CapsuleLayer::new(6, 4, 3, 5).routing_iterations(3);
    assert_eq!(summarize(&layer, &[6, 4]).macs(), 3 * 6 * 5 * 4 + (3 + 2) * 3 * 6 * 5);
}
