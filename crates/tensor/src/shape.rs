//! Shapes, strides and the arguments that name shapes and dimensions.

use crate::fail;
use std::fmt;
use std::ops::Deref;

/// The highest number of dimensions a tensor can have.
pub const MAX_RANK: usize = 8;

/// The extents of a tensor's dimensions, outermost first. Copies freely and reads as `[usize]`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    rank: u8,
    dims: [usize; MAX_RANK],
}

impl Shape {
    /// A shape with the given extents.
    ///
    /// # Panics
    /// With more than [`MAX_RANK`] dimensions.
    #[track_caller]
    pub fn new(dims: &[usize]) -> Shape {
        if dims.len() > MAX_RANK {
            fail("shape", format_args!("{dims:?} has {} dimensions, at most {MAX_RANK} are possible", dims.len()));
        }
        let mut s = Shape { rank: dims.len() as u8, dims: [0; MAX_RANK] };
        s.dims[..dims.len()].copy_from_slice(dims);
        s
    }

    /// Number of elements: the product of the extents, 1 for a scalar.
    pub fn numel(&self) -> usize {
        self.iter().product()
    }

    /// Strides of a row-major (C order) tensor of this shape.
    pub fn row_major(&self) -> Shape {
        let mut s = *self;
        let mut step = 1;
        for i in (0..self.len()).rev() {
            s.dims[i] = step;
            step *= self[i].max(1);
        }
        s
    }

    pub(crate) fn push(&mut self, d: usize) {
        if self.rank as usize == MAX_RANK {
            fail("shape", format_args!("more than {MAX_RANK} dimensions"));
        }
        self.dims[self.rank as usize] = d;
        self.rank += 1;
    }

    pub(crate) fn insert(&mut self, at: usize, d: usize) {
        self.push(0);
        self.dims.copy_within(at..self.rank as usize - 1, at + 1);
        self.dims[at] = d;
    }

    pub(crate) fn remove(&mut self, at: usize) {
        self.dims.copy_within(at + 1..self.rank as usize, at);
        self.rank -= 1;
        self.dims[self.rank as usize] = 0;
    }

    pub(crate) fn set(&mut self, at: usize, d: usize) {
        assert!(at < self.rank as usize);
        self.dims[at] = d;
    }

