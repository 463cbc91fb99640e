//! The sign-swish of BNN+.

use super::Quantizer;

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
        // Beyond 40 the derivative is below 1e-15 and cosh would overflow soon after.
        let z = (self.beta * x).clamp(-40.0, 40.0);
        self.beta * (2.0 - z * (z / 2.0).tanh()) / (1.0 + z.cosh())
    }

    fn surrogate(&self, x: f32) -> f32 {
        let z = self.beta * x;
        let s = 1.0 / (1.0 + (-z).exp());
        2.0 * s * (1.0 + z * (1.0 - s)) - 1.0
    }
}
