//! What the layers of this group do beyond PyTorch's values: borders, filters, skip connections, sizes, messages.

use crate::Values;
use crate::support::panic_of;
use gradus_nn::*;
use gradus_tensor::{DType, Tensor, manual_seed, no_grad};

fn filled(layer: Conv2d, value: f64) -> Conv2d {
    no_grad(|| layer.weight.fill_(value));
    layer
}

/// The three ways out at the border of a picture: extend it, pad it with black, or crop.
#[test]
fn border_modes() {
    let picture = Tensor::from_slice(&[9.0f32, 9.0, 9.0, 18.0], [1, 1, 2, 2]);
    let mean = |layer: Conv2d| filled(layer.bias(false), 1.0 / 9.0).forward(&picture);
    let near = |t: Tensor, want: &[f32]| {
        t.to_vec::<f32>().iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "{a} {b}"))
    };
    // Extended by the edge, each pixel is the mean of nine pixels of the picture.
    let extend = mean(Conv2d::new(1, 1, 3).padding(3 / 2).padding_mode(PaddingMode::Replicate));
    near(extend, &[10.0, 11.0, 11.0, 13.0]);
    // With a black border every window sees the four pixels and five zeros.
    near(mean(Conv2d::new(1, 1, 3).padding(3 / 2)), &[5.0; 4]);
    near(mean(Conv2d::new(1, 1, 3).padding(Padding::Same)), &[5.0; 4]);
    // Cropped, a picture loses 2 (k / 2) pixels along each dimension.
    let cropped = Conv2d::new(1, 1, 5).padding(Padding::Valid).forward(&Tensor::zeros([1, 1, 9, 7]));
    assert_eq!(cropped.shape(), [1, 1, 5, 3]);
    // With a big stride much of the rest is never looked at: all but 2 x 2 windows of 3 x 3 here.
    assert_eq!(Conv2d::new(1, 1, 3).stride(6).forward(&Tensor::zeros([1, 1, 10, 14])).shape(), [1, 1, 2, 2]);
}

/// At stride 1, (k - 1) / 2 keeps the size for odd k, whatever the dilation times it; `Same` for any k.
#[test]
fn same_padding_keeps_the_size() {
    let x = Tensor::zeros([1, 1, 11, 9]);
    for k in 1..=6 {
        for dilation in 1..=3 {
            let same = Conv2d::new(1, 1, k).dilation(dilation).padding(Padding::Same);
            let odd = k % 2 == 1;
            assert_eq!(same.forward(&x).shape(), x.shape(), "k = {k}, dilation {dilation}");
            let rule = Conv2d::new(1, 1, k).dilation(dilation).padding(dilation * (k - 1) / 2).forward(&x).shape();
            assert_eq!(rule == x.shape(), odd || dilation == 2, "k = {k}, dilation {dilation}");
        }
    }
}

#[test]
fn sobel_gives_two_outputs_and_sees_edges() {
    // Left half dark, right half bright: a vertical edge.
    let row = [0.0f32, 0.0, 1.0, 1.0];
    let picture = Tensor::from_slice(&row.repeat(4), [1, 1, 4, 4]);
    let y = FixedConv2d::sobel().forward(&picture);
    assert_eq!(y.shape(), [1, 2, 2, 2]);
    assert_eq!(y.select(1, 0).to_vec::<f32>(), [4.0; 4]);
    assert_eq!(y.select(1, 1).to_vec::<f32>(), [0.0; 4]);
    let y = FixedConv2d::sobel().forward(&picture.transpose(2, 3));
    assert_eq!((y.select(1, 0).to_vec::<f32>(), y.select(1, 1).to_vec::<f32>()), (vec![0.0; 4], vec![4.0; 4]));
    // Two channels and two kernels give four outputs, those of a channel together, in any batch.
    let two = Tensor::cat(&[&picture, &picture.transpose(2, 3)], 1);
    let y = FixedConv2d::sobel().forward(&two.squeeze(0));
    assert_eq!(y.mean_dim([1, 2], false).to_vec::<f32>(), [4.0, 0.0, 0.0, 4.0]);
    let layer = FixedConv2d::sobel().padding(1).padding_mode(PaddingMode::Replicate).stride(2);
    assert_eq!(layer.forward(&two).shape(), [1, 4, 2, 2]);
    assert!(layer.parameters().is_empty() && layer.state_dict().names().next().is_none());
}

