//! The real convolution. Lanes are output channels, so that each lane adds in the order of the
//! definition and the compiler can still use vectors; several pixels go side by side to hide the latency of the additions.

use core::ops::Range;

use crate::{
    real::{LANES, is_depthwise},
    shape::Conv,
    window::Window,
};

/// The sums of one block of output channels at one pixel, each lane with roundings of its own.
pub(crate) trait Lanes: Copy {
    fn zero() -> Self;
    /// Adds `x * w` to the sums of several pixels.
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]);
    /// Adds `x * w`, lane by lane.
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self;
    fn get(self) -> [f32; LANES];
}

/// The lanes in the compiler's hands.
impl Lanes for [f32; LANES] {
    #[inline(always)]
    fn zero() -> Self {
        [0.0; LANES]
    }

    #[inline(always)]
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]) {
        for p in 0..P {
            for lane in 0..LANES {
                sums[p][lane] += x[p] * w[lane];
            }
        }
    }

    #[inline(always)]
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self {
        core::array::from_fn(|lane| self[lane] + x[lane] * w[lane])
    }

    #[inline(always)]
    fn get(self) -> Self {
        self
    }
}

/// Pixels that are worked out together, while one block of weights stays in the cache.
const TILE: usize = 96;

/// Neighbouring output pixels of one row.
struct Line {
    /// First pixel, counted in the output.
    pixel: usize,
    len: usize,
    /// Image, output row and output column of the first pixel.
    at: [usize; 3],
}

/// One block of output channels of one group.
struct Block<'a> {
    /// Weights, `[k][LANES]`.
    w: &'a [f32],
    bias: Option<&'a [f32]>,
    /// First output channel and how many.
    channels: Range<usize>,
    /// First input channel.
    c: usize,
}

/// The whole convolution; up to `P` pixels go side by side.
#[inline(always)]
pub(crate) fn conv<V: Lanes, const P: usize>(
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    out: &mut [f32],
) {
    // Where each output pixel reads one input pixel, all rows are one.
    let flat = conv.kernel == [1, 1] && conv.stride == [1, 1] && conv.pads == [0; 4];
    let pixels = rows.start * conv.out_w()..rows.end * conv.out_w();
    let joined = Conv { n: 1, h: 1, w: conv.n * conv.h * conv.w, ..*conv };
    let (conv, first) = if flat { (&joined, pixels.start) } else { (conv, 0) };
    let out_w = conv.out_w();
    let lines = if flat { 0..1 } else { rows.clone() };
    let columns = if flat { pixels.clone() } else { 0..out_w };
    for row in lines {
        for column in columns.clone().step_by(TILE) {
            let at = [row / conv.out_h(), row % conv.out_h(), column];
            let pixel = if flat { column - first } else { (row - rows.start) * out_w + column };
            let line = Line { pixel, len: TILE.min(columns.end - column), at };
            convolve::<V, P>(conv, x, w, bias, &line, out);
        }
    }
}

/// All output channels of one line.
#[inline(always)]
fn convolve<V: Lanes, const P: usize>(
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    line: &Line,
    out: &mut [f32],
) {
    let depthwise = is_depthwise(conv);
    let lanes_total = if depthwise { conv.c_out } else { conv.group_out() };
    let blocks = lanes_total.div_ceil(LANES);
    let columns = line.at[2]..line.at[2] + line.len;
    let whole = whole_windows(conv);
    let whole = whole.start.clamp(columns.start, columns.end)..whole.end.clamp(columns.start, columns.end);
    for (i, w) in w.chunks_exact(conv.k() * LANES).enumerate() {
        let (group, lane) = (i / blocks, i % blocks * LANES);
        let o = group * lanes_total + lane;
        let channels = o..o + LANES.min(lanes_total - lane);
        let c = if depthwise { o } else { group * conv.group_in() };
        let block = Block { w, bias: bias.map(|bias| &bias[channels.clone()]), channels, c };
        let mut column = columns.start;
        while column < columns.end {
            // The pixels at the border have taps of their own.
            let left = if whole.contains(&column) { whole.end - column } else { 1 };
            let window = Window::of(conv, [line.at[0], line.at[1], column]);
            let out = &mut out[(line.pixel + column - columns.start) * conv.c_out..];
            column += match left {
                _ if left >= P => step::<V, P>(conv, x, &block, &window, out),
                _ if P > 4 && left >= 4 => step::<V, 4>(conv, x, &block, &window, out),
                _ if P > 2 && left >= 2 => step::<V, 2>(conv, x, &block, &window, out),
                _ => step::<V, 1>(conv, x, &block, &window, out),
            };
        }
    }
}

