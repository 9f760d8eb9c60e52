//! Convolutions in one to three dimensions and their gradients, without an im2col buffer.
//!
//! The input of a few images at a time is copied once into a *stage*: zero-padded, and for strides
//! above one split into planes by residue, so that the elements which neighbouring outputs multiply
//! by one weight are neighbours in memory. On the stage each product is an ordinary register tile
//! (see [`micro`](super::micro)) whose scalars are read through a table of offsets:
//!
//! * forward: rows of a tile are neighbouring outputs, columns are output channels;
//! * gradient of the input: the same, from the gradient of the output, once for each residue of the
//!   stride, with the weights that can reach it;
//! * gradient of the weights: rows are weights of one output channel, columns are output channels,
//!   and the sum runs over all positions of all images.
//!
//! Kernels of one element and kernels as large as the input are products of matrices ([`product`]).
//! Chunks and sums follow the shape alone, so results do not depend on the number of threads.

mod depthwise;
mod gather;
mod product;
mod stage;
#[cfg(test)]
mod tests;
mod weight;
mod winograd;

use super::finish::{self, Along, Finish};
use super::micro::Float;

/// The shape of a convolution over `n` images; 1-d and 2-d ones have leading ones.
///
/// Tensors are contiguous: input `[n, c_in, input...]`, weight `[c_out, c_in / groups, kernel...]`,
/// output `[n, c_out, output...]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images in the batch.
    pub n: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Extents of the input.
    pub input: [usize; 3],
    /// Extents of the kernel.
    pub kernel: [usize; 3],
    /// Step of the kernel.
    pub stride: [usize; 3],
    /// Zeros before and after the input.
    pub padding: [usize; 3],
    /// Distance of the kernel's elements.
    pub dilation: [usize; 3],
    /// Extents of the output.
    pub output: [usize; 3],
}

impl ConvShape {
    /// The extents of the output: `(input + 2 padding - dilation (kernel - 1) - 1) / stride + 1`
    /// rounded down, or 0 where the kernel does not fit.
    pub fn output_of(
        input: [usize; 3],
        kernel: [usize; 3],
        stride: [usize; 3],
        padding: [usize; 3],
        dilation: [usize; 3],
    ) -> [usize; 3] {
        std::array::from_fn(|i| {
            let padded = input[i] + 2 * padding[i];
            let span = dilation[i] * kernel[i].saturating_sub(1) + 1;
            if padded < span || kernel[i] == 0 { 0 } else { (padded - span) / stride[i] + 1 }
        })
    }

    fn in_plane(&self) -> usize {
        self.input.iter().product()
    }

