//! Batch norm and scale factor before a sign, folded into one integer threshold.
//!
//! A binary layer gives an integer dot product d with -K <= d <= K. In evaluation mode the network then computes,
//! per channel and in f32 (fl is rounding to nearest),
//!
//! ```text
//! (1)  z = fl(d * alpha)            alpha >= 0, the scale factor; alpha = 1 where there is none
//! (2)  y = fl(fl(z * m) + b)        m = gamma / sqrt(var + eps),  b = beta - mean * m
//! (3)  bit = y >= 0
//! ```
//!
//! In real numbers, with alpha * m > 0, (3) says d >= -b / (alpha * m): a threshold t = ceil(-b / (alpha * m)).
//! In f32 the division would round, and a tie (y = 0 exactly) could fall to the other side. But rounding is
//! monotone: x <= y implies fl(x) <= fl(y). A product with a constant of one sign, a sum with a constant and their
//! roundings are each monotone, so y is a monotone function of d:
//!
//! ```text
//! (4)  m > 0:  y does not decrease, so bit = (d >= t)        with t the smallest d that gives bit = 1
//! (5)  m < 0:  y does not increase, so bit = (d >= t) ^ 1    with t the smallest d that gives bit = 0
//! (6)  m = 0 or alpha = 0:  y = b for every d, so the bit is constant
//! ```
//!
//! t is found by bisection over d with (1) to (3) themselves, so ties and roundings are exact by construction.
//! Where no d of [-K, K] is the smallest, t = K + 1: `d >= t` then never holds.

/// A threshold with a direction: bit = (d >= t) ^ flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Smallest dot product on the other side.
    pub t: i32,
    /// Whether larger dot products give 0.
    pub flip: bool,
}

/// The bit that evaluation mode computes for dot product `d`: equations (1) to (3).
pub fn bit(d: i32, alpha: Option<f32>, m: f32, b: f32) -> bool {
    let z = match alpha {
        Some(alpha) => d as f32 * alpha,
        None => d as f32,
    };
    z * m + b >= 0.0
}

/// The threshold of one channel whose dot products lie in `-k..=k`: equations (4) to (6).
/// `alpha` must not be negative, and `k * alpha * m + b` finite with all that it is made of.
pub fn threshold(k: i32, alpha: Option<f32>, m: f32, b: f32) -> Threshold {
    let flip = m < 0.0;
    // The side that large dot products are on.
    let beyond = |d: i32| bit(d, alpha, m, b) != flip;
    let (mut low, mut high) = (-k, k.saturating_add(1));
    while low < high {
        let middle = low + ((i64::from(high) - i64::from(low)) / 2) as i32;
        if beyond(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Threshold { t: low, flip }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every d of small K, for signs, zeros and ties of every factor.
    #[test]
    fn every_dot_product_of_small_layers() {
        let numbers = [-3.0, -1.0, -0.3, -1e-30, -0.0, 0.0, 1e-30, 0.1, 0.5, 1.0, 2.7, 1e20];
        let mut wrong = Vec::new();
        for k in 1..=33 {
            for alpha in [None, Some(0.0), Some(1e-30), Some(0.1), Some(0.4), Some(1.0), Some(3.3)] {
                for m in numbers {
                    for b in numbers.into_iter().chain((-k..=k).map(|d| -(d as f32) * m)) {
                        let Threshold { t, flip } = threshold(k, alpha, m, b);
                        for d in -k..=k {
                            if ((d >= t) != flip) != bit(d, alpha, m, b) {
                                wrong.push(format!("k {k} alpha {alpha:?} m {m} b {b} d {d}: t {t} flip {flip}"));
                            }
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong, first {}", wrong.len(), wrong[0]);
    }

    #[test]
    fn ties_are_plus_one_in_both_directions() {
        // y = 2 d - 6 is 0 at d = 3, y = -2 d + 6 as well; both bits are 1 there.
        assert_eq!(threshold(9, None, 2.0, -6.0), Threshold { t: 3, flip: false });
        assert_eq!(threshold(9, None, -2.0, 6.0), Threshold { t: 4, flip: true });
    }

    #[test]
    fn the_largest_layers_do_not_overflow() {
        assert_eq!(threshold(i32::MAX - 1, None, 1.0, f32::MIN), Threshold { t: i32::MAX, flip: false });
        assert_eq!(threshold(i32::MAX - 1, None, 1.0, f32::MAX), Threshold { t: -i32::MAX + 1, flip: false });
    }
}
