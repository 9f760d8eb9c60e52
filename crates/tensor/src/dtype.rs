//! Element types and their promotion.

use half::{bf16, f16};
use std::fmt;

/// The type of a tensor's elements.
///
/// `F16` and `BF16` are storage formats: convert with [`crate::Tensor::to_dtype`] before computing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit IEEE float, the default for computation.
    F32,
    /// 64-bit IEEE float.
    F64,
    /// 16-bit IEEE float, storage only.
    F16,
    /// 16-bit brain float, storage only.
    BF16,
    /// 64-bit signed integer, the type of labels and indices.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 8-bit unsigned integer.
    U8,
    /// Truth value, one byte each.
    Bool,
}

impl DType {
    /// Bytes an element takes.
    pub const fn size(self) -> usize {
        match self {
            DType::F64 | DType::I64 => 8,
            DType::F32 | DType::I32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::U8 | DType::Bool => 1,
        }
    }

    /// Whether this is one of the four floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::BF16)
    }

    /// The lower-case short name: `f32`, `i64`, `bool` ...
    pub const fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::U8 => "u8",
            DType::Bool => "bool",
        }
    }

    /// The type in which an operation on `self` and `other` is computed: the wider one, a float
    /// winning over any integer, an integer over `bool` (NumPy's and PyTorch's rule for tensors).
    pub fn promote(self, other: DType) -> DType {
        use DType::*;
        if self == other {
            return self;
        }
        match (self.is_float(), other.is_float()) {
            (true, false) => self,
            (false, true) => other,
            (true, true) if self == F64 || other == F64 => F64,
            (true, true) => F32,
            (false, false) => {
                let rank = |d: DType| match d {
                    Bool => 0,
                    U8 => 1,
                    I32 => 2,
                    _ => 3,
                };
                if rank(self) > rank(other) { self } else { other }
            }
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that can be an element of a tensor.
pub trait Element: sealed::Sealed + Copy + Send + Sync + Default + PartialEq + fmt::Debug + 'static {
    /// The run-time name of this type.
    const DTYPE: DType;
    /// Converts from f64, rounding and saturating as `as` does.
    fn from_f64(v: f64) -> Self;
    /// Converts to f64 (exact for every type but i64 beyond 2^53).
    fn to_f64(self) -> f64;
}

macro_rules! element {
    ($t:ty, $d:ident, $from:expr, $to:expr) => {
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                $from(v)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                $to(self)
            }
        }
    };
}
element!(f32, F32, |v| v as f32, |v| v as f64);
element!(f64, F64, |v| v, |v| v);
element!(f16, F16, f16::from_f64, f16::to_f64);
element!(bf16, BF16, bf16::from_f64, bf16::to_f64);
element!(i64, I64, |v| v as i64, |v| v as f64);
element!(i32, I32, |v| v as i32, |v| v as f64);
element!(u8, U8, |v| v as u8, |v| v as f64);
element!(bool, Bool, |v| v != 0.0, |v| if v { 1.0 } else { 0.0 });

/// Runs `$body` as the kernel of `$op`, with `$t` bound to f32 or f64; any other type is refused in the name of `$op`.
#[macro_export]
#[doc(hidden)]
macro_rules! dispatch_float {
    ($dtype:expr, $op:expr, $t:ident => $body:expr) => {{
        let _span = $crate::profiler::dispatch($op);
        $crate::match_float!($dtype, $op, $t => $body)
    }};
}

/// As [`dispatch_float`] for what is no operation by itself.
#[macro_export]
#[doc(hidden)]
macro_rules! match_float {
    ($dtype:expr, $op:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            other => $crate::fail($op, format_args!("needs f32 or f64 elements, got {other}; convert with to_dtype")),
        }
    };
}

/// Runs `$body` with `$t` bound to f32, f64, i64, i32 or u8.
#[macro_export]
#[doc(hidden)]
macro_rules! dispatch_num {
    ($dtype:expr, $op:expr, $t:ident => $body:expr) => {{
        let _span = $crate::profiler::dispatch($op);
        match $dtype {
            $crate::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            $crate::DType::I64 => {
                type $t = i64;
                $body
            }
            $crate::DType::I32 => {
                type $t = i32;
                $body
            }
            $crate::DType::U8 => {
                type $t = u8;
                $body
            }
            other => $crate::fail($op, format_args!("does not compute in {other}; convert with to_dtype")),
        }
    }};
}

/// Runs `$body` with `$t` bound to an unsigned integer as wide as an element: for moving bits.
#[macro_export]
#[doc(hidden)]
macro_rules! dispatch_any {
    ($dtype:expr, $t:ident => $body:expr) => {{
        let _span = $crate::profiler::moving();
        match $dtype.size() {
            8 => {
                type $t = u64;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            _ => {
                type $t = u8;
                $body
            }
        }
    }};
}
