//! Adam.

use pulp::Arch;

use super::{Optimizer, clip, each_piece, pick};
use crate::params::Params;

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).
#[derive(Clone, Debug)]
pub struct Adam {
    /// Decay of the average of gradients.
    pub beta1: f32,
    /// Decay of the average of squared gradients.
    pub beta2: f32,
    /// Keeps the division away from 0.
    pub epsilon: f32,
    steps: u64,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 0, mean: vec![], square: vec![] }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, params: &mut Params, lr: f32) {
        self.steps += 1;
        let (b1, b2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let power = |b: f32| 1.0 - f64::from(b).powi(self.steps.min(1 << 30) as i32);
        let rate = (f64::from(lr) / power(b1)) as f32;
        let unbias = (1.0 / power(b2)) as f32;
        each_piece(params, [&mut self.mean, &mut self.square], |piece| {
            let bound = if piece.latent { 1.0 } else { f32::INFINITY };
            let [mean, square] = piece.averages;
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    let averages = mean.iter_mut().zip(square.iter_mut());
                    for ((w, &g), (m, v)) in piece.values.iter_mut().zip(piece.grads).zip(averages) {
                        *m += (1.0 - b1) * (g - *m);
                        *v += (1.0 - b2) * (g * g - *v);
                        let next = *w - rate * *m / ((*v * unbias).sqrt() + epsilon);
                        *w = clip(next, bound);
                    }
                },
            );
        });
    }

    fn state(&self) -> (u64, Vec<(&'static str, &[f32])>) {
        (self.steps, vec![("mean", &self.mean), ("square", &self.square)])
    }

    fn restore(&mut self, steps: u64, averages: &[(String, Vec<f32>)]) -> bool {
        let Some([mean, square]) = pick(["mean", "square"], averages) else { return false };
        (self.steps, self.mean, self.square) = (steps, mean, square);
        true
    }
}
