//! Shared, lockable element storage.

use crate::deferred::{self, Deferred};
use crate::dtype::{DType, Element};
use crate::kept::Kept;
use crate::memory::Block;
use crate::profiler;
use memmap2::Mmap;
use std::any::Any;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Who owns the bytes.
enum Owner {
    Pool(#[allow(dead_code)] Block),
    /// A `Vec<T>` taken over from the caller without copying.
    Adopted(#[allow(dead_code)] Box<dyn Any + Send + Sync>),
    /// A read-only file mapping; copied to a pool block before the first write.
    Mapped(#[allow(dead_code)] Arc<Mmap>),
    /// Nobody yet: the elements have not been computed.
    Nobody,
}

pub(crate) struct Buffer {
    ptr: *mut u8,
    bytes: usize,
    owner: Owner,
}
// SAFETY: the pointer refers to memory owned by `owner`, which is Send and Sync, and is only
// dereferenced under the storage's lock.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// Elements shared by every view of a tensor.
pub(crate) struct Storage {
    buffer: RwLock<Buffer>,
    /// Whether the elements have not been computed yet.
    waiting: AtomicBool,
    /// How to compute them.
    deferred: Mutex<Option<Deferred>>,
    version: AtomicU64,
    /// A copy for products.
    pub kept: Kept,
    pub dtype: DType,
    /// Number of elements.
    pub len: usize,
}

/// A type whose values may be read straight from storage bytes: every bit pattern is valid.
///
/// # Safety
/// Implementors must be plain numbers without padding or invalid bit patterns.
pub(crate) unsafe trait Plain: Copy + Send + Sync + 'static {}
macro_rules! plain { ($($t:ty),*) => { $(
    // SAFETY: a primitive number.
    unsafe impl Plain for $t {}
)* } }
plain!(f32, f64, i64, i32, u8, u16, u32, u64, half::f16, half::bf16);

impl Storage {
    /// Storage with arbitrary (initialised) content, filled by `f` before anyone else sees it.
    pub fn build<T: Plain>(dtype: DType, len: usize, f: impl FnOnce(&mut [T])) -> Arc<Storage> {
        debug_assert_eq!(dtype.size(), size_of::<T>());
        let _span = profiler::fill();
        let storage = Arc::new(Storage::from_buffer(Storage::fill(len, f), dtype, len));
        profiler::built(&storage);
        storage
    }

    /// A buffer from the pool that `f` has filled.
    pub fn fill<T: Plain>(len: usize, f: impl FnOnce(&mut [T])) -> Buffer {
        let bytes = len.checked_mul(size_of::<T>()).expect("a tensor's size fits in memory");
        let block = Block::new(bytes);
        // SAFETY: the block holds at least `bytes` initialised, 64-byte aligned bytes with no other owner.
        f(unsafe { std::slice::from_raw_parts_mut(block.ptr().cast::<T>(), len) });
        Buffer { ptr: block.ptr(), bytes, owner: Owner::Pool(block) }
    }

    fn from_buffer(buffer: Buffer, dtype: DType, len: usize) -> Storage {
        Storage {
            buffer: RwLock::new(buffer),
            waiting: AtomicBool::new(false),
            deferred: Mutex::new(None),
            version: AtomicU64::new(0),
            kept: Kept::default(),
            dtype,
            len,
        }
    }

    /// Storage whose elements are computed when they are first read.
    pub fn waiting(dtype: DType, len: usize, how: Deferred) -> Arc<Storage> {
        let buffer = Buffer { ptr: std::ptr::null_mut(), bytes: 0, owner: Owner::Nobody };
        let mut s = Storage::from_buffer(buffer, dtype, len);
        (s.waiting, s.deferred) = (AtomicBool::new(true), Mutex::new(Some(how)));
        Arc::new(s)
    }

    /// Whether the elements have not been computed yet.
    pub fn is_waiting(&self) -> bool {
        self.waiting.load(Acquire)
    }

    /// Calls `f` with how the elements are to be computed, if they have not been.
    pub fn deferred<R>(&self, f: impl FnOnce(Option<&Deferred>) -> R) -> R {
        if !self.is_waiting() {
            return f(None);
        }
        f(self.deferred.lock().unwrap_or_else(|e| e.into_inner()).as_ref())
    }

    /// Computes the elements, if nobody has.
    #[cold]
    pub fn compute(&self) {
        let mut how = self.deferred.lock().unwrap_or_else(|e| e.into_inner());
        if !self.is_waiting() {
            return;
        }
        let how = how.take().expect("an earlier attempt to compute this tensor panicked");
        let _span = profiler::span("deferred");
        let buffer = how.run(self.dtype, self.len);
        profiler::built(self);
        *self.buffer.write().unwrap_or_else(|e| e.into_inner()) = buffer;
        self.waiting.store(false, Release);
        deferred::no_longer_waiting();
    }

    /// Takes over a vector without copying.
    pub fn adopt<T: Element>(mut v: Vec<T>) -> Arc<Storage> {
        let (ptr, len) = (v.as_mut_ptr().cast::<u8>(), v.len());
        let buffer = Buffer { ptr, bytes: len * size_of::<T>(), owner: Owner::Adopted(Box::new(v)) };
        profiler::took(len * size_of::<T>());
        let storage = Arc::new(Storage::from_buffer(buffer, T::DTYPE, len));
        profiler::built(&storage);
        storage
    }

    /// Elements inside a file mapping. The caller has checked bounds and alignment.
    pub fn mapped(map: Arc<Mmap>, byte_offset: usize, dtype: DType, len: usize) -> Arc<Storage> {
        assert!(byte_offset + len * dtype.size() <= map.len());
        assert_eq!((map.as_ptr() as usize + byte_offset) % dtype.size(), 0);
        // SAFETY: the offset lies inside the mapping (checked above).
        let ptr = unsafe { map.as_ptr().add(byte_offset) }.cast_mut();
        let buffer = Buffer { ptr, bytes: len * dtype.size(), owner: Owner::Mapped(map) };
        Arc::new(Storage::from_buffer(buffer, dtype, len))
    }

    /// How often the elements were changed in place.
    pub fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }

    /// Elements `start .. start + len`, shared.
    pub fn read<T: Plain>(&self, start: usize, len: usize) -> ReadGuard<'_, T> {
        assert_eq!(self.dtype.size(), size_of::<T>());
        assert!(start + len <= self.len);
        if self.is_waiting() {
            self.compute();
        }
        let guard = self.buffer.read().unwrap_or_else(|e| e.into_inner());
        ReadGuard { guard, start, len, marker: PhantomData }
    }

    /// Elements `start .. start + len`, exclusively; counts as a change.
    pub fn write<T: Plain>(&self, start: usize, len: usize) -> WriteGuard<'_, T> {
        assert_eq!(self.dtype.size(), size_of::<T>());
        assert!(start + len <= self.len);
        if self.is_waiting() {
            self.compute();
        }
        deferred::before_change(self);
        self.version.fetch_add(1, Relaxed);
        let mut guard = self.buffer.write().unwrap_or_else(|e| e.into_inner());
        self.kept.forget();
        if let Owner::Mapped(_) = guard.owner {
            let block = Block::new(guard.bytes);
            // SAFETY: both regions are `bytes` long and disjoint.
            unsafe { std::ptr::copy_nonoverlapping(guard.ptr, block.ptr(), guard.bytes) };
            guard.ptr = block.ptr();
            guard.owner = Owner::Pool(block);
        }
        WriteGuard { guard, start, len, marker: PhantomData }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if *self.waiting.get_mut() {
            deferred::no_longer_waiting();
        }
    }
}

/// Shared access to a range of a storage.
pub(crate) struct ReadGuard<'a, T> {
    guard: RwLockReadGuard<'a, Buffer>,
    start: usize,
    len: usize,
    marker: PhantomData<T>,
}

impl<T: Plain> Deref for ReadGuard<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the range was checked against the storage's length, T is plain and as wide as the
        // dtype, the pointer is aligned for it, and the lock keeps writers out.
        unsafe { std::slice::from_raw_parts(self.guard.ptr.cast::<T>().add(self.start), self.len) }
    }
}

/// Exclusive access to a range of a storage.
pub(crate) struct WriteGuard<'a, T> {
    guard: RwLockWriteGuard<'a, Buffer>,
    start: usize,
    len: usize,
    marker: PhantomData<T>,
}

impl<T: Plain> Deref for WriteGuard<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: as for `ReadGuard`, under the exclusive lock.
        unsafe { std::slice::from_raw_parts(self.guard.ptr.cast::<T>().add(self.start), self.len) }
    }
}

impl<T: Plain> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above; the memory is writable (mappings were copied when the guard was made).
        unsafe { std::slice::from_raw_parts_mut(self.guard.ptr.cast::<T>().add(self.start), self.len) }
    }
}
