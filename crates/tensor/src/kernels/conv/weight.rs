//! The gradient of a convolution's weights: one reduction over all positions of all images.

use super::ConvShape;
use super::gather::{fill_stage, tap_offsets};
use super::stage::{Axis, Stage};
use crate::kernels::micro::{Block, Float, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut, part};
use crate::kernels::scratch::with_scratch;
use std::ops::Range;

/// Elements of stage and transposed gradient that are made at once.
const STAGE: usize = 1 << 20;
/// Positions in one block of the reduction.
const KC: usize = 512;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 3_000_000;
/// Tasks below which the images are divided as well.
const FEW: usize = 8;

/// How the work is cut up: a function of the shape and the instruction set alone.
struct Plan {
    stage: Stage,
    /// Weights of one output channel: rows of the result.
    n: usize,
    /// Stage offset of each of them within a group.
    spread: Vec<u32>,
    /// Stage offset of each position of a chunk's images.
    table: Vec<u32>,
    positions: usize,
    /// Output channels of a group, in vectors, and the panels they are dealt out to.
    vectors: usize,
    panels: usize,
    /// Columns of the widest panel.
    columns: usize,
    /// Blocks of rows, dealt out to `parts` tasks.
    blocks: usize,
    parts: usize,
    /// Groups of images that are summed apart.
    splits: usize,
    per_chunk: usize,
    chunks: usize,
}

impl Plan {
    fn new<T: Float>(s: &ConvShape, tiles: &Tiles<T>) -> Plan {
        let [z, y, x] = [0, 1, 2].map(|i| Axis::forward(s, i));
        let stage = Stage { channels: s.c_in, axes: [z.0, y.0, x.0] };
        let taps = tap_offsets(&stage, [&z.1, &y.1, &x.1]);
        let plane = stage.plane();
        let spread: Vec<u32> =
            (0..s.group_in()).flat_map(|c| taps.iter().map(move |t| (c * plane + t) as u32)).collect();
        let (n, positions) = (spread.len(), s.out_plane());
        let vectors = s.group_out().div_ceil(tiles.lanes);
        let panels = vectors.div_ceil(tiles.max_vectors);
        let columns = vectors.div_ceil(panels) * tiles.lanes;
        let per_image = stage.image() + s.groups * panels * columns * positions;
        let per_chunk = (STAGE / per_image).clamp(1, s.n);
        let chunks = s.n.div_ceil(per_chunk);
        let per_chunk = s.n.div_ceil(chunks);
        let blocks = n.div_ceil((tiles.max_rows)(Walk::Spread, vectors.div_ceil(panels)));
        let flops = 2 * n * columns * positions * per_chunk;
        let parts = (flops / TASK_FLOPS).clamp(1, blocks);
        let tasks = s.groups * panels * parts;
        // Every split must have an image in every chunk but the last.
        let splits = FEW.div_ceil(tasks).min(per_chunk).min((flops * tasks / parts / (TASK_FLOPS / 4)).max(1));
        let [sz, sy, sx] = stage.strides();
        let image = stage.image();
        let mut table = Vec::with_capacity(per_chunk * positions);
        for i in 0..per_chunk {
            for z in 0..s.output[0] {
                for y in 0..s.output[1] {
                    let base = i * image + z * sz + y * sy;
                    table.extend((0..s.output[2]).map(|x| (base + x * sx) as u32));
                }
            }
        }
        Plan { stage, n, spread, table, positions, vectors, panels, columns, blocks, parts, splits, per_chunk, chunks }
    }

    /// First vector and number of vectors of a panel.
    fn panel(&self, i: usize) -> Range<usize> {
        part(self.vectors, self.panels, i)
    }
}

pub(super) fn run<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    let tiles = T::tiles();
    let plan = Plan::new(s, &tiles);
    let staged = if plan.stage.is_source() { 0 } else { plan.per_chunk * plan.stage.image() };
    let panels = s.groups * plan.panels;
    // Tiles read whole vectors of the gradient.
    let grads = panels * plan.per_chunk * plan.positions * plan.columns;
    let sums = plan.splits * panels * plan.n * plan.columns + tiles.lanes * plan.columns;
    with_scratch(staged + grads + sums, |scratch: &mut [T]| {
        let (staged, rest) = scratch.split_at_mut(staged);
        let (grads, sums) = rest.split_at_mut(grads);
        for chunk in 0..plan.chunks {
            let images = chunk * plan.per_chunk..s.n.min((chunk + 1) * plan.per_chunk);
            let stage = fill_stage(&plan.stage, x, images.clone(), staged);
            transpose_grads(s, &tiles, &plan, gy, images.clone(), grads);
            let shared = SharedMut::new(sums);
            let tasks = panels * plan.parts;
            par::for_each(plan.splits * tasks, |task| {
                let (split, panel, rows) = (task / tasks, task % tasks / plan.parts, task % plan.parts);
                let some = part(images.len(), plan.splits, split);
                add_products(&tiles, &plan, s, stage, grads, chunk == 0, (split, panel, rows), some, shared);
            });
        }
        reduce(s, &tiles, &plan, sums, gw);
    });
}

