use super::*;
use crate::kernels::par;

fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            s ^= s << 13;
            s ^= s >> 7;
            s ^= s << 17;
            (s >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        })
        .collect()
}

fn case<T: Float>(m: usize, n: usize, k: usize, layout: usize, alpha: f64, beta: f64, bias: bool, tol: f64) {
    let real = |v: &[f64]| v.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
    // Strides: plain, transposed, padded and doubly strided.
    let strides = |rows: usize, cols: usize, kind: usize| match kind {
        0 => (cols, 1),
        1 => (1, rows),
        2 => (cols + 3, 1),
        _ => (2 * cols + 1, 2),
    };
    let size = |rows: usize, cols: usize| (2 * cols + 4) * (rows + 1) + 8;
    let (sa, sb) = (strides(m, k, layout & 3), strides(k, n, layout >> 2 & 3));
    let (a, b) = (real(&noise(size(m, k), 1)), real(&noise(size(k, n), 2)));
    let mut c = real(&noise(m * n + 9, 3));
    let before = c.clone();
    let terms = real(&noise(n, 4));
    let epilogue = Epilogue { bias: bias.then_some(&terms[..]), ..Epilogue::default() };
    gemm_batched(1, m, n, k, T::from_f64(alpha), &a, sa, &b, sb, T::from_f64(beta), &mut c, epilogue, |_| (0, 0, 0));
    for i in 0..m {
        for j in 0..n {
            let dot: f64 = (0..k).map(|p| a[i * sa.0 + p * sa.1].to_f64() * b[p * sb.0 + j * sb.1].to_f64()).sum();
            let at = i * n + j;
            let mut want = alpha * dot;
            if beta != 0.0 {
                want += beta * before[at].to_f64();
            }
            if bias {
                want += terms[j].to_f64();
            }
            let got = c[at].to_f64();
            assert!(
                (got - want).abs() <= tol * (k as f64 + 1.0),
                "{m} {n} {k} layout {layout} at {i},{j}: {got} {want}"
            );
        }
    }
    assert!(c[m * n..] == before[m * n..], "{m} {n} {k} layout {layout}: wrote outside c");
}

#[test]
fn agrees_with_the_definition() {
    let shapes = [
        (0, 3, 4),
        (3, 0, 4),
        (3, 4, 0),
        (1, 1, 1),
        (1, 17, 33),
        (33, 1, 17),
        (5, 7, 3),
        (16, 16, 16),
        (17, 33, 65),
        (64, 10, 40),
        (10, 64, 40),
        (70, 129, 31),
        (257, 65, 19),
        (23, 40, 1100),
        (300, 50, 70),
        (5, 100, 128),
        (100, 5, 70),
        (8, 30, 300),
        (150, 200, 130),
        (3, 530, 520),
    ];
    for (s, &(m, n, k)) in shapes.iter().enumerate() {
        for layout in 0..16 {
            let (alpha, beta) = [(1.0, 0.0), (0.5, 1.0), (1.0, -2.0)][(layout + s) % 3];
            let bias = (layout + s) % 2 == 0;
            case::<f32>(m, n, k, layout, alpha, beta, bias, 3e-7);
            case::<f64>(m, n, k, layout, alpha, beta, !bias, 1e-15);
        }
    }
}

#[test]
fn batches_share_operands_by_zero_offsets() {
    let (batch, m, n, k) = (5, 9, 21, 13);
    let (a, b) = (noise(batch * m * k, 5), noise(k * n, 6));
    let mut c = vec![f64::NAN; batch * m * n];
    let offsets = |i: usize| (i * m * k, 0, i * m * n);
    gemm_batched(batch, m, n, k, 1.0, &a, (k, 1), &b, (n, 1), 0.0, &mut c, Epilogue::default(), offsets);
    for (at, &got) in c.iter().enumerate() {
        let (i, j) = (at / n, at % n);
        let want: f64 = (0..k).map(|p| a[i * k + p] * b[p * n + j]).sum();
        assert!((got - want).abs() < 1e-13);
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let (m, n, k) = (150, 300, 900);
    let real = |v: Vec<f64>| v.into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let (a, b) = (real(noise(m * k, 7)), real(noise(k * n, 8)));
    let mut results = Vec::new();
    for threads in [1, 2, 3] {
        par::set_threads(threads);
        let mut c = vec![0.0f32; m * n];
        gemm_batched(1, m, n, k, 1.0, &a, (k, 1), &b, (1, k), 0.0, &mut c, Epilogue::default(), |_| (0, 0, 0));
        results.push(c.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
    }
    assert!(results.windows(2).all(|w| w[0] == w[1]));
}

#[test]
fn what_follows_sees_each_element_once_and_complete() {
    for (m, n, k, turned) in [(40, 70, 600, false), (150, 140, 100, true), (6, 50, 40, true), (50, 6, 40, true)] {
        let (a, b, bias, rest) = (noise(m * k, 1), noise(k * n, 2), noise(n, 3), noise(m * n, 4));
        let strides = if turned { (1, k) } else { (n, 1) };
        let run = |epilogue: Epilogue<'_, f64>| {
            let mut c = vec![f64::NAN; m * n];
            gemm_batched(1, m, n, k, 1.0, &a, (k, 1), &b, strides, 0.0, &mut c, epilogue, |_| (0, 0, 0));
            c
        };
        let plain = run(Epilogue { bias: Some(&bias), ..Epilogue::default() });
        let then: &Then<f64> = &|run| run.iter_mut().for_each(|v| *v = 2.0 * *v + 1.0);
        let all = Epilogue { bias: Some(&bias), residual: Some(&rest), then: Some(then), ..Epilogue::default() };
        let want: Vec<f64> = plain.iter().zip(&rest).map(|(v, r)| 2.0 * (v + r) + 1.0).collect();
        assert_eq!(run(all), want);
    }
}

#[test]
fn nan_and_infinity_pass_through() {
    let mut c = vec![0.0f32; 4];
    let a = [f32::NAN, 0.0, 0.0, f32::INFINITY];
    let eye = [1.0f32, 0.0, 0.0, 1.0];
    gemm_batched(1, 2, 2, 2, 1.0, &a, (2, 1), &eye, (2, 1), 0.0, &mut c, Epilogue::default(), |_| (0, 0, 0));
    assert!(c[0].is_nan() && c[3] == f32::INFINITY);
}

#[test]
#[should_panic(expected = "leaves its slices")]
fn a_short_slice_is_refused() {
    gemm_batched(
        1,
        2,
        2,
        2,
        1.0f32,
        &[0.0; 3],
        (2, 1),
        &[0.0; 4],
        (2, 1),
        0.0,
        &mut [0.0; 4],
        Epilogue::default(),
        |_| (0, 0, 0),
    );
}
