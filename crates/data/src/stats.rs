//! What a directory of pictures holds, before anything learns from it.

use crate::folder::pictures_below;
use crate::prefetch::in_parallel;
use crate::{DataError, Image, ImageFolder, InterpolationMode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The smallest, the middle and the largest of some lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: usize,
    /// The middle.
    pub median: usize,
    /// The largest.
    pub max: usize,
}

/// Counts and moments of a directory of pictures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FolderStats {
    /// Pictures that could be read.
    pub pictures: usize,
    /// The classes and how many readable pictures each has; nothing if the directory has no classes.
    pub classes: Vec<(String, usize)>,
    /// The largest class divided by the smallest; nothing if one is empty or there are none.
    pub imbalance: Option<f64>,
    /// The mean of red, green and blue over all pixels, in [0, 1].
    pub mean: [f64; 3],
    /// The (population) deviation of red, green and blue over all pixels.
    pub std: [f64; 3],
    /// Rows of pixels.
    pub height: Spread,
    /// Columns of pixels.
    pub width: Spread,
    /// How many pictures are grey.
    pub grey: usize,
    /// Groups of files with the same pixels.
    pub duplicates: Vec<Vec<PathBuf>>,
    /// Groups among them whose files lie in different classes.
    pub contradictions: usize,
    /// Files that could not be read, and why.
    pub broken: Vec<(PathBuf, String)>,
}

/// What one picture adds.
struct Seen {
    height: usize,
    width: usize,
    grey: bool,
    /// Sums of v and of v squared of each channel, of bytes.
    sums: [[u64; 2]; 3],
    hash: u64,
}

fn look(path: &Path) -> Result<Seen, DataError> {
    let image = Image::open(path)?;
    let mut hasher = DefaultHasher::new();
    (image.height(), image.width(), image.data()).hash(&mut hasher);
    let grey = image.channels() == 1;
    let (height, width) = (image.height(), image.width());
    let mut sums = [[0; 2]; 3];
    for pixel in image.with_channels(3).data().chunks_exact(3) {
        for (sum, &v) in sums.iter_mut().zip(pixel) {
            sum[0] += u64::from(v);
            sum[1] += u64::from(v) * u64::from(v);
        }
    }
    Ok(Seen { height, width, grey, sums, hash: hasher.finish() })
}

fn spread(mut lengths: Vec<usize>) -> Spread {
    lengths.sort_unstable();
    let at = |i: usize| lengths.get(i).copied().unwrap_or(0);
    Spread { min: at(0), median: at(lengths.len() / 2), max: at(lengths.len().saturating_sub(1)) }
}

/// Looks at every picture below a directory: one directory a class, or pictures alone.
///
/// # Errors
/// If the directory cannot be read or holds no pictures. Files that are no whole pictures are part of the result.
pub fn folder_stats(dir: impl AsRef<Path>, workers: usize) -> Result<FolderStats, DataError> {
    let dir = dir.as_ref();
    let has_classes = std::fs::read_dir(dir).map_err(|e| DataError::io(dir, e))?.flatten().any(|e| e.path().is_dir());
    let (names, files) = match has_classes {
        true => {
            let folder = ImageFolder::open(dir)?;
            (folder.classes().to_vec(), folder.files().to_vec())
        }
        false => (Vec::new(), pictures_below(dir)?.into_iter().map(|p| (p, 0)).collect()),
    };
    if files.is_empty() {
        return Err(DataError::malformed(dir, "pictures", "none", "files in .png, .jpg or .jpeg"));
    }
    let seen = in_parallel(&files, workers, |(path, _)| look(path));
    Ok(summarise(&names, &files, &seen))
}

fn summarise(names: &[String], files: &[(PathBuf, usize)], seen: &[Result<Seen, DataError>]) -> FolderStats {
    let good: Vec<(&PathBuf, usize, &Seen)> =
        files.iter().zip(seen).filter_map(|((path, class), s)| Some((path, *class, s.as_ref().ok()?))).collect();
    let counts: Vec<usize> =
        (0..names.len()).map(|class| good.iter().filter(|(_, c, _)| *c == class).count()).collect();
    let pixels: f64 = good.iter().map(|(_, _, s)| (s.height * s.width) as f64).sum::<f64>().max(1.0);
    let total = |c: usize, k: usize| good.iter().map(|(_, _, s)| u128::from(s.sums[c][k])).sum::<u128>() as f64;
    let mean = [0, 1, 2].map(|c| total(c, 0) / pixels / 255.0);
    let std = [0, 1, 2].map(|c| (total(c, 1) / pixels / 255.0 / 255.0 - mean[c] * mean[c]).max(0.0).sqrt());
    let mut by_hash: BTreeMap<u64, Vec<(&PathBuf, usize)>> = BTreeMap::new();
    for (path, class, s) in &good {
        by_hash.entry(s.hash).or_default().push((path, *class));
    }
    let mut groups: Vec<Vec<(&PathBuf, usize)>> = by_hash.into_values().filter(|g| g.len() > 1).collect();
    groups.sort();
    let (smallest, largest) = (counts.iter().min(), counts.iter().max());
    FolderStats {
        pictures: good.len(),
        classes: names.iter().cloned().zip(counts.iter().copied()).collect(),
        imbalance: smallest.zip(largest).filter(|(s, _)| **s > 0).map(|(s, l)| *l as f64 / *s as f64),
        mean,
        std,
        height: spread(good.iter().map(|(_, _, s)| s.height).collect()),
        width: spread(good.iter().map(|(_, _, s)| s.width).collect()),
        grey: good.iter().filter(|(_, _, s)| s.grey).count(),
        contradictions: groups.iter().filter(|g| g.iter().any(|(_, class)| *class != g[0].1)).count(),
        duplicates: groups.into_iter().map(|g| g.into_iter().map(|(path, _)| path.clone()).collect()).collect(),
        broken: files
            .iter()
            .zip(seen)
            .filter_map(|((path, _), s)| Some((path.clone(), s.as_ref().err()?.to_string())))
            .collect(),
    }
}