#[test]
fn high_pass_kernels_add_up_to_zero() {
    for kernel in [filters::laplacian(), filters::detail(3), filters::detail(5), filters::sobel()] {
        let layer = FixedConv2d::high_pass(kernel);
        let even = layer.forward(&Tensor::full([1, 1, 6, 7], 0.8)).abs().max().item();
        assert!(even < 1e-6, "an even surface gives {even}");
    }
    let blur = Tensor::full([1, 3, 3], 1.0 / 9.0);
    let sharpen = &filters::laplacian() + &Tensor::eye(3);
    for (kernel, sum) in [(blur, "1"), (sharpen, "3"), (Tensor::full([1, 2, 2], f64::NAN), "NaN")] {
        let message = panic_of(|| FixedConv2d::high_pass(kernel));
        assert!(message.starts_with("FixedConv2d: the values of high-pass kernel 0 add up to"), "{message}");
        assert!(message.contains(sum), "{message}");
    }
    assert!(panic_of(|| filters::detail(4)).contains("has no middle"));
    assert!(panic_of(|| FixedConv2d::new(Tensor::zeros([3, 3]))).contains("needs kernels [K, kh, kw]"));
}

/// y = F(x) + x: the gradient of x is that of y, untouched, plus the one through F.
#[test]
fn a_skip_connection_carries_the_gradient() {
    let dead = Conv2d::new(2, 2, 3).padding(1);
    no_grad(|| dead.weight.zero_());
    let block = Residual::new(dead);
    let x = Tensor::randn([1, 2, 3, 3]).requires_grad_(true);
    let weight = Tensor::randn([1, 2, 3, 3]);
    (block.forward(&x) * &weight).sum().backward();
    assert_eq!(x.grad().unwrap().to_vec::<f32>(), weight.to_vec::<f32>());
    // Fifty layers that shrink by ten: without skips nothing arrives, with them the gradient does.
    let shrink = || {
        let layer = Conv1d::new(1, 1, 1).bias(false);
        no_grad(|| layer.weight.fill_(0.1));
        layer
    };
    let arrives = |layer: &dyn Fn() -> Box<dyn Forward>| {
        let x = Tensor::ones([1, 1, 1]).requires_grad_(true);
        (0..50).map(|_| layer()).fold(x.clone(), |x, l| l.forward(&x)).sum().backward();
        x.grad().unwrap().item_f64()
    };
    assert!(arrives(&|| Box::new(shrink())) < 1e-40);
    assert!((arrives(&|| Box::new(Residual::new(shrink()))) / 1.1f64.powi(50) - 1.0).abs() < 1e-4);
    let names: Vec<String> = block.named_parameters().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["inner.weight", "inner.bias"]);
    let message = panic_of(|| sequential![Residual::new(Conv2d::new(1, 2, 1))].forward(&Tensor::zeros([1, 1, 2, 2])));
    let expected = "cannot add the layers' output [1, 2, 2, 2] to [1, 1, 2, 2]";
    assert_eq!(message, format!("Residual in layer `0`: {expected}"));
}

/// Layer i sees k (i - 1) + k0 maps, whatever its kind.
#[test]
fn dense_connections_grow_by_the_growth_rate() {
    for kind in [DenseLayerKind::BnReluConv, DenseLayerKind::ConvRelu] {
        for (n, k0, k) in [(1, 3, 2), (5, 4, 3), (4, 1, 7)] {
            let block = DenseBlock::new(n, k0, k).kind(kind);
            let x = Tensor::randn([2, k0, 4, 3]);
            let y = block.forward(&x);
            assert_eq!(y.shape(), [2, k0 + n * k, 4, 3]);
            assert_eq!(y.size(1), block.out_channels());
            // The input comes through, so does every layer's output to all after it.
            assert_eq!(y.narrow(1, 0, k0).to_vec_f64(), x.to_vec_f64());
            for (name, p) in block.named_parameters() {
                let Some(i) = name.strip_prefix("layers.").and_then(|n| n.strip_suffix(".conv.weight")) else {
                    continue;
                };
                let i = i.parse::<usize>().unwrap() + 1;
                assert_eq!(p.shape(), [k, k * (i - 1) + k0, 3, 3]);
                assert_eq!(block.in_channels(i), k * (i - 1) + k0);
            }
            assert_eq!(block.named_buffers().is_empty(), kind == DenseLayerKind::ConvRelu);
        }
    }
    let m = sequential![DenseBlock::new(2, 3, 2)];
    let message = panic_of(|| m.forward(&Tensor::zeros([1, 4, 2, 2])));
    assert_eq!(message, "DenseBlock in layer `0`: needs an input [N, 3, H, W], got [1, 4, 2, 2]");
}

