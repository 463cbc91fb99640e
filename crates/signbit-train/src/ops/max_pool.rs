//! Max pooling over real values (before batch norm and sign: its gradient is then that of a real maximum).

use pulp::Arch;
use rayon::prelude::*;
use signbit_model::{DType, Geometry, Op, Shape, ValueType};

use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer, PendingPool};
use crate::tensor::{Tensor, Value};

/// Maximum over windows; of equal values the first wins. See [`MaxPool2d::add`].
#[derive(Debug)]
pub struct MaxPool2d {
    geometry: Geometry,
    input: Shape,
    output: Shape,
    /// Winning tap of each output, of the last forward in training mode.
    winners: Vec<u8>,
}

impl MaxPool2d {
    /// Adds a max pooling to a network.
    ///
    /// # Errors
    /// Where the window does not fit the input, or has over 255 taps.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, geometry: Geometry) -> Result<Var, NetworkError> {
        let input = builder.ty(x).shape;
        let (h, w) = geometry.pool_output_size(input.h, input.w).unwrap_or((0, 0));
        let output = Shape::new(h, w, input.c);
        builder.add(name, Box::new(Self { geometry, input, output, winners: vec![] }), &[x])
    }

    /// Taps of the window at output (y, x) that lie in the input: (tap, offset of the pixel in the sample).
    fn taps(&self, y: usize, x: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let [kh, kw] = self.geometry.kernel;
        (0..kh * kw).filter_map(move |tap| {
            let row = self.geometry.row(y, tap / kw, self.input.h)?;
            let column = self.geometry.column(x, tap % kw, self.input.w)?;
            Some((tap, (row * self.input.w + column) * self.input.c))
        })
    }

    /// One output row of one sample.
    fn row(&self, x: &[f32], y: usize, out: &mut [f32], winners: &mut [u8]) {
        let c = self.input.c;
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (ox, (out, winners)) in out.chunks_exact_mut(c).zip(winners.chunks_exact_mut(c)).enumerate() {
                    for (i, (tap, offset)) in self.taps(y, ox).enumerate() {
                        let x = &x[offset..offset + c];
                        if i == 0 {
                            out.copy_from_slice(x);
                            winners.fill(tap as u8);
                            continue;
                        }
                        for ((o, w), &x) in out.iter_mut().zip(winners.iter_mut()).zip(x) {
                            *w = if x > *o { tap as u8 } else { *w };
                            *o = if x > *o { x } else { *o };
                        }
                    }
                }
            },
        );
    }
}

impl MaxPool2d {
    /// Whether the windows cover the input without overlap, so that each of its numbers has one.
    fn tiles(&self) -> bool {
        let Geometry { kernel, stride, dilation, pads } = self.geometry;
        let [h, w] = [self.output.h * kernel[0], self.output.w * kernel[1]];
        kernel == stride && dilation == [1, 1] && pads == [0; 4] && [h, w] == [self.input.h, self.input.w]
    }

    /// Adds each output's gradient to the input that won; where windows do not overlap, writes it.
    fn backward_sample(&self, dx: &mut [f32], dy: &[f32], winners: &[u8]) {
        let (c, tiles) = (self.input.c, self.tiles());
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (pixel, (dy, winners)) in dy.chunks_exact(c).zip(winners.chunks_exact(c)).enumerate() {
                    for (tap, offset) in self.taps(pixel / self.output.w, pixel % self.output.w) {
                        let dx = &mut dx[offset..offset + c];
                        for ((dx, &dy), &winner) in dx.iter_mut().zip(dy).zip(winners) {
                            let own = if usize::from(winner) == tap { dy } else { 0.0 };
                            *dx = if tiles { own } else { *dx + own };
                        }
                    }
                }
            },
        );
    }
}

impl Operator for MaxPool2d {
    fn kind(&self) -> &'static str {
        "max_pool"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        self.geometry.pool_output_size(self.input.h, self.input.w).map_err(|e| e.to_string())?;
        if self.geometry.kernel[0] * self.geometry.kernel[1] > 255 {
            return Err("a pooling window has at most 255 taps".into());
        }
        same_as_real(inputs, DType::F32).map(|ty| ValueType::new(self.output, ty.dtype))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let mut out = cx.buffers.real(x.n * self.output.elements());
        let mut winners = std::mem::take(&mut self.winners);
        winners.resize(out.len(), 0);
        let (row, sample) = (self.output.w * self.output.c, self.input.elements());
        out.par_chunks_mut(row).zip(winners.par_chunks_mut(row)).enumerate().for_each(|(i, (out, winners))| {
            let (n, y) = (i / self.output.h, i % self.output.h);
            self.row(&x.data[n * sample..(n + 1) * sample], y, out, winners);
        });
        if cx.mode == Mode::Train {
            self.winners = winners;
        }
        Value::Real(Tensor::new(x.n, self.output, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let len = pass.grad.n * self.input.elements();
        let mut dx = if self.tiles() { cx.buffers.real(len) } else { cx.buffers.zeros(len) };
        let sample = self.output.elements();
        let samples = pass.grad.data.par_chunks(sample).zip(self.winners.par_chunks(sample));
        dx.par_chunks_mut(self.input.elements()).zip(samples).for_each(|(dx, (dy, winners))| {
            self.backward_sample(dx, dy, winners);
        });
        let n = pass.grad.n;
        cx.buffers.give(pass.grad.data);
        vec![Some(Tensor::new(n, self.input, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = &inputs[0];
        let ty = ValueType::new(self.output, x.ty.dtype);
        if x.ty.dtype == DType::I32 && x.pool.is_none() {
            // A pending scale factor is not negative, so it keeps the order and passes through.
            let pool = PendingPool { name: name.into(), geometry: self.geometry, input: self.input };
            return Ok(Packed { ty, pool: Some(pool), ..x.clone() });
        }
        let x = packer.settled(name, x);
        Ok(packer.node(name, Op::MaxPool2d { geometry: self.geometry }, &[&x], ValueType::new(self.output, x.ty.dtype)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        for geometry in [Geometry::valid([2, 2], [2, 2], [1, 1]), Geometry::padded([3, 3], [2, 2], 1)] {
            Check::new(2, Shape::new(6, 4, 3), |b, x| MaxPool2d::add(b, "pool", x, geometry)).all(1e-3, 5e-3);
        }
    }
}
