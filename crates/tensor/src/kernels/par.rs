//! The one thread pool of the engine.
//!
//! A training step of a small network is a few hundred microseconds made of dozens of kernels, so
//! a kernel must get help from other cores within about a microsecond. `rayon` puts idle threads to
//! sleep at once and pays tens of microseconds to wake them (ARCHITECTURE.md has the measurement).
//! Here an idle worker first spins for [`SPIN`] and only then sleeps; a job is published by one
//! atomic store.
//!
//! The calling thread always takes part and never waits for a worker that has not begun: a worker
//! joins a job by a compare-and-swap on the pool's state, and the caller closes the job when the
//! chunks have run out. A machine that is short of cores, or a forked child without workers, thus
//! only loses speed.
//!
//! **Results do not depend on the number of threads**: callers derive chunk boundaries from the
//! problem's shape alone; threads only decide who runs which chunk.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Elements of cheap elementwise work below which the pool is not entered: about four
/// microseconds of work on one core, a few times the cost of handing out a job.
pub const GRAIN: usize = 16 * 1024;

/// How long an idle worker spins before it sleeps.
const SPIN: Duration = Duration::from_micros(60);

/// Bit of [`Pool::state`] that says a job accepts workers.
const OPEN: u64 = 1;
/// One worker inside the job, counted in bits 1..16 of [`Pool::state`].
const WORKER: u64 = 2;
/// One generation, counted in the bits from 16 upwards.
const GENERATION: u64 = 1 << 16;
/// Most workers that the count in [`Pool::state`] can hold.
const MAX_THREADS: usize = 1 << 14;
/// Most parts into which the chunks of a job are divided.
const PARTS: usize = 64;

type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// A job as workers see it. The pointer is valid while the job is open or a worker is inside.
#[derive(Clone, Copy)]
struct Job {
    work: Option<*const Work<'static>>,
    /// Parts in use.
    parts: usize,
}

struct Crew {
    handles: Vec<JoinHandle<()>>,
    /// Process that started the workers: a forked child must not join them.
    process: u32,
}

#[repr(align(128))]
struct Line<T>(T);

/// The chunks of a part that nobody has begun: the first in the lower half, the end in the upper.
struct Part(Line<AtomicU64>);

impl Part {
    fn set(&self, chunks: Range<usize>) {
        self.0.0.store(((chunks.end as u64) << 32) | chunks.start as u64, Ordering::Relaxed);
    }

    /// Takes the first chunk or the last one.
    fn take(&self, first: bool) -> Option<usize> {
        let split = |chunks: u64| (chunks as u32, (chunks >> 32) as u32);
        let less = |chunks: u64| {
            let (start, end) = split(chunks);
            (start < end).then(|| if first { chunks + 1 } else { chunks - (1 << 32) })
        };
        let (start, end) = split(self.0.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).ok()?);
        Some(if first { start } else { end - 1 } as usize)
    }
}

struct Pool {
    /// Generation, number of workers inside the job, and whether the job is open.
    state: Line<AtomicU64>,
    /// Chunks to be begun, one part a thread.
    parts: [Part; PARTS],
    /// Held by the thread whose job occupies the pool.
    busy: Line<AtomicBool>,
    job: UnsafeCell<Job>,
    sleepers: AtomicUsize,
    /// Threads asked for, the caller included; 0 before first use.
    threads: AtomicUsize,
    /// Workers alive, changed only by the holder of `busy`.
    live: AtomicUsize,
    /// Workers whose number is not below this leave.
    keep: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    crew: Mutex<Crew>,
}

