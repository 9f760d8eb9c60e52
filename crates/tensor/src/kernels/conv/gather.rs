//! The forward convolution and the gradient of its input: outputs that gather from the stage.

use super::ConvShape;
use super::stage::{Axis, Lane, Stage, Tap};
use crate::kernels::micro::{Block, Float, Tile, Tiles, Walk};
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;
use std::ops::Range;

/// Elements of the stage that are made at once.
const STAGE: usize = 1 << 20;
/// Most steps in one block of the reduction: the weights of a panel stay in the first-level cache.
const KC: usize = 320;
/// Rows of outputs shorter than this are cut into tiles regardless of where a row ends.
const SHORT: usize = 8;
/// Floating-point operations that make a task of their own.
const TASK_FLOPS: usize = 3_000_000;
/// Elements of a task's buffer of results.
const RESULTS: usize = 32 * 1024;
/// Positions among which a block of weights is shared at least, if there are as many.
const POSITIONS: usize = 256;

/// Element strides of the weight.
#[derive(Clone, Copy, Debug)]
struct Weight {
    /// From one group to the next.
    group: usize,
    /// From one channel of the result to the next.
    result: usize,
    /// From one channel of the source to the next.
    source: usize,
}

/// A gathering convolution: `out[m] = sum over c, taps of w[m, c, tap] * stage[c, offset(tap)]`.
pub(super) struct Gather {
    n: usize,
    groups: usize,
    /// Channels of the result in a group.
    m: usize,
    /// Channels of the source in a group.
    c: usize,
    out: [usize; 3],
    kernel: [usize; 3],
    weight: Weight,
    stage: Stage,
    lanes: [Vec<Lane>; 3],
}

impl Gather {
    pub fn forward(s: &ConvShape) -> Gather {
        let [z, y, x] = [0, 1, 2].map(|i| Axis::forward(s, i));
        let (m, c, taps) = (s.group_out(), s.group_in(), s.taps());
        Gather {
            n: s.n,
            groups: s.groups,
            m,
            c,
            out: s.output,
            kernel: s.kernel,
            weight: Weight { group: m * c * taps, result: c * taps, source: taps },
            stage: Stage { channels: s.c_in, axes: [z.0, y.0, x.0] },
            lanes: [vec![z.1], vec![y.1], vec![x.1]],
        }
    }

    pub fn backward(s: &ConvShape) -> Gather {
        let [z, y, x] = [0, 1, 2].map(|i| Axis::backward(s, i));
        let (m, c, taps) = (s.group_in(), s.group_out(), s.taps());
        Gather {
            n: s.n,
            groups: s.groups,
            m,
            c,
            out: s.input,
            kernel: s.kernel,
            weight: Weight { group: m * c * taps, result: taps, source: m * taps },
            stage: Stage { channels: s.c_out, axes: [z.0, y.0, x.0] },
            lanes: [z.1, y.1, x.1],
        }
    }
}

/// One combination of lanes: a set of outputs that see the same taps.
struct Pass<'a> {
    g: &'a Gather,
    lanes: [&'a Lane; 3],
    /// Elements of a group's stage offsets, one for each step of the reduction.
    table: Vec<u32>,
    /// Offset of each step's weight.
    taps: Vec<usize>,
    /// Rows of a tile.
    mr: usize,
    /// Stage offset of each output of a chunk of images, if rows are short.
    places: Option<Vec<u32>>,
    vectors: usize,
    panels: usize,
    /// Rows of outputs in a task.
    rows: usize,
}