#[test]
fn branches_must_agree_but_for_one_dimension() {
    let m = sequential![Concat::new().branch(Identity).branch(MaxPool2d::new(2))];
    let message = panic_of(|| m.forward(&Tensor::zeros([1, 2, 4, 4])));
    let expected = "branch 0 gives [1, 2, 4, 4], branch 1 [1, 2, 2, 2]: only dimension 1 may differ";
    assert_eq!(message, format!("Concat in layer `0`: {expected}"));
    assert_eq!(panic_of(|| Concat::new().forward(&Tensor::zeros([1, 1]))), "Concat: has no branches");
    let x = Tensor::randn([2, 3]);
    let doubled = Concat::new().branch(Identity).branch(Identity).dim(-1).forward(&x);
    assert_eq!(doubled.chunk(2, 1)[1].to_vec_f64(), x.to_vec_f64());
}

#[test]
fn a_transposed_convolution_reaches_the_sizes_a_stride_loses() {
    let (down, up) = (Conv2d::new(1, 1, 3).stride(2).padding(1), ConvTranspose2d::new(1, 1, 3).stride(2).padding(1));
    for size in [[7, 8], [8, 7], [1, 2]] {
        let small = down.forward(&Tensor::zeros([1, 1, size[0], size[1]]));
        assert_eq!(up.forward_to(&small, size).shape(), [1, 1, size[0], size[1]]);
    }
    let m = sequential![ConvTranspose2d::new(2, 4, 3).stride(2).groups(2)];
    m.parameters();
    let message = panic_of(|| m.forward(&Tensor::zeros([1, 3, 4, 4])));
    assert!(message.contains("in layer `0`: the weight [2, 2, 3, 3] [in, out / groups, ..]"), "{message}");
    assert!(message.contains("takes 2 input channels") && message.contains("[1, 3, 4, 4] has 3"), "{message}");
    let message = panic_of(|| up.forward_to(&Tensor::zeros([1, 1, 4, 4]), [9, 7]));
    let expected = "an input [1, 1, 4, 4] gives 7 to 8 positions in spatial dimension 0, not 9";
    assert_eq!(message, format!("ConvTranspose2d: {expected}"));
    let message = panic_of(|| ConvTranspose1d::new(3, 4, 1).groups(2));
    assert_eq!(message, "ConvTranspose1d: 3 and 4 channels cannot be divided into 2 groups");
    let message = panic_of(|| up.forward_to(&Tensor::zeros([4, 4]), 2));
    assert_eq!(message, "ConvTranspose2d: needs 3 or 4 dimensions, got an input [4, 4]");
}

/// The bounds of the initial values: ±1/sqrt(fan in), where a transposed convolution's fan is out / groups * kernel.
#[test]
fn parameters_begin_within_their_bounds() {
    manual_seed(9);
    let within = |p: &Tensor, bound: f32| {
        let largest = p.detach().abs().max().item();
        assert!(largest <= bound && largest > 0.8 * bound, "{largest}, bound {bound}");
    };
    let layer = ConvTranspose2d::new(8, 64, 3).groups(2);
    assert_eq!(layer.weight.shape(), [8, 32, 3, 3]);
    assert_eq!(layer.bias.as_ref().unwrap().shape(), [64]);
    let bound = 1.0 / (32.0f32 * 9.0).sqrt();
    within(&layer.weight, bound);
    within(layer.bias.as_ref().unwrap(), bound);
    let layer = layer.bias(false).bias(true);
    within(layer.bias.as_ref().unwrap(), bound);
    let form = Bilinear::new(16, 5, 40);
    within(&form.weight, 0.25);
    within(form.bias.as_ref().unwrap(), 0.25);
}

/// Global average pooling: the mean of each channel as 1 x 1.
#[test]
fn global_average_pooling() {
    let x = Tensor::randn([2, 3, 5, 4]);
    let y = AdaptiveAvgPool2d::new(1).forward(&x);
    assert_eq!(y.shape(), [2, 3, 1, 1]);
    let mean = x.mean_dim([2, 3], true);
    assert!((y - mean).abs().max().item() < 1e-6);
}

