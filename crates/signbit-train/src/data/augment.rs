//! Augmentation: training pictures changed at random, anew in every epoch.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use signbit_model::Shape;

use super::colour::Factors;
use super::zoom::Part;
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
    /// Stretch a part whose sides are from this share less than the picture's to all of it, 0 to below 1.
    pub zoom: f32,
    /// Change the brightness by up to this share, 0 to 1.
    pub brightness: f32,
    /// Change the contrast by up to this share, 0 to 1.
    pub contrast: f32,
    /// Change the saturation by up to this share, 0 to 1; of pictures of 3 channels.
    pub saturation: f32,
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
        let zoom = self.zoom;
        OutOfRange::unless((0.0..1.0).contains(&zoom), "zoom of the augmentation", zoom, "from 0 to below 1")?;
        for (what, share) in [
            ("brightness of the augmentation", self.brightness),
            ("contrast of the augmentation", self.contrast),
            ("saturation of the augmentation", self.saturation),
        ] {
            OutOfRange::unless((0.0..=1.0).contains(&share), what, share, "from 0 to 1")?;
        }
        for (what, a) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            OutOfRange::unless((0.0..=1.0).contains(&a), what, a, "from 0 (none) to 1")?;
        }
        Ok(())
    }

    /// Changes one picture: `pixels` and `out` are `[h, w, c]` of `shape`. Stretches a part with sides of 1 - zoom to 1, from
    /// anywhere, to the whole (bilinear); mirrors with probability 1/2; moves by a whole number of pixels per direction; then
    /// multiplies by a factor from 1 - brightness to 1 + brightness, the distance from the mean grey by one of
    /// contrast, that from each pixel's grey by one of saturation (rounded, cut off at 0 and 255). All of it depends on `seed`,
    /// `epoch` and the sample's `index` alone: not on the batch, the thread, or what came before.
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
        let mut factor = |share: f32| 1.0 + share * rng.random_range(-1.0_f32..=1.0);
        let (brightness, contrast, saturation) =
            (factor(self.brightness), factor(self.contrast), factor(self.saturation));
        let mut stretched = vec![];
        let mut pixels = pixels;
        if self.zoom > 0.0 {
            let side = 1.0 - self.zoom * rng.random::<f32>();
            let start = [rng.random::<f32>() * (1.0 - side), rng.random::<f32>() * (1.0 - side)];
            stretched.resize(pixels.len(), 0);
            Part { start, side }.stretch(shape, pixels, &mut stretched);
            pixels = &stretched;
        }
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
        Factors { brightness, contrast, saturation }.apply(shape, out);
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
    fn a_part_is_stretched() {
        let found = epochs(Augmentation { zoom: 0.9, ..none() }, SHAPE, &PICTURE);
        assert!(found.iter().collect::<BTreeSet<_>>().len() > 100);
        // Rows and columns stay in order, and nothing comes from outside.
        for picture in found {
            assert!(picture.chunks(3).all(<[u8]>::is_sorted) && picture[0] >= 10 && picture[8] <= 90, "{picture:?}");
            assert!((0..6).all(|i| picture[i] <= picture[i + 3]), "{picture:?}");
        }
    }

    #[test]
    fn contrast_and_saturation_stay_within_their_shares() {
        let colour = Shape::new(1, 2, 3);
        let picture = [90, 100, 110, 200, 100, 0];
        for augmentation in [Augmentation { contrast: 0.5, ..none() }, Augmentation { saturation: 0.5, ..none() }] {
            let found = epochs(augmentation, colour, &picture);
            let spread = |p: &Vec<u8>| p[3] - p[5];
            let (least, most) = (found.iter().map(spread).min().unwrap(), found.iter().map(spread).max().unwrap());
            assert!((95..120).contains(&least) && most > 220, "{augmentation:?}: {least} to {most}");
        }
    }

    #[test]
    fn seed_epoch_and_index_decide_and_nothing_else() {
        let augmentation = Augmentation { flip: true, shift: 2, zoom: 0.2, brightness: 0.3, contrast: 0.1, ..none() };
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
        assert!(Augmentation { zoom: 1.0, ..none() }.validate().unwrap_err().to_string().contains("zoom"));
        assert!(Augmentation { contrast: 1.5, ..none() }.validate().unwrap_err().to_string().contains("contrast"));
        assert!(Augmentation { saturation: -1.0, ..none() }.validate().is_err());
        assert!(Augmentation { mixup: 1.5, ..none() }.validate().unwrap_err().to_string().contains("mixup is 1.5"));
        assert!(Augmentation { cutmix: f32::NAN, ..none() }.validate().is_err());
        let colours = Augmentation { brightness: 1.0, contrast: 1.0, saturation: 1.0, ..none() };
        let most = Augmentation { flip: true, shift: 4, zoom: 0.9, mixup: 1.0, cutmix: 1.0, ..colours };
        assert!(most.validate().is_ok());
    }
}
