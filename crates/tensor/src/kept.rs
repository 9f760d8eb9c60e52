//! Weights of products in the order in which the tiles read them, kept while nobody changes the weights.
//!
//! Without gradients the same weights are multiplied again and again, and rearranging them is up to a quarter of a
//! product of few rows. From the second such product on, a storage holds a rearranged copy; a change drops it.

use crate::dtype::DType;
use crate::kernels::gemm::Order;
use crate::shape::Layout;
use crate::storage::{Plain, ReadGuard, Storage};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Most bytes that all storages together keep.
const MOST: usize = 128 << 20;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// What one storage keeps.
#[derive(Default)]
pub(crate) struct Kept(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whether there was a product since the last change.
    asked: bool,
    copy: Option<Arc<Rearranged>>,
}

/// A view of the storage, rearranged.
pub(crate) struct Rearranged {
    layout: Layout,
    order: Order,
    data: Arc<Storage>,
}

impl Rearranged {
    pub fn read<T: Plain>(&self) -> ReadGuard<'_, T> {
        self.data.read::<T>(0, self.order.len)
    }

    fn bytes(&self) -> usize {
        self.order.len * self.data.dtype.size()
    }
}

impl Drop for Rearranged {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.bytes(), Relaxed);
    }
}

impl Kept {
    /// Drops the copy: the elements change. The caller has the storage to itself.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = State::default();
    }

    /// The view rearranged, made by `make` if this is at least its second product. The caller holds the storage
    /// for reading.
    pub fn get<T: Plain>(
        &self,
        dtype: DType,
        layout: &Layout,
        order: Order,
        make: impl FnOnce(&mut [T]),
    ) -> Option<Arc<Rearranged>> {
        let mut state = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(copy) = state.copy.as_ref().filter(|c| c.layout == *layout && c.order == order) {
            return Some(copy.clone());
        }
        let bytes = order.len * size_of::<T>();
        if !std::mem::replace(&mut state.asked, true) || BYTES.load(Relaxed) + bytes > MOST {
            return None;
        }
        BYTES.fetch_add(bytes, Relaxed);
        let data = Storage::build::<T>(dtype, order.len, make);
        let copy = Arc::new(Rearranged { layout: *layout, order, data });
        state.copy = Some(copy.clone());
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Tensor, manual_seed, no_grad};

    #[test]
    fn products_see_every_change_of_the_weights() {
        manual_seed(3);
        let (x, w) = (Tensor::randn([64, 300]), Tensor::randn([256, 300]));
        let plain = || x.matmul(&w.t().contiguous()).to_vec::<f32>();
        no_grad(|| check(&x, &w, &plain));
    }

    fn check(x: &Tensor, w: &Tensor, plain: &dyn Fn() -> Vec<f32>) {
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        let first = x.linear(w, None).to_vec::<f32>();
        assert!(near(&first, &plain()));
        for _ in 0..3 {
            assert_eq!(x.linear(w, None).to_vec::<f32>(), first, "the copy gives the same bits");
        }
        assert!(w.0.storage.kept.0.lock().unwrap().copy.is_some());
        // Another view of the same storage, and other rows.
        let half = w.narrow(0, 128, 128);
        for _ in 0..2 {
            let all = x.linear(&half, None).to_vec::<f32>();
            assert!(all.chunks(128).zip(first.chunks(256)).all(|(h, all)| near(h, &all[128..])));
            assert_eq!(x.narrow(0, 0, 40).linear(w, None).to_vec::<f32>(), first[..40 * 256]);
        }
        w.mul_(2.0);
        assert!(w.0.storage.kept.0.lock().unwrap().copy.is_none());
        for _ in 0..3 {
            assert!(near(&x.linear(w, None).to_vec::<f32>(), &plain()));
        }
    }
}
