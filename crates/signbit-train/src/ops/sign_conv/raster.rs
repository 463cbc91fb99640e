//! A padded sample as one long line of pixels, in which every tap of a convolution of stride 1 is a fixed distance.

use signbit_kernels::Conv;

/// Output pixel (y, x) lies at `y * pitch + x`, input pixel (y, x) at `(y + top) * pitch + x + left`. So what tap (ky, kx) of output
/// pixel q reads lies at `q + ky * dilation * pitch + kx * dilation`. Behind each row are pixels that are no outputs; the
/// right padding of an input row is the left one of the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raster {
    pub(super) conv: Conv,
    pub(super) pitch: usize,
    /// Pixels from the first output to the last.
    pub(super) outputs: usize,
    /// Pixels from the first that a tap reads to the last.
    pub(super) inputs: usize,
}

impl Raster {
    /// Of a convolution of stride 1.
    pub(super) fn new(conv: Conv) -> Self {
        let [_, left, _, right] = conv.pads;
        let pitch = (conv.w + left.max(right)).max(conv.out_w());
        let outputs = (conv.out_h() - 1) * pitch + conv.out_w();
        let raster = Self { conv, pitch, outputs, inputs: outputs };
        Self { inputs: outputs + raster.distance(conv.taps() - 1), ..raster }
    }

    /// From an output pixel to what tap `ky * kw + kx` of it reads.
    pub(super) fn distance(&self, tap: usize) -> usize {
        let ([_, kw], [dy, dx]) = (self.conv.kernel, self.conv.dilation);
        tap / kw * dy * self.pitch + tap % kw * dx
    }

    /// First pixel of input row `y`.
    pub(super) fn input_row(&self, y: usize) -> usize {
        let [top, left, ..] = self.conv.pads;
        (y + top) * self.pitch + left
    }

    /// Calls `found(y, x)` with every output pixel of which this tap lies in the padding.
    pub(super) fn outside(&self, tap: usize, mut found: impl FnMut(usize, usize)) {
        let conv = &self.conv;
        let [top, left, ..] = conv.pads;
        let (ky, kx) = (tap / conv.kernel[1] * conv.dilation[0], tap % conv.kernel[1] * conv.dilation[1]);
        let columns = inside(kx, left, conv.w, conv.out_w());
        let rows = inside(ky, top, conv.h, conv.out_h());
        for y in 0..conv.out_h() {
            let skip = if rows.contains(&y) { columns.clone() } else { 0..0 };
            (0..skip.start).chain(skip.end..conv.out_w()).for_each(|x| found(y, x));
        }
    }
}

/// Outputs of which the tap at this distance from the first lies in the input.
fn inside(tap: usize, before: usize, inputs: usize, outputs: usize) -> std::ops::Range<usize> {
    let start = before.saturating_sub(tap).min(outputs);
    start..(inputs + before).saturating_sub(tap).clamp(start, outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use signbit_kernels::Padding;

    /// Every tap of every output is where the raster says, or outside of the input, and no two pixels share a place.
    #[test]
    fn taps_lie_at_their_distance() {
        for (size, kernel, dilation, pads) in [
            ([4, 5], [3, 3], [1, 1], [1, 1, 1, 1]),
            ([4, 5], [3, 2], [1, 2], [2, 0, 1, 3]),
            ([3, 3], [1, 1], [1, 1], [0, 0, 0, 0]),
            ([2, 3], [3, 3], [1, 1], [2, 2, 2, 2]),
            ([6, 4], [2, 3], [2, 1], [0, 1, 2, 0]),
            ([1, 1], [3, 3], [1, 1], [1, 1, 1, 1]),
        ] {
            let conv = Conv {
                n: 1,
                h: size[0],
                w: size[1],
                c_in: 1,
                c_out: 1,
                kernel,
                stride: [1, 1],
                dilation,
                pads,
                padding: Padding::Zero,
                groups: 1,
            };
            conv.validate().unwrap();
            let raster = Raster::new(conv);
            let mut owner = vec![None; raster.inputs];
            for y in 0..conv.h {
                for x in 0..conv.w {
                    let at = raster.input_row(y) + x;
                    assert_eq!(owner[at].replace((y, x)), None, "{conv:?}");
                }
            }
            for tap in 0..conv.taps() {
                let mut outside = vec![];
                raster.outside(tap, |y, x| outside.push((y, x)));
                for y in 0..conv.out_h() {
                    for x in 0..conv.out_w() {
                        let at = owner[y * raster.pitch + x + raster.distance(tap)];
                        let input = (y + tap / kernel[1] * dilation[0], x + tap % kernel[1] * dilation[1]);
                        let input = (input.0.wrapping_sub(pads[0]), input.1.wrapping_sub(pads[1]));
                        let expected = (input.0 < conv.h && input.1 < conv.w).then_some(input);
                        assert_eq!(at, expected, "tap {tap} of {y}, {x} in {conv:?}");
                        assert_eq!(outside.contains(&(y, x)), expected.is_none(), "tap {tap} of {y}, {x} in {conv:?}");
                    }
                }
            }
        }
    }
}
