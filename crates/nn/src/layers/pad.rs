//! Padding as layers.

use crate::module::{Forward, Module, Scope};
use gradus_tensor::{PadMode, Tensor, fail};

/// How much is added around `D` spatial dimensions: one number for every side, or PyTorch's list, which names the
/// last dimension first: `[left, right]`, `[left, right, top, bottom]`, `[left, right, top, bottom, front, back]`.
/// Negative numbers take positions away.
pub trait IntoPads<const D: usize> {
    /// Before and after, the first spatial dimension first.
    fn into_pads(self) -> [(isize, isize); D];
}

impl<const D: usize> IntoPads<D> for isize {
    fn into_pads(self) -> [(isize, isize); D] {
        [(self, self); D]
    }
}

macro_rules! lists {
    ($($d:literal $n:literal),*) => { $(
        impl IntoPads<$d> for [isize; $n] {
            fn into_pads(self) -> [(isize, isize); $d] {
                std::array::from_fn(|d| (self[2 * ($d - 1 - d)], self[2 * ($d - 1 - d) + 1]))
            }
        }
    )* };
}
lists!(1 2, 2 4, 3 6);

/// Pads the last `D` dimensions of `[N, C, ..]` or `[C, ..]`.
fn pad<const D: usize>(kind: &str, x: &Tensor, pads: &[(isize, isize); D], mode: PadMode) -> Tensor {
    if x.rank() != D + 1 && x.rank() != D + 2 {
        fail(kind, format_args!("needs [N, C, ..] or [C, ..] with {D} spatial dimensions, got an input {}", x.shape()));
    }
    x.pad(pads, mode)
}

macro_rules! pad_layers {
    ($($(#[$doc:meta])* $name:ident ($one:ident, $two:ident, $three:ident) = $mode:expr, $args:literal;)*) => { $(
        #[doc = concat!("See [`", stringify!($name), "`], for `[N, C, L]`.")]
        pub type $one = $name<1>;
        #[doc = concat!("See [`", stringify!($name), "`], for `[N, C, H, W]`.")]
        pub type $two = $name<2>;
        #[doc = concat!("See [`", stringify!($name), "`], for `[N, C, D, H, W]`.")]
        pub type $three = $name<3>;

        $(#[$doc])*
        ///
        /// # Shapes
        /// `[N, C, size...]` -> `[N, C, before + size + after, ...]`; also without N
        ///
        /// # Panics
        /// `forward` panics if the input has another rank or cannot be padded that much.
        ///
        #[doc = concat!(
            "Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.", stringify!($two), ".html>."
        )]
        #[derive(Clone, Debug, Module)]
        #[module(kind = "Self::KIND")]
        pub struct $name<const D: usize> {
            #[module(skip)]
            padding: [(isize, isize); D],
            scope: Scope,
        }

        impl<const D: usize> $name<D> {
            const KIND: &str = match D {
                1 => stringify!($one),
                2 => stringify!($two),
                3 => stringify!($three),
                _ => panic!("padding is for 1, 2 or 3 dimensions"),
            };

            #[doc = concat!("Adds ", $args, " on every side, or on each as PyTorch lists them; see [`IntoPads`].")]
            pub fn new(padding: impl IntoPads<D>) -> Self {
                $name { padding: padding.into_pads(), scope: Scope::default() }
            }
        }

        impl<const D: usize> Forward for $name<D> {
            fn forward(&self, x: &Tensor) -> Tensor {
                let _scope = self.scope.enter();
                pad(Self::KIND, x, &self.padding, $mode)
            }
        }
    )* };
}

