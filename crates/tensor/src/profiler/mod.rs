//! Where the time goes: time and bytes of each operation and each layer, forwards and backwards.
//!
//! [`profile`] runs a function and gives a [`Profile`], which is printed as a table, asked for its numbers, or written
//! as a trace that Perfetto (<https://ui.perfetto.dev>) and `chrome://tracing` show:
//!
//! ```
//! use gradus_tensor::{Tensor, profiler};
//! let w = Tensor::ones([64, 32]).requires_grad_(true);
//! let (_, profile) = profiler::profile(|| {
//!     let _step = profiler::record_function("step");
//!     Tensor::ones([8, 64]).matmul(&w).relu().sum().backward();
//! });
//! println!("{}", profile.key_averages());
//! let averages = profile.key_averages();
//! let matmul = averages.iter().find(|s| s.name == "matmul").unwrap();
//! assert_eq!((matmul.calls, matmul.shape), (1, Some(gradus_tensor::Shape::new(&[8, 32]))));
//! # let dir = std::env::temp_dir().join(format!("gradus-profile-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir).unwrap();
//! profile.export_chrome_trace(dir.join("trace.json")).unwrap();
//! # std::fs::remove_dir_all(&dir).unwrap();
//! ```
//!
//! What is recorded, each a span with a beginning and an end, nested as the calls were:
//! - **operations**: the computing part of each, without copies that make an operand contiguous; such a copy is a span
//!   `copy` of its own. A view computes nothing and has no length.
//! - **layers**, under their path, from the beginning of `forward` to its end.
//! - **backward rules**, one for each recorded operation, under its name and the layer it ran in, with the operations
//!   they are made of inside.
//! - **functions**: `backward`, the optimiser's `step`, loading a batch, and what the program names by
//!   [`record_function`].
//!
//! Every thread that computes is recorded, one profile at a time. While none is running, a span costs a look at one
//! atomic flag. While one is running, it costs about 0.1 microseconds and 200 bytes.

mod chrome;
mod record;
mod report;

pub use record::{Event, Kind, Pass, Profiler, Span, is_running, profile, record_function, record_pass, span};
#[doc(hidden)]
pub use record::{dispatch, moving};
#[doc(hidden)]
pub use report::columns;
pub use report::{KeyAverages, LayerStats, OpStats};

pub(crate) use record::{built, fill, layer, note, took, vertex};

use std::time::Duration;

/// What was recorded between the start and the stop of a [`Profiler`].
#[derive(Clone, Debug)]
pub struct Profile {
    events: Vec<Event>,
    wall: Duration,
}

impl Profile {
    /// Everything that was recorded, by thread and beginning, a span before those inside it.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// From the start of the profile to its end, pauses included.
    pub fn wall(&self) -> Duration {
        self.wall
    }
}
