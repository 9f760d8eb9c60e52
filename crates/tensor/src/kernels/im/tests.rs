use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 20
    }

    fn pick(&mut self, low: usize, high: usize) -> usize {
        low + self.next() as usize % (high - low + 1)
    }

    /// Small whole numbers, whose sums are exact.
    fn numbers(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| self.next() as f64 % 9.0 - 4.0).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[test]
fn patches_agree_with_the_definition() {
    let mut random = Random(31);
    for _ in 0..300 {
        let mut axis = || {
            let (kernel, dilation, padding) = (random.pick(1, 4), random.pick(1, 2), random.pick(0, 3));
            let input = random.pick(1, 12);
            let span = dilation * (kernel - 1) + 1;
            let stride = random.pick(1, 3);
            let output = if input + 2 * padding < span { 0 } else { (input + 2 * padding - span) / stride + 1 };
            [input, kernel, stride, padding, dilation, output]
        };
        let axes = [axis(), axis()];
        let get = |i: usize| axes.map(|a| a[i]);
        let (n, c) = (random.pick(0, 3), random.pick(1, 3));
        let s = PatchShape {
            n,
            c,
            input: get(0),
            kernel: get(1),
            stride: get(2),
            padding: get(3),
            dilation: get(4),
            output: get(5),
        };
        let image = random.numbers(n * c * s.image());
        let mut columns = vec![f64::NAN; n * c * s.columns()];
        im2col(&s, &image, &mut columns);
        let mut back = random.numbers(image.len());
        let given = random.numbers(columns.len());
        col2im(&s, &given, &mut back);
        let mut want_back = vec![0.0; image.len()];
        let mut at = 0;
        for plane in 0..n * c {
            for tap in 0..s.kernel[0] * s.kernel[1] {
                for patch in 0..s.output[0] * s.output[1] {
                    let (t, o) = ([tap / s.kernel[1], tap % s.kernel[1]], [patch / s.output[1], patch % s.output[1]]);
                    let p: [isize; 2] = std::array::from_fn(|i| {
                        (o[i] * s.stride[i] + t[i] * s.dilation[i]) as isize - s.padding[i] as isize
                    });
                    let inside = (0..2).all(|i| p[i] >= 0 && p[i] < s.input[i] as isize);
                    let place = plane as isize * s.image() as isize + p[0] * s.input[1] as isize + p[1];
                    let want = if inside { image[place as usize] } else { 0.0 };
                    assert_eq!(columns[at], want, "{s:?} column element {at}");
                    if inside {
                        want_back[place as usize] += given[at];
                    }
                    at += 1;
                }
            }
        }
        assert_eq!(back, want_back, "{s:?}");
    }
}

fn squares() -> Vec<f64> {
    (0..12).map(|i| (i * i) as f64 / 8.0).collect()
}

fn resize(output: [usize; 3], step: [Option<f64>; 3]) -> ResizeShape {
    ResizeShape { planes: 1, input: [1, 3, 4], output, step }
}

#[test]
fn resizing_gives_pytorchs_values() {
    // Made with torch.nn.functional.interpolate on arange(12).reshape(1, 1, 3, 4) ** 2 / 8.
    let edges = [
        0.020833, 0.3125, 1.020833, 0.8875, 1.7125, 2.954167, 2.1875, 3.8125, 5.854167, 5.887501, 8.312501, 11.154169,
        8.354167, 11.312499, 14.6875,
    ];
    let corners =
        [0.0, 0.3125, 1.125, 1.0, 2.0625, 3.625, 2.0, 3.8125, 6.125, 5.0, 7.5625, 10.625, 8.0, 11.3125, 15.125];
    let near = [0.0, 0.125, 0.5, 0.0, 0.125, 0.5, 2.0, 3.125, 4.5, 2.0, 3.125, 4.5, 8.0, 10.125, 12.5];
    let close = |got: &[f64], want: &[f64]| {
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 3e-6), "{got:?} {want:?}");
    };
    let s = resize([1, 5, 3], [None; 3]);
    let mut out = vec![f64::NAN; 15];
    linear(&s, false, &squares(), &mut out);
    close(&out, &edges);
    linear(&s, true, &squares(), &mut out);
    close(&out, &corners);
    nearest(&s, false, &squares(), &mut out);
    close(&out, &near);
    // Scale factors 1.6 and 0.7 that are kept as they are.
    let mut out = vec![f64::NAN; 8];
    nearest(&resize([1, 4, 2], [None, Some(1.0 / 1.6), Some(1.0 / 0.7)]), false, &squares(), &mut out);
    close(&out, &[0.0, 0.125, 0.0, 0.125, 2.0, 3.125, 2.0, 3.125]);
}

#[test]
fn resizing_backward_is_the_transpose() {
    let mut random = Random(77);
    for turn in 0..200 {
        let mut extents = || [random.pick(1, 4), random.pick(1, 9), random.pick(1, 9)];
        let (input, output) = (extents(), extents());
        let s = ResizeShape { planes: random.pick(0, 3), input, output, step: [None; 3] };
        let (from, to): (usize, usize) = (input.iter().product(), output.iter().product());
        let (x, gy) = (random.numbers(s.planes * from), random.numbers(s.planes * to));
        let (mut y, mut gx) = (vec![f64::NAN; gy.len()], vec![f64::NAN; x.len()]);
        let align = turn % 2 == 0;
        linear(&s, align, &x, &mut y);
        linear_backward(&s, align, &gy, &mut gx);
        assert!((dot(&y, &gy) - dot(&x, &gx)).abs() < 1e-9, "{s:?}");
        cubic(&s, align, &x, &mut y);
        cubic_backward(&s, align, &gy, &mut gx);
        assert!((dot(&y, &gy) - dot(&x, &gx)).abs() < 1e-9, "{s:?}");
        nearest(&s, !align, &x, &mut y);
        nearest_backward(&s, !align, &gy, &mut gx);
        assert_eq!(dot(&y, &gy), dot(&x, &gx), "{s:?}");
        // A constant stays what it is.
        let ones = vec![1.0; x.len()];
        linear(&s, align, &ones, &mut y);
        assert!(y.iter().all(|v| (v - 1.0).abs() < 1e-12), "{s:?}");
        cubic(&s, align, &ones, &mut y);
        assert!(y.iter().all(|v| (v - 1.0).abs() < 1e-12), "{s:?}");
    }
}

#[test]
fn empty_outputs_have_zero_gradients() {
    let s = resize([1, 0, 3], [None; 3]);
    let mut gx = vec![1.0; 12];
    nearest(&s, false, &squares(), &mut []);
    nearest_backward(&s, false, &[], &mut gx);
    assert_eq!(gx, vec![0.0; 12]);
    gx.fill(1.0);
    linear(&s, true, &squares(), &mut []);
    linear_backward(&s, true, &[], &mut gx);
    assert_eq!(gx, vec![0.0; 12]);
}
