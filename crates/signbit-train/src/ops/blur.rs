//! Blur before a subsampling (Zhang 2019, arXiv 1904.11486): a depthwise convolution with the fixed 3x3 kernel
//! `[1 2 1]^T [1 2 1] / 16`.

use signbit_kernels::{Conv, Padding};
use signbit_model::{DType, Geometry, Op, Shape, Tensor as ModelTensor, ValueType};

use super::shapes::{conv_of, conv_output, geometry_of, same_as_real};
use super::{depthwise, real};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::StateId;
use crate::tensor::{Tensor, Value};

/// The kernel; all numbers are exact.
const KERNEL: [f32; 9] = [0.0625, 0.125, 0.0625, 0.125, 0.25, 0.125, 0.0625, 0.125, 0.0625];

/// Blur with a stride. See [`Blur::add`].
#[derive(Debug)]
pub struct Blur {
    conv: Conv,
    /// The kernel for every channel: no trained number, yet a number that the network's file holds.
    kernel: StateId,
}

impl Blur {
    /// Adds a blur to a network: `geometry` has a 3x3 kernel, padding counts as 0.
    ///
    /// # Errors
    /// Where the input is not real or the geometry does not fit.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, geometry: Geometry) -> Result<Var, NetworkError> {
        let shape = builder.ty(x).shape;
        let conv = conv_of(shape, shape.c, geometry, shape.c, Padding::Zero);
        let kernel = builder.constant(&format!("{name}.kernel"), &KERNEL.repeat(shape.c));
        builder.add(name, Box::new(Self { conv, kernel }), &[x])
    }
}

impl Operator for Blur {
    fn kind(&self) -> &'static str {
        "blur"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        if self.conv.kernel != [3, 3] {
            return Err("a blur has a 3x3 kernel".into());
        }
        same_as_real(inputs, DType::F32)?;
        conv_output(&self.conv)
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let conv = Conv { n: x.n, ..self.conv };
        let shape = Shape::new(conv.out_h(), conv.out_w(), conv.c_out);
        let mut out = cx.buffers.real(x.n * shape.elements());
        real::fixed_order(cx.isa, cx.buffers, &conv, &x.data, cx.params.state(self.kernel), None, &mut out);
        Value::Real(Tensor::new(x.n, shape, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let conv = Conv { n: pass.grad.n, ..self.conv };
        let shape = Shape::new(conv.h, conv.w, conv.c_in);
        let mut dx = cx.buffers.real(conv.n * shape.elements());
        let (kernel, dy) = (cx.params.state(self.kernel), pass.grad.data);
        // Without weight gradients the input's values play no part.
        depthwise::backward(None, &conv, cx.buffers, None, kernel, &dy, &mut [], &mut dx);
        cx.buffers.give(dy);
        vec![Some(Tensor::new(conv.n, shape, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let conv = &self.conv;
        let data = packer.params().state(self.kernel).to_vec();
        let weight =
            packer.tensor(format!("{name}.weight"), ModelTensor::F32 { shape: vec![conv.c_out, 3, 3, 1], data });
        let x = packer.real(name, &inputs[0]);
        let out = Shape::new(conv.out_h(), conv.out_w(), conv.c_out);
        let op = Op::Conv2d { weight, bias: None, geometry: geometry_of(conv), groups: conv.groups };
        Ok(packer.node(name, op, &[&x], ValueType::new(out, DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        let geometry = Geometry::same(5, 4, [3, 3], [2, 2], [1, 1]);
        Check::new(3, Shape::new(5, 4, 3), |b, x| Blur::add(b, "blur", x, geometry)).all(0.05, 1e-3);
    }
}
