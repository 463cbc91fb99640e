//! Bi-Real Net's sign of weights.

use super::{Kind, Quantizer, SteSign};

/// mean |W| of the output channel times sign(W), where backward the mean counts as a constant: the derivative is 1 where
/// |w| <= 1, else 0, times the mean (Liu et al. 2018, arXiv 1808.00278, section 3.3, the magnitude-aware gradient).
#[derive(Clone, Copy, Debug, Default)]
pub struct MagnitudeAwareSign;

impl Quantizer for MagnitudeAwareSign {
    fn name(&self) -> &'static str {
        "magnitude_aware_sign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        SteSign.derivative(x)
    }

    fn surrogate(&self, x: f32) -> f32 {
        SteSign.surrogate(x)
    }

    fn is_one_within_the_clip(&self) -> bool {
        true
    }

    fn kind(&self) -> Kind {
        Kind::MagnitudeAware
    }
}
