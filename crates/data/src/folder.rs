//! Pictures in directories.

use crate::prefetch::in_parallel;
use crate::transforms::Compose;
use crate::{DataError, Dataset, Draw, Image};
use gradus_tensor::Tensor;
use std::fs;
use std::path::{Path, PathBuf};

/// The endings of files that are taken for pictures.
const ENDINGS: [&str; 3] = ["jpeg", "jpg", "png"];

/// Pictures in one directory a class, read when they are asked for.
///
/// Classes are the names of the directories, sorted; pictures may lie deeper. Files that end neither in `.png`
/// nor in `.jpg` or `.jpeg` are passed over.
///
/// ```
/// use gradus_data::transforms::{Compose, Resize, ToTensor};
/// use gradus_data::{DataLoader, Dataset, Image, ImageFolder};
/// # let dir = tempfile::tempdir().unwrap();
/// # let root = dir.path();
/// for class in ["cat", "dog"] {
///     std::fs::create_dir(root.join(class)).unwrap();
///     Image::filled(40, 50, &[9, 8, 7]).save_png(root.join(class).join("1.png")).unwrap();
/// }
/// let folder = ImageFolder::open(root).unwrap().transform(Compose::new([Resize::new([32, 32]).into()]));
/// assert_eq!((folder.len(), folder.classes()), (2, &["cat".to_string(), "dog".to_string()][..]));
/// let (images, labels) = DataLoader::new(folder).batch_size(2).epoch(0).next().unwrap().unwrap();
/// assert_eq!((&*images.shape(), labels.to_vec::<i64>()), (&[2, 3, 32, 32][..], vec![0, 1]));
/// ```
///
/// Source: <https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html>
#[derive(Clone, Debug)]
pub struct ImageFolder {
    root: PathBuf,
    classes: Vec<String>,
    files: Vec<(PathBuf, usize)>,
    pictures: Pictures,
}

/// What is done with a file.
#[derive(Clone, Debug)]
struct Pictures {
    channels: usize,
    transform: Compose,
}

impl ImageFolder {
    /// The pictures below `root`, as colours, with no transform but `ToTensor`.
    ///
    /// # Errors
    /// If the directory cannot be read, has no directories, or one of them no pictures.
    pub fn open(root: impl AsRef<Path>) -> Result<ImageFolder, DataError> {
        ImageFolder::scan(root.as_ref(), None)
    }

    /// As [`ImageFolder::open`], numbering the classes as another folder does: a validation part by the classes
    /// of the training part. A class without a directory has no examples.
    ///
    /// # Errors
    /// Also if a directory is none of the classes.
    pub fn open_with_classes(root: impl AsRef<Path>, classes: &[String]) -> Result<ImageFolder, DataError> {
        ImageFolder::scan(root.as_ref(), Some(classes))
    }

    fn scan(root: &Path, known: Option<&[String]>) -> Result<ImageFolder, DataError> {
        let directories: Vec<PathBuf> = entries(root)?.into_iter().filter(|p| p.is_dir()).collect();
        let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found: Vec<String> = directories.iter().map(name).collect();
        if found.is_empty() {
            return Err(DataError::malformed(root, "classes", "no directories", "one directory a class"));
        }
        let classes = known.map_or_else(|| found.clone(), <[String]>::to_vec);
        let mut files = Vec::new();
        for (path, class) in directories.iter().zip(&found) {
            let Some(label) = classes.iter().position(|c| c == class) else {
                let expected = format!("one of the classes that were trained: {}", classes.join(", "));
                return Err(DataError::malformed(root, "classes", format!("`{class}`"), expected));
            };
            let inside = pictures_below(path)?;
            if inside.is_empty() {
                return Err(DataError::malformed(path, "class", "no pictures", "files in .png, .jpg or .jpeg"));
            }
            files.extend(inside.into_iter().map(|f| (f, label)));
        }
        let pictures = Pictures::plain();
        Ok(ImageFolder { root: root.to_owned(), classes, files, pictures })
    }

    /// What every picture goes through when it is read.
    pub fn transform(mut self, transform: Compose) -> ImageFolder {
        self.pictures.transform = transform;
        self
    }

    /// 3 for colours (the default), 1 for brightness.
    ///
    /// # Panics
    /// If it is another number.
    #[track_caller]
    pub fn channels(mut self, channels: usize) -> ImageFolder {
        assert!(channels == 1 || channels == 3, "ImageFolder: 1 or 3 channels, not {channels}");
        self.pictures.channels = channels;
        self
    }

