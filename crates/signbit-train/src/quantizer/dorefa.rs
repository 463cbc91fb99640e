//! DoReFa-Net's activations of k bits.

use super::{Kind, Quantizer};

/// round((2^k - 1) clip(x, 0, 1)) / (2^k - 1); derivative 1 where 0 <= x <= 1, else 0 (Zhou et al. 2016,
/// arXiv 1606.06160, eq. 5, of activations clipped to [0, 1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoReFa {
    /// k, 1 to 8.
    pub bits: u32,
}

impl Default for DoReFa {
    fn default() -> Self {
        Self { bits: 2 }
    }
}

impl Quantizer for DoReFa {
    fn name(&self) -> &'static str {
        "dorefa"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        if (0.0..=1.0).contains(&x) { 1.0 } else { 0.0 }
    }

    fn surrogate(&self, x: f32) -> f32 {
        x.clamp(0.0, 1.0)
    }

    fn value(&self, x: f32) -> f32 {
        let steps = ((1u32 << self.bits.clamp(1, 8)) - 1) as f32;
        (steps * x.clamp(0.0, 1.0)).round() / steps
    }

    fn kind(&self) -> Kind {
        Kind::Values("activations of k bits, from 0 to 1, cannot be packed to ±1")
    }
}
