//! The geometry of a sliding window: kernel, stride, dilation and pads, and the size it makes.

use serde::{Deserialize, Serialize};

use crate::error::GeometryError;
use crate::limits::MAX_GEOMETRY;

/// A sliding window over height and width. Pairs are `[height, width]`.
///
/// Output row `y` and kernel row `ky` read input row `y * stride - top + ky * dilation`; a row outside
/// of `0..h` is padding. Columns are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Geometry {
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between neighbouring outputs. In a file, steps of 1 and pads of 0 are left out.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub stride: [usize; 2],
    /// Step between neighbouring taps; 1 is a dense kernel.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub dilation: [usize; 2],
    /// Padding: top, left, bottom, right.
    #[serde(default, skip_serializing_if = "are_zeros")]
    pub pads: [usize; 4],
}

pub(crate) fn ones() -> [usize; 2] {
    [1, 1]
}

pub(crate) fn are_ones(steps: &[usize; 2]) -> bool {
    *steps == [1, 1]
}

pub(crate) fn are_zeros(pads: &[usize; 4]) -> bool {
    *pads == [0; 4]
}

impl Geometry {
    /// No padding.
    #[must_use]
    pub const fn valid(kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Self {
        Self { kernel, stride, dilation, pads: [0; 4] }
    }

    /// The same padding on all four sides.
    #[must_use]
    pub const fn padded(kernel: [usize; 2], stride: [usize; 2], pad: usize) -> Self {
        Self { kernel, stride, dilation: [1, 1], pads: [pad; 4] }
    }

    /// TensorFlow's `SAME` for an input of `h x w`: the output has `ceil(h / stride)` rows, and of an odd
    /// total the larger half of the padding is below and to the right.
    #[must_use]
    pub fn same(h: usize, w: usize, kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2]) -> Self {
        let total = |size: usize, i: usize| {
            let out = size.div_ceil(stride[i].max(1));
            let last = out.saturating_sub(1).saturating_mul(stride[i]);
            last.saturating_add(extent(kernel[i], dilation[i])).saturating_sub(size)
        };
        let (rows, columns) = (total(h, 0), total(w, 1));
        let pads = [rows / 2, columns / 2, rows - rows / 2, columns - columns / 2];
        Self { kernel, stride, dilation, pads }
    }

    /// The output size for an input of `h x w`.
    ///
    /// # Errors
    /// [`GeometryError::Zero`] and [`GeometryError::TooLarge`] for a number out of range,
    /// [`GeometryError::KernelTooLarge`] where the padded input is smaller than the kernel.
    pub fn output_size(&self, h: usize, w: usize) -> Result<(usize, usize), GeometryError> {
        let positive = || self.kernel.iter().chain(&self.stride).chain(&self.dilation);
        if positive().any(|&v| v == 0) {
            return Err(GeometryError::Zero);
        }
        if positive().chain(&self.pads).any(|&v| v > MAX_GEOMETRY) {
            return Err(GeometryError::TooLarge);
        }
        Ok((self.axis(0, h)?, self.axis(1, w)?))
    }

    fn axis(&self, i: usize, size: usize) -> Result<usize, GeometryError> {
        let padded = size.saturating_add(self.pads[i]).saturating_add(self.pads[i + 2]);
        let kernel = extent(self.kernel[i], self.dilation[i]);
        let room = padded.checked_sub(kernel).ok_or(GeometryError::KernelTooLarge { kernel, padded })?;
        Ok(room / self.stride[i] + 1)
    }

    /// The output size of a pooling: as [`Geometry::output_size`], and every window holds at least one
    /// element of the input.
    ///
    /// # Errors
    /// Also [`GeometryError::EmptyWindow`].
    pub fn pool_output_size(&self, h: usize, w: usize) -> Result<(usize, usize), GeometryError> {
        let (out_h, out_w) = self.output_size(h, w)?;
        if self.has_empty_window(0, h, out_h) || self.has_empty_window(1, w, out_w) {
            return Err(GeometryError::EmptyWindow);
        }
        Ok((out_h, out_w))
    }

