//! Sigmoid, which makes gates of real numbers.

use signbit_model::{DType, Op, ValueType, math};

use super::rows::map;
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// y = 1 / (1 + e^-x), by [`signbit_model::math::sigmoid`] as in the packed network. See [`Sigmoid::add`].
#[derive(Clone, Copy, Debug)]
pub struct Sigmoid;

impl Sigmoid {
    /// Adds a sigmoid to a network.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self), &[x])
    }
}

impl Operator for Sigmoid {
    fn kind(&self) -> &'static str {
        "sigmoid"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::OUTPUT
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        map(cx.buffers, inputs[0].real(), |x, y| y.iter_mut().zip(x).for_each(|(y, x)| *y = math::sigmoid(*x)))
    }

    /// dx = dy y (1 - y)
    fn backward(&mut self, _: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let y = pass.output.expect("needs() asks for the output").real();
        let mut grad = pass.grad;
        grad.data.iter_mut().zip(&y.data).for_each(|(d, y)| *d *= y * (1.0 - y));
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.real(name, &inputs[0]);
        Ok(packer.node(name, Op::Sigmoid, &[&x], x.ty))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(2, 2, 3), |b, x| Sigmoid::add(b, "sigmoid", x)).all(0.01, 1e-3);
    }
}
