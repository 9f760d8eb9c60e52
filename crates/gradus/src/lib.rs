//! Deep learning in Rust, from tensor to endpoint.
//!
//! One import brings what a training program needs:
//!
//! ```
//! use gradus::prelude::*;
//! # manual_seed(0);
//! # let train = TensorDataset::new(Tensor::rand([96, 1, 28, 28]), Tensor::randint(0, 10, [96]));
//!
//! let model = sequential![Flatten::new(), Linear::new(784, 128), ReLU, Linear::new(128, 64), ReLU,
//!                         Linear::new(64, 10), LogSoftmax::new(1)];
//! let mut optimizer = Sgd::new(model.parameters(), 0.003);
//! for epoch in 0..5 {
//!     let mut running_loss = 0.0;
//!     for (images, labels) in train.batches(64) {
//!         optimizer.zero_grad();
//!         let loss = nll_loss(&model.forward(&images), &labels);
//!         loss.backward();
//!         optimizer.step();
//!         running_loss += loss.item();
//!     }
//!     println!("Training loss: {}", running_loss / train.num_batches(64) as f32);
//! }
//! ```
//!
//! The crates beneath, in the order data flows: [`tensor`] (values and gradients), [`nn`] (layers, losses,
//! optimisers), [`data`] (sets and batches), [`models`] (networks by name), [`train`] (recipes and runs) and
//! [`cli`] (the `gradus` program).

pub use gradus_cli as cli;
pub use gradus_data as data;
pub use gradus_models as models;
pub use gradus_nn as nn;
pub use gradus_tensor as tensor;
pub use gradus_tensor::profiler;
pub use gradus_train as train;

/// What a training program needs, in one import.
pub mod prelude {
    pub use gradus_data::{DataLoader, Dataset, Subset, TensorDataset};
    pub use gradus_nn::distance::{cosine_similarity, pairwise_distance};
    pub use gradus_nn::layers::*;
    pub use gradus_nn::losses::*;
    pub use gradus_nn::optim::*;
    pub use gradus_nn::serialize::{load_safetensors, load_state_file, save_safetensors};
    pub use gradus_nn::{Buffer, Forward, Mode, Module, Param, Scope, StateDict, init, sequential, utils};
    pub use gradus_tensor::{DType, Device, Shape, Tensor, manual_seed, no_grad, set_threads};
}
