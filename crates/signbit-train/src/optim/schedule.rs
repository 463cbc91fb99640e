//! Learning-rate schedules.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It stays.
    Constant,
    /// Half a cosine from the peak to 0 (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5).
    Cosine,
    /// A straight line from the peak to 0.
    Linear,
    /// Times `factor` from one equal part of the training to the next.
    Step {
        /// Into how many equal parts the training is cut.
        parts: u32,
        /// Factor from one part to the next.
        factor: f32,
    },
}

/// Peak learning rate, warm-up and decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f32,
    /// Steps over which it rises linearly from 0.
    pub warmup: u64,
    /// What follows.
    pub decay: Decay,
    /// Steps of the whole training.
    pub total: u64,
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    pub fn at(&self, step: u64) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let span = self.total.saturating_sub(self.warmup).max(1);
        let done = ((step - self.warmup) as f64 / span as f64).min(1.0);
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Cosine => (1.0 + (PI * done).cos()) / 2.0,
            Decay::Linear => 1.0 - done,
            Decay::Step { parts, factor } => {
                let part = (done * f64::from(parts)).floor().min(f64::from(parts.saturating_sub(1)));
                f64::from(factor).powf(part)
            }
        };
        (f64::from(self.peak) * factor) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        let cosine = Schedule { peak: 0.1, warmup: 10, decay: Decay::Cosine, total: 110 };
        let linear = Schedule { decay: Decay::Linear, ..cosine };
        let step = Schedule { peak: 1.0, warmup: 0, decay: Decay::Step { parts: 3, factor: 0.1 }, total: 300 };
        let cases = [
            (cosine, 0, 0.01),
            (cosine, 9, 0.1),
            (cosine, 10, 0.1),
            (cosine, 60, 0.05),
            (cosine, 110, 0.0),
            (cosine, 500, 0.0),
            (linear, 9, 0.1),
            (linear, 35, 0.075),
            (linear, 109, 0.001),
            (linear, 500, 0.0),
            (step, 99, 1.0),
            (step, 100, 0.1),
            (step, 299, 0.01),
            (step, 900, 0.01),
        ];
        for (schedule, at, expected) in cases {
            assert!((schedule.at(at) - expected).abs() < 1e-6, "{schedule:?} at {at}: {}", schedule.at(at));
        }
    }
}
