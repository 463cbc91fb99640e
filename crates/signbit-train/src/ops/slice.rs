//! A range of the channels.

use rayon::prelude::*;
use signbit_model::{DType, Op, Shape, ValueType};

use super::rows::per_task;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// The channels `start..end` of each pixel. See [`Slice::add`].
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    start: usize,
    end: usize,
    input: Shape,
}

impl Slice {
    /// Adds the channels `start..end` of a real value to a network.
    ///
    /// # Errors
    /// Where the input is not real or does not have these channels.
    pub fn add(b: &mut NetworkBuilder, name: &str, x: Var, start: usize, end: usize) -> Result<Var, NetworkError> {
        let input = b.ty(x).shape;
        b.add(name, Box::new(Self { start, end, input }), &[x])
    }

    fn channels(&self) -> usize {
        self.end - self.start
    }
}

impl Operator for Slice {
    fn kind(&self) -> &'static str {
        "slice"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        let Self { start, end, input } = *self;
        if start >= end || end > input.c {
            return Err(format!("there are no channels {start}..{end} of {}", input.c));
        }
        same_as_real(inputs, DType::F32).map(|ty| ValueType::new(Shape { c: end - start, ..input }, ty.dtype))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let (c, own, rows) = (self.input.c, self.channels(), per_task(x.rows(), self.input.c));
        let mut y = cx.buffers.real(x.rows() * own);
        y.par_chunks_mut(rows * own).zip(x.data.par_chunks(rows * c)).for_each(|(y, x)| {
            for (y, x) in y.chunks_exact_mut(own).zip(x.chunks_exact(c)) {
                y.copy_from_slice(&x[self.start..self.end]);
            }
        });
        Value::Real(Tensor::new(x.n, Shape { c: own, ..self.input }, y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let grad = pass.grad;
        let (c, own, rows) = (self.input.c, self.channels(), per_task(grad.rows(), self.input.c));
        let mut dx = cx.buffers.zeros(grad.rows() * c);
        dx.par_chunks_mut(rows * c).zip(grad.data.par_chunks(rows * own)).for_each(|(dx, dy)| {
            for (dx, dy) in dx.chunks_exact_mut(c).zip(dy.chunks_exact(own)) {
                dx[self.start..self.end].copy_from_slice(dy);
            }
        });
        cx.buffers.give(grad.data);
        vec![Some(Tensor::new(grad.n, self.input, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.real(name, &inputs[0]);
        let ty = ValueType::new(Shape { c: self.channels(), ..self.input }, DType::F32);
        Ok(packer.node(name, Op::Slice { start: self.start, end: self.end }, &[&x], ty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 2, 5), |b, x| Slice::add(b, "slice", x, 1, 4)).all(0.05, 1e-3);
    }
}
