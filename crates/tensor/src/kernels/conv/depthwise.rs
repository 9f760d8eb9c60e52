//! Convolutions whose groups have one input channel: no sum over channels, so each plane is
//! computed directly, vectorised along its rows, from a padded copy that stays in the first-level cache.

use super::ConvShape;
use super::stage::{Axis, Lane, Stage};
use crate::kernels::finish::Finish;
use crate::kernels::micro::{Float, Vector, Work};
use crate::kernels::par::{self, SharedMut};
use crate::kernels::scratch::with_scratch;

/// Multiplications that make a task of their own.
const TASK: usize = 100_000;
/// Rows of a plane that are computed together.
const ROWS: usize = 4;
/// Vectors of a row that are computed together, where there is but one row.
const WIDE: usize = 4;
/// Elements behind a stage that whole vectors may read: `WIDE` of the widest vectors.
const SLACK: usize = 64;
/// Elements of a plane's products that are added to one set of lanes before these are added up.
const RUN: usize = 1 << 13;

/// A run of neighbours in a source plane that lie on the stage side by side.
struct Copied {
    from: usize,
    to: usize,
    len: usize,
}

/// Where the elements of a source plane lie on its stage; elsewhere there are zeros.
fn copies(stage: &Stage) -> Vec<Copied> {
    let [az, ay, ax] = &stage.axes;
    let at = |a: &Axis, phase: usize, i: usize| (i * a.step + phase).checked_sub(a.low).filter(|&p| p < a.src);
    let mut copies = Vec::new();
    let mut line = 0;
    for &pz in &az.phases {
        for &py in &ay.phases {
            for &px in &ax.phases {
                // The first and the past-the-last element of a row that lie in the source.
                let first = ax.low.saturating_sub(px).div_ceil(ax.step).min(ax.len);
                let end = (ax.src + ax.low).saturating_sub(px).div_ceil(ax.step).clamp(first, ax.len);
                for z in 0..az.len {
                    for y in 0..ay.len {
                        if let (Some(sz), Some(sy), true) = (at(az, pz, z), at(ay, py, y), end > first) {
                            let from = (sz * ay.src + sy) * ax.src + first * ax.step + px - ax.low;
                            copies.push(Copied { from, to: line * ax.len + first, len: end - first });
                        }
                        line += 1;
                    }
                }
            }
        }
    }
    copies
}

/// Sets to zero what the copies of a plane leave free.
fn clear<T: Float>(copies: &[Copied], stage: &mut [T]) {
    let mut end = 0;
    for c in copies {
        stage[end..c.to].fill(T::ZERO);
        end = c.to + c.len;
    }
    stage[end..].fill(T::ZERO);
}

/// Fills the stage of a plane; what lies between the copies stays as it is.
///
/// # Safety
/// Stage and plane have the sizes that the copies were made for, and the instruction set is the machine's.
#[inline(always)]
unsafe fn fill<V: Vector>(copies: &[Copied], step: usize, plane: &[V::T], stage: &mut [V::T]) {
    for c in copies {
        let (from, to) = (&plane[c.from..], &mut stage[c.to..][..c.len]);
        match step {
            1 => {
                let from = &from[..c.len];
                for x in (0..c.len).step_by(V::LANES) {
                    let n = V::LANES.min(c.len - x);
                    // SAFETY: `n` elements from `x` on are within both slices.
                    unsafe { V::load_first(from.as_ptr().add(x), n).store_first(to.as_mut_ptr().add(x), n) };
                }
            }
            2 => {
                let from = &from[..2 * c.len - 1];
                let (last, to) = to.split_last_mut().expect("no copy is empty");
                for (v, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
                    *v = pair[0];
                }
                *last = from[2 * c.len - 2];
            }
            _ => to.iter_mut().zip(from.iter().step_by(step)).for_each(|(v, &x)| *v = x),
        }
    }
}