    fn has_empty_window(&self, i: usize, size: usize, out: usize) -> bool {
        let (kernel, stride, dilation) = (self.kernel[i], self.stride[i], self.dilation[i]);
        let pad = self.pads[i];
        // A window that starts inside of the input, or behind it: its first tap decides.
        if (out - 1).saturating_mul(stride) >= size.saturating_add(pad) {
            return true;
        }
        // A window that starts `before` elements ahead of the input: its first tap at or behind 0 decides.
        // The first one has the longest way, and the rest of it by the dilation repeats.
        (0..out).map(|o| o.saturating_mul(stride)).take_while(|&start| start < pad).take(dilation).any(|start| {
            let before = pad - start;
            let tap = before.div_ceil(dilation);
            tap >= kernel || tap * dilation - before >= size
        })
    }

    /// The input row that output row `y` reads at kernel row `ky`, or `None` in the padding; `h` is the
    /// input's height.
    #[must_use]
    pub const fn row(&self, y: usize, ky: usize, h: usize) -> Option<usize> {
        inside(y * self.stride[0] + ky * self.dilation[0], self.pads[0], h)
    }

    /// The input column that output column `x` reads at kernel column `kx`, or `None` in the padding; `w`
    /// is the input's width.
    #[must_use]
    pub const fn column(&self, x: usize, kx: usize, w: usize) -> Option<usize> {
        inside(x * self.stride[1] + kx * self.dilation[1], self.pads[1], w)
    }
}

/// The rows that a dilated kernel spans.
pub(crate) const fn extent(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

const fn inside(padded: usize, pad: usize, size: usize) -> Option<usize> {
    match padded.checked_sub(pad) {
        Some(position) if position < size => Some(position),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_strided_sizes() {
        let g = |k, s, d| Geometry::valid([k, k], [s, s], [d, d]).output_size(7, 5);
        assert_eq!(g(3, 1, 1), Ok((5, 3)));
        assert_eq!(g(3, 2, 1), Ok((3, 2)));
        assert_eq!(g(3, 1, 2), Ok((3, 1)));
        assert_eq!(g(3, 1, 3), Err(GeometryError::KernelTooLarge { kernel: 7, padded: 5 }));
    }

    #[test]
    fn same_puts_the_odd_pad_below_and_right() {
        let g = Geometry::same(4, 5, [3, 3], [2, 2], [1, 1]);
        assert_eq!(g.pads, [0, 1, 1, 1]);
        assert_eq!(g.output_size(4, 5), Ok((2, 3)));
        let g = Geometry::same(4, 4, [1, 1], [2, 2], [1, 1]);
        assert_eq!(g.pads, [0; 4]);
        assert_eq!(g.output_size(4, 4), Ok((2, 2)));
    }

    #[test]
    fn same_with_zero_stride_does_not_panic() {
        let g = Geometry::same(4, 4, [3, 3], [0, 0], [1, 1]);
        assert_eq!(g.output_size(4, 4), Err(GeometryError::Zero));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for i in 0..3 {
            let mut g = Geometry::valid([1, 1], [1, 1], [1, 1]);
            let field = [&mut g.kernel, &mut g.stride, &mut g.dilation].into_iter().nth(i).unwrap();
            field[1] = 0;
            assert_eq!(g.output_size(4, 4), Err(GeometryError::Zero));
        }
        let mut g = Geometry::valid([1, 1], [1, 1], [1, 1]);
        g.pads[3] = MAX_GEOMETRY + 1;
        assert_eq!(g.output_size(4, 4), Err(GeometryError::TooLarge));
    }

    /// The closed rule for empty windows against a walk over every tap of every window.
    #[test]
    fn empty_windows_are_found() {
        let (mut empty, mut full) = (0, 0);
        for size in 1..5_usize {
            for code in 0..4 * 3 * 4 * 6 * 6_usize {
                let (k, s, d) = (code % 4 + 1, code / 4 % 3 + 1, code / 12 % 4 + 1);
                let (top, bottom) = (code / 48 % 6, code / 288 % 6);
                let g = Geometry { kernel: [k, 1], stride: [s, 1], dilation: [d, 1], pads: [top, 0, bottom, 0] };
                let Ok((out, _)) = g.output_size(size, 1) else {
                    continue;
                };
                let walk = (0..out).any(|y| (0..k).all(|ky| g.row(y, ky, size).is_none()));
                let rule = g.pool_output_size(size, 1) == Err(GeometryError::EmptyWindow);
                assert_eq!(rule, walk, "{g:?} on {size} rows");
                if walk { empty += 1 } else { full += 1 }
            }
        }
        assert!(empty > 100 && full > 100, "{empty} {full}");
    }
}
