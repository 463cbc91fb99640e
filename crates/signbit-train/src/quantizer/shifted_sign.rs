//! ReActNet's sign with a learned shift.

use super::{ApproxSign, Kind, Quantizer};

/// sign(x - shift) with a learned shift per channel; the derivative is [`ApproxSign`]'s, at x - shift
/// (Liu et al. 2020, arXiv 2003.03488, eq. 3). The operator is [`RSign`](crate::ops::RSign).
#[derive(Clone, Copy, Debug, Default)]
pub struct ShiftedSign;

impl Quantizer for ShiftedSign {
    fn name(&self) -> &'static str {
        "rsign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        ApproxSign.derivative(x)
    }

    fn surrogate(&self, x: f32) -> f32 {
        ApproxSign.surrogate(x)
    }

    fn kind(&self) -> Kind {
        Kind::ShiftedSign
    }
}
