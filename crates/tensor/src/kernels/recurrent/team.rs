//! A few threads that go through the steps of a run together.
//!
//! A step is a few dozen microseconds, so the threads stay in one job for the whole run and meet at a counter. Each
//! begins every step with the same slices, whose weights then stay in its own cache, and helps with the others.

use crate::kernels::par;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Looks at a counter before the processor is offered to other threads.
const PATIENCE: u32 = 2048;

/// Tells the others that a thread has panicked.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

/// Runs `f(step, slice)` for all slices of step 0, then for all of step 1, ...; the slices of a step in any order
/// and on any thread.
pub(super) fn each_step(steps: usize, slices: usize, f: impl Fn(usize, usize) + Sync) {
    let crew = slices.min(par::threads());
    if crew < 2 {
        (0..steps).for_each(|step| (0..slices).for_each(|slice| f(step, slice)));
        return;
    }
    // How often each slice was begun, and how many slices of all steps have ended. A slice is begun only by a thread
    // that runs it at once, so nobody waits for a thread that has not come.
    let begun: Vec<AtomicUsize> = (0..slices).map(|_| AtomicUsize::new(0)).collect();
    let (ended, alarm) = (AtomicUsize::new(0), AtomicBool::new(false));
    par::for_each(crew, |member| {
        let _guard = Alarm(&alarm);
        let own = super::part(slices, crew, member);
        for step in ended.load(Ordering::Acquire) / slices..steps {
            let mut count = 0;
            // Its own from the first on, those of others from their last on.
            let others = (0..slices - own.len()).map(|k| (own.start + slices - 1 - k) % slices);
            for slice in own.clone().chain(others) {
                let times = &begun[slice];
                if times.load(Ordering::Relaxed) == step
                    && times.compare_exchange(step, step + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok()
                {
                    f(step, slice);
                    count += 1;
                }
            }
            ended.fetch_add(count, Ordering::AcqRel);
            let mut looks = 0u32;
            while ended.load(Ordering::Acquire) < (step + 1) * slices {
                if alarm.load(Ordering::Acquire) {
                    return;
                }
                looks += 1;
                if looks.is_multiple_of(PATIENCE) { std::thread::yield_now() } else { std::hint::spin_loop() }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn steps_follow_each_other_and_every_slice_runs_once() {
        for (steps, slices) in [(0, 3), (1, 1), (50, 1), (200, 2), (200, 7), (3, 64)] {
            let seen: Vec<AtomicUsize> = (0..steps).map(|_| AtomicUsize::new(0)).collect();
            each_step(steps, slices, |step, slice| {
                assert!(slice < slices);
                assert!(step == 0 || seen[step - 1].load(Ordering::Acquire) == slices);
                seen[step].fetch_add(1, Ordering::AcqRel);
            });
            assert!(seen.iter().all(|n| n.load(Ordering::Relaxed) == slices));
        }
    }

    #[test]
    fn a_panic_ends_the_run() {
        let run = || each_step(100, 8, |step, slice| assert!((step, slice) != (40, 5), "here"));
        for _ in 0..20 {
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        }
    }
}