// SAFETY: `job` is written only by the holder of `busy` while no worker is inside the job, and read
// only by workers that joined the job through `state`; every other field is Sync.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool {
    state: Line(AtomicU64::new(0)),
    parts: [const { Part(Line(AtomicU64::new(0))) }; PARTS],
    busy: Line(AtomicBool::new(false)),
    job: UnsafeCell::new(Job { work: None, parts: 0 }),
    sleepers: AtomicUsize::new(0),
    threads: AtomicUsize::new(0),
    live: AtomicUsize::new(0),
    keep: AtomicUsize::new(0),
    sleep: Mutex::new(()),
    wake: Condvar::new(),
    panic: Mutex::new(None),
    crew: Mutex::new(Crew { handles: Vec::new(), process: 0 }),
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Number of threads that kernels use, the calling thread included.
///
/// At first use it is read from the environment variable `GRADUS_THREADS`; if that is absent or no
/// positive number, it is the parallelism that the operating system reports.
pub fn threads() -> usize {
    match POOL.threads.load(Ordering::Relaxed) {
        0 => first_threads(),
        n => n,
    }
}

#[cold]
fn first_threads() -> usize {
    let asked = std::env::var("GRADUS_THREADS").ok().and_then(|v| v.trim().parse::<usize>().ok());
    let n = match asked {
        Some(n) if n > 0 => n.min(MAX_THREADS),
        _ => std::thread::available_parallelism().map_or(1, |n| n.get().min(MAX_THREADS)),
    };
    // Another thread may have set the number meanwhile: the first one stays.
    match POOL.threads.compare_exchange(0, n, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

/// Sets the number of threads that kernels use, the calling thread included.
///
/// May be called at any time, also from inside a kernel: a job that is running keeps its threads,
/// the next one has the new number. Results do not depend on it.
///
/// # Panics
/// If `n` is 0.
pub fn set_threads(n: usize) {
    assert!(n > 0, "set_threads: at least one thread is needed");
    POOL.threads.store(n.min(MAX_THREADS), Ordering::Relaxed);
}

/// Splits `0..len` into `parts` ranges whose lengths differ by at most one.
pub(crate) fn part(len: usize, parts: usize, i: usize) -> Range<usize> {
    let (base, more) = (len / parts, len % parts);
    let start = i * base + i.min(more);
    start..start + base + usize::from(i < more)
}

/// Runs `f(0)`, `f(1)`, ..., `f(chunks - 1)` on the pool, and returns when all have ended.
///
/// Each thread has a run of neighbouring chunks, the same for each job of as many chunks, so that what a job leaves in
/// a core's cache is found there by the next; a thread that has no more of its own takes the last of another's.
/// Called from within a chunk, or while another thread's job occupies the pool, it runs everything on the caller.
///
/// # Panics
/// With the payload of a chunk that panicked; chunks not yet begun are then skipped. If there are more than 2^32 - 1.
pub fn for_each(chunks: usize, f: impl Fn(usize) + Sync) {
    assert!(chunks <= u32::MAX as usize, "for_each: {chunks} chunks");
    if chunks < 2 || threads() < 2 || POOL.busy.0.swap(true, Ordering::Acquire) {
        for i in 0..chunks {
            f(i);
        }
        return;
    }
    let result = POOL.run(chunks, &f);
    POOL.busy.0.store(false, Ordering::Release);
    if let Err(payload) = result {
        resume_unwind(payload);
    }
}

/// Runs `f(i, chunk)` on the pool for the consecutive pieces of `data` of `chunk_len` elements;
/// the last one may be shorter.
///
/// # Panics
/// If `chunk_len` is 0 while `data` has elements, or if a chunk panics.
pub fn for_each_chunk_mut<T: Send>(data: &mut [T], chunk_len: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let len = data.len();
    if len == 0 {
        return;
    }
    assert!(chunk_len > 0, "for_each_chunk_mut: chunks of no elements");
    let base = SharedMut::new(data);
    for_each(len.div_ceil(chunk_len), |i| {
        let start = i * chunk_len;
        // SAFETY: chunks of different `i` do not overlap, each `i` runs once, and `data` stays
        // mutably borrowed until `for_each` returns.
        f(i, unsafe { base.slice(start, chunk_len.min(len - start)) });
    });
}

/// A mutable slice that several chunks write to at places that do not overlap.
#[derive(Clone, Copy)]
pub struct SharedMut<T> {
    data: *mut T,
    len: usize,
}

// SAFETY: it is only a pointer; the callers of `slice` and `ptr` answer for what they do with it.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// Wraps `data`, which must outlive every use.
    pub fn new(data: &mut [T]) -> Self {
        SharedMut { data: data.as_mut_ptr(), len: data.len() }
    }

    /// Pointer to the first element.
    pub fn ptr(&self) -> *mut T {
        self.data
    }

    /// The elements `start..start + len`.
    ///
    /// # Safety
    /// The wrapped slice is still mutably borrowed, and no two live slices overlap.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "SharedMut::slice: {start} + {len} > {}", self.len);
        // SAFETY: in bounds by the check; exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(start), len) }
    }
}

