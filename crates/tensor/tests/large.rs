//! Sizes at which blocking, vector tails and threads come into play, against plain loops in double precision; and
//! the promise that the number of threads changes no bit.

use gradus_tensor::autograd::{GradOptions, grad};
use gradus_tensor::{ConvConfig, DType, Tensor, set_threads, threads};

/// Uneven numbers in -1..1, the same on every run.
fn noise(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    Tensor::from_vec((0..shape.iter().product()).map(|_| next()).collect::<Vec<f32>>(), shape)
}

fn double(t: &Tensor) -> Vec<f64> {
    t.detach().to_dtype(DType::F64).to_vec::<f64>()
}

/// Compares f32 with doubles: `terms` is how many products were added up.
fn assert_close(got: &Tensor, want: &[f64], terms: usize, what: &str) {
    let got = double(got);
    assert_eq!(got.len(), want.len(), "{what}");
    let tolerance = 2e-6 * (terms as f64).sqrt().max(1.0) + 1e-6;
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "{what}, element {i}: {g} instead of {w}");
    }
}

fn naive_matmul(a: &Tensor, b: &Tensor) -> Vec<f64> {
    let (m, k, n) = (a.size(0), a.size(1), b.size(1));
    let (a, b) = (double(a), double(b));
    let mut out = vec![0.0; m * n];
    for i in 0..m {
        for l in 0..k {
            let factor = a[i * k + l];
            let row = &b[l * n..][..n];
            out[i * n..][..n].iter_mut().zip(row).for_each(|(o, b)| *o += factor * b);
        }
    }
    out
}

#[test]
fn products_of_many_shapes_and_layouts() {
    let shapes = [
        (1, 1000, 1),
        (1, 300, 257),
        (257, 300, 1),
        (64, 784, 128),
        (65, 131, 67),
        (300, 40, 310),
        (7, 3, 500),
        (513, 2, 3),
        (33, 1025, 17),
    ];
    for (m, k, n) in shapes {
        let (a, b) = (noise(&[m, k], 1), noise(&[k, n], 2));
        let want = naive_matmul(&a, &b);
        let turned = |t: &Tensor| t.t().contiguous().t();
        let wide = |t: &Tensor| Tensor::cat(&[t, &noise(&[t.size(0), 5], 3)], 1).narrow(1, 0, t.size(1));
        for (name, a, b) in [
            ("plain", a.clone(), b.clone()),
            ("turned left", turned(&a), b.clone()),
            ("turned right", a.clone(), turned(&b)),
            ("both turned", turned(&a), turned(&b)),
            ("wide", wide(&a), wide(&b)),
        ] {
            assert_close(&a.matmul(&b), &want, k, &format!("{name} {m} x {k} x {n}"));
        }
        let bias = noise(&[n], 4);
        let shifted: Vec<f64> = want.iter().zip(double(&bias).iter().cycle()).map(|(v, b)| v + b).collect();
        assert_close(&a.linear(&b.t(), Some(&bias)), &shifted, k, &format!("linear {m} x {k} x {n}"));
    }
}

struct Conv {
    x: [usize; 4],
    w: [usize; 4],
    config: ConvConfig<2>,
}

fn convolutions() -> Vec<Conv> {
    let c = ConvConfig::default;
    vec![
        Conv { x: [4, 1, 28, 28], w: [32, 1, 3, 3], config: c().padding([1, 1]) },
        Conv { x: [2, 32, 14, 14], w: [64, 32, 3, 3], config: c().padding([1, 1]) },
        Conv { x: [2, 48, 17, 13], w: [40, 48, 3, 3], config: c() },
        Conv { x: [2, 64, 9, 11], w: [33, 64, 1, 1], config: c() },
        Conv { x: [3, 16, 16, 16], w: [24, 16, 1, 1], config: c().stride([2, 2]) },
        Conv { x: [2, 17, 15, 15], w: [19, 17, 3, 3], config: c().stride([2, 2]).padding([1, 1]) },
        Conv { x: [2, 3, 33, 33], w: [16, 3, 7, 7], config: c().stride([2, 2]).padding([3, 3]) },
        Conv { x: [2, 24, 12, 12], w: [24, 1, 3, 3], config: c().padding([1, 1]).groups(24) },
        Conv { x: [2, 24, 12, 12], w: [48, 1, 5, 5], config: c().padding([2, 2]).groups(24).stride([2, 1]) },
        Conv { x: [2, 32, 10, 10], w: [32, 8, 3, 3], config: c().padding([1, 1]).groups(4) },
        Conv { x: [2, 16, 20, 20], w: [16, 16, 3, 3], config: c().padding([2, 4]).dilation([2, 4]) },
        Conv { x: [1, 8, 5, 64], w: [8, 8, 1, 5], config: c().padding([0, 2]) },
    ]
}

/// The cross-correlation written out.
fn naive_conv(x: &Tensor, w: &Tensor, c: &ConvConfig<2>) -> (Vec<usize>, Vec<f64>) {
    let (xs, ws) = (x.shape(), w.shape());
    let out = |d: usize| (xs[d + 2] + 2 * c.padding[d] - c.dilation[d] * (ws[d + 2] - 1) - 1) / c.stride[d] + 1;
    let (oh, ow) = (out(0), out(1));
    let (x, w) = (double(x), double(w));
    let per_group = ws[0] / c.groups;
    let mut y = vec![0.0; xs[0] * ws[0] * oh * ow];
    for (at, y) in y.iter_mut().enumerate() {
        let (n, o, i, j) = (at / (ws[0] * oh * ow), at / (oh * ow) % ws[0], at / ow % oh, at % ow);
        for ci in 0..ws[1] {
            let plane = (n * xs[1] + o / per_group * ws[1] + ci) * xs[2];
            for ki in 0..ws[2] {
                let row = (i * c.stride[0] + ki * c.dilation[0]).wrapping_sub(c.padding[0]);
                for kj in 0..ws[3] {
                    let col = (j * c.stride[1] + kj * c.dilation[1]).wrapping_sub(c.padding[1]);
                    if row < xs[2] && col < xs[3] {
                        *y += x[(plane + row) * xs[3] + col] * w[((o * ws[1] + ci) * ws[2] + ki) * ws[3] + kj];
                    }
                }
            }
        }
    }
    (vec![xs[0], ws[0], oh, ow], y)
}

