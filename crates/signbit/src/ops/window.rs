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

    /// Pools the output `rows` of one sample, of whose input `x` has the rows from `first` on that they read.
    pub(super) fn pool_of(
        &self,
        isa: Isa,
        pooling: Pooling,
        x: &[f32],
        first: usize,
        rows: Range<usize>,
        out: &mut [f32],
    ) {
        let read = self.inputs(&rows);
        let row = self.input.w * self.input.c;
        let x = &x[(read.start - first) * row..(read.end - first) * row];
        // These rows are a sample of their own, whose padding is what the windows have beyond them. Counted from the
        // padding's first row:
        let [_, left, _, right] = self.geometry.pads;
        let windows = rows.start * self.geometry.stride[0];
        let inside = read.start + self.geometry.pads[0]..read.end + self.geometry.pads[0];
        let above = inside.start - windows;
        let below = windows + self.inputs_of(rows.len()) - inside.end;
        let pool = Pool { h: read.len(), pads: [above, left, below, right], ..self.of_samples(1) };
        pool::pool_f32(isa, &pool, pooling, x, 0..rows.len(), out);
    }

    /// The input rows that output `rows` of one sample read.
    pub(super) fn inputs(&self, rows: &Range<usize>) -> Range<usize> {
        let (start, pad) = (rows.start * self.geometry.stride[0], self.geometry.pads[0]);
        let end = start + self.inputs_of(rows.len());
        start.saturating_sub(pad)..end.saturating_sub(pad).min(self.input.h)
    }

    /// Input rows from the first that neighbouring output rows read to the last.
    pub(super) fn inputs_of(&self, outputs: usize) -> usize {
        let Geometry { kernel, stride, dilation, .. } = self.geometry;
        (outputs - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1
    }

    /// Neighbouring output rows that read so many input rows.
    pub(super) fn outputs_of(&self, inputs: usize) -> usize {
        inputs.checked_sub(self.inputs_of(1)).map_or(0, |more| more / self.geometry.stride[0] + 1)
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
