//! Gradients of a binary convolution of stride 1 over bits. Weights and inputs stay bits; what is real, the gradient by the
//! output, is multiplied with both by [`sign_gemm`].
//!
//! A sample lies in a [`Raster`]. For the gradient by the input, 16 output pixels at a time are multiplied with the weights of all taps, and
//! the products of each tap added where it reads. For that by the weights, the bits of each input channel, along the
//! pixels, are moved by the distance of each tap and multiplied with 16 output channels at a time. A bit has no 0: taps in a padding
//! of zeros count as -1 there, and the sums that they should not have are added again at the end.

mod raster;
#[cfg(test)]
mod tests;

use signbit_kernels::sign_gemm::{self, COLUMNS, Places, Tables};
use signbit_kernels::{Conv, Isa, Padding, bits};

use self::raster::Raster;
use super::parts::{chunks_or_none, sum_parts, with_scratch};
use super::sign_product::{from_columns, to_columns};
use crate::ranks::{Ranks, per_part};
use crate::tensor::Buffers;

/// Fewest output pixels with which it pays: of smaller pictures, most of the registers are empty.
const PIXELS: usize = 16;

/// A convolution whose gradients are made this way.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignConv {
    raster: Raster,
    isa: Isa,
}

/// The gradient by the input, where it is wanted.
pub(super) struct Dx<'a> {
    /// Weights, `c_out` rows of K bits.
    pub(super) weights: &'a [u64],
    /// A factor per output channel on dy.
    pub(super) scale: Option<&'a [f32]>,
    /// `[n, h, w, c_in]`, written. Without it, the gradient takes the place of dy, which must be as long.
    pub(super) out: Option<&'a mut [f32]>,
}

impl SignConv {
    /// For this convolution, if it is of stride 1 without groups, and it pays.
    pub(super) fn new(isa: Isa, conv: Conv) -> Option<Self> {
        let pays = conv.out_h() * conv.out_w() >= PIXELS;
        (conv.stride == [1, 1] && conv.groups == 1 && pays).then(|| Self { raster: Raster::new(conv), isa })
    }

    /// Writes `dw` `[c_out, k]` = sum of dy^T x, and, where wanted, dx. `x` are the bits of all samples.
    pub(super) fn backward(
        &self,
        ranks: Option<&Ranks>,
        buffers: &mut Buffers,
        x: &[u64],
        dy: &mut [f32],
        dw: &mut [f32],
        dx: Option<Dx<'_>>,
    ) {
        let conv = &self.raster.conv;
        let per_part = per_part(ranks, conv.n);
        let (dy_len, dx_len) = (conv.out_h() * conv.out_w() * conv.c_out, conv.h * conv.w * conv.c_in);
        let x_len = conv.h * conv.w * bits::words(conv.c_in);
        let (wanted, mut scale, mut out) = (dx.is_some(), None, None);
        let mut weights = buffers.words(if wanted { conv.k() * bits::words(conv.c_out) } else { 0 });
        if let Some(dx) = dx {
            bits::transpose(conv.c_out, conv.k(), dx.weights, &mut weights);
            (scale, out) = (dx.scale, dx.out);
        }
        let dx_parts = chunks_or_none(out, per_part * dx_len, conv.n.div_ceil(per_part));
        let items = x.chunks(per_part * x_len).zip(dy.chunks_mut(per_part * dy_len)).zip(dx_parts).collect();
        sum_parts(ranks, buffers, items, dw, |_, ((x, dy), mut dx), dw| {
            with_scratch(Work::len(&self.raster), |scratch| {
                let mut work = Work::new(self, scratch);
                for (i, (x, dy)) in x.chunks_exact(x_len).zip(dy.chunks_exact_mut(dy_len)).enumerate() {
                    work.lay_out(dy);
                    work.add_to_weights(x, dy);
                    if wanted {
                        let dx = dx.as_deref_mut().map_or(dy, |dx| &mut dx[i * dx_len..][..dx_len]);
                        work.input_gradient(&weights, scale, dx);
                    }
                }
                work.finish_weights(dw);
            });
        });
        buffers.give_words(weights);
    }
}