/// The gradients of <conv(x, w), g> are right where their products with x and w are: the convolution is linear in both.
/// A probe that is not x itself tells apart gradients that only have the right product with x.
#[test]
fn convolutions_of_many_shapes() {
    for Conv { x, w, config } in convolutions() {
        let what = format!("{x:?} with {w:?}, {config:?}");
        let terms = w[1] * w[2] * w[3];
        let (tx, tw) = (noise(&x, 5).requires_grad_(true), noise(&w, 6).requires_grad_(true));
        let bias = noise(&[w[0]], 7);
        let (shape, mut want) = naive_conv(&tx, &tw, &config);
        let y = tx.conv2d(&tw, None, config);
        assert_eq!(&y.shape()[..], &shape[..], "{what}");
        assert_close(&y, &want, terms, &what);

        let g = noise(&shape, 8);
        let found = grad(&[&(&y * &g).sum()], &[&tx, &tw], GradOptions::default());
        let dot = |a: &Tensor, b: &[f64]| double(a).iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (px, pw) = (noise(&x, 9), noise(&w, 10));
        for (name, got, want) in [
            ("input", dot(&found[0], &double(&px)), dot(&g, &naive_conv(&px, &tw, &config).1)),
            ("weight", dot(&found[1], &double(&pw)), dot(&g, &naive_conv(&tx, &pw, &config).1)),
        ] {
            assert!(
                (got - want).abs() < 1e-4 * want.abs().max(100.0),
                "{what}, gradient of the {name}: {got} and {want}"
            );
        }

        let area = shape[2] * shape[3];
        let b = double(&bias);
        want.iter_mut().enumerate().for_each(|(i, v)| *v += b[i / area % w[0]]);
        assert_close(&tx.conv2d(&tw, Some(&bias), config), &want, terms, &format!("{what} with a bias"));
        let last = tx.detach().permute(&[0, 2, 3, 1]).contiguous().permute(&[0, 3, 1, 2]);
        assert_close(&last.conv2d(&tw, Some(&bias), config), &want, terms, &format!("{what}, channels last"));
    }
}

#[test]
fn long_rows_reduce_accurately() {
    for shape in [vec![3, 100_003], vec![100_003, 3], vec![17, 65, 129]] {
        let x = noise(&shape, 11);
        let v = double(&x);
        assert_close(&x.sum(), &[v.iter().sum()], v.len(), "sum");
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let var = v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (v.len() - 1) as f64;
        assert_close(&x.var(1), &[var], 1, "var");
        let rows = v.chunks(*shape.last().unwrap());
        assert_close(
            &x.sum_dim(-1, false),
            &rows.clone().map(|r| r.iter().sum()).collect::<Vec<f64>>(),
            shape[1],
            "sum of rows",
        );
        let softmax = |r: &[f64]| {
            let total: f64 = r.iter().map(|v| v.exp()).sum();
            r.iter().map(|v| v.exp() / total).collect::<Vec<f64>>()
        };
        assert_close(&x.softmax(-1), &rows.clone().flat_map(softmax).collect::<Vec<f64>>(), 1, "softmax");
        let inner: usize = shape[1..].iter().product();
        let mut columns = vec![0.0; inner];
        v.iter().enumerate().for_each(|(i, v)| columns[i % inner] += v);
        assert_close(&x.sum_dim(0, false), &columns, shape[0], "sum of columns");
    }
}

/// Everything a training step does, on one thread and on several.
fn step() -> Vec<Vec<f32>> {
    let (x, w) = (noise(&[16, 3, 32, 32], 12).requires_grad_(true), noise(&[24, 3, 3, 3], 13).requires_grad_(true));
    let (a, b) = (noise(&[24 * 256, 100], 14).requires_grad_(true), noise(&[100], 15).requires_grad_(true));
    let h = x.conv2d(&w, None, ConvConfig::default().padding([1, 1]).stride([2, 2])).relu();
    let mean = h.mean_dim([0, 2, 3], true);
    let y = ((&h - mean).flatten(1, -1) * 0.01).linear(&a.t(), Some(&b)).tanh();
    let loss = -y.log_softmax(1).mean() + h.exp().sum_dim([2, 3], false).log().mean() + y.cumsum(0).std(1);
    let mut out = grad(&[&loss], &[&x, &w, &a, &b], GradOptions::default());
    out.extend([loss, y, h]);
    out.iter().map(|t| t.to_vec::<f32>()).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let before = threads();
    let results: Vec<_> = [1, 2, 3, 7]
        .into_iter()
        .map(|n| {
            set_threads(n);
            step()
        })
        .collect();
    set_threads(before);
    for (i, r) in results.iter().enumerate().skip(1) {
        for (k, (a, b)) in results[0].iter().zip(r).enumerate() {
            let differ = a.iter().zip(b).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
            assert_eq!(differ, 0, "run {i}, tensor {k}: {differ} of {} elements", a.len());
        }
    }
}
