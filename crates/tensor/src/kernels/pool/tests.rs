use super::*;

fn noise(len: usize, seed: u64) -> Vec<f64> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

struct Picker(u64);

impl Picker {
    fn pick(&mut self, low: usize, high: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (self.0 >> 20) as usize % (high - low + 1)
    }

    fn shape(&mut self, dilated: bool) -> PoolShape {
        let deep = self.pick(0, 2) == 0;
        let mut axes = [(1, 1, 1, 0, 1, 1); 3];
        for (i, axis) in axes.iter_mut().enumerate() {
            if i == 0 && !deep {
                continue;
            }
            let (kernel, stride) = (self.pick(1, 4), self.pick(1, 3));
            let dilation = if dilated { self.pick(1, 2) } else { 1 };
            let input = self.pick(dilation * (kernel - 1) + 1, 14);
            let padding = self.pick(0, kernel / 2);
            let output = PoolShape::output_of(input, kernel, stride, padding, dilation, self.pick(0, 1) == 1);
            *axis = (input, kernel, stride, padding, dilation, output);
        }
        PoolShape {
            planes: self.pick(0, 5),
            input: axes.map(|a| a.0),
            kernel: axes.map(|a| a.1),
            stride: axes.map(|a| a.2),
            padding: axes.map(|a| a.3),
            dilation: axes.map(|a| a.4),
            output: axes.map(|a| a.5),
        }
    }
}

/// The flat places of a window's elements inside the input, in order, and how many padded ones.
fn places(s: &PoolShape, o: [usize; 3]) -> (Vec<usize>, usize) {
    let (mut inside, mut padded) = (Vec::new(), 0);
    for t in positions(s.kernel) {
        let at: [isize; 3] =
            std::array::from_fn(|i| (o[i] * s.stride[i] + t[i] * s.dilation[i]) as isize - s.padding[i] as isize);
        if (0..3).all(|i| at[i] < (s.input[i] + s.padding[i]) as isize) {
            padded += 1;
        }
        if (0..3).all(|i| at[i] >= 0 && at[i] < s.input[i] as isize) {
            inside.push((at[0] as usize * s.input[1] + at[1] as usize) * s.input[2] + at[2] as usize);
        }
    }
    (inside, padded)
}

fn sizes(s: &PoolShape) -> (usize, usize) {
    (s.input.iter().product(), s.output.iter().product())
}

fn check_max(s: &PoolShape) {
    let (from, to) = sizes(s);
    let mut x = noise(s.planes * from, 7);
    if x.len() > 20 {
        (x[3], x[20]) = (f64::NAN, f64::NEG_INFINITY);
    }
    let gy = noise(s.planes * to, 8);
    let (mut out, mut indices) = (vec![0.0; s.planes * to], vec![-1; s.planes * to]);
    max_pool(s, &x, &mut out, &mut indices);
    let mut gx = vec![f64::NAN; x.len()];
    max_pool_backward(s, &gy, &indices, &mut gx);
    let mut want_gx = vec![0.0; x.len()];
    for plane in 0..s.planes {
        for (i, o) in positions(s.output).enumerate() {
            let (inside, _) = places(s, o);
            let mut best = inside[0];
            for &p in &inside {
                let (v, b) = (x[plane * from + p], x[plane * from + best]);
                if v > b || v.is_nan() {
                    best = p;
                }
            }
            let (got, want) = (out[plane * to + i], x[plane * from + best]);
            assert!(got == want || got.is_nan() && want.is_nan(), "{s:?} at {o:?}: {got} {want}");
            assert_eq!(indices[plane * to + i], best as i64, "{s:?} at {o:?}");
            want_gx[plane * from + best] += gy[plane * to + i];
        }
    }
    assert_eq!(gx, want_gx, "{s:?}");
}

#[test]
fn maxima_agree_with_the_definition() {
    let mut picker = Picker(99);
    for _ in 0..300 {
        check_max(&picker.shape(true));
    }
    for input in [[1, 28, 28], [1, 14, 14], [1, 7, 9], [3, 4, 6], [1, 2, 2], [1, 33, 70]] {
        let output = [input[0], input[1] / 2, input[2] / 2];
        let s = PoolShape {
            planes: 40,
            input,
            kernel: [1, 2, 2],
            stride: [1, 2, 2],
            padding: [0; 3],
            dilation: [1; 3],
            output,
        };
        check_max(&s);
    }
}

