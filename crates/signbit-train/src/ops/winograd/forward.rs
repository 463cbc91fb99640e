//! The forward pass by minimal filtering: Y = A^T ((G g G^T) . (B^T d B)) A.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;
use signbit_kernels::winograd::{both, outputs};

use super::{PATCH, PLACES, Places, Sizes, TILE, Winograd, Work, each_tile};
use crate::gemm::{Gemm, Mat, MatMut};
use crate::ops::lanes::{LANES, V, in_lanes, in_lanes_mut};
use crate::ops::parts::with_scratch;
use crate::ranks::{Ranks, per_part};
use crate::tensor::Buffers;

impl Winograd {
    /// As [`crate::ops::im2row::Im2Row::forward`].
    pub(in crate::ops) fn forward(
        &self,
        ranks: Option<&Ranks>,
        gemm: &dyn Gemm,
        buffers: &mut Buffers,
        load: impl Fn(usize, usize, &mut [f32]) + Sync,
        weights: &[f32],
        out: &mut [f32],
    ) {
        let conv = &self.conv;
        let out_len = conv.out_h() * conv.out_w() * conv.c_out;
        let per_part = per_part(ranks, conv.n);
        let len = PLACES * self.matrix();
        let mut scratch = buffers.scratch(len);
        let transformed = &mut scratch[..len];
        self.transform_weights(weights, None, transformed);
        let transformed = &*transformed;
        out.par_chunks_mut(per_part * out_len).enumerate().for_each(|(part, out)| {
            let sizes = Sizes::of(self, out.len() / out_len).forward();
            with_scratch(sizes.len(), |scratch| {
                let mut work = Work::new(self, &sizes, scratch);
                let samples = sizes.samples;
                for (block, out) in out.chunks_mut(samples * out_len).enumerate() {
                    let load = |i, y, row: &mut [f32]| load(part * per_part + block * samples + i, y, row);
                    self.forward_block(gemm, &mut work, load, transformed, out);
                }
            });
        });
        buffers.give_scratch(scratch);
    }

    /// The outputs of a few samples, or of one some rows of tiles at a time.
    fn forward_block(
        &self,
        gemm: &dyn Gemm,
        work: &mut Work<'_>,
        load: impl Fn(usize, usize, &mut [f32]),
        weights: &[f32],
        out: &mut [f32],
    ) {
        let (c_in, c_out, [all, horizontal]) = (self.conv.c_in, self.conv.c_out, self.tiles);
        let out_len = self.conv.out_h() * self.conv.out_w() * c_out;
        for first in (0..all).step_by(work.rows) {
            let rows = first..(first + work.rows).min(all);
            let tiles = rows.len() * horizontal;
            let count = out.len() / out_len * tiles;
            for i in 0..out.len() / out_len {
                if first == 0 {
                    self.fill(work.x, |y, row| load(i, y, row));
                }
                self.transform_x(work.x, rows.clone(), Places { count, first: i * tiles }, work.first);
            }
            for place in 0..PLACES {
                let (x, y) = (Places::matrix(place, count, c_in), Places::matrix(place, count, c_out));
                let weights = &weights[place * self.matrix()..][..c_out * c_in];
                gemm.product(
                    MatMut::new(&mut work.second[y], count, c_out),
                    Mat::new(&work.first[x], count, c_in),
                    Mat::new(weights, c_out, c_in).t(),
                    false,
                    1,
                );
            }
            for (i, out) in out.chunks_exact_mut(out_len).enumerate() {
                self.write_tiles(work.second, rows.clone(), Places { count, first: i * tiles }, out);
            }
        }
    }

    /// The outputs of some rows of tiles: A^T M A.
    fn write_tiles(&self, products: &[f32], rows: Range<usize>, places: Places, out: &mut [f32]) {
        let groups = self.conv.c_out / LANES;
        let (height, width) = (self.conv.out_h(), self.conv.out_w());
        let (products, out) = (in_lanes(products), in_lanes_mut(out));
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (tile, [y, x]) in each_tile(rows, self.tiles[1]).enumerate() {
                    let (y, x) = (y * TILE, x * TILE);
                    let (down, right) = (height - y, width - x);
                    let out = &mut out[(y * width + x) * groups..];
                    for c in 0..groups {
                        let image = both(
                            outputs::<V, TILE>,
                            #[inline(always)]
                            |a: usize, b: usize| V(products[places.at(a * PATCH + b, tile, groups) + c]),
                        );
                        for (a, row) in image.into_iter().enumerate().take(down) {
                            for (b, value) in row.into_iter().enumerate().take(right) {
                                out[(a * width + b) * groups + c] = value.0;
                            }
                        }
                    }
                }
            },
        );
    }
}