pad_layers! {
    /// Adds zeros around the spatial dimensions: the border of black pixels. Negative numbers crop.
    ///
    /// ```
    /// use gradus_nn::{Forward, ZeroPad2d};
    /// use gradus_tensor::Tensor;
    /// let y = ZeroPad2d::new([1, 0, 0, -1]).forward(&Tensor::ones([1, 1, 2, 2]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 1.0, 1.0]);
    /// ```
    ZeroPad (ZeroPad1d, ZeroPad2d, ZeroPad3d) = PadMode::Constant(0.0), "zeros";

    /// Adds the elements mirrored at the edge, which is not repeated: `dcb|abcd|cba`.
    ///
    /// ```
    /// use gradus_nn::{Forward, ReflectionPad1d};
    /// use gradus_tensor::Tensor;
    /// let y = ReflectionPad1d::new(2).forward(&Tensor::arange(3).reshape([1, 3]));
    /// assert_eq!(y.to_vec::<f32>(), [2.0, 1.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
    /// ```
    ReflectionPad (ReflectionPad1d, ReflectionPad2d, ReflectionPad3d) = PadMode::Reflect, "mirrored elements";

    /// Adds copies of the edge, which so is extended: `aaa|abcd|ddd`.
    ///
    /// ```
    /// use gradus_nn::{Forward, ReplicationPad1d};
    /// use gradus_tensor::Tensor;
    /// let y = ReplicationPad1d::new([2, 1]).forward(&Tensor::arange(3).reshape([1, 3]));
    /// assert_eq!(y.to_vec::<f32>(), [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]);
    /// ```
    ReplicationPad (ReplicationPad1d, ReplicationPad2d, ReplicationPad3d) = PadMode::Replicate, "copies of the edge";

    /// Adds the elements of the other end: `bcd|abcd|abc`.
    ///
    /// ```
    /// use gradus_nn::{CircularPad1d, Forward};
    /// use gradus_tensor::Tensor;
    /// let y = CircularPad1d::new([2, 1]).forward(&Tensor::arange(3).reshape([1, 3]));
    /// assert_eq!(y.to_vec::<f32>(), [1.0, 2.0, 0.0, 1.0, 2.0, 0.0]);
    /// ```
    CircularPad (CircularPad1d, CircularPad2d, CircularPad3d) = PadMode::Circular, "elements of the other end";
}

/// See [`ConstantPad`], for `[N, C, L]`.
pub type ConstantPad1d = ConstantPad<1>;
/// See [`ConstantPad`], for `[N, C, H, W]`.
pub type ConstantPad2d = ConstantPad<2>;
/// See [`ConstantPad`], for `[N, C, D, H, W]`.
pub type ConstantPad3d = ConstantPad<3>;

/// Adds one value around the spatial dimensions. Negative numbers crop.
///
/// # Shapes
/// `[N, C, size...]` -> `[N, C, before + size + after, ...]`; also without N
///
/// # Panics
/// `forward` panics if the input has another rank or less than nothing would be left.
///
/// Source: PyTorch, <https://docs.pytorch.org/docs/stable/generated/torch.nn.ConstantPad2d.html>.
///
/// ```
/// use gradus_nn::{ConstantPad1d, Forward};
/// use gradus_tensor::Tensor;
/// let y = ConstantPad1d::new([1, 2], 7.0).forward(&Tensor::ones([1, 1]));
/// assert_eq!(y.to_vec::<f32>(), [7.0, 1.0, 7.0, 7.0]);
/// ```
#[derive(Clone, Debug, Module)]
#[module(kind = "Self::KIND")]
pub struct ConstantPad<const D: usize> {
    #[module(skip)]
    padding: [(isize, isize); D],
    value: f64,
    scope: Scope,
}

impl<const D: usize> ConstantPad<D> {
    const KIND: &str = match D {
        1 => "ConstantPad1d",
        2 => "ConstantPad2d",
        3 => "ConstantPad3d",
        _ => panic!("padding is for 1, 2 or 3 dimensions"),
    };

    /// Adds `value` on every side, or on each as PyTorch lists them; see [`IntoPads`].
    pub fn new(padding: impl IntoPads<D>, value: f64) -> Self {
        ConstantPad { padding: padding.into_pads(), value, scope: Scope::default() }
    }
}

impl<const D: usize> Forward for ConstantPad<D> {
    fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = self.scope.enter();
        pad(Self::KIND, x, &self.padding, PadMode::Constant(self.value))
    }
}
