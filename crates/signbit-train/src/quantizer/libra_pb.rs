//! IR-Net's Libra parameter binarization.

use std::sync::Arc;

use super::{Ede, Kind, Quantizer};

/// 2^s sign(v) with balanced weights v = (w - mean W) / std W of the output channel and s = round(log2(mean |v|)); the
/// derivative by v is [`Ede`]'s (Qin et al. 2020, arXiv 1909.10788, eq. 2 to 5). The gradient passes through mean
/// and standard deviation, the power of two counts as a constant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LibraPb {
    ede: Ede,
}

impl Quantizer for LibraPb {
    fn name(&self) -> &'static str {
        "libra_pb"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        self.ede.derivative(x)
    }

    fn surrogate(&self, x: f32) -> f32 {
        self.ede.surrogate(x)
    }

    fn kind(&self) -> Kind {
        Kind::Balanced
    }

    fn at(&self, progress: f32) -> Option<Arc<dyn Quantizer>> {
        Some(Arc::new(Self { ede: Ede::new(progress) }))
    }
}
