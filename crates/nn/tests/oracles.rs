//! The requirements' own loops for convolution and max pooling, kept as oracles: they treat one square channel without
//! padding, and on that domain the fast ones must equal them. Beside them the general rectangular definitions, and
//! what convolutions are said to be: their output sizes, receptive fields, transposes, equivariance, and the
//! parameters they save.

use gradus_nn::*;
use gradus_tensor::{ConvConfig, DType, PoolConfig, Tensor, no_grad};

/// A picture or kernel, row by row.
struct Plane {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Plane {
    /// Numbers without a pattern that a convolution could keep.
    fn new(height: usize, width: usize, seed: f64) -> Plane {
        let values = (0..height * width).map(|i| (i as f64 * 12.9898 + seed).sin() * 3.0).collect();
        Plane { height, width, values }
    }

    fn at(&self, y: usize, x: usize) -> f64 {
        self.values[y * self.width + x]
    }

    fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values, [1, 1, self.height, self.width])
    }
}

/// The notes' convolution: one channel, square, stride 1, no padding.
/// steps = n - k + 1; each output is (x * W).sum() + b over its window.
fn naive_conv(x: &Plane, w: &Plane, b: f64) -> Plane {
    assert!(x.height == x.width && w.height == w.width, "the loops are for squares");
    let steps = x.width - w.width + 1;
    let mut values = vec![0.0; steps * steps];
    for i in 0..steps {
        for j in 0..steps {
            let mut sum = 0.0;
            for p in 0..w.height {
                for q in 0..w.width {
                    sum += x.at(i + p, j + q) * w.at(p, q);
                }
            }
            values[i * steps + j] = sum + b;
        }
    }
    Plane { height: steps, width: steps, values }
}

/// The notes' max pooling: one channel, square. steps = (n - k) / s + 1, rounded down.
fn naive_max_pool(x: &Plane, k: usize, s: usize) -> Plane {
    assert_eq!(x.height, x.width, "the loops are for squares");
    let steps = (x.height - k) / s + 1;
    let mut values = vec![f64::NEG_INFINITY; steps * steps];
    for i in 0..steps {
        for j in 0..steps {
            for p in 0..k {
                for q in 0..k {
                    let v = &mut values[i * steps + j];
                    *v = v.max(x.at(i * s + p, j * s + q));
                }
            }
        }
    }
    Plane { height: steps, width: steps, values }
}

fn conv_of(w: &Plane, b: f64) -> Conv2d {
    let mut layer = Conv2d::new(1, 1, [w.height, w.width]);
    layer.to_dtype(DType::F64);
    no_grad(|| {
        layer.weight.copy_(&w.tensor());
        layer.bias.as_ref().unwrap().fill_(b);
    });
    layer
}

#[track_caller]
fn close(got: &Tensor, want: &[f64]) {
    let got = got.to_dtype(DType::F64).to_vec::<f64>();
    assert_eq!(got.len(), want.len());
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        assert!((a - b).abs() < 1e-10, "element {i}: {a} is not {b}");
    }
}

#[test]
fn convolution_equals_the_notes_loops_on_squares() {
    let mut compared = 0;
    for n in 1..=17 {
        for k in 1..=n.min(7) {
            let (x, w) = (Plane::new(n, n, 0.3), Plane::new(k, k, n as f64));
            let want = naive_conv(&x, &w, 0.7);
            let y = conv_of(&w, 0.7).forward(&x.tensor());
            assert_eq!(y.shape(), [1, 1, n - k + 1, n - k + 1]);
            close(&y, &want.values);
            compared += 1;
        }
    }
    assert_eq!(compared, 98);
}

