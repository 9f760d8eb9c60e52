//! Register-tile kernels under the matrix products and convolutions.
//!
//! A tile is `MR` rows by `NV` vectors of accumulators that stay in registers while `k` runs:
//! `acc[i][j] += a(i, p) * b(p, j)` with `b` a row of `NV` vectors and `a(i, p)` a broadcast scalar.
//! The body is written once over [`Vector`] and compiled for each instruction set.

pub mod dot;

use dot::{DOTS, Dot, DotKernel};

#[cfg(target_arch = "x86_64")]
use super::simd::{Level, level};

/// A floating-point element of the kernels: `f32` or `f64`.
pub trait Float:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + std::fmt::Debug
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::AddAssign
    + std::ops::MulAssign
    + std::iter::Sum
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;
    /// The nearest value of this type.
    fn from_f64(v: f64) -> Self;
    /// The value as `f64`.
    fn to_f64(self) -> f64;
    /// Whether this is a NaN.
    fn is_nan(self) -> bool;
    /// The tile kernels of the instruction set in use.
    fn tiles() -> Tiles<Self>;
    /// Does `work` with the registers of the instruction set in use.
    fn vectored<W: Work<Self>>(work: W);
}

/// Work that is written over registers, and compiled for each instruction set; see [`Float::vectored`].
pub trait Work<T: Float> {
    /// Does it. What it calls must be `#[inline(always)]`, closures given to others included.
    ///
    /// # Safety
    /// The instruction set of `V` must be the machine's.
    unsafe fn run<V: Vector<T = T>>(self);
}

/// Where the scalars `a(i, p)` of a tile lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// `a + i + p * a_step`: the rows of the tile are neighbours.
    Rows = 0,
    /// `a + i * a_step + p`: `k` is contiguous, each row has its own pointer.
    Depth = 1,
    /// `a + i + table[p]`: neighbours at offsets from a table (convolutions).
    Table = 2,
    /// `a + spread[i] + table[p]`: both offsets from tables (gradients of convolution weights).
    Spread = 3,
}

/// Arguments of a tile kernel; see [`Walk`] for `a`.
#[derive(Clone, Copy)]
pub struct Tile<T> {
    /// Steps of the reduction.
    pub k: usize,
    /// First scalar.
    pub a: *const T,
    /// Stride of `a`, by its [`Walk`].
    pub a_step: usize,
    /// `k` offsets for [`Walk::Table`] and [`Walk::Spread`].
    pub table: *const u32,
    /// One offset a row for [`Walk::Spread`].
    pub spread: *const u32,
    /// First row of `b`: each row has `NV` full vectors.
    pub b: *const T,
    /// Elements from one row of `b` to the next.
    pub b_step: usize,
    /// First element of the output tile, whose columns are contiguous.
    pub c: *mut T,
    /// Elements from one row of `c` to the next.
    pub c_step: usize,
    /// Columns of `c` that exist: more than `(NV - 1)` vectors, at most `NV`.
    pub cols: usize,
    /// Factor of the product.
    pub alpha: T,
    /// Factor of the old `c`, which is not read if this is zero.
    pub beta: T,
    /// One term a column, or null.
    pub bias: *const T,
}

/// A tile kernel.
///
/// # Safety
/// Every address that [`Tile`] describes for the kernel's rows and vectors must be readable (`c`:
/// writable in its first `cols` columns), and the instruction set must be the machine's.
pub type Kernel<T> = unsafe fn(&Tile<T>);

/// The tile kernels of one element type and instruction set.
#[derive(Clone, Copy)]
pub struct Tiles<T> {
    /// Elements in a vector.
    pub lanes: usize,
    /// Most vectors in a tile.
    pub max_vectors: usize,
    /// Most rows for a number of vectors.
    pub max_rows: fn(Walk, usize) -> usize,
    /// The kernel for a number of rows and vectors within those limits.
    pub kernel: fn(Walk, usize, usize) -> Kernel<T>,
    /// Most rows of the first operand in a kernel of scalar products.
    pub max_dot_rows: usize,
    /// The kernel of scalar products for numbers of rows of the first (within that limit) and of the second
    /// operand (within [`DOTS`]).
    pub dot: fn(usize, usize) -> DotKernel<T>,
    /// Transposes a block: `dst[p * dst_step + i] = src[i * src_step + p]` for the first `rows`
    /// rows (`p`) and `cols` columns (`i`) of the result. Of each of `cols` rows of the source, `lanes` elements are
    /// read.
    pub transpose: unsafe fn(block: &Block<T>),
    /// Copies a matrix of short rows; see [`Rows`].
    pub copy: unsafe fn(rows: &Rows<T>),
}

