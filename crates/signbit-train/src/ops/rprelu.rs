//! ReActNet's RPReLU (Liu et al. 2020, arXiv 2003.03488, eq. 4): a PReLU whose kink has a learned place, across and up,
//! per channel.

use rayon::prelude::*;
use signbit_kernels::Elementwise;
use signbit_model::{DType, Op, Tensor as ModelTensor, ValueType};

use super::prelu::FIRST_SLOPE;
use super::rows::{channel_sums, elementwise, per_task};
use super::shapes::same_as_real;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Role};
use crate::tensor::{Tensor, Value};

/// With `t = x - shift_in[c]`: `y = (x > shift_in[c] ? t : slope[c] t) + shift_out[c]`. See [`RPRelu::add`].
#[derive(Debug)]
pub struct RPRelu {
    shift_in: ParamId,
    slope: ParamId,
    shift_out: ParamId,
}

impl RPRelu {
    /// Adds an RPReLU to a network. Its parameters, each `[c]`, are `NAME.shift_in` and `NAME.shift_out`, at first 0,
    /// and `NAME.slope`, at first 0.25.
    ///
    /// # Errors
    /// Where the input is not real.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var) -> Result<Var, NetworkError> {
        let c = builder.ty(x).shape.c;
        let mut param =
            |part, first| builder.param(&format!("{name}.{part}"), &[c], Role::Other, Init::Constant(first));
        let (shift_in, slope, shift_out) =
            (param("shift_in", 0.0), param("slope", FIRST_SLOPE), param("shift_out", 0.0));
        builder.add(name, Box::new(Self { shift_in, slope, shift_out }), &[x])
    }
}

impl Operator for RPRelu {
    fn kind(&self) -> &'static str {
        "rprelu"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let [shift_in, slope, shift_out] = [self.shift_in, self.slope, self.shift_out].map(|id| cx.params.value(id));
        let op = Elementwise::RPRelu { shift_in, slope, shift_out };
        elementwise(cx.isa, cx.buffers, inputs[0].real(), &op)
    }

    /// dx = dy where x > shift_in, else slope dy; d shift_in = -sum dx, d slope = sum of dy t on the negative side,
    /// d shift_out = sum dy.
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let (mut grad, c) = (pass.grad, x.shape.c);
        let (shift_in, slope) = (cx.params.value(self.shift_in), cx.params.value(self.slope));
        let (positive, sums) = channel_sums(cx.ranks, &x.data, &grad.data, c, |x, d, c| match x > shift_in[c] {
            true => (d, 0.0),
            false => (0.0, d * (x - shift_in[c])),
        });
        let (total, _) = channel_sums(cx.ranks, &x.data, &grad.data, c, |_, d, _| (d, 0.0));
        let rows = per_task(x.rows(), c) * c;
        grad.data.par_chunks_mut(rows).zip(x.data.par_chunks(rows)).for_each(|(grad, x)| {
            for (grad, x) in grad.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                for ((g, x), (shift, slope)) in grad.iter_mut().zip(x).zip(shift_in.iter().zip(slope)) {
                    *g *= if x > shift { 1.0 } else { *slope };
                }
            }
        });
        let d_in: Vec<f64> = (0..c).map(|c| -(positive[c] + f64::from(slope[c]) * (total[c] - positive[c]))).collect();
        for (id, sums) in [(self.shift_in, d_in), (self.slope, sums), (self.shift_out, total)] {
            cx.params.grad_mut(id).iter_mut().zip(sums).for_each(|(g, s)| *g = s as f32);
        }
        vec![Some(grad)]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let mut tensor = |part, id| {
            let data = packer.params().value(id).to_vec();
            packer.tensor(format!("{name}.{part}"), ModelTensor::F32 { shape: vec![data.len()], data })
        };
        let shift_in = tensor("shift_in", self.shift_in);
        let (slope, shift_out) = (tensor("slope", self.slope), tensor("shift_out", self.shift_out));
        let op = Op::RPRelu { shift_in, slope, shift_out };
        Ok(packer.node(name, op, &[&x], ValueType::new(x.ty.shape, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        let mut check = Check::new(2, Shape::new(3, 2, 5), |b, x| RPRelu::add(b, "rprelu", x));
        check.all(1e-3, 5e-3);
        // Kinks elsewhere than at 0.
        for (i, shift) in check.network.params_mut().values_mut()[25..30].iter_mut().enumerate() {
            *shift = i as f32 * 0.21 - 0.4;
        }
        check.all(1e-3, 5e-3);
    }
}
