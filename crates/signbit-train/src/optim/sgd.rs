//! Stochastic gradient descent with momentum.

use super::{Optimizer, clip, each_piece, pick};
use crate::params::Params;

/// velocity = momentum * velocity + gradient; value -= lr * velocity.
#[derive(Clone, Debug)]
pub struct Sgd {
    momentum: f32,
    steps: u64,
    velocity: Vec<f32>,
}

impl Sgd {
    /// Momentum 0 is plain gradient descent.
    pub fn new(momentum: f32) -> Self {
        Self { momentum, steps: 0, velocity: vec![] }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, params: &mut Params, lr: f32) {
        self.steps += 1;
        let momentum = self.momentum;
        each_piece(params, [&mut self.velocity], |piece| {
            let bound = if piece.latent { 1.0 } else { f32::INFINITY };
            let [velocity] = piece.averages;
            for ((w, &g), v) in piece.values.iter_mut().zip(piece.grads).zip(velocity) {
                *v = momentum * *v + g;
                *w = clip(*w - lr * *v, bound);
            }
        });
    }

    fn state(&self) -> (u64, Vec<(&'static str, &[f32])>) {
        (self.steps, vec![("velocity", &self.velocity)])
    }

    fn restore(&mut self, steps: u64, averages: &[(String, Vec<f32>)]) -> bool {
        let Some([velocity]) = pick(["velocity"], averages) else { return false };
        (self.steps, self.velocity) = (steps, velocity);
        true
    }
}