/// A block to be transposed; see [`Tiles::transpose`].
#[derive(Clone, Copy)]
pub struct Block<T> {
    /// First element of the source.
    pub src: *const T,
    /// Elements from one row of the source to the next.
    pub src_step: usize,
    /// First element of the result.
    pub dst: *mut T,
    /// Elements from one row of the result to the next.
    pub dst_step: usize,
    /// Rows of the result that are written.
    pub rows: usize,
    /// Columns of the result that are written.
    pub cols: usize,
}

/// A matrix to be copied: `rows` rows of `cols` elements, ahead of which the cache is warmed.
#[derive(Clone, Copy)]
pub struct Rows<T> {
    /// First element of the source.
    pub src: *const T,
    /// Elements from one row of the source to the next.
    pub src_step: usize,
    /// First element of the copy.
    pub dst: *mut T,
    /// Elements from one row of the copy to the next.
    pub dst_step: usize,
    /// Number of rows.
    pub rows: usize,
    /// Elements in a row.
    pub cols: usize,
    /// Whether the copy's rows are filled with zeros to whole vectors.
    pub pad: bool,
}

/// One SIMD register. All functions need the instruction set at run time, and their addresses must be valid.
pub trait Vector: Copy {
    /// Of each lane.
    type T: Float;
    /// Elements of a register.
    const LANES: usize;
    /// The same number in all lanes.
    ///
    /// # Safety
    /// See the trait; so for all functions below.
    unsafe fn splat(v: Self::T) -> Self;
    /// Reads all lanes.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn load(p: *const Self::T) -> Self;
    /// Writes all lanes.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn store(self, p: *mut Self::T);
    /// Loads the first `n` lanes; the others are zero.
    ///
    /// # Safety
    /// See the trait; `n` is at most `LANES`.
    unsafe fn load_first(p: *const Self::T, n: usize) -> Self;
    /// Writes the first `n` lanes.
    ///
    /// # Safety
    /// See the trait; `n` is at most `LANES`.
    unsafe fn store_first(self, p: *mut Self::T, n: usize);
    /// Stores the first `n` lanes, most often all.
    #[inline(always)]
    unsafe fn store_some(self, p: *mut Self::T, n: usize) {
        // SAFETY: the caller vouches for `n` elements.
        unsafe { if n == Self::LANES { self.store(p) } else { self.store_first(p, n) } }
    }
    /// `self * b + c`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn fma(self, b: Self, c: Self) -> Self;
    /// The sum of the lanes of each.
    #[inline(always)]
    unsafe fn sums(v: [Self; DOTS]) -> [Self::T; DOTS] {
        v.map(|v| {
            let mut lanes = [Self::T::ZERO; 16];
            // SAFETY: no vector has more lanes.
            unsafe { v.store(lanes.as_mut_ptr()) };
            let mut n = 16;
            while n > 1 {
                n /= 2;
                for i in 0..n {
                    lanes[i] += lanes[i + n];
                }
            }
            lanes[0]
        })
    }
    /// Asks for the cache line of an address, which need not be valid.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn prefetch(p: *const Self::T);
}

/// Rows of the source that [`copy_rows`] asks for ahead of the one it copies.
const AHEAD: usize = 12;

#[inline(always)]
unsafe fn copy_rows<V: Vector>(r: &Rows<V::T>) {
    let full = r.cols / V::LANES;
    let rest = r.cols % V::LANES;
    for i in 0..r.rows {
        // SAFETY: the caller vouches for all rows; prefetched addresses need not be valid.
        unsafe {
            let (src, dst) = (r.src.add(i * r.src_step), r.dst.add(i * r.dst_step));
            let ahead = src.wrapping_add(AHEAD * r.src_step);
            for j in 0..full {
                V::prefetch(ahead.wrapping_add(j * V::LANES));
                V::load(src.add(j * V::LANES)).store(dst.add(j * V::LANES));
            }
            if rest > 0 {
                V::prefetch(ahead.wrapping_add(full * V::LANES));
                let v = V::load_first(src.add(full * V::LANES), rest);
                let dst = dst.add(full * V::LANES);
                if r.pad { v.store(dst) } else { v.store_first(dst, rest) }
            }
        }
    }
}

