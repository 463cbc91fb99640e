//! Gradients of 3x3 convolutions of stride 1 by minimal filtering (Winograd): a quarter of the multiplications.
//!
//! The gradient by the input is a correlation of dy with the turned weights, tile by tile F(4x4, 3x3); that by the weights is
//! one of the input with dy, tile by tile F(3x3, 4x4) (Lavin and Gray 2015, arXiv 1509.09308, sections 4.1 and 4.3; the
//! points are 0, 1, -1, 2, -2 and infinity). Both turn patches of 6x6 pixels into 36 places, at each of which the tiles
//! are one matrix product over channels. The sums differ from the plain ones by rounding, some 1e-6 of the largest.

use std::cell::RefCell;

use rayon::prelude::*;
use signbit_kernels::Conv;

use super::im2row::Dx;
use super::lanes::{LANES, V};
use super::rows::add_parts;
use crate::gemm::{Gemm, Mat, MatMut};
use crate::ranks::{Ranks, per_part};
use crate::tensor::Buffers;

/// Outputs of a tile, a side.
const TILE: usize = 4;
/// Pixels of a patch, a side.
const PATCH: usize = 6;
/// Places of a transformed patch.
const PLACES: usize = PATCH * PATCH;
/// Tiles whose transforms are made before their products run: enough for the products, few enough for the cache.
const BLOCK: usize = 256;
/// Tiles of one part of the batch below which the sums by place outweigh what is saved.
const FEW: usize = 40;

thread_local! {
    /// Transforms of the block at hand.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A convolution cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    conv: Conv,
    /// What a tap outside of the input counts as.
    pad: f32,
    /// Tiles of the output, vertical and horizontal.
    out: [usize; 2],
    /// Tiles of the input.
    input: [usize; 2],
}

impl Winograd {
    /// The tiles of `conv`, or `None` where the plain products are the better way.
    pub(super) fn new(conv: Conv, pad: f32, per_part: usize) -> Option<Self> {
        let plain = conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
        let channels = |c: usize| c >= 16 && c.is_multiple_of(LANES);
        if !plain || conv.pads.iter().any(|&pad| pad > 2) || !channels(conv.c_in) || !channels(conv.c_out) {
            return None;
        }
        let (out, input) = ([conv.out_h(), conv.out_w()], [conv.h, conv.w]);
        let tiles = |sides: [usize; 2]| sides.map(|side| side.div_ceil(TILE));
        let found = Self { conv, pad, out: tiles(out), input: tiles(input) };
        // Half-empty tiles are work for nothing.
        let filled = |[h, w]: [usize; 2], tiles: [usize; 2]| 2 * h * w >= area(tiles) * TILE * TILE;
        let enough = per_part * area(found.out) >= FEW;
        (enough && filled(out, found.out) && filled(input, found.input)).then_some(found)
    }

    /// As [`super::im2row::Im2Row::backward`].
    pub(super) fn backward(
        &self,
        ranks: Option<&Ranks>,
        gemm: &dyn Gemm,
        buffers: &mut Buffers,
        load: impl Fn(usize, usize, &mut [f32]) + Sync,
        dy: &[f32],
        dw: &mut [f32],
        dx: Option<Dx<'_>>,
    ) {
        let conv = &self.conv;
        let per_part = per_part(ranks, conv.n);
        let parts = conv.n.div_ceil(per_part);
        let (dy_len, dx_len) = (conv.out_h() * conv.out_w() * conv.c_out, conv.h * conv.w * conv.c_in);
        let mut sums = buffers.real(parts * dw.len());
        let mut turned = buffers.real(if dx.is_some() { PLACES * conv.c_out * conv.c_in } else { 0 });
        let mut dx_parts: Vec<Option<&mut [f32]>> = (0..parts).map(|_| None).collect();
        if let Some(Dx { weights, scale, out }) = dx {
            self.turn_weights(weights, scale, &mut turned);
            dx_parts = out.chunks_mut(per_part * dx_len).map(Some).collect();
        }
        dy.par_chunks(per_part * dy_len).zip(dx_parts).zip(sums.par_chunks_mut(dw.len())).enumerate().for_each(
            |(part, ((dy, dx), dw))| {
                SCRATCH.with_borrow_mut(|scratch| {
                    let mut work = Work::new(self, scratch, dy.len() / dy_len);
                    self.weights(gemm, &mut work, |i, y, row| load(part * per_part + i, y, row), dy, dw);
                    if let Some(dx) = dx {
                        self.inputs(gemm, &mut work, dy, &turned, dx);
                    }
                });
            },
        );
        add_parts(ranks, &sums, dw);
        buffers.give(sums);
        buffers.give(turned);
    }

