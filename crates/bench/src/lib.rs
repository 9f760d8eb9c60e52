//! Workloads that are timed, written from the public API as a user would.
//!
//! [`WORKLOADS`] lists them; [`measure()`] times one. `gradus bench` shows a table and compares it with an earlier one
//! ([`Baseline`]), the program `gradus-bench` prints one JSON line a reading.

mod baseline;
mod core_jobs;
mod core_nets;
mod job;
mod machine;
mod measure;
mod more;
mod prelude;
mod process;
mod registry;
mod scaling;

pub use baseline::{Baseline, Change};
pub use job::Job;
pub use machine::{Machine, bandwidth, fma_peak};
pub use measure::{Effort, Phase, Reading, measure};
pub use process::peak_rss_mb;
pub use registry::{Group, WORKLOADS, Workload, select};
pub use scaling::{SCALING, Series};
