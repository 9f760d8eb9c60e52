//! The forward convolution and the gradient of its input: outputs that gather from the stage.

use super::ConvShape;
use super::stage::{Axis, Lane, Stage, Tap};
use crate::kernels::finish::Finish;
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
/// Steps of the reduction whose weights a task packs.
const BLOCK: usize = 64;
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

/// The outputs of one residue along x: they see the same taps.
struct Residue<'a> {
    lane: &'a Lane,
    /// Elements of a group's stage offsets, one for each step of the reduction.
    table: Vec<u32>,
    /// Offset of each step's weight.
    taps: Vec<usize>,
    /// Stage offset of each output of a chunk of images, if rows are short.
    places: Option<Vec<u32>>,
}

/// One combination of lanes along z and y, with all lanes along x: whole rows of the output.
struct Pass<'a> {
    g: &'a Gather,
    lanes: [&'a Lane; 2],
    residues: Vec<Residue<'a>>,
    /// Most outputs of a residue in a row, and the distance of its outputs.
    width: usize,
    step: usize,
    /// Rows of a tile.
    mr: usize,
    vectors: usize,
    panels: usize,
    /// Rows of outputs in a task.
    rows: usize,
    /// Whether each task makes the weights ready that it needs, as no other needs them.
    packs: bool,
}

impl<'a> Pass<'a> {
    fn new<T: Float>(g: &'a Gather, [z, y]: [&'a Lane; 2], images: usize, tiles: &Tiles<T>) -> Pass<'a> {
        let xs = &g.lanes[2];
        let (width, step) = (xs.iter().map(|x| x.count).max().unwrap_or(0), xs.first().map_or(1, |x| x.step));
        let short = width < SHORT;
        let residues: Vec<Residue<'a>> = xs
            .iter()
            .map(|x| {
                let (table, taps) = steps(g, [z, y, x]);
                Residue { lane: x, table, taps, places: short.then(|| places(g, [z, y, x], width, images)) }
            })
            .collect();
        let vectors = g.m.div_ceil(tiles.lanes);
        let (mut mr, mut nv) = best_tile(tiles, width, vectors);
        if short {
            // Each output has a pointer of its own, as the weights have in their gradient.
            nv = vectors.div_ceil(vectors.div_ceil(tiles.max_vectors.min(3)));
            mr = (tiles.max_rows)(Walk::Spread, nv);
        }
        let panels = vectors.div_ceil(nv);
        let columns = vectors.div_ceil(panels) * tiles.lanes;
        let all = (images * z.count * y.count).max(1);
        let depth: usize = residues.iter().map(|r| r.table.len()).sum();
        let by_work = TASK_FLOPS / (2 * width * columns * depth).max(1);
        let most = (RESULTS / (width * step * columns).max(1)).max(1);
        let rows = by_work.max(POSITIONS / width.max(1)).clamp(1, most).min(all);
        Pass { g, lanes: [z, y], residues, width, step, mr, vectors, panels, rows, packs: rows == all && images == g.n }
    }

    /// Positions from one row of results to the next.
    fn pitch(&self) -> usize {
        self.width * self.step
    }

    /// Columns of a panel in the packed weights.
    fn columns<T: Float>(&self, tiles: &Tiles<T>) -> usize {
        self.vectors.div_ceil(self.panels) * tiles.lanes
    }

    /// Steps of all residues.
    fn depth(&self) -> usize {
        self.residues.iter().map(|r| r.table.len()).sum()
    }

    /// Elements of the weights that are packed ahead of the tasks.
    fn packed_len<T: Float>(&self, tiles: &Tiles<T>) -> usize {
        if self.packs { 0 } else { self.g.groups * self.panels * self.depth() * self.columns(tiles) }
    }

    /// First channel and number of vectors of a panel.
    fn panel(&self, i: usize) -> (usize, usize) {
        let (base, more) = (self.vectors / self.panels, self.vectors % self.panels);
        (i * base + i.min(more), base + usize::from(i < more))
    }

    /// Copies the weights to `[group][panel][residue][step][channel]`, channels padded with zeros.
    fn pack<T: Float>(&self, tiles: &Tiles<T>, w: &[T], out: &mut [T]) {
        let (width, depth) = (self.columns(tiles), self.depth());
        let shared = SharedMut::new(out);
        let mut before = 0;
        for residue in &self.residues {
            let own = residue.table.len();
            // Blocks of steps, so that a task is neither tiny nor all of the weights.
            let blocks = own.div_ceil(BLOCK);
            par::for_each(self.g.groups * self.panels * blocks, |task| {
                let (panel, block) = (task / blocks, task % blocks);
                let steps = block * BLOCK..own.min(block * BLOCK + BLOCK);
                let start = (panel * depth + before + steps.start) * width;
                // SAFETY: tasks have disjoint ranges of the buffer, which outlives the call.
                let out = unsafe { shared.slice(start, steps.len() * width) };
                self.pack_steps(tiles, w, panel, &residue.taps[steps], out);
            });
            before += own;
        }
    }

    /// Copies the weights of some steps of one panel (counted over all groups).
    fn pack_steps<T: Float>(&self, tiles: &Tiles<T>, w: &[T], panel: usize, taps: &[usize], out: &mut [T]) {
        let (width, lanes, step) = (self.columns(tiles), tiles.lanes, self.g.weight.result);
        let (first, nv) = self.panel(panel % self.panels);
        let live = (self.g.m - first * lanes).min(nv * lanes);
        let w = &w[panel / self.panels * self.g.weight.group + first * lanes * step..];
        if step == 1 {
            // The weights of a step are neighbours already.
            for (line, &tap) in out.chunks_exact_mut(width).zip(taps) {
                line[..live].copy_from_slice(&w[tap..tap + live]);
                line[live..].fill(T::ZERO);
            }
            return;
        }
        let mut k = 0;
        while k < taps.len() {
            // The steps whose weights a block that begins with this one's can hold.
            let near = |&&tap: &&usize| tap >= taps[k] && tap - taps[k] < lanes;
            let count = taps[k..].iter().take_while(near).count();
            let some = &taps[k..k + count];
            let (base, span) = (some[0], some[count - 1] - some[0] + 1);
            let lines = &mut out[k * width..(k + count) * width];
            for c in (0..width).step_by(lanes) {
                let from = base + c * step;
                if c + lanes > live || from + (lanes - 1) * step + lanes > w.len() {
                    for (line, &tap) in lines.chunks_exact_mut(width).zip(some) {
                        for (l, v) in line[c..c + lanes].iter_mut().enumerate() {
                            *v = if c + l < live { w[tap + (c + l) * step] } else { T::ZERO };
                        }
                    }
                    continue;
                }
                let src = w[from..].as_ptr();
                if span == count {
                    let dst = lines[c..].as_mut_ptr();
                    let block = Block { src, src_step: step, dst, dst_step: width, rows: count, cols: lanes };
                    // SAFETY: the whole block of the source exists by the test above, and `count` lines.
                    unsafe { (tiles.transpose)(&block) };
                    continue;
                }
                let mut all = [T::ZERO; 256];
                let dst = all.as_mut_ptr();
                // SAFETY: as above; vectors have at most 16 lanes, so that the copy fits.
                unsafe {
                    (tiles.transpose)(&Block { src, src_step: step, dst, dst_step: lanes, rows: span, cols: lanes })
                };
                for (line, &tap) in lines.chunks_exact_mut(width).zip(some) {
                    line[c..c + lanes].copy_from_slice(&all[(tap - base) * lanes..][..lanes]);
                }
            }
            k += count;
        }
    }
}