    /// The weights turned by half a circle, transformed: `[c_out, 36, c_in]`, with the factors of the channels.
    fn turn_weights(&self, weights: &[f32], scale: Option<&[f32]>, turned: &mut [f32]) {
        let c = self.conv.c_in;
        turned.par_chunks_mut(PLACES * c).zip(weights.par_chunks(9 * c)).enumerate().for_each(|(o, (to, weights))| {
            let factor = scale.map_or(1.0, |scale| scale[o]);
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    for i in (0..c).step_by(LANES) {
                        store(
                            both(
                                three_points(),
                                #[inline(always)]
                                |a: usize, b: usize| V::load(&weights[((2 - a) * 3 + 2 - b) * c + i..]) * factor,
                            ),
                            #[inline(always)]
                            |place| place * c + i,
                            to,
                        );
                    }
                },
            );
        });
    }

    /// The gradient by the weights, of some samples.
    fn weights(
        &self,
        gemm: &dyn Gemm,
        work: &mut Work<'_>,
        load: impl Fn(usize, usize, &mut [f32]),
        dy: &[f32],
        dw: &mut [f32],
    ) {
        let (conv, tiles) = (&self.conv, area(self.out));
        let (c_in, c_out) = (conv.c_in, conv.c_out);
        let sample = conv.out_h() * conv.out_w() * c_out;
        for (block, dy) in dy.chunks(work.samples * sample).enumerate() {
            let count = dy.len() / sample * tiles;
            work.x.fill(self.pad);
            for (i, dy) in dy.chunks_exact(sample).enumerate() {
                self.fill(
                    work.x,
                    self.x_width(),
                    [conv.pads[0], conv.pads[1]],
                    conv.h,
                    conv.w * c_in,
                    c_in,
                    |y, row| {
                        load(block * work.samples + i, y, row);
                    },
                );
                self.fill_dy(work.dy, dy);
                let (x_width, dy_width) = (self.x_width(), self.dy_width());
                let [top, left] = self.dy_offset();
                let (x, dy, of_x, of_dy) = (&*work.x, &*work.dy, &mut *work.first, &mut *work.second);
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for (t, [y, x0]) in each_tile(self.out).enumerate() {
                            let at = i * tiles + t;
                            for c in (0..c_in).step_by(LANES) {
                                store(
                                    both(
                                        patch(),
                                        #[inline(always)]
                                        |a: usize, b: usize| {
                                            V::load(&x[((y * TILE + a) * x_width + x0 * TILE + b) * c_in + c..])
                                        },
                                    ),
                                    #[inline(always)]
                                    |place| (place * count + at) * c_in + c,
                                    of_x,
                                );
                            }
                            for c in (0..c_out).step_by(LANES) {
                                store(
                                    both(
                                        four_points(),
                                        #[inline(always)]
                                        |a: usize, b: usize| {
                                            let row = (y * TILE + a + top) * dy_width + x0 * TILE + b + left;
                                            V::load(&dy[row * c_out + c..])
                                        },
                                    ),
                                    #[inline(always)]
                                    |place| (place * count + at) * c_out + c,
                                    of_dy,
                                );
                            }
                        }
                    },
                );
            }
            let products = work.sums.chunks_exact_mut(c_out * c_in);
            for (place, sums) in products.enumerate() {
                gemm.product(
                    MatMut::new(sums, c_out, c_in),
                    Mat::new(&work.second[place * count * c_out..][..count * c_out], count, c_out).t(),
                    Mat::new(&work.first[place * count * c_in..][..count * c_in], count, c_in),
                    block > 0,
                    1,
                );
            }
        }
        let sums = &*work.sums;
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                for (o, dw) in dw.chunks_exact_mut(9 * c_in).enumerate() {
                    for c in (0..c_in).step_by(LANES) {
                        store(
                            both(
                                to_three(),
                                #[inline(always)]
                                |a: usize, b: usize| V::load(&sums[((a * PATCH + b) * c_out + o) * c_in + c..]),
                            ),
                            #[inline(always)]
                            |tap| tap * c_in + c,
                            dw,
                        );
                    }
                }
            },
        );
    }

    /// The gradient by the inputs, of some samples.
    fn inputs(&self, gemm: &dyn Gemm, work: &mut Work<'_>, dy: &[f32], turned: &[f32], dx: &mut [f32]) {
        let (conv, tiles) = (&self.conv, area(self.input));
        let (c_in, c_out) = (conv.c_in, conv.c_out);
        let (from, to) = (conv.out_h() * conv.out_w() * c_out, conv.h * conv.w * c_in);
        for (dy, dx) in dy.chunks(work.samples * from).zip(dx.chunks_mut(work.samples * to)) {
            let count = dy.len() / from * tiles;
            for (i, dy) in dy.chunks_exact(from).enumerate() {
                self.fill_dy(work.dy, dy);
                let (dy_width, dy, of_dy) = (self.dy_width(), &*work.dy, &mut *work.second);
                pulp::Arch::new().dispatch(
                    #[inline(always)]
                    || {
                        for (t, [y, x]) in each_tile(self.input).enumerate() {
                            for c in (0..c_out).step_by(LANES) {
                                let at = i * tiles + t;
                                store(
                                    both(
                                        patch(),
                                        #[inline(always)]
                                        |a: usize, b: usize| {
                                            V::load(&dy[((y * TILE + a) * dy_width + x * TILE + b) * c_out + c..])
                                        },
                                    ),
                                    #[inline(always)]
                                    |place| (place * count + at) * c_out + c,
                                    of_dy,
                                );
                            }
                        }
                    },
                );
            }
            for place in 0..PLACES {
                gemm.product(
                    MatMut::new(&mut work.first[place * count * c_in..][..count * c_in], count, c_in),
                    Mat::new(&work.second[place * count * c_out..][..count * c_out], count, c_out),
                    Mat::columns(turned, c_out, place * c_in, c_in, PLACES * c_in),
                    false,
                    1,
                );
            }
            let products = &*work.first;
            pulp::Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (i, dx) in dx.chunks_exact_mut(to).enumerate() {
                        for (t, [y, x]) in each_tile(self.input).enumerate() {
                            let (rows, columns) = (TILE.min(conv.h - y * TILE), TILE.min(conv.w - x * TILE));
                            for c in (0..c_in).step_by(LANES) {
                                let at = i * tiles + t;
                                let tile = both(
                                    to_four(),
                                    #[inline(always)]
                                    |a: usize, b: usize| {
                                        V::load(&products[((a * PATCH + b) * count + at) * c_in + c..])
                                    },
                                );
                                for (a, row) in tile.iter().enumerate().take(rows) {
                                    for (b, value) in row.iter().enumerate().take(columns) {
                                        let pixel = (y * TILE + a) * conv.w + x * TILE + b;
                                        value.store(&mut dx[pixel * c_in + c..]);
                                    }
                                }
                            }
                        }
                    }
                },
            );
        }
    }

    /// Rows and columns of 0 above and left of dy, so that a tile of the input begins at its patch.
    fn dy_offset(&self) -> [usize; 2] {
        [2 - self.conv.pads[0], 2 - self.conv.pads[1]]
    }

    /// Pixels of a row of the padded input.
    fn x_width(&self) -> usize {
        (self.out[1] * TILE + 2).max(self.conv.pads[1] + self.conv.w)
    }

    fn x_len(&self) -> usize {
        (self.out[0] * TILE + 2).max(self.conv.pads[0] + self.conv.h) * self.x_width() * self.conv.c_in
    }

    /// Pixels of a row of the padded dy, which has room for the tiles of the input and those of the output.
    fn dy_width(&self) -> usize {
        (self.input[1] * TILE + 2).max(self.out[1] * TILE + self.dy_offset()[1])
    }

    fn dy_len(&self) -> usize {
        (self.input[0] * TILE + 2).max(self.out[0] * TILE + self.dy_offset()[0]) * self.dy_width() * self.conv.c_out
    }

    /// Writes a sample's dy into its frame of zeros.
    fn fill_dy(&self, padded: &mut [f32], dy: &[f32]) {
        let row = self.conv.out_w() * self.conv.c_out;
        let height = self.conv.out_h();
        self.fill(padded, self.dy_width(), self.dy_offset(), height, row, self.conv.c_out, |y, to| {
            to.copy_from_slice(&dy[y * row..(y + 1) * row]);
        });
    }

    /// Lets `write` make the rows of an image inside of its frame.
    #[expect(clippy::too_many_arguments, reason = "an image and its frame")]
    fn fill(
        &self,
        padded: &mut [f32],
        width: usize,
        [top, left]: [usize; 2],
        height: usize,
        row: usize,
        channels: usize,
        write: impl Fn(usize, &mut [f32]),
    ) {
        for y in 0..height {
            let start = ((y + top) * width + left) * channels;
            write(y, &mut padded[start..start + row]);
        }
    }
}