impl<'a> Pass<'a> {
    fn new<T: Float>(g: &'a Gather, lanes: [&'a Lane; 3], images: usize, tiles: &Tiles<T>) -> Pass<'a> {
        let mut offsets = Vec::new();
        for &z in &lanes[0].taps {
            for &y in &lanes[1].taps {
                for &x in &lanes[2].taps {
                    let [_, ky, kx] = g.kernel;
                    offsets.push((g.stage.tap([z, y, x]), (z.index * ky + y.index) * kx + x.index));
                }
            }
        }
        let plane = g.stage.plane();
        let steps = || (0..g.c).flat_map(|c| offsets.iter().map(move |&(at, tap)| (c, at, tap)));
        let table: Vec<u32> = steps().map(|(c, at, _)| (c * plane + at) as u32).collect();
        let taps = steps().map(|(c, _, tap)| c * g.weight.source + tap).collect();
        let width = lanes[2].count;
        let vectors = g.m.div_ceil(tiles.lanes);
        let (mut mr, mut nv) = best_tile(tiles, width, vectors);
        let places = (width < SHORT).then(|| places(g, lanes, images));
        if places.is_some() {
            // Each output has a pointer of its own, as the weights have in their gradient.
            nv = vectors.div_ceil(vectors.div_ceil(tiles.max_vectors.min(3)));
            mr = (tiles.max_rows)(Walk::Spread, nv);
        }
        let panels = vectors.div_ceil(nv);
        let columns = vectors.div_ceil(panels) * tiles.lanes;
        let all = images * lanes[0].count * lanes[1].count;
        let by_work = TASK_FLOPS / (2 * width * columns * table.len().max(1)).max(1);
        let rows = by_work.max(POSITIONS / width).clamp(1, (RESULTS / (width * columns)).max(1)).min(all);
        Pass { g, lanes, table, taps, mr, places, vectors, panels, rows }
    }

    /// Columns of a panel in the packed weights.
    fn columns<T: Float>(&self, tiles: &Tiles<T>) -> usize {
        self.vectors.div_ceil(self.panels) * tiles.lanes
    }

    fn packed_len<T: Float>(&self, tiles: &Tiles<T>) -> usize {
        self.g.groups * self.panels * self.table.len() * self.columns(tiles)
    }

    /// First channel and number of vectors of a panel.
    fn panel(&self, i: usize) -> (usize, usize) {
        let (base, more) = (self.vectors / self.panels, self.vectors % self.panels);
        (i * base + i.min(more), base + usize::from(i < more))
    }

    /// Copies the weights to `[group][panel][step][channel]`, channels padded with zeros.
    fn pack<T: Float>(&self, tiles: &Tiles<T>, w: &[T], out: &mut [T]) {
        let (width, depth) = (self.columns(tiles), self.table.len());
        // Blocks of steps, so that a task is neither tiny nor all of the weights.
        let blocks = depth.div_ceil(64).max(1);
        let shared = SharedMut::new(out);
        par::for_each(self.g.groups * self.panels * blocks, |task| {
            let (group, panel, block) = (task / blocks / self.panels, task / blocks % self.panels, task % blocks);
            let (first, nv) = self.panel(panel);
            let first = first * tiles.lanes;
            let live = (self.g.m - first).min(nv * tiles.lanes);
            let steps = block * 64..depth.min(block * 64 + 64);
            let start = (task / blocks * depth + steps.start) * width;
            // SAFETY: tasks have disjoint ranges of the buffer, which outlives the call.
            let out = unsafe { shared.slice(start, steps.len() * width) };
            let w = &w[group * self.g.weight.group + first * self.g.weight.result..];
            for (line, &tap) in out.chunks_exact_mut(width).zip(&self.taps[steps]) {
                let from = w[tap..].iter().step_by(self.g.weight.result);
                line[..live].iter_mut().zip(from).for_each(|(v, &x)| *v = x);
                line[live..].fill(T::ZERO);
            }
        });
    }
}

/// Stage offsets of all outputs of `images` images.
fn places(g: &Gather, lanes: [&Lane; 3], images: usize) -> Vec<u32> {
    let ([sz, sy, sx], image) = (g.stage.strides(), g.stage.image());
    let mut places = Vec::with_capacity(images * lanes.iter().map(|l| l.count).product::<usize>());
    for n in 0..images {
        for z in 0..lanes[0].count {
            for y in 0..lanes[1].count {
                let base = n * image + z * sz + y * sy;
                places.extend((0..lanes[2].count).map(|x| (base + x * sx) as u32));
            }
        }
    }
    places
}

