//! Real convolutions by minimal filtering: a fraction of the multiplications of [`crate::real`], for sums that are
//! rounded at other places.
//!
//! Winograd's F(m x m, r x r) with the points 0, 1, -1, 2, -2 and infinity (Lavin and Gray 2015, arXiv 1509.09308, section
//! 4): `Y = A^T ((G g G^T) . (B^T d B)) A` makes a tile of m x m outputs from a patch of 6x6 inputs, `m + r = 7`, and the
//! product `.` at each of the 36 places is one of matrices over channels. A stride `s` is taken out first: of every `s`-th
//! row and column the inputs and taps make `s * s` times as many channels, with `r` taps where there were `k`, `r = k / s`
//! rounded up. A ResNet's stem, 7x7 with stride 2, becomes 4x4 on 12 channels, and takes 48 multiplications where it took
//! 147.
//!
//! Kernels of 3 or 4 taps a side remain, of which the most is gained: 3x3 with stride 1, 5x5 and 7x7 with 2, 11x11 with 4.
//!
//! Every instruction set makes the same floats; they differ from those of [`crate::real::conv2d`] by some 1e-6 of the
//! largest term.

use core::ops::{Add, Mul, Range, Sub};

#[cfg(target_arch = "x86_64")]
use crate::isa::Avx512Bw;
use crate::{
    Isa, arch,
    real::LANES,
    shape::{Conv, Padding},
};

/// Inputs of a patch, a side.
pub(crate) const PATCH: usize = 6;

/// Places of a transformed patch.
pub(crate) const PLACES: usize = PATCH * PATCH;

/// Tiles that are worked out together.
pub(crate) const TILES: usize = 10;

/// Numbers of a step of the transforms, and of a [`V`]: what is read and written at a time, though fewer may count.
pub const STEP: usize = 8;

/// A convolution as one of stride 1 on more channels, and its tiles.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// Rows and columns of the input that become one.
    pub(crate) stride: usize,
    /// Taps of what remains, a side.
    pub(crate) taps: usize,
    /// Outputs of a tile, a side.
    pub(crate) tile: usize,
    /// Channels of one row of a phase: `stride * c_in`.
    pub(crate) row: usize,
    /// Channels, `stride * stride * c_in`.
    pub(crate) channels: usize,
    /// Numbers of a row of the inputs of [`TILES`] tiles, rounded up to whole steps, and a step more.
    pub(crate) span: usize,
    /// Numbers from the matrix of one place to that of the next.
    pub(crate) matrix: usize,
}

impl Sizes {
    /// Those of a geometry that passes [`Conv::validate`]; `None` if there are none.
    pub(crate) fn of(conv: &Conv) -> Option<Self> {
        let ([k, kw], [stride, sw]) = (conv.kernel, conv.stride);
        let plain = conv.groups == 1 && conv.dilation == [1, 1] && conv.padding == Padding::Zero;
        let taps = k.div_ceil(stride);
        // The last is for sizes that could not be multiplied.
        if !plain || k != kw || stride != sw || !(3..=4).contains(&taps) || stride > 8 || conv.c_in > 1 << 16 {
            return None;
        }
        let (tile, row) = (PATCH + 1 - taps, stride * conv.c_in);
        let channels = stride * row;
        let span = ((tile * (TILES - 1) + PATCH) * row).next_multiple_of(STEP) + STEP;
        Some(Self { stride, taps, tile, row, channels, span, matrix: TILES * channels + STEP })
    }

    /// The pieces of the scratch: inputs in their frame of zeros, their transformed columns, the transformed patches, and
    /// the products.
    pub(crate) fn scratch(&self) -> [usize; 4] {
        let lines = self.stride * PATCH * self.span;
        [lines, lines, PLACES * self.matrix, PLACES * TILES * LANES]
    }
}