    /// Decodes every picture once and leaves out those that are broken; says why each was.
    pub fn skip_broken(mut self, workers: usize) -> (ImageFolder, Vec<DataError>) {
        let broken = in_parallel(&self.files, workers, |(path, _)| Image::open(path).err());
        let mut keep = broken.iter().map(Option::is_none);
        self.files.retain(|_| keep.next().expect("one result a file"));
        (self, broken.into_iter().flatten().collect())
    }

    /// The names of the classes by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The files in order, each with its label.
    pub fn files(&self) -> &[(PathBuf, usize)] {
        &self.files
    }

    /// The files' paths below the directory, with forward slashes: `class/picture.png`.
    pub fn names(&self) -> Vec<String> {
        let name = |p: &Path| {
            let parts = p.strip_prefix(&self.root).unwrap_or(p).components();
            parts.map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
        };
        self.files.iter().map(|(path, _)| name(path)).collect()
    }

    /// The label of each example, for a split.
    pub fn labels(&self) -> Vec<i64> {
        self.files.iter().map(|(_, label)| *label as i64).collect()
    }
}

/// What lies in a directory, sorted by name.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let wrong = |e| DataError::io(dir, e);
    let paths = fs::read_dir(dir).map_err(wrong)?.map(|e| e.map(|e| e.path()).map_err(wrong));
    let mut paths = paths.collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// The files below a directory whose names end as pictures do, sorted.
pub(crate) fn pictures_below(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut out = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            out.extend(pictures_below(&path)?);
        } else if path.extension().and_then(|e| e.to_str()).is_some_and(|e| {
            let e = e.to_ascii_lowercase();
            ENDINGS.contains(&e.as_str())
        }) {
            out.push(path);
        }
    }
    Ok(out)
}

impl Pictures {
    /// Colours, with no transform but `ToTensor`.
    fn plain() -> Pictures {
        Pictures { channels: 3, transform: Compose::default() }
    }

    /// The pictures stacked: [N, C, H, W], or [N, 5, C, H, W] with five crops.
    ///
    /// `keys` name the random choices; equal keys make equal choices, as the two pictures of a pair need.
    fn read(&self, paths: &[&Path], keys: &[usize], draw: Draw) -> Result<Tensor, DataError> {
        let (mut data, mut shape) = (Vec::new(), None);
        for (&path, &key) in paths.iter().zip(keys) {
            let unfit = |reason| DataError::Picture { path: path.to_owned(), reason };
            let image = Image::open(path)?.with_channels(self.channels);
            let all = self.transform.planes(image, &mut draw.rng(key)).map_err(|e| unfit(e.to_string()))?;
            for planes in all {
                let (expected, found) = (*shape.get_or_insert(planes.shape), planes.shape);
                if found != expected {
                    let [[_, h, w], [_, eh, ew]] = [found, expected];
                    return Err(unfit(format!(
                        "is {h}x{w} after its transforms, where the batch began with {eh}x{ew}; add a Resize to \
                         [height, width] or a crop"
                    )));
                }
                if data.capacity() == 0 {
                    data.reserve(paths.len() * self.transform.crops() * planes.data.len());
                }
                data.extend_from_slice(&planes.data);
            }
        }
        let [c, h, w] = shape.unwrap_or([self.channels, 0, 0]);
        Ok(match self.transform.crops() {
            1 => Tensor::from_vec(data, [paths.len(), c, h, w]),
            n => Tensor::from_vec(data, [paths.len(), n, c, h, w]),
        })
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        let paths: Vec<&Path> = indices.iter().map(|&i| &*self.files[i].0).collect();
        let labels: Vec<i64> = indices.iter().map(|&i| self.files[i].1 as i64).collect();
        Ok((self.pictures.read(&paths, indices, draw)?, Tensor::from_vec(labels, [indices.len()])))
    }
}

/// Pictures in pairs: a file of one directory belongs to the file of the same name (but for its ending) in the
/// other, as an outline to a photograph. Both sides draw the same random choices.
#[derive(Clone, Debug)]
pub struct PairedImageFolder {
    files: Vec<[PathBuf; 2]>,
    sides: [Pictures; 2],
}