/// The results whose positions have one residue along each axis, and the taps that they see.
struct Pass {
    /// First position, step and number of positions along each axis.
    start: [usize; 3],
    step: [usize; 3],
    count: [usize; 3],
    /// Stage offset and weight of each tap.
    taps: Vec<(usize, usize)>,
}

/// The planes of one group: `from` source planes that each of `to` result planes sums over.
struct Group {
    groups: usize,
    from: usize,
    to: usize,
    /// Elements of the weight from one result plane to the next.
    weight_step: usize,
    /// Elements of a source plane and of its stage.
    source: usize,
    plane: usize,
    strides: [usize; 3],
    copies: Vec<Copied>,
    step: usize,
    /// Passes of one pair of residues along z and y, and all along x.
    passes: Vec<Vec<Pass>>,
    /// The kernel's extent if there is one pass whose taps are a square in row-major order.
    square: Option<usize>,
    taps: usize,
    out: [usize; 3],
}

pub(super) fn forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) {
    let [z, y, x_axis] = [0, 1, 2].map(|i| Axis::forward(s, i));
    let stage = Stage { channels: 1, axes: [z.0, y.0, x_axis.0] };
    let lanes = [vec![z.1], vec![y.1], vec![x_axis.1]];
    Group::new(s, stage, &lanes, (1, s.group_out()), (s.taps(), 0), s.output).run(x, w, finish, out);
}

pub(super) fn backward_input<T: Float>(s: &ConvShape, gy: &[T], w: &[T], gx: &mut [T]) {
    let [z, y, x] = [0, 1, 2].map(|i| Axis::backward(s, i));
    let stage = Stage { channels: 1, axes: [z.0, y.0, x.0] };
    let lanes = [z.1, y.1, x.1];
    let nothing = Finish { scale: None, shift: None, residual: None, then: None };
    Group::new(s, stage, &lanes, (s.group_out(), 1), (0, s.taps()), s.input).run(gy, w, &nothing, gx);
}

impl Group {
    /// `weight_step`: elements of the weight from one result plane to the next, and from one source plane.
    fn new(
        s: &ConvShape,
        stage: Stage,
        lanes: &[Vec<Lane>; 3],
        (from, to): (usize, usize),
        weight_step: (usize, usize),
        out: [usize; 3],
    ) -> Group {
        let passes: Vec<Vec<Pass>> = lanes[0]
            .iter()
            .flat_map(|z| lanes[1].iter().map(move |y| (z, y)))
            .map(|(z, y)| {
                lanes[2].iter().map(|x| Pass::new(s, &stage, [z, y, x], (from, weight_step.1))).collect::<Vec<_>>()
            })
            .collect();
        let row = stage.strides()[1];
        let square = match passes.as_slice() {
            [of_rows] if of_rows.len() == 1 && from == 1 => {
                let taps = &of_rows[0].taps;
                let k = [3, 5, 7].into_iter().find(|k| k * k == taps.len());
                k.filter(|k| taps.iter().enumerate().all(|(i, t)| t.0 == i / k * row + i % k))
            }
            _ => None,
        };
        Group {
            groups: s.groups,
            from,
            to,
            weight_step: weight_step.0,
            source: stage.source_plane(),
            plane: stage.plane(),
            strides: stage.strides(),
            copies: copies(&stage),
            step: stage.axes[2].step,
            passes,
            square,
            taps: s.taps(),
            out,
        }
    }

    /// Elements of the rows that are computed apart, to be interleaved: `ROWS` for each residue along x.
    fn apart(&self) -> usize {
        match self.passes.first() {
            Some(p) if p.len() > 1 => p.len() * ROWS * (p[0].count[2] + SLACK),
            _ => 0,
        }
    }

