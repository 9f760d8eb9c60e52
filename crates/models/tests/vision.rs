//! The vision models: sizes, agreement with torchvision, checkpoints, and what they say of wrong input.

#[path = "vision/checkpoints.rs"]
mod checkpoints;
#[path = "vision/errors.rs"]
mod errors;
#[path = "vision/golden.rs"]
mod golden;
#[path = "vision/properties.rs"]
mod properties;
#[path = "vision/pyramids.rs"]
mod pyramids;
#[path = "vision/sizes.rs"]
mod sizes;
// Its rates are for tests/training.rs.
#[path = "vision/small.rs"]
#[allow(dead_code)]
mod small;
