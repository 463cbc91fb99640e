//! Mean of a window: how the shortcuts of a residual network halve height and width.

use rayon::prelude::*;
use signbit_model::{Geometry, Op, Shape, ValueType};

use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// Mean over the taps of a window that lie in the input. See [`AvgPool2d::add`].
#[derive(Debug)]
pub struct AvgPool2d {
    geometry: Geometry,
    input: Shape,
    output: Shape,
}

impl AvgPool2d {
    /// Adds an average pooling to a network.
    ///
    /// # Errors
    /// Where the window does not fit the input.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, geometry: Geometry) -> Result<Var, NetworkError> {
        let input = builder.ty(x).shape;
        let (h, w) = geometry.pool_output_size(input.h, input.w).unwrap_or((0, 0));
        builder.add(name, Box::new(Self { geometry, input, output: Shape::new(h, w, input.c) }), &[x])
    }

    /// Offsets in the sample of the pixels under the window at output `pixel`, `ky` and `kx` ascending.
    fn taps(&self, pixel: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        let (y, x, [kh, kw]) = (pixel / self.output.w, pixel % self.output.w, self.geometry.kernel);
        (0..kh * kw).filter_map(move |tap| {
            let row = self.geometry.row(y, tap / kw, self.input.h)?;
            let column = self.geometry.column(x, tap % kw, self.input.w)?;
            Some((row * self.input.w + column) * self.input.c)
        })
    }
}

impl Operator for AvgPool2d {
    fn kind(&self) -> &'static str {
        "avg_pool"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        self.geometry.pool_output_size(self.input.h, self.input.w).map_err(|e| e.to_string())?;
        same_as_real(inputs, inputs[0].dtype).map(|ty| ValueType::new(self.output, ty.dtype))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    /// Sum from 0 over the taps ascending, then the quotient: the order of the packed network.
    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let c = self.input.c;
        let mut out = cx.buffers.zeros(x.n * self.output.elements());
        let samples = x.data.par_chunks(self.input.elements());
        out.par_chunks_mut(self.output.elements()).zip(samples).for_each(|(out, x)| {
            for (pixel, out) in out.chunks_exact_mut(c).enumerate() {
                let mut count = 0.0;
                for at in self.taps(pixel) {
                    count += 1.0;
                    out.iter_mut().zip(&x[at..at + c]).for_each(|(y, x)| *y += x);
                }
                out.iter_mut().for_each(|y| *y /= count);
            }
        });
        Value::Real(Tensor::new(x.n, self.output, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (n, c) = (pass.grad.n, self.input.c);
        let mut dx = cx.buffers.zeros(n * self.input.elements());
        let samples = pass.grad.data.par_chunks(self.output.elements());
        dx.par_chunks_mut(self.input.elements()).zip(samples).for_each(|(dx, dy)| {
            for (pixel, dy) in dy.chunks_exact(c).enumerate() {
                let taps = self.taps(pixel);
                let share = 1.0 / taps.clone().count() as f32;
                for at in taps {
                    dx[at..at + c].iter_mut().zip(dy).for_each(|(x, y)| *x += y * share);
                }
            }
        });
        cx.buffers.give(pass.grad.data);
        vec![Some(Tensor::new(n, self.input, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.real(name, &inputs[0]);
        let op = Op::AvgPool2d { geometry: self.geometry, count_include_pad: false };
        Ok(packer.node(name, op, &[&x], ValueType::new(self.output, x.ty.dtype)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        for geometry in [Geometry::valid([2, 2], [2, 2], [1, 1]), Geometry::padded([3, 3], [2, 1], 1)] {
            Check::new(2, Shape::new(5, 4, 3), |b, x| AvgPool2d::add(b, "pool", x, geometry)).all(0.05, 1e-3);
        }
    }
}