    fn run<T: Float>(&self, source: &[T], w: &[T], finish: &Finish<'_, T>, out: &mut [T]) {
        let out_plane: usize = self.out.iter().product();
        if out.is_empty() {
            return;
        }
        let work = self.from * self.to * out_plane * self.taps;
        let some = (TASK / work.max(1)).max(1);
        let staged = self.from * self.plane + SLACK;
        let most = self.passes.iter().flatten().map(|p| p.taps.len()).max().unwrap_or(0);
        par::for_each_chunk_mut(out, some * self.to * out_plane, |task, out| {
            with_scratch(staged + self.apart() + most, |scratch: &mut [T]| {
                let (stage, rest) = scratch.split_at_mut(staged);
                let (apart, weights) = rest.split_at_mut(self.apart());
                let (planes, slack) = stage.split_at_mut(self.from * self.plane);
                planes.chunks_exact_mut(self.plane.max(1)).for_each(|plane| clear(&self.copies, plane));
                slack.fill(T::ZERO);
                T::vectored(Task { group: self, first: task * some, source, w, finish, stage, apart, weights, out });
            });
        });
    }
}

impl Pass {
    fn new(s: &ConvShape, stage: &Stage, lanes: [&Lane; 3], (from, source_step): (usize, usize)) -> Pass {
        let [_, ky, kx] = s.kernel;
        let mut taps = Vec::new();
        for source in 0..from {
            for &z in &lanes[0].taps {
                for &y in &lanes[1].taps {
                    for &x in &lanes[2].taps {
                        let at = source * stage.plane() + stage.tap([z, y, x]);
                        taps.push((at, source * source_step + (z.index * ky + y.index) * kx + x.index));
                    }
                }
            }
        }
        taps.sort_unstable();
        Pass { start: lanes.map(|l| l.start), step: lanes.map(|l| l.step), count: lanes.map(|l| l.count), taps }
    }
}

impl Pass {
    /// The weights of the taps, side by side.
    #[inline(always)]
    fn weights<'a, T: Float>(&self, w: &[T], to: &'a mut [T]) -> &'a [T] {
        let to = &mut to[..self.taps.len()];
        self.taps.iter().zip(to.iter_mut()).for_each(|(t, v)| *v = w[t.1]);
        to
    }
}

/// Some groups of planes, from the `first` on.
struct Task<'a, T> {
    group: &'a Group,
    first: usize,
    source: &'a [T],
    w: &'a [T],
    finish: &'a Finish<'a, T>,
    stage: &'a mut [T],
    apart: &'a mut [T],
    weights: &'a mut [T],
    out: &'a mut [T],
}

impl<T: Float> Work<T> for Task<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T = T>>(self) {
        let g = self.group;
        let out_plane: usize = g.out.iter().product();
        for (i, out) in self.out.chunks_exact_mut(g.to * out_plane).enumerate() {
            let at = self.first + i;
            for j in 0..g.from {
                let plane = &self.source[(at * g.from + j) * g.source..][..g.source];
                let stage = &mut self.stage[j * g.plane..][..g.plane];
                // SAFETY: the copies were made for these sizes.
                unsafe { fill::<V>(&g.copies, g.step, plane, stage) };
            }
            let of_group = at % g.groups;
            for (r, out) in out.chunks_exact_mut(out_plane).enumerate() {
                let channel = of_group * g.to + r;
                let w = &self.w[of_group * g.from * g.to * g.taps + r * g.weight_step..];
                let term =
                    if self.finish.is_bias() { self.finish.shift.map_or(T::ZERO, |b| b[channel]) } else { T::ZERO };
                // SAFETY: the stage has slack for whole vectors behind it.
                unsafe { plane::<V>(g, self.stage, w, term, (&mut *self.apart, &mut *self.weights), out) };
                if !self.finish.is_bias() {
                    self.finish.plane(channel, (at * g.to + r) * out_plane, out);
                }
            }
        }
    }
}