    /// The shape two operands broadcast to, or `None` where two extents differ and neither is 1.
    pub fn broadcast(&self, other: &Shape) -> Option<Shape> {
        let n = self.len().max(other.len());
        let mut out = Shape { rank: n as u8, dims: [0; MAX_RANK] };
        for i in 0..n {
            let at = |s: &Shape| if i + s.len() >= n { s[i + s.len() - n] } else { 1 };
            out.dims[i] = match (at(self), at(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(out)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<const N: usize> PartialEq<[usize; N]> for Shape {
    fn eq(&self, other: &[usize; N]) -> bool {
        **self == other[..]
    }
}

/// Where a view's elements lie in its storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub shape: Shape,
    pub strides: Shape,
    pub offset: usize,
}

impl Layout {
    pub fn contiguous(shape: Shape) -> Layout {
        Layout { shape, strides: shape.row_major(), offset: 0 }
    }

    pub fn is_contiguous(&self) -> bool {
        if self.shape.contains(&0) {
            return true;
        }
        let mut step = 1;
        for i in (0..self.shape.len()).rev() {
            if self.shape[i] != 1 && self.strides[i] != step {
                return false;
            }
            step *= self.shape[i];
        }
        true
    }

    /// Strides with which this layout reads as the broadcast shape `to` (0 along repeated dimensions).
    pub fn broadcast_strides(&self, to: &Shape) -> Shape {
        let mut s = Shape::new(&vec![0; to.len()][..]);
        let shift = to.len() - self.shape.len();
        for i in 0..self.shape.len() {
            if self.shape[i] == to[i + shift] && self.shape[i] != 1 {
                s.set(i + shift, self.strides[i]);
            }
        }
        s
    }
}

/// Anything that names a shape: `[2, 3]`, `&[usize]`, `Vec<usize>`, a [`Shape`], a single extent.
/// Where a shape is asked of existing elements (`reshape`, `view`), one entry may be -1: it is inferred.
pub trait IntoShape {
    /// The entries as signed numbers.
    fn into_entries(self) -> Vec<isize>;

    /// The shape itself.
    ///
    /// # Panics
    /// If an entry is negative.
    #[track_caller]
    fn into_shape(self) -> Shape
    where
        Self: Sized,
    {
        let e = self.into_entries();
        if let Some(bad) = e.iter().find(|&&d| d < 0) {
            fail("shape", format_args!("{e:?} has the negative extent {bad}"));
        }
        Shape::new(&e.iter().map(|&d| d as usize).collect::<Vec<_>>())
    }
}

macro_rules! into_shape {
    ($($t:ty),*) => {$(
        impl<const N: usize> IntoShape for [$t; N] {
            fn into_entries(self) -> Vec<isize> { self.iter().map(|&d| d as isize).collect() }
        }
        impl<const N: usize> IntoShape for &[$t; N] {
            fn into_entries(self) -> Vec<isize> { self.iter().map(|&d| d as isize).collect() }
        }
        impl IntoShape for &[$t] {
            fn into_entries(self) -> Vec<isize> { self.iter().map(|&d| d as isize).collect() }
        }
        impl IntoShape for Vec<$t> {
            fn into_entries(self) -> Vec<isize> { self.iter().map(|&d| d as isize).collect() }
        }
        impl IntoShape for &Vec<$t> {
            fn into_entries(self) -> Vec<isize> { self.iter().map(|&d| d as isize).collect() }
        }
    )*};
}
into_shape!(usize, i32, isize, i64);

impl IntoShape for Shape {
    fn into_entries(self) -> Vec<isize> {
        self.iter().map(|&d| d as isize).collect()
    }
    fn into_shape(self) -> Shape {
        self
    }
}
impl IntoShape for &Shape {
    fn into_entries(self) -> Vec<isize> {
        (*self).into_entries()
    }
    fn into_shape(self) -> Shape {
        *self
    }
}
impl IntoShape for usize {
    fn into_entries(self) -> Vec<isize> {
        vec![self as isize]
    }
}
impl IntoShape for () {
    fn into_entries(self) -> Vec<isize> {
        vec![]
    }
}

/// One or several dimensions, negative ones counted from the end: `1`, `-1`, `[0, 2]`.
pub trait IntoDims {
    /// The dimensions as written.
    fn into_dims(self) -> Vec<isize>;
}
impl IntoDims for isize {
    fn into_dims(self) -> Vec<isize> {
        vec![self]
    }
}
impl<const N: usize> IntoDims for [isize; N] {
    fn into_dims(self) -> Vec<isize> {
        self.to_vec()
    }
}
impl<const N: usize> IntoDims for &[isize; N] {
    fn into_dims(self) -> Vec<isize> {
        self.to_vec()
    }
}
impl IntoDims for &[isize] {
    fn into_dims(self) -> Vec<isize> {
        self.to_vec()
    }
}
impl IntoDims for Vec<isize> {
    fn into_dims(self) -> Vec<isize> {
        self
    }
}

/// `dim` counted from the front.
#[track_caller]
pub(crate) fn resolve_dim(op: &str, dim: isize, rank: usize) -> usize {
    let r = rank as isize;
    if dim < -r || dim >= r {
        fail(
            op,
            format_args!(
                "dimension {dim} is out of range for a tensor of {rank} dimensions (allowed: {} to {})",
                -r,
                r - 1
            ),
        );
    }
    (if dim < 0 { dim + r } else { dim }) as usize
}

/// Several dimensions counted from the front, sorted, refusing a repeated one.
#[track_caller]
pub(crate) fn resolve_dims(op: &str, dims: impl IntoDims, rank: usize) -> Vec<usize> {
    let written = dims.into_dims();
    let mut out: Vec<usize> = written.iter().map(|&d| resolve_dim(op, d, rank)).collect();
    out.sort_unstable();
    if out.windows(2).any(|w| w[0] == w[1]) {
        fail(op, format_args!("dimension named twice in {written:?}"));
    }
    out
}
