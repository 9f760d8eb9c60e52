//! Finding the operation in which a value first stopped being finite.

use crate::{DType, Tensor, scope};
use std::cell::RefCell;

/// Where the first NaN or infinity appeared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Path of the layer, empty outside any layer.
    pub layer: String,
    /// The operation.
    pub op: String,
}

thread_local! {
    /// `None`: not watching. `Some(None)`: watching, nothing seen yet.
    static WATCH: RefCell<Option<Option<Anomaly>>> = const { RefCell::new(None) };
}

/// Runs `f` and reports the first operation on this thread whose result held a NaN or an infinity.
pub fn detect_anomaly<R>(f: impl FnOnce() -> R) -> (R, Option<Anomaly>) {
    struct Off;
    impl Drop for Off {
        fn drop(&mut self) {
            WATCH.set(None);
        }
    }
    WATCH.set(Some(None));
    let _off = Off;
    let r = f();
    let found = WATCH.with_borrow_mut(|w| w.take().flatten());
    (r, found)
}

pub(super) fn inspect(op: &'static str, out: &Tensor) {
    let watching = WATCH.with_borrow(|w| matches!(w, Some(None)));
    if watching && !all_finite(out) {
        let layer = scope::current().map(|s| s.to_string()).unwrap_or_default();
        WATCH.set(Some(Some(Anomaly { layer, op: op.to_string() })));
    }
}

fn all_finite(t: &Tensor) -> bool {
    let t = if t.is_contiguous() { t.detach() } else { t.packed() };
    match t.dtype() {
        DType::F32 => t.read::<f32>().iter().all(|v| v.is_finite()),
        DType::F64 => t.read::<f64>().iter().all(|v| v.is_finite()),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_operation_is_named_with_its_layer() {
        let x = Tensor::from_slice(&[-1.0f32, 1.0], [2]);
        let (_, found) = detect_anomaly(|| {
            let _s = scope::enter("block.0.norm".into());
            (&x + 1.0).log().exp()
        });
        assert_eq!(found, Some(Anomaly { layer: "block.0.norm".into(), op: "log".into() }));
        assert_eq!(detect_anomaly(|| x.exp()).1, None);
    }
}
