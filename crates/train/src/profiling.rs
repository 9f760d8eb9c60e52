//! The profile of a few steps of a run.

use crate::callback::{Callback, Flow, Progress};
use crate::error::{Result, TrainError};
use crate::run_dir::RunDir;
use gradus_nn::probe::layer_times;
use gradus_tensor::profiler::{Profiler, Span, record_function};
use gradus_tensor::threads;

/// Steps before the first that is profiled: the first steps fetch memory from the system.
pub const WARM_UP: usize = 2;
/// The file with the tables of a profile.
pub const TABLES: &str = "profile.txt";
/// The file with the trace of a profile, in Chrome's format.
pub const TRACE: &str = "profile.json";
/// How many operations are printed; the file has them all.
const PRINTED: usize = 25;

/// Records some steps after two to warm up, prints where their time went, and writes `profile.txt` and `profile.json`.
///
/// Each step is a span `step` from one optimiser step to the next, with loading the batch in it. Validation between
/// epochs is left out. It comes last in the list of callbacks, so that the others are not part of the first step of
/// an epoch.
pub struct Profiling<'a> {
    dir: &'a RunDir,
    say: Box<dyn Fn(&str) + 'a>,
    steps: usize,
    done: usize,
    profiler: Option<Profiler>,
    step: Option<Span>,
}

impl<'a> Profiling<'a> {
    /// Profiles `steps` steps of the run kept in `dir`, and prints by `say`.
    pub fn new(dir: &'a RunDir, steps: usize, say: impl Fn(&str) + 'a) -> Profiling<'a> {
        Profiling { dir, say: Box::new(say), steps, done: 0, profiler: None, step: None }
    }

    /// Begins the next step, and the profile if it is the first.
    fn begin(&mut self, at: &Progress) {
        if at.step < WARM_UP || self.done == self.steps {
            return;
        }
        self.profiler.get_or_insert_with(Profiler::start).resume();
        self.step = Some(record_function("step"));
    }

    /// Ends the profile, if one is running.
    fn finish(&mut self, at: &Progress) -> Result<()> {
        let Some(profiler) = self.profiler.take() else { return Ok(()) };
        let profile = profiler.stop();
        self.step = None;
        let last = WARM_UP + self.done;
        let title = format!(
            "profile of steps {} to {last}: {:.3} ms a step, {} threads",
            WARM_UP + 1,
            profile.recorded().as_secs_f64() * 1e3 / self.done.max(1) as f64,
            threads(),
        );
        let (operations, layers) = (profile.key_averages(), layer_times(&profile, at.model));
        self.dir.write(TABLES, format!("{title}\n\n{operations}\n{layers}"))?;
        let trace = self.dir.file(TRACE);
        profile.export_chrome_trace(&trace).map_err(TrainError::io("write", &trace))?;
        (self.say)(&format!(
            "{title}\n\n{}\n{layers}\nsaved in {} and {} (open it in https://ui.perfetto.dev)",
            operations.table(PRINTED),
            self.dir.file(TABLES).display(),
            trace.display(),
        ));
        Ok(())
    }
}

impl Callback for Profiling<'_> {
    fn on_step(&mut self, at: &Progress) -> Result<Flow> {
        if self.step.take().is_some() {
            self.done += 1;
        }
        if self.done == self.steps {
            self.finish(at)?;
        } else if !at.step.is_multiple_of(at.steps_per_epoch) {
            self.begin(at);
        } else if let Some(profiler) = &self.profiler {
            profiler.pause();
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, at: &Progress) -> Result<Flow> {
        self.begin(at);
        Ok(Flow::Continue)
    }

    fn on_end(&mut self, at: &Progress) -> Result<()> {
        if self.done == 0 {
            (self.say)(&format!("nothing was profiled: the run ended before the end of step {}", WARM_UP + 1));
            return Ok(());
        }
        self.finish(at)
    }
}
