//! How a picture becomes the network's input.
//!
//! A [`Preprocessing`] is part of the model, so that a file can be run on pictures without further
//! knowledge. This module converts pixels; pictures of another size are brought to the network's by the module
//! `picture` (feature `image`), as the [`Resize`] that stands here says.

use serde::{Deserialize, Serialize};

use crate::Shape;
use crate::error::{ModelError, PreprocessingError};

/// The filter that resizes a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeFilter {
    /// The nearest pixel.
    Nearest,
    /// A triangle: linear in both directions.
    Bilinear,
    /// Catmull and Rom's cubic.
    Bicubic,
    /// Lanczos' with a window of 3.
    Lanczos3,
}

/// How a picture of another size is brought to the network's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// The filter.
    pub filter: ResizeFilter,
    /// Keep the proportions and cut the centre out, instead of stretching.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crop: bool,
}

/// The brightness of a colour by the weights of ITU-R BT.601, rounded:
/// `(299 r + 587 g + 114 b + 500) / 1000`.
#[must_use]
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
    // The weights add up to 1000, so that the quotient is at most 255.
    ((sum + 500) / 1000) as u8
}

/// From the bytes of a picture to the network's input:
/// `y = pixel * scale[c] + shift[c]`, with the pixel a number from 0 to 255 and two roundings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// What is done with pictures of another size; `None`: they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resize: Option<Resize>,
    /// One factor per channel.
    #[serde(with = "exact_f32s")]
    pub scale: Vec<f32>,
    /// One summand per channel.
    #[serde(with = "exact_f32s")]
    pub shift: Vec<f32>,
}

impl Preprocessing {
    /// The shape of the network's input.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { h: self.height, w: self.width, c: self.channels }
    }

    /// Checks the number of channels, one finite scale and shift for each.
    ///
    /// # Errors
    /// [`PreprocessingError::Channels`], [`PreprocessingError::Length`], [`PreprocessingError::NotFinite`].
    pub fn validate(&self) -> Result<(), PreprocessingError> {
        let channels = self.channels;
        if channels != 1 && channels != 3 {
            return Err(PreprocessingError::Channels { found: channels });
        }
        let (scale, shift) = (self.scale.len(), self.shift.len());
        if scale != channels || shift != channels {
            return Err(PreprocessingError::Length { channels, scale, shift });
        }
        if !self.scale.iter().chain(&self.shift).all(|v| v.is_finite()) {
            return Err(PreprocessingError::NotFinite);
        }
        Ok(())
    }

    /// Converts one picture: `pixels` and `out` are `[height, width, channels]`.
    ///
    /// # Errors
    /// [`PreprocessingError::PictureLength`] where a length is wrong, and what
    /// [`Preprocessing::validate`] finds.
    pub fn apply(&self, pixels: &[u8], out: &mut [f32]) -> Result<(), ModelError> {
        self.validate()?;
        let expected = self.shape().elements();
        if pixels.len() != expected || out.len() != expected {
            let (pixels, out) = (pixels.len(), out.len());
            return Err(PreprocessingError::PictureLength { expected, pixels, out }.into());
        }
        let per_channel = self.scale.iter().zip(&self.shift).cycle();
        for ((y, &pixel), (scale, shift)) in out.iter_mut().zip(pixels).zip(per_channel) {
            *y = f32::from(pixel) * scale + shift;
        }
        Ok(())
    }
}

/// A list of `f32`, each as the digits of the same number in `f64`: both directions are exact.
mod exact_f32s {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(|&v| f64::from(v)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let values = Vec::<f64>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|v| v as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb() -> Preprocessing {
        Preprocessing {
            channels: 3,
            height: 1,
            width: 2,
            resize: None,
            scale: vec![1.0, 0.5, 2.0],
            shift: vec![0.0, -1.0, 10.0],
        }
    }

    #[test]
    fn scales_and_shifts_each_channel() {
        let mut out = [0.0; 6];
        rgb().apply(&[0, 1, 2, 255, 254, 253], &mut out).unwrap();
        assert_eq!(out, [0.0, -0.5, 14.0, 255.0, 126.0, 516.0]);
    }

    #[test]
    fn a_resize_without_a_crop_is_written_as_ever() {
        let written = |crop| serde_json::to_string(&Resize { filter: ResizeFilter::Bilinear, crop }).unwrap();
        let (plain, crop) = (r#"{"filter":"bilinear"}"#, r#"{"filter":"bilinear","crop":true}"#);
        assert_eq!([written(false), written(true)], [plain, crop]);
        let read = |text| serde_json::from_str::<Resize>(text).unwrap().crop;
        assert_eq!([read(plain), read(crop)], [false, true]);
    }

    #[test]
    fn luma_is_exact_at_the_corners() {
        assert_eq!([[0; 3], [255; 3], [255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma), [0, 255, 76, 150, 29]);
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for (pixels, out) in [(5, 6), (6, 5), (0, 0), (12, 12)] {
            let found = rgb().apply(&vec![0; pixels], &mut vec![0.0; out]);
            let expected = PreprocessingError::PictureLength { expected: 6, pixels, out };
            assert!(matches!(found, Err(ModelError::Preprocessing(e)) if e == expected));
        }
    }

    #[test]
    fn contradictions_are_refused() {
        let two = Preprocessing { channels: 2, ..rgb() };
        assert_eq!(two.validate(), Err(PreprocessingError::Channels { found: 2 }));
        let short = Preprocessing { shift: vec![0.0], ..rgb() };
        assert_eq!(short.validate(), Err(PreprocessingError::Length { channels: 3, scale: 3, shift: 1 }));
        let infinite = Preprocessing { scale: vec![1.0, f32::INFINITY, 1.0], ..rgb() };
        assert_eq!(infinite.validate(), Err(PreprocessingError::NotFinite));
    }
}
