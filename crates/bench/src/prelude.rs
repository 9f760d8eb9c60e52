//! What a user has from `gradus::prelude`, from the crates beneath it: the command line, which the facade
//! depends on, runs these workloads too.

pub(crate) use gradus_nn::layers::*;
pub(crate) use gradus_nn::losses::*;
pub(crate) use gradus_nn::optim::*;
pub(crate) use gradus_nn::{Forward, Mode, Module, Param, init, sequential};
pub(crate) use gradus_tensor::{Tensor, no_grad};