#[test]
fn max_pooling_equals_the_notes_loops_on_squares() {
    let mut compared = 0;
    for n in 1..=15 {
        for k in 1..=n.min(5) {
            for s in 1..=4 {
                let x = Plane::new(n, n, (k + s) as f64);
                let want = naive_max_pool(&x, k, s);
                let y = MaxPool2d::new(k).stride(s).forward(&x.tensor());
                assert_eq!(y.shape(), [1, 1, (n - k) / s + 1, (n - k) / s + 1]);
                assert_eq!(y.to_vec::<f64>(), want.values);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 260);
    // MaxPool2d(2, 2) halves.
    assert_eq!(MaxPool2d::new(2).forward(&Tensor::zeros([1, 1, 28, 28])).shape(), [1, 1, 14, 14]);
}

/// What the notes' loops leave out: any numbers of examples and channels, rectangles, strides, padding, dilation,
/// groups. Written from the definition.
fn conv_by_definition(x: &Tensor, w: &Tensor, b: &[f64], c: ConvConfig<2>) -> (Vec<usize>, Vec<f64>) {
    let (n, height, width) = (x.size(0), x.size(2), x.size(3));
    let (out, per_group, kh, kw) = (w.size(0), w.size(1), w.size(2), w.size(3));
    let size = |n: usize, k: usize, d: usize| (n + 2 * c.padding[d] - c.dilation[d] * (k - 1) - 1) / c.stride[d] + 1;
    let (oh, ow) = (size(height, kh, 0), size(width, kw, 1));
    let mut values = Vec::new();
    for image in 0..n {
        for o in 0..out {
            let first = o / (out / c.groups) * per_group;
            for i in 0..oh {
                for j in 0..ow {
                    let mut sum = b[o];
                    for (ch, p, q) in (0..per_group).flat_map(|ch| (0..kh * kw).map(move |t| (ch, t / kw, t % kw))) {
                        let y = (i * c.stride[0] + p * c.dilation[0]).wrapping_sub(c.padding[0]);
                        let z = (j * c.stride[1] + q * c.dilation[1]).wrapping_sub(c.padding[1]);
                        if y < height && z < width {
                            sum += x.at(&[image, first + ch, y, z]) * w.at(&[o, ch, p, q]);
                        }
                    }
                    values.push(sum);
                }
            }
        }
    }
    (vec![n, out, oh, ow], values)
}

#[test]
fn convolution_equals_its_definition_on_rectangles() {
    let settings = [
        ([1, 1, 5, 8], [1, 1, 2, 3], ConvConfig::default()),
        ([2, 3, 4, 7], [4, 3, 3, 1], ConvConfig::default().stride([2, 3])),
        ([1, 4, 6, 5], [4, 2, 3, 2], ConvConfig::default().groups(2).padding([1, 2])),
        ([3, 2, 7, 9], [2, 1, 3, 2], ConvConfig::default().groups(2).dilation([2, 3]).stride([1, 2])),
        ([1, 3, 1, 6], [5, 3, 1, 4], ConvConfig::default().padding([1, 1]).stride([2, 1])),
    ];
    for (input, kernel, c) in settings {
        let wave = |shape: [usize; 4], seed: f64| {
            let plane = Plane::new(shape.iter().product(), 1, seed);
            Tensor::from_vec(plane.values, shape)
        };
        let (x, w) = (wave(input, 0.1), wave(kernel, 0.9));
        let b: Vec<f64> = (0..kernel[0]).map(|i| i as f64 - 0.5).collect();
        let (shape, want) = conv_by_definition(&x, &w, &b, c);
        let y = x.conv2d(&w, Some(&Tensor::from_slice(&b, [b.len()])), c);
        assert_eq!(y.shape().to_vec(), shape);
        close(&y, &want);
    }
}

/// floor((n + 2p - d(k - 1) - 1) / s) + 1. The notes write (n - k + padding + stride) / stride, where the padding is
/// that of both sides together and nothing is left over: there the two agree.
#[test]
fn output_sizes() {
    let (mut agree, mut rounded) = (0, 0);
    for n in [5, 6, 11, 28, 32] {
        for (k, s, p, d) in [(3, 1, 1, 1), (3, 2, 1, 1), (5, 1, 2, 1), (2, 2, 0, 1), (7, 2, 3, 1), (4, 3, 2, 1)] {
            let out = (n + 2 * p - d * (k - 1) - 1) / s + 1;
            let layer = Conv1d::new(1, 1, k).stride(s).padding(p).dilation(d);
            let x = Tensor::zeros([1, 1, n]);
            if n + 2 * p < k {
                continue;
            }
            assert_eq!(layer.forward(&x).size(2), out, "n {n} k {k} s {s} p {p}");
            if p <= k / 2 {
                let pool = x.max_pool1d(PoolConfig::new([k]).stride([s]).padding([p]));
                assert_eq!(pool.size(2), out);
            }
            // The notes' formula has no floor: it gives a whole number just where nothing is left over.
            let notes = (n as f64 - k as f64 + (2 * p) as f64 + s as f64) / s as f64;
            if (n + 2 * p - k) % s == 0 {
                assert_eq!(notes, out as f64);
                agree += 1;
            } else {
                assert!(notes > out as f64 && notes.floor() == out as f64);
                rounded += 1;
            }
        }
    }
    assert!(agree >= 10 && rounded >= 5, "{agree} {rounded}");
    // The table: stride 1 and padding (k - 1) / 2 keep the size, stride 2 gives half of it, rounded up.
    let size = |k, s, n| Conv1d::new(1, 1, k).stride(s).padding((k - 1) / 2).forward(&Tensor::zeros([1, 1, n])).size(2);
    assert_eq!([28, 27].map(|n| size(3, 1, n)), [28, 27]);
    assert_eq!([28, 27].map(|n| size(3, 2, n)), [14, 14]);
    assert_eq!([28, 27].map(|n| size(5, 2, n)), [14, 14]);
    for d in 1..4 {
        let layer = Conv1d::new(1, 1, 3).dilation(d).padding(d);
        assert_eq!(layer.forward(&Tensor::zeros([1, 1, 20])).size(2), 20, "dilation does not downsample");
    }
}

/// The inputs along a line that one output depends on: first, last, and how many.
fn field(layers: &Sequential, n: usize) -> (usize, usize, usize) {
    let x = Tensor::ones([1, 1, n]).requires_grad_(true);
    let y = layers.forward(&x);
    y.select(2, y.size(2) / 2).sum().backward();
    let seen: Vec<usize> =
        x.grad().unwrap().to_vec::<f32>().iter().enumerate().filter(|(_, g)| **g != 0.0).map(|(i, _)| i).collect();
    (seen[0], seen[seen.len() - 1], seen.len())
}

/// An output sees a span of d(k - 1) + 1 inputs, of which it uses k.
#[test]
fn dilated_receptive_fields() {
    let ones = |k: usize, d: usize| {
        let layer = Conv1d::new(1, 1, k).dilation(d).padding(d * (k - 1) / 2).bias(false);
        no_grad(|| layer.weight.fill_(1.0));
        layer
    };
    for k in [1, 2, 3, 5] {
        for d in [1, 2, 3, 4] {
            let (first, last, used) = field(&sequential![ones(k, d)], 41);
            assert_eq!((last - first + 1, used), (d * (k - 1) + 1, k), "k {k} d {d}");
        }
    }
    // Three layers of kernel 3: with dilations 1, 2, 4 the span doubles with every layer, at the same cost.
    let (first, last, used) = field(&sequential![ones(3, 1), ones(3, 2), ones(3, 4)], 41);
    assert_eq!((last - first + 1, used), (15, 15));
    let (first, last, _) = field(&sequential![ones(3, 1), ones(3, 1), ones(3, 1)], 41);
    assert_eq!(last - first + 1, 7);
}

/// A transposed convolution three ways: the layer, the kernel painted wherever there is an input, and zeros put in
/// between and a convolution by the flipped kernel.
#[test]
fn a_transposed_convolution_paints_and_is_a_convolution_of_spread_inputs() {
    for (n, k, s, p, output_padding) in
        [(4, 3, 1, 0, 0), (4, 3, 2, 1, 1), (3, 2, 2, 0, 0), (5, 4, 3, 2, 2), (1, 3, 2, 1, 0), (4, 1, 3, 0, 1)]
    {
        let (x, w) = (Plane::new(n, n, 0.2), Plane::new(k, k, 1.1));
        let mut layer = ConvTranspose2d::new(1, 1, k).stride(s).padding(p).output_padding(output_padding).bias(false);
        layer.to_dtype(DType::F64);
        no_grad(|| layer.weight.copy_(&w.tensor()));
        let y = layer.forward(&x.tensor());
        let size = (n - 1) * s + k + output_padding - 2 * p;
        assert_eq!(y.shape(), [1, 1, size, size]);
        // Each input paints the kernel into a canvas without padding, where kernels overlap they add up.
        let canvas = size + 2 * p;
        let mut painted = vec![0.0; canvas * canvas];
        for (i, j) in (0..n * n).map(|t| (t / n, t % n)) {
            for (a, b) in (0..k * k).map(|t| (t / k, t % k)) {
                painted[(i * s + a) * canvas + j * s + b] += x.at(i, j) * w.at(a, b);
            }
        }
        let cut: Vec<f64> = (0..size * size).map(|t| painted[(t / size + p) * canvas + t % size + p]).collect();
        close(&y, &cut);
        // s - 1 zeros between the inputs, k - 1 around, and the flipped kernel.
        let (spread, around) = ((n - 1) * s + 1, k - 1);
        let side = spread + 2 * around + output_padding;
        let mut zeros = vec![0.0; side * side];
        for (i, j) in (0..n * n).map(|t| (t / n, t % n)) {
            zeros[(i * s + around) * side + j * s + around] = x.at(i, j);
        }
        let zeros = Tensor::from_vec(zeros, [1, 1, side, side]);
        let convolved = zeros.conv2d(&w.tensor().flip([2, 3]), None, ConvConfig::default());
        close(&convolved.narrow(2, p, size).narrow(3, p, size), &cut);
        // And the adjoint: <conv(a), x> = <a, transposed(x)>.
        let a = Plane::new(size, size, 2.2).tensor();
        let down = a.conv2d(&w.tensor(), None, ConvConfig::default().stride([s, s]).padding([p, p]));
        let (left, right) = ((down * x.tensor()).sum().item_f64(), (a * &y).sum().item_f64());
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }
}

/// Shift in, shift out: a convolution is translation equivariant. It is not invariant; pooling is, a little.
#[test]
fn convolution_is_translation_equivariant() {
    let layer = Conv2d::new(1, 4, 3).padding(1);
    let inside = Tensor::rand([1, 1, 4, 4]).pad(&[(4, 4), (4, 4)], gradus_tensor::PadMode::Constant(0.0));
    let y = layer.forward(&inside);
    for (dy, dx) in [(1, 0), (0, 2), (-1, 2), (2, -2)] {
        let shifted = layer.forward(&inside.roll(dy, 2).roll(dx, 3));
        assert!((&shifted - y.roll(dy, 2).roll(dx, 3)).abs().max().item() < 1e-6, "shift by {dy}, {dx}");
        assert!((&shifted - &y).abs().max().item() > 1e-2, "the output stays where it was");
    }
    // With circular padding this holds for any picture and any shift.
    let ring = Conv2d::new(1, 2, 3).padding(1).padding_mode(PaddingMode::Circular);
    let x = Tensor::randn([1, 1, 6, 5]);
    let moved = ring.forward(&x.roll(4, 2).roll(3, 3));
    assert!((moved - ring.forward(&x).roll(4, 2).roll(3, 3)).abs().max().item() < 1e-6);
    // A stride keeps it for shifts by whole strides only.
    let strided = Conv2d::new(1, 1, 2).stride(2);
    let x = Tensor::randn([1, 1, 8, 8]);
    let by = |k: isize| strided.forward(&x.roll(k, 3));
    assert!((by(2) - by(0).roll(1, 3)).abs().max().item() < 1e-6);
    assert!((by(1) - by(0)).abs().max().item() > 1e-2);
    // A maximum does not notice where in its window it lies.
    let dot = |x: usize| Tensor::from_vec((0..4).map(|i| f32::from(i == x)).collect::<Vec<_>>(), [1, 1, 4]);
    let pool = MaxPool1d::new(2);
    assert_eq!(pool.forward(&dot(0)).to_vec::<f32>(), pool.forward(&dot(1)).to_vec::<f32>());
    assert_ne!(pool.forward(&dot(1)).to_vec::<f32>(), pool.forward(&dot(2)).to_vec::<f32>());
}

/// A convolution is a linear layer with most weights zero and the others shared: the numbers of both.
#[test]
fn sparse_connections_and_shared_weights() {
    let (n, k) = (28, 5);
    let out = n - k + 1;
    let (sparse, dense) = (Conv2d::new(1, 1, k), Linear::new(n * n, out * out));
    assert_eq!(sparse.num_parameters(), k * k + 1);
    assert_eq!(dense.num_parameters(), n * n * out * out + out * out);
    // Written out as a matrix: each output sees k^2 inputs, all rows hold the same k^2 numbers.
    let (n, k) = (6, 3);
    let out = n - k + 1;
    let layer = Conv2d::new(1, 1, k).bias(false);
    let basis = Tensor::eye(n * n).reshape([n * n, 1, n, n]);
    let matrix = layer.forward(&basis).reshape([n * n, out * out]).t();
    let mut kernel = layer.weight.to_vec::<f32>();
    kernel.sort_by(f32::total_cmp);
    for row in matrix.unbind(0) {
        let mut seen: Vec<f32> = row.to_vec::<f32>().into_iter().filter(|v| *v != 0.0).collect();
        assert_eq!(seen.len(), k * k);
        seen.sort_by(f32::total_cmp);
        assert_eq!(seen, kernel);
    }
    // Without sharing there would be k^2 weights for each output, without sparsity n^2.
    let (shared, local, full) = (k * k, out * out * k * k, n * n * out * out);
    assert_eq!((shared, local, full), (9, 144, 576));
    assert_eq!(Linear::new(n * n, out * out).bias(false).num_parameters(), full);
    // The same layer takes any picture.
    assert_eq!(layer.forward(&Tensor::zeros([1, 1, 9, 40])).shape(), [1, 1, 7, 38]);
}