#[test]
fn averages_agree_with_the_definition() {
    let mut picker = Picker(17);
    for turn in 0..300 {
        let s = picker.shape(false);
        let (from, to) = sizes(&s);
        let divisor = Divisor { count_include_pad: turn % 2 == 0, fixed: (turn % 5 == 0).then_some(3.0) };
        let (x, gy) = (noise(s.planes * from, 1), noise(s.planes * to, 2));
        let mut out = vec![f64::NAN; gy.len()];
        let mut gx = vec![f64::NAN; x.len()];
        avg_pool(&s, divisor, &x, &mut out);
        avg_pool_backward(&s, divisor, &gy, &mut gx);
        let mut want_gx = vec![0.0; x.len()];
        for plane in 0..s.planes {
            for (i, o) in positions(s.output).enumerate() {
                let (inside, padded) = places(&s, o);
                let count = if divisor.count_include_pad { padded } else { inside.len() };
                let by = divisor.fixed.unwrap_or(count.max(1) as f64);
                let want = inside.iter().map(|&p| x[plane * from + p]).sum::<f64>() / by;
                let got = out[plane * to + i];
                assert!((got - want).abs() < 1e-12, "{s:?} {divisor:?} at {o:?}: {got} {want}");
                inside.iter().for_each(|&p| want_gx[plane * from + p] += gy[plane * to + i] / by);
            }
        }
        assert!(gx.iter().zip(&want_gx).all(|(a, b)| (a - b).abs() < 1e-12), "{s:?}");
    }
}

#[test]
fn adaptive_windows_agree_with_the_definition() {
    let mut picker = Picker(5);
    for _ in 0..200 {
        let mut axis = || (picker.pick(1, 11), picker.pick(0, 9));
        let axes = [axis(), axis(), axis()];
        let (input, output, planes) = (axes.map(|a| a.0), axes.map(|a| a.1), 3);
        let (from, to): (usize, usize) = (input.iter().product(), output.iter().product());
        let (x, gy) = (noise(planes * from, 3), noise(planes * to, 4));
        let (mut mean, mut max, mut indices) =
            (vec![f64::NAN; planes * to], vec![0.0; planes * to], vec![-1; planes * to]);
        let mut gx = vec![f64::NAN; x.len()];
        adaptive_avg_pool(planes, input, output, &x, &mut mean);
        adaptive_avg_pool_backward(planes, input, output, &gy, &mut gx);
        adaptive_max_pool(planes, input, output, &x, &mut max, &mut indices);
        let mut want_gx = vec![0.0; x.len()];
        for plane in 0..planes {
            for (i, o) in positions(output).enumerate() {
                let bounds = |a: usize| {
                    let (start, end) = (
                        (o[a] * input[a]) as f64 / output[a] as f64,
                        ((o[a] + 1) * input[a]) as f64 / output[a] as f64,
                    );
                    start.floor() as usize..end.ceil() as usize
                };
                let mut inside = Vec::new();
                for z in bounds(0) {
                    for y in bounds(1) {
                        inside.extend(bounds(2).map(|c| (z * input[1] + y) * input[2] + c));
                    }
                }
                let value = |p: usize| x[plane * from + p];
                let want = inside.iter().map(|&p| value(p)).sum::<f64>() / inside.len() as f64;
                let at = plane * to + i;
                assert!((mean[at] - want).abs() < 1e-12);
                assert_eq!(max[at], inside.iter().map(|&p| value(p)).fold(f64::NEG_INFINITY, f64::max));
                assert_eq!(max[at], value(indices[at] as usize));
                inside.iter().for_each(|&p| want_gx[plane * from + p] += gy[at] / inside.len() as f64);
            }
        }
        assert!(gx.iter().zip(&want_gx).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}

#[test]
fn unpooling_reads_back_what_it_wrote() {
    let s = PoolShape {
        planes: 6,
        input: [1, 6, 8],
        kernel: [1, 2, 2],
        stride: [1, 2, 2],
        padding: [0; 3],
        dilation: [1; 3],
        output: [1, 3, 4],
    };
    let x = noise(6 * 48, 11);
    let (mut out, mut indices) = (vec![0.0; 72], vec![0; 72]);
    max_pool(&s, &x, &mut out, &mut indices);
    let (mut big, mut back) = (vec![f64::NAN; 6 * 48], vec![f64::NAN; 72]);
    scatter_planes(6, 48, 12, &out, &indices, &mut big);
    gather_planes(6, 48, 12, &big, &indices, &mut back);
    assert_eq!(back, out);
    assert_eq!(big.iter().filter(|&&v| v != 0.0).count(), 72);
}

#[test]
fn output_extents_are_pytorchs() {
    // input, kernel, stride, padding, dilation, ceil_mode, output
    for (i, k, s, p, d, ceil, want) in [
        (7, 2, 2, 0, 1, false, 3),
        (7, 2, 2, 0, 1, true, 4),
        (6, 3, 2, 1, 1, true, 4),
        (5, 2, 3, 1, 1, true, 2),
        (5, 1, 3, 0, 1, true, 2),
        (4, 2, 2, 1, 1, true, 3),
        (3, 2, 4, 1, 1, true, 1),
        (10, 3, 1, 0, 2, false, 6),
        (2, 3, 1, 0, 1, false, 0),
    ] {
        assert_eq!(PoolShape::output_of(i, k, s, p, d, ceil), want, "{i} {k} {s} {p} {d} {ceil}");
    }
}
