//! Resizing.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{Interpolation, Tensor, fail};

/// Resizes the spatial dimensions by interpolation: each element of the output lies somewhere between elements of
/// the input, and is the nearest one ([`Interpolation::Nearest`], the default) or a mean of those around it.
///
/// PyTorch's mode "linear", "bilinear" and "trilinear" are [`Interpolation::Linear`], "bicubic" is
/// [`Interpolation::Cubic`] and "nearest-exact" [`Interpolation::NearestExact`]; `align_corners` belongs to the mode.
///
/// # Shapes
/// `[N, C, in...]` -> `[N, C, size...]`, or `[N, C, in * scale_factor, ...]` rounded down
///
/// # Panics
/// `forward` panics if neither the size nor the factor was given, the number of dimensions does not fit, or an extent
/// is or becomes 0.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.Upsample.html>.
///
/// ```
/// use gradus_nn::{Forward, Interpolation, Upsample};
/// use gradus_tensor::Tensor;
/// let x = Tensor::arange(4).reshape([1, 1, 2, 2]);
/// let y = Upsample::new().scale_factor(2.0).forward(&x);
/// assert_eq!(y.select(2, 3).to_vec::<f32>(), [2.0, 2.0, 3.0, 3.0]);
/// let bilinear = Upsample::new().size([3, 3]).mode(Interpolation::Linear { align_corners: true });
/// assert_eq!(bilinear.forward(&x).select(2, 1).to_vec::<f32>(), [1.0, 1.5, 2.0]);
/// ```
#[derive(Clone, Debug, Module)]
pub struct Upsample {
    size: Option<Vec<usize>>,
    scale_factor: Option<Vec<f64>>,
    recompute_scale_factor: bool,
    #[module(skip)]
    mode: Interpolation,
    scope: Scope,
}

/// One number for every spatial dimension, or a list of one each.
pub trait IntoEach<T> {
    /// The list; a single number stands for all.
    fn into_each(self) -> Vec<T>;
}

macro_rules! each {
    ($($t:ty),*) => { $(
        impl IntoEach<$t> for $t {
            fn into_each(self) -> Vec<$t> {
                vec![self]
            }
        }
        impl<const D: usize> IntoEach<$t> for [$t; D] {
            fn into_each(self) -> Vec<$t> {
                self.to_vec()
            }
        }
    )* };
}
each!(usize, f64);

impl Upsample {
    /// To a size or by a factor that has yet to be named, by the nearest element.
    pub fn new() -> Upsample {
        Upsample {
            size: None,
            scale_factor: None,
            recompute_scale_factor: false,
            mode: Interpolation::Nearest,
            scope: Scope::default(),
        }
    }

    /// To this size, which replaces a factor.
    pub fn size(mut self, size: impl IntoEach<usize>) -> Upsample {
        (self.size, self.scale_factor) = (Some(size.into_each()), None);
        self
    }

    /// By this factor, which replaces a size.
    pub fn scale_factor(mut self, scale_factor: impl IntoEach<f64>) -> Upsample {
        (self.size, self.scale_factor) = (None, Some(scale_factor.into_each()));
        self
    }

    /// How elements are found between the given ones (the nearest).
    pub fn mode(mut self, mode: Interpolation) -> Upsample {
        self.mode = mode;
        self
    }

    /// Whether the factor only fixes the output's size, and an element of the output then advances in / out
    /// elements of the input, instead of exactly 1 / factor (no).
    pub fn recompute_scale_factor(mut self, on: bool) -> Upsample {
        self.recompute_scale_factor = on;
        self
    }
}

impl Default for Upsample {
    fn default() -> Upsample {
        Upsample::new()
    }
}

/// The list for `n` dimensions: a single number stands for all.
fn spread<T: Copy>(list: &[T], n: usize) -> Vec<T> {
    if let [one] = list { vec![*one; n] } else { list.to_vec() }
}

impl Forward for Upsample {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        let n = x.rank().saturating_sub(2);
        match (&self.size, &self.scale_factor) {
            (Some(size), _) => x.interpolate(spread(size, n), self.mode),
            (None, Some(factors)) => {
                let factors = spread(factors, n);
                if self.recompute_scale_factor && factors.len() == n {
                    let extent = |(f, &n): (&f64, &usize)| (n as f64 * f).floor() as usize;
                    let size: Vec<usize> = factors.iter().zip(&x.shape()[2..]).map(extent).collect();
                    return x.interpolate(size, self.mode);
                }
                x.interpolate_scale(&factors, self.mode)
            }
            (None, None) => fail("Upsample", "needs a size or a scale_factor"),
        }
    }
}