impl PairedImageFolder {
    /// The pairs of two directories.
    ///
    /// # Errors
    /// If a directory cannot be read or has no pictures, or a picture has no partner.
    pub fn open(inputs: impl AsRef<Path>, targets: impl AsRef<Path>) -> Result<PairedImageFolder, DataError> {
        let (left, right) = (inputs.as_ref(), targets.as_ref());
        let (a, b) = (some_pictures(left)?, some_pictures(right)?);
        let key = |p: &Path, root: &Path| p.strip_prefix(root).unwrap_or(p).with_extension("");
        let by_name: std::collections::BTreeMap<PathBuf, PathBuf> =
            b.iter().map(|p| (key(p, right), p.clone())).collect();
        let alone = |p: &Path, other: &Path| DataError::Picture {
            path: p.to_owned(),
            reason: format!("has no partner in {}", other.display()),
        };
        let mut files = Vec::new();
        for path in &a {
            let partner = by_name.get(&key(path, left)).ok_or_else(|| alone(path, right))?;
            files.push([path.clone(), partner.clone()]);
        }
        let names: std::collections::BTreeSet<PathBuf> = a.iter().map(|p| key(p, left)).collect();
        if let Some(path) = b.iter().find(|p| !names.contains(&key(p, right))) {
            return Err(alone(path, left));
        }
        Ok(PairedImageFolder { files, sides: [Pictures::plain(), Pictures::plain()] })
    }

    /// Every picture below a directory paired with itself: with a transform for each side, pairs for taking
    /// noise away (`GaussianNoise` on the inputs) or for adding colour (`Grayscale` on the inputs).
    ///
    /// # Errors
    /// If the directory cannot be read or has no pictures.
    pub fn of(dir: impl AsRef<Path>) -> Result<PairedImageFolder, DataError> {
        let files = some_pictures(dir.as_ref())?.into_iter().map(|p| [p.clone(), p]).collect();
        Ok(PairedImageFolder { files, sides: [Pictures::plain(), Pictures::plain()] })
    }

    /// The pairs.
    pub(crate) fn into_files(self) -> Vec<[PathBuf; 2]> {
        self.files
    }

    /// What both pictures of a pair go through when they are read.
    pub fn transform(self, transform: Compose) -> PairedImageFolder {
        self.transforms(transform.clone(), transform)
    }

    /// What the inputs and the targets go through. Random steps that both begin with choose alike.
    pub fn transforms(mut self, inputs: Compose, targets: Compose) -> PairedImageFolder {
        self.sides[0].transform = inputs;
        self.sides[1].transform = targets;
        self
    }
}

impl Dataset for PairedImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        let side = |s: usize| {
            let paths: Vec<&Path> = indices.iter().map(|&i| &*self.files[i][s]).collect();
            self.sides[s].read(&paths, indices, draw)
        };
        Ok((side(0)?, side(1)?))
    }
}

/// Pictures of two kinds that do not belong together, as of horses and of zebras.
///
/// An example is a picture of the first directory with one of the second, which is drawn anew each epoch.
#[derive(Clone, Debug)]
pub struct UnpairedImageFolder {
    files: [Vec<PathBuf>; 2],
    pictures: Pictures,
}

impl UnpairedImageFolder {
    /// The pictures of two directories.
    ///
    /// # Errors
    /// If a directory cannot be read or has no pictures.
    pub fn open(first: impl AsRef<Path>, second: impl AsRef<Path>) -> Result<UnpairedImageFolder, DataError> {
        let files = [some_pictures(first.as_ref())?, some_pictures(second.as_ref())?];
        Ok(UnpairedImageFolder { files, pictures: Pictures::plain() })
    }

    /// What every picture goes through when it is read.
    pub fn transform(mut self, transform: Compose) -> UnpairedImageFolder {
        self.pictures.transform = transform;
        self
    }
}

/// The purposes of random choices beside the transforms of the first picture.
const PARTNER: u64 = 2;
const SECOND: u64 = 3;

impl Dataset for UnpairedImageFolder {
    fn len(&self) -> usize {
        self.files[0].len()
    }

    fn get(&self, indices: &[usize], draw: Draw) -> Result<(Tensor, Tensor), DataError> {
        use rand::RngExt;
        let [a, b] = &self.files;
        let first: Vec<&Path> = indices.iter().map(|&i| &*a[i]).collect();
        let partner = |&i: &usize| &*b[draw.aside(PARTNER).rng(i).random_range(0..b.len())];
        let second: Vec<&Path> = indices.iter().map(partner).collect();
        Ok((self.pictures.read(&first, indices, draw)?, self.pictures.read(&second, indices, draw.aside(SECOND))?))
    }
}

fn some_pictures(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    let found = pictures_below(dir)?;
    match found.is_empty() {
        true => Err(DataError::malformed(dir, "pictures", "none", "files in .png, .jpg or .jpeg")),
        false => Ok(found),
    }
}
