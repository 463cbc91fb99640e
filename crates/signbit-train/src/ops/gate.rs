//! Product with one factor per sample and channel: a squeeze-and-excite gate (Hu et al. 2017, arXiv 1709.01507), as
//! Real-to-Binary has it behind its binary convolutions (Martinez et al. 2020, arXiv 2003.11535, section 4.3).

use rayon::prelude::*;
use signbit_model::{DType, Op, ValueType};

use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// `y[p, c] = x[p, c] * g[c]`. See [`Gate::add`].
#[derive(Clone, Copy, Debug)]
pub struct Gate;

impl Gate {
    /// Adds the product of `x` `[n, h, w, c]` and `gate` `[n, 1, 1, c]` to a network.
    ///
    /// # Errors
    /// Where the two do not fit.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, gate: Var) -> Result<Var, NetworkError> {
        builder.add(name, Box::new(Self), &[x, gate])
    }
}

impl Operator for Gate {
    fn kind(&self) -> &'static str {
        "gate"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        let (x, gate) = (inputs[0], inputs[1]);
        if gate.dtype != DType::F32 || !gate.shape.is_vector() || gate.shape.c != x.shape.c {
            return Err(format!("a vector of {} real factors is needed, this is {}", x.shape.c, gate.shape));
        }
        same_as_real(&inputs[..1], DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let (x, gate) = (inputs[0].real(), inputs[1].real());
        let (c, sample) = (x.shape.c, x.shape.elements());
        let mut y = cx.buffers.real(x.data.len());
        let samples = x.data.par_chunks(sample).zip(gate.data.par_chunks(c));
        y.par_chunks_mut(sample).zip(samples).for_each(|(y, (x, gate))| {
            for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                y.iter_mut().zip(x.iter().zip(gate)).for_each(|(y, (x, g))| *y = x * g);
            }
        });
        Value::Real(Tensor::new(x.n, x.shape, y))
    }

    /// dg = sum over the pixels of dy x; dx = dy g
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (x, gate) = (pass.input(0).real(), pass.input(1).real());
        let (c, sample) = (x.shape.c, x.shape.elements());
        let mut grad = pass.grad;
        let mut dgate = cx.buffers.zeros(gate.data.len());
        let inputs = x.data.par_chunks(sample).zip(gate.data.par_chunks(c));
        grad.data.par_chunks_mut(sample).zip(dgate.par_chunks_mut(c)).zip(inputs).for_each(
            |((dy, dgate), (x, gate))| {
                for (dy, x) in dy.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    for ((dy, x), (sum, g)) in dy.iter_mut().zip(x).zip(dgate.iter_mut().zip(gate)) {
                        *sum += *dy * x;
                        *dy *= g;
                    }
                }
            },
        );
        vec![Some(grad), Some(Tensor::new(gate.n, gate.shape, dgate))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let gate = packer.real(&format!("{name}/gate"), &inputs[1]);
        Ok(packer.node(name, Op::Mul, &[&x, &gate], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::ops::{GlobalAvgPool, Sigmoid};

    /// Both inputs: the value itself and, through its own mean, the gate.
    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 2, 4), |b, x| {
            let mean = GlobalAvgPool::add(b, "mean", x)?;
            let gate = Sigmoid::add(b, "sigmoid", mean)?;
            Gate::add(b, "gate", x, gate)
        })
        .all(0.01, 2e-3);
    }
}
