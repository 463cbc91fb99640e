//! Sum of two values: where a shortcut meets the layers that it goes around (He et al. 2015, arXiv 1512.03385).

use rayon::prelude::*;
use signbit_model::{DType, Op, ValueType};

use super::CHUNK;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// y = a + b. See [`Add::add`].
#[derive(Clone, Copy, Debug)]
pub struct Add;

impl Add {
    /// Adds the sum of two values of one shape to a network.
    ///
    /// # Errors
    /// Where an input is not real or the shapes differ.
    pub fn add(builder: &mut NetworkBuilder, name: &str, a: Var, b: Var) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self), &[a, b])
    }
}

impl Operator for Add {
    fn kind(&self) -> &'static str {
        "add"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        let (a, b) = (inputs[0], inputs[1]);
        if a.dtype != DType::F32 || b.dtype != DType::F32 || a.shape != b.shape {
            return Err(format!("two real values of one shape are needed, these are {} and {}", a.shape, b.shape));
        }
        Ok(a)
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let (a, b) = (inputs[0].real(), inputs[1].real());
        let mut y = cx.buffers.real(a.data.len());
        let terms = a.data.par_chunks(CHUNK).zip(b.data.par_chunks(CHUNK));
        y.par_chunks_mut(CHUNK).zip(terms).for_each(|(y, (a, b))| {
            for (y, (a, b)) in y.iter_mut().zip(a.iter().zip(b)) {
                *y = a + b;
            }
        });
        Value::Real(Tensor::new(a.n, a.shape, y))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (grad, wanted) = (pass.grad, &pass.wanted);
        let second = (wanted[0] && wanted[1]).then(|| {
            let mut copy = cx.buffers.real(grad.data.len());
            copy.par_chunks_mut(CHUNK).zip(grad.data.par_chunks(CHUNK)).for_each(|(c, g)| c.copy_from_slice(g));
            Tensor::new(grad.n, grad.shape, copy)
        });
        match (wanted[0], wanted[1]) {
            (false, _) => vec![None, Some(grad)],
            (true, _) => vec![Some(grad), second],
        }
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let a = packer.real(&format!("{name}/a"), &inputs[0]);
        let b = packer.real(&format!("{name}/b"), &inputs[1]);
        Ok(packer.node(name, Op::Add, &[&a, &b], a.ty))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::{Geometry, Shape};

    use super::*;
    use crate::ops::Conv2d;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 2, 4), |b, x| {
            let y = Conv2d::add(b, "conv", x, 4, Geometry::valid([1, 1], [1, 1], [1, 1]), 1)?;
            Add::add(b, "add", x, y)
        })
        .all(0.05, 1e-3);
    }

    /// Of a term without parameters no gradient is wanted.
    #[test]
    fn the_input_itself_as_a_term() {
        Check::new(2, Shape::new(3, 2, 4), |b, x| {
            let input = b.input();
            let y = Add::add(b, "right", x, input)?;
            Add::add(b, "left", input, y)
        })
        .all(0.05, 1e-3);
    }
}
