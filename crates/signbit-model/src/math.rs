//! Arithmetic that gives the same bits on every platform.

/// `e^x`, correct to the last bit but for rare near-ties, and the same on every platform.
///
/// Computed in f64 by additions and multiplications only: with `n = round(x / ln 2)` and
/// `r = x - n * ln 2`, the Taylor series of `e^r` up to `r^12` by Horner's rule, times `2^n`, rounded to
/// f32. The platform's own `exp` is not used, because its last bit differs from one C library to the next.
/// NaN stays NaN.
#[must_use]
pub fn exp(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    // Beyond these, the result is an f32 0 or infinity.
    let x = f64::from(x.clamp(-110.0, 90.0));
    let n = (x * std::f64::consts::LOG2_E).round();
    let r = x - n * std::f64::consts::LN_2;
    let mut series = 1.0;
    for k in (1..=12_u8).rev() {
        series = 1.0 + series * (r / f64::from(k));
    }
    let power = f64::from_bits(((n as i64 + 1023) as u64) << 52);
    (series * power) as f32
}

/// `1 / (1 + e^-x)`: with `e = exp(-x)`, the sum `1 + e` and the quotient are each rounded to f32.
///
/// 0 where `e` is infinite, 1 where it vanishes beside 1. NaN stays NaN.
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::{exp, sigmoid};

    /// Against f64: within two units in the last place, and monotone.
    #[test]
    fn sigmoid_is_close_to_the_f64_function() {
        let mut last = 0.0;
        for i in -870_000..200_000 {
            let x = i as f32 * 1e-4;
            let (ours, theirs) = (sigmoid(x), (1.0 / (1.0 + f64::from(-x).exp())) as f32);
            assert!(ours.to_bits().abs_diff(theirs.to_bits()) <= 2, "{x}: {ours} {theirs}");
            assert!(ours >= last, "{x}");
            last = ours;
        }
    }

    #[test]
    fn special_values() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(1.0), std::f32::consts::E);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    /// Against the standard library's f64 `exp`, rounded: within one unit in the last place.
    #[test]
    fn close_to_the_f64_function() {
        let mut wrong = Vec::new();
        for i in -1_100_000..900_000 {
            let x = i as f32 * 1e-4;
            let (ours, theirs) = (exp(x), f64::from(x).exp() as f32);
            if ours.to_bits().abs_diff(theirs.to_bits()) > 1 {
                wrong.push((x, ours, theirs));
            }
        }
        assert!(wrong.is_empty(), "{} differ, first {:?}", wrong.len(), wrong[0]);
    }
}