/// Scratch of one thread.
struct Work<'a> {
    /// Samples of a block.
    samples: usize,
    /// A sample of the input in its frame.
    x: &'a mut [f32],
    /// A sample of dy in its frame of zeros.
    dy: &'a mut [f32],
    /// `[36, tiles, c_in]`.
    first: &'a mut [f32],
    /// `[36, tiles, c_out]`.
    second: &'a mut [f32],
    /// `[36, c_out, c_in]`.
    sums: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(of: &Winograd, scratch: &'a mut Vec<f32>, samples: usize) -> Self {
        let (c_in, c_out) = (of.conv.c_in, of.conv.c_out);
        let most = area(of.out).max(area(of.input));
        let samples = (BLOCK / most).clamp(1, samples);
        let tiles = samples * most;
        let lens = [of.x_len(), of.dy_len(), PLACES * tiles * c_in, PLACES * tiles * c_out, PLACES * c_out * c_in];
        let len = lens.iter().sum();
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
        let mut rest = &mut scratch[..len];
        let [x, dy, first, second, sums] = lens.map(|len| {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(len);
            rest = behind;
            part
        });
        dy.fill(0.0);
        Self { samples, x, dy, first, second, sums }
    }
}

/// Tiles of an image.
fn area([vertical, horizontal]: [usize; 2]) -> usize {
    vertical * horizontal
}