/// The body of every tile kernel.
#[inline(always)]
unsafe fn body<V: Vector, const MR: usize, const NV: usize, const WALK: usize>(t: &Tile<V::T>) {
    // SAFETY: the caller vouches for every address; see `Kernel`.
    unsafe {
        for i in 0..MR {
            for j in 0..NV {
                // The output is touched only at the end: its lines arrive meanwhile.
                V::prefetch(t.c.wrapping_add(i * t.c_step + j * V::LANES));
            }
        }
        let zero = V::splat(V::T::ZERO);
        let mut acc = [[zero; NV]; MR];
        let (mut b, mut a) = (t.b, t.a);
        let mut at = [t.a; MR];
        if WALK == 3 {
            for i in 0..MR {
                at[i] = t.a.add(*t.spread.add(i) as usize);
            }
        }
        for p in 0..t.k {
            let mut row = [zero; NV];
            for j in 0..NV {
                row[j] = V::load(b.add(j * V::LANES));
            }
            b = b.add(t.b_step);
            let here = match WALK {
                0 => a,
                1 => t.a.add(p),
                2 => t.a.add(*t.table.add(p) as usize),
                _ => t.a,
            };
            let step = if WALK == 3 { *t.table.add(p) as usize } else { 0 };
            for i in 0..MR {
                let x = V::splat(match WALK {
                    1 => *here.add(i * t.a_step),
                    3 => *at[i].add(step),
                    _ => *here.add(i),
                });
                for j in 0..NV {
                    acc[i][j] = x.fma(row[j], acc[i][j]);
                }
            }
            if WALK == 0 {
                a = a.add(t.a_step);
            }
        }
        finish::<V, MR, NV>(t, &acc);
    }
}

#[inline(always)]
unsafe fn finish<V: Vector, const MR: usize, const NV: usize>(t: &Tile<V::T>, acc: &[[V; NV]; MR]) {
    // SAFETY: the caller vouches for every address; see `Kernel`.
    unsafe {
        let zero = V::splat(V::T::ZERO);
        let last = t.cols - (NV - 1) * V::LANES;
        let plain = t.beta == V::T::ZERO && t.bias.is_null() && t.alpha == V::T::ONE;
        let (alpha, beta) = (V::splat(t.alpha), V::splat(t.beta));
        for i in 0..MR {
            for j in 0..NV {
                let c = t.c.add(i * t.c_step + j * V::LANES);
                let full = j + 1 < NV || last == V::LANES;
                let mut v = acc[i][j];
                if !plain {
                    let mut base = zero;
                    if !t.bias.is_null() {
                        let bias = t.bias.add(j * V::LANES);
                        base = if full { V::load(bias) } else { V::load_first(bias, last) };
                    }
                    if t.beta != V::T::ZERO {
                        let old = if full { V::load(c) } else { V::load_first(c, last) };
                        base = beta.fma(old, base);
                    }
                    v = alpha.fma(v, base);
                }
                if full { v.store(c) } else { v.store_first(c, last) }
            }
        }
    }
}

