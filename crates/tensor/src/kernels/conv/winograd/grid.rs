//! Where the tiles of a convolution lie in the planes that it reads and writes.

use std::ops::Range;

/// Most tiles of a group: lanes of the widest vector.
const MOST: usize = 16;
/// Elements of a line that [`Run`]s fill at most; after them lies a tile of zeros.
pub(super) const NOTHING: usize = 144;

/// The tiles of all images, numbered through: columns, rows, images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Images.
    pub n: usize,
    /// Tiles along y and x.
    pub tiles: [usize; 2],
    /// Rows and columns of the planes that are written.
    pub out: [usize; 2],
    /// Zeros ahead of the planes that are read.
    pub low: [usize; 2],
}

/// A place of a tile of results.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Offset of its first result from the channel's plane in the first image.
    pub at: usize,
    /// Rows that exist.
    pub rows: usize,
    /// Columns that exist.
    pub cols: usize,
}

/// Neighbouring tiles of one row of tiles.
#[derive(Clone, Copy, Default)]
pub(super) struct Run {
    pub image: usize,
    /// First row and column that the tiles read.
    pub y: isize,
    pub x: isize,
    /// Columns that they read.
    pub width: usize,
    /// Where these begin in a line.
    pub at: usize,
}

/// As many neighbouring tiles as a vector has lanes, as they are read.
pub(super) struct Group {
    runs: [Run; MOST],
    count: usize,
    /// Where each tile begins in a line.
    pub at: [u32; MOST],
    /// Whether the tiles of each quarter of the group are neighbours.
    pub near: [bool; 4],
}

/// The same as they are written.
pub(super) struct Places {
    pub tiles: [Place; MOST],
    /// Whether the tiles of each quarter of the group are written as one run a row.
    pub whole: [bool; 4],
    /// Columns of that run.
    pub cols: [usize; 4],
}

impl Grid {
    pub fn len(&self) -> usize {
        self.n * self.tiles[0] * self.tiles[1]
    }

    /// Image, row and column of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let [ty, tx] = self.tiles;
        [tile / (ty * tx), tile / tx % ty, tile % tx]
    }

    /// The tiles from `first`, at most `lanes`; lanes without a tile read zeros.
    pub fn group(&self, first: usize, lanes: usize) -> Group {
        let mut group = Group { runs: [Run::default(); MOST], count: 0, at: [NOTHING as u32; MOST], near: [false; 4] };
        let end = self.len().min(first + lanes);
        let (mut tile, mut at) = (first, 0);
        while tile < end {
            let [image, y, x] = self.place(tile);
            let count = (self.tiles[1] - x).min(end - tile);
            let [low_y, low_x] = self.low.map(|v| v as isize);
            let run = Run { image, y: 4 * y as isize - low_y, x: 4 * x as isize - low_x, width: 4 * count + 2, at };
            group.runs[group.count] = run;
            group.count += 1;
            for i in 0..count {
                group.at[tile - first + i] = (at + 4 * i) as u32;
            }
            at += 4 * count + 4;
            tile += count;
        }
        let quads = lanes / 4;
        for k in 0..4 {
            let at = &group.at[k * quads..(k + 1) * quads];
            group.near[k] = at.windows(2).all(|p| p[1] == p[0] + 4);
        }
        group
    }

    /// Where the tiles from `first` go; `image` elements separate the images of a channel.
    pub fn places(&self, first: usize, lanes: usize, image: usize) -> Places {
        let mut places = Places { tiles: [Place::default(); MOST], whole: [false; 4], cols: [0; 4] };
        for (i, tile) in (first..self.len().min(first + lanes)).enumerate() {
            let [n, y, x] = self.place(tile);
            let [height, width] = self.out;
            let (rows, cols) = ((height - 4 * y).min(4), (width - 4 * x).min(4));
            places.tiles[i] = Place { at: n * image + 4 * y * width + 4 * x, rows, cols };
        }
        let quads = lanes / 4;
        for k in 0..4 {
            let tiles = &places.tiles[k * quads..(k + 1) * quads];
            let near = |p: &[Place]| p[1].at == p[0].at + 4 && p[0].cols == 4 && p[1].rows == p[0].rows;
            places.whole[k] = tiles[quads - 1].cols > 0 && tiles.windows(2).all(near);
            places.cols[k] = tiles.iter().map(|t| t.cols).sum();
        }
        places
    }

    /// The results of some tiles as runs `(image, offset in the plane, length)`.
    pub fn runs(&self, tiles: Range<usize>) -> Vec<(usize, usize, usize)> {
        let mut runs: Vec<(usize, usize, usize)> = Vec::new();
        let [height, width] = self.out;
        let mut tile = tiles.start;
        while tile < tiles.end {
            let [image, ty, tx] = self.place(tile);
            let count = (self.tiles[1] - tx).min(tiles.end - tile);
            let cols = (width - 4 * tx).min(4 * count);
            for y in 4 * ty..height.min(4 * ty + 4) {
                let at = y * width + 4 * tx;
                match runs.last_mut() {
                    Some(last) if last.0 == image && last.1 + last.2 == at => last.2 += cols,
                    _ => runs.push((image, at, cols)),
                }
            }
            tile += count;
        }
        runs
    }
}

impl Group {
    pub fn runs(&self) -> &[Run] {
        &self.runs[..self.count]
    }
}
