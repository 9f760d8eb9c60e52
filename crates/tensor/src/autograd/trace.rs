//! Listing the operations that run, with their layers and the shapes of their results.

use crate::{Shape, Tensor, scope};
use std::cell::RefCell;

/// An operation that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// Path of the layer, empty outside any layer.
    pub layer: String,
    /// The operation.
    pub op: &'static str,
    /// The shape of its result.
    pub shape: Shape,
}

thread_local! {
    static TRACE: RefCell<Option<Vec<Traced>>> = const { RefCell::new(None) };
}

/// Runs `f` and lists the operations it performed on this thread, in order.
///
/// ```
/// use gradus_tensor::{Tensor, autograd::trace};
/// let (_, ops) = trace(|| Tensor::ones([2, 3]).matmul(&Tensor::ones([3, 4])).exp());
/// assert_eq!(ops.last().unwrap().op, "exp");
/// assert_eq!(ops.last().unwrap().shape, [2, 4]);
/// ```
pub fn trace<R>(f: impl FnOnce() -> R) -> (R, Vec<Traced>) {
    struct Restore(Option<Vec<Traced>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TRACE.set(self.0.take());
        }
    }
    let _restore = Restore(TRACE.replace(Some(Vec::new())));
    let result = f();
    (result, TRACE.with_borrow_mut(Option::take).unwrap_or_default())
}

pub(super) fn note(op: &'static str, out: &Tensor) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(list) = trace {
            let layer = scope::current().map(|s| s.to_string()).unwrap_or_default();
            list.push(Traced { layer, op, shape: out.shape() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_listed_with_layer_and_shape_and_only_while_asked() {
        let x = Tensor::ones([2, 3]);
        let (_, ops) = trace(|| {
            let _s = scope::enter("fc".into());
            x.exp()
        });
        assert_eq!(ops, [Traced { layer: "fc".into(), op: "exp", shape: x.shape() }]);
        assert_eq!(trace(|| ()).1, []);
    }
}
