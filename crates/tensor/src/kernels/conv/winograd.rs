//! Winograd's minimal filtering for kernels of 3x3 with step one: F(4x4, 3x3).
//!
//! Each tile of 4x4 results reads 6x6 inputs. Both they and the kernel are transformed to 36 points,
//! at which a convolution is 36 independent products of matrices `[results x channels] [channels x
//! tiles]`: 36 multiplications where the direct sum has 144. The gradient of the input is the same
//! with the kernels turned and transposed.
//!
//! *Accuracy.* The points of `transform` keep the rounding error, relative to the root mean square of
//! the result, at about twice that of the direct sum. The error is relative to the largest numbers of
//! a tile, and one infinity among its inputs makes all its results NaN.
//!
//! *Memory.* The tiles of all images are numbered through and cut into panels of up to two vectors.
//! With few channels and many tiles, the transformed kernels are made once and each task transforms
//! its own panels ([`Local`]); with many channels, a few panels are transformed for all tasks, and
//! each task transforms the kernels of its own channels ([`Shared`]). Either way a task's operands
//! stay in the second-level cache. Cuts follow the shape alone.

mod grid;
mod lanes;
#[cfg(test)]
mod tests;
mod transform;
mod weight;

use super::ConvShape;
use crate::kernels::finish::Finish;
use crate::kernels::micro::{Block, Float, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut, part};
use crate::kernels::scratch::with_scratch;
use grid::Grid;
use std::any::TypeId;
use std::ops::Range;
use transform::{Input, Kernels, Output, POINTS, Weights};

/// Floats added between points, so that they do not all fall into one set of a cache.
const PAD: usize = 16;
/// Most channels of the result in a block.
const ROWS: usize = 64;
/// Elements of transformed kernels that are kept for all tasks at most.
const KERNELS: usize = 5 << 17;
/// Elements of transformed tiles that a task keeps, if it makes them itself.
const OWN: usize = 5 << 16;
/// Elements of transformed tiles that are made at once for all tasks.
const COMMON: usize = 5 << 18;
/// Panels of tiles from which each task has panels of its own.
const MANY: usize = 8;
/// Steps of the reduction for which kernels are transformed at once.
const DEPTH: usize = 64;
/// Channels that are transformed in one go.
const SOME: usize = 16;

/// A convolution with 3x3 kernels and step one, forward or backward.
#[derive(Clone, Copy, Debug)]
struct Problem {
    grid: Grid,
    /// Rows and columns of a plane of the source.
    extent: [usize; 2],
    /// Channels of the source and of the result.
    c: usize,
    m: usize,
    /// Elements of the weight from one channel of the result, and of the source, to the next.
    result: usize,
    source: usize,
    /// Whether kernels are turned by 180 degrees.
    turned: bool,
}

impl Problem {
    fn new(s: &ConvShape, backward: bool) -> Option<Problem> {
        let ones = s.stride == [1; 3] && s.dilation == [1; 3] && s.groups == 1;
        let flat = s.kernel == [1, 3, 3] && s.input[0] == 1 && s.output[0] == 1 && s.padding[0] == 0;
        if !ones || !flat || s.padding[1] > 2 || s.padding[2] > 2 {
            return None;
        }
        let (mut extent, mut out) = ([s.input[1], s.input[2]], [s.output[1], s.output[2]]);
        let (mut c, mut m, mut low) = (s.c_in, s.c_out, [s.padding[1], s.padding[2]]);
        let (mut result, mut source) = (9 * s.c_in, 9);
        if backward {
            (extent, out, c, m) = (out, extent, m, c);
            (result, source) = (source, result);
            low = low.map(|p| 2 - p);
        }
        let grid = Grid { n: s.n, tiles: out.map(|e| e.div_ceil(4)), out, low };
        Some(Problem { grid, extent, c, m, result, source, turned: backward })
    }

