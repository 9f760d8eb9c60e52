//! The tensor: a view of shared storage, with its place in the autograd graph.

use crate::autograd::Vertex;
use crate::dtype::{DType, Element};
use crate::kernels::strided;
use crate::shape::{IntoShape, Layout, Shape, resolve_dim};
use crate::storage::{Plain, ReadGuard, Storage, WriteGuard};
use crate::{dispatch_any, fail};
use std::sync::Arc;

/// Where a tensor's elements live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Device {
    /// Main memory, computed on by the processor's cores.
    #[default]
    Cpu,
}

/// An n-dimensional array that remembers how it was computed.
///
/// A clone is cheap and shares the elements, as do views (`transpose`, `narrow`, `expand` ...).
/// Shape, element type and device are values, not type parameters.
///
/// ```
/// use gradus_tensor::Tensor;
/// let x = Tensor::from_slice(&[1.0f32, 2.0, 3.0], [3]).requires_grad_(true);
/// let y = (&x * &x).sum();
/// y.backward();
/// assert_eq!(x.grad().unwrap().to_vec::<f32>(), [2.0, 4.0, 6.0]);
/// ```
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub storage: Arc<Storage>,
    pub layout: Layout,
    pub vertex: Option<Arc<Vertex>>,
}

impl Tensor {
    pub(crate) fn from_parts(storage: Arc<Storage>, layout: Layout, vertex: Option<Arc<Vertex>>) -> Tensor {
        Tensor(Arc::new(Inner { storage, layout, vertex }))
    }

    /// A new contiguous tensor whose elements `fill` writes. The slice holds arbitrary values at first.
    pub(crate) fn build<T: Plain + Element>(shape: Shape, fill: impl FnOnce(&mut [T])) -> Tensor {
        Tensor::build_as(T::DTYPE, shape, fill)
    }

    /// As [`Tensor::build`] for a type that only has the width of `dtype`'s elements.
    pub(crate) fn build_as<T: Plain>(dtype: DType, shape: Shape, fill: impl FnOnce(&mut [T])) -> Tensor {
        let storage = Storage::build::<T>(dtype, shape.numel(), fill);
        Tensor::from_parts(storage, Layout::contiguous(shape), None)
    }

    /// The same elements under another layout, outside any graph.
    pub(crate) fn with_layout(&self, layout: Layout) -> Tensor {
        Tensor::from_parts(self.0.storage.clone(), layout, None)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.0.layout
    }

    /// The extents of the dimensions.
    pub fn shape(&self) -> Shape {
        self.0.layout.shape
    }

    /// The extent of one dimension, negative ones counted from the end.
    ///
    /// # Panics
    /// If there is no such dimension.
    #[track_caller]
    pub fn size(&self, dim: isize) -> usize {
        let s = &self.0.layout.shape;
        s[resolve_dim("size", dim, s.len())]
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.layout.shape.len()
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.0.layout.shape.numel()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.storage.dtype
    }

    /// Where the elements live.
    pub fn device(&self) -> Device {
        Device::Cpu
    }

    /// The tensor on `device`: itself, while the processor is the only one.
    pub fn to_device(&self, device: Device) -> Tensor {
        match device {
            Device::Cpu => self.clone(),
        }
    }

    /// Distance in elements between neighbours along each dimension.
    pub fn strides(&self) -> Vec<usize> {
        self.0.layout.strides.to_vec()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.0.layout.is_contiguous()
    }

