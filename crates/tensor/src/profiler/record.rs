//! Recording: a stack of open spans for each thread, and a list of those that were closed.

use super::Profile;
use crate::storage::Storage;
use crate::{Shape, Tensor, fail, memory, scope};
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whether spans are being recorded: all that is looked at while they are not.
static ON: AtomicBool = AtomicBool::new(false);
/// The number of the present profile, by which a thread notices that it is a new one.
static SESSION: AtomicU64 = AtomicU64::new(0);
static RUNNING: Mutex<Option<Session>> = Mutex::new(None);

/// The profile that is running.
struct Session {
    start: Instant,
    threads: Vec<Events>,
}

type Events = Arc<Mutex<Vec<Event>>>;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A computation on tensors.
    Operation,
    /// The forward pass of a layer, named by its path.
    Layer,
    /// The backward rule of a recorded operation, named as that operation.
    Backward,
    /// A part of the program that was given a name.
    Function,
}

/// The part of a training step that a span belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pass {
    /// Whatever is neither of the others.
    #[default]
    Forward,
    /// Computing gradients.
    Backward,
    /// The optimiser's step.
    Update,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pass::Forward => "forward",
            Pass::Backward => "backward",
            Pass::Update => "update",
        })
    }
}

/// A name that costs nothing to copy.
#[derive(Clone)]
enum Name {
    Fixed(&'static str),
    Shared(Arc<str>),
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Name::Fixed(s) => s,
            Name::Shared(s) => s,
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A span that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    name: Name,
    /// What it stands for.
    pub kind: Kind,
    /// The part of a training step it belongs to.
    pub pass: Pass,
    /// The thread it ran on, numbered from 0 in the order in which they were first seen.
    pub thread: usize,
    /// How many spans were open around it.
    pub depth: usize,
    /// Its beginning, counted from the start of the profile.
    pub start: Duration,
    /// Its length.
    pub duration: Duration,
    /// Its length without the spans inside it.
    pub self_duration: Duration,
    /// Bytes that tensors took from the allocator during it.
    pub bytes: usize,
    /// Those of them that were not taken in a span inside it.
    pub self_bytes: usize,
    /// Bytes held by all live tensors at its end.
    pub allocated: usize,
    /// The shape of an operation's result.
    pub shape: Option<Shape>,
    layer: Option<Arc<str>>,
    /// Its place among those of its thread by their beginnings.
    place: u64,
    /// Whether a span of the same name, kind and pass was open around it (for backward rules: any backward rule).
    pub(super) repeated: bool,
}

impl Event {
    /// The name of the operation or function, or the path of the layer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of the layer it ran in (for a backward rule: in which the operation ran), if it was in one.
    pub fn layer(&self) -> Option<&str> {
        self.layer.as_deref()
    }

    /// Its end, counted from the start of the profile.
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }
}

/// How many results of one operation are remembered until they are recorded in the graph.
const RESULTS: usize = 8;

/// A span that is open.
struct Frame {
    id: u64,
    name: Name,
    kind: Kind,
    pass: Pass,
    layer: Option<Arc<str>>,
    shape: Option<Shape>,
    repeated: bool,
    start: Instant,
    inside: Duration,
    self_bytes: usize,
    inside_bytes: usize,
    /// Addresses of the storages built directly in it, the oldest overwritten first, and their number.
    results: [usize; RESULTS],
    built: usize,
}

/// What a thread records.
struct Local {
    session: u64,
    start: Instant,
    thread: usize,
    events: Events,
    stack: Vec<Frame>,
    /// Storages that operations built since the last one entered the graph, with the position of the operation.
    recent: Vec<(usize, usize)>,
    last_id: u64,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// While this value lives, the time and the bytes of this thread count for the span it stands for.
#[must_use = "the span ends when this value is dropped"]
#[derive(Debug)]
pub struct Span {
    /// 0 if nothing is being recorded.
    id: u64,
    marker: PhantomData<*const ()>,
}

impl Span {
    /// A span that stands for nothing.
    pub(crate) const OFF: Span = Span { id: 0, marker: PhantomData };
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if self.id != 0 {
            close(self.id);
        }
    }
}

/// Whether a profile is running and not paused.
#[inline(always)]
pub fn is_running() -> bool {
    ON.load(Relaxed)
}

/// Gives the time from here to the end of the result's life a name.
///
/// ```
/// use gradus_tensor::profiler::{profile, record_function};
/// let (_, profile) = profile(|| {
///     let _span = record_function("preprocessing");
/// });
/// assert_eq!(profile.events()[0].name(), "preprocessing");
/// ```
pub fn record_function(name: &str) -> Span {
    if is_running() { open(Name::Shared(name.into()), Kind::Function, None) } else { Span::OFF }
}

/// As [`record_function`], saying to which part of a training step the time belongs.
pub fn record_pass(name: &str, pass: Pass) -> Span {
    if is_running() { open(Name::Shared(name.into()), Kind::Function, Some(pass)) } else { Span::OFF }
}

