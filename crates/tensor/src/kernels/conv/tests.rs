use super::*;
use crate::kernels::finish::Finish;
use crate::kernels::par;

/// Calls `f(output index, input index, weight index)` for every product of the convolution.
pub(super) fn products(s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let [iz, iy, ix] = s.input;
    let [kz, ky, kx] = s.kernel;
    let [oz, oy, ox] = s.output;
    let at = |o: usize, t: usize, i: usize| {
        (o * s.stride[i] + t * s.dilation[i]).checked_sub(s.padding[i]).filter(|&p| p < s.input[i])
    };
    for n in 0..s.n {
        for o in 0..s.c_out {
            for c in 0..s.group_in() {
                let channel = o / s.group_out() * s.group_in() + c;
                for (z, y, x) in triples(oz, oy, ox) {
                    for (tz, ty, tx) in triples(kz, ky, kx) {
                        let (Some(pz), Some(py), Some(px)) = (at(z, tz, 0), at(y, ty, 1), at(x, tx, 2)) else {
                            continue;
                        };
                        let out = (((n * s.c_out + o) * oz + z) * oy + y) * ox + x;
                        let input = (((n * s.c_in + channel) * iz + pz) * iy + py) * ix + px;
                        let weight = (((o * s.group_in() + c) * kz + tz) * ky + ty) * kx + tx;
                        f(out, input, weight);
                    }
                }
            }
        }
    }
}

fn triples(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
}

/// Small whole numbers, so that sums are exact in either type and order.
fn numbers<T: Float>(len: usize, seed: usize) -> Vec<T> {
    let mut s = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..len)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            T::from_f64((s >> 33) as f64 % 9.0 - 4.0)
        })
        .collect()
}

/// Whole numbers come out exactly, but for the roundings of Winograd's transforms, which `scale` has multiplied.
#[track_caller]
fn assert_same<T: Float>(got: &[T], want: &[T], (winograd, scale): (bool, f64), what: &str, s: &ConvShape) {
    let most = if winograd { 1e-3 * scale } else { 0.0 };
    let at = got.iter().zip(want).position(|(a, b)| a.is_nan() || (a.to_f64() - b.to_f64()).abs() > most);
    assert!(at.is_none(), "{what} {s:?}: {:?} at {at:?}", at.map(|i| (got[i], want[i])));
}

fn check<T: Float>(s: &ConvShape) {
    let [lx, lw, ly] = s.lens();
    let (x, w, gy, bias) = (numbers::<T>(lx, 1), numbers::<T>(lw, 2), numbers::<T>(ly, 3), numbers::<T>(s.c_out, 4));
    let plane: usize = s.output.iter().product();
    let mut want: Vec<T> = (0..ly).map(|i| bias[i / plane % s.c_out]).collect();
    let (mut want_gx, mut want_gw) = (vec![T::ZERO; lx], vec![T::ZERO; lw]);
    let mut plain = vec![T::ZERO; ly];
    products(s, |o, i, k| {
        want[o] += w[k] * x[i];
        plain[o] += w[k] * x[i];
        want_gx[i] += w[k] * gy[o];
        want_gw[k] += gy[o] * x[i];
    });
    let nan = T::from_f64(f64::NAN);
    let (mut out, mut gx, mut gw) = (vec![nan; ly], vec![nan; lx], vec![nan; lw]);
    conv_forward(s, &x, &w, &Finish::bias(Some(&bias)), &mut out);
    let winograd = (winograd::takes::<T>(s), 1.0);
    assert_same(&out, &want, winograd, "forward", s);
    out.fill(nan);
    conv_forward(s, &x, &w, &Finish::NOTHING, &mut out);
    assert_same(&out, &plain, winograd, "forward without bias", s);
    conv_backward_input(s, &gy, &w, &Finish::NOTHING, &mut gx);
    assert_same(&gx, &want_gx, winograd, "gradient of the input", s);
    conv_backward_weight(s, &x, &gy, &mut gw);
    assert_same(&gw, &want_gw, winograd, "gradient of the weight", s);
    check_finish(s, [&x, &w, &gy], &plain, &want_gx);
}

