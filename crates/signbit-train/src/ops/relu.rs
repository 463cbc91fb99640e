//! ReLU, the activation of real-valued twins.

use signbit_model::{DType, Op, ValueType};

use super::CHUNK;
use super::rows::map;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};
use rayon::prelude::*;

/// y = max(x, 0). See [`Relu::add`].
#[derive(Clone, Copy, Debug)]
pub struct Relu;

impl Relu {
    /// Adds a ReLU to a network.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self), &[x])
    }
}

impl Operator for Relu {
    fn kind(&self) -> &'static str {
        "relu"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::OUTPUT
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        map(cx.buffers, inputs[0].real(), |x, y| {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = if x > 0.0 { x } else { 0.0 };
            }
        })
    }

    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let y = pass.output.expect("needs() asks for the output").real();
        let mut grad = pass.grad;
        grad.data.par_chunks_mut(CHUNK).zip(y.data.par_chunks(CHUNK)).for_each(|(g, y)| {
            for (g, &y) in g.iter_mut().zip(y) {
                *g = if y > 0.0 { *g } else { 0.0 };
            }
        });
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        Ok(packer.node(name, Op::Relu, &[&x], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(2, 2, 3), |b, x| Relu::add(b, "relu", x)).all(1e-3, 5e-3);
    }
}
