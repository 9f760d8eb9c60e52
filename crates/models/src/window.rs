//! What the windows of pooling layers are. A convolution shows its kernel by its weight; a pooling layer shows nothing,
//! so it is asked: which rows of its input does a row of its output see?

use gradus_nn::module::{Visitor, VisitorMut};
use gradus_nn::{Forward, MaxPool2d, Module};
use gradus_tensor::autograd::trace;
use gradus_tensor::{Tensor, no_grad};
use std::cell::RefCell;
use std::collections::HashMap;

/// Extent and step of a window, down and across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub span: [usize; 2],
    pub stride: [usize; 2],
}

/// The windows of the pooling layers that ran, by path.
pub(crate) type Windows = HashMap<String, Window>;

thread_local! {
    static WINDOWS: RefCell<Option<Windows>> = const { RefCell::new(None) };
}

/// Runs `f` and collects the windows of the pooling layers that ran on this thread.
pub(crate) fn windows<R>(f: impl FnOnce() -> R) -> (R, Windows) {
    struct Restore(Option<Windows>);
    impl Drop for Restore {
        fn drop(&mut self) {
            WINDOWS.set(self.0.take());
        }
    }
    let _restore = Restore(WINDOWS.replace(Some(Windows::new())));
    let result = f();
    (result, WINDOWS.with_borrow_mut(Option::take).unwrap_or_default())
}

/// A pooling layer that tells [`windows`] its window; otherwise it is the layer itself.
pub(crate) struct Pool<L>(pub L);

impl<L: Forward> Pool<L> {
    fn note(&self) {
        if WINDOWS.with_borrow(Option::is_none) {
            return;
        }
        let (window, operations) = trace(|| no_grad(|| measured(&self.0)));
        let path =
            operations.into_iter().find(|done| done.op.contains("pool")).map(|done| done.layer).unwrap_or_default();
        WINDOWS.with_borrow_mut(|all| all.as_mut().and_then(|all| all.insert(path, window)));
    }
}

impl Pool<MaxPool2d> {
    pub fn forward_with_indices(&self, x: &Tensor) -> (Tensor, Tensor) {
        self.note();
        self.0.forward_with_indices(x)
    }
}

impl<L: Module> Module for Pool<L> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.0.visit(visitor);
    }
    fn visit_mut(&mut self, visitor: &mut dyn VisitorMut) {
        self.0.visit_mut(visitor);
    }
}

impl<L: Forward> Forward for Pool<L> {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.note();
        self.0.forward(x)
    }
}

/// The window of a layer whose outputs are positive where any of its inputs is. Spans up to half of `EXTENT` are found.
fn measured(layer: &dyn Forward) -> Window {
    const EXTENT: usize = 24;
    let (mut span, mut stride) = ([1; 2], [1; 2]);
    for (d, (span, stride)) in span.iter_mut().zip(&mut stride).enumerate() {
        // Picture i has ones in row (or column) i alone.
        let lit = Tensor::eye(EXTENT);
        let shape = if d == 0 { [EXTENT, 1, EXTENT, 1] } else { [EXTENT, 1, 1, EXTENT] };
        let y = layer.forward(&lit.reshape(shape).expand([EXTENT, 1, EXTENT, EXTENT]).contiguous());
        let (along, across) = (2 + d as isize, 3 - d as isize);
        let middle = y.size(along) / 2;
        let seen = |at: usize| {
            let line = y.narrow(along, at, 1).narrow(across, y.size(across) / 2, 1);
            let line = line.flatten(0, -1).to_vec::<f32>(); // (EXTENT, 1, 1, 1) -> (EXTENT)
            let lit = |v: &f32| *v > 0.0;
            (line.iter().position(lit).unwrap_or(0), line.iter().rposition(lit).unwrap_or(0))
        };
        let ((first, last), (next, _)) = (seen(middle), seen(middle + 1));
        (*span, *stride) = (last + 1 - first, next - first);
    }
    Window { span, stride }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_nn::AvgPool2d;

    #[test]
    fn windows_are_measured() {
        let of = |kernel: usize, stride: usize, padding: usize| {
            measured(&MaxPool2d::new(kernel).stride(stride).padding(padding).ceil_mode(true))
        };
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (1, 2, 0), (5, 3, 2)] {
            let window = of(kernel, stride, padding);
            assert_eq!(window, Window { span: [kernel; 2], stride: [stride; 2] });
        }
        let wide = measured(&AvgPool2d::new([2, 4]).stride([1, 3]));
        assert_eq!(wide, Window { span: [2, 4], stride: [1, 3] });
        assert_eq!(measured(&MaxPool2d::new(3).stride(1).dilation(2)).span, [5; 2]);
    }

    #[test]
    fn a_layer_notes_its_window_under_its_path_only_when_asked() {
        let layers = vec![Pool(MaxPool2d::new(3).stride(2))];
        layers.eval();
        let x = Tensor::zeros([1, 1, 8, 8]);
        let (_, found) = windows(|| layers[0].forward(&x));
        assert_eq!(found["0"], Window { span: [3; 2], stride: [2; 2] });
        layers[0].forward(&x);
        assert!(windows(|| ()).1.is_empty());
    }
}
