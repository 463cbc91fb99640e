//! Poolings.

use std::ops::Range;

use signbit_kernels::shape::Pool;
use signbit_kernels::{Isa, bits, pool};
use signbit_model::{Geometry, Shape};

/// The windows of a pooling.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) geometry: Geometry,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
}

impl Window {
    /// The maximum of each window for output `rows` of the batch, as `greater` folds it.
    ///
    /// `x` is `[n, h, w, len]` with any number `len` of elements per pixel; every window has a tap
    /// inside of the input.
    pub(super) fn max<T: Copy>(&self, x: &[T], rows: Range<usize>, out: &mut [T], greater: impl Fn(T, T) -> T) {
        let len = out.len() / (rows.len() * self.output.w);
        for (i, out) in out.chunks_exact_mut(len).enumerate() {
            for (tap, pixel) in self.taps(rows.start * self.output.w + i).enumerate() {
                let x = &x[pixel * len..][..len];
                if tap == 0 {
                    out.copy_from_slice(x);
                } else {
                    out.iter_mut().zip(x).for_each(|(out, &x)| *out = greater(*out, x));
                }
            }
        }
    }

    /// The mean of each window for output `rows` of the batch: the sum over taps ascending, divided by `count`
    /// or else the number of taps inside of the input.
    pub(super) fn avg(&self, x: &[f32], rows: Range<usize>, out: &mut [f32], count: Option<usize>) {
        let len = self.input.c;
        for (i, out) in out.chunks_exact_mut(len).enumerate() {
            out.fill(0.0);
            let mut inside = 0_usize;
            for pixel in self.taps(rows.start * self.output.w + i) {
                out.iter_mut().zip(&x[pixel * len..][..len]).for_each(|(out, x)| *out += x);
                inside += 1;
            }
            let count = count.unwrap_or(inside) as f32;
            out.iter_mut().for_each(|out| *out /= count);
        }
    }

    /// The maximum of bits, their OR, for the samples `samples`.
    pub(super) fn max_bits(&self, isa: Isa, x: &[u64], samples: Range<usize>, out: &mut [u64]) {
        let Shape { h, w, c } = self.input;
        let Geometry { kernel, stride, dilation, pads } = self.geometry;
        let pool = Pool { n: samples.len(), h, w, c, kernel, stride, pads };
        // The kernel knows no dilation, and refuses sizes near the limit of what memory can hold.
        if dilation == [1, 1] && pool.validate().is_ok() {
            let sample = h * w * bits::words(c);
            return pool::max_bits(isa, &pool, &x[samples.start * sample..samples.end * sample], out);
        }
        let rows = samples.start * self.output.h..samples.end * self.output.h;
        self.max(x, rows, out, |max, x| max | x);
    }

    /// The pixels of the batch's input in the window of one output pixel of the batch: `ky`, `kx` ascending,
    /// padding left out.
    fn taps(&self, pixel: usize) -> impl Iterator<Item = usize> {
        let (Geometry { kernel: [kh, kw], .. }, Shape { h, w, .. }) = (self.geometry, self.input);
        let (row, ox) = (pixel / self.output.w, pixel % self.output.w);
        let (sample, oy) = (row / self.output.h, row % self.output.h);
        let ys = (0..kh).filter_map(move |ky| self.geometry.row(oy, ky, h));
        ys.flat_map(move |y| {
            let xs = (0..kw).filter_map(move |kx| self.geometry.column(ox, kx, w));
            xs.map(move |x| (sample * h + y) * w + x)
        })
    }
}