/// Stage offset and weight offset of each step of the reduction within a group.
fn steps(g: &Gather, lanes: [&Lane; 3]) -> (Vec<u32>, Vec<usize>) {
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
    let all = || (0..g.c).flat_map(|c| offsets.iter().map(move |&(at, tap)| (c, at, tap)));
    (
        all().map(|(c, at, _)| (c * plane + at) as u32).collect(),
        all().map(|(c, _, tap)| c * g.weight.source + tap).collect(),
    )
}

/// Stage offsets of all outputs of `images` images, `width` in each row: the last one is repeated.
fn places(g: &Gather, lanes: [&Lane; 3], width: usize, images: usize) -> Vec<u32> {
    let ([sz, sy, sx], image) = (g.stage.strides(), g.stage.image());
    let mut places = Vec::with_capacity(images * lanes[0].count * lanes[1].count * width);
    let last = lanes[2].count.saturating_sub(1);
    for n in 0..images {
        for z in 0..lanes[0].count {
            for y in 0..lanes[1].count {
                let base = n * image + z * sz + y * sy;
                places.extend((0..width).map(|x| (base + x.min(last) * sx) as u32));
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

/// Runs the convolution.
pub(super) fn run<T: Float>(g: &Gather, source: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) {
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
        .flat_map(|z| g.lanes[1].iter().map(move |y| [z, y]))
        .map(|lanes| Pass::new(g, lanes, per_chunk, &tiles))
        .collect();
    let packed: usize = passes.iter().map(|p| p.packed_len(&tiles)).sum();
    let terms = (g.m + tiles.lanes * tiles.max_vectors) * g.groups;
    let staged = if g.stage.is_source() { 0 } else { per_chunk * image };
    with_scratch(packed + terms + staged, |scratch: &mut [T]| {
        let (packed, rest) = scratch.split_at_mut(packed);
        let (terms, staged) = rest.split_at_mut(terms);
        let mut at = 0;
        for pass in passes.iter().filter(|p| !p.packs) {
            let len = pass.packed_len(&tiles);
            pass.pack(&tiles, w, &mut packed[at..at + len]);
            at += len;
        }
        let bias = if finish.is_bias() { finish.shift } else { None };
        if let Some(bias) = bias {
            // Each group's terms are followed by whole vectors that tiles may read.
            terms.fill(T::ZERO);
            let width = terms.len() / g.groups;
            for (to, from) in terms.chunks_exact_mut(width).zip(bias.chunks_exact(g.m)) {
                to[..g.m].copy_from_slice(from);
            }
        }
        let bias = bias.map(|_| &*terms);
        let rest = (!finish.is_bias()).then_some(finish);
        let shared = SharedMut::new(out);
        for chunk in 0..chunks {
            let images = chunk * per_chunk..g.n.min((chunk + 1) * per_chunk);
            let stage = fill_stage(&g.stage, source, images.clone(), staged);
            let mut at = 0;
            for pass in &passes {
                let len = pass.packed_len(&tiles);
                let call = Call { tiles: &tiles, pass, stage, w, packed: &packed[at..at + len], bias, finish: rest };
                call.run(images.clone(), shared);
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

/// One pass over a chunk of images.
struct Call<'a, T> {
    tiles: &'a Tiles<T>,
    pass: &'a Pass<'a>,
    stage: &'a [T],
    w: &'a [T],
    packed: &'a [T],
    bias: Option<&'a [T]>,
    finish: Option<&'a Finish<'a, T>>,
}

impl<T: Float> Call<'_, T> {
    fn run(&self, images: Range<usize>, out: SharedMut<T>) {
        let pass = self.pass;
        let rows = images.len() * pass.lanes[0].count * pass.lanes[1].count;
        if rows == 0 || pass.width == 0 {
            return;
        }
        let parts = rows.div_ceil(pass.rows);
        // Neighbouring tasks share what is larger: the weights of a panel or the rows of the stage.
        let panels = pass.g.groups * pass.panels;
        let by_panel = pass.depth() * pass.columns(self.tiles) > pass.g.stage.image();
        par::for_each(panels * parts, |task| {
            let (panel, p) = if by_panel { (task / parts, task % parts) } else { (task % panels, task / panels) };
            let some = p * pass.rows..rows.min((p + 1) * pass.rows);
            Job { call: self, panel, first_image: images.start }.run(some, out);
        });
    }
}

/// One panel of channels over some rows of outputs.
struct Job<'a, T> {
    call: &'a Call<'a, T>,
    /// Panel, counted over all groups.
    panel: usize,
    first_image: usize,
}

impl<T: Float> Job<'_, T> {
    /// Image, z and y of a row of outputs.
    fn place(&self, row: usize) -> [usize; 3] {
        let [nz, ny] = self.call.pass.lanes.map(|l| l.count);
        [row / (nz * ny), row / ny % nz, row % ny]
    }

    fn run(&self, rows: Range<usize>, out: SharedMut<T>) {
        let (tiles, pass) = (self.call.tiles, self.call.pass);
        let (_, nv) = pass.panel(self.panel % pass.panels);
        let columns = nv * tiles.lanes;
        // Transposing reads whole blocks, hence the slack.
        let len = (rows.len() * pass.pitch() + tiles.lanes) * columns;
        let own = if pass.packs { pass.columns(tiles) * KC } else { 0 };
        with_scratch(len + own, |scratch: &mut [T]| {
            let (own, results) = scratch.split_at_mut(own);
            let mut before = 0;
            for residue in &pass.residues {
                let depth = residue.table.len();
                let parts = depth.div_ceil(KC).max(1);
                for d in 0..parts {
                    let ks = d * depth / parts..(d + 1) * depth / parts;
                    let step = pass.columns(tiles);
                    let packed = if pass.packs {
                        pass.pack_steps(tiles, self.call.w, self.panel, &residue.taps[ks.clone()], own);
                        &*own
                    } else {
                        &self.call.packed[(self.panel * pass.depth() + before + ks.start) * step..]
                    };
                    self.compute(residue, rows.clone(), ks, packed, results);
                }
                before += depth;
            }
            self.store(rows, columns, results, out);
        });
    }

    /// Adds the products of the steps `ks`.
    fn compute(&self, residue: &Residue<'_>, rows: Range<usize>, ks: Range<usize>, packed: &[T], results: &mut [T]) {
        let (call, pass) = (self.call, self.call.pass);
        let g = pass.g;
        let (group, panel) = (self.panel / pass.panels, self.panel % pass.panels);
        let (first, nv) = pass.panel(panel);
        let (first, columns) = (first * call.tiles.lanes, nv * call.tiles.lanes);
        let (strides, image) = (g.stage.strides(), g.stage.image());
        let group_base = group * g.c * g.stage.plane();
        let bias = call.bias.map_or(std::ptr::null(), |b| b[b.len() / g.groups * group + first..].as_ptr());
        let (start, width) = (residue.lane.start, residue.lane.count);
        // Runs of outputs that are cut into tiles: rows, or all at once if these are short.
        let (runs, len) = if residue.places.is_some() { (1, rows.len() * pass.width) } else { (rows.len(), width) };
        let blocks = len.div_ceil(pass.mr);
        for i in 0..runs {
            let [n, z, y] = self.place(rows.start + i);
            let base = match residue.places {
                Some(_) => group_base,
                None => n * image + group_base + z * strides[0] + y * strides[1],
            };
            for block in 0..blocks {
                let (x, end) = (block * len / blocks, (block + 1) * len / blocks);
                let (walk, a, spread) = match &residue.places {
                    Some(places) => (Walk::Spread, base, places[rows.start * pass.width + x..].as_ptr()),
                    None => (Walk::Table, base + x, std::ptr::null()),
                };
                let fresh = ks.start == 0;
                let tile = Tile {
                    k: ks.len(),
                    // With no steps nothing is read, and the stage may be empty.
                    a: call.stage.as_ptr().wrapping_add(a),
                    a_step: 0,
                    table: residue.table[ks.start..].as_ptr(),
                    spread,
                    b: packed.as_ptr(),
                    b_step: pass.columns(call.tiles),
                    c: results[(i * pass.pitch() + x * pass.step + start) * columns..].as_mut_ptr(),
                    c_step: pass.step * columns,
                    cols: columns,
                    alpha: T::ONE,
                    beta: if fresh { T::ZERO } else { T::ONE },
                    bias: if fresh { bias } else { std::ptr::null() },
                };
                // SAFETY: the stage holds every offset of the table from every output's base,
                // the packed weights whole panels, the results this run.
                unsafe { (call.tiles.kernel)(walk, end - x, nv)(&tile) };
            }
        }
    }

    /// Writes the results, a column a channel, to the planes of the output.
    fn store(&self, rows: Range<usize>, columns: usize, results: &[T], out: SharedMut<T>) {
        let pass = self.call.pass;
        let (g, pitch) = (pass.g, pass.pitch());
        let [lz, ly] = pass.lanes;
        let (group, panel) = (self.panel / pass.panels, self.panel % pass.panels);
        let first = group * g.m + pass.panel(panel).0 * self.call.tiles.lanes;
        let live = ((group + 1) * g.m - first).min(columns);
        let plane: usize = g.out.iter().product();
        let whole = lz.step == 1 && ly.step == 1 && pitch == g.out[2];
        let per_image = lz.count * ly.count;
        let mut row = rows.start;
        while row < rows.end {
            // All rows of an image are one run if every output is computed here.
            let end = if whole { rows.end.min((row / per_image + 1) * per_image) } else { row + 1 };
            let [n, z, y] = self.place(row);
            let (z, y) = (lz.start + z * lz.step, ly.start + y * ly.step);
            let to = ((self.first_image + n) * g.groups * g.m + first) * plane + (z * g.out[1] + y) * g.out[2];
            let run = Run { count: (end - row) * g.out[2], to, plane, columns, live };
            self.store_run(&run, &results[(row - rows.start) * pitch * columns..], out);
            if let Some(finish) = self.call.finish {
                for c in 0..live {
                    let at = to + c * plane;
                    // SAFETY: tasks write disjoint runs of the output, which outlives the call.
                    finish.plane(first + c, at, unsafe { out.slice(at, run.count) });
                }
            }
            row = end;
        }
    }

    fn store_run(&self, run: &Run, results: &[T], out: SharedMut<T>) {
        let lanes = self.call.tiles.lanes;
        for c in (0..run.live).step_by(lanes) {
            for i in (0..run.count).step_by(lanes) {
                let src = results[i * run.columns + c..].as_ptr();
                // SAFETY: the results have slack for a whole block; of the output only existing
                // elements are written, disjoint between tasks.
                unsafe {
                    let dst = out.ptr().add(run.to + c * run.plane + i);
                    let (rows, cols) = (lanes.min(run.live - c), lanes.min(run.count - i));
                    let block = Block { src, src_step: run.columns, dst, dst_step: run.plane, rows, cols };
                    (self.call.tiles.transpose)(&block);
                }
            }
        }
    }
}

/// Neighbouring outputs: the first `count` results go to `to`, those of the next channel a plane further.
struct Run {
    count: usize,
    to: usize,
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