    /// Whether the detour through the points is expected to pay, by the shape alone.
    fn pays(&self, lanes: usize) -> bool {
        let tiles = self.grid.len();
        if self.c < 16 || self.m < 16 || tiles == 0 {
            return false;
        }
        // Vector operations for each pair of channels.
        let vectors = tiles.div_ceil(lanes) as f64;
        let (c, m) = (self.c as f64, self.m as f64);
        let products = 36.0 * vectors * c * m;
        let transforms = vectors * (300.0 * c + 250.0 * m) + 200.0 / lanes as f64 * c * m;
        let direct = (9 * self.grid.n * self.grid.out[0] * self.grid.out[1]) as f64 / lanes as f64 * c * m;
        products + transforms < 0.8 * direct
    }
}

/// How one problem is cut up.
struct Plan {
    p: Problem,
    tiles: Tiles<f32>,
    kernels: Kernels,
    /// Tiles of a panel.
    width: usize,
    panels: usize,
    /// Channels of the result in a block.
    blocks: usize,
    /// Channels of the largest block, in whole vectors.
    rows: usize,
}

impl Plan {
    fn new(p: Problem, kernels: Kernels) -> Plan {
        let lanes = kernels.lanes;
        let vectors = p.grid.len().div_ceil(lanes);
        let width = vectors.min(2) * lanes;
        let panels = p.grid.len().div_ceil(width);
        let mut blocks = p.m.div_ceil(ROWS);
        if panels < MANY && blocks < 8 {
            blocks = p.m.div_ceil(ROWS / 2);
        }
        let rows = p.m.div_ceil(blocks).next_multiple_of(lanes);
        Plan { p, tiles: f32::tiles(), kernels, width, panels, blocks, rows }
    }

    /// Channels of the result in a block.
    fn block(&self, i: usize) -> Range<usize> {
        part(self.p.m, self.blocks, i)
    }

    /// Elements of the transformed tiles from one point to the next, and from one panel to the next.
    fn tile_steps(&self) -> (usize, usize) {
        let point = self.p.c * self.width + PAD;
        (point, POINTS * point)
    }

    /// Elements of the sums from one point to the next, and from one panel to the next.
    fn sum_steps(&self) -> (usize, usize) {
        let point = self.rows * self.width + PAD;
        (point, POINTS * point)
    }

    /// Transforms some channels of a panel of tiles, which begin at `dst`.
    ///
    /// # Safety
    /// `dst` has room for a panel that no other thread touches in these channels.
    unsafe fn tiles_of(&self, src: &[f32], panel: usize, channels: Range<usize>, dst: *mut f32) {
        let [height, width] = self.p.extent;
        let plane = height * width;
        let lanes = self.kernels.lanes;
        let first = panel * self.width;
        for half in 0..self.vectors(panel) {
            let group = self.p.grid.group(first + half * lanes, lanes);
            let job = Input {
                src: src[channels.start * plane..].as_ptr(),
                plane,
                image: self.p.c * plane,
                channels: channels.len(),
                extent: self.p.extent,
                group: &group,
                dst: dst.wrapping_add(channels.start * self.width + half * lanes),
                point_step: self.tile_steps().0,
                channel_step: self.width,
            };
            // SAFETY: the planes of all images are in the source; the caller vouches for `dst`.
            unsafe { (self.kernels.input)(&job) }
        }
    }

    /// Vectors of a panel that hold tiles.
    fn vectors(&self, panel: usize) -> usize {
        let left = self.p.grid.len() - panel * self.width;
        left.min(self.width).div_ceil(self.kernels.lanes)
    }

