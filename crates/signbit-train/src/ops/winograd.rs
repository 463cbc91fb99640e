//! Real 3x3 convolutions of stride 1, and the gradients of binary ones too, by minimal filtering (Winograd): a quarter of
//! the multiplications.
//!
//! The forward pass is `A^T ((G g G^T) . (B^T d B)) A` for each tile of 4x4 outputs: F(4x4, 3x3) of Lavin and Gray (2015,
//! arXiv 1509.09308), with the points 0, 1, -1, 2, -2 and infinity, and `.` at each of 36 places a matrix product over
//! channels. The gradients are what its terms turn into: with `E = A dy A^T`, that by the weights
//! is `G^T (E . B^T d B) G` and that by the input `B (E . G g G^T) B^T`, where patches of 6x6 overlap and are added. One
//! transform of dy serves both. The sums differ from the plain ones by rounding, some 1e-6 of the largest.

mod forward;
mod points;
#[cfg(test)]
mod tests;

use std::ops::Range;

use pulp::Arch;
use signbit_kernels::Conv;
use signbit_kernels::winograd::{both, patch};

use self::points::{four_points, from_patch, store, three_points, to_three};
use super::im2row::Dx;
use super::lanes::{LANES, V, in_lanes, in_lanes_mut};
use super::parts::{chunks_or_none, sum_parts, with_scratch};
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
const BLOCK: usize = 128;
/// Tiles of one part of the batch below which the sums by place outweigh what is saved.
const FEW: usize = 40;
/// Numbers between the matrices of two places, which would otherwise lie a power of two apart: in one set of the cache.
const GAP: usize = 16;

/// A convolution cut into tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    conv: Conv,
    /// What a tap outside of the input counts as.
    pad: f32,
    /// Tiles, vertical and horizontal.
    tiles: [usize; 2],
}

impl Winograd {
    /// The tiles of `conv`, or `None` where the plain products are the better way.
    pub(super) fn new(conv: Conv, pad: f32, per_part: usize) -> Option<Self> {
        let plain = conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
        let channels = |c: usize| c >= 16 && c.is_multiple_of(LANES);
        if !plain || conv.pads.iter().any(|&pad| pad > 2) || !channels(conv.c_in) || !channels(conv.c_out) {
            return None;
        }
        let (h, w) = (conv.out_h(), conv.out_w());
        let tiles = [h.div_ceil(TILE), w.div_ceil(TILE)];
        let area = tiles[0] * tiles[1];
        // Half-empty tiles are work for nothing.
        let (filled, enough) = (2 * h * w >= area * TILE * TILE, per_part * area >= FEW);
        (enough && filled).then_some(Self { conv, pad, tiles })
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
        let len = if dx.is_some() { PLACES * self.matrix() } else { 0 };
        let mut scratch = buffers.scratch(len);
        let weights = &mut scratch[..len];
        let out = dx.map(|Dx { weights: of, scale, out }| {
            self.transform_weights(of, scale, weights);
            out
        });
        let dx_parts = chunks_or_none(out, per_part * dx_len, parts);
        let items = dy.chunks(per_part * dy_len).zip(dx_parts).collect();
        sum_parts(ranks, buffers, items, dw, |part, (dy, mut dx), dw| {
            let sizes = Sizes::of(self, dy.len() / dy_len);
            with_scratch(sizes.len(), |scratch| {
                let mut work = Work::new(self, &sizes, scratch);
                let samples = sizes.samples;
                for (block, dy) in dy.chunks(samples * dy_len).enumerate() {
                    let load = |i, y, row: &mut [f32]| load(part * per_part + block * samples + i, y, row);
                    let dx = dx.as_deref_mut().map(|dx| {
                        let len = dy.len() / dy_len * dx_len;
                        (&weights[..], &mut dx[block * samples * dx_len..][..len])
                    });
                    self.block(gemm, &mut work, load, dy, block > 0, dx);
                }
                self.finish_weights(work.sums, dw);
            });
        });
        buffers.give_scratch(scratch);
    }

