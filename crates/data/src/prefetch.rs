//! Numbered pieces of work made ahead of time by threads, and handed out in order.

use std::any::Any;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

/// Threads that make pieces, never more than `ahead` beyond what was taken.
pub(crate) struct Prefetch<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Signalled when a piece is ready.
    ready: Condvar,
    /// Signalled when a piece may be begun, or none more.
    room: Condvar,
}

struct State<T> {
    /// The pieces that nobody has begun.
    left: Range<usize>,
    /// The first piece that must not be begun yet.
    limit: usize,
    made: BTreeMap<usize, Result<T, Box<dyn Any + Send>>>,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Pieces are made outside the lock, so it cannot be poisoned by one that panics.
        self.state.lock().expect("no thread panics while it holds the lock")
    }
}

impl<T: Send + 'static> Prefetch<T> {
    /// Begins to make the pieces of this range.
    pub(crate) fn start(
        pieces: Range<usize>,
        workers: usize,
        ahead: usize,
        make: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> Prefetch<T> {
        let state = State { limit: pieces.start + ahead, left: pieces, made: BTreeMap::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), ready: Condvar::new(), room: Condvar::new() });
        let make = Arc::new(make);
        let threads = (0..workers).map(|_| {
            let (shared, make) = (shared.clone(), make.clone());
            thread::spawn(move || work(&shared, &*make))
        });
        Prefetch { threads: threads.collect(), shared }
    }

    /// Waits for piece `at`; a panic of the worker that made it goes on here.
    ///
    /// Pieces are taken in order, each once.
    pub(crate) fn take(&mut self, at: usize) -> T {
        let mut state = self.shared.lock();
        let piece = loop {
            match state.made.remove(&at) {
                Some(piece) => break piece,
                None => state = self.shared.ready.wait(state).expect("no thread panics while it holds the lock"),
            }
        };
        state.limit += 1;
        drop(state);
        self.shared.room.notify_one();
        piece.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

fn work<T>(shared: &Shared<T>, make: &(impl Fn(usize) -> T + ?Sized)) {
    loop {
        let mut state = shared.lock();
        let at = loop {
            match state.left.clone().next() {
                None => return,
                Some(at) if at < state.limit => break at,
                Some(_) => state = shared.room.wait(state).expect("no thread panics while it holds the lock"),
            }
        };
        state.left.start += 1;
        drop(state);
        let piece = catch_unwind(AssertUnwindSafe(|| make(at)));
        shared.lock().made.insert(at, piece);
        shared.ready.notify_one();
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().left = 0..0;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What `f` makes of each item, in their order, by several threads.
pub(crate) fn in_parallel<I: Sync, T: Send>(items: &[I], workers: usize, f: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut made = Vec::new();
        while let (i, Some(item)) = claim(&next, items) {
            made.push((i, f(item)));
        }
        made
    };
    let mut made: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.max(1)).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    made.sort_by_key(|(i, _)| *i);
    made.into_iter().map(|(_, t)| t).collect()
}

/// The next item that nobody has begun.
fn claim<'a, I>(next: &AtomicUsize, items: &'a [I]) -> (usize, Option<&'a I>) {
    let i = next.fetch_add(1, Relaxed);
    (i, items.get(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::Duration;

    #[test]
    fn no_more_is_made_than_was_asked_for() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let mut pieces = Prefetch::start(10..100, 3, 4, move |i| {
            count.fetch_add(1, SeqCst);
            i * i
        });
        for taken in 0..20 {
            thread::sleep(Duration::from_millis(1));
            let now = made.load(SeqCst);
            assert!(now <= taken + 4, "{now} made after {taken}");
            assert_eq!(pieces.take(10 + taken), (10 + taken).pow(2));
        }
        drop(pieces);
        assert!(made.load(SeqCst) <= 24, "nothing is begun after the end");
    }

    #[test]
    #[should_panic(expected = "piece 3 is bad")]
    fn a_panic_goes_on_where_the_piece_is_taken() {
        let mut pieces = Prefetch::start(0..5, 2, 4, |i| assert!(i != 3, "piece {i} is bad"));
        (0..5).for_each(|i| pieces.take(i));
    }
}
