//! Convolution forward and backward as matrix products over blocks of rows.
//!
//! A block is a few output rows of one sample: its receptive fields are laid out as rows of kh*kw*Cg numbers
//! (im2row), small enough to stay in the second-level cache between the copy and the product. Whole columns of
//! a batch are never in memory.

use rayon::prelude::*;
use signbit_kernels::Conv;

use super::parts::{chunks_or_none, sum_parts, with_scratch};
use super::winograd::Winograd;
use crate::gemm::{Gemm, Mat, MatMut};
use crate::ranks::{PARTS, Ranks, per_part};
use crate::tensor::Buffers;

/// Numbers in a block of rows: a mebibyte, half of a second-level cache.
const BLOCK: usize = 256 * 1024;

/// A convolution's sizes, spelt out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Im2Row {
    conv: Conv,
    out_h: usize,
    out_w: usize,
    /// Sizes of the padded sample.
    padded_h: usize,
    padded_w: usize,
    /// Value of a pad.
    pad: f32,
}

impl Im2Row {
    /// For one convolution; `pad` is the value outside of the input.
    pub(super) fn new(conv: Conv, pad: f32) -> Self {
        let [top, left, bottom, right] = conv.pads;
        Self {
            conv,
            out_h: conv.out_h(),
            out_w: conv.out_w(),
            padded_h: conv.h + top + bottom,
            padded_w: conv.w + left + right,
            pad,
        }
    }

    fn padded_len(&self) -> usize {
        self.padded_h * self.padded_w * self.conv.c_in
    }

    /// Output rows per block.
    fn block_rows(&self) -> usize {
        (BLOCK / (self.out_w * self.conv.k()).max(1)).clamp(1, self.out_h.max(1))
    }

    fn block_len(&self) -> usize {
        self.block_rows() * self.out_w * self.conv.k()
    }

    /// Numbers that lie side by side in a receptive field: a whole kernel row, or one tap.
    fn run(&self) -> usize {
        let row = self.conv.groups == 1 && self.conv.dilation[1] == 1;
        self.conv.group_in() * if row { self.conv.kernel[1] } else { 1 }
    }

