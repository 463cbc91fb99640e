//! The sign-swish of BNN+.

use super::Quantizer;
use super::exp::exp_of_negative;

/// Derivative beta (2 - beta x tanh(beta x / 2)) / (1 + cosh(beta x)), which is that of
/// 2 s(beta x) (1 + beta x (1 - s(beta x))) - 1 with the logistic function s
/// (Darabi et al. 2018, arXiv 1812.11800, eq. 3 and 4).
#[derive(Clone, Copy, Debug)]
pub struct SwishSign {
    /// Steepness; larger is closer to sign.
    pub beta: f32,
}

impl Default for SwishSign {
    fn default() -> Self {
        Self { beta: 5.0 }
    }
}

impl Quantizer for SwishSign {
    fn name(&self) -> &'static str {
        "swish_sign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        // With e = exp(-|z|): tanh(|z| / 2) = (1 - e) / (1 + e) and 1 + cosh(z) = (1 + e)^2 / 2 e, and nothing overflows.
        let z = (self.beta * x).clamp(-87.0, 87.0).abs();
        let e = exp_of_negative(-z);
        let f = 1.0 / (1.0 + e);
        self.beta * (2.0 - z * ((1.0 - e) * f)) * (2.0 * e * f * f)
    }

    fn surrogate(&self, x: f32) -> f32 {
        let z = self.beta * x;
        let s = 1.0 / (1.0 + (-z).exp());
        2.0 * s * (1.0 + z * (1.0 - s)) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_articles_formula() {
        for beta in [1.0, 5.0, 20.0] {
            for i in -4000..=4000 {
                let x = i as f32 / 1000.0;
                let z = f64::from(beta) * f64::from(x);
                let expected = f64::from(beta) * (2.0 - z * (z / 2.0).tanh()) / (1.0 + z.cosh());
                let found = f64::from(SwishSign { beta }.derivative(x));
                assert!((found - expected).abs() <= 2e-6 * f64::from(beta), "{beta} {x}: {found} {expected}");
            }
        }
        for x in [1e20, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(SwishSign::default().derivative(x).abs() < 1e-30);
        }
        assert!(SwishSign::default().derivative(f32::NAN).is_nan());
    }
}