    /// Transforms the kernels of some channels to `[point][channel of the source][of the result]`.
    ///
    /// # Safety
    /// `dst` has room for them: `step` from one point to the next.
    unsafe fn kernels_of(&self, w: &[f32], results: Range<usize>, channels: Range<usize>, step: usize, dst: *mut f32) {
        #[repr(align(64))]
        struct Spare([f32; 9 * 16]);
        let mut spare = Spare([0.0; 9 * 16]);
        let lanes = self.kernels.lanes;
        let p = &self.p;
        for m in results.clone().step_by(lanes) {
            let live = lanes.min(results.end - m);
            for (i, c) in channels.clone().enumerate() {
                let at = m * p.result + c * p.source;
                if live == lanes && at + (lanes - 1) * p.result + lanes <= w.len() {
                    let dst = spare.0.as_mut_ptr();
                    let src = w[at..].as_ptr();
                    let block = Block { src, src_step: p.result, dst, dst_step: lanes, rows: 9, cols: lanes };
                    // SAFETY: all of the block is in the weight; `tiles` is of this machine.
                    unsafe { (self.tiles.transpose)(&block) };
                } else {
                    for (tap, line) in spare.0.chunks_exact_mut(lanes).take(9).enumerate() {
                        for (j, v) in line.iter_mut().enumerate() {
                            *v = if j < live { w[at + j * p.result + tap] } else { 0.0 };
                        }
                    }
                }
                let dst = dst.wrapping_add(i * self.rows + m - results.start);
                let job = Weights { src: spare.0.as_ptr(), turned: p.turned, dst, point_step: step };
                // SAFETY: the caller vouches for `dst`, whose rows are whole vectors.
                unsafe { (self.kernels.weights)(&job) };
            }
        }
    }

    /// Adds the products of some channels of the source at all points of some panels.
    ///
    /// # Safety
    /// `kernels` holds `channels.len()` rows at each point, `tiles` and `sums` hold the panels.
    unsafe fn multiply(
        &self,
        rows: usize,
        channels: Range<usize>,
        (kernels, step): (*const f32, usize),
        tiles: *const f32,
        sums: *mut f32,
        panels: Range<usize>,
    ) {
        let (tile_point, tile_panel) = self.tile_steps();
        let (sum_point, sum_panel) = self.sum_steps();
        let lanes = self.kernels.lanes;
        for point in 0..POINTS {
            for (i, panel) in panels.clone().enumerate() {
                let vectors = self.vectors(panel);
                let blocks = rows.div_ceil((self.tiles.max_rows)(Walk::Rows, vectors));
                for block in 0..blocks {
                    let some = part(rows, blocks, block);
                    let tile = Tile {
                        k: channels.len(),
                        a: kernels.wrapping_add(point * step + some.start),
                        a_step: self.rows,
                        table: std::ptr::null(),
                        spread: std::ptr::null(),
                        b: tiles.wrapping_add(i * tile_panel + point * tile_point + channels.start * self.width),
                        b_step: self.width,
                        c: sums.wrapping_add(i * sum_panel + point * sum_point + some.start * self.width),
                        c_step: self.width,
                        cols: vectors * lanes,
                        alpha: 1.0,
                        beta: if channels.start == 0 { 0.0 } else { 1.0 },
                        bias: std::ptr::null(),
                    };
                    // SAFETY: the caller vouches for the operands; `tiles` is of this machine.
                    unsafe { (self.tiles.kernel)(Walk::Rows, some.len(), vectors)(&tile) };
                }
            }
        }
    }

    /// Transforms the sums of a block of channels back and finishes the results.
    ///
    /// # Safety
    /// `sums` holds the panels; no other thread touches these results.
    unsafe fn results_of(
        &self,
        sums: *const f32,
        block: Range<usize>,
        panels: Range<usize>,
        finish: &Finish<'_, f32>,
        out: SharedMut<f32>,
    ) {
        let (grid, lanes) = (&self.p.grid, self.kernels.lanes);
        let plane = grid.out[0] * grid.out[1];
        let image = self.p.m * plane;
        let (point_step, sum_panel) = self.sum_steps();
        let idle = finish.is_bias() && finish.shift.is_none();
        for (i, panel) in panels.enumerate() {
            let tiles = panel * self.width..grid.len().min((panel + 1) * self.width);
            let runs = if idle { Vec::new() } else { grid.runs(tiles.clone()) };
            let places = [0, 1].map(|half| grid.places((tiles.start + half * lanes).min(tiles.end), lanes, image));
            for first in block.clone().step_by(8) {
                let some = first..block.end.min(first + 8);
                for half in 0..self.vectors(panel) {
                    let job = Output {
                        src: sums.wrapping_add(i * sum_panel + (first - block.start) * self.width + half * lanes),
                        point_step,
                        channel_step: self.width,
                        channels: some.len(),
                        dst: out.ptr().wrapping_add(first * plane),
                        plane,
                        width: grid.out[1],
                        places: &places[half],
                    };
                    // SAFETY: the caller vouches for the sums; the places are within the planes.
                    unsafe { (self.kernels.output)(&job) };
                }
                for m in some.clone().filter(|_| !idle) {
                    for &(n, at, len) in &runs {
                        let at = n * image + m * plane + at;
                        // SAFETY: these results were written just now by this thread.
                        finish.plane(m, at, unsafe { out.slice(at, len) });
                    }
                }
            }
        }
    }

