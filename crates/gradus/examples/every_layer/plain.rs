//! Layers of vectors: activations, linear maps, containers, wrappers, tables, distances, dropout.

use super::case::*;
use gradus::prelude::*;

pub fn cases() -> Vec<Case> {
    let mut all = activations();
    all.extend(activations_with_options());
    all.extend(maps());
    all.extend(containers());
    all.extend(tables_and_distances());
    all.extend(dropouts());
    all
}

fn activations() -> Vec<Case> {
    vec![
        after_linear("Identity", || Identity),
        after_linear("ReLU", || ReLU),
        after_linear("ReLU6", || ReLU6),
        after_linear("SELU", || SELU),
        after_linear("SiLU", || SiLU),
        after_linear("Mish", || Mish),
        after_linear("Sigmoid", || Sigmoid),
        after_linear("LogSigmoid", || LogSigmoid),
        after_linear("Hardsigmoid", || Hardsigmoid),
        after_linear("Hardswish", || Hardswish),
        after_linear("Softsign", || Softsign),
        after_linear("Tanh", || Tanh),
        after_linear("Tanhshrink", || Tanhshrink),
        // A backward pass through a step panics.
        after_linear("Heaviside", || Heaviside).run_only(),
        after_linear("Sign", || Sign).run_only(),
    ]
}

fn activations_with_options() -> Vec<Case> {
    vec![
        after_linear("CELU", || CELU::new().alpha(2.0)),
        after_linear("ELU", || ELU::new().alpha(0.5)),
        after_linear("GELU", || GELU::new().approximate(Approximate::Tanh)),
        after_linear("GLU", GLU::new),
        after_linear("Hardshrink", || Hardshrink::new().lambd(0.1)),
        after_linear("Hardtanh", || Hardtanh::new().max_val(2.0)),
        after_linear("LeakyReLU", || LeakyReLU::new().negative_slope(0.2)),
        after_linear("LogSoftmax", || LogSoftmax::new(1)).loss("nll_loss"),
        after_linear("PReLU", || PReLU::new().num_parameters(6)),
        after_linear("RReLU", || RReLU::new().lower(0.1)).noisy(),
        after_linear("Softmax", || Softmax::new(-1)),
        after_linear("Softmin", || Softmin::new(-1)),
        after_conv2d("Softmax2d", Softmax2d::new),
        after_linear("Softplus", || Softplus::new().beta(2.0)),
        after_linear("Softshrink", || Softshrink::new().lambd(0.1)),
        after_linear("Squash", || Squash::new(-1)),
        after_linear("Threshold", || Threshold::new(-0.5, 0.0)),
    ]
}

fn maps() -> Vec<Case> {
    let x = || Tensor::randn([8, 5]);
    let mlp = || MultilayerPerceptron::new([5, 7, 3]).activation(Tanh).output_activation(Identity);
    vec![
        alone("Linear", || Linear::new(5, 3), x()),
        alone("Maxout", || Maxout::new(5, 4).k(3), x()),
        // Its own activation, Heaviside, has no gradient.
        alone("MultilayerPerceptron", mlp, x()),
        with("Bilinear", || Bilinear::new(5, 5, 3), |layer: &Bilinear, x| layer.forward(x, &x.tanh()), x()),
        alone("PositionwiseFeedForward", || PositionwiseFeedForward::new(4, 8), Tensor::randn([3, 5, 4])).noisy(),
        alone("WeightNorm", || WeightNorm::new(Linear::new(5, 3)), x()),
        alone("SpectralNorm", || SpectralNorm::new(Linear::new(5, 3)), x()),
    ]
}

fn containers() -> Vec<Case> {
    let image = || Tensor::randn([2, 3, 6, 6]);
    let dense = || DenseBlock::new(2, 3, 2).kind(DenseLayerKind::BnReluConv);
    let branches = || Concat::new().branch(Conv2d::new(3, 2, 1)).branch(Conv2d::new(3, 2, 3).padding(1));
    let residual = || Residual::new(sequential![Conv2d::new(3, 3, 3).padding(1), ReLU]);
    vec![
        alone("Sequential", || sequential![Linear::new(5, 7), Tanh, Linear::new(7, 3)], Tensor::randn([8, 5])),
        alone("Residual", residual, image()),
        alone("Concat", branches, image()),
        alone("DenseBlock", dense, image()),
        after_conv2d("Flatten", Flatten::new),
        after_linear("Unflatten", || Unflatten::new(1, [2, 3])),
    ]
}

fn tables_and_distances() -> Vec<Case> {
    let words = || Tensor::randint(0, 10, [4, 6]);
    let x = || Tensor::randn([8, 5]);
    vec![
        alone("Embedding", || Embedding::new(10, 3), words()),
        alone("EmbeddingBag", || EmbeddingBag::new(10, 4).mode(BagMode::Sum), words()),
        with(
            "CosineSimilarity",
            || (Linear::new(5, 5), CosineSimilarity::new()),
            |(map, cosine): &(Linear, CosineSimilarity), x| cosine.forward(&map.forward(x), x),
            x(),
        ),
        with(
            "PairwiseDistance",
            || (Linear::new(5, 5), PairwiseDistance::new()),
            |(map, distance): &(Linear, PairwiseDistance), x| distance.forward(&map.forward(x), x),
            x(),
        ),
    ]
}

fn dropouts() -> Vec<Case> {
    vec![
        after_linear("Dropout", || Dropout::new(0.2)).noisy(),
        after_linear("AlphaDropout", || AlphaDropout::new(0.2)).noisy(),
        after_linear("DropPath", || DropPath::new(0.2, DropPathMode::Row)).noisy(),
        after_linear("GaussianNoise", || GaussianNoise::new(0.1)).noisy(),
        after_conv2d("FeatureAlphaDropout", || FeatureAlphaDropout::new(0.2)).noisy(),
        after_conv1d("Dropout1d", || Dropout1d::new(0.2)).noisy(),
        after_conv2d("Dropout2d", || Dropout2d::new(0.2)).loss("l1_loss").noisy(),
        after_conv3d("Dropout3d", || Dropout3d::new(0.2)).noisy(),
    ]
}
