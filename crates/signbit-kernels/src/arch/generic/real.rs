//! The real convolution. Lanes are output channels, so that each lane adds in the order of the
//! definition and the compiler can still use vectors; several pixels go side by side to hide the latency of the additions.

use core::ops::Range;

use crate::{
    real::{LANES, is_depthwise},
    shape::Conv,
    window::Window,
};

/// Places one after the other: how many, and the steps between them in the input and in the blocks of weights.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) count: usize,
    pub(crate) x: usize,
    pub(crate) w: usize,
}

/// Products at neighbouring pixels: of rows and columns of taps, and at each of `len` numbers and as many blocks of
/// weights side by side.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    /// The input from the first number of the first pixel on, and the step between pixels.
    pub(crate) x: &'a [f32],
    pub(crate) pixel: usize,
    /// The weights from the first block on.
    pub(crate) w: &'a [[f32; LANES]],
    pub(crate) rows: Places,
    pub(crate) columns: Places,
    pub(crate) len: usize,
}

impl<'a> Run<'a> {
    /// All taps of a window; nothing if it has none.
    #[inline(always)]
    fn of(conv: &Conv, x: &'a [f32], block: &Block<'a>, window: &Window) -> Option<Self> {
        let (ky, kx) = (window.ky(), window.kx());
        if ky.is_empty() || kx.is_empty() {
            return None;
        }
        let (c_in, len) = (conv.c_in, conv.group_in());
        // A step may be of any length where none is made.
        let [pixel, down, across] = [conv.stride[1], conv.dilation[0].wrapping_mul(conv.w), conv.dilation[1]]
            .map(|pixels| pixels.wrapping_mul(c_in));
        let run = Self {
            x: &x[window.input(conv, ky.start, kx.start) * c_in + block.c..],
            pixel,
            w: &block.w[(ky.start * conv.kernel[1] + kx.start) * len..],
            rows: Places { count: ky.len(), x: down, w: conv.kernel[1] * len },
            columns: Places { count: kx.len(), x: across, w: len },
            len,
        };
        // Taps side by side in the input are side by side in K too, if nothing lies between them.
        let joined = conv.groups == 1 && conv.dilation[1] == 1 && !is_depthwise(conv);
        Some(if joined {
            Self { columns: Places { count: 1, ..run.columns }, len: kx.len() * len, ..run }
        } else {
            run
        })
    }

    /// Panics unless there are the weights, and for all of so many pixels the input, `numbers` at the last place.
    #[inline(always)]
    pub(crate) fn check(&self, pixels: usize, numbers: usize) {
        let [row, column] = [self.rows.count - 1, self.columns.count - 1];
        assert!(row * self.rows.x + column * self.columns.x + (pixels - 1) * self.pixel + numbers <= self.x.len());
        assert!(row * self.rows.w + column * self.columns.w + self.len <= self.w.len());
    }
}

/// Products of several matrices of the same sizes, one after the other.
pub(crate) struct Matrices<'a> {
    pub(crate) count: usize,
    /// The first row of the first matrix, and the steps to the next row and to the next matrix.
    pub(crate) x: &'a [f32],
    pub(crate) row: usize,
    pub(crate) x_step: usize,
    /// `[count][len]`.
    pub(crate) w: &'a [[f32; LANES]],
    pub(crate) len: usize,
    /// From one matrix of sums, of rows of 16, to the next.
    pub(crate) out_step: usize,
}

impl Matrices<'_> {
    /// Panics unless all is there of so many rows.
    #[inline(always)]
    pub(crate) fn check(&self, rows: usize, out: &[f32]) {
        let last = self.count - 1;
        assert!(last * self.x_step + (rows - 1) * self.row + self.len <= self.x.len());
        assert!(self.count * self.len <= self.w.len() && last * self.out_step + rows * LANES <= out.len());
    }
}