/// Numbers of a channel of dx: those of its pixels, and the rest of the last register.
fn plane(raster: &Raster) -> usize {
    raster.inputs + COLUMNS
}

/// Scratch of one part of the batch.
struct Work<'a> {
    raster: Raster,
    isa: Isa,
    /// dy of a sample, `[blocks of output channels][outputs][COLUMNS]`, zeros where there is nothing.
    dy: &'a mut [f32],
    /// The gradient by the weights, `[blocks of output channels][k][COLUMNS]`.
    sums: &'a mut [f32],
    /// Of each tap and output channel, the sum of dy where the tap lies in a padding of zeros.
    outside: &'a mut [f32],
    /// dy of 16 pixels, `[c_out][COLUMNS]`.
    pixels: &'a mut [f32],
    /// The gradient by the input, `[c_in][plane]`; see [`plane`].
    dx: &'a mut [f32],
    /// Input pixels with their padding, `[inputs][words of channels]`.
    padded: Vec<u64>,
    /// The same, `[c_in][words of inputs]`.
    turned: Vec<u64>,
    /// What each tap reads, `[k][words of outputs]`.
    taps: Vec<u64>,
    /// Where each tap reads in a plane of dx.
    starts: Vec<usize>,
    tables: Box<Tables>,
}

impl<'a> Work<'a> {
    /// Lengths of the parts of the scratch.
    fn lengths(raster: &Raster) -> [usize; 5] {
        let conv = &raster.conv;
        let channels = conv.c_out.next_multiple_of(COLUMNS);
        [
            channels * raster.outputs,
            channels * conv.k(),
            conv.taps() * conv.c_out,
            channels * COLUMNS,
            conv.c_in * plane(raster),
        ]
    }

    fn len(raster: &Raster) -> usize {
        Self::lengths(raster).iter().sum()
    }

    fn new(conv: &SignConv, mut scratch: &'a mut [f32]) -> Self {
        let raster = conv.raster;
        let [dy, sums, outside, pixels, dx] =
            Self::lengths(&raster).map(|len| scratch.split_off_mut(..len).expect("scratch of all lengths"));
        dy.fill(0.0);
        sums.fill(0.0);
        outside.fill(0.0);
        let Conv { c_in, padding, .. } = raster.conv;
        let pad = if padding == Padding::One { u64::MAX } else { 0 };
        Self {
            raster,
            isa: conv.isa,
            dy,
            sums,
            outside,
            pixels,
            dx,
            padded: vec![pad; raster.inputs * bits::words(c_in)],
            turned: vec![0; c_in * bits::words(raster.inputs)],
            taps: vec![0; raster.conv.k() * bits::words(raster.outputs)],
            starts: vec![0; raster.conv.taps()],
            tables: Box::default(),
        }
    }

    /// Brings dy of a sample, `[out_h, out_w, c_out]`, into blocks of channels.
    fn lay_out(&mut self, dy: &[f32]) {
        let Raster { conv, pitch, outputs, .. } = self.raster;
        for (y, row) in dy.chunks_exact(conv.out_w() * conv.c_out).enumerate() {
            for (x, pixel) in row.chunks_exact(conv.c_out).enumerate() {
                for (block, channels) in pixel.chunks(COLUMNS).enumerate() {
                    let at = (block * outputs + y * pitch + x) * COLUMNS;
                    self.dy[at..at + channels.len()].copy_from_slice(channels);
                }
            }
        }
    }

    /// Adds what a sample gives to the gradient by the weights; dy is laid out.
    fn add_to_weights(&mut self, x: &[u64], dy: &[f32]) {
        let Raster { conv, outputs, .. } = self.raster;
        self.read_taps(x);
        let blocks = self.dy.chunks_exact(outputs * COLUMNS).zip(self.sums.chunks_exact_mut(conv.k() * COLUMNS));
        let places = Places { starts: &[0], step: COLUMNS };
        for (dy, sums) in blocks {
            sign_gemm::add_panel(self.isa, conv.k(), outputs, &self.taps, dy, places, &mut self.tables, sums);
        }
        if conv.padding == Padding::Zero {
            for (tap, sums) in self.outside.chunks_exact_mut(conv.c_out).enumerate() {
                self.raster.outside(tap, |y, x| {
                    let dy = &dy[(y * conv.out_w() + x) * conv.c_out..];
                    sums.iter_mut().zip(dy).for_each(|(sum, dy)| *sum += dy);
                });
            }
        }
    }