/// One plane of results.
///
/// # Safety
/// `SLACK` elements follow the stage's planes, and the instruction set is the machine's.
#[inline(always)]
unsafe fn plane<V: Vector>(
    g: &Group,
    stage: &[V::T],
    w: &[V::T],
    term: V::T,
    (apart, weights): (&mut [V::T], &mut [V::T]),
    out: &mut [V::T],
) {
    let [_, oy, ox] = g.out;
    for passes in &g.passes {
        let Some(Pass { start, step, count, .. }) = passes.first() else { continue };
        let line = |z: usize, y: usize| ((start[0] + z * step[0]) * oy + start[1] + y * step[1]) * ox;
        if let [pass] = passes.as_slice() {
            let weights = pass.weights(w, weights);
            for z in 0..count[0] {
                let stage = &stage[z * g.strides[0]..];
                let rows = Rows { stage, step: g.strides[1], taps: &pass.taps, weights, term };
                // SAFETY: the caller vouches for the stage.
                unsafe { rows.all::<V>(g.square, count[1], count[2], &mut out[line(z, 0)..], step[1] * ox) };
            }
            continue;
        }
        let width = count[2] + SLACK;
        for (z, first) in (0..count[0]).flat_map(|z| (0..count[1]).step_by(ROWS).map(move |y| (z, y))) {
            let some = ROWS.min(count[1] - first);
            for (pass, apart) in passes.iter().zip(apart.chunks_exact_mut(ROWS * width)) {
                let (stage, weights) = (&stage[z * g.strides[0] + first * g.strides[1]..], pass.weights(w, weights));
                let rows = Rows { stage, step: g.strides[1], taps: &pass.taps, weights, term };
                // SAFETY: the caller vouches for the stage.
                unsafe { rows.all::<V>(None, some, pass.count[2], apart, width) };
            }
            for y in 0..some {
                interleave(passes, &apart[y * width..], ROWS * width, &mut out[line(z, first + y)..][..ox]);
            }
        }
    }
}

/// One row of results of all residues along x, which lie `step` elements from each other.
#[inline(always)]
fn interleave<T: Float>(passes: &[Pass], apart: &[T], step: usize, out: &mut [T]) {
    if let [a, b] = passes
        && (a.start[2], b.start[2]) == (0, 1)
    {
        let (first, second) = (&apart[..a.count[2]], &apart[step..][..b.count[2]]);
        for (pair, (&a, &b)) in out.as_chunks_mut::<2>().0.iter_mut().zip(first.iter().zip(second)) {
            *pair = [a, b];
        }
        if first.len() > second.len() {
            out[2 * second.len()] = first[second.len()];
        }
        return;
    }
    for (k, pass) in passes.iter().enumerate() {
        let to = out[pass.start[2]..].iter_mut().step_by(pass.step[2]);
        to.zip(&apart[k * step..][..pass.count[2]]).for_each(|(v, &x)| *v = x);
    }
}

/// Rows of results that see the same taps.
struct Rows<'a, T> {
    stage: &'a [T],
    /// Elements from a row of the stage to the next.
    step: usize,
    taps: &'a [(usize, usize)],
    /// One a tap.
    weights: &'a [T],
    term: T,
}

