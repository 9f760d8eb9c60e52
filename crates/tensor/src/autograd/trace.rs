//! Watching the operations that run, with their layers and their results.

use crate::{Shape, Tensor, scope};
use std::cell::RefCell;
use std::rc::Rc;

/// Operations whose result is another view of the elements that are there.
pub const VIEWS: &[&str] = &["view", "transpose", "permute", "squeeze", "unsqueeze", "expand", "slice", "unfold"];

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

type Observer = Box<dyn FnMut(&Traced, &Tensor)>;

thread_local! {
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// Runs `f` and hands each operation that it performs on this thread, with its result, to `see`, in order. What `see`
/// computes itself is not handed on, nor does an observer around this one see any of it.
///
/// ```
/// use gradus_tensor::{Tensor, autograd::observe};
/// observe(|done, y| if done.op == "exp" { assert_eq!(y.item(), 1.0) }, || Tensor::scalar(0.0).exp());
/// ```
pub fn observe<R>(see: impl FnMut(&Traced, &Tensor) + 'static, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<Observer>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OBSERVER.set(self.0.take());
        }
    }
    let _restore = Restore(OBSERVER.replace(Some(Box::new(see))));
    f()
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
    let list = Rc::new(RefCell::new(Vec::new()));
    let into = list.clone();
    let result = observe(move |done, _| into.borrow_mut().push(done.clone()), f);
    (result, list.take())
}

pub(super) fn note(op: &'static str, out: &Tensor) {
    // The observer is away while it looks, so that it does not see itself.
    let Some(mut see) = OBSERVER.take() else { return };
    let layer = scope::current().map(|s| s.to_string()).unwrap_or_default();
    see(&Traced { layer, op, shape: out.shape() }, out);
    OBSERVER.set(Some(see));
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

    #[test]
    fn an_observer_gets_results_does_not_see_itself_and_is_gone_afterwards() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let into = seen.clone();
        let see = move |done: &Traced, y: &Tensor| into.borrow_mut().push((done.op, y.sum().item()));
        let x = Tensor::from_slice(&[0.0f32, 0.0, 0.0], [3]);
        let inner = observe(see, || {
            let y = x.exp(); // 1, 1, 1
            let (_, inner) = trace(|| x.exp());
            let _ = y.log();
            inner
        });
        let _ = x.exp();
        assert_eq!(*seen.borrow(), [("exp", 3.0), ("log", 0.0)]);
        assert_eq!(inner.len(), 1);
    }
}
