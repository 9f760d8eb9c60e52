//! Views and broadcasting against a naive model, on random shapes and chains of steps.
//!
//! The model of a view is the list of the source elements it shows, in row-major order. From it follow the values,
//! and the gradient: a source element receives the sum of what arrives at its appearances.

use gradus_tensor::Tensor;
use proptest::prelude::*;

/// A view as the list of source elements it shows.
#[derive(Clone, Debug)]
struct Model {
    shape: Vec<usize>,
    source: Vec<usize>,
}

/// The indices of a shape in row-major order.
fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
    let mut out = vec![vec![]];
    for &n in shape {
        out = out.iter().flat_map(|i| (0..n).map(move |j| [&i[..], &[j]].concat())).collect();
    }
    out
}

fn offset(shape: &[usize], index: &[usize]) -> usize {
    shape.iter().zip(index).fold(0, |at, (n, i)| at * n + i)
}

impl Model {
    fn new(shape: &[usize]) -> Model {
        Model { shape: shape.to_vec(), source: (0..shape.iter().product()).collect() }
    }

    /// A view of `shape` whose element at an index is this one's at `f(index)`.
    fn map(&self, shape: Vec<usize>, f: impl Fn(&[usize]) -> Vec<usize>) -> Model {
        let source = indices(&shape).iter().map(|i| self.source[offset(&self.shape, &f(i))]).collect();
        Model { shape, source }
    }
}

/// One random step: an opcode and numbers that are taken modulo what is possible.
type Step = (u8, usize, usize, usize);

/// Applies a step to the tensor and to the model, or leaves both where it does not apply.
fn apply(t: &Tensor, m: &Model, (op, a, b, c): Step) -> (Tensor, Model) {
    let rank = m.shape.len();
    if rank == 0 || op % 9 == 0 {
        return if rank < 5 { unsqueeze(t, m, a % (rank + 1)) } else { (t.clone(), m.clone()) };
    }
    let dim = a % rank;
    let n = m.shape[dim];
    match op % 9 {
        1 => transpose(t, m, dim, b % rank),
        2 => slice(t, m, dim, b % (n + 1), c),
        3 if n == 1 => expand(t, m, dim, b % 4),
        4 => reshape(t, m, b),
        5 if n > 0 => {
            let at = b % n;
            let shape = [&m.shape[..dim], &m.shape[dim + 1..]].concat();
            (t.select(dim as isize, at), m.map(shape, |i| [&i[..dim], &[at], &i[dim..]].concat()))
        }
        6 if n == 1 => {
            let shape = [&m.shape[..dim], &m.shape[dim + 1..]].concat();
            (t.squeeze(dim as isize), m.map(shape, |i| [&i[..dim], &[0], &i[dim..]].concat()))
        }
        7 => {
            let order: Vec<usize> = (0..rank).map(|i| (i + a) % rank).collect();
            let signed: Vec<isize> = order.iter().map(|&d| d as isize).collect();
            let shape = order.iter().map(|&d| m.shape[d]).collect();
            let place = |i: &[usize]| (0..rank).map(|d| i[order.iter().position(|&o| o == d).unwrap()]).collect();
            (t.permute(&signed), m.map(shape, place))
        }
        8 if n > 0 => window(t, m, dim, 1 + b % n, 1 + c % 3),
        _ => (t.clone(), m.clone()),
    }
}

fn unsqueeze(t: &Tensor, m: &Model, at: usize) -> (Tensor, Model) {
    let shape = [&m.shape[..at], &[1], &m.shape[at..]].concat();
    (t.unsqueeze(at as isize), m.map(shape, |i| [&i[..at], &i[at + 1..]].concat()))
}

fn transpose(t: &Tensor, m: &Model, a: usize, b: usize) -> (Tensor, Model) {
    let mut shape = m.shape.clone();
    shape.swap(a, b);
    let swapped = |i: &[usize]| {
        let mut i = i.to_vec();
        i.swap(a, b);
        i
    };
    (t.transpose(a as isize, b as isize), m.map(shape, swapped))
}

fn slice(t: &Tensor, m: &Model, dim: usize, start: usize, c: usize) -> (Tensor, Model) {
    let n = m.shape[dim];
    let end = start + c % (n - start + 1);
    let step = 1 + c % 3;
    let mut shape = m.shape.clone();
    shape[dim] = (end - start).div_ceil(step);
    let place = |i: &[usize]| {
        let mut i = i.to_vec();
        i[dim] = start + i[dim] * step;
        i
    };
    let view = match step {
        1 => t.narrow(dim as isize, start, end - start),
        _ => t.slice(dim as isize, start, end, step),
    };
    (view, m.map(shape, place))
}