    fn out_plane(&self) -> usize {
        self.output.iter().product()
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Input channels of one group.
    fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    /// Output channels of one group.
    fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    /// Elements of the input, the weight and the output.
    fn lens(&self) -> [usize; 3] {
        [
            self.n * self.c_in * self.in_plane(),
            self.c_out * self.group_in() * self.taps(),
            self.n * self.c_out * self.out_plane(),
        ]
    }

    /// Panics unless the shape makes sense and the slices (input, weight, output) have its sizes.
    fn check(&self, x: usize, w: usize, y: usize) {
        assert!(
            self.groups > 0 && self.c_in.is_multiple_of(self.groups) && self.c_out.is_multiple_of(self.groups),
            "conv: {} and {} channels in {} groups",
            self.c_in,
            self.c_out,
            self.groups
        );
        assert!(
            self.stride.iter().chain(&self.dilation).all(|&v| v > 0),
            "conv: a stride or dilation of 0 in {self:?}"
        );
        let most = Self::output_of(self.input, self.kernel, self.stride, self.padding, self.dilation);
        assert!((0..3).all(|i| self.output[i] <= most[i]), "conv: the output of {self:?} is larger than {most:?}");
        assert!(
            self.lens() == [x, w, y],
            "conv: {self:?} has {:?} elements (input, weight, output), the slices have {:?}",
            self.lens(),
            [x, w, y]
        );
    }

    /// A kernel of one element with step one is a product of matrices: all positions in one row.
    fn simplified(mut self) -> ConvShape {
        let trivial = self.kernel == [1; 3] && self.stride == [1; 3] && self.padding == [0; 3];
        if trivial && self.input == self.output {
            self.input = [1, 1, self.in_plane()];
            self.output = self.input;
            self.dilation = [1; 3];
        }
        self
    }

    /// Whether each channel has a kernel (or several) of its own.
    fn is_depthwise(&self) -> bool {
        self.group_in() == 1 && self.groups > 1
    }
}

/// `out[n, o] = finish(sum over c, taps of w[o, c, tap] * x[n, c, position(tap)])`; a bias is `finish.shift`.
///
/// # Panics
/// If the slices do not have the sizes of `shape`.
pub(crate) fn conv_forward<T: Float>(shape: &ConvShape, x: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) {
    shape.check(x.len(), w.len(), out.len());
    check_finish(finish, shape.c_out);
    if winograd::forward(shape, x, w, finish, out) {
        return;
    }
    let shape = shape.simplified();
    if shape.is_depthwise() {
        depthwise::forward(&shape, x, w, finish, out);
    } else if let Some(product) = product::Product::of(&shape) {
        product.forward(x, w, finish, out);
    } else {
        gather::run(&gather::Gather::forward(&shape), x, w, finish, out);
    }
}

fn check_finish<T>(finish: &Finish<'_, T>, channels: usize) {
    for (name, part) in [("scale", finish.scale), ("bias", finish.shift)] {
        let right = part.is_none_or(|p| p.len() == channels);
        assert!(right, "conv: a {name} of {} for {channels} channels", part.map_or(0, <[T]>::len));
    }
}

/// The gradient of the input: `gx[n, c, i] = finish(sum over o, taps of w[o, c, tap] * gy[n, o, position])`
/// for the positions whose tap reads `i`. Also the forward pass of a transposed convolution, whose bias is
/// `finish.shift`.
///
/// # Panics
/// If the slices do not have the sizes of `shape`.
pub(crate) fn conv_backward_input<T: Float>(
    shape: &ConvShape,
    gy: &[T],
    w: &[T],
    finish: &Finish<'_, T>,
    gx: &mut [T],
) {
    shape.check(gx.len(), w.len(), gy.len());
    check_finish(finish, shape.c_in);
    if winograd::backward_input(shape, gy, w, finish, gx) {
        return;
    }
    let shape = shape.simplified();
    if shape.is_depthwise() {
        depthwise::backward_input(&shape, gy, w, gx);
        finish::in_place(Along { channels: shape.c_in, size: shape.in_plane() }, finish, gx);
    } else if let Some(product) = product::Product::of(&shape) {
        product.backward_input(gy, w, finish, gx);
    } else {
        gather::run(&gather::Gather::backward(&shape), gy, w, finish, gx);
    }
}

/// The gradient of the weight: `gw[o, c, tap] = sum over n, positions of gy[n, o, position] *
/// x[n, c, position(tap)]`.
///
/// # Panics
/// If the slices do not have the sizes of `shape`.
pub fn conv_backward_weight<T: Float>(shape: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    shape.check(x.len(), gw.len(), gy.len());
    if winograd::backward_weight(shape, x, gy, gw) {
        return;
    }
    let shape = shape.simplified();
    if gw.is_empty() {
        return;
    }
    if shape.n == 0 || shape.out_plane() == 0 || shape.in_plane() == 0 {
        gw.fill(T::ZERO);
        return;
    }
    if shape.is_depthwise() {
        return depthwise::backward_weight(&shape, x, gy, gw);
    }
    match product::Product::of(&shape) {
        Some(product) if product.is_whole() => product.backward_weight(x, gy, gw),
        _ => weight::run(&shape, x, gy, gw),
    }
}