/// Rows and vectors of the tile that wastes least on outputs of `width` in a row and `vectors`.
fn best_tile<T: Float>(tiles: &Tiles<T>, width: usize, vectors: usize) -> (usize, usize) {
    let mut best = (f64::INFINITY, 1, 1);
    for nv in 1..=tiles.max_vectors.min(vectors.max(1)) {
        let most = (tiles.max_rows)(Walk::Table, nv);
        let blocks = width.div_ceil(most).max(1);
        let mr = width.div_ceil(blocks).max(1);
        // Cycles of a step: two products or two loads each, at least the latency of a product.
        let cycles = (mr * nv).max(mr + nv).max(8) as f64 * 0.5;
        let cost = cycles * (blocks * vectors.div_ceil(nv)) as f64;
        if cost < best.0 * 0.999 {
            best = (cost, mr, nv);
        }
    }
    (best.1, best.2)
}

/// Runs the convolution: `bias` has one term for each channel of the result.
pub(super) fn run<T: Float>(g: &Gather, source: &[T], w: &[T], bias: Option<&[T]>, out: &mut [T]) {
    if out.is_empty() {
        return;
    }
    let tiles = T::tiles();
    let image = g.stage.image();
    let per_chunk = (STAGE / image.max(1)).clamp(1, g.n);
    let chunks = g.n.div_ceil(per_chunk);
    let per_chunk = g.n.div_ceil(chunks);
    let passes: Vec<Pass<'_>> = g.lanes[0]
        .iter()
        .flat_map(|z| g.lanes[1].iter().map(move |y| (z, y)))
        .flat_map(|(z, y)| g.lanes[2].iter().map(move |x| [z, y, x]))
        .map(|lanes| Pass::new(g, lanes, per_chunk, &tiles))
        .collect();
    let packed: usize = passes.iter().map(|p| p.packed_len(&tiles)).sum();
    let terms = (g.m + tiles.lanes * tiles.max_vectors) * g.groups;
    let staged = if g.stage.is_source() { 0 } else { per_chunk * image };
    with_scratch(packed + terms + staged, |scratch: &mut [T]| {
        let (packed, rest) = scratch.split_at_mut(packed);
        let (terms, staged) = rest.split_at_mut(terms);
        let mut at = 0;
        for pass in &passes {
            let len = pass.packed_len(&tiles);
            pass.pack(&tiles, w, &mut packed[at..at + len]);
            at += len;
        }
        if let Some(bias) = bias {
            // Each group's terms are followed by whole vectors that tiles may read.
            terms.fill(T::ZERO);
            let width = terms.len() / g.groups;
            for (to, from) in terms.chunks_exact_mut(width).zip(bias.chunks_exact(g.m)) {
                to[..g.m].copy_from_slice(from);
            }
        }
        let bias = bias.map(|_| &*terms);
        let shared = SharedMut::new(out);
        for chunk in 0..chunks {
            let images = chunk * per_chunk..g.n.min((chunk + 1) * per_chunk);
            let stage = fill_stage(&g.stage, source, images.clone(), staged);
            let mut at = 0;
            for pass in &passes {
                let len = pass.packed_len(&tiles);
                run_pass(&tiles, pass, stage, &packed[at..at + len], bias, images.clone(), shared);
                at += len;
            }
        }
    });
}

/// Makes the stage of some images, or finds it in the source.
pub(super) fn fill_stage<'a, T: Float>(
    stage: &Stage,
    source: &'a [T],
    images: Range<usize>,
    buffer: &'a mut [T],
) -> &'a [T] {
    let (plane, from) = (stage.plane(), stage.source_plane());
    let source = &source[images.start * stage.channels * from..images.end * stage.channels * from];
    if stage.is_source() {
        return source;
    }
    let planes = images.len() * stage.channels;
    let some = (8192 / plane.max(1)).max(1);
    par::for_each_chunk_mut(&mut buffer[..planes * plane], some * plane.max(1), |i, out| {
        for (j, out) in out.chunks_exact_mut(plane).enumerate() {
            stage.fill(&source[(i * some + j) * from..][..from], out);
        }
    });
    buffer
}

