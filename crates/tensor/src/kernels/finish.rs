//! What follows a linear map while its results are still in cache: an affine map of each channel, a
//! second summand, an activation. A kernel that produces results in runs calls [`Finish::plane`] on
//! each run once it is complete, so that the passes over memory which these
//! operations are by themselves do not happen.

use super::micro::Float;
use super::simd;

/// A map of each element of a run, in place.
pub(crate) type Then<T> = dyn Fn(&mut [T]) + Sync;

/// `v -> then(v * scale[c] + shift[c] + residual)`, each part optional.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a, T> {
    /// One factor a channel.
    pub scale: Option<&'a [T]>,
    /// One term a channel: a bias.
    pub shift: Option<&'a [T]>,
    /// One term an element, laid out as the result.
    pub residual: Option<&'a [T]>,
    /// A map of each element, in place.
    pub then: Option<&'a Then<T>>,
}

impl<'a, T: Float> Finish<'a, T> {
    /// Leaves results as they are.
    pub const NOTHING: Finish<'a, T> = Finish { scale: None, shift: None, residual: None, then: None };

    /// Adds a bias, if there is one.
    pub fn bias(bias: Option<&'a [T]>) -> Finish<'a, T> {
        Finish { shift: bias, ..Finish::NOTHING }
    }

    /// Whether there is nothing to do but to add a bias, if that.
    pub fn is_bias(&self) -> bool {
        self.scale.is_none() && self.residual.is_none() && self.then.is_none()
    }

    /// Finishes a run of results that belong to one channel and lie at `at` in the whole result.
    #[inline]
    pub fn plane(&self, channel: usize, at: usize, run: &mut [T]) {
        let (scale, shift) = (self.scale.map(|s| s[channel]), self.shift.map(|s| s[channel]));
        simd::run(
            #[inline(always)]
            || match (scale, shift, self.residual.map(|r| &r[at..at + run.len()])) {
                (None, None, None) => {}
                (None, Some(b), None) => run.iter_mut().for_each(|v| *v += b),
                (scale, shift, residual) => {
                    let (a, b) = (scale.unwrap_or(T::ONE), shift.unwrap_or(T::ZERO));
                    match residual {
                        None => run.iter_mut().for_each(|v| *v = *v * a + b),
                        Some(r) => run.iter_mut().zip(r).for_each(|(v, &r)| *v = *v * a + b + r),
                    }
                }
            },
        );
        if let Some(then) = self.then {
            then(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_apply_in_their_order_to_planes() {
        let (scale, shift, residual) = ([2.0f32, 3.0], [0.5, -9.0], [1.0f32, 2.0, 3.0, 4.0]);
        let then: &Then<f32> = &|run| run.iter_mut().for_each(|v| *v = v.max(0.0));
        let all = Finish { scale: Some(&scale), shift: Some(&shift), residual: Some(&residual), then: Some(then) };
        let mut planes = [1.0f32, -4.0, 1.0, 2.0];
        for i in 0..2 {
            all.plane(i, 2 * i, &mut planes[2 * i..2 * i + 2]);
        }
        assert_eq!(planes, [3.5, 0.0, 0.0, 1.0]);
        let mut left = [1.0f32, 2.0];
        Finish::NOTHING.plane(0, 0, &mut left);
        Finish::bias(Some(&shift)).plane(1, 0, &mut left);
        assert_eq!(left, [-8.0, -7.0]);
    }
}