impl Pool {
    /// Publishes a job, takes part in it and closes it. The caller holds `busy`.
    fn run(&'static self, chunks: usize, work: &Work<'_>) -> Result<(), Box<dyn Any + Send>> {
        if self.live.load(Ordering::Relaxed) + 1 != threads() {
            self.hire(threads() - 1);
        }
        // SAFETY: only the lifetime is erased; the job is closed and empty before `work` ends.
        let work = unsafe { std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) };
        let parts = threads().min(chunks).min(PARTS);
        // SAFETY: the state is closed and no worker is inside, so nobody reads `job`.
        unsafe { *self.job.get() = Job { work: Some(work), parts } };
        for (i, slot) in self.parts[..parts].iter().enumerate() {
            slot.set(part(chunks, parts, i));
        }
        // Nobody else changes the state while it is closed and empty.
        let state = self.state.0.load(Ordering::Relaxed);
        self.state.0.store(state.wrapping_add(GENERATION) | OPEN, Ordering::SeqCst);
        let sleepers = self.sleepers.load(Ordering::SeqCst);
        if sleepers > 0 {
            let guard = lock(&self.sleep);
            drop(guard);
            if chunks > sleepers {
                self.wake.notify_all();
            } else {
                (1..chunks).for_each(|_| self.wake.notify_one());
            }
        }
        let own = self.take_part(0, parts, work);
        self.state.0.fetch_and(!OPEN, Ordering::Relaxed);
        let mut turns = 0u32;
        while self.state.0.load(Ordering::Acquire) & (GENERATION - WORKER) != 0 {
            turns += 1;
            // A worker may have lost its core: let it have ours after a while.
            if turns.is_multiple_of(4096) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
        let theirs = lock(&self.panic).take();
        own?;
        theirs.map_or(Ok(()), Err)
    }

    /// Runs chunks until none is left, first those of the part `own`. A panic skips the rest.
    fn take_part(&self, own: usize, parts: usize, work: &Work<'_>) -> Result<(), Box<dyn Any + Send>> {
        let parts = &self.parts[..parts];
        catch_unwind(AssertUnwindSafe(|| {
            for i in 0..parts.len() {
                while let Some(chunk) = parts[(own + i) % parts.len()].take(i == 0) {
                    work(chunk);
                }
            }
        }))
        .inspect_err(|_| parts.iter().for_each(|p| p.set(0..0)))
    }

    /// Makes the number of workers `wanted`. The caller holds `busy`, so no job is running.
    #[cold]
    fn hire(&'static self, wanted: usize) {
        let mut crew = lock(&self.crew);
        if crew.process != std::process::id() {
            // After a fork the handles name threads of the parent.
            crew.handles.drain(..).for_each(std::mem::forget);
            crew.process = std::process::id();
            self.sleepers.store(0, Ordering::Relaxed);
        }
        self.keep.store(wanted, Ordering::SeqCst);
        if crew.handles.len() > wanted {
            drop(lock(&self.sleep));
            self.wake.notify_all();
            for handle in crew.handles.drain(wanted..) {
                // A worker catches every panic of its job, so there is nothing to report.
                let _ = handle.join();
            }
        }
        while crew.handles.len() < wanted {
            let number = crew.handles.len();
            let spawned =
                std::thread::Builder::new().name(format!("gradus-{number}")).spawn(move || self.worker(number));
            match spawned {
                Ok(handle) => crew.handles.push(handle),
                Err(_) => {
                    // The system has no more threads: make do with these.
                    self.threads.store(number + 1, Ordering::Relaxed);
                    self.keep.store(number, Ordering::SeqCst);
                    break;
                }
            }
        }
        self.live.store(crew.handles.len(), Ordering::Relaxed);
    }

