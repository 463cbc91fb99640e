//! A straight-through estimator whose window closes during the training.

use std::sync::Arc;

use super::Quantizer;

/// Width of the window at the end of a training.
const LAST: f32 = 0.1;

/// Derivative 1 / w where |x| <= w, else 0: that of the ramp clip(x / w, -1, 1), w from 1 to 0.1, evenly in its logarithm
/// over the training. The ramp is that of `progressive_sign` in BITorch (github.com/hpi-xnor/bitorch).
///
/// There the forward pass of the training is the ramp too, and w falls to 0. Here the forward pass is sign from the first step, as
/// what is trained are bits; and w ends at 0.1, for behind a sign a window of 0 would let no gradient pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProgressiveSign {
    width: f32,
}

impl ProgressiveSign {
    /// The quantizer when this share of the training, 0 to 1, is done.
    pub fn new(progress: f32) -> Self {
        Self { width: LAST.powf(progress.clamp(0.0, 1.0)) }
    }
}

impl Default for ProgressiveSign {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Quantizer for ProgressiveSign {
    fn name(&self) -> &'static str {
        "progressive_sign"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        if x.abs() <= self.width { 1.0 / self.width } else { 0.0 }
    }

    fn surrogate(&self, x: f32) -> f32 {
        (x / self.width).clamp(-1.0, 1.0)
    }

    fn is_one_within_the_clip(&self) -> bool {
        self.width == 1.0
    }

    fn at(&self, progress: f32) -> Option<Arc<dyn Quantizer>> {
        Some(Arc::new(Self::new(progress)))
    }
}
