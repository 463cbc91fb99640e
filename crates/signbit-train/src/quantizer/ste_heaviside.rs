//! The step between 0 and 1.

use super::{Kind, Quantizer, SteSign};

/// 1 where x > 0, else 0; derivative 1 where |x| <= 1, else 0 (Geiger and Team 2020, "Larq", JOSS 5(45), 1746:
/// `ste_heaviside`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SteHeaviside;

impl Quantizer for SteHeaviside {
    fn name(&self) -> &'static str {
        "ste_heaviside"
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

    fn value(&self, x: f32) -> f32 {
        if x > 0.0 { 1.0 } else { 0.0 }
    }

    fn kind(&self) -> Kind {
        Kind::Values("its values are 0 and 1; packed bits are -1 and +1")
    }
}
