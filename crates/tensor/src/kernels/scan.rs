//! Running folds along the middle of [outer, middle, inner].

use super::par::{self, GRAIN};

/// out[k] = store(s_k) with s_0 = next(init, 0) and s_k = next(s_{k-1}, k), where `next` is given the
/// element's place; from the last position to the first if `reverse`.
pub(crate) fn middle<A: Copy + Send + Sync, R: Send>(
    middle: usize,
    inner: usize,
    reverse: bool,
    init: A,
    out: &mut [R],
    next: impl Fn(A, usize) -> A + Sync,
    store: impl Fn(A) -> R + Sync,
) {
    let plane = middle * inner;
    if plane == 0 {
        return;
    }
    let per_chunk = GRAIN.div_ceil(plane);
    par::for_each_chunk_mut(out, per_chunk * plane, |c, piece| {
        let start = c * per_chunk * plane;
        let mut state = vec![init; inner];
        for (o, plane_out) in piece.chunks_exact_mut(plane).enumerate() {
            state.fill(init);
            for step in 0..middle {
                let k = if reverse { middle - 1 - step } else { step };
                let at = start + o * plane + k * inner;
                for (i, s) in state.iter_mut().enumerate() {
                    *s = next(*s, at + i);
                    plane_out[k * inner + i] = store(*s);
                }
            }
        }
    });
}