    /// Input row `y` of sample `n` of a real batch `x`: how real inputs are loaded.
    pub(super) fn real_row<'x>(&self, x: &'x [f32], n: usize, y: usize) -> &'x [f32] {
        let row = self.conv.w * self.conv.c_in;
        &x[(n * self.conv.h + y) * row..][..row]
    }

    /// Copies a sample `[h, w, c]` into the middle of `padded`, whose border already holds the pad value.
    fn fill(&self, padded: &mut [f32], write_row: impl Fn(usize, &mut [f32])) {
        let [top, left, ..] = self.conv.pads;
        let c = self.conv.c_in;
        for y in 0..self.conv.h {
            let start = ((y + top) * self.padded_w + left) * c;
            write_row(y, &mut padded[start..start + self.conv.w * c]);
        }
    }

    /// The receptive fields of output rows `y0..y1`, group `g`, one per row of `rows`.
    fn gather(&self, padded: &[f32], g: usize, y0: usize, y1: usize, rows: &mut [f32]) {
        let run = self.run();
        let mut targets = rows.chunks_exact_mut(run);
        self.each_run(g, y0, y1, |start| {
            if let Some(target) = targets.next() {
                target.copy_from_slice(&padded[start..start + run]);
            }
        });
    }

    /// Adds rows of gradients back to where [`Im2Row::gather`] read them.
    fn scatter(&self, rows: &[f32], g: usize, y0: usize, y1: usize, padded: &mut [f32]) {
        let run = self.run();
        let mut sources = rows.chunks_exact(run);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                self.each_run(g, y0, y1, |start| {
                    if let Some(source) = sources.next() {
                        for (p, s) in padded[start..start + run].iter_mut().zip(source) {
                            *p += s;
                        }
                    }
                });
            },
        );
    }

    /// Where in the padded sample each run of a block lies, in the order of the block's rows.
    #[inline(always)]
    fn each_run(&self, g: usize, y0: usize, y1: usize, mut found: impl FnMut(usize)) {
        let cg = self.conv.group_in();
        let ([kh, kw], [sh, sw], [dh, dw]) = (self.conv.kernel, self.conv.stride, self.conv.dilation);
        let kw = if self.run() == cg { kw } else { 1 };
        for y in y0..y1 {
            for x in 0..self.out_w {
                for ky in 0..kh {
                    for kx in 0..kw {
                        let pixel = (y * sh + ky * dh) * self.padded_w + x * sw + kx * dw;
                        found(pixel * self.conv.c_in + g * cg);
                    }
                }
            }
        }
    }

    /// Real convolution: `out[n, out_h, out_w, c_out]` from the samples that `load` writes row by row
    /// (`load(sample, y, row)`), weights `[c_out, k]`.
    pub(super) fn forward(
        &self,
        ranks: Option<&Ranks>,
        gemm: &dyn Gemm,
        buffers: &mut Buffers,
        load: impl Fn(usize, usize, &mut [f32]) + Sync,
        weights: &[f32],
        out: &mut [f32],
    ) {
        match Winograd::new(self.conv, self.pad, per_part(ranks, self.conv.n)) {
            Some(winograd) => winograd.forward(ranks, gemm, buffers, load, weights, out),
            None => self.plain_forward(gemm, load, weights, out),
        }
    }

    /// [`Im2Row::forward`] by products over receptive fields, whatever the geometry.
    pub(super) fn plain_forward(
        &self,
        gemm: &dyn Gemm,
        load: impl Fn(usize, usize, &mut [f32]) + Sync,
        weights: &[f32],
        out: &mut [f32],
    ) {
        let sample = self.out_h * self.out_w * self.conv.c_out;
        let per_part = self.conv.n.div_ceil(PARTS).max(1);
        let scratch_len = self.padded_len() + self.block_len();
        out.par_chunks_mut(per_part * sample).enumerate().for_each(|(part, out)| {
            with_scratch(scratch_len, |scratch| {
                let (padded, block) = scratch.split_at_mut(self.padded_len());
                padded.fill(self.pad);
                for (i, out) in out.chunks_exact_mut(sample).enumerate() {
                    self.fill(padded, |y, row| load(part * per_part + i, y, row));
                    self.each_block(|y0, y1| {
                        for g in 0..self.conv.groups {
                            self.forward_block(gemm, padded, block, weights, g, y0, y1, out);
                        }
                    });
                }
            });
        });
    }

    fn each_block(&self, mut run: impl FnMut(usize, usize)) {
        let step = self.block_rows();
        for y0 in (0..self.out_h).step_by(step) {
            run(y0, (y0 + step).min(self.out_h));
        }
    }

    fn forward_block(
        &self,
        gemm: &dyn Gemm,
        padded: &[f32],
        block: &mut [f32],
        weights: &[f32],
        g: usize,
        y0: usize,
        y1: usize,
        out: &mut [f32],
    ) {
        let (og, k, pixels) = (self.conv.group_out(), self.conv.k(), (y1 - y0) * self.out_w);
        let block = &mut block[..pixels * k];
        self.gather(padded, g, y0, y1, block);
        let out = &mut out[y0 * self.out_w * self.conv.c_out + g * og..];
        gemm.product(
            MatMut::strided(out, pixels, og, self.conv.c_out),
            Mat::new(block, pixels, k),
            Mat::new(&weights[g * og * k..(g + 1) * og * k], og, k).t(),
            false,
            1,
        );
    }

    /// Backward: writes `dw` `[c_out, k]` = sum of dy^T x, and, where wanted, `dx` `[n, h, w, c_in]`.
    /// `dx_weights` and `dx_scale` give dx = (dy * dx_scale) * dx_weights.
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
        match Winograd::new(self.conv, self.pad, per_part(ranks, self.conv.n)) {
            Some(winograd) => winograd.backward(ranks, gemm, buffers, load, dy, dw, dx),
            None => self.plain_backward(ranks, gemm, buffers, load, dy, dw, dx),
        }
    }

    /// Backward by the input alone: the forward pass of the transposed convolution.
    pub(super) fn input_gradient(&self, gemm: &dyn Gemm, buffers: &mut Buffers, dy: &[f32], dx: Dx<'_>) {
        self.plain_backward(None, gemm, buffers, |_, _, _| {}, dy, &mut [], Some(dx));
    }

    /// [`Im2Row::backward`] by products over receptive fields, whatever the geometry. Where `dw` is empty, nothing is
    /// loaded and no gradient by the weights made.
    pub(super) fn plain_backward(
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
        let (dy_len, dx_len) = (self.out_h * self.out_w * conv.c_out, conv.h * conv.w * conv.c_in);
        let scaled_len = self.block_rows() * self.out_w * conv.c_out;
        let scratch_len = 2 * self.padded_len() + self.block_len() + scaled_len;
        let (weights, scale, out) = match dx {
            Some(Dx { weights, scale, out }) => (Some(weights), scale, Some(out)),
            None => (None, None, None),
        };
        let dx_parts = chunks_or_none(out, per_part * dx_len, parts);
        let items = dy.chunks(per_part * dy_len).zip(dx_parts).collect();
        sum_parts(ranks, buffers, items, dw, |part, (dy, mut dx), dw| {
            with_scratch(scratch_len, |scratch| {
                let mut work = Work::new(self, scratch);
                work.padded.fill(self.pad);
                dw.fill(0.0);
                for (i, dy) in dy.chunks_exact(dy_len).enumerate() {
                    if !dw.is_empty() {
                        self.fill(work.padded, |y, row| load(part * per_part + i, y, row));
                    }
                    self.backward_sample(gemm, &mut work, dy, weights, scale, dw);
                    if let Some(dx) = &mut dx {
                        self.unpad(work.dpadded, &mut dx[i * dx_len..(i + 1) * dx_len]);
                    }
                }
            });
        });
    }

    fn backward_sample(
        &self,
        gemm: &dyn Gemm,
        work: &mut Work<'_>,
        dy: &[f32],
        weights: Option<&[f32]>,
        scale: Option<&[f32]>,
        dw: &mut [f32],
    ) {
        let (og, k, c_out) = (self.conv.group_out(), self.conv.k(), self.conv.c_out);
        if weights.is_some() {
            work.dpadded.fill(0.0);
        }
        self.each_block(|y0, y1| {
            let pixels = (y1 - y0) * self.out_w;
            let dy = &dy[y0 * self.out_w * c_out..y1 * self.out_w * c_out];
            let scaled = match scale {
                Some(scale) => {
                    let scaled = &mut work.scaled[..dy.len()];
                    for (s, d) in scaled.chunks_exact_mut(c_out).zip(dy.chunks_exact(c_out)) {
                        s.iter_mut().zip(d.iter().zip(scale)).for_each(|(s, (d, f))| *s = d * f);
                    }
                    &*scaled
                }
                None => dy,
            };
            for g in 0..self.conv.groups {
                let own = g * og * k..(g + 1) * og * k;
                let block = &mut work.block[..pixels * k];
                if !dw.is_empty() {
                    self.gather(work.padded, g, y0, y1, block);
                    gemm.product(
                        MatMut::new(&mut dw[own.clone()], og, k),
                        Mat::columns(dy, pixels, g * og, og, c_out).t(),
                        Mat::new(block, pixels, k),
                        true,
                        1,
                    );
                }
                if let Some(weights) = weights {
                    // The receptive fields are done with: their place takes their gradients.
                    gemm.product(
                        MatMut::new(block, pixels, k),
                        Mat::columns(scaled, pixels, g * og, og, c_out),
                        Mat::new(&weights[own], og, k),
                        false,
                        1,
                    );
                    self.scatter(block, g, y0, y1, work.dpadded);
                }
            }
        });
    }

    /// The middle of a padded sample.
    fn unpad(&self, padded: &[f32], sample: &mut [f32]) {
        let [top, left, ..] = self.conv.pads;
        let (w, c) = (self.conv.w, self.conv.c_in);
        for (y, row) in sample.chunks_exact_mut(w * c).enumerate() {
            let start = ((y + top) * self.padded_w + left) * c;
            row.copy_from_slice(&padded[start..start + w * c]);
        }
    }
}

/// The gradient by the input, where it is wanted.
pub(super) struct Dx<'a> {
    /// Weights `[c_out, k]`.
    pub(super) weights: &'a [f32],
    /// A factor per output channel on dy.
    pub(super) scale: Option<&'a [f32]>,
    /// `[n, h, w, c_in]`, written.
    pub(super) out: &'a mut [f32],
}

/// Scratch of one part of the batch.
struct Work<'a> {
    padded: &'a mut [f32],
    dpadded: &'a mut [f32],
    block: &'a mut [f32],
    scaled: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(im2row: &Im2Row, scratch: &'a mut [f32]) -> Self {
        let (padded, rest) = scratch.split_at_mut(im2row.padded_len());
        let (dpadded, rest) = rest.split_at_mut(im2row.padded_len());
        let (block, scaled) = rest.split_at_mut(im2row.block_len());
        Self { padded, dpadded, block, scaled }
    }
}