impl<T: Float> Rows<'_, T> {
    /// `ys` rows of `n` elements each.
    ///
    /// # Safety
    /// Behind all that rows and taps read there are `SLACK` elements, and the instruction set is the machine's.
    #[inline(always)]
    unsafe fn all<V: Vector<T = T>>(&self, square: Option<usize>, ys: usize, n: usize, out: &mut [T], out_step: usize) {
        if ys == 0 || n == 0 {
            return;
        }
        assert!((ys - 1) * out_step + n <= out.len(), "depthwise: rows beyond the plane");
        // SAFETY: just checked; the caller vouches for the stage.
        unsafe {
            match square {
                Some(3) if ys >= ROWS => return self.square::<V, 3>(ys, n, out, out_step),
                Some(5) if ys >= ROWS => return self.square::<V, 5>(ys, n, out, out_step),
                Some(7) if ys >= ROWS => return self.square::<V, 7>(ys, n, out, out_step),
                _ => {}
            }
            if ys < ROWS {
                for y in 0..ys {
                    let mut x = 0;
                    while x + WIDE * V::LANES <= n {
                        self.tile::<V, 1, WIDE>(y, x, V::LANES, out, out_step);
                        x += WIDE * V::LANES;
                    }
                    while x < n {
                        self.tile::<V, 1, 1>(y, x, V::LANES.min(n - x), out, out_step);
                        x += V::LANES;
                    }
                }
                return;
            }
            for y in (0..ys).step_by(ROWS) {
                // The last rows may be computed twice.
                let y = y.min(ys - ROWS);
                let mut x = 0;
                while x + V::LANES < n {
                    self.tile::<V, ROWS, 2>(y, x, V::LANES.min(n - x - V::LANES), out, out_step);
                    x += 2 * V::LANES;
                }
                if x < n {
                    self.tile::<V, ROWS, 1>(y, x, n - x, out, out_step);
                }
            }
        }
    }

    /// `R` rows by `NV` vectors of results, of the last of which the first `last` lanes count.
    ///
    /// # Safety
    /// As for [`Rows::all`]; the results lie in `out`.
    #[inline(always)]
    unsafe fn tile<V: Vector<T = T>, const R: usize, const NV: usize>(
        &self,
        y: usize,
        x: usize,
        last: usize,
        out: &mut [T],
        out_step: usize,
    ) {
        // SAFETY: the caller vouches for all addresses.
        unsafe {
            let from = self.stage.as_ptr().add(y * self.step + x);
            let mut acc = [[V::splat(self.term); NV]; R];
            for (&(at, _), &w) in self.taps.iter().zip(self.weights) {
                let (from, w) = (from.add(at), V::splat(w));
                for r in 0..R {
                    for v in 0..NV {
                        acc[r][v] = V::load(from.add(r * self.step + v * V::LANES)).fma(w, acc[r][v]);
                    }
                }
            }
            for r in 0..R {
                let to = out.as_mut_ptr().add((y + r) * out_step + x);
                for v in 0..NV {
                    let to = to.add(v * V::LANES);
                    if v + 1 < NV || last == V::LANES { acc[r][v].store(to) } else { acc[r][v].store_first(to, last) }
                }
            }
        }
    }

    /// All rows under a kernel of `K` by `K` taps: each vector is loaded once for the rows of a block.
    ///
    /// # Safety
    /// As for [`Rows::all`]; there are at least `ROWS` rows.
    #[inline(always)]
    unsafe fn square<V: Vector<T = T>, const K: usize>(&self, ys: usize, n: usize, out: &mut [T], out_step: usize) {
        assert!(self.weights.len() == K * K, "depthwise: a square of {K} with {} taps", self.weights.len());
        // SAFETY: the caller vouches for all addresses.
        unsafe {
            let mut w = [[V::splat(self.term); K]; K];
            for ky in 0..K {
                for kx in 0..K {
                    w[ky][kx] = V::splat(self.weights[ky * K + kx]);
                }
            }
            for y in (0..ys).step_by(ROWS) {
                // The last rows may be computed twice.
                let y = y.min(ys - ROWS);
                for x in (0..n).step_by(V::LANES) {
                    let from = self.stage.as_ptr().add(y * self.step + x);
                    let mut acc = [V::splat(self.term); ROWS];
                    macro_rules! lines {
                        ($($i:literal)*) => { $(
                            if $i < ROWS + K - 1 {
                                line::<V, K, $i>(from.add($i * self.step), &w, &mut acc);
                            }
                        )* };
                    }
                    lines!(0 1 2 3 4 5 6 7 8 9);
                    let last = V::LANES.min(n - x);
                    for (r, v) in acc.into_iter().enumerate() {
                        let to = out.as_mut_ptr().add((y + r) * out_step + x);
                        if last == V::LANES { v.store(to) } else { v.store_first(to, last) }
                    }
                }
            }
        }
    }
}

/// What row `I` of the stage gives to the rows of a block.
///
/// # Safety
/// The row has `K - 1` elements beyond a vector, and the instruction set is the machine's.
#[inline(always)]
unsafe fn line<V: Vector, const K: usize, const I: usize>(from: *const V::T, w: &[[V; K]; K], acc: &mut [V; ROWS]) {
    for kx in 0..K {
        // SAFETY: the caller vouches for the address.
        unsafe {
            let v = V::load(from.add(kx));
            for r in 0..ROWS {
                if r <= I && I - r < K {
                    acc[r] = v.fma(w[I - r][kx], acc[r]);
                }
            }
        }
    }
}