/// The sums of one block of output channels at one pixel, each lane with roundings of its own.
pub(crate) trait Lanes: Copy {
    /// The first half of the lanes, where they are registers of their own; the other lanes of [`Lanes::get`] are 0.
    type Half: Lanes;
    /// Whether there is such a half.
    const HALF: bool;
    /// How many lanes there are, at most [`LANES`].
    const WIDTH: usize = LANES;

    fn zero() -> Self;
    /// Adds `x * w` to the sums of several pixels.
    fn add<const P: usize>(sums: &mut [Self; P], x: [f32; P], w: &[f32; LANES]);
    /// Adds `x * w`, lane by lane.
    fn add_each(self, x: &[f32; LANES], w: &[f32; LANES]) -> Self;
    fn get(self) -> [f32; LANES];
    fn load(x: &[f32; LANES]) -> Self;
    fn plus(self, other: Self) -> Self;

    /// Adds all of a run, place by place, of numbers that all lanes have in common.
    #[inline(always)]
    fn add_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        run.check(P, run.len);
        for row in 0..run.rows.count {
            for column in 0..run.columns.count {
                let x = &run.x[row * run.rows.x + column * run.columns.x..];
                let x: [&[f32]; P] = core::array::from_fn(|p| &x[p * run.pixel..][..run.len]);
                let w = &run.w[row * run.rows.w + column * run.columns.w..][..run.len];
                for (k, w) in w.iter().enumerate() {
                    // SAFETY: there are `len` blocks of weights, so `k < len`, the length of every slice of `x`.
                    let x = core::array::from_fn(|p| unsafe { *x[p].get_unchecked(k) });
                    Self::add(sums, x, w);
                }
            }
        }
    }

    /// Stores the sums of a run and the bias of a block that has all of the lanes, those of pixels `c_out` numbers apart.
    #[inline(always)]
    fn store_run<const P: usize>(run: &Run<'_>, bias: Option<&[f32; LANES]>, out: &mut [f32], c_out: usize) {
        let mut sums = [Self::zero(); P];
        Self::add_run(&mut sums, run);
        for p in 0..P {
            let (sums, out) = (sums[p].get(), &mut out[p * c_out..][..LANES]);
            for lane in 0..LANES {
                out[lane] = bias.map_or(sums[lane], |bias| sums[lane] + bias[lane]);
            }
        }
    }

    /// Stores the products of `P` rows with each matrix.
    #[inline(always)]
    fn store_matrices<const P: usize>(matrices: &Matrices<'_>, out: &mut [f32]) {
        matrices.check(P, out);
        let one = Places { count: 1, x: 0, w: 0 };
        for i in 0..matrices.count {
            let (x, w) = (&matrices.x[i * matrices.x_step..], &matrices.w[i * matrices.len..]);
            let run = Run { x, pixel: matrices.row, w, rows: one, columns: one, len: matrices.len };
            Self::store_run::<P>(&run, None, &mut out[i * matrices.out_step..], LANES);
        }
    }

    /// Adds all of a run for one pixel and several blocks of channels, whose weights lie `block` apart.
    #[inline(always)]
    fn add_blocks<const B: usize>(sums: &mut [Self; B], run: &Run<'_>, block: usize) {
        for (b, sums) in sums.iter_mut().enumerate() {
            let mut alone = [*sums];
            Self::add_run(&mut alone, &Run { w: &run.w[b * block..], ..*run });
            [*sums] = alone;
        }
    }

    /// Adds all of a run, place by place, where each lane has a number of its own.
    #[inline(always)]
    fn add_each_run<const P: usize>(sums: &mut [Self; P], run: &Run<'_>) {
        run.check(P, LANES);
        for row in 0..run.rows.count {
            for column in 0..run.columns.count {
                let x = &run.x[row * run.rows.x + column * run.columns.x..][..(P - 1) * run.pixel + LANES];
                let w = &run.w[row * run.rows.w + column * run.columns.w];
                for p in 0..P {
                    if let Some(x) = x[p * run.pixel..].first_chunk() {
                        sums[p] = sums[p].add_each(x, w);
                    }
                }
            }
        }
    }
}