fn run_pass<T: Float>(
    tiles: &Tiles<T>,
    pass: &Pass<'_>,
    stage: &[T],
    packed: &[T],
    bias: Option<&[T]>,
    images: Range<usize>,
    out: SharedMut<T>,
) {
    let rows = images.len() * pass.lanes[0].count * pass.lanes[1].count;
    if rows == 0 || pass.lanes[2].count == 0 {
        return;
    }
    let parts = rows.div_ceil(pass.rows);
    let per_group = pass.table.len() * pass.columns(tiles);
    // Neighbouring tasks share what is larger: the weights of a panel or the rows of the stage.
    let panels = pass.g.groups * pass.panels;
    let by_panel = per_group > pass.g.stage.image();
    par::for_each(panels * parts, |task| {
        let (panel, p) = if by_panel { (task / parts, task % parts) } else { (task % panels, task / panels) };
        let some = p * pass.rows..rows.min((p + 1) * pass.rows);
        let job = Job {
            tiles,
            pass,
            stage,
            packed: &packed[panel * per_group..][..per_group],
            bias,
            panel,
            first_image: images.start,
        };
        job.run(some, out);
    });
}

/// One panel of channels over some rows of outputs.
struct Job<'a, T> {
    tiles: &'a Tiles<T>,
    pass: &'a Pass<'a>,
    stage: &'a [T],
    packed: &'a [T],
    bias: Option<&'a [T]>,
    /// Panel, counted over all groups.
    panel: usize,
    first_image: usize,
}

