//! What the machine could do: multiply-adds a second and bytes a second.

use crate::process;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Instant;

/// Where a measurement was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// What the processor calls itself.
    pub cpu: String,
    /// Processors the system offers.
    pub cores: usize,
    /// Threads that Gradus uses.
    pub threads: usize,
    /// Instruction set that Gradus uses.
    pub simd: String,
}

impl Machine {
    /// This one, as it is used now.
    pub fn here() -> Machine {
        Machine {
            cpu: process::cpu(),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
            threads: gradus_tensor::threads(),
            simd: gradus_tensor::instruction_set().to_string(),
        }
    }

    /// In words.
    pub fn text(&self) -> String {
        format!("{}, {} of {} cores, {}", self.cpu, self.threads, self.cores, self.simd)
    }
}

/// The most billions of f32 operations a second (two for each fused multiply and add) of `threads` threads at once
/// with the instruction set in use: the best of ten short runs. `None` where there is no such kernel.
pub fn fma_peak(threads: usize) -> Option<f64> {
    let kernel = fma_kernel()?;
    let run = |rounds| {
        let start = Instant::now();
        let flop: f64 = std::thread::scope(|s| {
            let workers: Vec<_> = (0..threads).map(|_| s.spawn(move || kernel(rounds))).collect();
            workers.into_iter().map(|w| w.join().unwrap_or(0.0)).sum()
        });
        flop / start.elapsed().as_secs_f64() / 1e9
    };
    run(100_000);
    Some((0..10).map(|_| run(1_000_000)).fold(0.0, f64::max))
}

/// Runs rounds of multiply-adds in registers; the number of operations.
type FmaKernel = fn(u64) -> f64;

#[cfg(target_arch = "x86_64")]
fn fma_kernel() -> Option<FmaKernel> {
    match gradus_tensor::instruction_set() {
        // SAFETY: the instruction set in use is one that this machine was found to have.
        "avx512" => Some(|rounds| unsafe { x86::avx512(rounds) }),
        // SAFETY: as above.
        "avx2" => Some(|rounds| unsafe { x86::avx2(rounds) }),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fma_kernel() -> Option<FmaKernel> {
    None
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    macro_rules! kernel {
        ($name:ident, $features:literal, $lanes:literal, $set:ident, $fma:ident, $add:ident, $first:ident) => {
            /// Twelve independent chains hide the latency of the multiply-add units.
            #[target_feature(enable = $features)]
            pub(super) fn $name(rounds: u64) -> f64 {
                const CHAINS: usize = 12;
                let (a, b) = ($set(black_box(0.999_999)), $set(black_box(1e-6)));
                let mut sums = [$set(1.0); CHAINS];
                for _ in 0..rounds {
                    for s in &mut sums {
                        *s = $fma(*s, a, b);
                    }
                }
                let sum = sums.into_iter().fold($set(0.0), |x, y| $add(x, y));
                black_box($first(sum));
                (rounds * 2 * $lanes * CHAINS as u64) as f64
            }
        };
    }
    kernel!(avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_cvtss_f32);
    kernel!(avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_cvtss_f32);
}

/// Billions of bytes a second, read and written, that `threads` threads move when they add one array to another
/// (two reads and a write) over and over, where the arrays hold `bytes` together. The best of several runs.
pub fn bandwidth(threads: usize, bytes: usize) -> f64 {
    let len = (bytes / 8 / threads).max(1);
    let rounds = (1usize << 28).div_ceil(bytes).max(3);
    let run = |rounds: usize| {
        let (gate, start) = (std::sync::Barrier::new(threads), std::sync::Mutex::new(None));
        std::thread::scope(|s| {
            for _ in 0..threads {
                s.spawn(|| {
                    let (mut x, y) = (vec![1.0f32; len], vec![0.5f32; len]);
                    gate.wait();
                    start.lock().unwrap_or_else(|e| e.into_inner()).get_or_insert_with(Instant::now);
                    for _ in 0..rounds {
                        x.iter_mut().zip(black_box(&y)).for_each(|(x, y)| *x += y);
                        black_box(&mut x);
                    }
                });
            }
        });
        let start = start.into_inner().unwrap_or_else(|e| e.into_inner());
        let seconds = start.map_or(f64::INFINITY, |t: Instant| t.elapsed().as_secs_f64());
        (rounds * threads * len * 12) as f64 / seconds / 1e9
    };
    (0..5).map(|_| run(rounds)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_speed() {
        if let Some(peak) = fma_peak(1) {
            assert!(peak > 1.0, "{peak}");
        }
        let bytes_a_second = bandwidth(1, 1 << 20);
        assert!(bytes_a_second > 0.1 && bytes_a_second.is_finite(), "{bytes_a_second}");
        assert_eq!(Machine::here(), Machine::here());
    }
}
