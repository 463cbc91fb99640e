//! Augmentation: training pictures changed at random, anew in every epoch.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use signbit_model::Shape;

use crate::range::OutOfRange;

/// Sets the random numbers here apart from those of the same seed elsewhere.
const DOMAIN: u64 = 0x6175_676d_656e_7400;
/// Furthest shift.
const MAX_SHIFT: u32 = 1024;

/// How training pictures are changed before each use. All zero and false: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augmentation {
    /// Mirror half of the pictures left to right.
    pub flip: bool,
    /// Move by up to so many pixels in both directions; what comes in from outside is black.
    pub shift: u32,
    /// Change the brightness by up to this share, 0 to 1.
    pub brightness: f32,
    /// Mixup's a in Beta(a, a), at most 1; 0 for none. See [`Augmentation::mix`].
    pub mixup: f32,
    /// CutMix's a, the same.
    pub cutmix: f32,
}

impl Augmentation {
    /// Whether it changes no single picture; mixing is of two.
    pub fn is_none(&self) -> bool {
        Self { mixup: 0.0, cutmix: 0.0, ..*self } == Self::default()
    }

    /// Checks every number.
    ///
    /// # Errors
    /// Names the one that is out of range.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        OutOfRange::unless(self.shift <= MAX_SHIFT, "shift of the augmentation", self.shift, "at most 1024")?;
        let (brightness, ok) = (self.brightness, (0.0..=1.0).contains(&self.brightness));
        OutOfRange::unless(ok, "brightness of the augmentation", brightness, "from 0 to 1")?;
        for (what, a) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            OutOfRange::unless((0.0..=1.0).contains(&a), what, a, "from 0 (none) to 1")?;
        }
        Ok(())
    }

    /// Changes one picture: `pixels` and `out` are `[h, w, c]` of `shape`. Mirrors with probability 1/2, moves by a
    /// whole number of pixels per direction, multiplies by a factor from 1 - brightness to 1 + brightness (rounded,
    /// cut off at 255). All of it depends on `seed`, `epoch` and the sample's `index` alone: not on the batch, the
    /// thread, or what came before.
    ///
    /// # Panics
    /// Where a length is not the shape's, or [`Augmentation::validate`] does not hold.
    pub fn apply(&self, seed: u64, epoch: u32, index: usize, shape: Shape, pixels: &[u8], out: &mut [u8]) {
        let Shape { h, w, c } = shape;
        assert!(pixels.len() == shape.elements() && out.len() == pixels.len(), "a picture is {shape}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ DOMAIN);
        rng.set_stream(u64::from(epoch) << 32 | index as u64 & 0xffff_ffff);
        let flip = rng.random::<bool>() && self.flip;
        let shift = i64::from(self.shift);
        let (down, right) = (rng.random_range(-shift..=shift), rng.random_range(-shift..=shift));
        let factor = 1.0 + self.brightness * rng.random_range(-1.0_f32..=1.0);
        for (y, row) in out.chunks_exact_mut((w * c).max(1)).enumerate() {
            let from_y = usize::try_from(y as i64 - down).ok().filter(|&y| y < h);
            for (x, pixel) in row.chunks_exact_mut(c).enumerate() {
                let from_x = usize::try_from(x as i64 - right).ok().filter(|&x| x < w);
                let (Some(y), Some(x)) = (from_y, from_x) else {
                    pixel.fill(0);
                    continue;
                };
                let x = if flip { w - 1 - x } else { x };
                pixel.copy_from_slice(&pixels[(y * w + x) * c..][..c]);
            }
        }
        if self.brightness > 0.0 {
            // The cast cuts off at 0 and 255.
            out.iter_mut().for_each(|p| *p = (f32::from(*p) * factor).round() as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHAPE: Shape = Shape::new(3, 3, 1);
    const PICTURE: [u8; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];

    /// The picture in the first 200 epochs.
    fn epochs(augmentation: Augmentation, shape: Shape, picture: &[u8]) -> Vec<Vec<u8>> {
        let changed = |epoch| {
            let mut out = vec![1; picture.len()];
            augmentation.apply(7, epoch, 5, shape, picture, &mut out);
            out
        };
        (0..200).map(changed).collect()
    }

    fn none() -> Augmentation {
        Augmentation::default()
    }

    #[test]
    fn nothing_changes_nothing() {
        assert!(none().is_none() && epochs(none(), SHAPE, &PICTURE).iter().all(|p| *p == PICTURE));
        assert!(!Augmentation { shift: 1, ..none() }.is_none());
    }

    #[test]
    fn about_half_of_the_pictures_are_mirrored() {
        let colour = Shape::new(1, 2, 3);
        let found = epochs(Augmentation { flip: true, ..none() }, colour, &[1, 2, 3, 4, 5, 6]);
        let mirrored = found.iter().filter(|p| **p == [4, 5, 6, 1, 2, 3]).count();
        assert_eq!(found.iter().filter(|p| **p == [1, 2, 3, 4, 5, 6]).count() + mirrored, 200);
        assert!((70..=130).contains(&mirrored), "{mirrored}");
    }

    #[test]
    fn every_shift_happens_and_the_rest_is_black() {
        let found: BTreeSet<_> = epochs(Augmentation { shift: 1, ..none() }, SHAPE, &PICTURE).into_iter().collect();
        assert_eq!(found.len(), 9);
        assert!(found.contains(&vec![0, 0, 0, 0, 10, 20, 0, 40, 50]), "down and right");
        assert!(found.contains(&vec![50, 60, 0, 80, 90, 0, 0, 0, 0]), "up and left");
        // Further than the picture is large.
        assert!(epochs(Augmentation { shift: 60_000, ..none() }, SHAPE, &PICTURE).iter().any(|p| *p == [0; 9]));
    }

    #[test]
    fn brightness_stays_within_its_share() {
        let found = epochs(Augmentation { brightness: 0.5, ..none() }, Shape::new(1, 3, 1), &[100, 255, 0]);
        let of = |i: usize| found.iter().map(|p| p[i]).collect::<BTreeSet<_>>();
        let middle = of(0);
        assert!(*middle.first().unwrap() >= 50 && *middle.last().unwrap() <= 150 && middle.len() > 50, "{middle:?}");
        assert!(*middle.first().unwrap() < 60 && *middle.last().unwrap() > 140, "{middle:?}");
        assert_eq!((of(1).last(), of(2).len()), (Some(&255), 1));
    }

    #[test]
    fn seed_epoch_and_index_decide_and_nothing_else() {
        let augmentation = Augmentation { flip: true, shift: 2, brightness: 0.3, ..none() };
        let of = |seed, epoch, index| {
            let mut out = [0; 9];
            augmentation.apply(seed, epoch, index, SHAPE, &PICTURE, &mut out);
            out
        };
        let first = of(1, 2, 3);
        assert_eq!((of(1, 2, 3), of(1, 2, 3)), (first, first));
        let others = [of(2, 2, 3), of(1, 3, 3), of(1, 2, 4), of(1, 3, 2)];
        assert!(others.iter().all(|other| *other != first), "{others:?}");
    }

    #[test]
    fn numbers_out_of_range() {
        for brightness in [-0.1, 1.1, f32::NAN] {
            let error = Augmentation { brightness, ..none() }.validate().unwrap_err().to_string();
            assert!(error.contains("brightness") && error.contains("from 0 to 1"), "{error}");
        }
        assert!(Augmentation { shift: 70_000, ..none() }.validate().is_err());
        assert!(Augmentation { mixup: 1.5, ..none() }.validate().unwrap_err().to_string().contains("mixup is 1.5"));
        assert!(Augmentation { cutmix: f32::NAN, ..none() }.validate().is_err());
        let most = Augmentation { flip: true, shift: 4, brightness: 1.0, mixup: 1.0, cutmix: 1.0 };
        assert!(most.validate().is_ok());
    }
}
