//! Flatten: `[n, h, w, c]` to vectors, in the order of memory.

use signbit_kernels::bits;
use signbit_model::{Op, Shape, ValueType};

use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{BitTensor, Tensor, Value};

/// `[n, h, w, c]` as `[n, 1, 1, h * w * c]`. See [`Flatten::add`].
#[derive(Debug)]
pub struct Flatten {
    from: Shape,
}

impl Flatten {
    /// Adds a flatten to a network.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        let from = builder.ty(x).shape;
        builder.add(name, Box::new(Self { from }), &[x])
    }
}

impl Operator for Flatten {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        Ok(ValueType::new(Shape::vector(inputs[0].shape.elements()), inputs[0].dtype))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let shape = Shape::vector(self.from.elements());
        match inputs[0] {
            Value::Real(x) => {
                let mut y = cx.buffers.real(x.data.len());
                y.copy_from_slice(&x.data);
                Value::Real(Tensor::new(x.n, shape, y))
            }
            Value::Bits(x) => {
                let (c, pixel, sample) = (x.shape.c, bits::words(x.shape.c), bits::words(shape.c));
                let mut y = cx.buffers.words(x.n * sample);
                y.fill(0);
                for (from, to) in
                    x.words.chunks_exact((x.rows() / x.n.max(1) * pixel).max(1)).zip(y.chunks_exact_mut(sample.max(1)))
                {
                    for (p, from) in from.chunks_exact(pixel).enumerate() {
                        bits::copy_bits(from, 0, to, p * c, c);
                    }
                }
                Value::Bits(BitTensor::new(x.n, shape, y))
            }
        }
    }

    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        vec![Some(Tensor::new(pass.grad.n, self.from, pass.grad.data))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let packed =
            packer.node(name, Op::Flatten, &[&x], ValueType::new(Shape::vector(self.from.elements()), x.ty.dtype));
        Ok(Packed { bound: x.bound, ..packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Dense;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        let mut real = Check::new(2, Shape::new(2, 3, 3), |b, x| Flatten::add(b, "flatten", x));
        real.all(0.05, 1e-3);
        // Bits of 3 channels close up to 18 bits of one row.
        let mut bits = Check::of_bits(2, Shape::new(2, 3, 3), |b, x| {
            let x = Flatten::add(b, "flatten", x)?;
            Dense::add(b, "dense", x, 4, false)
        });
        bits.bits(1e-3);
    }
}
