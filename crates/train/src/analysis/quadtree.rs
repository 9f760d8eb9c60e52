//! Points of a plane in a tree of squares, so that far groups count as one.

/// Deeper than this, points that are nearly equal share a square.
const DEPTH: usize = 48;
const NONE: u32 = u32::MAX;

/// A square with the points in it.
struct Cell {
    /// The sum of the points, of which [`Quadtree::new`] makes their mean.
    centre: [f64; 2],
    count: f64,
    /// Its side.
    side: f64,
    /// The four squares within, if there are any.
    children: [u32; 4],
    leaf: bool,
}

/// Points of a plane by place.
pub(super) struct Quadtree {
    cells: Vec<Cell>,
}

impl Quadtree {
    /// The tree of these points, x and y in turn.
    pub(super) fn new(points: &[f64]) -> Quadtree {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for p in points.chunks_exact(2) {
            for a in 0..2 {
                (low[a], high[a]) = (low[a].min(p[a]), high[a].max(p[a]));
            }
        }
        let side = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE) * (1.0 + 1e-9);
        let mut tree = Quadtree { cells: vec![] };
        tree.cell(side);
        for p in points.chunks_exact(2) {
            tree.insert([p[0], p[1]], low);
        }
        for cell in &mut tree.cells {
            cell.centre = cell.centre.map(|c| c / cell.count);
        }
        tree
    }

    fn cell(&mut self, side: f64) -> u32 {
        self.cells.push(Cell { centre: [0.0; 2], count: 0.0, side, children: [NONE; 4], leaf: true });
        (self.cells.len() - 1) as u32
    }

    fn insert(&mut self, p: [f64; 2], mut corner: [f64; 2]) {
        let mut at = 0usize;
        for depth in 0.. {
            let cell = &mut self.cells[at];
            let (side, alone, inside) = (cell.side, cell.leaf && cell.count > 0.0, cell.centre);
            let (count, was_leaf) = (cell.count, cell.leaf);
            (cell.centre, cell.count) = ([inside[0] + p[0], inside[1] + p[1]], count + 1.0);
            if was_leaf && (count == 0.0 || depth >= DEPTH) {
                return;
            }
            if alone {
                // The point that was alone here moves one square down.
                self.cells[at].leaf = false;
                let old = inside.map(|c| c / count);
                let (child, _) = self.child(at, old, corner, side);
                (self.cells[child].centre, self.cells[child].count) = (inside, count);
            }
            (at, corner) = self.child(at, p, corner, side);
        }
    }

    /// The square within `at` where `p` lies, made if it is not there, and its corner.
    fn child(&mut self, at: usize, p: [f64; 2], corner: [f64; 2], side: f64) -> (usize, [f64; 2]) {
        let half = side / 2.0;
        let right = [0, 1].map(|a| p[a] >= corner[a] + half);
        let which = usize::from(right[0]) + 2 * usize::from(right[1]);
        if self.cells[at].children[which] == NONE {
            let new = self.cell(half);
            self.cells[at].children[which] = new;
        }
        let step = |a: usize| corner[a] + if right[a] { half } else { 0.0 };
        (self.cells[at].children[which] as usize, [step(0), step(1)])
    }

    /// The sum of `q^2 (p - y)` over all other points y, and that of q, with q = 1 / (1 + |p - y|^2). A square counts
    /// as one point where its side is below `angle` times its distance.
    pub(super) fn repulsion(&self, p: [f64; 2], angle: f64, stack: &mut Vec<u32>) -> ([f64; 2], f64) {
        let (mut force, mut sum) = ([0.0; 2], 0.0);
        stack.clear();
        stack.push(0);
        while let Some(at) = stack.pop() {
            let cell = &self.cells[at as usize];
            let (x, y) = (p[0] - cell.centre[0], p[1] - cell.centre[1]);
            let distance = x * x + y * y;
            if cell.leaf || cell.side * cell.side < angle * angle * distance {
                let q = 1.0 / (1.0 + distance);
                // The point itself has no force, only a q of 1 that is taken off below.
                force[0] += cell.count * q * q * x;
                force[1] += cell.count * q * q * y;
                sum += cell.count * q;
            } else {
                stack.extend(cell.children.iter().filter(|c| **c != NONE));
            }
        }
        (force, sum - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::normals;

    fn exact(points: &[f64], i: usize) -> ([f64; 2], f64) {
        let (mut force, mut sum) = ([0.0; 2], 0.0);
        for (j, y) in points.chunks_exact(2).enumerate().filter(|(j, _)| *j != i) {
            let (dx, dy) = (points[2 * i] - y[0], points[2 * i + 1] - y[1]);
            let q = 1.0 / (1.0 + dx * dx + dy * dy);
            (force, sum) = ([force[0] + q * q * dx, force[1] + q * q * dy], sum + q);
            assert_ne!(i, j);
        }
        (force, sum)
    }

    #[test]
    fn forces_are_exact_at_angle_zero_and_near_it_at_one_half() {
        let mut points = normals(5, [200, 2]).to_vec::<f64>();
        points.extend_from_slice(&[0.3, 0.1, 0.3, 0.1, 0.3, 0.1]); // three at one place
        let (tree, mut stack) = (Quadtree::new(&points), vec![]);
        let mut errors = [0.0f64; 2]; // of the sums of q at two angles, on average
        for i in 0..points.len() / 2 {
            let p = [points[2 * i], points[2 * i + 1]];
            let (force, sum) = exact(&points, i);
            let (whole, whole_sum) = tree.repulsion(p, 0.0, &mut stack);
            assert!((sum - whole_sum).abs() < 1e-10 * sum);
            assert!((0..2).all(|a| (force[a] - whole[a]).abs() < 1e-10 * sum));
            for (error, angle) in errors.iter_mut().zip([0.5, 0.25]) {
                let (about, about_sum) = tree.repulsion(p, angle, &mut stack);
                *error += (sum / about_sum - 1.0).abs() / points.len() as f64 * 2.0;
                assert!((0..2).all(|a| (force[a] - about[a]).abs() < 0.03 * sum));
            }
        }
        assert!(errors[0] < 0.01 && errors[1] < errors[0] / 3.0, "{errors:?}");
    }
}