fn expand(t: &Tensor, m: &Model, dim: usize, to: usize) -> (Tensor, Model) {
    let mut shape = m.shape.clone();
    shape[dim] = to;
    let place = |i: &[usize]| {
        let mut i = i.to_vec();
        i[dim] = 0;
        i
    };
    (t.expand(&shape), m.map(shape, place))
}

fn reshape(t: &Tensor, m: &Model, b: usize) -> (Tensor, Model) {
    let n: usize = m.shape.iter().product();
    let divisors: Vec<usize> = (1..=n).filter(|&d| n.is_multiple_of(d)).collect();
    let first = *divisors.get(b % divisors.len().max(1)).unwrap_or(&1);
    let shape = vec![first, n / first];
    (t.reshape(&shape), Model { shape, source: m.source.clone() })
}

fn window(t: &Tensor, m: &Model, dim: usize, size: usize, step: usize) -> (Tensor, Model) {
    if m.shape.len() > 5 {
        return (t.clone(), m.clone());
    }
    let mut shape = m.shape.clone();
    shape[dim] = (m.shape[dim] - size) / step + 1;
    shape.push(size);
    let place = |i: &[usize]| {
        let (&inside, i) = i.split_last().unwrap();
        let mut i = i.to_vec();
        i[dim] = i[dim] * step + inside;
        i
    };
    (t.unfold(dim as isize, size, step), m.map(shape, place))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0u8..9, 0usize..64, 0usize..64, 0usize..64), 1..7)
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![8 => 1usize..5, 1 => Just(0usize)], 0..4)
}

/// A shape and two that broadcast to it.
fn broadcastable() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, Vec<usize>)> {
    let dims = prop::collection::vec((prop_oneof![8 => 1usize..4, 1 => Just(0usize)], 0u8..4), 0..4);
    (dims, 0usize..4, any::<bool>()).prop_map(|(dims, drop, swap)| {
        let pick = |one: u8| dims.iter().map(|&(n, which)| if which == one { 1 } else { n }).collect::<Vec<_>>();
        let full: Vec<usize> = dims.iter().map(|&(n, _)| n).collect();
        let (a, b) = (pick(0), pick(1));
        let b = b[drop.min(b.len())..].to_vec();
        let reached = (0..full.len()).map(|i| {
            let from_b = (i + b.len()).checked_sub(full.len()).map_or(1, |j| b[j]);
            if a[i] == 1 { from_b } else { a[i] }
        });
        let reached = reached.collect();
        if swap { (reached, b, a) } else { (reached, a, b) }
    })
}

fn numbered(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n).map(|i| i as f64 * 0.5 + 1.0).collect::<Vec<f64>>(), shape)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chains_of_views_show_the_elements_of_the_model(shape in shape(), steps in steps()) {
        let x = numbered(&shape).requires_grad_(true);
        let (mut t, mut m) = (x.clone(), Model::new(&shape));
        for s in steps {
            (t, m) = apply(&t, &m, s);
        }
        prop_assert_eq!(&t.shape()[..], &m.shape[..]);
        let base = x.to_vec::<f64>();
        let want: Vec<f64> = m.source.iter().map(|&i| base[i]).collect();
        prop_assert_eq!(t.to_vec::<f64>(), want.clone());
        prop_assert_eq!(t.contiguous().to_vec::<f64>(), want.clone());
        prop_assert_eq!((&t * 2.0).to_vec::<f64>(), want.iter().map(|v| v * 2.0).collect::<Vec<_>>());
        for (i, w) in indices(&m.shape).iter().zip(&want) {
            prop_assert_eq!(t.at(i), *w);
        }
        let w = numbered(&m.shape);
        (&t * &w).sum().backward();
        let mut gradient = vec![0.0; base.len()];
        for (&i, w) in m.source.iter().zip(w.to_vec::<f64>()) {
            gradient[i] += w;
        }
        prop_assert_eq!(x.grad().unwrap().to_vec::<f64>(), gradient);
    }

    #[test]
    fn broadcasting_repeats_along_missing_and_single_dimensions((full, a, b) in broadcastable()) {
        let (x, y) = (numbered(&a).requires_grad_(true), (numbered(&b) + 0.25).requires_grad_(true));
        let z = &x * &y;
        prop_assert_eq!(&z.shape()[..], &full[..]);
        let place = |shape: &[usize], index: &[usize]| {
            let tail = &index[index.len() - shape.len()..];
            let own: Vec<usize> = tail.iter().zip(shape).map(|(&i, &n)| if n == 1 { 0 } else { i }).collect();
            offset(shape, &own)
        };
        let (xs, ys) = (x.to_vec::<f64>(), y.to_vec::<f64>());
        let (mut gx, mut gy) = (vec![0.0; xs.len()], vec![0.0; ys.len()]);
        let mut want = vec![];
        for i in indices(&full) {
            let (p, q) = (place(&a, &i), place(&b, &i));
            want.push(xs[p] * ys[q]);
            gx[p] += ys[q];
            gy[q] += xs[p];
        }
        prop_assert_eq!(z.to_vec::<f64>(), want);
        z.sum().backward();
        prop_assert_eq!(x.grad().unwrap().to_vec::<f64>(), gx);
        prop_assert_eq!(y.grad().unwrap().to_vec::<f64>(), gy);
    }

    /// Multiplying and summing is a matrix product only after broadcasting to (m, k, n).
    #[test]
    fn multiply_and_sum_equals_mm_after_broadcasting(m in 0usize..6, k in 0usize..6, n in 0usize..6) {
        let (a, b) = (numbered(&[m, k]), numbered(&[k, n]));
        let long = (a.unsqueeze(2) * b.unsqueeze(0)).sum_dim(1, false);
        prop_assert_eq!(long.shape(), a.mm(&b).shape());
        prop_assert_eq!(long.to_vec::<f64>(), a.mm(&b).to_vec::<f64>());
    }

    /// Pictures as (width, height, channels) or (samples, time, width, height, channels) and back.
    #[test]
    fn axis_orders_convert_without_loss(w in 1usize..5, h in 1usize..5, c in 1usize..4, t in 1usize..3) {
        let whc = numbered(&[w, h, c]);
        let chw = whc.permute(&[2, 1, 0]);
        prop_assert_eq!(&chw.shape()[..], &[c, h, w][..]);
        prop_assert_eq!(chw.at(&[c - 1, 0, w - 1]), whc.at(&[w - 1, 0, c - 1]));
        prop_assert_eq!(chw.contiguous().permute(&[2, 1, 0]).to_vec::<f64>(), whc.to_vec::<f64>());
        let film = numbered(&[2, t, w, h, c]);
        let time_major = film.permute(&[1, 0, 4, 3, 2]);
        prop_assert_eq!(time_major.at(&[t - 1, 1, c - 1, h - 1, 0]), film.at(&[1, t - 1, 0, h - 1, c - 1]));
    }
}

