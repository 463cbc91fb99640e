//! Stochastic gradient descent with momentum.

use super::{Optimizer, Scope, clip, each_piece, pick};
use crate::params::Params;

/// velocity = momentum * velocity + gradient + decay * value; value -= lr * velocity.
#[derive(Clone, Debug)]
pub struct Sgd {
    /// Which weights are updated and decayed.
    pub scope: Scope,
    momentum: f32,
    steps: u64,
    velocity: Vec<f32>,
}

impl Sgd {
    /// Momentum 0 is plain gradient descent. All weights are updated, none decays.
    pub fn new(momentum: f32) -> Self {
        Self { scope: Scope::default(), momentum, steps: 0, velocity: vec![] }
    }

    /// The same with another choice of weights.
    pub fn with_scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, params: &mut Params, lr: f32) {
        self.steps += 1;
        let (momentum, scope) = (self.momentum, self.scope);
        each_piece(
            params,
            |role| scope.decay_of(role),
            [&mut self.velocity],
            |piece| {
                let [velocity] = piece.averages;
                for ((w, &g), v) in piece.values.iter_mut().zip(piece.grads).zip(velocity) {
                    *v = momentum * *v + (g + piece.decay * *w);
                    *w = clip(*w - lr * *v, piece.bound);
                }
            },
        );
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
