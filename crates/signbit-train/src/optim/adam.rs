//! Adam and AdamW.

use pulp::Arch;

use super::{Optimizer, Scope, clip, each_piece, pick};
use crate::params::Params;

/// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1), or AdamW where the weight decay is decoupled.
#[derive(Clone, Debug)]
pub struct Adam {
    /// Decay of the average of gradients.
    pub beta1: f32,
    /// Decay of the average of squared gradients.
    pub beta2: f32,
    /// Keeps the division away from 0.
    pub epsilon: f32,
    /// Which weights are updated and decayed.
    pub scope: Scope,
    /// Weights lose the decay times the learning rate themselves (AdamW: Loshchilov and Hutter 2019, arXiv 1711.05101,
    /// algorithm 2). Else their gradients gain the decay times the weight.
    pub decoupled: bool,
    steps: u64,
    mean: Vec<f32>,
    square: Vec<f32>,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            scope: Scope::default(),
            decoupled: false,
            steps: 0,
            mean: vec![],
            square: vec![],
        }
    }
}

impl Adam {
    /// Adam, or AdamW where the weight decay is `decoupled`, with the usual numbers.
    pub fn new(scope: Scope, decoupled: bool) -> Self {
        Self { scope, decoupled, ..Self::default() }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, params: &mut Params, lr: f32) {
        self.steps += 1;
        let (b1, b2, epsilon) = (self.beta1, self.beta2, self.epsilon);
        let power = |b: f32| 1.0 - f64::from(b).powi(self.steps.min(1 << 30) as i32);
        let rate = (f64::from(lr) / power(b1)) as f32;
        let unbias = (1.0 / power(b2)) as f32;
        let (scope, decoupled) = (self.scope, self.decoupled);
        each_piece(
            params,
            |role| scope.decay_of(role),
            [&mut self.mean, &mut self.square],
            |piece| {
                let (added, kept) = if decoupled { (0.0, 1.0 - lr * piece.decay) } else { (piece.decay, 1.0) };
                let [mean, square] = piece.averages;
                Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        let averages = mean.iter_mut().zip(square.iter_mut());
                        for ((w, &g), (m, v)) in piece.values.iter_mut().zip(piece.grads).zip(averages) {
                            let g = g + added * *w;
                            *m += (1.0 - b1) * (g - *m);
                            *v += (1.0 - b2) * (g * g - *v);
                            let next = kept * *w - rate * *m / ((*v * unbias).sqrt() + epsilon);
                            *w = clip(next, piece.bound);
                        }
                    },
                );
            },
        );
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