/// A sheet of small pictures: a row of up to `columns` for each class (or as many rows, without classes),
/// each `side` pixels high and wide, evenly taken from the class. Broken files are left out.
///
/// # Errors
/// As [`folder_stats`].
///
/// # Panics
/// If `columns` or `side` is 0.
#[track_caller]
pub fn contact_sheet(dir: impl AsRef<Path>, columns: usize, side: usize) -> Result<Image, DataError> {
    assert!(columns > 0 && side > 0, "contact_sheet: {columns} columns of {side} pixels show nothing");
    let dir = dir.as_ref();
    let files: Vec<Vec<PathBuf>> = match ImageFolder::open(dir) {
        Ok(folder) => (0..folder.classes().len())
            .map(|class| folder.files().iter().filter(|f| f.1 == class).map(|f| f.0.clone()).collect())
            .collect(),
        Err(_) => pictures_below(dir)?.chunks(columns).take(columns).map(<[PathBuf]>::to_vec).collect(),
    };
    let cell = side + 2;
    let mut sheet = Image::filled((files.len() * cell).max(1), columns * cell, &[255; 3]);
    let width = sheet.width();
    for (row, files) in files.iter().enumerate() {
        let step = files.len().div_ceil(columns).max(1);
        let good = files.iter().step_by(step).filter_map(|path| Image::open(path).ok());
        for (column, image) in good.enumerate() {
            let small = image.with_channels(3).resize(side, side, InterpolationMode::Bilinear);
            for (y, line) in small.data().chunks_exact(side * 3).enumerate() {
                let start = ((row * cell + 1 + y) * width + column * cell + 1) * 3;
                sheet.data_mut()[start..start + side * 3].copy_from_slice(line);
            }
        }
    }
    Ok(sheet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_directory_is_described_whole() {
        let dir = tempfile::tempdir().unwrap();
        let save = |name: &str, image: Image| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            image.save_png(&path).unwrap();
        };
        save("a/1.png", Image::filled(4, 6, &[0, 255, 51]));
        save("a/2.png", Image::filled(4, 6, &[255, 255, 51]));
        save("a/3.png", Image::filled(4, 6, &[255, 255, 51]));
        save("b/1.png", Image::filled(4, 6, &[0, 255, 51]));
        save("b/2.png", Image::filled(8, 3, &[102]));
        fs::write(dir.path().join("b/3.png"), b"no picture").unwrap();
        let stats = folder_stats(dir.path(), 2).unwrap();
        assert_eq!(stats, folder_stats(dir.path(), 1).unwrap());
        assert_eq!((stats.pictures, stats.grey), (5, 1));
        assert_eq!(stats.classes, [("a".to_string(), 3), ("b".to_string(), 2)]);
        assert_eq!(stats.imbalance, Some(1.5));
        // Red: 0, 1, 1, 0, 0.4; all pictures have 24 pixels.
        assert!((stats.mean[0] - 0.48).abs() < 1e-9 && (stats.mean[1] - 0.88).abs() < 1e-9, "{:?}", stats.mean);
        let variance = (2.0 * 0.48f64.powi(2) + 2.0 * 0.52f64.powi(2) + 0.08f64.powi(2)) / 5.0;
        assert!((stats.std[0] - variance.sqrt()).abs() < 1e-9, "{:?}", stats.std);
        assert_eq!(stats.height, Spread { min: 4, median: 4, max: 8 });
        assert_eq!((stats.duplicates.len(), stats.contradictions), (2, 1));
        assert!(stats.broken.len() == 1 && stats.broken[0].0.ends_with("b/3.png"));
        let sheet = contact_sheet(dir.path(), 3, 8).unwrap();
        assert_eq!((sheet.height(), sheet.width()), (20, 30));
        assert_eq!(
            (sheet.pixel(4, 4), sheet.pixel(0, 0), sheet.pixel(14, 14)),
            (&[0, 255, 51][..], &[255; 3][..], &[102; 3][..])
        );
        // Pictures without classes.
        let flat = folder_stats(dir.path().join("a"), 1).unwrap();
        assert_eq!((flat.pictures, flat.classes.len(), flat.imbalance), (3, 0, None));
        assert_eq!(contact_sheet(dir.path().join("a"), 2, 4).unwrap().height(), 12);
        let empty = tempfile::tempdir().unwrap();
        assert!(folder_stats(empty.path(), 1).unwrap_err().to_string().contains("pictures: found none"));
    }
}