/// Copies the output's gradient to `[group][panel][position of all images][channel]`.
fn transpose_grads<T: Float>(
    s: &ConvShape,
    tiles: &Tiles<T>,
    plan: &Plan,
    gy: &[T],
    images: Range<usize>,
    out: &mut [T],
) {
    let (lanes, positions) = (tiles.lanes, plan.positions);
    let panels = s.groups * plan.panels;
    let panel_len = plan.per_chunk * positions * plan.columns;
    let shared = SharedMut::new(out);
    par::for_each(images.len() * panels, |task| {
        let (i, panel) = (task / panels, task % panels);
        let vectors = plan.panel(panel % plan.panels);
        let first = vectors.start * lanes;
        let live = (s.group_out() - first).min(vectors.len() * lanes);
        let channel = (images.start + i) * s.c_out + panel / plan.panels * s.group_out() + first;
        let src = &gy[channel * positions..][..live * positions];
        // SAFETY: tasks have disjoint ranges of the buffer, which outlives the call.
        let dst = unsafe { shared.slice(panel * panel_len + i * positions * plan.columns, positions * plan.columns) };
        for c in (0..plan.columns).step_by(lanes) {
            for p in (0..positions).step_by(lanes) {
                let to = &mut dst[p * plan.columns + c..];
                let count = lanes.min(positions - p);
                let from = c * positions + p;
                if c + lanes <= live && from + (lanes - 1) * positions + lanes <= src.len() {
                    let block = Block {
                        src: src[from..].as_ptr(),
                        src_step: positions,
                        dst: to.as_mut_ptr(),
                        dst_step: plan.columns,
                        rows: count,
                        cols: lanes,
                    };
                    // SAFETY: the whole block of the source exists by the test above; `count` rows
                    // of the copy do.
                    unsafe { (tiles.transpose)(&block) };
                    continue;
                }
                for q in 0..count {
                    for l in 0..lanes {
                        to[q * plan.columns + l] = if c + l < live { src[from + l * positions + q] } else { T::ZERO };
                    }
                }
            }
        }
    });
}

/// Adds the products of some images to the rows of one task.
fn add_products<T: Float>(
    tiles: &Tiles<T>,
    plan: &Plan,
    s: &ConvShape,
    stage: &[T],
    grads: &[T],
    fresh: bool,
    (split, panel, rows): (usize, usize, usize),
    images: Range<usize>,
    sums: SharedMut<T>,
) {
    let nv = plan.panel(panel % plan.panels).len();
    let steps = images.start * plan.positions..images.end * plan.positions;
    let panels = s.groups * plan.panels;
    let grads = &grads[panel * plan.per_chunk * plan.positions * plan.columns..];
    let base = panel / plan.panels * s.group_in() * plan.stage.plane();
    let depths = steps.len().div_ceil(KC);
    for d in 0..depths {
        let ks = part(steps.len(), depths, d);
        let ks = steps.start + ks.start..steps.start + ks.end;
        for block in part(plan.blocks, plan.parts, rows) {
            let some = part(plan.n, plan.blocks, block);
            let at = ((split * panels + panel) * plan.n + some.start) * plan.columns;
            let tile = Tile {
                k: ks.len(),
                a: stage[base..].as_ptr(),
                a_step: 0,
                table: plan.table[ks.start..].as_ptr(),
                spread: plan.spread[some.start..].as_ptr(),
                b: grads[ks.start * plan.columns..].as_ptr(),
                b_step: plan.columns,
                // SAFETY: the rows of this task are within the sums.
                c: unsafe { sums.ptr().add(at) },
                c_step: plan.columns,
                cols: nv * tiles.lanes,
                alpha: T::ONE,
                beta: if fresh && d == 0 { T::ZERO } else { T::ONE },
                bias: std::ptr::null(),
            };
            // SAFETY: the stage holds every position of every weight, the gradient whole rows, and
            // no other task writes these rows of the sums.
            unsafe { (tiles.kernel)(Walk::Spread, some.len(), nv)(&tile) };
        }
    }
}

/// Adds the splits in their order and transposes the sums to the layout of the weight.
fn reduce<T: Float>(s: &ConvShape, tiles: &Tiles<T>, plan: &Plan, sums: &mut [T], gw: &mut [T]) {
    let panels = s.groups * plan.panels;
    let all = panels * plan.n * plan.columns;
    let (first, others) = sums.split_at_mut(all);
    if plan.splits > 1 {
        par::for_each_chunk_mut(first, par::GRAIN, |i, chunk| {
            let at = i * par::GRAIN;
            for split in 0..plan.splits - 1 {
                let other = &others[split * all + at..][..chunk.len()];
                chunk.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
            }
        });
    }
    let sums = &sums[..];
    let lanes = tiles.lanes;
    let groups_of = plan.n.div_ceil(128);
    let out = SharedMut::new(gw);
    par::for_each(panels * groups_of, |task| {
        let (panel, some) = (task / groups_of, task % groups_of);
        let vectors = plan.panel(panel % plan.panels);
        let first = vectors.start * lanes;
        let live = (s.group_out() - first).min(vectors.len() * lanes);
        let channel = panel / plan.panels * s.group_out() + first;
        for i in (some * 128..plan.n.min(some * 128 + 128)).step_by(lanes) {
            for c in (0..live).step_by(lanes) {
                let src = sums[(panel * plan.n + i) * plan.columns + c..].as_ptr();
                let (rows, cols) = (lanes.min(live - c), lanes.min(plan.n - i));
                // SAFETY: the sums have slack for a whole block; tasks write disjoint weights.
                unsafe {
                    let dst = out.ptr().add((channel + c) * plan.n + i);
                    (tiles.transpose)(&Block { src, src_step: plan.columns, dst, dst_step: plan.n, rows, cols });
                }
            }
        }
    });
}
