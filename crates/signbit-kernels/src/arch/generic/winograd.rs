//! The loops of minimal filtering: some tiles of a row of tiles at a time, and of these 16 output channels after the other,
//! so that their products stay in the first cache.

use core::ops::Range;

use super::real::{Lanes, Matrices, share};
use crate::{
    real::LANES,
    shape::Conv,
    winograd::{PATCH, PLACES, STEP, Sizes, TILES, V, both, outputs, patch},
};

/// What is the same for all tiles of a call.
pub(crate) struct Job<'a> {
    pub(crate) conv: &'a Conv,
    pub(crate) sizes: Sizes,
    pub(crate) x: &'a [f32],
    /// `[blocks of 16 output channels][36][channels][16]`.
    pub(crate) w: &'a [f32],
    pub(crate) bias: Option<&'a [f32]>,
}

/// Neighbouring tiles of one row of them.
struct Tiles {
    image: usize,
    /// The row of tiles, and the first one's column.
    at: [usize; 2],
    count: usize,
    /// Of the rows of the tiles, those that are wanted.
    wanted: Range<usize>,
    /// The place of the first row that is wanted in the output, in rows.
    row: usize,
}

/// The numbers from `at` on.
#[inline(always)]
fn load(x: &[f32], at: usize) -> V {
    let mut v = V([0.0; STEP]);
    v.0.copy_from_slice(&x[at..at + STEP]);
    v
}

/// The convolution; up to `P` tiles go side by side.
#[inline(always)]
pub(crate) fn conv<L: Lanes, const P: usize>(job: &Job<'_>, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
    match job.sizes.tile {
        3 => job.run::<L, P, 3>(rows, scratch, out),
        _ => job.run::<L, P, 4>(rows, scratch, out),
    }
}

