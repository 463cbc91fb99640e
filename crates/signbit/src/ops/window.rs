//! Poolings.

use std::ops::Range;

use signbit_kernels::pool::{self, Pooling};
use signbit_kernels::shape::{Pool, ShapeError};
use signbit_kernels::{Isa, bits};
use signbit_model::{Geometry, Shape};

/// The windows of a pooling.
#[derive(Debug)]
pub(crate) struct Window {
    geometry: Geometry,
    input: Shape,
    output: Shape,
}

impl Window {
    /// The windows of `geometry`, each with a tap inside of the input.
    ///
    /// # Errors
    /// Where the kernels do not take such sizes.
    pub(crate) fn new(geometry: Geometry, input: Shape, output: Shape) -> Result<Self, ShapeError> {
        let window = Self { geometry, input, output };
        window.of_samples(1).validate()?;
        Ok(window)
    }

    /// The kernels' description of `n` samples.
    fn of_samples(&self, n: usize) -> Pool {
        let (Geometry { kernel, stride, dilation, pads }, Shape { h, w, c }) = (self.geometry, self.input);
        Pool { n, h, w, c, kernel, stride, dilation, pads }
    }

    /// Pools real numbers for output `rows` of the batch of `n`.
    pub(super) fn pool(&self, isa: Isa, n: usize, pooling: Pooling, x: &[f32], rows: Range<usize>, out: &mut [f32]) {
        pool::pool_f32(isa, &self.of_samples(n), pooling, x, rows, out);
    }

    /// The maximum of integers for output `rows` of the batch.
    pub(super) fn max_i32(&self, x: &[i32], rows: Range<usize>, out: &mut [i32]) {
        let len = self.input.c;
        for (i, out) in out.chunks_exact_mut(len).enumerate() {
            for (tap, pixel) in self.taps(rows.start * self.output.w + i).enumerate() {
                let x = &x[pixel * len..][..len];
                if tap == 0 {
                    out.copy_from_slice(x);
                } else {
                    out.iter_mut().zip(x).for_each(|(out, &x)| *out = x.max(*out));
                }
            }
        }
    }

    /// The maximum of bits, their OR, for the samples `samples`.
    pub(super) fn max_bits(&self, isa: Isa, x: &[u64], samples: Range<usize>, out: &mut [u64]) {
        let sample = self.input.h * self.input.w * bits::words(self.input.c);
        pool::max_bits(isa, &self.of_samples(samples.len()), &x[samples.start * sample..samples.end * sample], out);
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