/// Both gathering products with everything that may follow them, from what they are without it.
fn check_finish<T: Float>(s: &ConvShape, [x, w, gy]: [&[T]; 3], forward: &[T], backward: &[T]) {
    let nan = T::from_f64(f64::NAN);
    for (channels, plane, plain) in [(s.c_out, s.out_plane(), forward), (s.c_in, s.in_plane(), backward)] {
        let (scale, shift) = (numbers::<T>(channels, 5), numbers::<T>(channels, 6));
        let residual = numbers::<T>(plain.len(), 7);
        let then: &crate::kernels::finish::Then<T> =
            &|run| run.iter_mut().for_each(|v| *v = if *v < T::ZERO { T::ZERO } else { *v });
        let all = Finish { scale: Some(&scale), shift: Some(&shift), residual: Some(&residual), then: Some(then) };
        for finish in [all, Finish { scale: None, residual: None, ..all }, Finish::bias(Some(&shift))] {
            let mut want = plain.to_vec();
            want.chunks_exact_mut(plane.max(1)).enumerate().for_each(|(i, run)| {
                finish.plane(i % channels, i * plane, run);
            });
            let mut got = vec![nan; plain.len()];
            if channels == s.c_out && plane == s.out_plane() && plain.as_ptr() == forward.as_ptr() {
                conv_forward(s, x, w, &finish, &mut got);
            } else {
                conv_backward_input(s, gy, w, &finish, &mut got);
            }
            let most = scale.iter().fold(1.0, |m: f64, v| m.max(v.to_f64().abs()));
            assert_same(&got, &want, (winograd::takes::<T>(s), most), "finish", s);
        }
    }
}

pub(super) fn shape(
    n: usize,
    c: (usize, usize, usize),
    input: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
) -> ConvShape {
    let output = ConvShape::output_of(input, kernel, stride, padding, dilation);
    ConvShape { n, c_in: c.0, c_out: c.1, groups: c.2, input, kernel, stride, padding, dilation, output }
}

#[test]
fn agrees_with_the_definition() {
    let one = [1; 3];
    let no = [0; 3];
    let shapes = [
        shape(2, (1, 1, 1), [1, 1, 5], [1, 1, 3], one, no, one),
        shape(3, (1, 32, 1), [1, 28, 28], [1, 3, 3], one, [0, 1, 1], one),
        shape(2, (32, 64, 1), [1, 14, 14], [1, 3, 3], one, [0, 1, 1], one),
        shape(2, (3, 5, 1), [1, 9, 11], [1, 3, 2], [1, 2, 3], [0, 1, 0], [1, 1, 2]),
        shape(2, (4, 6, 2), [1, 7, 8], [1, 3, 3], [1, 2, 2], [0, 1, 1], one),
        shape(2, (16, 24, 1), [1, 6, 5], [1, 1, 1], one, no, one),
        shape(2, (8, 20, 1), [1, 7, 7], [1, 1, 1], [1, 2, 2], no, one),
        shape(2, (8, 20, 1), [1, 7, 7], [1, 1, 1], one, [0, 1, 1], one),
        shape(1, (40, 70, 1), [1, 4, 4], [1, 3, 3], one, [0, 1, 1], one),
        shape(2, (6, 6, 6), [1, 10, 37], [1, 3, 3], one, [0, 1, 1], one),
        shape(2, (5, 10, 5), [1, 9, 6], [1, 3, 3], [1, 2, 2], [0, 1, 1], [1, 2, 1]),
        shape(1, (2, 3, 1), [5, 4, 6], [2, 3, 3], [2, 1, 2], [1, 0, 2], [1, 1, 2]),
        shape(1, (3, 3, 3), [4, 5, 6], [3, 3, 3], one, one, one),
        shape(2, (4, 4, 1), [1, 8, 8], [1, 4, 4], [1, 2, 2], [0, 1, 1], one),
        shape(2, (4, 4, 1), [1, 3, 3], [1, 2, 2], [1, 4, 4], no, one),
        shape(2, (60, 9, 1), [1, 5, 5], [1, 5, 5], one, [0, 2, 2], one),
        shape(17, (2, 17, 1), [1, 1, 33], [1, 1, 5], [1, 1, 2], [0, 0, 2], one),
        shape(1, (1, 1, 1), [1, 1, 1], [1, 1, 1], one, no, one),
        shape(2, (3, 4, 1), [1, 2, 2], [1, 5, 5], one, no, one),
        shape(0, (3, 4, 1), [1, 5, 5], [1, 3, 3], one, no, one),
        shape(2, (0, 4, 1), [1, 5, 5], [1, 3, 3], one, no, one),
        shape(2, (3, 4, 1), [1, 0, 5], [1, 3, 3], one, [0, 2, 2], one),
        shape(2, (4, 4, 4), [1, 0, 5], [1, 3, 3], one, [0, 2, 2], one),
        shape(5, (6, 20, 2), [1, 11, 10], [1, 1, 1], one, no, one),
        shape(2, (7, 35, 1), [1, 12, 12], [1, 1, 1], one, no, one),
        shape(5, (5, 18, 1), [1, 23, 25], [1, 1, 1], [1, 2, 2], no, one),
        shape(1, (5, 18, 1), [3, 30, 25], [1, 1, 1], [2, 3, 2], no, one),
        shape(5, (20, 37, 1), [1, 4, 4], [1, 4, 4], one, no, one),
        shape(3, (2, 1, 1), [2, 3, 4], [2, 3, 4], [1, 2, 2], no, one),
        shape(2, (17, 33, 1), [1, 9, 37], [1, 3, 3], [1, 2, 2], [0, 1, 1], one),
        shape(3, (6, 40, 2), [1, 33, 18], [1, 4, 4], [1, 2, 2], [0, 1, 1], one),
        shape(3, (3, 24, 1), [1, 67, 67], [1, 11, 11], [1, 4, 4], [0, 2, 2], one),
        shape(2, (40, 3, 1), [1, 16, 15], [1, 5, 5], [1, 3, 3], [0, 2, 2], one),
        shape(9, (1, 3, 1), [1, 40, 40], [1, 7, 7], [1, 2, 2], [0, 3, 3], one),
    ];
    for s in &shapes {
        check::<f32>(s);
        check::<f64>(s);
    }
}

