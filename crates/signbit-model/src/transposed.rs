//! The geometry of a transposed convolution, and the size it makes.

use serde::{Deserialize, Serialize};

use crate::error::GeometryError;
use crate::geometry::{are_ones, are_zeros, extent, ones};
use crate::limits::MAX_GEOMETRY;

/// The geometry of a transposed convolution over height and width. Pairs are `[height, width]`.
///
/// Input row `y` and kernel row `ky` add to output row `y * stride + ky * dilation - top`; what would be added
/// outside of the output is dropped. Columns are the same. Kernels are not mirrored: it is the transpose of the
/// convolution of [`crate::Geometry`] with the same numbers, as PyTorch, TensorFlow and ONNX have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransposedGeometry {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between the outputs of neighbouring inputs. In a file, steps of 1 and pads of 0 are left out.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub stride: [usize; 2],
    /// Step between neighbouring taps; 1 is a dense kernel.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub dilation: [usize; 2],
    /// Rows and columns cut off the output: top, left, bottom, right.
    #[serde(default, skip_serializing_if = "are_zeros")]
    pub pads: [usize; 4],
    /// Rows and columns added to the output, below and to the right.
    #[serde(default, skip_serializing_if = "none_added")]
    pub output_padding: [usize; 2],
}

fn none_added(rows: &[usize; 2]) -> bool {
    *rows == [0, 0]
}

