//! A part of a picture, stretched to its full size.

use signbit_model::Shape;

/// The part from `start`, whose sides are `side` of the picture's; shares of its height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) start: [f32; 2],
    pub(super) side: f32,
}

impl Part {
    /// Writes the part of `pixels` `[h, w, c]` to all of `out`, by bilinear interpolation between the centres of pixels.
    pub(super) fn stretch(self, shape: Shape, pixels: &[u8], out: &mut [u8]) {
        let Shape { h, w, c } = shape;
        for (y, row) in out.chunks_exact_mut((w * c).max(1)).enumerate() {
            let (above, below, dy) = self.between(0, y, h);
            for (x, pixel) in row.chunks_exact_mut(c).enumerate() {
                let (left, right, dx) = self.between(1, x, w);
                for (i, p) in pixel.iter_mut().enumerate() {
                    let at = |y: usize, x: usize| f32::from(pixels[(y * w + x) * c + i]);
                    let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
                    let (top, bottom) =
                        (mix(at(above, left), at(above, right), dx), mix(at(below, left), at(below, right), dx));
                    *p = mix(top, bottom, dy).round() as u8;
                }
            }
        }
    }

    /// The two pixels of `len` between whose centres that of output pixel `i` lies, and the share of the second.
    fn between(self, axis: usize, i: usize, len: usize) -> (usize, usize, f32) {
        let at = self.start[axis] * len as f32 + (i as f32 + 0.5) * self.side - 0.5;
        let at = at.clamp(0.0, (len - 1) as f32);
        let first = at as usize;
        (first, (first + 1).min(len - 1), at - first as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(2, 4, 1);
    const PICTURE: [u8; 8] = [0, 40, 80, 120, 100, 140, 180, 220];

    fn stretched(start: [f32; 2], side: f32) -> [u8; 8] {
        let mut out = [1; 8];
        Part { start, side }.stretch(SHAPE, &PICTURE, &mut out);
        out
    }

    #[test]
    fn the_whole_is_the_picture() {
        assert_eq!(stretched([0.0, 0.0], 1.0), PICTURE);
    }

    #[test]
    fn a_quarter_is_twice_as_large() {
        // Centres at -0.25 (cut off), 0.25, 0.75 and 1.25 of the width, at 0 and 0.25 of the height.
        assert_eq!(stretched([0.0, 0.0], 0.5), [0, 10, 30, 50, 25, 35, 55, 75]);
        assert_eq!(stretched([0.5, 0.5], 0.5), [145, 165, 185, 195, 170, 190, 210, 220]);
    }

    #[test]
    fn one_pixel_is_itself() {
        let mut out = [0; 3];
        Part { start: [0.3, 0.1], side: 0.5 }.stretch(Shape::new(1, 1, 3), &[1, 2, 3], &mut out);
        assert_eq!(out, [1, 2, 3]);
    }
}
