//! The exponential function in plain arithmetic, which the compiler turns into vectors. The system's is a call for each number,
//! and not the same on every system.

/// 1.5 * 2^23: added to a small number, it leaves the nearest integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// e^x for x from -87 to 0; what is below counts as -87, what is above as 0. Within 2e-7 of it, relatively.
#[inline(always)]
pub(super) fn exp_of_negative(x: f32) -> f32 {
    let x = x.clamp(-87.0, 0.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, of which the first times n is exact (Cody and Waite 1980).
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    // e^r for |r| <= ln(2) / 2, by its series.
    let mut sum = 1.0 / 5040.0;
    for factor in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = sum * r + factor;
    }
    // n + 127 as the exponent of a power of two.
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    sum * f32::from_bits(exponent << 23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_exponential() {
        let mut worst = 0.0f64;
        for i in 0..=870_000 {
            let x = -(i as f32) / 10_000.0;
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp_of_negative(x)) - expected).abs() / expected);
        }
        assert!(worst < 2e-7, "{worst}");
        assert_eq!(exp_of_negative(0.0), 1.0);
        assert_eq!([exp_of_negative(3.0), exp_of_negative(-1e30)], [1.0, exp_of_negative(-87.0)]);
        assert!(exp_of_negative(f32::NAN).is_nan());
    }
}
