//! A search along a line for a step that satisfies the strong Wolfe conditions.

use gradus_tensor::Tensor;

/// What is known of a function at a step along a line.
#[derive(Clone)]
pub(super) struct Point {
    pub t: f64,
    pub value: f64,
    /// Derivative along the line.
    pub slope: f64,
    /// Gradient over all parameters.
    pub grad: Tensor,
}

/// The step searched for, or the best one found in `tries` further evaluations, and how often `at` was called.
///
/// The step is long enough for the slope to have fallen to 0.9 of that at `start` in magnitude, and the value lies
/// 1e-4 of the way along that slope below. `largest` is the largest element of the direction in magnitude: a bracket
/// that moves no parameter by `tolerance` is not split further. A value that is NaN counts as too high.
///
/// Source: Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6.
pub(super) fn strong_wolfe(
    start: &Point,
    first: f64,
    (largest, tolerance): (f64, f64),
    tries: usize,
    at: &mut dyn FnMut(f64) -> Point,
) -> (Point, usize) {
    let too_high = |p: &Point| p.value > start.value + 1e-4 * p.t * start.slope || p.value.is_nan();
    let is_flat = |p: &Point| p.slope.abs() <= -0.9 * start.slope;
    let (mut before, mut new, mut tried) = (start.clone(), at(first), 0);
    // Go on until a step that fits lies between two.
    let mut bracket = loop {
        if tried == tries {
            break [start.clone(), new];
        }
        if too_high(&new) || (tried > 1 && new.value >= before.value) {
            break [before, new];
        }
        if is_flat(&new) {
            return (new, tried + 1);
        }
        if new.slope >= 0.0 {
            break [before, new];
        }
        let t = cubic_minimum(&before, &new, (new.t + 0.01 * (new.t - before.t), 10.0 * new.t));
        before = std::mem::replace(&mut new, at(t));
        tried += 1;
    };
    let lower = |b: &[Point; 2]| usize::from(b[1].value < b[0].value);
    let (mut low, mut stuck) = (lower(&bracket), false);
    while tried < tries && (bracket[1].t - bracket[0].t).abs() * largest >= tolerance {
        let new = at(split(&bracket, &mut stuck));
        tried += 1;
        if too_high(&new) || new.value >= bracket[low].value {
            bracket[1 - low] = new;
            low = lower(&bracket);
            continue;
        }
        let done = is_flat(&new);
        if !done && new.slope * (bracket[1 - low].t - bracket[low].t) >= 0.0 {
            bracket[1 - low] = bracket[low].clone();
        }
        bracket[low] = new;
        if done {
            break;
        }
    }
    (bracket[low].clone(), tried + 1)
}

/// Where to look next within a bracket: the minimum of the cubic, but twice in succession close to an end of it only
/// a tenth of the way inside.
fn split([a, b]: &[Point; 2], stuck: &mut bool) -> f64 {
    let (low, high) = (a.t.min(b.t), a.t.max(b.t));
    let (t, margin) = (cubic_minimum(a, b, (low, high)), 0.1 * (high - low));
    let close = (high - t).min(t - low) < margin;
    let moved = close && (*stuck || t >= high || t <= low);
    *stuck = close && !moved;
    match moved {
        true if (t - high).abs() < (t - low).abs() => high - margin,
        true => low + margin,
        false => t,
    }
}

/// Where the cubic through two points with their slopes is smallest within `bounds`; their middle if nowhere.
fn cubic_minimum(a: &Point, b: &Point, (low, high): (f64, f64)) -> f64 {
    let (a, b) = if a.t <= b.t { (a, b) } else { (b, a) };
    let d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    if square >= 0.0 {
        let d2 = square.sqrt();
        let t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2));
        t.max(low).min(high)
    } else {
        (low + high) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(f: impl Fn(f64) -> (f64, f64), first: f64, tries: usize) -> (Point, usize) {
        let mut at = |t: f64| Point { t, value: f(t).0, slope: f(t).1, grad: Tensor::zeros([1]) };
        strong_wolfe(&at(0.0), first, (1.0, 1e-9), tries, &mut at)
    }

    #[test]
    fn a_parabola_is_solved_from_too_short_and_too_long_a_step() {
        let parabola = |t: f64| ((t - 3.0) * (t - 3.0), 2.0 * (t - 3.0));
        for first in [1e-3, 0.1, 50.0, 1e4] {
            let (found, evaluations) = search(parabola, first, 25);
            assert!(found.slope.abs() <= 0.9 * 6.0 && found.value <= 9.0 - 6e-4 * found.t, "from {first}: {}", found.t);
            assert!(evaluations < 12, "{evaluations}");
        }
    }

    #[test]
    fn a_value_that_is_nan_is_stepped_back_from() {
        // Defined below 1 only.
        let (found, _) = search(|t| (-(1.0 - t).ln() - 3.0 * t, 1.0 / (1.0 - t) - 3.0), 5.0, 25);
        assert!(found.t > 0.0 && found.t < 1.0 && found.value < 0.0);
    }

    #[test]
    fn the_evaluations_are_limited() {
        let (_, evaluations) = search(|t| (-t, -1.0), 1.0, 7);
        assert_eq!(evaluations, 8);
    }
}
