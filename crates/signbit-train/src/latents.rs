//! What is recorded of latent weights in an epoch: how many of their bits flipped, how many are saturated, and where the
//! numbers lie.

use crate::checkpoint::HISTOGRAM_BINS;
use crate::params::Params;

/// The numbers of each tensor of [`Params::latents`].
fn latents(params: &Params) -> impl Iterator<Item = &[f32]> {
    params.latents().map(|info| &params.values()[info.range.clone()])
}

/// How many bytes [`signs`] gives.
pub(crate) fn sign_bytes(params: &Params) -> usize {
    latents(params).map(|weights| weights.len().div_ceil(8)).sum()
}

/// The bits of all latent weights, 1 where the weight is at least 0; each tensor begins a byte, the lowest bit first.
pub(crate) fn signs(params: &Params) -> Vec<u8> {
    let byte = |weights: &[f32]| weights.iter().enumerate().fold(0, |b, (i, &w)| b | u8::from(w >= 0.0) << i);
    latents(params).flat_map(|weights| weights.chunks(8).map(byte)).collect()
}

/// For each latent tensor the share of its bits that differ from those in `before`, which [`signs`] gave.
pub(crate) fn flips(params: &Params, before: &[u8]) -> Vec<f32> {
    let now = signs(params);
    let (mut before, mut now) = (before, now.as_slice());
    let mut shares = Vec::new();
    for weights in latents(params) {
        let bytes = weights.len().div_ceil(8);
        let (old, rest) = before.split_at(bytes.min(before.len()));
        let (new, left) = now.split_at(bytes);
        (before, now) = (rest, left);
        let flipped: u32 = old.iter().zip(new).map(|(a, b)| (a ^ b).count_ones()).sum();
        shares.push(flipped as f32 / weights.len().max(1) as f32);
    }
    shares
}

/// From this magnitude on a latent weight counts as saturated: it has reached the clip at 1, or is as good as there.
const SATURATED: f32 = 0.99;

/// For each latent tensor the share of its weights that are saturated.
pub(crate) fn saturated(params: &Params) -> Vec<f32> {
    let share =
        |weights: &[f32]| weights.iter().filter(|w| w.abs() >= SATURATED).count() as f32 / weights.len().max(1) as f32;
    latents(params).map(share).collect()
}

/// How many latent weights lie in each of [`HISTOGRAM_BINS`] equal parts of [-1, 1]; empty where there is none.
pub(crate) fn histogram(params: &Params) -> Vec<u64> {
    let mut counts = vec![0; HISTOGRAM_BINS];
    let mut any = false;
    for &w in latents(params).flatten() {
        let bin = ((w + 1.0) / 2.0 * HISTOGRAM_BINS as f32) as usize;
        counts[bin.min(HISTOGRAM_BINS - 1)] += 1;
        any = true;
    }
    if any { counts } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::params::{Init, Role};

    fn params(values: &[f32]) -> Params {
        let mut params = Params::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        params.add(&mut rng, "a.bias", &[2], Role::Other, Init::Constant(0.5));
        let id = params.add(&mut rng, "a.weights", &[values.len()], Role::Latent, Init::Constant(0.0));
        params.value_mut(id).copy_from_slice(values);
        params.add(&mut rng, "b.weights", &[3], Role::Latent, Init::Constant(-0.1));
        params
    }

    #[test]
    fn flips_are_counted_per_tensor() {
        let before = signs(&params(&[0.5; 10]));
        let after = params(&[0.5, -0.5, 0.0, -0.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0]);
        assert_eq!(before, [0xff, 3, 0]);
        assert_eq!(flips(&after, &before), [0.2, 0.0]);
        assert_eq!(sign_bytes(&after), before.len());
    }

    #[test]
    fn weights_at_the_clip_are_saturated() {
        assert_eq!(saturated(&params(&[1.0, -1.0, 0.99, -0.98, 0.0])), [0.6, 0.0]);
    }

    #[test]
    fn every_latent_weight_is_in_one_bin() {
        let counts = histogram(&params(&[-1.0, -0.99, 0.0, 0.049, 0.96, 1.0]));
        assert_eq!(counts.len(), HISTOGRAM_BINS);
        assert_eq!((counts[0], counts[20], counts[39], counts.iter().sum::<u64>()), (2, 2, 2, 9));
        assert!(histogram(&Params::default()).is_empty());
    }
}