/// Whether `conv` can be made so, and is faster.
pub fn pays(conv: &Conv) -> bool {
    if conv.validate().is_err() || conv.c_out < LANES {
        return false;
    }
    let Some(sizes) = Sizes::of(conv) else {
        return false;
    };
    let [h, w] = [conv.out_h(), conv.out_w()];
    let tiles = h.div_ceil(sizes.tile) as f64 * w.div_ceil(sizes.tile) as f64;
    // Per output channel; the transforms of a place weigh as much as nine channels.
    let filtered = tiles * PLACES as f64 * (sizes.channels as f64 + 9.0);
    filtered <= 0.75 * h as f64 * w as f64 * conv.k() as f64
}

/// Output rows that are made together: where `rows` of [`conv2d`] begin and end at multiples of it in their image, nothing
/// is made twice.
///
/// # Panics
/// If [`pays`] says no.
pub fn tile_rows(conv: &Conv) -> usize {
    sizes(conv).tile
}

/// Length of the packed weights.
///
/// # Panics
/// If [`pays`] says no.
pub fn pack_len(conv: &Conv) -> usize {
    PLACES * sizes(conv).channels * conv.c_out.next_multiple_of(LANES)
}

/// Numbers of scratch for [`conv2d`], whatever the batch.
///
/// # Panics
/// If [`pays`] says no.
pub fn scratch_len(conv: &Conv) -> usize {
    sizes(conv).scratch().iter().sum()
}

/// Transforms real weights, `[c_out, kh, kw, c_in]`, in double precision, and rounds them.
///
/// # Panics
/// If [`pays`] says no, `ohwi` is not `c_out * k` long, or `out` not [`pack_len`].
pub fn pack(conv: &Conv, ohwi: &[f32], out: &mut [f32]) {
    let (sizes, len) = (sizes(conv), pack_len(conv));
    assert!(out.len() == len, "{} numbers for {len} packed weights", out.len());
    assert!(ohwi.len() == conv.c_out * conv.k(), "{} weights for {conv:?}", ohwi.len());
    out.fill(0.0);
    let [k, stride, c_in] = [conv.kernel[0], sizes.stride, conv.c_in];
    let block_len = PLACES * sizes.channels * LANES;
    for (o, weights) in ohwi.chunks_exact(conv.k()).enumerate() {
        let block = &mut out[o / LANES * block_len..][..block_len];
        for channel in 0..sizes.channels {
            let [py, px, c] = [channel / sizes.row, channel % sizes.row / c_in, channel % c_in];
            let image = both(weight_points(sizes.taps), |a, b| {
                let [y, x] = [a * stride + py, b * stride + px];
                let inside = a < sizes.taps && b < sizes.taps && y < k && x < k;
                if inside { f64::from(weights[(y * k + x) * c_in + c]) } else { 0.0 }
            });
            for (place, value) in image.as_flattened().iter().enumerate() {
                block[(place * sizes.channels + channel) * LANES + o % LANES] = *value as f32;
            }
        }
    }
}

/// As [`crate::real::conv2d`], with the weights of [`pack`]: output `rows` (a range of `n * out_h`; `out` holds just those)
/// of `x`, `[n, h, w, c_in]`. `scratch` is of [`scratch_len`]; what is in it does not matter.
///
/// # Panics
/// If [`pays`] says no, `rows` lie outside, or a length does not fit.
pub fn conv2d(
    isa: Isa,
    conv: &Conv,
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    rows: Range<usize>,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    let pixels = conv.check_rows(&rows);
    let (len, wanted) = (pack_len(conv), scratch_len(conv));
    assert!(x.len() == conv.n * conv.h * conv.w * conv.c_in, "{} inputs for {conv:?}", x.len());
    assert!(w.len() == len, "{} numbers for {len} packed weights", w.len());
    assert!(bias.is_none_or(|bias| bias.len() == conv.c_out), "the bias is not {} numbers", conv.c_out);
    assert!(scratch.len() == wanted, "{} numbers of scratch for {wanted}", scratch.len());
    assert!(out.len() == pixels * conv.c_out, "{} numbers for {pixels} pixels of {conv:?}", out.len());
    let job = arch::generic::winograd::Job { conv, sizes: sizes(conv), x, w, bias };
    match isa {
        // There is no plainer order of these additions.
        Isa::Reference(_) | Isa::Portable(_) => arch::portable::winograd(&job, rows, scratch, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(token) => arch::avx2::winograd(token, &job, rows, scratch, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Bw(token) => arch::avx512::winograd(token, &job, rows, scratch, out),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vpopcnt(token) => arch::avx512::winograd(Avx512Bw::from(token), &job, rows, scratch, out),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Isa::WasmSimd128(_) => arch::simd128::winograd(&job, rows, scratch, out),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(token) => arch::neon::winograd(token, &job, rows, scratch, out),
    }
}

#[track_caller]
fn sizes(conv: &Conv) -> Sizes {
    match Sizes::of(conv) {
        Some(sizes) if pays(conv) => sizes,
        _ => panic!("{conv:?} is not made by minimal filtering"),
    }
}

/// What the transforms work on: numbers, or lanes of them.
pub trait Number: Copy + Default + Add<Output = Self> + Sub<Output = Self> + Mul<f32, Output = Self> {}

impl<T: Copy + Default + Add<Output = T> + Sub<Output = T> + Mul<f32, Output = T>> Number for T {}

/// Eight neighbouring numbers, which the compiler keeps in a register where the CPU has one of that size.
#[derive(Clone, Copy, Debug, Default)]
pub struct V(pub [f32; STEP]);

impl Add for V {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for i in 0..STEP {
            self.0[i] += other.0[i];
        }
        self
    }
}

impl Sub for V {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for i in 0..STEP {
            self.0[i] -= other.0[i];
        }
        self
    }
}