/// Picks a kernel from all (rows, vectors) pairs listed.
macro_rules! pick {
    ($f:ident, $walk:expr, $mr:expr, $nv:expr, [$($nvs:literal: $($mrs:literal)*;)*]) => {
        match ($walk as usize, $mr, $nv) {
            $($((0, $mrs, $nvs) => $f::<$mrs, $nvs, 0>,)*)*
            $($((1, $mrs, $nvs) => $f::<$mrs, $nvs, 1>,)*)*
            $($((2, $mrs, $nvs) => $f::<$mrs, $nvs, 2>,)*)*
            $($((3, $mrs, $nvs) => $f::<$mrs, $nvs, 3>,)*)*
            (walk, mr, nv) => panic!("no tile kernel of {mr} rows and {nv} vectors for walk {walk}"),
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86;

/// Eight elements that the compiler maps to whatever registers the machine has.
#[derive(Clone, Copy)]
pub struct Plain<T>([T; 8]);

impl<T: Float> Vector for Plain<T> {
    type T = T;
    const LANES: usize = 8;
    #[inline(always)]
    unsafe fn splat(v: T) -> Self {
        Plain([v; 8])
    }
    #[inline(always)]
    unsafe fn load(p: *const T) -> Self {
        // SAFETY: the caller vouches for eight elements.
        unsafe { Plain(p.cast::<[T; 8]>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut T) {
        // SAFETY: the caller vouches for eight elements.
        unsafe { p.cast::<[T; 8]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const T, n: usize) -> Self {
        let mut v = [T::ZERO; 8];
        for (i, x) in v[..n].iter_mut().enumerate() {
            // SAFETY: the caller vouches for the first `n` elements.
            *x = unsafe { *p.add(i) };
        }
        Plain(v)
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut T, n: usize) {
        for (i, &x) in self.0[..n].iter().enumerate() {
            // SAFETY: the caller vouches for the first `n` elements.
            unsafe { *p.add(i) = x };
        }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, c: Self) -> Self {
        Plain(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }
    #[inline(always)]
    unsafe fn prefetch(_: *const T) {}
}

unsafe fn plain_tile<T: Float, const MR: usize, const NV: usize, const WALK: usize>(t: &Tile<T>) {
    // SAFETY: forwarded from the caller; see `Kernel`.
    unsafe { body::<Plain<T>, MR, NV, WALK>(t) }
}

unsafe fn plain_dot<T: Float, const MR: usize, const NR: usize>(t: &Dot<T>) {
    // SAFETY: forwarded from the caller; see `DotKernel`.
    unsafe { dot::body::<Plain<T>, MR, NR>(t) }
}

unsafe fn plain_copy<T: Float>(r: &Rows<T>) {
    // SAFETY: forwarded from the caller.
    unsafe { copy_rows::<Plain<T>>(r) }
}

unsafe fn transpose_scalar<V: Vector>(b: &Block<V::T>) {
    for p in 0..b.rows {
        for i in 0..b.cols {
            // SAFETY: the caller vouches for both blocks.
            unsafe { *b.dst.add(p * b.dst_step + i) = *b.src.add(i * b.src_step + p) };
        }
    }
}

/// The tile kernels of a machine of which nothing is known.
fn portable<T: Float>() -> Tiles<T> {
    fn kernel<T: Float>(walk: Walk, mr: usize, nv: usize) -> Kernel<T> {
        macro_rules! plain {
            ($walk:literal) => {
                match (mr, nv) {
                    (1, 1) => plain_tile::<T, 1, 1, $walk>,
                    (2, 1) => plain_tile::<T, 2, 1, $walk>,
                    (3, 1) => plain_tile::<T, 3, 1, $walk>,
                    (4, 1) => plain_tile::<T, 4, 1, $walk>,
                    _ => panic!("no portable tile kernel of {mr} rows and {nv} vectors"),
                }
            };
        }
        match walk {
            Walk::Rows => plain!(0),
            Walk::Depth => plain!(1),
            Walk::Table => plain!(2),
            Walk::Spread => plain!(3),
        }
    }
    Tiles {
        lanes: 8,
        max_vectors: 1,
        max_rows: |_, _| 4,
        kernel: kernel::<T>,
        max_dot_rows: 1,
        dot: |_, nr| match nr {
            1 => plain_dot::<T, 1, 1>,
            2 => plain_dot::<T, 1, 2>,
            3 => plain_dot::<T, 1, 3>,
            _ => plain_dot::<T, 1, 4>,
        },
        transpose: transpose_scalar::<Plain<T>>,
        copy: plain_copy::<T>,
    }
}

macro_rules! real {
    ($t:ident, $tiles:ident, $wide:ident, $narrow:ident) => {
        impl Float for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                v as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self != self
            }
            fn tiles() -> Tiles<Self> {
                #[cfg(target_arch = "x86_64")]
                if let Some(tiles) = x86::$tiles() {
                    return tiles;
                }
                portable()
            }
            #[inline]
            fn vectored<W: Work<$t>>(work: W) {
                #[cfg(target_arch = "x86_64")]
                match level() {
                    // SAFETY: `level` found these instruction sets on this machine.
                    Level::Avx512 => return unsafe { x86::run_wide::<x86::$wide, W>(work) },
                    // SAFETY: as above.
                    Level::Avx2 => return unsafe { x86::run_narrow::<x86::$narrow, W>(work) },
                    _ => {}
                }
                // SAFETY: this register needs no instruction set.
                unsafe { work.run::<Plain<$t>>() }
            }
        }
    };
}
real!(f32, tiles_f32, F32x16, F32x8);
real!(f64, tiles_f64, F64x8, F64x4);
