//! The geometry of a layer: sizes, output sizes, and the one place where they are checked.

use core::{fmt, ops::Range};

use crate::{bits::words, real::LANES};

pub use crate::pool::Pool;

/// What a tap outside of the input counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// 0: the dot product runs over the taps inside only.
    Zero,
    /// An activation of +1.
    One,
    /// An activation of -1.
    MinusOne,
}

/// A two-dimensional convolution of an `[n, h, w, c_in]` input to `[n, out_h, out_w, c_out]`.
///
/// The fields can be set freely; [`Conv::validate`], [`Conv::out_h`] and [`Conv::out_w`] take any values, the
/// other methods presume a geometry that passes [`Conv::validate`] and may panic otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Batch size; may be 0.
    pub n: usize,
    /// Input height.
    pub h: usize,
    /// Input width.
    pub w: usize,
    /// Input channels.
    pub c_in: usize,
    /// Output channels.
    pub c_out: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Step between windows, vertical and horizontal.
    pub stride: [usize; 2],
    /// Step between the taps of a window, vertical and horizontal.
    pub dilation: [usize; 2],
    /// Padding at the top, left, bottom, right.
    pub pads: [usize; 4],
    /// What the padding counts as.
    pub padding: Padding,
    /// Number of groups; divides `c_in` and `c_out`.
    pub groups: usize,
}

impl Conv {
    /// A convolution of an NHWC `input` with stride 1, dilation 1, no padding and one group. Set the
    /// other fields afterwards; [`Conv::validate`] checks the whole.
    pub const fn new(input: [usize; 4], c_out: usize, kernel: [usize; 2]) -> Self {
        let [n, h, w, c_in] = input;
        Self { n, h, w, kernel, ..Self::dense(n, c_in, c_out) }
    }

    /// A dense layer of `k` inputs and `n` outputs on `m` rows: a 1x1 convolution of `m` images of one pixel.
    pub const fn dense(m: usize, k: usize, n: usize) -> Self {
        Self {
            n: m,
            h: 1,
            w: 1,
            c_in: k,
            c_out: n,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pads: [0; 4],
            padding: Padding::Zero,
            groups: 1,
        }
    }

    /// Checks that the geometry is one that the kernels can run.
    ///
    /// # Errors
    /// [`ShapeError::Zero`] if a size other than `n` is 0, [`ShapeError::Groups`] if `groups` does not
    /// divide both channel counts, [`ShapeError::Window`] if the window is larger than the padded
    /// input, [`ShapeError::TooLarge`] if a buffer or a dot product would not fit its integer.
    pub fn validate(&self) -> Result<(), ShapeError> {
        let [[kh, kw], [sh, sw], [dh, dw]] = [self.kernel, self.stride, self.dilation];
        if [self.h, self.w, self.c_in, self.c_out, self.groups, kh, kw, sh, sw, dh, dw].contains(&0) {
            return Err(ShapeError::Zero);
        }
        if !self.c_in.is_multiple_of(self.groups) || !self.c_out.is_multiple_of(self.groups) {
            return Err(ShapeError::Groups);
        }
        let [top, left, bottom, right] = self.pads;
        let out_h = windows(self.h, [top, bottom], kh, sh, dh)?;
        let out_w = windows(self.w, [left, right], kw, sw, dw)?;
        let [group_in, group_out] = [self.group_in(), self.group_out()];
        let fits = product(&[kh, kw, group_in], 1).is_some_and(|k| k <= i32::MAX as usize / 2)
            && product(&[self.n, self.h, self.w, self.c_in], NUMBER).is_some()
            && product(&[self.n, out_h, out_w, self.c_out], NUMBER).is_some()
            && product(&[self.groups, kh, kw, words(group_in), words(group_out)], SQUARE).is_some()
            && product(&[self.groups, kh, kw, group_in, group_out.div_ceil(LANES)], LANES * NUMBER).is_some();
        if fits { Ok(()) } else { Err(ShapeError::TooLarge) }
    }

    /// The layer of some of the output channels only.
    ///
    /// # Panics
    /// If there are groups, `channels` begin or, before the last channel, end elsewhere than at a multiple of 64, or
    /// they are fewer than 64 and not all.
    pub fn channels(&self, channels: Range<usize>) -> Self {
        let whole = |c: usize| c.is_multiple_of(64) || c == self.c_out;
        let fits = channels.end <= self.c_out && whole(channels.start) && whole(channels.end);
        let enough = channels.len() >= self.c_out.min(64);
        assert!(self.groups == 1 && fits && enough, "channels {channels:?} of {self:?}");
        Self { c_out: channels.len(), ..*self }
    }

    /// Output height; 0 if the window does not fit.
    pub fn out_h(&self) -> usize {
        windows(self.h, [self.pads[0], self.pads[2]], self.kernel[0], self.stride[0], self.dilation[0]).unwrap_or(0)
    }

    /// Output width; 0 if the window does not fit.
    pub fn out_w(&self) -> usize {
        windows(self.w, [self.pads[1], self.pads[3]], self.kernel[1], self.stride[1], self.dilation[1]).unwrap_or(0)
    }

    /// Output rows of the whole batch, `n * out_h`: what the `rows` of a kernel call count.
    pub fn rows(&self) -> usize {
        self.n * self.out_h()
    }

    /// Length of a dot product without padding, `kh * kw * c_in / groups`.
    pub fn k(&self) -> usize {
        self.taps() * self.group_in()
    }

