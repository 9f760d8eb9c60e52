//! Data sets, readers and batching.
//!
//! Files become tensors ([`read_idx`], [`mnist()`], [`digits()`], [`read_image`]), tensors become a [`Dataset`],
//! a data set is split ([`stratified_split`], [`random_split`], [`Subset`]), scaled ([`Normalize`]) and handed
//! out in batches ([`Dataset::batches`], [`DataLoader`]). [`DATASETS`] lists what can be named in a recipe.
//!
//! ```
//! use gradus_data::{DataLoader, Dataset, TensorDataset, digits, stratified_split};
//! let (images, labels) = digits();
//! let (train, test) = stratified_split(&labels.to_vec::<i64>(), 0.2, 0);
//! let all = TensorDataset::new(images, labels);
//! let train = DataLoader::new(all.subset(&train)).batch_size(32).shuffle(true).seed(7);
//! for (images, labels) in train.epoch(0) {
//!     assert_eq!(images.size(0), labels.size(0));
//! }
//! assert_eq!(train.dataset().len() + test.len(), 1797);
//! ```

mod dataset;
mod digits;
mod error;
mod idx;
mod image_file;
mod loader;
mod mnist;
mod normalize;
mod registry;
mod split;

pub use dataset::{Batches, Dataset, Subset, TensorDataset};
pub use digits::digits;
pub use error::DataError;
pub use idx::read_idx;
pub use image_file::{has_light_background, read_image, read_image_resized};
pub use loader::DataLoader;
pub use mnist::mnist;
pub use normalize::{IMAGENET_MEAN, IMAGENET_STD, Normalize, to_unit};
pub use registry::{DATASETS, DatasetInfo, find_dataset};
pub use split::{random_split, stratified_split};