#[test]
fn multiply_and_sum_without_broadcasting_is_no_matrix_product() {
    let a = numbered(&[2, 2]);
    assert_ne!((&a * &a).sum_dim(1, false).sum().item(), a.mm(&a).sum().item());
    let row = numbered(&[4]);
    assert_eq!((&row * &row).sum().item(), row.dot(&row).item());
}

/// `view` shares the elements and refuses where it cannot; `reshape` shares where it can and copies otherwise.
#[test]
fn views_share_their_elements() {
    let x = numbered(&[2, 3, 4]);
    for v in [
        x.view([6, 4]),
        x.view([-1, 12]),
        x.reshape([24]),
        x.transpose(-1, -2),
        x.narrow(1, 1, 2),
        x.select(0, 1),
        x.expand([5, 2, 3, 4]),
    ] {
        assert!(v.shares_storage(&x), "{}", v.shape());
    }
    let turned = x.transpose(0, 2);
    assert!(!turned.reshape([24]).shares_storage(&x));
    assert!(turned.reshape([4, 3, 2, 1]).shares_storage(&x));
    assert!(std::panic::catch_unwind(|| turned.view([24])).is_err());
    x.select(0, 1).fill_(7.0);
    assert_eq!(x.at(&[1, 2, 3]), 7.0);
    assert_eq!(x.at(&[0, 2, 3]), 6.5);
}

/// Shape mistakes name the operation, both shapes and the dimension.
#[test]
fn shape_mistakes_say_what_is_wrong() {
    let (a, b) = (numbered(&[2, 3]), numbered(&[4, 3]));
    type Mistake<'a> = (&'a str, &'a dyn Fn(), &'a [&'a str]);
    let cases: [Mistake; 8] = [
        ("add", &|| drop(&a + &b), &["add", "[2, 3]", "[4, 3]"]),
        ("mm", &|| drop(a.mm(&b)), &["matmul", "[2, 3]", "[4, 3]"]),
        ("matmul", &|| drop(a.matmul(&b)), &["matmul", "[2, 3]", "[4, 3]"]),
        ("reshape", &|| drop(a.reshape([4, 2])), &["reshape", "[2, 3]", "[4, 2]"]),
        ("narrow", &|| drop(a.narrow(1, 2, 2)), &["narrow", "1", "3"]),
        ("transpose", &|| drop(a.transpose(0, 2)), &["transpose", "2"]),
        ("cat", &|| drop(Tensor::cat(&[&a, &b], 1)), &["cat", "[2, 3]", "[4, 3]"]),
        ("expand", &|| drop(a.expand([2, 4])), &["expand", "[2, 3]", "[2, 4]"]),
    ];
    for (name, f, parts) in cases {
        let e = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).expect_err(name);
        let text = e.downcast_ref::<String>().expect("a message");
        assert!(parts.iter().all(|p| text.contains(p)), "{name}: {text}");
    }
}