/// The output columns whose windows have all tap columns inside.
#[inline(always)]
fn whole_windows(conv: &Conv) -> Range<usize> {
    let (stride, left) = (conv.stride[1], conv.pads[1]);
    let reach = (conv.kernel[1] - 1) * conv.dilation[1];
    // The last start is `w - 1 - reach`, in coordinates of the padded row `left` more.
    let end = (conv.w + left).checked_sub(1 + reach).map_or(0, |last| last / stride + 1);
    left.div_ceil(stride)..end.min(conv.out_w())
}

/// One block of output channels at `P` neighbouring pixels, which have the taps of the first `window` inside. Returns `P`.
#[inline(always)]
fn step<V: Lanes, const P: usize>(
    conv: &Conv,
    x: &[f32],
    block: &Block<'_>,
    window: &Window,
    out: &mut [f32],
) -> usize {
    let sums = match is_depthwise(conv) {
        true => depthwise_sums::<V, P>(conv, x, block, window),
        false => sums::<V, P>(conv, x, block, window),
    };
    for (sums, out) in sums.iter().zip(out.chunks_mut(conv.c_out)) {
        let out = &mut out[block.channels.clone()];
        let sums = sums.get();
        match block.bias {
            Some(bias) => out.iter_mut().zip(sums).zip(bias).for_each(|((out, sum), bias)| *out = sum + bias),
            None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum),
        }
    }
    P
}

#[inline(always)]
fn sums<V: Lanes, const P: usize>(conv: &Conv, x: &[f32], block: &Block<'_>, window: &Window) -> [V; P] {
    let mut sums = [V::zero(); P];
    let group_in = conv.group_in();
    let step = conv.stride[1] * conv.c_in;
    // Taps side by side in the input are side by side in K too, if nothing lies between them.
    let merged = conv.groups == 1 && conv.dilation[1] == 1;
    let taps = if merged { window.kx().len() } else { 1 };
    let len = taps * group_in;
    for ky in window.ky() {
        for kx in window.kx().step_by(taps.max(1)) {
            let x = &x[window.input(conv, ky, kx) * conv.c_in + block.c..];
            let x: [&[f32]; P] = core::array::from_fn(|p| &x[p * step..][..len]);
            let w = &block.w[(ky * conv.kernel[1] + kx) * group_in * LANES..][..len * LANES];
            for (k, w) in w.as_chunks::<LANES>().0.iter().enumerate() {
                // SAFETY: `w` has `len` chunks, so `k < len`, the length of every slice of `x`.
                let x = core::array::from_fn(|p| unsafe { *x[p].get_unchecked(k) });
                V::add(&mut sums, x, w);
            }
        }
    }
    sums
}

#[inline(always)]
fn depthwise_sums<V: Lanes, const P: usize>(conv: &Conv, x: &[f32], block: &Block<'_>, window: &Window) -> [V; P] {
    let mut sums = [V::zero(); P];
    let weights = block.w.as_chunks::<LANES>().0;
    let (step, len) = (conv.stride[1] * conv.c_in, block.channels.len());
    for ky in window.ky() {
        for kx in window.kx() {
            let w = &weights[ky * conv.kernel[1] + kx];
            let x = &x[window.input(conv, ky, kx) * conv.c_in + block.c..][..(P - 1) * step + len];
            for p in 0..P {
                let x = &x[p * step..][..len];
                let mut filled = [0.0; LANES];
                let x = x.as_array().unwrap_or_else(|| {
                    filled[..len].copy_from_slice(x);
                    &filled
                });
                sums[p] = sums[p].add_each(x, w);
            }
        }
    }
    sums
}
