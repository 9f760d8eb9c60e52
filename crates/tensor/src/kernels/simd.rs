//! placeholder until merge
#[inline(always)] pub fn run<R>(f: impl FnOnce() -> R) -> R { f() }
