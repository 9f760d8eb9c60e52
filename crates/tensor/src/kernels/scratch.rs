//! Working memory that each thread keeps between kernels.

use super::micro::Float;
use std::cell::RefCell;

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// One cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    _bytes: [u64; 8],
}

/// Lends `f` a buffer of `len` elements that this thread keeps for later calls. Its contents are
/// arbitrary; it begins at a multiple of 64 bytes. A nested call gets a buffer of its own, and the
/// same one each time if the nesting is the same.
pub(crate) fn with_scratch<T: Float, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let mut lines = FREE.with(|free| free.borrow_mut().pop()).unwrap_or_default();
    let need = (len * size_of::<T>()).div_ceil(size_of::<Line>());
    if lines.len() < need {
        lines.resize(need, Line { _bytes: [0; 8] });
    }
    // SAFETY: the lines hold at least `len` elements of a float type, for which all bits are valid.
    let result = f(unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), len) });
    FREE.with(|free| free.borrow_mut().push(lines));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_buffers_do_not_overlap() {
        with_scratch(100, |a: &mut [f32]| {
            a.fill(1.0);
            with_scratch(1000, |b: &mut [f64]| b.fill(2.0));
            assert!(a.iter().all(|&v| v == 1.0));
            assert_eq!(a.as_ptr() as usize % 64, 0);
        });
    }
}
