//! Real convolution: the first layer, transitions, and every layer of a real-valued twin. With as many groups as
//! channels it is the depthwise convolution.

use signbit_kernels::{Conv, Isa, Padding, bits};
use signbit_model::{DType, Geometry, Op, Shape, Tensor as ModelTensor, ValueType};

use super::im2row::{Dx, Im2Row};
use super::shapes::{conv_of, conv_output, conv_weights, geometry_of};
use super::{depthwise, real};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{ParamId, Role};
use crate::tensor::{Tensor, Value};

/// y = x (*) W without bias (batch norm follows), over real numbers or over bits as ±1. See [`Conv2d::add`].
#[derive(Debug)]
pub struct Conv2d {
    conv: Conv,
    weight: ParamId,
}

impl Conv2d {
    /// Adds a real convolution with `c_out` outputs to a network.
    ///
    /// # Errors
    /// Where the geometry does not fit the input.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        geometry: Geometry,
        groups: usize,
    ) -> Result<Var, NetworkError> {
        let conv = conv_of(builder.ty(x).shape, c_out, geometry, groups, Padding::Zero);
        let (shape, init) = conv_weights(&conv);
        let weight = builder.param(&format!("{name}.weight"), &shape, Role::Weight, init);
        builder.add(name, Box::new(Self { conv, weight }), &[x])
    }

    fn at(&self, n: usize) -> Conv {
        Conv { n, ..self.conv }
    }
}

/// Writes row `y` of sample `n` as real numbers.
fn load<'x>(isa: Isa, im2row: &'x Im2Row, conv: Conv, x: &'x Value) -> impl Fn(usize, usize, &mut [f32]) + Sync + 'x {
    let words = conv.w * bits::words(conv.c_in);
    move |n, y, to| match x {
        Value::Bits(x) => bits::unpack_signs(isa, &x.words[(n * conv.h + y) * words..][..words], conv.c_in, to),
        Value::Real(x) => to.copy_from_slice(im2row.real_row(&x.data, n, y)),
    }
}

impl Operator for Conv2d {
    fn kind(&self) -> &'static str {
        "conv2d"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        if !matches!(inputs[0].dtype, DType::F32 | DType::Bits) {
            return Err("a real convolution needs a real or a binary input, these are integers".into());
        }
        conv_output(&self.conv)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0];
        let conv = self.at(x.n());
        let shape = Shape::new(conv.out_h(), conv.out_w(), conv.c_out);
        let mut out = cx.buffers.real(conv.n * shape.elements());
        // A depthwise convolution is no product of matrices.
        if cx.mode == Mode::Eval || depthwise::is_depthwise(&conv) {
            let len = if matches!(x, Value::Bits(_)) { x.n() * x.shape().elements() } else { 0 };
            let mut unpacked = cx.buffers.real(len);
            let real_x = match x {
                Value::Bits(x) => {
                    bits::unpack_signs(cx.isa, &x.words, conv.c_in, &mut unpacked);
                    &unpacked
                }
                Value::Real(x) => &x.data,
            };
            let weights = cx.params.value(self.weight);
            real::fixed_order(cx.isa, cx.buffers, &conv, real_x, weights, None, &mut out);
            cx.buffers.give(unpacked);
        } else {
            let im2row = Im2Row::new(conv, 0.0);
            let load = load(cx.isa, &im2row, conv, x);
            im2row.forward(cx.ranks, cx.gemm, cx.buffers, load, cx.params.value(self.weight), &mut out);
        }
        Value::Real(Tensor::new(conv.n, shape, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0);
        let conv = self.at(x.n());
        let mut dx = pass.wanted[0].then(|| cx.buffers.real(conv.n * x.shape().elements()));
        if depthwise::is_depthwise(&conv) {
            let mut unpacked =
                cx.buffers.real(if matches!(x, Value::Bits(_)) { x.n() * x.shape().elements() } else { 0 });
            let real_x = match x {
                Value::Bits(x) => {
                    bits::unpack_signs(cx.isa, &x.words, conv.c_in, &mut unpacked);
                    &unpacked
                }
                Value::Real(x) => &x.data,
            };
            let (weights, dw) = cx.params.value_and_grad(self.weight);
            let to = dx.as_deref_mut().unwrap_or_default();
            depthwise::backward(cx.ranks, &conv, cx.buffers, Some(real_x), weights, &pass.grad.data, dw, to);
            cx.buffers.give(unpacked);
            cx.buffers.give(pass.grad.data);
            return vec![dx.map(|dx| Tensor::new(conv.n, x.shape(), dx))];
        }
        let im2row = Im2Row::new(conv, 0.0);
        let load = load(cx.isa, &im2row, conv, x);
        let (weights, dw) = cx.params.value_and_grad(self.weight);
        let to = dx.as_deref_mut().map(|out| Dx { weights, scale: None, out });
        im2row.backward(cx.ranks, cx.gemm, cx.buffers, load, &pass.grad.data, dw, to);
        cx.buffers.give(pass.grad.data);
        vec![dx.map(|dx| Tensor::new(conv.n, x.shape(), dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let conv = &self.conv;
        let shape = conv_weights(conv).0.to_vec();
        let tensor = ModelTensor::F32 { shape, data: packer.params().value(self.weight).to_vec() };
        let weight = packer.tensor(format!("{name}.weight"), tensor);
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
        let geometries = [
            (Geometry::same(5, 4, [3, 3], [1, 1], [1, 1]), 1),
            (Geometry { kernel: [3, 2], stride: [2, 1], dilation: [1, 2], pads: [1, 0, 2, 1] }, 1),
            (Geometry::padded([3, 3], [2, 2], 1), 2),
            (Geometry::padded([3, 3], [1, 1], 1), 4),
        ];
        for (geometry, groups) in geometries {
            let build = |b: &mut NetworkBuilder, x| Conv2d::add(b, "conv", x, 8, geometry, groups);
            Check::new(3, Shape::new(5, 4, 4), build).all(0.05, 1e-3);
            let mut of_bits = Check::of_bits(3, Shape::new(5, 4, 4), build);
            of_bits.bits(1e-3);
            let weights = 16..of_bits.network.params().values().len();
            of_bits.parameters(weights, 0.05, 1e-3);
        }
        for geometry in [Geometry::same(5, 4, [3, 3], [2, 2], [1, 1]), Geometry::padded([3, 2], [1, 1], 1)] {
            Check::new(12, Shape::new(5, 4, 4), |b, x| Conv2d::add(b, "conv", x, 4, geometry, 4)).all(0.05, 1e-3);
        }
    }
}
