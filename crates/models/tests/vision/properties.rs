//! What is said of convolutional nets.

use gradus_models::{ModelConfig, ResNetConfig, ResNetStem};
use gradus_nn::{Conv2d, Forward, Linear, Module};
use gradus_tensor::{Tensor, manual_seed, no_grad};

/// The largest difference, as a share of the largest element of `b`.
fn off(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).abs().max().item_f64()) / b.abs().max().item_f64()
}

/// Convolutions are translation *equivariant*: away from the edges, a shifted picture gives shifted maps, exactly where
/// the shift is a multiple of the stride. Invariance, where a result stays as it is, comes from pooling, and only nearly.
#[test]
fn a_shifted_picture_gives_shifted_maps_and_nearly_the_same_mean() {
    manual_seed(7);
    let stem = ResNetStem::Cifar;
    let net = ResNetConfig { inplanes: 8, layers: vec![1, 1, 1], stem, num_classes: 10, ..Default::default() }.init();
    net.eval();
    no_grad(|| {
        let wide = Tensor::randn([2, 3, 64, 68]);
        let maps = |left: isize| net.stages(&wide.narrow(3, (4 - left) as usize, 64)).pop().unwrap();
        // Stride 4, and a field of 25 pixels: three columns at either edge see the padding.
        let (plain, shifted) = (maps(0), maps(4));
        assert_eq!(plain.shape(), [2, 32, 16, 16]);
        let inner = |x: &Tensor, from: usize| x.narrow(3, from, 9);
        let equivariant = off(&inner(&shifted, 4), &inner(&plain, 3));
        assert!(equivariant < 1e-5, "{equivariant}");
        let moved = off(&inner(&shifted, 4), &inner(&plain, 4));
        assert!(moved > 0.3, "the maps themselves are others: {moved}");
        // By part of the stride, the shift is none of the maps.
        assert!(off(&inner(&maps(2), 4), &inner(&plain, 4)) > 0.1);
        let mean = |x: &Tensor| x.mean_dim([2, 3], false);
        let invariant = off(&mean(&shifted), &mean(&plain));
        assert!(invariant < 0.2 * moved && invariant > 1e-4, "{invariant} of the mean, {moved} of the maps");
    });
}

/// A linear layer over a map *is* a convolution with a kernel of the map's size and no padding: its output has 1x1 places
/// for a map of that size, and on a larger one it gives the linear layer's result for every window.
#[test]
fn a_linear_layer_is_a_convolution_of_the_size_of_its_map() {
    manual_seed(8);
    let (linear, conv) = (Linear::new(4 * 7 * 7, 5), Conv2d::new(4, 5, 7));
    no_grad(|| {
        conv.weight.copy_(&linear.weight.reshape([5, 4, 7, 7])); // (5, 4 7 7) -> (5, 4, 7, 7)
        conv.bias.as_ref().unwrap().copy_(linear.bias.as_ref().unwrap());
        let x = Tensor::randn([3, 4, 10, 9]);
        let scores = conv.forward(&x); // (3, 5, 4, 3)
        assert_eq!(scores.shape(), [3, 5, 4, 3]);
        for (i, j) in [(0, 0), (2, 1), (3, 2)] {
            let window = x.narrow(2, i, 7).narrow(3, j, 7);
            let want = linear.forward(&window.flatten(1, -1)); // (3, 4, 7, 7) -> (3, 4 7 7)
            let got = scores.narrow(2, i, 1).narrow(3, j, 1).flatten(1, -1); // (3, 5, 1, 1) -> (3, 5)
            assert!(off(&got, &want) < 1e-5);
        }
    });
}