/// An operation of this name, from here to the end of the result's life.
///
/// Operations that are computed by the library's kernels are recorded without it. It is for what has a loop of its
/// own, and for several computed together.
#[inline]
pub fn span(name: &'static str) -> Span {
    if is_running() { open(Name::Fixed(name), Kind::Operation, None) } else { Span::OFF }
}

/// The kernel of the operation `op`, called where its element type is looked at.
#[doc(hidden)]
#[inline]
pub fn dispatch(op: &str) -> Span {
    if is_running() { open_within(Some(op)) } else { Span::OFF }
}

/// A kernel that moves elements of any type for an operation it does not know.
#[doc(hidden)]
#[inline]
pub fn moving() -> Span {
    if is_running() { open_within(None) } else { Span::OFF }
}

/// A tensor being filled, which is an operation by itself outside any other.
#[inline]
pub(crate) fn fill() -> Span {
    if is_running() && !in_operation(None) { open(Name::Fixed("fill"), Kind::Operation, None) } else { Span::OFF }
}

/// The forward pass of the layer with this path.
#[inline]
pub(crate) fn layer(path: &Arc<str>) -> Span {
    if is_running() && !path.is_empty() { open_layer(path) } else { Span::OFF }
}

/// The backward rule of the operation `op`.
#[inline]
pub(crate) fn vertex(op: &'static str) -> Span {
    if is_running() { open(Name::Fixed(op), Kind::Backward, Some(Pass::Backward)) } else { Span::OFF }
}

/// Counts bytes taken from the allocator.
#[inline]
pub(crate) fn took(bytes: usize) {
    if is_running() {
        with_top(|frame| frame.self_bytes += bytes);
    }
}

/// Remembers a storage as a result of the running operation.
#[inline]
pub(crate) fn built(storage: &Storage) {
    if is_running() {
        with_top(|frame| {
            frame.results[frame.built % RESULTS] = std::ptr::from_ref(storage) as usize;
            frame.built += 1;
        });
    }
}

/// Notes that `out` is the result of `op`, whose kernel has run: gives the span of the kernel that name and shape.
#[inline]
pub(crate) fn note(op: &'static str, out: &Tensor, inputs: &[&Tensor]) {
    if is_running() {
        named(op, out, inputs.iter().any(|t| t.shares_storage(out)));
    }
}

#[cold]
fn named(op: &'static str, out: &Tensor, is_view: bool) {
    let found = with_local(|local| {
        if let Some(top) = local.stack.last_mut()
            && top.kind == Kind::Operation
            && *top.name == *op
        {
            top.shape = Some(out.shape());
            return true;
        }
        let storage = Arc::as_ptr(&out.0.storage) as usize;
        let built = if is_view { None } else { local.recent.iter().rfind(|(s, _)| *s == storage) };
        let Some(&(_, at)) = built else { return false };
        local.recent.clear();
        if let Some(event) = lock(&local.events).get_mut(at) {
            event.name = Name::Fixed(op);
            event.shape = Some(out.shape());
        }
        true
    });
    if found == Some(false) {
        let _instant = open(Name::Fixed(op), Kind::Operation, None);
        with_top(|frame| frame.shape = Some(out.shape()));
    }
}

/// Whether the innermost span is an operation: of this name, if one is given.
fn in_operation(name: Option<&str>) -> bool {
    let same = |f: &Frame| f.kind == Kind::Operation && name.is_none_or(|n| *f.name == *n);
    with_local(|local| local.stack.last().is_some_and(same)).unwrap_or(false)
}

#[cold]
fn open_within(op: Option<&str>) -> Span {
    if in_operation(op) {
        return Span::OFF;
    }
    let name = op.map_or(Name::Fixed("copy"), |op| Name::Shared(op.into()));
    open(name, Kind::Operation, None)
}

#[cold]
fn open_layer(path: &Arc<str>) -> Span {
    // A container enters the scope of its part, and the part enters it again.
    let again = |f: &Frame| f.kind == Kind::Layer && *f.name == **path;
    if with_local(|local| local.stack.last().is_some_and(again)).unwrap_or(false) {
        return Span::OFF;
    }
    open(Name::Shared(path.clone()), Kind::Layer, None)
}

#[cold]
fn open(name: Name, kind: Kind, pass: Option<Pass>) -> Span {
    let layer = scope::current();
    let id = with_local(|local| {
        let pass = pass.unwrap_or(local.stack.last().map_or(Pass::Forward, |f| f.pass));
        let like = |f: &Frame| f.kind == kind && (kind == Kind::Backward || f.pass == pass && *f.name == *name);
        let repeated = local.stack.iter().any(like);
        local.last_id += 1;
        local.stack.push(Frame {
            id: local.last_id,
            name,
            kind,
            pass,
            layer,
            shape: None,
            repeated,
            start: Instant::now(),
            inside: Duration::ZERO,
            self_bytes: 0,
            inside_bytes: 0,
            results: [0; RESULTS],
            built: 0,
        });
        local.last_id
    });
    Span { id: id.unwrap_or(0), marker: PhantomData }
}