impl Job<'_> {
    /// With tiles of `M` x `M` outputs.
    #[inline(always)]
    fn run<L: Lanes, const P: usize, const M: usize>(&self, rows: Range<usize>, scratch: &mut [f32], out: &mut [f32]) {
        let [lines, columns, patches, _] = self.sizes.scratch();
        let (lines, rest) = scratch.split_at_mut(lines);
        let (columns, rest) = rest.split_at_mut(columns);
        let (patches, products) = rest.split_at_mut(patches);
        let (out_h, horizontal) = (self.conv.out_h(), self.conv.out_w().div_ceil(M));
        let mut row = rows.start;
        while row < rows.end {
            let (image, y) = (row / out_h, row % out_h);
            let end = (y - y % M + M).min(out_h).min(y + rows.end - row);
            for first in (0..horizontal).step_by(TILES) {
                let tiles = Tiles {
                    image,
                    at: [y / M, first],
                    count: TILES.min(horizontal - first),
                    wanted: y % M..y % M + end - y,
                    row: row - rows.start,
                };
                self.fill::<M>(&tiles, lines);
                self.transform_columns(lines, columns);
                self.transform_rows::<M>(&tiles, columns, patches);
                for (block, w) in self.w.chunks_exact(PLACES * self.sizes.channels * LANES).enumerate() {
                    self.products::<L, P>(&tiles, patches, w, products);
                    self.write::<M>(&tiles, block * LANES, products, out);
                }
            }
            row += end - y;
        }
    }

    /// The input rows under the tiles, with zeros around.
    #[inline(always)]
    fn fill<const M: usize>(&self, tiles: &Tiles, lines: &mut [f32]) {
        let Conv { h, w, c_in, .. } = *self.conv;
        let [top, left, ..] = self.conv.pads;
        let [y0, x0] = tiles.at.map(|at| at * M * self.sizes.stride);
        // The columns inside, in columns of the line.
        let width = (tiles.count * M + PATCH - M) * self.sizes.stride;
        let start = left.saturating_sub(x0).min(width);
        let end = (w + left).saturating_sub(x0).clamp(start, width);
        for (y, line) in lines.chunks_exact_mut(self.sizes.span).enumerate() {
            let Some(y) = (y0 + y).checked_sub(top).filter(|&y| y < h && start < end) else {
                line.fill(0.0);
                continue;
            };
            let from = ((tiles.image * h + y) * w + x0 + start - left) * c_in;
            line[..start * c_in].fill(0.0);
            line[start * c_in..end * c_in].copy_from_slice(&self.x[from..][..(end - start) * c_in]);
            line[end * c_in..].fill(0.0);
        }
    }

    /// The columns of the patches, of each phase of rows: `[stride][6][span]`.
    #[inline(always)]
    fn transform_columns(&self, lines: &[f32], columns: &mut [f32]) {
        let Sizes { stride, span, .. } = self.sizes;
        for (phase, columns) in columns.chunks_exact_mut(PATCH * span).enumerate() {
            for at in (0..span).step_by(STEP) {
                let mut inputs = [V([0.0; STEP]); PATCH];
                for (y, input) in inputs.iter_mut().enumerate() {
                    *input = load(lines, (y * stride + phase) * span + at);
                }
                for (y, value) in patch(inputs).into_iter().enumerate() {
                    columns[y * span + at..][..STEP].copy_from_slice(&value.0);
                }
            }
        }
    }

    /// The patches, `[36][tiles][channels]` with gaps. What a step writes too much, the next one puts right, or is in a gap.
    #[inline(always)]
    fn transform_rows<const M: usize>(&self, tiles: &Tiles, columns: &[f32], patches: &mut [f32]) {
        let Sizes { row, channels, span, matrix, .. } = self.sizes;
        for y in 0..PATCH {
            let patches = &mut patches[y * PATCH * matrix..][..PATCH * matrix];
            for tile in 0..tiles.count {
                for (phase, columns) in columns.chunks_exact(PATCH * span).enumerate() {
                    let inputs = &columns[y * span + tile * M * row..];
                    let patches = &mut patches[tile * channels + phase * row..];
                    for at in (0..row).step_by(STEP) {
                        let mut line = [V([0.0; STEP]); PATCH];
                        for (x, value) in line.iter_mut().enumerate() {
                            *value = load(inputs, x * row + at);
                        }
                        for (x, value) in patch(line).into_iter().enumerate() {
                            patches[x * matrix + at..][..STEP].copy_from_slice(&value.0);
                        }
                    }
                }
            }
        }
    }

    /// The products of one block of output channels, `[36][tiles][16]`.
    #[inline(always)]
    fn products<L: Lanes, const P: usize>(&self, tiles: &Tiles, patches: &[f32], w: &[f32], products: &mut [f32]) {
        let Sizes { channels, matrix, .. } = self.sizes;
        let mut tile = 0;
        while tile < tiles.count {
            let matrices = Matrices {
                count: PLACES,
                x: &patches[tile * channels..],
                row: channels,
                x_step: matrix,
                w: w.as_chunks().0,
                len: channels,
                out_step: TILES * LANES,
            };
            let out = &mut products[tile * LANES..];
            let count = share(tiles.count - tile, P);
            match count {
                8.. if P >= 8 => L::store_matrices::<8>(&matrices, out),
                7 if P > 6 => L::store_matrices::<7>(&matrices, out),
                6 if P > 5 => L::store_matrices::<6>(&matrices, out),
                5 if P > 4 => L::store_matrices::<5>(&matrices, out),
                4 if P > 3 => L::store_matrices::<4>(&matrices, out),
                3 if P > 2 => L::store_matrices::<3>(&matrices, out),
                2 if P > 1 => L::store_matrices::<2>(&matrices, out),
                _ => L::store_matrices::<1>(&matrices, out),
            }
            tile += count;
        }
    }

    /// The outputs of 16 channels from `channel` on, as far as there are.
    #[inline(always)]
    fn write<const M: usize>(&self, tiles: &Tiles, channel: usize, products: &[f32], out: &mut [f32]) {
        let (c_out, out_w) = (self.conv.c_out, self.conv.out_w());
        for channel in (channel..c_out.min(channel + LANES)).step_by(STEP) {
            let lanes = STEP.min(c_out - channel);
            let mut bias = [0.0; STEP];
            if let Some(all) = self.bias {
                bias[..lanes].copy_from_slice(&all[channel..channel + lanes]);
            }
            for tile in 0..tiles.count {
                let places = &products[tile * LANES + channel % LANES..];
                let mut image: [[V; M]; M] = both(
                    outputs,
                    #[inline(always)]
                    |y, x| load(places, (y * PATCH + x) * TILES * LANES),
                );
                if self.bias.is_some() {
                    image.as_flattened_mut().iter_mut().for_each(|value| *value = *value + V(bias));
                }
                let x0 = (tiles.at[1] + tile) * M;
                let first = (tiles.row * out_w + x0) * c_out + channel;
                if lanes == STEP && tiles.wanted.len() == M && x0 + M <= out_w {
                    let out = &mut out[first..];
                    for y in 0..M {
                        for x in 0..M {
                            out[(y * out_w + x) * c_out..][..STEP].copy_from_slice(&image[y][x].0);
                        }
                    }
                    continue;
                }
                for (row, line) in image[tiles.wanted.clone()].iter().enumerate() {
                    for (x, value) in line.iter().enumerate().take(out_w - x0) {
                        out[first + (row * out_w + x) * c_out..][..lanes].copy_from_slice(&value.0[..lanes]);
                    }
                }
            }
        }
    }
}
