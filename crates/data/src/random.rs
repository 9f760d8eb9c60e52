//! Where the random choices of data come from.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The generator that random transforms draw from.
pub type Random = Xoshiro256PlusPlus;

/// Names the random choices of one pass over the data.
///
/// Every example has a generator of its own, made from the seed, the epoch and the example's index. So an
/// augmentation is new in each epoch, and the same whoever computes it, in whatever order.
///
/// ```
/// use gradus_data::Draw;
/// use rand::RngExt;
/// let choice = |epoch, index| Draw::new(7, epoch).rng(index).random::<u64>();
/// assert_eq!(choice(0, 3), choice(0, 3));
/// assert!(choice(0, 3) != choice(1, 3) && choice(0, 3) != choice(0, 4));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    seed: u64,
    epoch: u64,
}

impl Draw {
    /// The choices of this epoch under this seed.
    pub fn new(seed: u64, epoch: usize) -> Draw {
        Draw { seed, epoch: epoch as u64 }
    }

    /// The generator of one example.
    pub fn rng(self, index: usize) -> Random {
        Random::seed_from_u64(mix(mix(mix(self.seed) ^ self.epoch) ^ index as u64))
    }

    /// Choices that have nothing to do with these, for another purpose at the same time.
    pub(crate) fn aside(self, purpose: u64) -> Draw {
        Draw { seed: mix(self.seed ^ mix(purpose)), epoch: self.epoch }
    }
}

/// A bijection of u64 that scatters neighbours: the finaliser of SplitMix64
/// (<https://doi.org/10.1145/2714064.2660195>).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
