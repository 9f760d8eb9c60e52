//! Axis orders of images and films.
//!
//! Inside Gradus images are channels first, as in PyTorch: [C, H, W] alone, [N, C, H, W] in a batch,
//! and sequences are time first: [T, N, C, H, W]. Other orders are converted where data enters or leaves;
//! each conversion is a permutation, so a view that copies nothing.

use crate::{Tensor, fail};

/// An order of axes that data may come in: samples N, time T, channels C, height H, width W.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImageLayout {
    /// Batches of images, channels first: the order inside.
    Nchw,
    /// Batches of images, channels last: TensorFlow's.
    Nhwc,
    /// One image, channels first: the order inside.
    Chw,
    /// One image, channels last: that of image files.
    Hwc,
    /// One image as (width, height, channels).
    Whc,
    /// Batches of sequences of images, time first: the order inside.
    Tnchw,
    /// Batches of sequences as (samples, time, width, height, channels).
    Ntwhc,
}

impl ImageLayout {
    /// For each axis of the order inside, which axis of this one it is.
    fn order(self) -> &'static [isize] {
        match self {
            ImageLayout::Nchw => &[0, 1, 2, 3],
            ImageLayout::Nhwc => &[0, 3, 1, 2],
            ImageLayout::Chw => &[0, 1, 2],
            ImageLayout::Hwc => &[2, 0, 1],
            ImageLayout::Whc => &[2, 1, 0],
            ImageLayout::Tnchw => &[0, 1, 2, 3, 4],
            ImageLayout::Ntwhc => &[1, 0, 4, 3, 2],
        }
    }

    #[track_caller]
    fn check(self, op: &str, x: &Tensor) {
        if x.rank() != self.order().len() {
            fail(op, format_args!("{self:?} has {} axes, the shape is {}", self.order().len(), x.shape()));
        }
    }
}

impl Tensor {
    /// A view of `data`, whose axes are in the order `layout`, in the order inside: [C, H, W],
    /// [N, C, H, W] or [T, N, C, H, W].
    ///
    /// # Panics
    /// If the number of axes is another.
    ///
    /// ```
    /// use gradus_tensor::{ImageLayout, Tensor};
    /// let photo = Tensor::zeros([640, 480, 3]); // width, height, channels
    /// let x = Tensor::from_layout(&photo, ImageLayout::Whc);
    /// assert_eq!(x.shape(), [3, 480, 640]);
    /// assert_eq!(x.to_layout(ImageLayout::Hwc).shape(), [480, 640, 3]);
    /// ```
    #[track_caller]
    pub fn from_layout(data: &Tensor, layout: ImageLayout) -> Tensor {
        layout.check("from_layout", data);
        data.permute(layout.order())
    }

    /// A view of this tensor, whose axes are in the order inside, in the order `layout`.
    ///
    /// # Panics
    /// If the number of axes is another.
    #[track_caller]
    pub fn to_layout(&self, layout: ImageLayout) -> Tensor {
        layout.check("to_layout", self);
        let mut inverse = vec![0; self.rank()];
        layout.order().iter().enumerate().for_each(|(i, &d)| inverse[d as usize] = i as isize);
        self.permute(&inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;
    use crate::autograd::gradgradcheck;

    #[test]
    fn every_order_comes_back_and_is_a_view() {
        use ImageLayout::*;
        for (layout, shape) in [
            (Nchw, vec![2, 3, 4, 5]),
            (Nhwc, vec![2, 3, 4, 5]),
            (Chw, vec![2, 3, 4]),
            (Hwc, vec![2, 3, 4]),
            (Whc, vec![2, 3, 4]),
            (Tnchw, vec![2, 3, 4, 5, 6]),
            (Ntwhc, vec![2, 3, 4, 5, 6]),
            (Nhwc, vec![0, 3, 4, 5]),
        ] {
            let x = Tensor::arange(shape.iter().product()).reshape(&shape);
            let back = Tensor::from_layout(&x, layout).to_layout(layout);
            assert!(back.shares_storage(&x), "{layout:?}");
            assert_eq!((back.shape(), back.to_vec::<f32>()), (x.shape(), x.to_vec::<f32>()), "{layout:?}");
        }
    }

    #[test]
    fn axes_are_where_their_letters_say() {
        let x = Tensor::arange(2 * 3 * 4 * 5 * 6).reshape([2, 3, 4, 5, 6]);
        let film = Tensor::from_layout(&x, ImageLayout::Ntwhc);
        assert_eq!(film.shape(), [3, 2, 6, 5, 4]);
        assert_eq!(film.at(&[2, 1, 5, 3, 0]), x.at(&[1, 2, 0, 3, 5]));
        let y = Tensor::arange(24).reshape([2, 3, 4]).to_dtype(DType::F64) * 0.1;
        let f = |x: &[Tensor]| Tensor::from_layout(&x[0], ImageLayout::Whc).square().to_layout(ImageLayout::Hwc);
        gradgradcheck(f, &[y]).unwrap();
    }

    #[test]
    #[should_panic(expected = "from_layout: Whc has 3 axes, the shape is [2, 3]")]
    fn the_number_of_axes_must_fit() {
        Tensor::from_layout(&Tensor::zeros([2, 3]), ImageLayout::Whc);
    }
}
