//! PReLU (He et al. 2015, arXiv 1502.01852, eq. 1): a ReLU whose negative side has a learned slope per channel.

use rayon::prelude::*;
use signbit_kernels::Elementwise;
use signbit_model::{DType, Op, Tensor as ModelTensor, ValueType};

use super::rows::{channel_sums, elementwise, per_task};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Role};
use crate::tensor::{Tensor, Value};

/// Slope of the negative side before training (He et al. 2015, section 2.1).
pub(super) const FIRST_SLOPE: f32 = 0.25;

/// `y = x > 0 ? x : slope[c] x`. See [`PRelu::add`].
#[derive(Debug)]
pub struct PRelu {
    slope: ParamId,
}

impl PRelu {
    /// Adds a PReLU to a network. Its parameter is `NAME.slope`, `[c]`, at first 0.25.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        let c = builder.ty(x).shape.c;
        let slope = builder.param(&format!("{name}.slope"), &[c], Role::Other, Init::Constant(FIRST_SLOPE));
        builder.add(name, Box::new(Self { slope }), &[x])
    }
}

impl Operator for PRelu {
    fn kind(&self) -> &'static str {
        "prelu"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let op = Elementwise::PRelu { slope: cx.params.value(self.slope) };
        elementwise(cx.isa, cx.buffers, inputs[0].real(), &op)
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let (mut grad, c) = (pass.grad, x.shape.c);
        let sums = channel_sums(cx.ranks, &x.data, &grad.data, c, |x, d, _| (if x > 0.0 { 0.0 } else { d * x }, 0.0));
        let (slope, d_slope) = cx.params.value_and_grad(self.slope);
        d_slope.iter_mut().zip(&sums.0).for_each(|(g, s)| *g = *s as f32);
        let rows = per_task(x.rows(), c) * c;
        grad.data.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(grad, x)| {
            for (grad, x) in grad.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for ((g, x), slope) in grad.iter_mut().zip(x).zip(slope) {
                    *g *= if *x > 0.0 { 1.0 } else { *slope };
                }
            }
        });
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let data = packer.params().value(self.slope).to_vec();
        let slope = packer.tensor(format!("{name}.slope"), ModelTensor::F32 { shape: vec![data.len()], data });
        Ok(packer.node(name, Op::PRelu { slope }, &[&x], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(2, Shape::new(3, 2, 5), |b, x| PRelu::add(b, "prelu", x)).all(1e-3, 5e-3);
    }
}
