//! Bop: binary weights without latent ones.

use super::{Optimizer, each_piece, pick};
use crate::params::{Params, Role};

/// Bop, the binary optimiser (Helwegen et al. 2019, arXiv 1906.02107, algorithm 1), for the binary weights, and another
/// optimiser for the rest.
///
/// A binary weight is +1 or -1 and nothing else stands behind it. m = (1 - gamma) m + gamma g is the average of its
/// gradient; where |m| is above the threshold and m has the weight's sign, so that the loss wants it the other way, it
/// flips. The weights stand where others have their latent ones ([`Role::Latent`]), as ±1 themselves.
///
/// The learning rate is that of the rest. gamma follows its schedule: at learning rate `lr` it is gamma * lr / peak, so
/// that fewer weights flip towards the end; in the article's training on CIFAR-10 both decay together too.
#[derive(Debug)]
pub struct Bop {
    threshold: f32,
    gamma: f32,
    peak: f32,
    steps: u64,
    average: Vec<f32>,
    rest: Box<dyn Optimizer>,
}

impl Bop {
    /// `gamma` is that at the learning rate `peak`. `rest` must spare latent weights (see [`super::Scope::latent`]).
    pub fn new(threshold: f32, gamma: f32, peak: f32, rest: Box<dyn Optimizer>) -> Self {
        Self { threshold, gamma, peak, steps: 0, average: vec![], rest }
    }
}

impl Optimizer for Bop {
    /// Initial weights become their signs.
    fn begin(&mut self, params: &mut Params) {
        let latents: Vec<_> = params.latents().map(|info| info.range.clone()).collect();
        for range in latents {
            params.values_mut()[range].iter_mut().for_each(|w| *w = sign(*w));
        }
        self.rest.begin(params);
    }

    fn step(&mut self, params: &mut Params, lr: f32) {
        self.steps += 1;
        let (threshold, gamma) = (self.threshold, self.gamma * lr / self.peak);
        each_piece(
            params,
            |role| (role == Role::Latent).then_some(0.0),
            [&mut self.average],
            |piece| {
                let [average] = piece.averages;
                for ((w, &g), m) in piece.values.iter_mut().zip(piece.grads).zip(average) {
                    *m += gamma * (g - *m);
                    let was = sign(*w);
                    // A gradient that is no number shows in the weight, so that the divergence is seen.
                    *w = if m.is_nan() {
                        *m
                    } else if *m * was > threshold {
                        -was
                    } else {
                        was
                    };
                }
            },
        );
        self.rest.step(params, lr);
    }

    fn state(&self) -> (u64, Vec<(&'static str, &[f32])>) {
        let (_, mut averages) = self.rest.state();
        averages.push(("flip", &self.average));
        (self.steps, averages)
    }

    fn restore(&mut self, steps: u64, averages: &[(String, Vec<f32>)]) -> bool {
        let Some([average]) = pick(["flip"], averages) else { return false };
        (self.steps, self.average) = (steps, average);
        self.rest.restore(steps, averages)
    }
}

/// +1 where a weight is at least 0, as everywhere. NaN stays NaN.
fn sign(w: f32) -> f32 {
    match w {
        w if w >= 0.0 => 1.0,
        w if w < 0.0 => -1.0,
        nan => nan,
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::optim::{Adam, Scope, Sgd};
    use crate::params::{Init, ParamId};

    fn spares_latents() -> Scope {
        Scope { latent: false, ..Scope::default() }
    }

    fn one(role: Role, value: f32) -> (Params, ParamId) {
        let mut params = Params::default();
        let id = params.add(&mut ChaCha8Rng::seed_from_u64(0), "w", &[1], role, Init::Constant(value));
        (params, id)
    }

    /// gamma 0.5, threshold 0.3: gradients +1 give m = 0.5 (the weight +1 flips), then 0.75 (the weight is -1 already:
    /// the signs differ); gradients -1 then give -0.125 (too small) and -0.5625 (it flips back).
    #[test]
    fn a_weight_flips_where_the_average_is_large_and_of_its_sign() {
        let (mut params, id) = one(Role::Latent, 0.02);
        let mut bop = Bop::new(0.3, 0.5, 0.1, Box::new(Adam::new(spares_latents(), false)));
        bop.begin(&mut params);
        assert_eq!(params.value(id), [1.0]);
        for (gradient, expected) in [(1.0, -1.0), (1.0, -1.0), (-1.0, -1.0), (-1.0, 1.0)] {
            params.grad_mut(id)[0] = gradient;
            bop.step(&mut params, 0.1);
            assert_eq!(params.value(id), [expected], "{bop:?}");
        }
    }

    #[test]
    fn gamma_follows_the_learning_rate() {
        for (lr, expected) in [(0.1, -1.0), (0.05, 1.0)] {
            let (mut params, id) = one(Role::Latent, 1.0);
            params.grad_mut(id)[0] = 1.0;
            let rest = Adam::new(spares_latents(), false);
            Bop::new(0.3, 0.5, 0.1, Box::new(rest)).step(&mut params, lr);
            let flipped = params.value(id)[0];
            assert_eq!(flipped, expected, "at {lr}");
        }
    }

    #[test]
    fn the_rest_has_its_own_optimiser_and_both_are_restored() {
        let new = || Bop::new(0.3, 0.5, 0.1, Box::new(Sgd::new(0.5).with_scope(spares_latents())));
        let (mut params, bias) = one(Role::Other, 0.0);
        let w = params.add(&mut ChaCha8Rng::seed_from_u64(0), "v", &[1], Role::Latent, Init::Constant(1.0));
        params.grad_mut(bias)[0] = 1.0;
        params.grad_mut(w)[0] = 0.5;
        let mut bop = new();
        bop.step(&mut params, 0.1);
        assert_eq!((params.value(bias)[0], params.value(w)[0]), (-0.1, 1.0), "0.5 * 0.5 is not above 0.3");
        let (steps, averages) = bop.state();
        let saved: Vec<_> = averages.iter().map(|(n, a)| (n.to_string(), a.to_vec())).collect();
        let mut restored = new();
        assert!(restored.restore(steps, &saved) && !new().restore(steps, &saved[..1]));
        let mut other = params.clone();
        bop.step(&mut params, 0.1);
        restored.step(&mut other, 0.1);
        assert_eq!((params.values(), params.value(w)), (other.values(), [-1.0].as_slice()));
        assert!((params.value(bias)[0] - -0.25).abs() < 1e-6, "momentum went on");
    }
}