#[cold]
fn close(id: u64) {
    let end = Instant::now();
    let _ = LOCAL.try_with(|local| {
        let mut local = local.borrow_mut();
        let Some(local) = local.as_mut() else { return };
        // Not there if a new profile began meanwhile, or if a span around this one was dropped before it.
        let Some(at) = local.stack.iter().rposition(|f| f.id == id) else { return };
        while local.stack.len() > at {
            local.pop(end);
        }
    });
}

impl Local {
    /// Ends the innermost span.
    fn pop(&mut self, end: Instant) {
        let Some(frame) = self.stack.pop() else { return };
        let duration = end - frame.start;
        let bytes = frame.self_bytes + frame.inside_bytes;
        if let Some(parent) = self.stack.last_mut() {
            parent.inside += duration;
            parent.inside_bytes += bytes;
        }
        let mut events = lock(&self.events);
        if frame.kind == Kind::Operation {
            let results = &frame.results[..frame.built.min(RESULTS)];
            if self.recent.len() > 64 {
                self.recent.clear();
            }
            self.recent.extend(results.iter().map(|&storage| (storage, events.len())));
        }
        events.push(Event {
            name: frame.name,
            kind: frame.kind,
            pass: frame.pass,
            thread: self.thread,
            depth: self.stack.len(),
            start: frame.start - self.start,
            duration,
            self_duration: duration.saturating_sub(frame.inside),
            bytes,
            self_bytes: frame.self_bytes,
            allocated: memory::allocated(),
            shape: frame.shape,
            layer: frame.layer,
            place: frame.id,
            repeated: frame.repeated,
        });
    }

    /// Enters this thread into the running profile.
    fn join(last_id: u64) -> Option<Local> {
        let mut running = lock(&RUNNING);
        let session = running.as_mut()?;
        let events = Events::default();
        session.threads.push(events.clone());
        Some(Local {
            session: SESSION.load(Relaxed),
            start: session.start,
            thread: session.threads.len() - 1,
            events,
            stack: Vec::new(),
            recent: Vec::new(),
            last_id,
        })
    }
}

/// Runs `f` on this thread's part of the profile; nothing if there is none (or the thread is ending).
fn with_local<R>(f: impl FnOnce(&mut Local) -> R) -> Option<R> {
    LOCAL
        .try_with(|local| {
            let mut local = local.borrow_mut();
            if local.as_ref().is_none_or(|l| l.session != SESSION.load(Relaxed)) {
                // Spans of an earlier profile that still live must not be taken for new ones.
                let last_id = local.as_ref().map_or(0, |l| l.last_id);
                *local = Some(Local::join(last_id)?);
            }
            local.as_mut().map(f)
        })
        .ok()
        .flatten()
}

/// Runs `f` on the innermost span of this thread, if there is one.
#[cold]
fn with_top(f: impl FnOnce(&mut Frame)) {
    let _ = LOCAL.try_with(|local| local.borrow_mut().as_mut().and_then(|l| l.stack.last_mut()).map(f));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A profile that is running, until [`Profiler::stop`] or the end of its life.
///
/// ```
/// use gradus_tensor::{Tensor, profiler::Profiler};
/// let profiler = Profiler::start();
/// let y = Tensor::ones([3]).exp();
/// profiler.pause();
/// let z = y.exp();
/// profiler.resume();
/// let z = z.log();
/// let names: Vec<String> = profiler.stop().key_averages().iter().map(|s| s.name.clone()).collect();
/// assert!(names.contains(&"log".to_string()) && names.contains(&"exp".to_string()));
/// ```
#[derive(Debug)]
pub struct Profiler(());

impl Profiler {
    /// Begins to record the spans of all threads.
    ///
    /// # Panics
    /// If a profile is running already.
    #[track_caller]
    pub fn start() -> Profiler {
        let mut running = lock(&RUNNING);
        if running.is_some() {
            drop(running);
            fail("profiler", "a profile is running already; stop it before the next is started");
        }
        SESSION.fetch_add(1, Relaxed);
        *running = Some(Session { start: Instant::now(), threads: Vec::new() });
        ON.store(true, Relaxed);
        Profiler(())
    }

    /// Records no new spans for a while. A span that is open goes on, with the pause in it.
    pub fn pause(&self) {
        ON.store(false, Relaxed);
    }

    /// Goes on after [`Profiler::pause`].
    pub fn resume(&self) {
        ON.store(true, Relaxed);
    }

    /// Ends the profile. Spans that are still open are not part of it.
    pub fn stop(self) -> Profile {
        end().expect("the profile runs until this")
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        end();
    }
}

fn end() -> Option<Profile> {
    let mut running = lock(&RUNNING);
    ON.store(false, Relaxed);
    let session = running.take()?;
    let wall = session.start.elapsed();
    let mut events: Vec<Event> = session.threads.iter().flat_map(|t| std::mem::take(&mut *lock(t))).collect();
    events.sort_by_key(|e| (e.thread, e.place));
    Some(Profile { events, wall })
}

/// Runs `f` and records what it does.
///
/// # Panics
/// If a profile is running already.
#[track_caller]
pub fn profile<R>(f: impl FnOnce() -> R) -> (R, Profile) {
    let profiler = Profiler::start();
    let result = f();
    (result, profiler.stop())
}