    /// Adds the products of a few samples to the sums by place, and writes their dx. Where a sample alone is a block,
    /// it is made a few rows of tiles at a time.
    fn block(
        &self,
        gemm: &dyn Gemm,
        work: &mut Work<'_>,
        load: impl Fn(usize, usize, &mut [f32]),
        dy: &[f32],
        mut accumulate: bool,
        mut dx: Option<(&[f32], &mut [f32])>,
    ) {
        let (conv, [all, horizontal]) = (&self.conv, self.tiles);
        let dy_len = conv.out_h() * conv.out_w() * conv.c_out;
        let dx_len = conv.h * conv.w * conv.c_in;
        for first in (0..all).step_by(work.rows) {
            let rows = first..(first + work.rows).min(all);
            let tiles = rows.len() * horizontal;
            let count = dy.len() / dy_len * tiles;
            for (i, dy) in dy.chunks_exact(dy_len).enumerate() {
                if first == 0 {
                    self.fill(work.x, |y, row| load(i, y, row));
                }
                let places = Places { count, first: i * tiles };
                self.transform_x(work.x, rows.clone(), places, work.first);
                self.transform_dy(dy, rows.clone(), places, work.second);
            }
            self.products(gemm, work, count, accumulate, dx.as_ref().map(|(weights, _)| *weights));
            accumulate = true;
            let Some((_, dx)) = &mut dx else { continue };
            for (i, dx) in dx.chunks_exact_mut(dx_len).enumerate() {
                self.add_patches(work.first, rows.clone(), Places { count, first: i * tiles }, work.dx);
                if rows.end == all {
                    self.unframe(work.dx, dx);
                }
            }
        }
    }

    /// The products at each place: those of `second` and `first` are added to the sums, those of `second` and the
    /// weights take the place of `first`.
    fn products(&self, gemm: &dyn Gemm, work: &mut Work<'_>, count: usize, accumulate: bool, weights: Option<&[f32]>) {
        let (c_in, c_out) = (self.conv.c_in, self.conv.c_out);
        for place in 0..PLACES {
            let matrix = place * self.matrix()..place * self.matrix() + c_out * c_in;
            let of = |c: usize| Places::matrix(place, count, c);
            let dy = Mat::new(&work.second[of(c_out)], count, c_out);
            let x = Mat::new(&work.first[of(c_in)], count, c_in);
            let sums = MatMut::new(&mut work.sums[matrix.clone()], c_out, c_in);
            gemm.product(sums, dy.t(), x, accumulate, 1);
            if let Some(weights) = weights {
                let to = MatMut::new(&mut work.first[of(c_in)], count, c_in);
                gemm.product(to, dy, Mat::new(&weights[matrix], c_out, c_in), false, 1);
            }
        }
    }