/// The tiles of an image, row by row.
fn each_tile([vertical, horizontal]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..vertical).flat_map(move |y| (0..horizontal).map(move |x| [y, x]))
}

/// Applies `transform` to the columns and then to the rows of an image of N x N.
#[inline(always)]
fn both<const N: usize, const M: usize>(
    transform: impl Fn([V; N]) -> [V; M],
    pixel: impl Fn(usize, usize) -> V,
) -> [[V; M]; M] {
    let mut columns = [[V::ZERO; N]; M];
    for x in 0..N {
        let mut column = [V::ZERO; N];
        for (y, value) in column.iter_mut().enumerate() {
            *value = pixel(y, x);
        }
        for (columns, value) in columns.iter_mut().zip(transform(column)) {
            columns[x] = value;
        }
    }
    let mut image = [[V::ZERO; M]; M];
    for (row, columns) in image.iter_mut().zip(columns) {
        *row = transform(columns);
    }
    image
}

/// Stores an image's pixels where `at` says.
#[inline(always)]
fn store<const M: usize>(image: [[V; M]; M], at: impl Fn(usize) -> usize, to: &mut [f32]) {
    for (y, row) in image.into_iter().enumerate() {
        for (x, value) in row.into_iter().enumerate() {
            value.store(&mut to[at(y * M + x)..]);
        }
    }
}

/// The transform of a patch: B^T of Lavin and Gray.
#[inline(always)]
fn patch() -> impl Fn([V; 6]) -> [V; 6] + Copy {
    #[inline(always)]
    |[d0, d1, d2, d3, d4, d5]| {
        let (a, b) = (d4 - d2 * 4.0, d3 - d1 * 4.0);
        let (c, d) = (d4 - d2, (d3 - d1) * 2.0);
        [d0 * 4.0 - d2 * 5.0 + d4, a + b, a - b, c + d, c - d, d1 * 4.0 - d3 * 5.0 + d5]
    }
}

/// The transform of three weights: G.
#[inline(always)]
fn three_points() -> impl Fn([V; 3]) -> [V; 6] + Copy {
    #[inline(always)]
    |[g0, g1, g2]| {
        let (a, b) = ((g0 + g2) * (-1.0 / 6.0), g1 * (1.0 / 6.0));
        let (c, d) = (g0 * (1.0 / 24.0) + g2 * (1.0 / 6.0), g1 * (1.0 / 12.0));
        [g0 * 0.25, a - b, a + b, c + d, c - d, g2]
    }
}

/// The transform of four numbers in the place of the weights.
#[inline(always)]
fn four_points() -> impl Fn([V; 4]) -> [V; 6] + Copy {
    #[inline(always)]
    |[g0, g1, g2, g3]| {
        let (a, b) = ((g0 + g2) * (-1.0 / 6.0), (g1 + g3) * (1.0 / 6.0));
        let (c, d) = ((g0 + g2 * 4.0) * (1.0 / 24.0), (g1 + g3 * 4.0) * (1.0 / 12.0));
        [g0 * 0.25, a - b, a + b, c + d, c - d, g3]
    }
}