pub(super) fn backward_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    let [az, ay, ax] = [0, 1, 2].map(|i| Axis::forward(s, i));
    let stage = Stage { channels: 1, axes: [az.0, ay.0, ax.0] };
    let columns: Vec<usize> = ax.1.taps.iter().map(|&t| stage.tap([az.1.taps[0], ay.1.taps[0], t])).collect();
    let rows = az.1.taps.iter().flat_map(|&z| ay.1.taps.iter().map(move |&y| [z, y]));
    // A tap's offset is the sum of those of its row and its column.
    let rows: Vec<usize> = rows.map(|[z, y]| stage.tap([z, y, ax.1.taps[0]]) - columns[0]).collect();
    let sums = Sums { s, strides: stage.strides(), copies: copies(&stage), plane: stage.plane(), rows, columns };
    // Few channels: the images are divided as well, and summed in their order.
    let splits = 16usize.div_ceil(s.groups).min(s.n);
    let len = s.group_out() * s.taps();
    with_scratch(splits * s.groups * len, |totals: &mut [T]| {
        let shared = SharedMut::new(totals);
        par::for_each(splits * s.groups, |task| {
            let (split, group) = (task / s.groups, task % s.groups);
            // SAFETY: tasks have disjoint ranges of the buffer, which outlives the call.
            let totals = unsafe { shared.slice(task * len, len) };
            totals.fill(T::ZERO);
            with_scratch(sums.plane + SLACK + len * LANES, |scratch: &mut [T]| {
                let (stage, lanes) = scratch.split_at_mut(sums.plane + SLACK);
                clear(&sums.copies, stage);
                lanes.fill(T::ZERO);
                let images = split * s.n / splits..(split + 1) * s.n / splits;
                T::vectored(Images { sums: &sums, x, gy, group, images, stage, lanes, totals });
            });
        });
        let (first, others) = totals.split_at(s.groups * len);
        gw.copy_from_slice(first);
        for other in others.chunks_exact(s.groups * len) {
            gw.iter_mut().zip(other).for_each(|(a, &b)| *a += b);
        }
    });
}

/// Lanes of the widest vector.
const LANES: usize = 16;

/// How the gradient of the weights is summed.
struct Sums<'a> {
    s: &'a ConvShape,
    strides: [usize; 3],
    copies: Vec<Copied>,
    /// Elements of a stage.
    plane: usize,
    /// Stage offsets of the kernel's rows, and of the taps of the first row.
    rows: Vec<usize>,
    columns: Vec<usize>,
}

/// Some images of one group.
struct Images<'a, T> {
    sums: &'a Sums<'a>,
    x: &'a [T],
    gy: &'a [T],
    group: usize,
    images: std::ops::Range<usize>,
    stage: &'a mut [T],
    /// A set of lanes for each weight.
    lanes: &'a mut [T],
    totals: &'a mut [T],
}

impl<T: Float> Work<T> for Images<'_, T> {
    #[inline(always)]
    unsafe fn run<V: Vector<T = T>>(self) {
        let (sums, s) = (self.sums, self.sums.s);
        let (source, out_plane, taps) = (s.in_plane(), s.out_plane(), s.taps());
        let together = (RUN / out_plane).max(1);
        let mut left = self.images.len();
        for (i, n) in self.images.clone().enumerate() {
            let at = n * s.groups + self.group;
            // SAFETY: the copies were made for these sizes.
            unsafe {
                fill::<V>(&sums.copies, s.stride[2], &self.x[at * source..][..source], &mut self.stage[..sums.plane])
            };
            for (r, lanes) in self.lanes.chunks_exact_mut(taps * LANES).enumerate() {
                let gy = &self.gy[(at * s.group_out() + r) * out_plane..][..out_plane];
                // SAFETY: the stage has slack for whole vectors behind it.
                unsafe { sums.plane::<V>(self.stage, gy, lanes) };
            }
            left -= 1;
            if (i + 1).is_multiple_of(together) || left == 0 {
                for (total, lanes) in self.totals.iter_mut().zip(self.lanes.chunks_exact_mut(LANES)) {
                    *total += lanes[..V::LANES].iter().copied().sum();
                    lanes.fill(T::ZERO);
                }
            }
        }
    }
}