    /// The weights at each place, `[36, c_out, c_in]` with gaps, with the factors of the channels: G g G^T.
    fn transform_weights(&self, weights: &[f32], scale: Option<&[f32]>, to: &mut [f32]) {
        let (groups, matrix) = (self.conv.c_in / LANES, self.matrix() / LANES);
        let (weights, to) = (in_lanes(weights), in_lanes_mut(to));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (o, weights) in weights.chunks_exact(9 * groups).enumerate() {
                    let factor = scale.map_or(1.0, |scale| scale[o]);
                    for c in 0..groups {
                        let image = both(
                            three_points(),
                            #[inline(always)]
                            |a: usize, b: usize| V(weights[(a * 3 + b) * groups + c]) * factor,
                        );
                        store(
                            image,
                            #[inline(always)]
                            |place| place * matrix + o * groups + c,
                            to,
                        );
                    }
                }
            },
        );
    }

    /// The gradient by the weights from its sums by place: G^T M G.
    fn finish_weights(&self, sums: &[f32], dw: &mut [f32]) {
        let (groups, matrix) = (self.conv.c_in / LANES, self.matrix() / LANES);
        let (sums, dw) = (in_lanes(sums), in_lanes_mut(dw));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (o, dw) in dw.chunks_exact_mut(9 * groups).enumerate() {
                    for c in 0..groups {
                        let image = both(
                            to_three(),
                            #[inline(always)]
                            |a: usize, b: usize| V(sums[(a * PATCH + b) * matrix + o * groups + c]),
                        );
                        store(
                            image,
                            #[inline(always)]
                            |tap| tap * groups + c,
                            dw,
                        );
                    }
                }
            },
        );
    }

    /// The patches of some rows of tiles, `[36, tiles, c_in]` with gaps: B^T d B.
    fn transform_x(&self, x: &[f32], rows: Range<usize>, places: Places, to: &mut [f32]) {
        let (groups, width) = (self.conv.c_in / LANES, self.frame_width());
        let (x, to) = (in_lanes(x), in_lanes_mut(to));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (tile, [y, x0]) in each_tile(rows, self.tiles[1]).enumerate() {
                    let x = &x[(y * width + x0) * TILE * groups..];
                    for c in 0..groups {
                        let image = both(
                            patch,
                            #[inline(always)]
                            |a: usize, b: usize| V(x[(a * width + b) * groups + c]),
                        );
                        store(
                            image,
                            #[inline(always)]
                            |place| places.at(place, tile, groups) + c,
                            to,
                        );
                    }
                }
            },
        );
    }

    /// The tiles of dy of some rows of tiles, `[36, tiles, c_out]` with gaps: A dy A^T.
    fn transform_dy(&self, dy: &[f32], rows: Range<usize>, places: Places, to: &mut [f32]) {
        let groups = self.conv.c_out / LANES;
        let (height, width) = (self.conv.out_h(), self.conv.out_w());
        let (dy, to) = (in_lanes(dy), in_lanes_mut(to));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (tile, [y, x]) in each_tile(rows, self.tiles[1]).enumerate() {
                    let (y, x) = (y * TILE, x * TILE);
                    let (down, right) = (height - y, width - x);
                    let dy = &dy[(y * width + x) * groups..];
                    for c in 0..groups {
                        let image = if down >= TILE && right >= TILE {
                            both(
                                four_points(),
                                #[inline(always)]
                                |a: usize, b: usize| V(dy[(a * width + b) * groups + c]),
                            )
                        } else {
                            both(
                                four_points(),
                                #[inline(always)]
                                |a: usize, b: usize| match a < down && b < right {
                                    true => V(dy[(a * width + b) * groups + c]),
                                    false => V::default(),
                                },
                            )
                        };
                        store(
                            image,
                            #[inline(always)]
                            |place| places.at(place, tile, groups) + c,
                            to,
                        );
                    }
                }
            },
        );
    }

    /// Adds the patches of some rows of tiles to the dx in its frame: B M B^T. What no tile before has written is set.
    fn add_patches(&self, products: &[f32], rows: Range<usize>, places: Places, dx: &mut [f32]) {
        let (groups, width) = (self.conv.c_in / LANES, self.frame_width());
        let (products, dx) = (in_lanes(products), in_lanes_mut(dx));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (tile, [y, x]) in each_tile(rows, self.tiles[1]).enumerate() {
                    let dx = &mut dx[(y * width + x) * TILE * groups..];
                    let (above, left) = (y > 0, x > 0);
                    for c in 0..groups {
                        let image = both(
                            from_patch(),
                            #[inline(always)]
                            |a: usize, b: usize| V(products[places.at(a * PATCH + b, tile, groups) + c]),
                        );
                        for (a, row) in image.into_iter().enumerate() {
                            for (b, value) in row.into_iter().enumerate() {
                                let to = &mut dx[(a * width + b) * groups + c];
                                let added = (a < PATCH - TILE && above) || (b < PATCH - TILE && left);
                                *to = if added { V(*to) + value } else { value }.0;
                            }
                        }
                    }
                }
            },
        );
    }

    /// Numbers from the matrix of one place to that of the next.
    fn matrix(&self) -> usize {
        self.conv.c_out * self.conv.c_in + GAP
    }

    /// Pixels of a row of the framed input, which has room for all patches.
    fn frame_width(&self) -> usize {
        self.tiles[1] * TILE + PATCH - TILE
    }

    /// Numbers of the framed input.
    fn frame_len(&self) -> usize {
        (self.tiles[0] * TILE + PATCH - TILE) * self.frame_width() * self.conv.c_in
    }

    /// Where row `y` of the input lies in its frame.
    fn framed_row(&self, y: usize) -> Range<usize> {
        let ([top, left, ..], c) = (self.conv.pads, self.conv.c_in);
        let start = ((y + top) * self.frame_width() + left) * c;
        start..start + self.conv.w * c
    }

    /// Lets `write` make the rows of the input inside of its frame.
    fn fill(&self, framed: &mut [f32], write: impl Fn(usize, &mut [f32])) {
        (0..self.conv.h).for_each(|y| write(y, &mut framed[self.framed_row(y)]));
    }

    /// Takes the input's gradient out of its frame.
    fn unframe(&self, framed: &[f32], dx: &mut [f32]) {
        for (y, row) in dx.chunks_exact_mut(self.conv.w * self.conv.c_in).enumerate() {
            row.copy_from_slice(&framed[self.framed_row(y)]);
        }
    }
}