/// Back to four outputs: A^T.
#[inline(always)]
fn to_four() -> impl Fn([V; 6]) -> [V; 4] + Copy {
    #[inline(always)]
    |[m0, m1, m2, m3, m4, m5]| {
        let (a, b, c, d) = (m1 + m2, m1 - m2, m3 + m4, m3 - m4);
        [m0 + a + c, b + d * 2.0, a + c * 4.0, b + d * 8.0 + m5]
    }
}

/// Back to three outputs.
#[inline(always)]
fn to_three() -> impl Fn([V; 6]) -> [V; 3] + Copy {
    #[inline(always)]
    |[m0, m1, m2, m3, m4, m5]| {
        let (a, b, c, d) = (m1 + m2, m1 - m2, m3 + m4, m3 - m4);
        [m0 + a + c, b + d * 2.0, a + c * 4.0 + m5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::GemmCrate;
    use crate::ops::gradcheck::numbers;
    use crate::ops::im2row::Im2Row;

    /// Both gradients against the plain products, over odd sizes, paddings, both ways of padding, and factors.
    #[test]
    fn the_plain_gradients() {
        let mut wrong = Vec::new();
        for (n, h, w, c_in, c_out, pads, pad) in [
            (10, 28, 28, 16, 24, [1, 1, 1, 1], 0.0),
            (40, 14, 15, 32, 16, [1, 1, 1, 1], -1.0),
            (3, 30, 29, 16, 16, [0, 0, 0, 0], 0.0),
            (1, 31, 27, 24, 16, [2, 1, 0, 2], 1.0),
            (12, 23, 26, 16, 32, [0, 2, 1, 0], 0.0),
        ] {
            let conv = Conv { n, pads, ..Conv::new([n, h, w, c_in], c_out, [3, 3]) };
            let winograd = Winograd::new(conv, pad, per_part(None, n)).expect("a geometry for it");
            let (x, dy) = (numbers(n * h * w * c_in, 1), numbers(n * conv.out_h() * conv.out_w() * c_out, 2));
            let (weights, scale) = (numbers(c_out * 9 * c_in, 3), numbers(c_out, 4));
            let load =
                |n: usize, y: usize, to: &mut [f32]| to.copy_from_slice(&x[(n * h + y) * w * c_in..][..w * c_in]);
            let run = |fast: bool, scale: Option<&[f32]>| {
                let (mut dw, mut dx) = (vec![f32::NAN; weights.len()], vec![f32::NAN; x.len()]);
                let (mut buffers, out) = (Buffers::default(), Some(Dx { weights: &weights, scale, out: &mut dx }));
                if fast {
                    winograd.backward(None, &GemmCrate, &mut buffers, load, &dy, &mut dw, out);
                } else {
                    Im2Row::new(conv, pad).plain_backward(None, &GemmCrate, &mut buffers, load, &dy, &mut dw, out);
                }
                [dw, dx]
            };
            for scale in [None, Some(&scale[..])] {
                for ((what, fast), plain) in ["dw", "dx"].into_iter().zip(run(true, scale)).zip(run(false, scale)) {
                    let largest = plain.iter().fold(0.0f32, |most, v| most.max(v.abs()));
                    let apart = fast.iter().zip(&plain).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                    if apart.is_nan() || apart > 2e-5 * largest || fast.iter().any(|v| v.is_nan()) {
                        wrong.push(format!("{what} of {conv:?}: {apart} apart, largest {largest}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn where_the_plain_products_are_better() {
        let fit = Conv { pads: [1; 4], ..Conv::new([100, 28, 28, 64], 64, [3, 3]) };
        assert!(Winograd::new(fit, 0.0, per_part(None, fit.n)).is_some());
        for conv in [
            Conv { stride: [2, 2], ..fit },
            Conv { kernel: [1, 1], pads: [0; 4], ..fit },
            Conv { c_in: 3, ..fit },
            Conv { c_in: 20, ..fit },
            Conv { groups: 2, ..fit },
            Conv { dilation: [2, 1], ..fit },
            Conv { pads: [3; 4], ..fit },
            Conv { h: 5, w: 5, n: 1000, ..fit },
            Conv { h: 4, w: 4, n: 10, ..fit },
        ] {
            assert!(Winograd::new(conv, 0.0, per_part(None, conv.n)).is_none(), "{conv:?}");
        }
    }
}
