//! Data sets, readers and batching.
//!
//! Files become tensors ([`read_idx`], [`mnist()`], [`digits()`], [`read_image`]) or data sets that read as they
//! are asked ([`ImageFolder`]); pictures go through [`transforms`]; a [`Dataset`] is split ([`stratified_split`],
//! [`random_split`], [`Subset`]), scaled ([`Normalize`]) and handed out in batches ([`DataLoader`]).
//! [`DATASETS`] lists what can be named in a recipe.
//!
//! ```
//! use gradus_data::{DataLoader, Dataset, TensorDataset, digits, stratified_split};
//! let (images, labels) = digits();
//! let (train, test) = stratified_split(&labels.to_vec::<i64>(), 0.2, 0);
//! let all = TensorDataset::new(images, labels);
//! let train = DataLoader::new(all.subset(&train)).batch_size(32).shuffle(true).seed(7);
//! for batch in train.epoch(0) {
//!     let (images, labels) = batch.unwrap();
//!     assert_eq!(images.size(0), labels.size(0));
//! }
//! assert_eq!(train.dataset().len() + test.len(), 1797);
//! ```

mod arrays;
mod bpe;
mod cifar;
mod dataset;
mod digits;
mod downloads;
mod encoder;
mod error;
mod folder;
mod idx;
mod image;
mod image_file;
mod loader;
mod masks;
mod mnist;
mod normalize;
mod parquet;
mod prefetch;
mod random;
mod registry;
mod series;
mod shapes;
mod split;
mod stats;
mod table;
mod table_stats;
pub mod text;
pub mod transforms;

pub use arrays::{npy_dataset, npz_dataset};
pub use cifar::{read_cifar10, read_cifar100};
pub use dataset::{Dataset, Subset, TensorDataset};
pub use digits::digits;
pub use downloads::{DOWNLOADS, Download, Downloads};
pub use encoder::TableEncoder;
pub use error::DataError;
pub use folder::{ImageFolder, PairedImageFolder, UnpairedImageFolder};
pub use idx::read_idx;
pub use image::{Image, InterpolationMode};
pub use image_file::{has_light_background, read_image, read_image_resized};
pub use loader::{Batch, Batches, DataLoader, Mix};
pub use masks::{IGNORED, Mask, MaskFolder, MaskedPictures, mask_colour};
pub use mnist::mnist;
pub use normalize::{IMAGENET_MEAN, IMAGENET_STD, Normalize, to_unit};
pub use random::{Draw, Random};
pub use registry::{DATASETS, DatasetInfo, find_dataset};
pub use series::{SeriesWindows, StreamBatches, shifted};
pub use shapes::{shapes, write_shapes};
pub use split::{random_split, split_by_list, stratified_split};
pub use stats::{FolderStats, Spread, contact_sheet, folder_stats};
pub use table::{MissingCells, Table};
pub use table_stats::{ColumnStats, NumberStats, TableStats, describe as describe_texts};