/// Where the transforms of a sample's tiles lie in a block's.
#[derive(Clone, Copy)]
struct Places {
    /// Tiles of the block.
    count: usize,
    /// The sample's first one.
    first: usize,
}

impl Places {
    /// The matrix `[count, c]` of `place`.
    fn matrix(place: usize, count: usize, c: usize) -> Range<usize> {
        let start = place * (count * c + GAP);
        start..start + count * c
    }

    /// The first of `groups` values of the sample's `tile` at `place`.
    #[inline(always)]
    fn at(self, place: usize, tile: usize, groups: usize) -> usize {
        place * (self.count * groups + GAP / LANES) + (self.first + tile) * groups
    }
}

/// How large a block is, and the pieces of its [`Work`].
struct Sizes {
    /// Samples of a block.
    samples: usize,
    /// Rows of tiles of a block: all, or of a single sample some.
    rows: usize,
    /// Numbers of each piece, in the order of `Work`.
    lens: [usize; 5],
}

impl Sizes {
    fn of(winograd: &Winograd, samples: usize) -> Self {
        let (c_in, c_out, [vertical, horizontal]) = (winograd.conv.c_in, winograd.conv.c_out, winograd.tiles);
        let samples = (BLOCK / (vertical * horizontal)).clamp(1, samples);
        let rows = if samples > 1 { vertical } else { (BLOCK / horizontal).clamp(1, vertical) };
        let (tiles, frame) = (samples * rows * horizontal, winograd.frame_len());
        let [first, second] = [c_in, c_out].map(|c| PLACES * (tiles * c + GAP));
        Self { samples, rows, lens: [frame, frame, first, second, PLACES * winograd.matrix()] }
    }

    /// Without the pieces that only gradients need.
    fn forward(self) -> Self {
        let [x, _, first, second, _] = self.lens;
        Self { lens: [x, 0, first, second, 0], ..self }
    }

    /// Numbers of all pieces.
    fn len(&self) -> usize {
        self.lens.iter().sum()
    }
}

/// Scratch of one thread.
struct Work<'a> {
    /// Rows of tiles of a block: all, or of a single sample some.
    rows: usize,
    /// A sample of the input in its frame of pads.
    x: &'a mut [f32],
    /// Its gradient in a frame that is dropped.
    dx: &'a mut [f32],
    /// `[36, tiles, c_in]`, with gaps.
    first: &'a mut [f32],
    /// `[36, tiles, c_out]`, with gaps.
    second: &'a mut [f32],
    /// `[36, c_out, c_in]`, with gaps.
    sums: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(winograd: &Winograd, sizes: &Sizes, scratch: &'a mut [f32]) -> Self {
        let mut rest = scratch;
        let [x, dx, first, second, sums] = sizes.lens.map(|len| {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(len);
            rest = behind;
            part
        });
        x.fill(winograd.pad);
        Self { rows: sizes.rows, x, dx, first, second, sums }
    }
}

/// The tiles of some rows of tiles, row by row.
fn each_tile(rows: Range<usize>, horizontal: usize) -> impl Iterator<Item = [usize; 2]> {
    rows.flat_map(move |y| (0..horizontal).map(move |x| [y, x]))
}
