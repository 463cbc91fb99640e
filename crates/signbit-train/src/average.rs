//! Exponential moving averages of what is trained, for evaluation and packing.

use rayon::prelude::*;

use crate::params::{ParamInfo, Role};

/// Numbers per task.
const CHUNK: usize = 32 * 1024;

/// The averages of real parameters and running statistics, in the layout of a [`crate::params::Params`].
///
/// Latent weights are not averaged: their signs at a step are what batch norm's numbers and the real layers have learnt
/// to go with, and the signs of a mean would be a set of bits that was never trained.
///
/// Averages and trained numbers change places; whoever evaluates, packs or saves finds the averages in use.
#[derive(Clone, Debug)]
pub(crate) struct Average {
    decay: f32,
    /// Whether the averages are in use, and the trained numbers here.
    pub(crate) in_use: bool,
    pub(crate) values: Vec<f32>,
    pub(crate) states: Vec<f32>,
}

impl Average {
    /// Averages that begin with the numbers as they are.
    pub(crate) fn new(decay: f32, infos: &[ParamInfo], values: &[f32], states: &[f32]) -> Self {
        let mut own = vec![0.0; values.len()];
        averaged(infos).for_each(|info| own[info.range.clone()].copy_from_slice(&values[info.range.clone()]));
        Self { decay, in_use: false, values: own, states: states.into() }
    }

    /// average = d * average + (1 - d) * number after step `step`, counted from 1, with d = min(decay, step / (step + 9)):
    /// the initial values have no weight for longer than there are others.
    pub(crate) fn follow(&mut self, step: u64, infos: &[ParamInfo], values: &[f32], states: &[f32]) {
        let rate = 1.0 - self.decay.min((step as f64 / (step as f64 + 9.0)) as f32);
        let toward = |averages: &mut [f32], numbers: &[f32]| {
            averages.par_chunks_mut(CHUNK).zip(numbers.par_chunks(CHUNK)).for_each(|(averages, numbers)| {
                averages.iter_mut().zip(numbers).for_each(|(a, x)| *a += rate * (x - *a));
            });
        };
        averaged(infos).for_each(|i| toward(&mut self.values[i.range.clone()], &values[i.range.clone()]));
        toward(&mut self.states, states);
    }

    /// Puts the averages in use, or the trained numbers back.
    pub(crate) fn put(&mut self, in_use: bool, infos: &[ParamInfo], values: &mut [f32], states: &mut [f32]) {
        if self.in_use != in_use {
            self.in_use = in_use;
            averaged(infos).for_each(|i| values[i.range.clone()].swap_with_slice(&mut self.values[i.range.clone()]));
            states.swap_with_slice(&mut self.states);
        }
    }
}

/// The tensors that are averaged.
pub(crate) fn averaged(infos: &[ParamInfo]) -> impl Iterator<Item = &ParamInfo> {
    infos.iter().filter(|info| info.role != Role::Latent)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use crate::params::{Init, Params, Role};

    #[test]
    fn averages_follow_and_change_places() {
        let mut params = Params::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let latent = params.add(&mut rng, "a", &[1], Role::Latent, Init::Constant(0.5));
        let real = params.add(&mut rng, "b", &[1], Role::Weight, Init::Constant(1.0));
        let state = params.add_state("c", 1, 2.0);
        params.begin_average(0.5);
        let set = |params: &mut Params, w: f32, step| {
            params.value_mut(latent)[0] = w;
            params.value_mut(real)[0] = w;
            params.state_mut(state)[0] = w;
            params.follow_average(step);
        };
        // d = 0.1: 1 becomes 0.1 * 1 + 0.9 * 0, and 2 becomes 0.2.
        set(&mut params, 0.0, 1);
        // d = 0.5, the decay: 0.1 becomes 0.45, and 0.2 becomes 0.5.
        set(&mut params, 0.8, 1000);
        let numbers = |p: &Params| [p.value(latent)[0], p.value(real)[0], p.state(state)[0]];
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        for _ in 0..2 {
            params.use_average(true);
            assert!(close(numbers(&params), [0.8, 0.45, 0.5]), "{:?}", numbers(&params));
        }
        params.use_average(false);
        assert!(close(numbers(&params), [0.8; 3]), "{:?}", numbers(&params));
    }
}
