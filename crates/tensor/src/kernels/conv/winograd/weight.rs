//! The gradient of the kernels: at each point a product `[results x tiles] [tiles x channels]`.
//!
//! The tiles of the input are those of the forward pass, with channels side by side; of the result's
//! gradient there are 4x4. With few channels each task sums over tiles of its own, and the sums are
//! added in a fixed order; with many, some tiles are transformed for all tasks, and each task has
//! channels of its own.

use super::transform::{self, Input, Kernels, POINTS, Restored};
use super::{COMMON, OWN, PAD, Problem, SOME, part};
use crate::kernels::conv::ConvShape;
use crate::kernels::micro::{Block, Float, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;
use std::ops::Range;

/// Elements of one task's sums up to which tasks divide the tiles.
const SUMS: usize = 5 << 15;
/// Elements of the sums of all channels at most, where they are kept between rounds.
const ALL_SUMS: usize = 3 << 20;
/// Tasks that divide the tiles.
const SPLITS: usize = 8;
/// Tiles of such a task at least.
const LEAST: usize = 64;
/// Channels of the result in a task that has channels of its own.
const ROWS: usize = 64;

/// How the gradient of one weight is computed.
pub(super) struct Plan {
    /// The forward problem.
    p: Problem,
    /// The same tiles in the gradient of the result.
    gradient: Problem,
    tiles: Tiles<f32>,
    kernels: Kernels,
    /// Panels of input channels, and channels of the widest in whole vectors.
    panels: usize,
    width: usize,
    /// Tiles that are transformed at once, in whole vectors.
    pub depth: usize,
    /// Whether tasks divide the tiles.
    pub split: bool,
}

/// Transformed tiles: of the input `[panel][point][tile][channel]`, of the gradient
/// `[point][channel][tile]`.
#[derive(Clone, Copy)]
struct Operands {
    v: SharedMut<f32>,
    y: SharedMut<f32>,
}

impl Plan {
    pub fn new(s: &ConvShape) -> Option<Plan> {
        let kernels = transform::kernels()?;
        let p = Problem::new(s, false)?;
        if p.grid.len() == 0 || p.c == 0 || p.m == 0 {
            return None;
        }
        let mut gradient = p;
        gradient.extent = p.grid.out;
        gradient.c = p.m;
        gradient.grid.low = [0; 2];
        let (tiles, lanes) = (f32::tiles(), kernels.lanes);
        let vectors = p.c.div_ceil(lanes);
        let panels = vectors.div_ceil(tiles.max_vectors);
        let width = vectors.div_ceil(panels) * lanes;
        let tile = POINTS * (panels * width + p.m);
        let all = p.grid.len().next_multiple_of(lanes);
        let split = POINTS * p.m * panels * width <= SUMS && all >= SPLITS * LEAST;
        let most = if split { OWN.min(tile * all.div_ceil(SPLITS)) } else { 2 * COMMON };
        let rounds = all.div_ceil((most / tile / lanes * lanes).max(lanes));
        let depth = all.div_ceil(rounds).next_multiple_of(lanes);
        Some(Plan { p, gradient, tiles, kernels, panels, width, depth, split })
    }

    /// Whether the detour through the points is expected to pay, by the shape alone.
    pub fn pays(&self) -> bool {
        let (lanes, tiles) = (self.kernels.lanes, self.p.grid.len());
        if self.p.c < 16 || self.p.m < 16 || !self.split && self.rounds() > 1 && self.sums() > ALL_SUMS {
            return false;
        }
        let (c, m) = (self.p.c as f64, self.p.m as f64);
        let products = 36.0 * tiles as f64 / lanes as f64 * c * m;
        let vectors = tiles.div_ceil(lanes) as f64;
        let transforms = vectors * (600.0 * c + 250.0 * m) + 300.0 / lanes as f64 * c * m;
        let direct = (9 * self.p.grid.n * self.p.grid.out[0] * self.p.grid.out[1]) as f64 / lanes as f64 * c * m;
        products + transforms < 0.8 * direct
    }

    fn rounds(&self) -> usize {
        self.p.grid.len().div_ceil(self.depth)
    }

    /// Elements of the sums of all channels.
    fn sums(&self) -> usize {
        self.panels * POINTS * self.sum_point()
    }

    /// Elements of the sums from one point to the next.
    fn sum_point(&self) -> usize {
        self.p.m * self.width + PAD
    }

    /// Elements of the input's tiles from one point to the next.
    fn v_point(&self) -> usize {
        self.depth * self.width + PAD
    }

    /// Elements of the gradient's tiles from one point to the next.
    fn y_point(&self) -> usize {
        self.p.m * self.depth + PAD
    }

    fn operands_len(&self) -> usize {
        POINTS * (self.panels * self.v_point() + self.y_point())
    }

    fn operands(&self, scratch: &mut [f32]) -> Operands {
        let (v, y) = scratch.split_at_mut(self.panels * POINTS * self.v_point());
        Operands { v: SharedMut::new(v), y: SharedMut::new(y) }
    }

    /// The tiles of a round.
    fn round(&self, i: usize) -> Range<usize> {
        i * self.depth..self.p.grid.len().min((i + 1) * self.depth)
    }

    /// Parts of [`Plan::transform`].
    fn parts(&self) -> usize {
        (self.panels * self.width).div_ceil(self.kernels.lanes) + self.p.m.div_ceil(SOME)
    }

    /// Makes one part of the operands of some tiles.
    ///
    /// # Safety
    /// The operands have the plan's sizes, and no other thread makes this part.
    unsafe fn transform(&self, x: &[f32], gy: &[f32], tiles: Range<usize>, i: usize, to: &Operands) {
        let inputs = (self.panels * self.width).div_ceil(self.kernels.lanes);
        // SAFETY: forwarded from the caller.
        unsafe {
            match i.checked_sub(inputs) {
                None => self.transform_input(x, tiles, i, to.v.ptr()),
                Some(i) => self.transform_gradient(gy, tiles, part(self.p.m, self.p.m.div_ceil(SOME), i), to.y.ptr()),
            }
        }
    }

    /// One vector of channels: transformed with tiles side by side, then turned.
    unsafe fn transform_input(&self, x: &[f32], tiles: Range<usize>, vector: usize, v: *mut f32) {
        let lanes = self.kernels.lanes;
        let [height, width] = self.p.extent;
        let plane = height * width;
        let first = vector * lanes;
        let (panel, column) = (first / self.width, first % self.width);
        let v = v.wrapping_add(panel * POINTS * self.v_point() + column);
        let live = self.p.c.saturating_sub(first).min(lanes);
        let point_step = lanes * lanes + PAD;
        with_scratch(POINTS * point_step, |spare: &mut [f32]| {
            if live < lanes {
                spare.fill(0.0);
            }
            for tile in tiles.clone().step_by(lanes) {
                let group = self.p.grid.group(tile, lanes);
                let job = Input {
                    src: x.as_ptr().wrapping_add(first * plane),
                    plane,
                    image: self.p.c * plane,
                    channels: live,
                    extent: self.p.extent,
                    group: &group,
                    dst: spare.as_mut_ptr(),
                    point_step,
                    channel_step: lanes,
                };
                // SAFETY: the planes are in the input, the buffer holds all points, the operand
                // whole vectors of tiles; `tiles` is of this machine.
                unsafe {
                    (self.kernels.input)(&job);
                    for point in 0..POINTS {
                        let src = spare.as_ptr().add(point * point_step);
                        let dst = v.add(point * self.v_point() + (tile - tiles.start) * self.width);
                        let block = Block { src, src_step: lanes, dst, dst_step: self.width, rows: lanes, cols: lanes };
                        (self.tiles.transpose)(&block);
                    }
                }
            }
        });
    }

    unsafe fn transform_gradient(&self, gy: &[f32], tiles: Range<usize>, channels: Range<usize>, y: *mut f32) {
        let lanes = self.kernels.lanes;
        let [height, width] = self.gradient.extent;
        let plane = height * width;
        for tile in tiles.clone().step_by(lanes) {
            let group = self.gradient.grid.group(tile, lanes);
            let job = Input {
                src: gy[channels.start * plane..].as_ptr(),
                plane,
                image: self.p.m * plane,
                channels: channels.len(),
                extent: self.gradient.extent,
                group: &group,
                dst: y.wrapping_add(channels.start * self.depth + tile - tiles.start),
                point_step: self.y_point(),
                channel_step: self.depth,
            };
            // SAFETY: the planes are in the gradient, the operand holds whole vectors of tiles.
            unsafe { (self.kernels.gradient)(&job) };
        }
    }

    /// Adds the products of `k` tiles for some results and one panel of channels; the sums of the
    /// first result and point are at `z`, `z_point` apart.
    ///
    /// # Safety
    /// The operands hold the tiles, `z` has room, and no other thread uses it.
    unsafe fn multiply(
        &self,
        k: usize,
        from: &Operands,
        m: Range<usize>,
        panel: usize,
        z: (*mut f32, usize),
        fresh: bool,
    ) {
        let lanes = self.kernels.lanes;
        // Lanes without a tile are zero, and not the last ones.
        let k = k.next_multiple_of(lanes);
        let columns = self.columns(panel);
        let vectors = columns.div_ceil(lanes);
        let blocks = m.len().div_ceil((self.tiles.max_rows)(Walk::Depth, vectors));
        for point in 0..POINTS {
            for block in 0..blocks {
                let some = part(m.len(), blocks, block);
                let y = point * self.y_point() + (m.start + some.start) * self.depth;
                let tile = Tile {
                    k,
                    a: from.y.ptr().wrapping_add(y),
                    a_step: self.depth,
                    table: std::ptr::null(),
                    spread: std::ptr::null(),
                    b: from.v.ptr().wrapping_add((panel * POINTS + point) * self.v_point()),
                    b_step: self.width,
                    c: z.0.wrapping_add(point * z.1 + some.start * self.width),
                    c_step: self.width,
                    cols: vectors * lanes,
                    alpha: 1.0,
                    beta: if fresh { 0.0 } else { 1.0 },
                    bias: std::ptr::null(),
                };
                // SAFETY: the caller vouches for the operands; `tiles` is of this machine.
                unsafe { (self.tiles.kernel)(Walk::Depth, some.len(), vectors)(&tile) };
            }
        }
    }

    /// Channels of a panel.
    fn columns(&self, panel: usize) -> usize {
        self.p.c.saturating_sub(panel * self.width).min(self.width)
    }

    /// Transforms the sums of some results and one panel of channels back.
    ///
    /// # Safety
    /// As for [`Plan::multiply`]; no other thread writes these weights.
    unsafe fn restore(&self, m: Range<usize>, panel: usize, z: (*const f32, usize), gw: SharedMut<f32>) {
        #[repr(align(64))]
        struct Spare([f32; 16 * 16]);
        let mut spare = Spare([0.0; 16 * 16]);
        let lanes = self.kernels.lanes;
        for (i, m) in m.enumerate() {
            for c in (0..self.columns(panel)).step_by(lanes) {
                let src = z.0.wrapping_add(i * self.width + c);
                let job = Restored { src, point_step: z.1, dst: spare.0.as_mut_ptr() };
                let live = lanes.min(self.columns(panel) - c);
                let channel = panel * self.width + c;
                // SAFETY: the caller vouches for the sums; the buffer holds a block of 16 x 16 (or, of
                // shorter vectors, nine), of which the nine weights of existing channels are copied.
                unsafe {
                    (self.kernels.kernel)(&job);
                    let dst = gw.ptr().add((m * self.p.c + channel) * 9);
                    if lanes >= 9 {
                        let src = spare.0.as_ptr();
                        (self.tiles.transpose)(&Block { src, src_step: lanes, dst, dst_step: 9, rows: live, cols: 9 });
                    } else {
                        for (j, tap) in (0..live).flat_map(|j| (0..9).map(move |tap| (j, tap))) {
                            *dst.add(j * 9 + tap) = spare.0[tap * lanes + j];
                        }
                    }
                }
            }
        }
    }

    pub fn run(&self, x: &[f32], gy: &[f32], gw: &mut [f32]) {
        if self.split { self.run_split(x, gy, gw) } else { self.run_whole(x, gy, gw) }
    }

    /// Each task has tiles of its own.
    fn run_split(&self, x: &[f32], gy: &[f32], gw: &mut [f32]) {
        let (all, rounds) = (self.sums(), self.rounds());
        let splits = SPLITS.min(rounds);
        with_scratch(splits * all, |z: &mut [f32]| {
            let sums = SharedMut::new(z);
            par::for_each(splits, |split| {
                with_scratch(self.operands_len(), |scratch: &mut [f32]| {
                    let to = self.operands(scratch);
                    for round in part(rounds, splits, split) {
                        let tiles = self.round(round);
                        let fresh = round == part(rounds, splits, split).start;
                        // SAFETY: operands and sums have their sizes, and are this task's own.
                        unsafe {
                            (0..self.parts()).for_each(|i| self.transform(x, gy, tiles.clone(), i, &to));
                            for panel in 0..self.panels {
                                let z = sums.ptr().add(split * all + panel * POINTS * self.sum_point());
                                self.multiply(tiles.len(), &to, 0..self.p.m, panel, (z, self.sum_point()), fresh);
                            }
                        }
                    }
                });
            });
            let (first, others) = z.split_at_mut(all);
            par::for_each_chunk_mut(first, par::GRAIN, |i, chunk| {
                for other in others.chunks_exact(all) {
                    let other = &other[i * par::GRAIN..][..chunk.len()];
                    chunk.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
                }
            });
            self.restore_all(first, gw);
        });
    }

    /// Transforms the sums of all channels back.
    fn restore_all(&self, sums: &[f32], gw: &mut [f32]) {
        let gw = SharedMut::new(gw);
        let blocks = self.p.m.div_ceil(8);
        par::for_each(self.panels * blocks, |task| {
            let (panel, m) = (task / blocks, part(self.p.m, blocks, task % blocks));
            let z = sums[panel * POINTS * self.sum_point() + m.start * self.width..].as_ptr();
            // SAFETY: tasks write disjoint weights.
            unsafe { self.restore(m, panel, (z, self.sum_point()), gw) };
        });
    }

    /// Each task has channels of its own.
    fn run_whole(&self, x: &[f32], gy: &[f32], gw: &mut [f32]) {
        let rounds = self.rounds();
        let mut blocks = self.p.m.div_ceil(ROWS);
        if blocks * self.panels < SPLITS {
            blocks = self.p.m.div_ceil(ROWS / 2);
        }
        // Sums outlive a round only if there are several.
        let kept = if rounds > 1 { self.sums() } else { 0 };
        with_scratch(self.operands_len() + kept, |scratch: &mut [f32]| {
            let (scratch, kept) = scratch.split_at_mut(self.operands_len());
            let operands = self.operands(scratch);
            let shared = SharedMut::new(kept);
            let out = SharedMut::new(gw);
            for round in 0..rounds {
                let tiles = self.round(round);
                // SAFETY: each task makes a part of its own.
                par::for_each(self.parts(), |i| unsafe { self.transform(x, gy, tiles.clone(), i, &operands) });
                par::for_each(self.panels * blocks, |task| {
                    let (panel, m) = (task / blocks, part(self.p.m, blocks, task % blocks));
                    if rounds > 1 {
                        let at = panel * POINTS * self.sum_point() + m.start * self.width;
                        // SAFETY: the sums of a panel's results are this task's own.
                        unsafe {
                            let z = (shared.ptr().add(at), self.sum_point());
                            self.multiply(tiles.len(), &operands, m, panel, z, round == 0);
                        }
                        return;
                    }
                    let point = m.len() * self.width + PAD;
                    with_scratch(POINTS * point, |z: &mut [f32]| {
                        // SAFETY: as above; tasks write disjoint weights.
                        unsafe {
                            let z = z.as_mut_ptr();
                            self.multiply(tiles.len(), &operands, m.clone(), panel, (z, point), true);
                            self.restore(m, panel, (z.cast_const(), point), out);
                        }
                    });
                });
            }
            if rounds > 1 {
                self.restore_all(kept, gw);
            }
        });
    }
}