    /// The bits that each tap reads, along the outputs, for each input channel.
    fn read_taps(&mut self, x: &[u64]) {
        let Raster { conv, inputs, outputs, .. } = self.raster;
        let pixel = bits::words(conv.c_in);
        for (y, row) in x.chunks_exact(conv.w * pixel).enumerate() {
            self.padded[self.raster.input_row(y) * pixel..][..row.len()].copy_from_slice(row);
        }
        bits::transpose(inputs, conv.c_in, &self.padded, &mut self.turned);
        let channels = self.turned.chunks_exact(bits::words(inputs));
        for (tap, taps) in self.taps.chunks_exact_mut(conv.c_in * bits::words(outputs)).enumerate() {
            let distance = self.raster.distance(tap);
            let (word, shift) = (distance / 64, distance % 64);
            for (channel, tap) in channels.clone().zip(taps.chunks_exact_mut(bits::words(outputs))) {
                let next = channel[word..].iter().skip(1).chain(&[0]);
                for ((tap, low), high) in tap.iter_mut().zip(&channel[word..]).zip(next) {
                    // A shift by 64 in two steps, for it may be one.
                    *tap = low >> shift | high << 1 << (63 - shift);
                }
            }
        }
    }

    /// Writes the gradient by the sample's input, `[h, w, c_in]`; dy is laid out.
    fn input_gradient(&mut self, weights: &[u64], scale: Option<&[f32]>, dx: &mut [f32]) {
        let Raster { conv, outputs, .. } = self.raster;
        self.dx.fill(0.0);
        for first in (0..outputs).step_by(COLUMNS) {
            let count = COLUMNS.min(outputs - first);
            for (block, pixels) in self.pixels.chunks_exact_mut(COLUMNS * COLUMNS).enumerate() {
                to_columns(&self.dy[(block * outputs + first) * COLUMNS..][..count * COLUMNS], COLUMNS, pixels);
            }
            let pixels = &mut self.pixels[..conv.c_out * COLUMNS];
            if let Some(scale) = scale {
                let channels = pixels.chunks_exact_mut(COLUMNS).zip(scale);
                channels.for_each(|(channel, factor)| channel.iter_mut().for_each(|dy| *dy *= factor));
            }
            let starts = &mut self.starts[..];
            starts.iter_mut().enumerate().for_each(|(tap, start)| *start = first + self.raster.distance(tap));
            let places = Places { starts, step: plane(&self.raster) };
            sign_gemm::add_panel(self.isa, conv.k(), conv.c_out, weights, pixels, places, &mut self.tables, self.dx);
        }
        for (y, row) in dx.chunks_exact_mut(conv.w * conv.c_in).enumerate() {
            let start = self.raster.input_row(y);
            for (c, sums) in self.dx.chunks_exact(plane(&self.raster)).enumerate() {
                let pixels = row[c..].iter_mut().step_by(conv.c_in);
                pixels.zip(&sums[start..]).for_each(|(dx, sum)| *dx = *sum);
            }
        }
    }

    /// Writes the gradient by the weights, `[c_out, k]`.
    fn finish_weights(&self, dw: &mut [f32]) {
        let conv = &self.raster.conv;
        let blocks = dw.chunks_mut(COLUMNS * conv.k()).zip(self.sums.chunks_exact(COLUMNS * conv.k()));
        blocks.for_each(|(dw, sums)| from_columns(sums, 0, conv.k(), dw));
        if conv.padding == Padding::Zero {
            for (o, dw) in dw.chunks_exact_mut(conv.k()).enumerate() {
                for (dw, outside) in dw.chunks_exact_mut(conv.c_in).zip(self.outside.chunks_exact(conv.c_out)) {
                    dw.iter_mut().for_each(|dw| *dw += outside[o]);
                }
            }
        }
    }
}