/// Unpooling puts the maxima back where they were; pooling again gives them back.
#[test]
fn unpooling_is_sparse_and_undoes_pooling() {
    let x = Tensor::rand([2, 3, 6, 8]) + 0.1;
    let pool = MaxPool2d::new(2);
    let (y, indices) = pool.forward_with_indices(&x);
    let back = MaxUnpool2d::new(2).forward(&y, &indices);
    assert_eq!(back.shape(), x.shape());
    assert_eq!(back.ne_scalar(0.0).to_dtype(DType::F32).sum().item(), (2 * 3 * 3 * 4) as f32);
    assert_eq!(pool.forward(&back).to_vec_f64(), y.to_vec_f64());
    let kept = back.ne_scalar(0.0).where_(&x, &Tensor::scalar(0.0));
    assert_eq!(kept.to_vec_f64(), back.to_vec_f64());
    let m = sequential![MaxPool2d::new(2)];
    let message = panic_of(|| MaxUnpool2d::new(2).forward(&y, &indices.narrow(1, 0, 1)));
    assert!(message.starts_with("max_unpool2d: the indices' shape [2, 1, 3, 4] is not the input's"), "{message}");
    let message = panic_of(|| m.forward(&Tensor::zeros([1, 1, 1, 4])));
    assert!(message.starts_with("max_pool2d in layer `0`: the input [1, 1, 1, 4] has 1 positions"), "{message}");
    let message = panic_of(|| MaxUnpool2d::new(2).forward(&Tensor::zeros([3, 3]), &indices));
    assert_eq!(message, "MaxUnpool2d: needs 3 or 4 dimensions, got an input [3, 3]");
}

/// A nearest-neighbour upsampling by two copies each pixel to a block of four.
#[test]
fn upsampling_by_two_copies_each_pixel() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [1, 1, 2, 2]);
    let y = Upsample::new().scale_factor(2.0).forward(&x);
    let want = [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0];
    assert_eq!(y.to_vec::<f32>(), want);
    assert_eq!(Upsample::new().size(4).forward(&x).to_vec::<f32>(), want);
    let m = sequential![Upsample::new()];
    assert_eq!(panic_of(|| m.forward(&x)), "Upsample in layer `0`: needs a size or a scale_factor");
    let message = panic_of(|| Upsample::new().size([2, 2]).forward(&Tensor::zeros([1, 1, 2])));
    assert!(message.contains("got [1, 1, 2] and [2, 2]"), "{message}");
    let message = panic_of(|| Upsample::new().scale_factor([2.0, 2.0]).forward(&Tensor::zeros([1, 1, 2])));
    assert!(message.contains("[2.0, 2.0]") && message.contains("[1, 1, 2]"), "{message}");
}

#[test]
fn shuffles_undo_each_other_and_check_their_input() {
    let x = Tensor::randn([2, 8, 3, 5]);
    let there = PixelShuffle::new(2).forward(&x);
    assert_eq!(PixelUnshuffle::new(2).forward(&there).to_vec_f64(), x.to_vec_f64());
    let mixed = ChannelShuffle::new(2).forward(&x);
    assert_eq!(ChannelShuffle::new(4).forward(&mixed).to_vec_f64(), x.to_vec_f64());
    assert_eq!(Unflatten::new(1, [2, 4]).forward(&x).flatten(1, 2).to_vec_f64(), x.to_vec_f64());
    let bad: [(Sequential, &str); 4] = [
        (
            sequential![PixelShuffle::new(3)],
            "PixelShuffle in layer `0`: the 8 channels of [2, 8, 3, 5] are no multiple",
        ),
        (sequential![PixelUnshuffle::new(2)], "PixelUnshuffle in layer `0`: height and width of [2, 8, 3, 5]"),
        (sequential![ChannelShuffle::new(3)], "ChannelShuffle in layer `0`: needs [N, C, ..] with C a multiple of 3"),
        (sequential![Unflatten::new(1, [3, 3])], "Unflatten in layer `0`: dimension 1 of an input [2, 8, 3, 5]"),
    ];
    for (m, expected) in bad {
        let message = panic_of(|| m.forward(&x));
        assert!(message.starts_with(expected), "{message}");
    }
    let message = panic_of(|| sequential![ZeroPad2d::new(1)].forward(&Tensor::zeros([3, 3])));
    let expected = "needs [N, C, ..] or [C, ..] with 2 spatial dimensions, got an input [3, 3]";
    assert_eq!(message, format!("ZeroPad2d in layer `0`: {expected}"));
    let message = panic_of(|| sequential![ReflectionPad1d::new(3)].forward(&Tensor::zeros([1, 3])));
    assert!(message.starts_with("pad in layer `0`: Reflect cannot add 3 before"), "{message}");
}

