//! Conversion between element types.

use crate::Tensor;
use crate::autograd::record;
use crate::dtype::{DType, Element};
use crate::kernels::map;
use crate::storage::Plain;

impl Tensor {
    /// The elements as another type: rounded to nearest for floats, truncated and saturated for
    /// integers, non-zero is true. Gradients flow between float types.
    ///
    /// ```
    /// use gradus_tensor::{DType, Tensor};
    /// let x = Tensor::from_slice(&[1.9f32, -0.5, 300.0], [3]);
    /// assert_eq!(x.to_dtype(DType::U8).to_vec::<u8>(), [1, 0, 255]);
    /// ```
    pub fn to_dtype(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        let x = self.contiguous_data();
        let out = match self.dtype() {
            DType::F32 => from::<f32>(&x, dtype, f32::to_f64),
            DType::F64 => from::<f64>(&x, dtype, |v| v),
            DType::F16 => from::<half::f16>(&x, dtype, half::f16::to_f64),
            DType::BF16 => from::<half::bf16>(&x, dtype, half::bf16::to_f64),
            DType::I64 => match dtype {
                // Not through f64, which is exact only to 2^53.
                DType::I32 => to::<i64, i32>(&x, dtype, |v| v.clamp(i32::MIN as i64, i32::MAX as i64) as i32),
                _ => from::<i64>(&x, dtype, |v| v as f64),
            },
            DType::I32 => from::<i32>(&x, dtype, |v| v as f64),
            DType::U8 | DType::Bool => from::<u8>(&x, dtype, |v| v as f64),
        };
        if !dtype.is_float() || !self.dtype().is_float() {
            return out;
        }
        let back = self.dtype();
        record("to_dtype", out, &[self], move |ctx| ctx.set(0, || ctx.grad().to_dtype(back)))
    }
}

fn from<A: Plain>(x: &Tensor, dtype: DType, f: impl Fn(A) -> f64 + Copy + Sync) -> Tensor {
    match dtype {
        DType::F32 => to::<A, f32>(x, dtype, move |v| f(v) as f32),
        DType::F64 => to::<A, f64>(x, dtype, f),
        DType::F16 => to::<A, half::f16>(x, dtype, move |v| half::f16::from_f64(f(v))),
        DType::BF16 => to::<A, half::bf16>(x, dtype, move |v| half::bf16::from_f64(f(v))),
        DType::I64 => to::<A, i64>(x, dtype, move |v| f(v) as i64),
        DType::I32 => to::<A, i32>(x, dtype, move |v| f(v) as i32),
        DType::U8 => to::<A, u8>(x, dtype, move |v| f(v) as u8),
        DType::Bool => to::<A, u8>(x, dtype, move |v| (f(v) != 0.0) as u8),
    }
}

fn to<A: Plain, R: Plain>(x: &Tensor, dtype: DType, f: impl Fn(A) -> R + Copy + Sync) -> Tensor {
    let src = x.read::<A>();
    Tensor::build_as::<R>(dtype, x.shape(), |out| map::unary(&src, out, f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_rounds_to_nearest_even() {
        let x = Tensor::from_slice(&[1.0f32, 1.0 + 1.0 / 256.0, 65536.0], [3]);
        assert_eq!(x.to_dtype(DType::BF16).to_dtype(DType::F32).to_vec::<f32>(), [1.0, 1.0, 65536.0]);
        assert_eq!(
            x.to_dtype(DType::F16).to_dtype(DType::F32).to_vec::<f32>(),
            [1.0, 1.0 + 1.0 / 256.0, f32::INFINITY]
        );
    }

    #[test]
    fn large_integers_stay_exact_and_gradients_pass_between_floats() {
        assert_eq!(Tensor::from_slice(&[i64::MAX], [1]).to_dtype(DType::I32).to_vec::<i32>(), [i32::MAX]);
        let x = Tensor::from_slice(&[2.0f32], [1]).requires_grad_(true);
        x.to_dtype(DType::F64).square().sum().backward();
        assert_eq!(x.grad().map(|g| (g.dtype(), g.item())), Some((DType::F32, 4.0)));
    }
}
