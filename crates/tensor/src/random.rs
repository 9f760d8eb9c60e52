//! Seeded random tensors.
//!
//! One generator serves the whole process. Its state is a seed and a count of draws; each draw of a
//! tensor hashes both into independent streams for fixed pieces of the result, so the numbers do not
//! depend on the number of threads and the state can be saved as two integers.

use crate::kernels::par::{self, GRAIN};
use crate::shape::{IntoShape, Shape};
use crate::{DType, Tensor, fail};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::sync::Mutex;

/// Seed and number of draws so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RngState {
    /// What [`manual_seed`] was given.
    pub seed: u64,
    /// Tensors drawn since.
    pub draws: u64,
}

static STATE: Mutex<RngState> = Mutex::new(RngState { seed: 0, draws: 0 });

/// Seeds everything random: initialisation, shuffling, augmentation, dropout.
///
/// There is one generator for the whole process, which all threads draw from, so a program that draws in one
/// thread repeats exactly; with several, the order of their draws counts.
pub fn manual_seed(seed: u64) {
    set_rng_state(RngState { seed, draws: 0 });
}

/// The state of the generator, to be saved with a checkpoint.
pub fn rng_state() -> RngState {
    *STATE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Continues from a saved state.
pub fn set_rng_state(state: RngState) {
    *STATE.lock().unwrap_or_else(|e| e.into_inner()) = state;
}

/// A finalising mix (David Stafford's variant 13 of MurmurHash3's).
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The streams of one draw: `stream(i)` serves piece i.
pub(crate) fn draw() -> impl Fn(usize) -> Xoshiro256PlusPlus + Sync {
    let mut s = STATE.lock().unwrap_or_else(|e| e.into_inner());
    s.draws += 1;
    streams(*s)
}

/// The key of one draw, for kernels that make numbers of it and of a place.
pub(crate) fn draw_key() -> u64 {
    let mut s = STATE.lock().unwrap_or_else(|e| e.into_inner());
    s.draws += 1;
    key(*s)
}

fn key(s: RngState) -> u64 {
    mix(s.seed ^ mix(s.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// The streams that belong to a state: a function of the state and the piece alone.
fn streams(s: RngState) -> impl Fn(usize) -> Xoshiro256PlusPlus + Sync {
    let key = key(s);
    move |piece| Xoshiro256PlusPlus::seed_from_u64(key ^ mix(piece as u64 + 1))
}

/// Fills a tensor piece by piece.
fn fill(shape: Shape, f: impl Fn(&mut Xoshiro256PlusPlus, &mut [f32]) + Sync) -> Tensor {
    let stream = draw();
    let _span = crate::profiler::span("random");
    Tensor::build::<f32>(shape, |out| par::for_each_chunk_mut(out, GRAIN, |c, piece| f(&mut stream(c), piece)))
}

/// The top 24 bits of a word as a number in [0, 1).
fn unit(rng: &mut impl Rng) -> f32 {
    (rng.next_u64() >> 40) as f32 * (1.0 / 16_777_216.0)
}

impl Tensor {
    /// Numbers drawn evenly from [0, 1), as f32.
    #[track_caller]
    pub fn rand(shape: impl IntoShape) -> Tensor {
        fill(shape.into_shape(), |rng, out| out.iter_mut().for_each(|o| *o = unit(rng)))
    }

    /// Numbers drawn from the standard normal distribution, as f32.
    #[track_caller]
    pub fn randn(shape: impl IntoShape) -> Tensor {
        fill(shape.into_shape(), |rng, out| out.iter_mut().for_each(|o| *o = rng.sample(StandardNormal)))
    }

    /// As [`Tensor::rand`], of this tensor's shape and (float) type.
    pub fn rand_like(&self) -> Tensor {
        Tensor::rand(self.shape()).to_dtype(self.dtype())
    }

    /// As [`Tensor::randn`], of this tensor's shape and (float) type.
    pub fn randn_like(&self) -> Tensor {
        Tensor::randn(self.shape()).to_dtype(self.dtype())
    }

    /// Numbers drawn evenly from [low, high), as f32.
    ///
    /// # Panics
    /// If `low > high`.
    #[track_caller]
    pub fn uniform(low: f64, high: f64, shape: impl IntoShape) -> Tensor {
        if low > high {
            fail("uniform", format_args!("low {low} is above high {high}"));
        }
        let (low, span) = (low as f32, (high - low) as f32);
        fill(shape.into_shape(), |rng, out| out.iter_mut().for_each(|o| *o = low + span * unit(rng)))
    }

    /// Numbers drawn from the normal distribution with the given mean and standard deviation, as f32.
    #[track_caller]
    pub fn normal(mean: f64, std: f64, shape: impl IntoShape) -> Tensor {
        let (mean, std) = (mean as f32, std as f32);
        fill(shape.into_shape(), |rng, out| {
            out.iter_mut().for_each(|o| {
                let z: f32 = rng.sample(StandardNormal);
                *o = mean + std * z;
            })
        })
    }

    /// 1 with probability `p`, else 0, as f32.
    ///
    /// # Panics
    /// If `p` is not in 0..=1.
    #[track_caller]
    pub fn bernoulli(p: f64, shape: impl IntoShape) -> Tensor {
        Tensor::dropout_mask(1.0 - p, 1.0, shape.into_shape(), "bernoulli")
    }

    /// `scale` with probability 1 - `p`, else 0: what dropout multiplies by.
    #[track_caller]
    pub(crate) fn dropout_mask(p: f64, scale: f32, shape: Shape, op: &str) -> Tensor {
        if !(0.0..=1.0).contains(&p) {
            fail(op, format_args!("{p} is not a probability in 0..=1"));
        }
        // Two elements a word, 32 bits each: p is met to 2^-32.
        let limit = (p * 4_294_967_296.0) as u64;
        fill(shape, |rng, out| {
            let keep = |bits: u64| if bits >= limit { scale } else { 0.0 };
            for pair in out.chunks_mut(2) {
                let word = rng.next_u64();
                pair[0] = keep(word >> 32);
                if let Some(second) = pair.get_mut(1) {
                    *second = keep(word & 0xffff_ffff);
                }
            }
        })
    }

    /// Integers drawn evenly from low..high, as i64.
    ///
    /// # Panics
    /// If `low >= high`.
    #[track_caller]
    pub fn randint(low: i64, high: i64, shape: impl IntoShape) -> Tensor {
        if low >= high {
            fail("randint", format_args!("the range {low}..{high} is empty"));
        }
        let mut rng = draw()(0);
        Tensor::build::<i64>(shape.into_shape(), |out| out.iter_mut().for_each(|o| *o = rng.random_range(low..high)))
    }

    /// The numbers 0..n in random order, as i64.
    pub fn randperm(n: usize) -> Tensor {
        use rand::seq::SliceRandom;
        let mut v: Vec<i64> = (0..n as i64).collect();
        v.shuffle(&mut draw()(0));
        Tensor::from_vec(v, [n])
    }

    /// Zeroes each element with probability `p` and scales the others by 1 / (1 - p), so that the
    /// expected value stays (inverted dropout, Srivastava et al., 2014).
    ///
    /// # Panics
    /// If `p` is not in 0..=1 or the elements are not floats.
    #[track_caller]
    pub fn dropout(&self, p: f64) -> Tensor {
        if !self.dtype().is_float() {
            fail("dropout", format_args!("needs float elements, got {}", self.dtype()));
        }
        let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
        let mask = Tensor::dropout_mask(p, scale as f32, self.shape(), "dropout");
        let mask = if self.dtype() == DType::F32 { mask } else { mask.to_dtype(self.dtype()) };
        self * mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_replays_its_draws_and_every_state_and_piece_has_its_own() {
        let first = |seed, draws, piece| streams(RngState { seed, draws })(piece).next_u64();
        assert_eq!(first(7, 3, 0), first(7, 3, 0));
        let others = [first(7, 3, 0), first(7, 3, 1), first(7, 4, 0), first(8, 3, 0), first(3, 7, 0)];
        for (i, a) in others.iter().enumerate() {
            assert!(others[i + 1..].iter().all(|b| a != b), "{others:?}");
        }
    }

    #[test]
    fn moments_are_right() {
        let n = 400_000;
        let z = Tensor::normal(1.0, 2.0, [n]);
        assert!((z.mean().item() - 1.0).abs() < 0.02 && (z.std(1).item() - 2.0).abs() < 0.02);
        let u = Tensor::uniform(-1.0, 3.0, [n]);
        assert!((u.mean().item() - 1.0).abs() < 0.02 && (u.var(1).item() - 16.0 / 12.0).abs() < 0.02);
        assert!(u.min().item() >= -1.0 && u.max().item() <= 3.0);
        assert!((Tensor::bernoulli(0.3, [n]).mean().item() - 0.3).abs() < 0.005);
        let d = Tensor::ones([n]).dropout(0.2);
        assert!((d.mean().item() - 1.0).abs() < 0.01);
        assert!(d.eq_scalar(0.0).logical_or(&d.eq_scalar(1.25f32 as f64)).all());
    }

    #[test]
    fn a_permutation_names_each_number_once() {
        let mut p = Tensor::randperm(100).to_vec::<i64>();
        assert_ne!(p, (0..100).collect::<Vec<_>>());
        p.sort_unstable();
        assert_eq!(p, (0..100).collect::<Vec<_>>());
    }
}
