//! The real convolution. Lanes are output channels, so that each lane adds in the order of the
//! definition and the compiler can still use vectors; several pixels go side by side to hide the latency of the additions.

use core::ops::Range;

use crate::{
    real::{LANES, is_depthwise},
    shape::Conv,
    window::{Pixels, Window},
};

/// Pixels whose windows are worked out together, while one block of weights stays in the cache.
const TILE: usize = 96;

/// Neighbouring pixels with the same taps inside of the input.
#[derive(Clone, Copy, Default)]
struct Run {
    /// First pixel, counted in the tile.
    first: usize,
    len: usize,
}

/// Neighbouring output pixels.
struct Tile {
    windows: [Window; TILE],
    runs: [Run; TILE],
    run_count: usize,
}

impl Tile {
    fn new() -> Self {
        let window = Window::of(&Conv::dense(1, 1, 1), [0; 3]);
        Self { windows: [window; TILE], runs: [Run::default(); TILE], run_count: 0 }
    }

    /// Takes the next `count` windows, at most [`TILE`].
    #[inline(always)]
    fn set(&mut self, windows: &mut Pixels<'_>, count: usize) {
        self.run_count = 0;
        for (i, window) in windows.take(count).enumerate() {
            self.windows[i] = window;
            match self.runs[..self.run_count].last_mut() {
                Some(run) if self.windows[run.first].same_taps(&window) => run.len += 1,
                _ => {
                    self.runs[self.run_count] = Run { first: i, len: 1 };
                    self.run_count += 1;
                }
            }
        }
    }
}

/// One block of output channels of one group.
struct Block<'a> {
    /// Weights, `[k][LANES]`.
    w: &'a [f32],
    /// First output channel and how many.
    channels: Range<usize>,
    /// First input channel.
    c: usize,
}

/// The whole convolution; `P` pixels go side by side.
#[inline(always)]
pub(crate) fn conv<const P: usize>(
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    out: &mut [f32],
) {
    let depthwise = is_depthwise(conv);
    let lanes_total = if depthwise { conv.c_out } else { conv.group_out() };
    let blocks = lanes_total.div_ceil(LANES);
    let pixels = rows.len() * conv.out_w();
    let mut windows = Pixels::from_row(conv, rows.start);
    let mut tile = Tile::new();
    for start in (0..pixels).step_by(TILE) {
        tile.set(&mut windows, TILE.min(pixels - start));
        for (i, w) in w.chunks_exact(conv.k() * LANES).enumerate() {
            let (group, lane) = (i / blocks, i % blocks * LANES);
            let o = group * lanes_total + lane;
            let channels = o..o + LANES.min(lanes_total - lane);
            let c = if depthwise { o } else { group * conv.group_in() };
            let block = Block { w, channels, c };
            for run in &tile.runs[..tile.run_count] {
                let mut at = 0;
                while at < run.len {
                    let left = run.len - at;
                    let pixel = run.first + at;
                    let out = &mut out[(start + pixel) * conv.c_out..];
                    let windows = &tile.windows[pixel..];
                    at += match left {
                        _ if left >= P => step::<P>(conv, x, &block, bias, windows, out),
                        _ if P > 2 && left >= 2 => step::<2>(conv, x, &block, bias, windows, out),
                        _ => step::<1>(conv, x, &block, bias, windows, out),
                    };
                }
            }
        }
    }
}

/// One block of output channels at the `P` pixels of the first `P` windows, which have the same taps inside. Returns `P`.
#[inline(always)]
fn step<const P: usize>(
    conv: &Conv,
    x: &[f32],
    block: &Block<'_>,
    bias: Option<&[f32]>,
    windows: &[Window],
    out: &mut [f32],
) -> usize {
    let windows: [Window; P] = core::array::from_fn(|p| windows[p]);
    let sums = match is_depthwise(conv) {
        true => depthwise_sums(conv, x, block, windows),
        false => sums(conv, x, block, windows),
    };
    for (sums, out) in sums.iter().zip(out.chunks_mut(conv.c_out)) {
        let out = &mut out[block.channels.clone()];
        match bias {
            Some(bias) => {
                let bias = &bias[block.channels.clone()];
                out.iter_mut().zip(sums).zip(bias).for_each(|((out, sum), bias)| *out = sum + bias);
            }
            None => out.iter_mut().zip(sums).for_each(|(out, sum)| *out = *sum),
        }
    }
    P
}

#[inline(always)]
fn sums<const P: usize>(conv: &Conv, x: &[f32], block: &Block<'_>, windows: [Window; P]) -> [[f32; LANES]; P] {
    let mut sums = [[0.0f32; LANES]; P];
    let group_in = conv.group_in();
    // Taps side by side in the input are side by side in K too, if nothing lies between them.
    let merged = conv.groups == 1 && conv.dilation[1] == 1;
    let taps = if merged { windows[0].kx().len() } else { 1 };
    for ky in windows[0].ky() {
        for kx in windows[0].kx().step_by(taps.max(1)) {
            let len = taps * group_in;
            let x: [&[f32]; P] = windows.map(|window| &x[window.input(conv, ky, kx) * conv.c_in + block.c..][..len]);
            let w = &block.w[(ky * conv.kernel[1] + kx) * group_in * LANES..][..len * LANES];
            for (k, w) in w.as_chunks::<LANES>().0.iter().enumerate() {
                for p in 0..P {
                    // SAFETY: `w` has `len` chunks, so `k < len`, the length of every slice of `x`.
                    let x = unsafe { *x[p].get_unchecked(k) };
                    for lane in 0..LANES {
                        sums[p][lane] += x * w[lane];
                    }
                }
            }
        }
    }
    sums
}

#[inline(always)]
fn depthwise_sums<const P: usize>(
    conv: &Conv,
    x: &[f32],
    block: &Block<'_>,
    windows: [Window; P],
) -> [[f32; LANES]; P] {
    let mut sums = [[0.0f32; LANES]; P];
    let weights = block.w.as_chunks::<LANES>().0;
    for ky in windows[0].ky() {
        for kx in windows[0].kx() {
            let w = &weights[ky * conv.kernel[1] + kx];
            for p in 0..P {
                let x = &x[windows[p].input(conv, ky, kx) * conv.c_in + block.c..][..block.channels.len()];
                match x.as_array::<LANES>() {
                    Some(x) => (0..LANES).for_each(|lane| sums[p][lane] += x[lane] * w[lane]),
                    None => (0..x.len()).for_each(|lane| sums[p][lane] += x[lane] * w[lane]),
                }
            }
        }
    }
    sums
}
