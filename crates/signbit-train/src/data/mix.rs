//! Mixup and CutMix: two pictures of a batch become one, and so do their classes.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use signbit_model::Shape;

use super::Augmentation;

/// Sets the random numbers here apart from those of the same seed elsewhere.
const DOMAIN: u64 = 0x6d69_7869_6e67_0000;

impl Augmentation {
    /// Mixes each picture of a batch with its partner, the first with the last, the second with the last but one and so
    /// on (the order of the batch is random already), and returns the share of each picture that is its own; the rest
    /// is its partner's. 1: nothing was mixed.
    ///
    /// Mixup (Zhang et al. 2018, arXiv 1710.09412): x = share x + (1 - share) partner, the share from Beta(a, a).
    /// CutMix (Yun et al. 2019, arXiv 1905.04899): a rectangle comes from the partner; its area is 1 - Beta(a, a), less
    /// what of it lies outside of the picture. Where a recipe asks for both, each batch has one of them, with
    /// probability 1/2. All of it depends on `seed`, `epoch` and `step` alone.
    ///
    /// `batch` is `[n, h, w, c]` of `shape`.
    pub fn mix(&self, seed: u64, epoch: u32, step: usize, shape: Shape, batch: &mut [f32]) -> f32 {
        if self.mixup == 0.0 && self.cutmix == 0.0 {
            return 1.0;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ DOMAIN);
        rng.set_stream(u64::from(epoch) << 32 | step as u64 & 0xffff_ffff);
        let cut = rng.random::<bool>() && self.cutmix > 0.0 || self.mixup == 0.0;
        let share = beta(&mut rng, f64::from(if cut { self.cutmix } else { self.mixup }));
        if cut {
            return cut_mix(&mut rng, share, shape, batch);
        }
        let share = share as f32;
        each_pair(shape.elements(), batch, |first, second| {
            for (x, y) in first.iter_mut().zip(second) {
                (*x, *y) = (share * *x + (1.0 - share) * *y, share * *y + (1.0 - share) * *x);
            }
        });
        share
    }
}

/// The class that counts most in each picture of a batch that [`Augmentation::mix`] mixed.
pub(crate) fn main_classes(labels: &[u32], share: f32) -> impl Iterator<Item = u32> + '_ {
    let (own, partner) = (labels.iter(), labels.iter().rev());
    own.zip(partner).map(move |(&own, &partner)| if share >= 0.5 { own } else { partner })
}

/// Swaps one rectangle between all pairs.
fn cut_mix(rng: &mut ChaCha8Rng, share: f64, shape: Shape, batch: &mut [f32]) -> f32 {
    let Shape { h, w, c } = shape;
    let side = (1.0 - share).sqrt();
    let mut span = |length: usize| {
        let (middle, half) = (rng.random_range(0..length.max(1)), (length as f64 * side / 2.0).round() as usize);
        middle.saturating_sub(half)..(middle + half).min(length)
    };
    let (rows, columns) = (span(h), span(w));
    each_pair(shape.elements(), batch, |first, second| {
        for y in rows.clone() {
            let part = (y * w + columns.start) * c..(y * w + columns.end) * c;
            first[part.clone()].swap_with_slice(&mut second[part]);
        }
    });
    1.0 - (rows.len() * columns.len()) as f32 / (h * w).max(1) as f32
}

/// Calls `mix` with each picture and its partner; the middle one of an odd batch is its own partner and stays.
fn each_pair(sample: usize, batch: &mut [f32], mix: impl Fn(&mut [f32], &mut [f32])) {
    let (first, second) = batch.split_at_mut(batch.len() / sample.max(1) / 2 * sample);
    first.chunks_exact_mut(sample).zip(second.rchunks_exact_mut(sample)).for_each(|(first, second)| mix(first, second));
}

/// A number of Beta(a, a), 0 < a <= 1 (Joehnk 1964: of two powers of uniform numbers whose sum is at most 1, the first's
/// share).
fn beta(rng: &mut ChaCha8Rng, a: f64) -> f64 {
    loop {
        let (x, y) = (rng.random::<f64>().powf(1.0 / a), rng.random::<f64>().powf(1.0 / a));
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(4, 4, 2);

    /// Five pictures, each of one number, mixed.
    fn mixed(augmentation: Augmentation, step: usize) -> (f32, Vec<f32>) {
        let mut batch: Vec<f32> = (0..5).flat_map(|i| [10.0_f32.powi(i); 32]).collect();
        let share = augmentation.mix(3, 1, step, SHAPE, &mut batch);
        (share, batch)
    }

    #[test]
    fn mixup_is_the_share_of_both() {
        let (share, batch) = mixed(Augmentation { mixup: 0.8, ..Augmentation::default() }, 0);
        assert!(share > 0.0 && share < 1.0);
        for (i, picture) in batch.chunks_exact(32).enumerate() {
            let expected = share * 10.0_f32.powi(i as i32) + (1.0 - share) * 10.0_f32.powi(4 - i as i32);
            assert!(picture.iter().all(|x| (x - expected).abs() < 1e-3 * expected), "{i}: {picture:?}");
        }
    }

    #[test]
    fn cutmix_is_a_rectangle_of_the_partner() {
        let mut shares = std::collections::BTreeSet::new();
        for step in 0..100 {
            let (share, batch) = mixed(Augmentation { cutmix: 1.0, ..Augmentation::default() }, step);
            shares.insert((share * 16.0) as u32);
            for (i, picture) in batch.chunks_exact(32).enumerate() {
                let (own, partner) = (10.0_f32.powi(i as i32), 10.0_f32.powi(4 - i as i32));
                let kept = picture.iter().filter(|x| **x == own).count();
                let taken = picture.iter().filter(|x| **x == partner).count();
                let expected = if i == 2 { (32, 32) } else { ((share * 32.0) as usize, 32 - (share * 32.0) as usize) };
                assert_eq!((kept, taken), expected, "step {step}, picture {i}: {share}");
            }
        }
        assert!(shares.len() > 6, "{shares:?}");
    }

    #[test]
    fn a_step_has_one_of_both_and_always_the_same() {
        let both = Augmentation { mixup: 0.5, cutmix: 1.0, ..Augmentation::default() };
        let of = |step| mixed(both, step);
        assert_eq!(of(4), of(4));
        let plain: Vec<f32> = (0..5).map(|i| 10.0_f32.powi(i)).collect();
        let cut = (0..100).filter(|&step| of(step).1.iter().all(|x| plain.contains(x))).count();
        assert!((30..=70).contains(&cut), "{cut}");
        let none = mixed(Augmentation::default(), 0);
        assert!(none.0 == 1.0 && none.1.chunks_exact(32).zip(plain).all(|(picture, x)| picture == [x; 32]));
    }

    #[test]
    fn beta_has_its_mean_and_variance() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for a in [0.01, 0.2, 1.0] {
            let found: Vec<f64> = (0..4000).map(|_| beta(&mut rng, a)).collect();
            let mean = found.iter().sum::<f64>() / 4000.0;
            let variance = found.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 4000.0;
            let expected = 1.0 / (4.0 * (2.0 * a + 1.0));
            assert!((mean - 0.5).abs() < 0.03 && (variance - expected).abs() < 0.02, "{a}: {mean} {variance}");
        }
    }

    #[test]
    fn the_larger_share_names_the_class() {
        assert_eq!(main_classes(&[1, 2, 3], 0.7).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(main_classes(&[1, 2, 3], 0.3).collect::<Vec<_>>(), [3, 2, 1]);
    }
}
