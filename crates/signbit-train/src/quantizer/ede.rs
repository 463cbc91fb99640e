//! IR-Net's error decay estimator: close to the identity at first, close to sign at the end.

use std::sync::Arc;

use super::Quantizer;
use super::exp::exp_of_negative;

/// t at the beginning and at the end of a training (Qin et al. 2020, arXiv 1909.10788, section 3.3).
const STEEPNESS: [f32; 2] = [0.1, 10.0];

/// Derivative k t (1 - tanh(t x)^2), that of k tanh(t x), with k = max(1 / t, 1) and t from 0.1 to 10, evenly in its
/// logarithm over the training (Qin et al. 2020, arXiv 1909.10788, eq. 6 to 9).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ede {
    t: f32,
}

impl Ede {
    /// The estimator when this share of the training, 0 to 1, is done.
    pub fn new(progress: f32) -> Self {
        let [first, last] = STEEPNESS;
        Self { t: first * (last / first).powf(progress.clamp(0.0, 1.0)) }
    }

    fn k(self) -> f32 {
        (1.0 / self.t).max(1.0)
    }
}

impl Default for Ede {
    fn default() -> Self {
        Self::new(0.0)
    }
}

impl Quantizer for Ede {
    fn name(&self) -> &'static str {
        "ede"
    }

    #[inline(always)]
    fn derivative(&self, x: f32) -> f32 {
        // 1 - tanh(u)^2 = 4 e / (1 + e)^2 with e = exp(-2 |u|).
        let e = exp_of_negative(-2.0 * (self.t * x).abs());
        let f = 1.0 / (1.0 + e);
        self.k() * self.t * (4.0 * e * f * f)
    }

    fn surrogate(&self, x: f32) -> f32 {
        self.k() * (self.t * x).tanh()
    }

    fn at(&self, progress: f32) -> Option<Arc<dyn Quantizer>> {
        Some(Arc::new(Self::new(progress)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_and_k_are_the_articles() {
        let tk = |progress| (Ede::new(progress).t, Ede::new(progress).k());
        let near = |(t, k): (f32, f32), (u, l): (f32, f32)| (t - u).abs() < 1e-4 && (k - l).abs() < 1e-4;
        assert!(near(tk(0.0), (0.1, 10.0)), "{:?}", tk(0.0));
        assert!(near(tk(0.5), (1.0, 1.0)), "{:?}", tk(0.5));
        assert!(near(tk(1.0), (10.0, 1.0)), "{:?}", tk(1.0));
    }
}