    /// Whether two tensors share their elements.
    pub fn shares_storage(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0.storage, &other.0.storage)
    }

    /// The elements of a contiguous tensor. `T` must be as wide as the element type.
    pub(crate) fn read<T: Plain>(&self) -> ReadGuard<'_, T> {
        assert!(self.is_contiguous(), "read needs a contiguous tensor");
        self.0.storage.read(self.0.layout.offset, self.numel())
    }

    /// All elements of the storage; index them through the layout.
    pub(crate) fn read_storage<T: Plain>(&self) -> ReadGuard<'_, T> {
        self.0.storage.read(0, self.0.storage.len)
    }

    pub(crate) fn write<T: Plain>(&self) -> WriteGuard<'_, T> {
        assert!(self.is_contiguous(), "write needs a contiguous tensor");
        self.0.storage.write(self.0.layout.offset, self.numel())
    }

    pub(crate) fn write_storage<T: Plain>(&self) -> WriteGuard<'_, T> {
        self.0.storage.write(0, self.0.storage.len)
    }

    /// The elements of a contiguous Bool tensor, each 0 or 1.
    #[track_caller]
    pub(crate) fn read_bool(&self, op: &str) -> ReadGuard<'_, u8> {
        if self.dtype() != DType::Bool {
            fail(op, format_args!("needs a bool tensor, got {}", self.dtype()));
        }
        self.read()
    }

    /// A copy of the elements in row-major order, outside any graph.
    pub(crate) fn packed(&self) -> Tensor {
        let layout = self.0.layout;
        dispatch_any!(self.dtype(), T => {
            let src = self.read_storage::<T>();
            Tensor::build_as::<T>(self.dtype(), layout.shape, |out| {
                strided::copy(&src, layout.offset, &layout.shape, &layout.strides, out)
            })
        })
    }

    /// The elements in row-major order.
    ///
    /// # Panics
    /// If `T` is not the tensor's element type; convert with [`Tensor::to_dtype`] first.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        if T::DTYPE != self.dtype() {
            fail("to_vec", format_args!("the elements are {}, not {}; convert with to_dtype", self.dtype(), T::DTYPE));
        }
        let t = if self.is_contiguous() { self.clone() } else { self.packed() };
        let mut out = vec![T::default(); t.numel()];
        let bytes = t.read_bytes();
        // SAFETY: `out` has exactly as many bytes as the tensor's elements; the element types are equal,
        // and Bool storage holds only 0 and 1.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.as_mut_ptr().cast::<u8>(), bytes.len()) };
        out
    }

    /// The bytes of the elements in row-major order, in the machine's byte order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let t = if self.is_contiguous() { self.clone() } else { self.packed() };
        t.read_bytes()
    }

    fn read_bytes(&self) -> Vec<u8> {
        dispatch_any!(self.dtype(), T => {
            let src = self.read::<T>();
            let mut out = vec![0u8; src.len() * size_of::<T>()];
            // SAFETY: a plain element's bytes are all initialised; the lengths agree.
            unsafe { std::ptr::copy_nonoverlapping(src.as_ptr().cast::<u8>(), out.as_mut_ptr(), out.len()) };
            out
        })
    }

    /// The single element as f64.
    ///
    /// # Panics
    /// If the tensor does not have exactly one element.
    #[track_caller]
    pub fn item_f64(&self) -> f64 {
        if self.numel() != 1 {
            fail("item", format_args!("needs exactly one element, the shape is {}", self.shape()));
        }
        self.element(self.0.layout.offset)
    }

    /// The single element as f32: `loss.item()`.
    ///
    /// # Panics
    /// If the tensor does not have exactly one element.
    #[track_caller]
    pub fn item(&self) -> f32 {
        self.item_f64() as f32
    }

    /// The single element as i64.
    ///
    /// # Panics
    /// If the tensor does not have exactly one element.
    #[track_caller]
    pub fn item_i64(&self) -> i64 {
        if self.dtype() == DType::I64 && self.numel() == 1 {
            return self.0.storage.read::<i64>(self.0.layout.offset, 1)[0];
        }
        self.item_f64() as i64
    }

    /// One element as f64.
    ///
    /// # Panics
    /// If the index does not have one entry a dimension or lies outside.
    #[track_caller]
    pub fn at(&self, index: &[usize]) -> f64 {
        let l = &self.0.layout;
        if index.len() != l.shape.len() || index.iter().zip(l.shape.iter()).any(|(i, n)| i >= n) {
            fail("at", format_args!("index {index:?} does not fit the shape {}", l.shape));
        }
        let at: usize = index.iter().zip(l.strides.iter()).map(|(i, s)| i * s).sum();
        self.element(l.offset + at)
    }

    fn element(&self, at: usize) -> f64 {
        let s = &self.0.storage;
        match s.dtype {
            DType::F32 => s.read::<f32>(at, 1)[0].to_f64(),
            DType::F64 => s.read::<f64>(at, 1)[0],
            DType::F16 => s.read::<half::f16>(at, 1)[0].to_f64(),
            DType::BF16 => s.read::<half::bf16>(at, 1)[0].to_f64(),
            DType::I64 => s.read::<i64>(at, 1)[0] as f64,
            DType::I32 => s.read::<i32>(at, 1)[0] as f64,
            DType::U8 | DType::Bool => s.read::<u8>(at, 1)[0] as f64,
        }
    }

    // ---- constructors ----

    /// A tensor that takes over `data` without copying, in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not the product of the shape.
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        if data.len() != shape.numel() {
            fail(
                "from_vec",
                format_args!("{} elements do not fill the shape {shape} ({} elements)", data.len(), shape.numel()),
            );
        }
        Tensor::from_parts(Storage::adopt(data), Layout::contiguous(shape), None)
    }

    /// A tensor with a copy of `data` in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not the product of the shape.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape) -> Tensor {
        Tensor::from_vec(data.to_vec(), shape)
    }

    /// A tensor whose elements are read from a file mapping without a copy; writing to it changes
    /// memory only, never the file.
    ///
    /// # Panics
    /// If the elements do not lie inside the mapping or are misaligned.
    #[track_caller]
    pub fn from_mmap(map: Arc<memmap2::Mmap>, byte_offset: usize, dtype: DType, shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        let storage = Storage::mapped(map, byte_offset, dtype, shape.numel());
        Tensor::from_parts(storage, Layout::contiguous(shape), None)
    }

    /// A tensor from the bytes of its elements (row-major, the machine's byte order).
    ///
    /// # Panics
    /// If the number of bytes is not what shape and type ask for.
    #[track_caller]
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: impl IntoShape) -> Tensor {
        let shape = shape.into_shape();
        if bytes.len() != shape.numel() * dtype.size() {
            fail("from_bytes", format_args!("{} bytes for shape {shape} of {dtype}", bytes.len()));
        }
        let t = dispatch_any!(dtype, T => Tensor::build_as::<T>(dtype, shape, |out| {
            // SAFETY: the lengths agree (checked above) and every bit pattern of T is valid.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.as_mut_ptr().cast::<u8>(), bytes.len()) };
        }));
        if dtype == DType::Bool {
            t.write::<u8>().iter_mut().for_each(|b| *b = (*b != 0) as u8);
        }
        t
    }

    /// A tensor filled with `value`, of f32.
    #[track_caller]
    pub fn full(shape: impl IntoShape, value: f64) -> Tensor {
        Tensor::full_of(shape.into_shape(), value, DType::F32)
    }

    /// A tensor of `dtype` filled with `value`.
    #[track_caller]
    pub fn full_of(shape: impl IntoShape, value: f64, dtype: DType) -> Tensor {
        let shape = shape.into_shape();
        match dtype {
            DType::F32 => Tensor::build::<f32>(shape, |o| o.fill(value as f32)),
            DType::F64 => Tensor::build::<f64>(shape, |o| o.fill(value)),
            DType::F16 => Tensor::build::<half::f16>(shape, |o| o.fill(Element::from_f64(value))),
            DType::BF16 => Tensor::build::<half::bf16>(shape, |o| o.fill(Element::from_f64(value))),
            DType::I64 => Tensor::build::<i64>(shape, |o| o.fill(value as i64)),
            DType::I32 => Tensor::build::<i32>(shape, |o| o.fill(value as i32)),
            DType::U8 => Tensor::build::<u8>(shape, |o| o.fill(value as u8)),
            DType::Bool => Tensor::build_as::<u8>(dtype, shape, |o| o.fill((value != 0.0) as u8)),
        }
    }

    /// Zeros of f32.
    #[track_caller]
    pub fn zeros(shape: impl IntoShape) -> Tensor {
        Tensor::full(shape, 0.0)
    }

    /// Ones of f32.
    #[track_caller]
    pub fn ones(shape: impl IntoShape) -> Tensor {
        Tensor::full(shape, 1.0)
    }

    /// A tensor of f32 whose elements have no particular value.
    #[track_caller]
    pub fn empty(shape: impl IntoShape) -> Tensor {
        Tensor::build::<f32>(shape.into_shape(), |_| ())
    }

    /// A tensor without dimensions that holds `value` as f32.
    pub fn scalar(value: f64) -> Tensor {
        Tensor::full((), value)
    }

    /// A tensor of the same shape and type filled with `value`.
    pub fn full_like(&self, value: f64) -> Tensor {
        Tensor::full_of(self.shape(), value, self.dtype())
    }

    /// Zeros of the same shape and type.
    pub fn zeros_like(&self) -> Tensor {
        self.full_like(0.0)
    }

    /// Ones of the same shape and type.
    pub fn ones_like(&self) -> Tensor {
        self.full_like(1.0)
    }

    /// The numbers 0, 1, ... n - 1 as f32.
    pub fn arange(n: usize) -> Tensor {
        Tensor::from_vec((0..n).map(|i| i as f32).collect(), [n])
    }

    /// `start`, `start + step`, ... up to but without `end`, as f32.
    ///
    /// # Panics
    /// If `step` is zero or leads away from `end`.
    #[track_caller]
    pub fn arange_range(start: f64, end: f64, step: f64) -> Tensor {
        let n = ((end - start) / step).ceil();
        if !n.is_finite() || n < 0.0 {
            fail("arange", format_args!("cannot go from {start} to {end} in steps of {step}"));
        }
        Tensor::from_vec((0..n as usize).map(|i| (start + i as f64 * step) as f32).collect(), [n as usize])
    }

    /// `n` evenly spaced numbers from `start` to `end`, both included, as f32.
    pub fn linspace(start: f64, end: f64, n: usize) -> Tensor {
        let step = if n > 1 { (end - start) / (n - 1) as f64 } else { 0.0 };
        let v = (0..n).map(|i| if n > 1 && i == n - 1 { end } else { start + i as f64 * step } as f32);
        Tensor::from_vec(v.collect(), [n])
    }

    /// The n x n identity matrix as f32.
    pub fn eye(n: usize) -> Tensor {
        Tensor::build::<f32>(Shape::new(&[n, n]), |o| {
            o.fill(0.0);
            o.iter_mut().step_by(n + 1).for_each(|v| *v = 1.0);
        })
    }
}

impl From<f64> for Tensor {
    fn from(v: f64) -> Tensor {
        Tensor::scalar(v)
    }
}