impl TransposedGeometry {
    /// Nothing cut off or added.
    #[must_use]
    pub const fn valid(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Self {
        Self { kernel, stride, dilation, pads: [0; 4], output_padding: [0; 2] }
    }

    /// The geometry whose output for an input of `h x w` has `size` rows and columns, with the pads at the top and
    /// on the left given: the others follow, where there is such a geometry. `None` where there is none.
    #[must_use]
    pub fn of_size(self, (h, w): (usize, usize), size: [usize; 2], top_left: [usize; 2]) -> Option<Self> {
        let mut geometry = self;
        for (i, input) in [h, w].into_iter().enumerate() {
            let full = self.full(i, input)?;
            let end = size[i].checked_add(top_left[i])?;
            geometry.pads[i] = top_left[i];
            geometry.pads[i + 2] = full.saturating_sub(end);
            geometry.output_padding[i] = end.saturating_sub(full);
        }
        Some(geometry).filter(|geometry| geometry.output_size(h, w) == Ok((size[0], size[1])))
    }

    /// The output size for an input of `h x w`:
    /// `(h - 1) * stride + (kernel - 1) * dilation + 1 + output_padding - top - bottom` rows.
    ///
    /// # Errors
    /// [`GeometryError::Zero`] and [`GeometryError::TooLarge`] for a number out of range,
    /// [`GeometryError::CutAway`] where the pads leave nothing.
    pub fn output_size(&self, h: usize, w: usize) -> Result<(usize, usize), GeometryError> {
        let positive = || self.kernel.iter().chain(&self.stride).chain(&self.dilation);
        if positive().any(|&v| v == 0) {
            return Err(GeometryError::Zero);
        }
        if positive().chain(&self.pads).chain(&self.output_padding).any(|&v| v > MAX_GEOMETRY) {
            return Err(GeometryError::TooLarge);
        }
        Ok((self.axis(0, h)?, self.axis(1, w)?))
    }

    fn axis(&self, i: usize, size: usize) -> Result<usize, GeometryError> {
        let cut = self.pads[i] + self.pads[i + 2];
        let full = self.full(i, size).and_then(|full| full.checked_add(self.output_padding[i]));
        let full = full.ok_or(GeometryError::TooLarge)?;
        full.checked_sub(cut).filter(|&out| out > 0).ok_or(GeometryError::CutAway { full, cut })
    }

    /// The rows that inputs reach before any are cut off or added; `None` where they are too many to count.
    fn full(&self, i: usize, size: usize) -> Option<usize> {
        let steps = size.checked_sub(1)?.checked_mul(self.stride[i])?;
        steps.checked_add(extent(self.kernel[i], self.dilation[i]))
    }

    /// The input row that output row `y` reads at kernel row `ky`, or `None` where there is none; `h` is the
    /// input's height.
    #[must_use]
    pub const fn row(&self, y: usize, ky: usize, h: usize) -> Option<usize> {
        source(y + self.pads[0], ky * self.dilation[0], self.stride[0], h)
    }

    /// The input column that output column `x` reads at kernel column `kx`, or `None` where there is none; `w` is
    /// the input's width.
    #[must_use]
    pub const fn column(&self, x: usize, kx: usize, w: usize) -> Option<usize> {
        source(x + self.pads[1], kx * self.dilation[1], self.stride[1], w)
    }
}

const fn source(position: usize, tap: usize, stride: usize, size: usize) -> Option<usize> {
    match position.checked_sub(tap) {
        Some(distance) if distance.is_multiple_of(stride) && distance / stride < size => Some(distance / stride),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let g = TransposedGeometry::valid([3, 2], [2, 3], [1, 2]);
        // Rows: 3 * 2 + 3; columns: 2 * 3 + 3.
        assert_eq!(g.output_size(4, 3), Ok((9, 9)));
        let g = TransposedGeometry { pads: [1, 0, 2, 4], output_padding: [1, 0], ..g };
        assert_eq!(g.output_size(4, 3), Ok((7, 5)));
        let g = TransposedGeometry { pads: [8, 0, 2, 0], ..g };
        assert_eq!(g.output_size(4, 3), Err(GeometryError::CutAway { full: 10, cut: 10 }));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let unit = TransposedGeometry::valid([1, 1], [1, 1], [1, 1]);
        for i in 0..3 {
            let mut g = unit;
            let field = [&mut g.kernel, &mut g.stride, &mut g.dilation].into_iter().nth(i).unwrap();
            field[1] = 0;
            assert_eq!(g.output_size(4, 4), Err(GeometryError::Zero));
        }
        for g in [
            TransposedGeometry { pads: [0, 0, 0, MAX_GEOMETRY + 1], ..unit },
            TransposedGeometry { output_padding: [MAX_GEOMETRY + 1, 0], ..unit },
            TransposedGeometry { stride: [MAX_GEOMETRY + 1, 1], ..unit },
        ] {
            assert_eq!(g.output_size(4, 4), Err(GeometryError::TooLarge), "{g:?}");
        }
        let g = TransposedGeometry { stride: [2, 1], ..unit };
        assert_eq!(g.output_size(usize::MAX, 1), Err(GeometryError::TooLarge));
    }

    #[test]
    fn a_wanted_size_is_met_by_cutting_or_adding() {
        let g = TransposedGeometry::valid([3, 3], [2, 2], [1, 1]);
        let found = g.of_size((4, 4), [8, 10], [0, 0]).unwrap();
        assert_eq!((found.pads, found.output_padding), ([0, 0, 1, 0], [0, 1]));
        assert_eq!(g.of_size((4, 4), [0, 4], [0, 0]), None);
        assert_eq!(g.of_size((4, 4), [4, usize::MAX], [0, 1]), None);
    }

    /// What an output reads is what its inputs add to it.
    #[test]
    fn reading_is_adding_seen_from_the_output() {
        for code in 0..3 * 3 * 3 * 3_usize {
            let (k, s, d, top) = (code % 3 + 1, code / 3 % 3 + 1, code / 9 % 3 + 1, code / 27);
            let g = TransposedGeometry { pads: [top, 0, 0, 0], ..TransposedGeometry::valid([k, 1], [s, 1], [d, 1]) };
            let Ok((out, _)) = g.output_size(5, 1) else { continue };
            for (y, ky, input) in (0..out).flat_map(|y| (0..k).flat_map(move |ky| (0..5).map(move |i| (y, ky, i)))) {
                assert_eq!(g.row(y, ky, 5) == Some(input), input * s + ky * d == y + top, "{g:?} {y} {ky} {input}");
            }
        }
    }
}
