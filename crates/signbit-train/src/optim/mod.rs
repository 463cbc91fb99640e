//! Optimisers: one pass over the flat parameters that updates and clips the latent weights to [-1, 1]. Bop, which has
//! no latent weights, takes the binary ones and leaves the rest to another optimiser.

mod adam;
mod bop;
mod clip;
mod schedule;
mod scope;
mod sgd;

use std::fmt::Debug;

use rayon::prelude::*;

pub use adam::Adam;
pub use bop::Bop;
pub use clip::clip_norm;
pub use schedule::{Decay, Schedule};
pub use scope::Scope;
pub use sgd::Sgd;

use crate::params::{Params, Role};

/// Updates parameters from their gradients.
pub trait Optimizer: Debug + Send {
    /// Brings the initial weights into the form in which the optimiser keeps them; before the first step of a training.
    fn begin(&mut self, params: &mut Params) {
        let _ = params;
    }

    /// One step at learning rate `lr`. Latent weights are clipped to [-1, 1].
    fn step(&mut self, params: &mut Params, lr: f32);

    /// Steps done, and the running averages in the layout of the flat parameters, for a checkpoint.
    fn state(&self) -> (u64, Vec<(&'static str, &[f32])>);

    /// Takes up what [`Optimizer::state`] gave. Averages that are missing, or not of one length, are refused with `false`.
    fn restore(&mut self, steps: u64, averages: &[(String, Vec<f32>)]) -> bool;
}

/// Numbers per task of an update.
const CHUNK: usize = 32 * 1024;

/// A piece of the flat parameters with its gradient and the optimiser's running averages.
struct Piece<'a, const N: usize> {
    values: &'a mut [f32],
    grads: &'a [f32],
    averages: [&'a mut [f32]; N],
    /// Largest magnitude of a value.
    bound: f32,
    /// Rate of its weight decay.
    decay: f32,
}

/// `w` within ±bound. NaN stays NaN, so that a divergence is seen; `f32::clamp` would do the same, but its assertion
/// keeps the loop from being vectorised.
#[inline(always)]
fn clip(w: f32, bound: f32) -> f32 {
    let w = if w > bound { bound } else { w };
    if w < -bound { -bound } else { w }
}

/// Calls `update` on pieces of the parameters, in parallel. A piece never spans two tensors. `decay` says the rate of the
/// weight decay of a role, or `None` where its tensors are not to be updated.
fn each_piece<const N: usize>(
    params: &mut Params,
    decay: impl Fn(Role) -> Option<f32>,
    averages: [&mut Vec<f32>; N],
    update: impl Fn(Piece<'_, N>) + Send + Sync,
) {
    let (infos, mut values, mut grads) = params.for_update();
    let total = values.len();
    let mut averages = averages.map(|a| {
        a.resize(total, 0.0);
        a.as_mut_slice()
    });
    let mut pieces = Vec::new();
    for info in infos {
        let mut left = info.range.len();
        while left > 0 {
            let len = left.min(CHUNK);
            left -= len;
            let (head, tail) = values.split_at_mut(len);
            values = tail;
            let (head_grads, tail) = grads.split_at(len);
            grads = tail;
            let heads = averages.each_mut().map(|a| {
                let (head, tail) = std::mem::take(a).split_at_mut(len);
                *a = tail;
                head
            });
            let bound = if info.role == Role::Latent { 1.0 } else { f32::INFINITY };
            if let Some(decay) = decay(info.role) {
                pieces.push(Piece { values: head, grads: head_grads, averages: heads, bound, decay });
            }
        }
    }
    pieces.into_par_iter().for_each(update);
}

/// An averages list that fits `N` names, each of the same length.
fn pick<const N: usize>(names: [&str; N], averages: &[(String, Vec<f32>)]) -> Option<[Vec<f32>; N]> {
    let found = names.map(|name| averages.iter().find(|(n, _)| n == name).map(|(_, a)| a.clone()));
    let len = found.iter().flatten().map(Vec::len).next();
    found.iter().all(|a| a.as_ref().map(Vec::len) == len && len.is_some()).then(|| found.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::params::{Init, ParamId};

    fn one(role: Role, value: f32, grad: f32) -> (Params, ParamId) {
        let mut params = Params::default();
        let id = params.add(&mut ChaCha8Rng::seed_from_u64(0), "w", &[1], role, Init::Constant(value));
        params.grad_mut(id)[0] = grad;
        (params, id)
    }

    /// The optimiser moves the latent weight, not the binary one: 0.05 - 0.1 * 3 = -0.25, and the bit flips.
    /// Updating the binary value +1 would have given 0.7, and no flip.
    #[test]
    fn the_update_goes_to_the_latent_weight() {
        let (mut params, id) = one(Role::Latent, 0.05, 3.0);
        Sgd::new(0.0).step(&mut params, 0.1);
        assert!((params.value(id)[0] - -0.25).abs() < 1e-6);
        assert!(params.value(id)[0] < 0.0, "the bit flips");
        let (mut params, id) = one(Role::Latent, 1.0, 3.0);
        Sgd::new(0.0).step(&mut params, 0.1);
        assert!((params.value(id)[0] - 0.7).abs() < 1e-6 && params.value(id)[0] >= 0.0);
    }

    #[test]
    fn latent_weights_are_clipped_and_others_are_not() {
        for (role, expected) in [(Role::Latent, -1.0), (Role::Weight, -29.5)] {
            let (mut params, id) = one(role, 0.5, 3.0);
            Sgd::new(0.0).step(&mut params, 10.0);
            assert_eq!(params.value(id)[0], expected, "{role:?}");
        }
    }

    #[test]
    fn a_gradient_that_is_no_number_does_not_become_a_bit() {
        let optimizers: [Box<dyn Optimizer>; 3] = [
            Box::new(Sgd::new(0.9)),
            Box::<Adam>::default(),
            Box::new(Bop::new(0.1, 0.1, 0.1, Box::new(Sgd::new(0.0)))),
        ];
        for mut optimizer in optimizers {
            let (mut params, id) = one(Role::Latent, 0.5, f32::NAN);
            optimizer.step(&mut params, 0.1);
            assert!(params.value(id)[0].is_nan(), "{optimizer:?}");
        }
    }

    #[test]
    fn adams_first_step_is_the_learning_rate() {
        let (mut params, id) = one(Role::Weight, 1.0, 0.003);
        Adam::default().step(&mut params, 0.01);
        assert!((params.value(id)[0] - 0.99).abs() < 1e-5);
    }

    /// One step without a gradient at learning rate 0.1 and decay 0.5, from a value of 0.8: AdamW and SGD give
    /// 0.8 * (1 - 0.1 * 0.5) = 0.76, Adam a whole step of 0.1.
    #[test]
    fn weight_decay_is_of_real_weights_alone_unless_asked() {
        let cases = [
            (Role::Weight, false, [0.76, 0.76, 0.7]),
            (Role::Weight, true, [0.76, 0.76, 0.7]),
            (Role::Other, true, [0.8; 3]),
            (Role::Latent, false, [0.8; 3]),
            (Role::Latent, true, [0.76, 0.76, 0.7]),
        ];
        for (role, decay_latent, expected) in cases {
            let scope = Scope { decay: 0.5, decay_latent, ..Scope::default() };
            let sgd = Sgd::new(0.0).with_scope(scope);
            let adam = Adam::new(scope, false);
            let adamw = Adam::new(scope, true);
            let optimizers: [Box<dyn Optimizer>; 3] = [Box::new(sgd), Box::new(adamw), Box::new(adam)];
            for (mut optimizer, expected) in optimizers.into_iter().zip(expected) {
                let (mut params, id) = one(role, 0.8, 0.0);
                optimizer.step(&mut params, 0.1);
                let found = params.value(id)[0];
                assert!((found - expected).abs() < 1e-5, "{role:?} {decay_latent} {optimizer:?}: {found}");
            }
        }
    }

    #[test]
    fn a_latent_weight_that_is_spared_stays() {
        let scope = Scope { latent: false, ..Scope::default() };
        for (role, stays) in [(Role::Latent, true), (Role::Weight, false)] {
            let (mut params, id) = one(role, 0.8, 0.3);
            Adam::new(scope, false).step(&mut params, 0.1);
            assert_eq!(params.value(id)[0] == 0.8, stays, "{role:?}");
        }
    }

    #[test]
    fn momentum_adds_up() {
        let (mut params, id) = one(Role::Weight, 0.0, 1.0);
        let mut sgd = Sgd::new(0.5);
        sgd.step(&mut params, 0.1);
        sgd.step(&mut params, 0.1);
        assert!((params.value(id)[0] - -0.25).abs() < 1e-6, "0.1 + 0.1 * 1.5");
    }

    #[test]
    fn a_restored_optimiser_goes_on_as_the_first() {
        let (mut first, _) = one(Role::Weight, 1.0, 0.3);
        let mut adam = Adam::default();
        adam.step(&mut first, 0.1);
        let mut second = first.clone();
        let (steps, averages) = adam.state();
        let saved: Vec<_> = averages.iter().map(|(n, a)| (n.to_string(), a.to_vec())).collect();
        let mut restored = Adam::default();
        assert!(restored.restore(steps, &saved));
        adam.step(&mut first, 0.1);
        restored.step(&mut second, 0.1);
        assert_eq!(first.values(), second.values());
        assert!(!restored.restore(steps, &saved[..1]));
    }
}
