//! Mean over height and width.

use signbit_model::{DType, Op, Shape, ValueType};

use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// `[n, h, w, c]` to `[n, 1, 1, c]`. See [`GlobalAvgPool::add`].
#[derive(Debug)]
pub struct GlobalAvgPool {
    input: Shape,
}

impl GlobalAvgPool {
    /// Adds a global average pooling to a network.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        let input = builder.ty(x).shape;
        builder.add(name, Box::new(Self { input }), &[x])
    }

    fn pixels(&self) -> f32 {
        (self.input.h * self.input.w) as f32
    }
}

impl Operator for GlobalAvgPool {
    fn kind(&self) -> &'static str {
        "global_avg_pool"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32).map(|ty| ValueType::new(Shape::vector(ty.shape.c), DType::F32))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let c = self.input.c;
        let mut y = cx.buffers.zeros(x.n * c);
        for (y, x) in y.chunks_exact_mut(c).zip(x.data.chunks_exact(self.input.elements())) {
            for pixel in x.chunks_exact(c) {
                y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x);
            }
            y.iter_mut().for_each(|y| *y /= self.pixels());
        }
        Value::Real(Tensor::new(x.n, Shape::vector(c), y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (n, c) = (pass.grad.n, self.input.c);
        let mut dx = cx.buffers.real(n * self.input.elements());
        for (dx, dy) in dx.chunks_exact_mut(self.input.elements()).zip(pass.grad.data.chunks_exact(c)) {
            for pixel in dx.chunks_exact_mut(c) {
                pixel.iter_mut().zip(dy).for_each(|(x, y)| *x = y / self.pixels());
            }
        }
        cx.buffers.give(pass.grad.data);
        vec![Some(Tensor::new(n, self.input, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.real(name, &inputs[0]);
        let ty = ValueType::new(Shape::vector(self.input.c), DType::F32);
        Ok(packer.node(name, Op::GlobalAvgPool, &[&x], ty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 4, 5), |b, x| GlobalAvgPool::add(b, "pool", x)).all(0.05, 1e-3);
    }
}