impl Sums<'_> {
    /// Adds the products of one plane, a block of taps at a time: rows of the kernel, as many as registers allow.
    ///
    /// # Safety
    /// `SLACK` elements follow the stage's plane, and the instruction set is the machine's.
    #[inline(always)]
    unsafe fn plane<V: Vector>(&self, stage: &[V::T], gy: &[V::T], lanes: &mut [V::T]) {
        let width = self.columns.len();
        for (c, columns) in self.columns.chunks(8).enumerate() {
            let together = match columns.len() {
                1..=3 => 3,
                4 | 5 => 2,
                _ => 1,
            };
            for (r, rows) in self.rows.chunks(together).enumerate() {
                let lanes = &mut lanes[(r * together * width + 8 * c) * LANES..];
                let lanes = (lanes, width);
                macro_rules! pick {
                    ($($r:literal $c:literal,)*) => {
                        match (rows.len(), columns.len()) {
                            // SAFETY: the caller vouches for the stage.
                            $(($r, $c) => unsafe { self.block::<V, $r, $c>(stage, gy, rows, columns, lanes) },)*
                            (r, c) => unreachable!("a block of {r} by {c} taps"),
                        }
                    };
                }
                pick!(1 1, 1 2, 1 3, 1 4, 1 5, 1 6, 1 7, 1 8, 2 1, 2 2, 2 3, 2 4, 2 5, 3 1, 3 2, 3 3,);
            }
        }
    }

    /// Adds the products of one plane for `R` by `C` taps.
    ///
    /// # Safety
    /// As for [`Sums::plane`].
    #[inline(always)]
    unsafe fn block<V: Vector, const R: usize, const C: usize>(
        &self,
        stage: &[V::T],
        gy: &[V::T],
        rows: &[usize],
        columns: &[usize],
        (lanes, width): (&mut [V::T], usize),
    ) {
        let [oz, oy, ox] = self.s.output;
        let rows: [usize; R] = std::array::from_fn(|i| rows[i]);
        let columns: [usize; C] = std::array::from_fn(|i| columns[i]);
        assert!(
            lanes.len() >= ((R - 1) * width + C) * LANES && gy.len() == oz * oy * ox,
            "depthwise: sizes of a block"
        );
        // SAFETY: sums and gradient as just checked, the stage as the caller vouches.
        unsafe {
            let at = |r: usize, c: usize| (r * width + c) * LANES;
            let mut acc = [[V::splat(V::T::ZERO); C]; R];
            for r in 0..R {
                for c in 0..C {
                    acc[r][c] = V::load(lanes.as_ptr().add(at(r, c)));
                }
            }
            for z in 0..oz {
                for y in 0..oy {
                    let g = gy.as_ptr().add((z * oy + y) * ox);
                    let from = stage.as_ptr().add(z * self.strides[0] + y * self.strides[1]);
                    for x in (0..ox).step_by(V::LANES) {
                        let n = V::LANES.min(ox - x);
                        let g = if n == V::LANES { V::load(g.add(x)) } else { V::load_first(g.add(x), n) };
                        for r in 0..R {
                            let from = from.add(rows[r] + x);
                            for c in 0..C {
                                acc[r][c] = V::load(from.add(columns[c])).fma(g, acc[r][c]);
                            }
                        }
                    }
                }
            }
            for r in 0..R {
                for c in 0..C {
                    acc[r][c].store(lanes.as_mut_ptr().add(at(r, c)));
                }
            }
        }
    }
}
