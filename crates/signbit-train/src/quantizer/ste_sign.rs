//! The plain straight-through estimator.

use super::Quantizer;

/// Derivative 1 where |x| <= 1, else 0 (Courbariaux et al. 2016, arXiv 1602.02830, eq. 4).
#[derive(Clone, Copy, Debug, Default)]
pub struct SteSign;

impl Quantizer for SteSign {
    fn name(&self) -> &'static str {
        "ste_sign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        if x.abs() <= 1.0 { 1.0 } else { 0.0 }
    }

    fn is_one_within_the_clip(&self) -> bool {
        true
    }

    fn window(&self) -> Option<f32> {
        Some(1.0)
    }

    fn surrogate(&self, x: f32) -> f32 {
        x.clamp(-1.0, 1.0)
    }
}