impl<T: Float> Job<'_, T> {
    /// Image, z and y of a row of outputs.
    fn place(&self, row: usize) -> [usize; 3] {
        let (nz, ny) = (self.pass.lanes[0].count, self.pass.lanes[1].count);
        [row / (nz * ny), row / ny % nz, row % ny]
    }

    fn run(&self, rows: Range<usize>, out: SharedMut<T>) {
        let (_, nv) = self.pass.panel(self.panel % self.pass.panels);
        let (width, columns) = (self.pass.lanes[2].count, nv * self.tiles.lanes);
        // Transposing reads whole blocks, hence the slack.
        let len = (rows.len() * width + self.tiles.lanes) * columns;
        with_scratch(len, |results: &mut [T]| {
            self.compute(rows.clone(), columns, nv, results);
            self.store(rows, columns, results, out);
        });
    }

    fn compute(&self, rows: Range<usize>, columns: usize, nv: usize, results: &mut [T]) {
        let (g, pass) = (self.pass.g, self.pass);
        let (group, panel) = (self.panel / pass.panels, self.panel % pass.panels);
        let first = pass.panel(panel).0 * self.tiles.lanes;
        let strides = g.stage.strides();
        let image = g.stage.image();
        let width = pass.lanes[2].count;
        let (depth, step) = (pass.table.len(), pass.columns(self.tiles));
        let group_base = group * g.c * g.stage.plane();
        let bias = self.bias.map_or(std::ptr::null(), |b| b[b.len() / g.groups * group + first..].as_ptr());
        // Runs of outputs that are cut into tiles: rows, or all at once if these are short.
        let (runs, len) = if pass.places.is_some() { (1, rows.len() * width) } else { (rows.len(), width) };
        let blocks = len.div_ceil(pass.mr);
        let parts = depth.div_ceil(KC).max(1);
        for d in 0..parts {
            let ks = d * depth / parts..(d + 1) * depth / parts;
            for i in 0..runs {
                let [n, z, y] = self.place(rows.start + i);
                let base = match pass.places {
                    Some(_) => group_base,
                    None => n * image + group_base + z * strides[0] + y * strides[1],
                };
                for block in 0..blocks {
                    let (x, end) = (block * len / blocks, (block + 1) * len / blocks);
                    let (walk, a, spread) = match &pass.places {
                        Some(places) => (Walk::Spread, base, places[rows.start * width + x..].as_ptr()),
                        None => (Walk::Table, base + x, std::ptr::null()),
                    };
                    let tile = Tile {
                        k: ks.len(),
                        // With no steps nothing is read, and the stage may be empty.
                        a: self.stage.as_ptr().wrapping_add(a),
                        a_step: 0,
                        table: pass.table[ks.start..].as_ptr(),
                        spread,
                        b: self.packed[ks.start * step..].as_ptr(),
                        b_step: step,
                        c: results[(i * width + x) * columns..].as_mut_ptr(),
                        c_step: columns,
                        cols: columns,
                        alpha: T::ONE,
                        beta: if d == 0 { T::ZERO } else { T::ONE },
                        bias: if d == 0 { bias } else { std::ptr::null() },
                        relu: false,
                    };
                    // SAFETY: the stage holds every offset of the table from every output's base,
                    // the packed weights whole panels, the results this run.
                    unsafe { (self.tiles.kernel)(walk, end - x, nv)(&tile) };
                }
            }
        }
    }

    /// Writes the results, a column a channel, to the planes of the output.
    fn store(&self, rows: Range<usize>, columns: usize, results: &[T], out: SharedMut<T>) {
        let (g, pass) = (self.pass.g, self.pass);
        let [lz, ly, lx] = pass.lanes;
        let (group, panel) = (self.panel / pass.panels, self.panel % pass.panels);
        let first = pass.panel(panel).0 * self.tiles.lanes;
        let live = (g.m - first).min(columns);
        let plane: usize = g.out.iter().product();
        let whole = lz.step == 1 && ly.step == 1 && lx.step == 1;
        let per_image = lz.count * ly.count;
        let mut row = rows.start;
        while row < rows.end {
            // All rows of an image are one run if every output is computed here.
            let end = if whole { rows.end.min((row / per_image + 1) * per_image) } else { row + 1 };
            let [n, z, y] = self.place(row);
            let (z, y) = (lz.start + z * lz.step, ly.start + y * ly.step);
            let channel = (self.first_image + n) * g.groups * g.m + group * g.m + first;
            let to = channel * plane + (z * g.out[1] + y) * g.out[2] + lx.start;
            let from = (row - rows.start) * lx.count;
            let count = (end - row) * lx.count;
            let run = Run { from, count, to, step: lx.step, plane, columns, live };
            self.store_run(&run, results, out);
            row = end;
        }
    }

    fn store_run(&self, run: &Run, results: &[T], out: SharedMut<T>) {
        let lanes = self.tiles.lanes;
        if run.step != 1 {
            for c in 0..run.live {
                for i in 0..run.count {
                    // SAFETY: tasks write disjoint outputs, all within their planes.
                    unsafe {
                        *out.ptr().add(run.to + c * run.plane + i * run.step) =
                            results[(run.from + i) * run.columns + c]
                    };
                }
            }
            return;
        }
        for c in (0..run.live).step_by(lanes) {
            for i in (0..run.count).step_by(lanes) {
                let src = results[(run.from + i) * run.columns + c..].as_ptr();
                // SAFETY: the results have slack for a whole block; of the output only existing
                // elements are written, disjoint between tasks.
                unsafe {
                    let dst = out.ptr().add(run.to + c * run.plane + i);
                    let (rows, cols) = (lanes.min(run.live - c), lanes.min(run.count - i));
                    let block = Block { src, src_step: run.columns, dst, dst_step: run.plane, rows, cols };
                    (self.tiles.transpose)(&block);
                }
            }
        }
    }
}

/// Outputs at equal distances: results `from..from + count` go to `to`, `to + step`, ...
struct Run {
    from: usize,
    count: usize,
    to: usize,
    step: usize,
    plane: usize,
    columns: usize,
    live: usize,
}

/// All taps of a forward convolution within a channel: stage offsets in the order of the kernel.
pub(super) fn tap_offsets(stage: &Stage, lanes: [&Lane; 3]) -> Vec<usize> {
    let all = |i: usize| lanes[i].taps.iter().copied();
    let at = |z: Tap, y: Tap, x: Tap| stage.tap([z, y, x]);
    all(0).flat_map(|z| all(1).flat_map(move |y| all(2).map(move |x| at(z, y, x)))).collect()
}