/// The lanes in the compiler's hands.
impl Lanes for [f32; LANES] {
    type Half = Self;
    const HALF: bool = false;

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

    #[inline(always)]
    fn load(x: &[f32; LANES]) -> Self {
        *x
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        core::array::from_fn(|lane| self[lane] + other[lane])
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
    /// Weights, `[k][LANES]`, and those of the blocks that follow.
    w: &'a [[f32; LANES]],
    /// In the first lanes.
    bias: Option<[f32; LANES]>,
    /// First output channel and how many.
    channels: Range<usize>,
    /// First input channel.
    c: usize,
}

impl<'a> Block<'a> {
    /// Block `i` of all.
    #[inline(always)]
    fn of(conv: &Conv, w: &'a [f32], bias: Option<&[f32]>, i: usize) -> Self {
        let depthwise = is_depthwise(conv);
        let group_out = lanes_total(conv);
        let blocks = group_out.div_ceil(LANES);
        let (group, lane) = (i / blocks, i % blocks * LANES);
        let o = group * group_out + lane;
        let channels = o..o + LANES.min(group_out - lane);
        let bias = bias.map(|bias| {
            let mut lanes = [0.0; LANES];
            lanes[..channels.len()].copy_from_slice(&bias[channels.clone()]);
            lanes
        });
        let c = if depthwise { o } else { group * conv.group_in() };
        Self { w: &w.as_chunks().0[i * conv.k()..], bias, channels, c }
    }

