//! Three values.

use super::{Kind, Quantizer, SteSign};

/// +1 where x > delta, -1 where x < -delta, else 0; derivative 1 where |x| <= 1, else 0 (Li et al. 2016,
/// arXiv 1605.04711; the derivative and a delta of 0.05 as Larq's `ste_tern`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SteTern {
    /// Where 0 ends.
    pub delta: f32,
}

impl Default for SteTern {
    fn default() -> Self {
        Self { delta: 0.05 }
    }
}

impl Quantizer for SteTern {
    fn name(&self) -> &'static str {
        "ste_tern"
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
        match x {
            x if x > self.delta => 1.0,
            x if x < -self.delta => -1.0,
            _ => 0.0,
        }
    }

    fn kind(&self) -> Kind {
        Kind::Values("its values are -1, 0 and +1; a packed bit has two")
    }
}
