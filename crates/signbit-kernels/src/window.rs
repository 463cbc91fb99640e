//! The window of one output pixel: where it begins in the input and which of its taps lie inside.

use core::ops::Range;

use crate::shape::{Conv, Padding};

/// Output pixels in order, counted over the batch.
pub(crate) struct Pixels<'a> {
    conv: &'a Conv,
    out: [usize; 2],
    /// Image, output row, output column.
    next: [usize; 3],
}

impl<'a> Pixels<'a> {
    /// From output row `row` (of all images) on, without end.
    pub(crate) fn from_row(conv: &'a Conv, row: usize) -> Self {
        let out = [conv.out_h(), conv.out_w()];
        Self { conv, out, next: [row / out[0], row % out[0], 0] }
    }
}

impl Iterator for Pixels<'_> {
    type Item = Window;

    #[inline(always)]
    fn next(&mut self) -> Option<Window> {
        let [n, oy, ox] = &mut self.next;
        let window = Window::of(self.conv, [*n, *oy, *ox]);
        *ox += 1;
        if *ox == self.out[1] {
            (*ox, *oy) = (0, *oy + 1);
        }
        if *oy == self.out[0] {
            (*oy, *n) = (0, *n + 1);
        }
        Some(window)
    }
}

/// A window: the taps that lie inside are a range of tap rows and one of tap columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Index of the input pixel under the first tap, were it inside. Arithmetic with it wraps.
    start: usize,
    ky: [usize; 2],
    kx: [usize; 2],
}

impl Window {
    /// The window of an output pixel, given as image, output row and output column.
    #[inline(always)]
    pub(crate) fn of(conv: &Conv, [n, oy, ox]: [usize; 3]) -> Self {
        let axis = |i: usize, size: usize, o: usize| {
            let (kernel, dilation, pad) = (conv.kernel[i], conv.dilation[i], conv.pads[i]);
            let start = o * conv.stride[i];
            let (before, until) = (pad.saturating_sub(start), (pad + size).saturating_sub(start));
            let (first, end) = match dilation {
                1 => (before, until),
                _ => (before.div_ceil(dilation), until.div_ceil(dilation)),
            };
            [first.min(kernel), end.min(kernel)]
        };
        let y = (n * conv.h).wrapping_add(oy * conv.stride[0]).wrapping_sub(conv.pads[0]);
        let x = (ox * conv.stride[1]).wrapping_sub(conv.pads[1]);
        let start = y.wrapping_mul(conv.w).wrapping_add(x);
        Self { start, ky: axis(0, conv.h, oy), kx: axis(1, conv.w, ox) }
    }

    /// Tap rows that lie inside.
    #[inline(always)]
    pub(crate) fn ky(&self) -> Range<usize> {
        self.ky[0]..self.ky[1]
    }

    /// Tap columns that lie inside.
    #[inline(always)]
    pub(crate) fn kx(&self) -> Range<usize> {
        self.kx[0]..self.kx[1]
    }

    /// Length of the dot product of one group: the bits of the taps that count.
    #[inline(always)]
    pub(crate) fn bits(&self, conv: &Conv) -> i32 {
        let taps = match conv.padding {
            Padding::Zero => self.ky().len() * self.kx().len(),
            Padding::One | Padding::MinusOne => conv.taps(),
        };
        (taps * conv.group_in()) as i32
    }

    /// Whether one tap lies inside.
    #[inline(always)]
    pub(crate) fn contains(&self, ky: usize, kx: usize) -> bool {
        self.ky().contains(&ky) && self.kx().contains(&kx)
    }

    /// Index of the input pixel (over the batch) under a tap that lies inside.
    #[inline(always)]
    pub(crate) fn input(&self, conv: &Conv, ky: usize, kx: usize) -> usize {
        let y = (ky * conv.dilation[0]).wrapping_mul(conv.w);
        self.start.wrapping_add(y).wrapping_add(kx * conv.dilation[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_inside_agree_with_the_definition() {
        for (stride, dilation) in [[1, 1], [2, 3]].into_iter().flat_map(|s| [[1, 1], [2, 3], [4, 1]].map(|d| (s, d))) {
            let conv = Conv { stride, dilation, pads: [3, 9, 4, 2], ..Conv::new([2, 8, 9, 6], 4, [3, 3]) };
            let pixels = conv.rows() * conv.out_w();
            for (pixel, window) in Pixels::from_row(&conv, 0).take(pixels).enumerate() {
                let [n, oy, ox] = conv.locate(pixel);
                for (ky, kx) in (0..3).flat_map(|ky| (0..3).map(move |kx| (ky, kx))) {
                    let expected = conv.in_y(oy, ky).zip(conv.in_x(ox, kx));
                    assert_eq!(window.contains(ky, kx), expected.is_some(), "{conv:?} {oy} {ox} {ky} {kx}");
                    if let Some((y, x)) = expected {
                        assert_eq!(window.input(&conv, ky, kx), (n * conv.h + y) * conv.w + x);
                    }
                }
            }
        }
    }

    #[test]
    fn pixels_from_a_later_row_are_the_rest() {
        let conv = Conv { pads: [1, 0, 0, 1], ..Conv::new([3, 4, 5, 1], 1, [2, 2]) };
        for row in 0..conv.rows() {
            let expected = Pixels::from_row(&conv, 0).skip(row * conv.out_w()).take(7);
            assert!(Pixels::from_row(&conv, row).take(7).eq(expected), "row {row}");
        }
    }
}