    fn run(&self, src: &[f32], w: &[f32], finish: &Finish<'_, f32>, out: &mut [f32]) {
        if self.panels >= MANY && self.p.c * self.rows * self.blocks * POINTS <= KERNELS {
            self.run_local(src, w, finish, out);
        } else {
            self.run_shared(src, w, finish, out);
        }
    }

    /// Transforms all kernels once; each task has panels of tiles of its own.
    fn run_local(&self, src: &[f32], w: &[f32], finish: &Finish<'_, f32>, out: &mut [f32]) {
        let c = self.p.c;
        let step = c * self.rows + PAD;
        let (v_panel, o_panel) = (self.tile_steps().1, self.sum_steps().1);
        let each = (OWN / v_panel).clamp(1, (self.panels / MANY).max(1));
        let out = SharedMut::new(out);
        with_scratch(self.blocks * POINTS * step, |u: &mut [f32]| {
            let parts = c.div_ceil(SOME);
            let shared = SharedMut::new(u);
            par::for_each(self.blocks * parts, |task| {
                let (block, i) = (task / parts, task % parts);
                let channels = part(c, parts, i);
                let dst = shared.ptr().wrapping_add(block * POINTS * step + channels.start * self.rows);
                // SAFETY: tasks write disjoint rows of the scratch.
                unsafe { self.kernels_of(w, self.block(block), channels, step, dst) };
            });
            par::for_each(self.panels.div_ceil(each), |task| {
                let panels = task * each..self.panels.min((task + 1) * each);
                with_scratch(each * (v_panel + o_panel), |scratch: &mut [f32]| {
                    let (v, o) = scratch.split_at_mut(each * v_panel);
                    for (i, panel) in panels.clone().enumerate() {
                        // SAFETY: the scratch has room for all panels of the task.
                        unsafe { self.tiles_of(src, panel, 0..c, v.as_mut_ptr().add(i * v_panel)) };
                    }
                    for b in 0..self.blocks {
                        let block = self.block(b);
                        let kernels = (shared.ptr().wrapping_add(b * POINTS * step).cast_const(), step);
                        let (v, o) = (v.as_ptr(), o.as_mut_ptr());
                        // SAFETY: kernels and panels were made above; tasks write disjoint tiles.
                        unsafe {
                            self.multiply(block.len(), 0..c, kernels, v, o, panels.clone());
                            self.results_of(o, block, panels.clone(), finish, out);
                        }
                    }
                });
            });
        });
    }

