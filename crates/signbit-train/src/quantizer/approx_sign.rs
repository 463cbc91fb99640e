//! Bi-Real Net's piecewise quadratic.

use super::Quantizer;

/// Derivative 2 - 2|x| where |x| <= 1, else 0 (Liu et al. 2018, arXiv 1808.00278, section 3.3).
#[derive(Clone, Copy, Debug, Default)]
pub struct ApproxSign;

impl Quantizer for ApproxSign {
    fn name(&self) -> &'static str {
        "approx_sign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        (2.0 - 2.0 * x.abs()).max(0.0)
    }

    fn surrogate(&self, x: f32) -> f32 {
        let x = x.clamp(-1.0, 1.0);
        2.0 * x - x * x.abs()
    }
}
