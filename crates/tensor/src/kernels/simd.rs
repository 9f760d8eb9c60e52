//! Vector instruction sets, chosen when the program runs.
//!
//! [`run`] executes a closure inside a function compiled for the widest instruction set of the
//! machine, so that plain loops in it are vectorised with wide registers.

use std::sync::atomic::{AtomicU8, Ordering};

/// Instruction sets that kernels distinguish, weakest first within an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// What the compiler may assume on every machine of the architecture.
    Portable = 1,
    /// 128-bit vectors of 64-bit ARM.
    Neon = 2,
    /// x86-64 with AVX2 and FMA (v3).
    Avx2 = 3,
    /// x86-64 with AVX-512 F, BW, CD, DQ and VL (v4).
    Avx512 = 4,
}

static LEVEL: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use: the best of this machine, or a lower one named by the environment
/// variable `GRADUS_SIMD` (`portable`, `avx2`, `avx512`), read at first use.
#[inline]
pub fn level() -> Level {
    match LEVEL.load(Ordering::Relaxed) {
        1 => Level::Portable,
        2 => Level::Neon,
        3 => Level::Avx2,
        4 => Level::Avx512,
        _ => first_level(),
    }
}

#[cold]
fn first_level() -> Level {
    let best = detect();
    let asked = match std::env::var("GRADUS_SIMD").as_deref() {
        Ok("portable") => Level::Portable,
        Ok("avx2") => Level::Avx2,
        _ => best,
    };
    let level = asked.min(best);
    LEVEL.store(level as u8, Ordering::Relaxed);
    level
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("bmi2");
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (v3, v4) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Level {
    Level::Neon
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Level {
    Level::Portable
}

/// The name of the instruction set in use: `portable`, `neon`, `avx2` or `avx512`.
pub fn instruction_set() -> &'static str {
    match level() {
        Level::Portable => "portable",
        Level::Neon => "neon",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
    }
}

/// Runs `f` compiled for the instruction set in use.
///
/// The closure must be inlined to profit: keep it small, call only `#[inline(always)]` functions in
/// its hot loops, and write those loops over slices of equal length.
#[inline(always)]
pub fn run<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: `level` found these instruction sets on this machine.
        Level::Avx512 => return unsafe { run_avx512(f) },
        // SAFETY: as above.
        Level::Avx2 => return unsafe { run_avx2(f) },
        _ => {}
    }
    // On 64-bit ARM the vector unit is part of what the compiler always assumes.
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,popcnt,lzcnt,f16c")]
fn run_avx512<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,popcnt,lzcnt,f16c")]
fn run_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_returns_what_the_closure_does() {
        let a: Vec<f32> = (0..1003).map(|i| i as f32).collect();
        let mut b = vec![0.0f32; a.len()];
        let n = run(|| {
            for (y, &x) in b.iter_mut().zip(&a) {
                *y = 2.0 * x + 1.0;
            }
            b.len()
        });
        assert_eq!(n, 1003);
        assert!(b.iter().enumerate().all(|(i, &y)| y == 2.0 * i as f32 + 1.0));
    }

    #[test]
    fn the_level_is_at_most_the_machines() {
        assert!(level() <= detect());
    }
}