    /// Transforms some panels for all tasks; each task has a block of channels of its own.
    fn run_shared(&self, src: &[f32], w: &[f32], finish: &Finish<'_, f32>, out: &mut [f32]) {
        let c = self.p.c;
        let depth = DEPTH.min(c);
        let step = depth * self.rows + PAD;
        let (v_panel, o_panel) = (self.tile_steps().1, self.sum_steps().1);
        let rounds = self.panels.div_ceil((COMMON / v_panel).max(1));
        let most = self.panels.div_ceil(rounds);
        let out = SharedMut::new(out);
        with_scratch(most * v_panel, |v: &mut [f32]| {
            let v = SharedMut::new(v);
            for round in 0..rounds {
                let panels = part(self.panels, rounds, round);
                let parts = c.div_ceil(SOME);
                par::for_each(panels.len() * parts, |task| {
                    let (i, channels) = (task / parts, part(c, parts, task % parts));
                    // SAFETY: tasks write disjoint channels of the panels.
                    unsafe { self.tiles_of(src, panels.start + i, channels, v.ptr().add(i * v_panel)) };
                });
                let splits = MANY.div_ceil(self.blocks).min(panels.len());
                par::for_each(self.blocks * splits, |task| {
                    let block = self.block(task / splits);
                    let mine = part(panels.len(), splits, task % splits);
                    let v = v.ptr().wrapping_add(mine.start * v_panel).cast_const();
                    let mine = panels.start + mine.start..panels.start + mine.end;
                    with_scratch(POINTS * step + mine.len() * o_panel, |scratch: &mut [f32]| {
                        let (u, o) = scratch.split_at_mut(POINTS * step);
                        let o = o.as_mut_ptr();
                        for first in (0..c).step_by(depth) {
                            let channels = first..c.min(first + depth);
                            let u = u.as_mut_ptr();
                            // SAFETY: the scratch has room for the kernels of these channels and
                            // for all sums; tasks write disjoint channels and tiles.
                            unsafe {
                                self.kernels_of(w, block.clone(), channels.clone(), step, u);
                                self.multiply(block.len(), channels, (u, step), v, o, mine.clone());
                            }
                        }
                        // SAFETY: as above.
                        unsafe { self.results_of(o, block, mine, finish, out) };
                    });
                });
            }
        });
    }
}

fn plan(s: &ConvShape, backward: bool) -> Option<Plan> {
    let kernels = transform::kernels()?;
    let p = Problem::new(s, backward)?;
    p.pays(kernels.lanes).then(|| Plan::new(p, kernels))
}

/// The slice as one of f32, if it is.
fn single<T: Float>(v: &[T]) -> Option<&[f32]> {
    let same = TypeId::of::<T>() == TypeId::of::<f32>();
    // SAFETY: the types are the same.
    same.then(|| unsafe { std::slice::from_raw_parts(v.as_ptr().cast(), v.len()) })
}

/// As [`single`], to write to.
fn single_mut<T: Float>(v: &mut [T]) -> Option<&mut [f32]> {
    let same = TypeId::of::<T>() == TypeId::of::<f32>();
    // SAFETY: the types are the same.
    same.then(|| unsafe { std::slice::from_raw_parts_mut(v.as_mut_ptr().cast(), v.len()) })
}

/// The gradient of the weight, if this is the way to compute it; the slices are of its size.
pub(super) fn backward_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) -> bool {
    let (Some(x), Some(gy), Some(gw)) = (single(x), single(gy), single_mut(gw)) else { return false };
    let Some(plan) = weight::Plan::new(s).filter(weight::Plan::pays) else { return false };
    plan.run(x, gy, gw);
    true
}

/// Whether any pass of this convolution may be computed here.
#[cfg(test)]
pub(super) fn takes<T: Float>(s: &ConvShape) -> bool {
    let weight = || weight::Plan::new(s).is_some_and(|p| p.pays());
    single::<T>(&[]).is_some() && (plan(s, false).is_some() || plan(s, true).is_some() || weight())
}

/// The convolution and what follows it, if this is the way to compute it; the slices are of its size.
pub(super) fn forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) -> bool {
    run(s, false, x, w, finish, out)
}

/// The gradient of the input and what follows it, if this is the way to compute it; the slices are of its size.
pub(super) fn backward_input<T: Float>(s: &ConvShape, gy: &[T], w: &[T], finish: &Finish<'_, T>, gx: &mut [T]) -> bool {
    run(s, true, gy, w, finish, gx)
}

fn run<T: Float>(s: &ConvShape, back: bool, x: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) -> bool {
    let (Some(x), Some(w), Some(out)) = (single(x), single(w), single_mut(out)) else { return false };
    let Some(plan) = plan(s, back) else { return false };
    // SAFETY: `T` is f32, as `single` found.
    let finish = unsafe { &*std::ptr::from_ref(finish).cast::<Finish<'_, f32>>() };
    plan.run(x, w, finish, out);
    true
}
