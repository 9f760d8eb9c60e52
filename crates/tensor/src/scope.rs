//! The path of the layer that is running, for error messages, graphs and anomaly reports.

use crate::profiler::{self, Span};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    static STACK: RefCell<Vec<Arc<str>>> = const { RefCell::new(Vec::new()) };
}

/// While this value lives, operations on this thread belong to the layer it names.
#[must_use = "the scope ends when this value is dropped"]
pub struct ScopeGuard(#[allow(dead_code, reason = "its end is the end of the span")] Span);

/// Enters the layer with the full path `path` (such as `layer3.1.conv2`).
pub fn enter(path: Arc<str>) -> ScopeGuard {
    let span = profiler::layer(&path);
    STACK.with_borrow_mut(|s| s.push(path));
    ScopeGuard(span)
}

/// As [`enter`], for operations that belong to the layer but are not its forward pass.
pub(crate) fn resume(path: Arc<str>) -> ScopeGuard {
    STACK.with_borrow_mut(|s| s.push(path));
    ScopeGuard(Span::OFF)
}

impl Drop for ScopeGuard {
    fn drop(&mut self) {
        STACK.with_borrow_mut(|s| s.pop());
    }
}

/// The path of the innermost layer running on this thread.
pub fn current() -> Option<Arc<str>> {
    STACK.with_borrow(|s| s.iter().rev().find(|p| !p.is_empty()).cloned())
}

/// Panics with the message of a failed operation, naming the layer it ran in.
#[cold]
#[track_caller]
pub fn fail(op: &str, message: impl std::fmt::Display) -> ! {
    match current() {
        Some(path) => panic!("{op} in layer `{path}`: {message}"),
        None => panic!("{op}: {message}"),
    }
}
