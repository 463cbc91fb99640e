//! Real dense layer: the last layer, and every dense layer of a real-valued twin.

use signbit_kernels::{Conv, bits};
use signbit_model::{DType, Op, Shape, Tensor as ModelTensor, ValueType};

use super::shapes::dense_output;
use super::{real, rows};
use crate::gemm::{Mat, MatMut};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{Init, ParamId, Role};
use crate::ranks::{self, Ranks};
use crate::tensor::{Buffers, Tensor, Value};

/// y = W x + bias over a real or a binary vector. See [`Dense::add`].
#[derive(Debug)]
pub struct Dense {
    k: usize,
    outputs: usize,
    weight: ParamId,
    bias: Option<ParamId>,
}

impl Dense {
    /// Adds a real dense layer with `outputs` outputs to a network. The input must be a vector.
    ///
    /// # Errors
    /// Where it is not; flatten it first.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        outputs: usize,
        bias: bool,
    ) -> Result<Var, NetworkError> {
        let k = builder.ty(x).shape.c;
        let init = Init::Glorot { fan_in: k, fan_out: outputs };
        let weight = builder.param(&format!("{name}.weight"), &[outputs, k], Role::Weight, init);
        let bias = bias.then(|| builder.param(&format!("{name}.bias"), &[outputs], Role::Other, Init::Constant(0.0)));
        builder.add(name, Box::new(Self { k, outputs, weight, bias }), &[x])
    }

    /// The input as real numbers; `unpacked` takes those of bits.
    fn real_input<'a>(cx: &Context<'_>, x: &'a Value, unpacked: &'a mut [f32]) -> &'a [f32] {
        match x {
            Value::Bits(x) => {
                bits::unpack_signs(cx.isa, &x.words, x.shape.c, unpacked);
                unpacked
            }
            Value::Real(x) => &x.data,
        }
    }

    fn unpack_buffer(cx: &mut Context<'_>, x: &Value) -> Vec<f32> {
        let len = if matches!(x, Value::Bits(_)) { x.n() * x.shape().elements() } else { 0 };
        cx.buffers.real(len)
    }
}

/// This rank's rows of `c` numbers of the whole batch's.
fn own_rows(ranks: Option<&Ranks>, buffers: &mut Buffers, whole: Vec<f32>, c: usize) -> Vec<f32> {
    let Some(ranks) = ranks else { return whole };
    let own = ranks.own();
    let mut rows = buffers.real(own.len() * c);
    rows.copy_from_slice(&whole[own.start * c..own.end * c]);
    buffers.give(whole);
    rows
}

impl Operator for Dense {
    fn kind(&self) -> &'static str {
        "dense"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        dense_output(inputs[0], self.outputs)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let own = inputs[0].n();
        let mut unpacked = Self::unpack_buffer(cx, inputs[0]);
        let mut x = Self::real_input(cx, inputs[0], &mut unpacked);
        // A product of fewer rows may be rounded otherwise: with several ranks each one computes the whole batch's.
        let n = ranks::whole(cx.ranks, own);
        let mut gathered = Vec::new();
        if cx.ranks.is_some() {
            gathered = cx.gathered(x);
            x = &gathered;
        }
        let mut out = cx.buffers.real(n * self.outputs);
        let weights = cx.params.value(self.weight);
        if cx.mode == Mode::Eval {
            let bias = self.bias.map(|b| cx.params.value(b));
            let conv = Conv::dense(n, self.k, self.outputs);
            real::fixed_order(cx.isa, cx.buffers, &conv, x, weights, bias, &mut out);
        } else {
            let (x, weights) = (Mat::new(x, n, self.k), Mat::new(weights, self.outputs, self.k));
            let threads = rayon::current_num_threads();
            cx.gemm.product(MatMut::new(&mut out, n, self.outputs), x, weights.t(), false, threads);
            if let Some(bias) = self.bias {
                let bias = cx.params.value(bias);
                for row in out.chunks_exact_mut(self.outputs) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
        }
        cx.buffers.give(gathered);
        cx.buffers.give(unpacked);
        let out = own_rows(cx.ranks, cx.buffers, out, self.outputs);
        Value::Real(Tensor::new(own, Shape::vector(self.outputs), out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let (x, mut dy) = (pass.input(0), pass.grad.data);
        let (own, k, outputs, threads) = (x.n(), self.k, self.outputs, rayon::current_num_threads());
        let mut unpacked = Self::unpack_buffer(cx, x);
        let mut real_x = Self::real_input(cx, x, &mut unpacked);
        let n = ranks::whole(cx.ranks, own);
        let mut gathered = Vec::new();
        if cx.ranks.is_some() {
            gathered = cx.gathered(real_x);
            real_x = &gathered;
            let whole = cx.gathered(&dy);
            cx.buffers.give(std::mem::replace(&mut dy, whole));
        }
        let dy_mat = Mat::new(&dy, n, outputs);
        let (weights, dw) = cx.params.value_and_grad(self.weight);
        cx.gemm.product(MatMut::new(dw, outputs, k), dy_mat.t(), Mat::new(real_x, n, k), false, threads);
        let dx = pass.wanted[0].then(|| {
            let mut dx = cx.buffers.real(n * k);
            cx.gemm.product(MatMut::new(&mut dx, n, k), dy_mat, Mat::new(weights, outputs, k), false, threads);
            Tensor::new(own, x.shape(), own_rows(cx.ranks, cx.buffers, dx, k))
        });
        if let Some(bias) = self.bias {
            let (sums, _) = rows::channel_sums(None, &dy, &dy, outputs, |d, _, _| (d, 0.0));
            cx.params.grad_mut(bias).iter_mut().zip(sums).for_each(|(g, s)| *g = s as f32);
        }
        cx.buffers.give(gathered);
        cx.buffers.give(unpacked);
        cx.buffers.give(dy);
        vec![dx]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let params = packer.params();
        let tensor = ModelTensor::F32 { shape: vec![self.outputs, self.k], data: params.value(self.weight).to_vec() };
        let weight = packer.tensor(format!("{name}.weight"), tensor);
        let bias = self.bias.map(|bias| {
            let tensor = ModelTensor::F32 { shape: vec![self.outputs], data: params.value(bias).to_vec() };
            packer.tensor(format!("{name}.bias"), tensor)
        });
        let x = packer.real(name, &inputs[0]);
        let ty = ValueType::new(Shape::vector(self.outputs), DType::F32);
        Ok(packer.node(name, Op::Dense { weight, bias }, &[&x], ty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        Check::new(4, Shape::vector(7), |b, x| Dense::add(b, "dense", x, 5, true)).all(0.05, 1e-3);
        let mut bits = Check::of_bits(4, Shape::vector(70), |b, x| Dense::add(b, "dense", x, 5, true));
        bits.parameters(4900..5255, 0.05, 1e-3);
        bits.bits(1e-3);
    }
}