    /// Stores the sums of one pixel.
    #[inline(always)]
    fn store<V: Lanes>(&self, sums: V, out: &mut [f32]) {
        let mut sums = sums.get();
        if let Some(bias) = self.bias {
            sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
        }
        let out = &mut out[self.channels.clone()];
        match out.as_mut_array() {
            Some(out) => *out = sums,
            None => out.copy_from_slice(&sums[..out.len()]),
        }
    }
}

/// Output channels that lie in lanes side by side: those of one group, or all of a depthwise convolution.
#[inline(always)]
fn lanes_total(conv: &Conv) -> usize {
    if is_depthwise(conv) { conv.c_out } else { conv.group_out() }
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

/// All output channels of one line. The pixels at its ends that have taps of their own go alone, with several blocks of
/// channels side by side instead.
#[inline(always)]
fn convolve<V: Lanes, const P: usize>(
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    line: &Line,
    out: &mut [f32],
) {
    let group_blocks = lanes_total(conv).div_ceil(LANES);
    let blocks = w.len() / (conv.k() * LANES);
    let [n, oy, start] = line.at;
    let end = start + line.len;
    let whole = whole_windows(conv);
    let mut whole = whole.start.clamp(start, end)..whole.end.clamp(start, end);
    if whole.len() <= 1 {
        whole = start..start;
    }
    let at = |column: usize| (line.pixel + column - start) * conv.c_out;
    for column in (start..whole.start).chain(whole.end..end) {
        let window = Window::of(conv, [n, oy, column]);
        let out = &mut out[at(column)..][..conv.c_out];
        let mut i = 0;
        while i < blocks {
            i += match group_blocks - i % group_blocks {
                _ if is_depthwise(conv) => {
                    step::<V, 1>(conv, x, &Block::of(conv, w, bias, i), &window, out);
                    1
                }
                4.. => alone::<V, 4>(conv, x, w, bias, i, &window, out),
                2.. => alone::<V, 2>(conv, x, w, bias, i, &window, out),
                _ => alone::<V, 1>(conv, x, w, bias, i, &window, out),
            };
        }
    }
    for i in 0..blocks {
        let block = Block::of(conv, w, bias, i);
        // Few channels need one register, and more pixels to hide the latency of its additions.
        let half = V::HALF && block.channels.len() <= LANES / 2 && !is_depthwise(conv);
        let mut column = whole.start;
        while column < whole.end {
            let pixels = share(whole.end - column, if half { 8 } else { P });
            let window = Window::of(conv, [n, oy, column]);
            let out = &mut out[at(column)..];
            match half {
                true => steps::<V::Half, 8>(conv, x, &block, &window, pixels, out),
                false => steps::<V, P>(conv, x, &block, &window, pixels, out),
            }
            column += pixels;
        }
    }
}

/// How many of the pixels `left` go side by side: the last two steps are alike, as one with few pixels would wait
/// for its additions.
#[inline(always)]
pub(super) fn share(left: usize, most: usize) -> usize {
    if left > most && left < 2 * most { left.div_ceil(2) } else { left.min(most) }
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

/// [`step`] of as many `pixels`, at most `P`.
#[inline(always)]
fn steps<V: Lanes, const P: usize>(
    conv: &Conv,
    x: &[f32],
    block: &Block<'_>,
    window: &Window,
    pixels: usize,
    out: &mut [f32],
) {
    match pixels {
        8.. if P >= 8 => step::<V, 8>(conv, x, block, window, out),
        7 if P > 6 => step::<V, 7>(conv, x, block, window, out),
        6 if P > 5 => step::<V, 6>(conv, x, block, window, out),
        5 if P > 4 => step::<V, 5>(conv, x, block, window, out),
        4 if P > 3 => step::<V, 4>(conv, x, block, window, out),
        3 if P > 2 => step::<V, 3>(conv, x, block, window, out),
        2 if P > 1 => step::<V, 2>(conv, x, block, window, out),
        _ => step::<V, 1>(conv, x, block, window, out),
    }
}

/// One block of output channels at `P` neighbouring pixels, which have the taps of the first `window` inside.
#[inline(always)]
fn step<V: Lanes, const P: usize>(conv: &Conv, x: &[f32], block: &Block<'_>, window: &Window, out: &mut [f32]) {
    let mut sums = [V::zero(); P];
    if let Some(run) = Run::of(conv, x, block, window) {
        match is_depthwise(conv) {
            false if block.channels.len() == V::WIDTH => {
                let out = &mut out[block.channels.start..];
                return V::store_run::<P>(&run, block.bias.as_ref(), out, conv.c_out);
            }
            true if block.channels.len() == LANES => V::add_each_run(&mut sums, &run),
            true => add_few(&mut sums, &run, block.channels.len()),
            false => V::add_run(&mut sums, &run),
        }
    }
    for (sums, out) in sums.into_iter().zip(out.chunks_mut(conv.c_out)) {
        block.store(sums, out);
    }
}

/// `B` blocks of output channels from `i` on at one pixel. Returns `B`.
#[inline(always)]
fn alone<V: Lanes, const B: usize>(
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    i: usize,
    window: &Window,
    out: &mut [f32],
) -> usize {
    let mut sums = [V::zero(); B];
    if let Some(run) = Run::of(conv, x, &Block::of(conv, w, bias, i), window) {
        V::add_blocks(&mut sums, &run, conv.k());
    }
    for (b, sums) in sums.into_iter().enumerate() {
        Block::of(conv, w, bias, i + b).store(sums, out);
    }
    B
}

/// [`Lanes::add_each_run`] of the last block, which has `len` channels.
#[inline(always)]
fn add_few<V: Lanes, const P: usize>(sums: &mut [V; P], run: &Run<'_>, len: usize) {
    for row in 0..run.rows.count {
        for column in 0..run.columns.count {
            let x = &run.x[row * run.rows.x + column * run.columns.x..];
            let w = &run.w[row * run.rows.w + column * run.columns.w];
            for p in 0..P {
                let x = &x[p * run.pixel..];
                // What lies behind these channels goes into lanes that nobody reads.
                if let Some(x) = x.first_chunk() {
                    sums[p] = sums[p].add_each(x, w);
                    continue;
                }
                let mut filled = [0.0; LANES];
                filled[..len].copy_from_slice(&x[..len]);
                sums[p] = sums[p].add_each(&filled, w);
            }
        }
    }
}