#[test]
fn random_shapes_agree_with_the_definition() {
    let mut seed = 12345u64;
    let mut pick = |low: usize, high: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        low + (seed >> 20) as usize % (high - low + 1)
    };
    for _ in 0..150 {
        let groups = pick(1, 3);
        let c = (groups * pick(1, 7), groups * pick(1, 20), groups);
        let deep = pick(0, 3) == 0;
        let mut axis =
            |low: usize, high: usize| [if deep { pick(low, high.min(4)) } else { 1 }, pick(low, high), pick(low, high)];
        let (input, kernel, stride, dilation) = (axis(1, 18), axis(1, 4), axis(1, 3), axis(1, 2));
        let mut padding = axis(0, 3);
        if !deep {
            padding[0] = 0;
        }
        check::<f32>(&shape(pick(1, 4), c, input, kernel, stride, padding, dilation));
    }
}

#[test]
fn transposed_convolutions_may_have_output_padding() {
    // The gradient of the input with rows that the kernel never reaches.
    let mut s = shape(2, (3, 4, 1), [1, 8, 8], [1, 3, 3], [1, 2, 2], [0, 1, 1], [1; 3]);
    s.output = [1, 3, 4];
    check::<f32>(&s);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let s = shape(7, (19, 33, 1), [1, 13, 15], [1, 3, 3], [1; 3], [0, 1, 1], [1; 3]);
    let [lx, lw, ly] = s.lens();
    let real =
        |len: usize, seed: usize| -> Vec<f32> { numbers::<f32>(len, seed).iter().map(|v| (v * 0.37).sin()).collect() };
    let (x, w, gy) = (real(lx, 1), real(lw, 2), real(ly, 3));
    let mut results = Vec::new();
    for threads in [1, 2, 5] {
        par::set_threads(threads);
        let (mut out, mut gx, mut gw) = (vec![0.0f32; ly], vec![0.0f32; lx], vec![0.0f32; lw]);
        conv_forward(&s, &x, &w, &Finish::NOTHING, &mut out);
        conv_backward_input(&s, &gy, &w, &Finish::NOTHING, &mut gx);
        conv_backward_weight(&s, &x, &gy, &mut gw);
        results.push([out, gx, gw].concat().iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }
    assert!(results.windows(2).all(|r| r[0] == r[1]));
}

#[test]
#[should_panic(expected = "the slices have")]
fn a_wrong_size_is_refused() {
    let s = shape(1, (1, 1, 1), [1, 1, 5], [1, 1, 3], [1; 3], [0; 3], [1; 3]);
    conv_forward(&s, &[0.0f32; 4], &[0.0; 3], &Finish::NOTHING, &mut [0.0; 3]);
}