    fn worker(&self, number: usize) {
        let mut last = 0;
        while let Some(state) = self.await_job(number, last) {
            // The generation is part of the word, so success means that this job is still open.
            let joined = state + WORKER;
            if self.state.0.compare_exchange(state, joined, Ordering::Acquire, Ordering::Relaxed).is_err() {
                continue;
            }
            last = state / GENERATION;
            // SAFETY: the job was open when this worker joined, so the caller waits for it to leave.
            let job = unsafe { *self.job.get() };
            if let Some(work) = job.work {
                // SAFETY: as above, the closure lives until this worker has left.
                if let Err(payload) = self.take_part(number + 1, job.parts, unsafe { &*work }) {
                    lock(&self.panic).get_or_insert(payload);
                }
            }
            self.state.0.fetch_sub(WORKER, Ordering::Release);
        }
    }

    /// Waits for an open job of another generation than `last`; `None` tells the worker to leave.
    fn await_job(&self, number: usize, last: u64) -> Option<u64> {
        let ready = |order| {
            if number >= self.keep.load(order) {
                return Some(None);
            }
            let state = self.state.0.load(order);
            (state & OPEN != 0 && state / GENERATION != last).then_some(Some(state))
        };
        let start = Instant::now();
        loop {
            for _ in 0..16 {
                if let Some(answer) = ready(Ordering::Acquire) {
                    return answer;
                }
                std::hint::spin_loop();
            }
            if start.elapsed() > SPIN {
                break;
            }
        }
        let mut guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let answer = loop {
            // Sequentially consistent with the store in `run`: either we see the job, or the
            // caller sees a sleeper and wakes it.
            if let Some(answer) = ready(Ordering::SeqCst) {
                break answer;
            }
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_once() {
        for chunks in [0, 1, 2, 3, 64, 1000] {
            let seen: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
            for_each(chunks, |i| {
                seen[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(seen.iter().all(|s| s.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn nested_and_concurrent_calls_finish() {
        let total = AtomicUsize::new(0);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    for _ in 0..200 {
                        for_each(5, |_| {
                            for_each(3, |_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(total.load(Ordering::Relaxed), 4 * 200 * 15);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        for bad in 0..20 {
            let caught = catch_unwind(|| for_each(20, |i| assert!(i != bad, "chunk {bad}")));
            let payload = caught.expect_err("the panic was lost");
            let text = payload.downcast_ref::<String>().expect("a formatted message");
            assert!(text.contains(&format!("chunk {bad}")), "{text}");
        }
        let count = AtomicUsize::new(0);
        for_each(50, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.load(Ordering::Relaxed), 50);
    }

    #[test]
    fn the_number_of_threads_changes_at_any_time() {
        for n in [1, 4, 2, 3, 1, 2] {
            set_threads(n);
            assert_eq!(threads(), n);
            let mut data = vec![0usize; 1001];
            for_each_chunk_mut(&mut data, 10, |i, chunk| {
                set_threads(n);
                chunk.iter_mut().for_each(|v| *v = i);
            });
            assert!(data.iter().enumerate().all(|(j, &v)| v == j / 10));
        }
    }

    #[test]
    fn jobs_after_a_pause_find_sleeping_workers() {
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(1));
            let count = AtomicUsize::new(0);
            for_each(8, |_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.load(Ordering::Relaxed), 8);
        }
    }
}