impl Mul<f32> for V {
    type Output = Self;

    #[inline(always)]
    fn mul(mut self, factor: f32) -> Self {
        for i in 0..STEP {
            self.0[i] *= factor;
        }
        self
    }
}

/// The transform of a patch, B^T.
#[inline(always)]
pub fn patch<T: Number>([d0, d1, d2, d3, d4, d5]: [T; 6]) -> [T; 6] {
    let (a, b) = (d4 - d2 * 4.0, d3 - d1 * 4.0);
    let (c, d) = (d4 - d2, (d3 - d1) * 2.0);
    [d0 * 4.0 - d2 * 5.0 + d4, a + b, a - b, c + d, c - d, d1 * 4.0 - d3 * 5.0 + d5]
}

/// From the places back to `M` outputs, A^T.
#[inline(always)]
pub fn outputs<T: Number, const M: usize>([m0, m1, m2, m3, m4, m5]: [T; 6]) -> [T; M] {
    let (even, odd) = ([m1 + m2, m3 + m4], [m1 - m2, m3 - m4]);
    let mut outputs = [m0 + even[0] + even[1]; M];
    let mut power = 1.0;
    for i in 1..M {
        power *= 2.0;
        let [near, far] = if i % 2 == 0 { even } else { odd };
        outputs[i] = near + far * power;
    }
    outputs[M - 1] = outputs[M - 1] + m5;
    outputs
}

/// The transform of as many weights as there are `taps`, the others 0: G.
fn weight_points(taps: usize) -> impl Fn([f64; 6]) -> [f64; 6] {
    move |g| {
        let at = |point: f64| g.iter().rev().fold(0.0, |sum, g| sum * point + g);
        [g[0] / 4.0, at(1.0) / -6.0, at(-1.0) / -6.0, at(2.0) / 24.0, at(-2.0) / 24.0, g[taps - 1]]
    }
}

/// Applies `transform` to the columns and then to the rows of an image of N x N.
#[inline(always)]
pub fn both<T: Copy + Default, const N: usize, const M: usize>(
    transform: impl Fn([T; N]) -> [T; M],
    pixel: impl Fn(usize, usize) -> T,
) -> [[T; M]; M] {
    // Loops, as calls of the standard library might stay calls in code of other instructions.
    let mut columns = [[T::default(); N]; M];
    for x in 0..N {
        let mut column = [T::default(); N];
        for (y, value) in column.iter_mut().enumerate() {
            *value = pixel(y, x);
        }
        for (columns, value) in columns.iter_mut().zip(transform(column)) {
            columns[x] = value;
        }
    }
    let mut image = [[T::default(); M]; M];
    for (row, columns) in image.iter_mut().zip(columns) {
        *row = transform(columns);
    }
    image
}
