//! What is coarse in a picture and what is fine.

use gradus_tensor::{DType, Tensor};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

/// Splits pictures into low frequencies, where brightness changes slowly, and high ones, the edges.
///
/// The spectrum is weighted by `exp(-(f / cutoff)^2 / 2)` for the low part and by the rest for the high one, so that
/// the two add up to the picture; the frequency f is in parts of the highest one that pixels can show (Nyquist's).
/// A smooth weight has no ringing. The picture is taken as if it went on beyond each border on the opposite side.
///
/// # Shapes
/// `pictures`: [..., H, W]; both results too, in f32.
///
/// # Panics
/// If there are fewer than two dimensions, or the cutoff is not above 0.
///
/// Source: Gonzalez and Woods, Digital Image Processing, 4th ed., sections 4.8 and 4.9.
///
/// ```
/// use gradus_tensor::Tensor;
/// use gradus_train::analysis::split_frequencies;
/// let even = Tensor::full([1, 8, 8], 0.7);
/// let (low, high) = split_frequencies(&even, 0.25);
/// assert!((low - even).abs().max().item() < 1e-6 && high.abs().max().item() < 1e-6);
/// ```
#[track_caller]
pub fn split_frequencies(pictures: &Tensor, cutoff: f64) -> (Tensor, Tensor) {
    assert!(pictures.rank() >= 2, "split_frequencies: pictures are [..., H, W], got {}", pictures.shape());
    assert!(cutoff > 0.0, "split_frequencies: the cutoff is above 0, got {cutoff}");
    let (h, w) = (pictures.size(-2), pictures.size(-1));
    let pixels = pictures.detach().to_dtype(DType::F64).contiguous().to_vec::<f64>();
    let mut planner = FftPlanner::new();
    let mut transform = |values: &mut Vec<Complex<f64>>, back: bool| {
        for (rows, columns) in [(h, w), (w, h)] {
            let fft = if back { planner.plan_fft_inverse(columns) } else { planner.plan_fft_forward(columns) };
            fft.process(values);
            // Rows become columns; after the second time they are rows again.
            *values = (0..rows * columns).map(|i| values[i % rows * columns + i / rows]).collect();
        }
    };
    let weight = |i: usize| {
        let part = |k: usize, n: usize| k.min(n - k) as f64 / (n as f64 / 2.0);
        let square = part(i / w, h).powi(2) + part(i % w, w).powi(2);
        (-square / (2.0 * cutoff * cutoff)).exp() / (h * w) as f64
    };
    let mut low = Vec::with_capacity(pixels.len());
    for picture in pixels.chunks_exact((h * w).max(1)) {
        let mut values: Vec<Complex<f64>> = picture.iter().map(|&v| Complex::new(v, 0.0)).collect();
        transform(&mut values, false);
        values.iter_mut().enumerate().for_each(|(i, v)| *v *= weight(i));
        transform(&mut values, true);
        low.extend(values.iter().map(|v| v.re));
    }
    let high: Vec<f32> = pixels.iter().zip(&low).map(|(p, l)| (p - l) as f32).collect();
    let low: Vec<f32> = low.into_iter().map(|v| v as f32).collect();
    (Tensor::from_vec(low, pictures.shape()), Tensor::from_vec(high, pictures.shape()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn the_parts_add_up_to_the_picture() {
        let x = super::super::normals(1, [2, 3, 6, 10]).to_dtype(DType::F32);
        let (low, high) = split_frequencies(&x, 0.3);
        assert_eq!(low.shape(), x.shape());
        assert!((low + high - x).abs().max().item() < 1e-6);
    }

    #[test]
    fn a_wave_is_weighted_by_its_frequency_in_both_directions() {
        for (h, w, down, across) in [(16, 24, 2, 0), (16, 24, 0, 3), (12, 18, 1, 4), (7, 9, 2, 1)] {
            let wave =
                |i: usize| (TAU * ((i / w * down) as f64 / h as f64 + (i % w * across) as f64 / w as f64)).cos() as f32;
            let x = Tensor::from_vec((0..h * w).map(wave).collect::<Vec<f32>>(), [h, w]);
            let (low, _) = split_frequencies(&x, 0.4);
            let square = (2.0 * down as f64 / h as f64).powi(2) + (2.0 * across as f64 / w as f64).powi(2);
            let kept = (-square / (2.0 * 0.4 * 0.4)).exp();
            assert!((low - x * kept).abs().max().item() < 1e-6, "{h} x {w}, {down} down, {across} across");
        }
    }

    #[test]
    fn edges_are_high_and_even_surfaces_low() {
        let step = |i: usize| if (8..24).contains(&(i % 32)) { 1.0f32 } else { 0.0 };
        let x = Tensor::from_vec((0..32 * 32).map(step).collect::<Vec<f32>>(), [32, 32]);
        let (low, high) = split_frequencies(&x, 0.15);
        let high = high.abs().select(0, 10).to_vec::<f32>();
        assert!(high[8] > 0.25 && high[16] < 0.02 && high[0] < 0.02, "{high:?}");
        // Up to the middle the low part only rises.
        let low = low.select(0, 10).to_vec::<f32>();
        assert!(low[..16].windows(2).all(|p| p[1] > p[0] - 1e-3), "{low:?}");
    }
}