#[test]
fn a_padding_of_same_needs_a_stride_of_one() {
    let expected = "Conv2d: the padding `Same` needs a stride of 1, not [2, 2]";
    assert_eq!(panic_of(|| Conv2d::new(1, 1, 3).stride(2).padding(Padding::Same)), expected);
    assert_eq!(panic_of(|| Conv2d::new(1, 1, 3).padding(Padding::Same).stride(2)), expected);
    let m = sequential![Conv2d::new(1, 1, 3).padding(2).padding_mode(PaddingMode::Circular)];
    let message = panic_of(|| m.forward(&Tensor::zeros([1, 1, 1, 4])));
    assert!(message.starts_with("pad in layer `0`: Circular cannot add 2 before"), "{message}");
}

#[test]
fn pretrained_tables_are_frozen_and_keep_their_padding() {
    let weight = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], [2, 2]);
    let table = Embedding::from_pretrained(weight).padding_idx(0);
    let y = table.forward(&Tensor::from_slice(&[0i64, 1], [2]));
    assert_eq!(y.to_vec::<f32>(), [1.0, 2.0, 3.0, 4.0]);
    assert!(!y.requires_grad());
    table.unfreeze();
    table.forward(&Tensor::from_slice(&[0i64, 1, 1], [3])).sum().backward();
    assert_eq!(table.weight.grad().unwrap().to_vec::<f32>(), [0.0, 0.0, 2.0, 2.0]);
}

/// A look-up is the product of a one-hot vector and the table.
#[test]
fn an_embedding_is_a_linear_map_of_a_one_hot_vector() {
    let table = Embedding::new(1000, 3);
    let index = Tensor::from_slice(&[957i64, 0, 999], [3]);
    let product = index.one_hot(1000).to_dtype(DType::F32).matmul(&table.weight);
    assert_eq!(table.forward(&index).to_vec::<f32>(), product.to_vec::<f32>());
    assert_eq!(table.forward(&index).select(0, 0).to_vec::<f32>(), table.weight.select(0, 957).to_vec::<f32>());
    let m = sequential![table];
    let message = panic_of(|| m.forward(&Tensor::from_slice(&[1000i64], [1])));
    assert!(message.contains("in layer `0`") && message.contains("1000"), "{message}");
    assert_eq!(panic_of(|| m.forward(&Tensor::zeros([1]))), "Embedding in layer `0`: needs integer indices, got f32");
}

#[test]
fn bags_check_their_offsets() {
    let bag = EmbeddingBag::new(4, 2);
    let (all, from) = (Tensor::from_slice(&[1i64, 2, 3], [3]), |o: &[i64]| Tensor::from_slice(o, [o.len()]));
    for offsets in [&[1i64, 2][..], &[0, 2, 1], &[0, 4]] {
        let message = panic_of(|| bag.forward_with(&all, Some(&from(offsets)), None));
        assert!(message.starts_with("EmbeddingBag: offsets ascend from 0 to at most 3"), "{message}");
    }
    let message = panic_of(|| bag.forward(&all));
    assert!(message.contains("needs indices [bags, L], or [L] with offsets [bags], got an input [3]"), "{message}");
    let message = panic_of(|| bag.forward_with(&all, Some(&from(&[0])), Some(&Tensor::ones([3]))));
    assert!(message.contains("in mode Mean: sums alone take them"), "{message}");
    assert_eq!(bag.forward_with(&from(&[]), Some(&from(&[0, 0])), None).to_vec::<f32>(), [0.0; 4]);
    assert_eq!(bag.forward(&Tensor::full_of([0, 3], 0.0, DType::I64)).shape(), [0, 2]);
}

#[test]
fn layers_of_two_inputs_check_them() {
    let message = panic_of(|| Bilinear::new(2, 3, 1).forward(&Tensor::zeros([4, 2]), &Tensor::zeros([5, 3])));
    assert_eq!(message, "Bilinear: needs inputs [.., 2] and [.., 3], got [4, 2] and [5, 3]");
    let message = panic_of(|| CosineSimilarity::new().forward(&Tensor::zeros([4, 2]), &Tensor::zeros([4, 3])));
    assert_eq!(message, "CosineSimilarity: the shapes [4, 2] and [4, 3] do not broadcast");
    let message = panic_of(|| PairwiseDistance::new().forward(&Tensor::zeros([4, 2]), &Tensor::zeros([4, 3])));
    assert_eq!(message, "PairwiseDistance: the shapes [4, 2] and [4, 3] do not broadcast");
    let zero = CosineSimilarity::new().forward(&Tensor::zeros([1, 2]), &Tensor::ones([1, 2]));
    assert_eq!(zero.item(), 0.0);
}
