//! The caching allocator beneath tensor storage, and its counters.
//!
//! Freed blocks wait in lists by size class and are handed out again, so a steady training loop asks
//! the operating system for nothing. Blocks are zeroed when they are first obtained, so memory handed
//! out always holds initialised (if stale) values.

use crate::profiler;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Cache-line and AVX-512 alignment.
const ALIGN: usize = 64;
/// Size classes: eight a power of two, so at most an eighth of a block is wasted.
const CLASSES: usize = 8 * 48;

static FREE: Mutex<FreeLists> = Mutex::new(FreeLists([const { Vec::new() }; CLASSES]));
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CACHED: AtomicUsize = AtomicUsize::new(0);
static FRESH: AtomicUsize = AtomicUsize::new(0);

struct FreeLists([Vec<NonNull<u8>>; CLASSES]);
// SAFETY: the pointers are owned blocks that no one else refers to.
unsafe impl Send for FreeLists {}

/// A block of initialised bytes, returned to the cache when dropped.
pub(crate) struct Block {
    ptr: NonNull<u8>,
    class: usize,
}
// SAFETY: a block is plain memory with one owner; access to it is guarded by the storage's lock.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

/// The class of the smallest block that holds `bytes`.
fn class_of(bytes: usize) -> usize {
    let units = bytes.div_ceil(ALIGN).max(1);
    if units <= 8 {
        return units - 1;
    }
    // units - 1 lies in [2^p, 2^(p+1)); its three bits after the leading one choose the step.
    let p = (units - 1).ilog2() as usize;
    let step = (units - 1) >> (p - 3) & 7;
    8 + (p - 3) * 8 + step
}

fn class_bytes(class: usize) -> usize {
    if class < 8 {
        return (class + 1) * ALIGN;
    }
    let (p, step) = ((class - 8) / 8 + 3, (class - 8) % 8);
    ((8 + step + 1) << (p - 3)) * ALIGN
}

impl Block {
    pub fn new(bytes: usize) -> Block {
        profiler::took(bytes);
        let class = class_of(bytes);
        let size = class_bytes(class);
        let cached = FREE.lock().unwrap_or_else(|e| e.into_inner()).0[class].pop();
        let ptr = match cached {
            Some(p) => {
                CACHED.fetch_sub(size, Relaxed);
                p
            }
            None => {
                FRESH.fetch_add(1, Relaxed);
                let layout = Layout::from_size_align(size, ALIGN).expect("a tensor's size fits in memory");
                // SAFETY: size is at least ALIGN, so the layout is not empty.
                NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
            }
        };
        let now = IN_USE.fetch_add(size, Relaxed) + size;
        PEAK.fetch_max(now, Relaxed);
        Block { ptr, class }
    }

    pub fn ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let size = class_bytes(self.class);
        IN_USE.fetch_sub(size, Relaxed);
        CACHED.fetch_add(size, Relaxed);
        FREE.lock().unwrap_or_else(|e| e.into_inner()).0[self.class].push(self.ptr);
    }
}

/// Bytes now held by live tensors (rounded up to the allocator's size classes).
pub fn allocated() -> usize {
    IN_USE.load(Relaxed)
}

/// The highest value of [`allocated`] since the start or the last [`reset_peak`].
pub fn peak() -> usize {
    PEAK.load(Relaxed)
}

/// Bytes freed by tensors and kept for reuse.
pub fn cached() -> usize {
    CACHED.load(Relaxed)
}

/// How many blocks were ever asked of the operating system: constant in a steady training loop.
pub fn fresh_blocks() -> usize {
    FRESH.load(Relaxed)
}

/// Starts measuring [`peak`] anew from what is allocated now.
pub fn reset_peak() {
    PEAK.store(allocated(), Relaxed);
}

/// Gives every cached block back to the operating system.
pub fn empty_cache() {
    let mut free = FREE.lock().unwrap_or_else(|e| e.into_inner());
    for (class, list) in free.0.iter_mut().enumerate() {
        let size = class_bytes(class);
        for p in list.drain(..) {
            CACHED.fetch_sub(size, Relaxed);
            // SAFETY: the block was allocated with this very layout and is owned by the list.
            unsafe { dealloc(p.as_ptr(), Layout::from_size_align_unchecked(size, ALIGN)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_they_are_asked_for_and_waste_little() {
        for bytes in (0..5000).chain([1 << 20, (1 << 20) + 1, (1 << 30) - 1]) {
            let size = class_bytes(class_of(bytes));
            assert!(size >= bytes, "{bytes} does not fit {size}");
            assert!(size <= bytes + bytes / 8 + 2 * ALIGN, "{bytes} got {size}");
        }
    }

    #[test]
    fn a_freed_block_is_used_again() {
        let odd = 7_654_321;
        let first = Block::new(odd).ptr() as usize;
        assert_eq!(Block::new(odd).ptr() as usize, first);
    }
}
