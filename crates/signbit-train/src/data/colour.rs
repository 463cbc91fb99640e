//! Changes of brightness, contrast and saturation, of one picture in bytes.

use signbit_model::Shape;

/// Shares of red, green and blue in grey (ITU-R BT.601).
const GREY: [f32; 3] = [0.299, 0.587, 0.114];

/// Factors of each, 1 for none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factors {
    pub(super) brightness: f32,
    pub(super) contrast: f32,
    pub(super) saturation: f32,
}

impl Factors {
    /// Changes `pixels` `[h, w, c]`, one factor after the other, rounded and cut off at 0 and 255 each time: brightness is a
    /// factor of the numbers, contrast of their distance from the picture's mean grey, saturation of that from the
    /// pixel's own grey. The latter is for pictures of 3 channels; grey is the mean of the channels in others.
    pub(super) fn apply(self, shape: Shape, pixels: &mut [u8]) {
        let c = shape.c;
        if self.brightness != 1.0 {
            pixels.iter_mut().for_each(|p| *p = byte(f32::from(*p) * self.brightness));
        }
        if self.contrast != 1.0 {
            let sum: f64 = pixels.chunks_exact(c).map(|pixel| f64::from(grey(pixel))).sum();
            let mean = (sum / (shape.h * shape.w).max(1) as f64) as f32;
            pixels.iter_mut().for_each(|p| *p = away(mean, *p, self.contrast));
        }
        if self.saturation != 1.0 && c == GREY.len() {
            for pixel in pixels.chunks_exact_mut(c) {
                let grey = grey(pixel);
                pixel.iter_mut().for_each(|p| *p = away(grey, *p, self.saturation));
            }
        }
    }
}

fn grey(pixel: &[u8]) -> f32 {
    match pixel {
        &[red, green, blue] => [red, green, blue].into_iter().zip(GREY).map(|(p, share)| f32::from(p) * share).sum(),
        _ => pixel.iter().map(|&p| f32::from(p)).sum::<f32>() / pixel.len() as f32,
    }
}

/// As far from `middle` as `p` is, times `factor`.
fn away(middle: f32, p: u8, factor: f32) -> u8 {
    byte(middle + (f32::from(p) - middle) * factor)
}

/// The cast cuts off at 0 and 255.
fn byte(p: f32) -> u8 {
    p.round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Factors = Factors { brightness: 1.0, contrast: 1.0, saturation: 1.0 };
    /// Two pixels of mean grey 100 and 50.
    const PICTURE: [u8; 6] = [100, 100, 100, 200, 0, 0];

    fn changed(factors: Factors, shape: Shape, mut pixels: Vec<u8>) -> Vec<u8> {
        factors.apply(shape, &mut pixels);
        pixels
    }

    #[test]
    fn contrast_is_around_the_mean_grey() {
        let half = Factors { contrast: 0.5, ..NONE };
        assert_eq!(changed(half, Shape::new(1, 3, 1), vec![0, 100, 200]), [50, 100, 150]);
        let twice = Factors { contrast: 2.0, ..NONE };
        assert_eq!(changed(twice, Shape::new(1, 3, 1), vec![0, 100, 200]), [0, 100, 255]);
        // Greys 100 and 59.8, of which the mean is 79.9.
        assert_eq!(changed(half, Shape::new(1, 2, 3), PICTURE.to_vec()), [90, 90, 90, 140, 40, 40]);
    }

    #[test]
    fn saturation_is_around_the_pixels_grey() {
        let grey = Factors { saturation: 0.0, ..NONE };
        assert_eq!(changed(grey, Shape::new(1, 2, 3), PICTURE.to_vec()), [100, 100, 100, 60, 60, 60]);
        assert_eq!(changed(grey, Shape::new(1, 3, 2), PICTURE.to_vec()), PICTURE);
    }

    #[test]
    fn factors_of_one_change_nothing_and_brightness_is_a_factor() {
        assert_eq!(changed(NONE, Shape::new(1, 2, 3), PICTURE.to_vec()), PICTURE);
        let more = Factors { brightness: 1.5, ..NONE };
        assert_eq!(changed(more, Shape::new(1, 2, 3), PICTURE.to_vec()), [150, 150, 150, 255, 0, 0]);
    }
}