    /// Taps of a window, `kh * kw`.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input channels of one group.
    pub fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    /// Output channels of one group.
    pub fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    /// The input row under tap row `ky` of output row `oy`, if it lies inside.
    pub(crate) fn in_y(&self, oy: usize, ky: usize) -> Option<usize> {
        let y = (oy * self.stride[0] + ky * self.dilation[0]).checked_sub(self.pads[0])?;
        (y < self.h).then_some(y)
    }

    /// The input column under tap column `kx` of output column `ox`, if it lies inside.
    pub(crate) fn in_x(&self, ox: usize, kx: usize) -> Option<usize> {
        let x = (ox * self.stride[1] + kx * self.dilation[1]).checked_sub(self.pads[1])?;
        (x < self.w).then_some(x)
    }

    /// Image, output row and output column of an output pixel counted over the whole batch.
    pub(crate) fn locate(&self, pixel: usize) -> [usize; 3] {
        let (row, ox) = (pixel / self.out_w(), pixel % self.out_w());
        [row / self.out_h(), row % self.out_h(), ox]
    }

    /// Panics unless the geometry is valid and `rows` lie inside; returns the number of output pixels.
    #[track_caller]
    pub(crate) fn check_rows(&self, rows: &Range<usize>) -> usize {
        if let Err(error) = self.validate() {
            panic!("{error}: {self:?}");
        }
        assert!(rows.start <= rows.end && rows.end <= self.rows(), "rows {rows:?} of {}", self.rows());
        rows.len() * self.out_w()
    }
}

/// Bytes of a number in a buffer, at most: activations of one channel are one bit in a word of their own.
pub(crate) const NUMBER: usize = 8;

/// Bytes of 64x64 binary weights in any layout, at most: 512, and as many again for what blocks are filled up with.
const SQUARE: usize = 1024;

/// The product, if it and `room` times as much fit an `isize`. A factor 0 does not hide the others.
pub(crate) fn product(sizes: &[usize], room: usize) -> Option<usize> {
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)))?;
    product.checked_mul(room).filter(|&x| x <= isize::MAX as usize)?;
    Some(product)
}

/// Number of windows along one axis.
pub(crate) fn windows(
    size: usize,
    pads: [usize; 2],
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> Result<usize, ShapeError> {
    let padded = size.checked_add(pads[0]).and_then(|size| size.checked_add(pads[1])).ok_or(ShapeError::TooLarge)?;
    let reach = kernel.saturating_sub(1).checked_mul(dilation).ok_or(ShapeError::TooLarge)?;
    let steps = padded.checked_sub(reach).and_then(|x| x.checked_sub(1)).ok_or(ShapeError::Window)?;
    Ok(steps.checked_div(stride).ok_or(ShapeError::Zero)? + 1)
}

/// Why a geometry is not one that the kernels can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// A size other than the batch is 0.
    Zero,
    /// The groups do not divide the channels.
    Groups,
    /// The window is larger than the padded input.
    Window,
    /// A buffer or a dot product would not fit its integer.
    TooLarge,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zero => "a size is 0",
            Self::Groups => "the groups do not divide the channels",
            Self::Window => "the window is larger than the padded input",
            Self::TooLarge => "the shape is too large",
        })
    }
}

impl core::error::Error for ShapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Conv {
        Conv::new([2, 8, 9, 6], 4, [3, 3])
    }

    #[test]
    fn output_sizes() {
        let conv = Conv { stride: [2, 3], dilation: [2, 1], pads: [1, 2, 0, 1], ..base() };
        // Rows: (8 + 1 - 5) / 2 + 1; columns: (9 + 3 - 3) / 3 + 1.
        assert_eq!((conv.out_h(), conv.out_w(), conv.k()), (3, 4, 54));
        assert_eq!(Conv::dense(5, 784, 10).rows(), 5);
    }

    #[test]
    fn zero_size() {
        for conv in [Conv { c_in: 0, ..base() }, Conv { stride: [0, 1], ..base() }, Conv { groups: 0, ..base() }] {
            assert_eq!(conv.validate(), Err(ShapeError::Zero));
        }
        assert_eq!(Conv { n: 0, ..base() }.validate(), Ok(()));
    }

    #[test]
    fn groups_divide_both_channel_counts() {
        assert_eq!(Conv { groups: 4, ..base() }.validate(), Err(ShapeError::Groups));
        assert_eq!(Conv { groups: 3, ..base() }.validate(), Err(ShapeError::Groups));
        assert_eq!(Conv { groups: 2, ..base() }.validate(), Ok(()));
    }

    #[test]
    fn window_larger_than_input() {
        assert_eq!(Conv { kernel: [9, 1], ..base() }.validate(), Err(ShapeError::Window));
        assert_eq!(Conv { kernel: [9, 1], ..base() }.out_h(), 0);
        assert_eq!(Conv { dilation: [1, 5], ..base() }.validate(), Err(ShapeError::Window));
    }

    #[test]
    fn too_large() {
        let far = usize::MAX / 2;
        for conv in [
            Conv { h: far, w: far, ..base() },
            Conv { pads: [far, 0, far, 8], ..base() },
            Conv { n: 0, pads: [far, 0, 0, 0], ..base() },
            Conv { dilation: [usize::MAX, 1], ..base() },
            Conv::dense(1, i32::MAX as usize, 1),
            Conv::dense(far, 1, 1),
        ] {
            assert_eq!(conv.validate(), Err(ShapeError::TooLarge), "{conv:?}");
        }
    }
}
