//! Gradients known by rows: a table of embeddings is read in few places, and its gradient is zero in all others.

use crate::shape::Shape;
use crate::{DType, Tensor};

/// The gradient of a tensor, whole or as the rows that are not zero.
#[derive(Clone)]
pub(crate) enum Gradient {
    Whole(Tensor),
    Rows(Rows),
}

/// For each part, positions along the first dimension (i64, checked, in any order, repeated or not) and the rows
/// that are added there.
#[derive(Clone)]
pub(crate) struct Rows {
    pub shape: Shape,
    pub dtype: DType,
    pub parts: Vec<(Tensor, Tensor)>,
}

impl Rows {
    /// Whether so many rows are held that the whole tensor is cheaper.
    fn is_crowded(&self) -> bool {
        2 * self.parts.iter().map(|(index, _)| index.numel()).sum::<usize>() > self.shape[0]
    }

    fn add_to(&self, whole: &Tensor) {
        for (index, rows) in &self.parts {
            whole.index_add_(index, rows, 1.0);
        }
    }
}

impl Gradient {
    /// With zeros in the other rows.
    pub fn whole(self) -> Tensor {
        match self {
            Gradient::Whole(t) => t,
            Gradient::Rows(rows) => {
                let whole = Tensor::full_of(rows.shape, 0.0, rows.dtype);
                rows.add_to(&whole);
                whole
            }
        }
    }

    /// The sum, in place where nobody else sees the elements and nothing is recorded.
    pub fn plus(self, other: Gradient) -> Gradient {
        let in_place = |t: &Tensor| !super::is_grad_enabled() && t.owns_storage_alone();
        match (self, other) {
            (Gradient::Rows(mut a), Gradient::Rows(b)) => {
                a.parts.extend(b.parts);
                if a.is_crowded() { Gradient::Whole(Gradient::Rows(a).whole()) } else { Gradient::Rows(a) }
            }
            (Gradient::Whole(t), Gradient::Rows(rows)) | (Gradient::Rows(rows), Gradient::Whole(t)) => {
                let t = if t.owns_storage_alone() { t } else { t.packed() };
                rows.add_to(&t);
                Gradient::Whole(t)
            }
            (Gradient::Whole(a), Gradient::Whole(b)) if in_place(&a) => {
                a.add_(&b, 1.0);
                Gradient::Whole(a)
            }
            (Gradient::Whole(a), Gradient::Whole(b)) => Gradient::Whole(a + b),
        }
    }
}

impl Tensor {
    /// The accumulated gradient of a leaf as positions along its first dimension (i64 `[n]`, repeated where a row was
    /// read several times) and the rows `[n, ...]` that are added there, if all that reached it came through
    /// [`Tensor::index_select`] of few rows; the others are zero. [`Tensor::grad`] gives the same as one tensor.
    ///
    /// ```
    /// use gradus_tensor::Tensor;
    /// let table = Tensor::ones([100, 2]).requires_grad_(true);
    /// table.index_select(0, &Tensor::from_slice(&[7i64, 3], [2])).sum().backward();
    /// let rows = table.grad_rows().unwrap();
    /// assert_eq!((rows.len(), rows[0].0.to_vec::<i64>()), (1, vec![7, 3]));
    /// assert_eq!(table.grad().unwrap().sum().item(), 4.0);
    /// assert!(table.grad_rows().is_none());
    /// ```
    pub fn grad_rows(&self) -> Option<Vec<(Tensor, Tensor)>> {
        match &*self.0.vertex.as_ref()?.grad.lock().unwrap_or_else(|e| e.into_inner()) {
            Some(Gradient::Rows(rows)) => Some(rows.parts.clone()),
            _ => None,
        }
    }
}
