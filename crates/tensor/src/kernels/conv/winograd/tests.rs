use super::*;
use crate::kernels::conv::tests::{products, shape};
use crate::kernels::conv::{conv_backward_input, conv_backward_weight, conv_forward};
use crate::kernels::finish::Then;

/// Numbers like those of a network, distributed about zero.
pub(super) fn numbers(len: usize, seed: u64) -> Vec<f32> {
    let mut s = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..len)
        .map(|_| {
            let sum: f64 = (0..4)
                .map(|_| {
                    s ^= s << 13;
                    s ^= s >> 7;
                    s ^= s << 17;
                    (s >> 11) as f64 / (1u64 << 53) as f64 - 0.5
                })
                .sum();
            sum as f32
        })
        .collect()
}

pub(super) fn conv(n: usize, c: (usize, usize), input: (usize, usize), padding: (usize, usize)) -> ConvShape {
    let one = [1; 3];
    shape(n, (c.0, c.1, 1), [1, input.0, input.1], [1, 3, 3], one, [0, padding.0, padding.1], one)
}

/// The largest and the root mean square difference, relative to the root mean square of `want`.
fn errors(got: &[f32], want: &[f64]) -> (f64, f64) {
    let scale = (want.iter().map(|v| v * v).sum::<f64>() / want.len() as f64).sqrt();
    let each = || got.iter().zip(want).map(|(&a, &b)| (a as f64 - b).abs() / scale);
    (each().fold(0.0, f64::max), (each().map(|e| e * e).sum::<f64>() / want.len() as f64).sqrt())
}

/// Runs every path on a shape, whether it pays or not, against sums in f64.
fn check(s: &ConvShape) {
    let Some(kernels) = transform::kernels() else { return };
    let [lx, lw, ly] = s.lens();
    let (x, w, gy) = (numbers(lx, 1), numbers(lw, 2), numbers(ly, 3));
    let (scale, shift, residual) = (numbers(s.c_out, 4), numbers(s.c_out, 5), numbers(ly, 6));
    let plane = s.out_plane();
    let (mut want, mut want_gx, mut want_gw) = (vec![0.0f64; ly], vec![0.0f64; lx], vec![0.0f64; lw]);
    products(s, |o, i, k| {
        want[o] += w[k] as f64 * x[i] as f64;
        want_gx[i] += w[k] as f64 * gy[o] as f64;
        want_gw[k] += x[i] as f64 * gy[o] as f64;
    });
    let then: &Then<f32> = &|run| run.iter_mut().for_each(|v| *v = v.max(0.1));
    let finish = Finish { scale: Some(&scale), shift: Some(&shift), residual: Some(&residual), then: Some(then) };
    let finished: Vec<f64> = (0..ly)
        .map(|i| {
            let c = i / plane % s.c_out;
            (want[i] * scale[c] as f64 + shift[c] as f64 + residual[i] as f64).max(0.1)
        })
        .collect();
    let forward = Plan::new(Problem::new(s, false).expect("a shape for Winograd"), kernels);
    let backward = Plan::new(Problem::new(s, true).expect("a shape for Winograd"), kernels);
    for local in [true, false] {
        let run = |plan: &Plan, src: &[f32], finish: &Finish<'_, f32>, out: &mut [f32]| {
            out.fill(f32::NAN);
            if local { plan.run_local(src, &w, finish, out) } else { plan.run_shared(src, &w, finish, out) }
        };
        let mut out = vec![0.0; ly];
        run(&forward, &x, &Finish::NOTHING, &mut out);
        let plain = errors(&out, &want);
        run(&forward, &x, &finish, &mut out);
        let all = errors(&out, &finished);
        let mut gx = vec![0.0; lx];
        run(&backward, &gy, &Finish::NOTHING, &mut gx);
        let back = errors(&gx, &want_gx);
        for (name, e) in [("forward", plain), ("with all that follows", all), ("gradient of the input", back)] {
            assert!(e.0 < 2e-5 && e.1 < 3e-6, "{name}: {e:?} for {s:?}");
        }
    }
    let mut weight = weight::Plan::new(s).expect("a shape for Winograd");
    for (split, depth) in [(true, weight.depth), (false, weight.depth), (true, kernels.lanes), (false, kernels.lanes)] {
        (weight.split, weight.depth) = (split, depth);
        let mut gw = vec![f32::NAN; lw];
        weight.run(&x, &gy, &mut gw);
        let e = errors(&gw, &want_gw);
        assert!(e.0 < 2e-5 && e.1 < 3e-6, "gradient of the weight: {e:?} for {s:?}");
    }
}

#[test]
fn every_path_follows_the_definition() {
    for s in [
        conv(1, (1, 1), (1, 1), (1, 1)),
        conv(2, (3, 5), (4, 4), (1, 1)),
        conv(1, (16, 16), (8, 8), (1, 1)),
        conv(3, (17, 20), (7, 5), (0, 2)),
        conv(2, (5, 70), (9, 34), (2, 0)),
        conv(1, (33, 9), (13, 21), (2, 2)),
        conv(5, (10, 36), (4, 3), (1, 2)),
        conv(20, (4, 3), (6, 6), (0, 0)),
        conv(1, (2, 3), (3, 66), (0, 1)),
        conv(18, (70, 12), (4, 4), (1, 1)),
        conv(2, (20, 140), (14, 14), (1, 1)),
        conv(1, (6, 4), (30, 70), (1, 1)),
    ] {
        check(&s);
    }
}

#[test]
fn random_shapes_follow_the_definition() {
    let mut seed = 77u64;
    let mut pick = |low: usize, high: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        low + (seed >> 20) as usize % (high - low + 1)
    };
    for _ in 0..60 {
        let c = (pick(1, 24), pick(1, 24));
        check(&conv(pick(1, 5), c, (pick(3, 20), pick(3, 20)), (pick(0, 2), pick(0, 2))));
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for s in [conv(4, (32, 48), (30, 22), (1, 1)), conv(16, (160, 130), (7, 8), (1, 1))] {
        let [lx, lw, ly] = s.lens();
        let (x, w, gy) = (numbers(lx, 1), numbers(lw, 2), numbers(ly, 3));
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
}

/// The bound of the module's documentation: twice the error of the direct sum, three times at most.
#[test]
fn the_error_is_that_of_the_direct_sum_within_a_small_factor() {
    let Some(kernels) = transform::kernels() else { return };
    for s in [conv(1, (64, 32), (16, 16), (1, 1)), conv(1, (256, 16), (8, 8), (1, 1))] {
        let [lx, lw, ly] = s.lens();
        let (x, w) = (numbers(lx, 1), numbers(lw, 2));
        let (mut want, mut direct, mut out) = (vec![0.0f64; ly], vec![0.0f32; ly], vec![0.0f32; ly]);
        products(&s, |o, i, k| want[o] += w[k] as f64 * x[i] as f64);
        products(&s, |o, i, k| direct[o] = w[k].mul_add(x[i], direct[o]));
        Plan::new(Problem::new(&s, false).expect("a shape for Winograd"), kernels).run(
            &x,
            &w,
            &Finish::NOTHING,
            &mut out,
        );
        let (ours, theirs) = (errors(&out, &want), errors(&direct, &want));
        assert!(ours.1 < 3.0 * theirs.1 && ours.0 < 4.0 * theirs.0, "{ours:?} against {theirs:?} for {s:?}");
    }
}
