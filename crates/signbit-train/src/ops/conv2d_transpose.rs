//! Real transposed convolution: a layer that makes height and width larger.

use signbit_model::{DType, Op, Tensor as ModelTensor, TransposedGeometry, ValueType};

use super::transposed::{Transposed, as_real, give_back};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::params::{ParamId, Role};
use crate::tensor::{Tensor, Value};

/// The transpose of a convolution, without bias, over real numbers or over bits as ±1. See [`Conv2dTranspose::add`].
#[derive(Debug)]
pub struct Conv2dTranspose {
    sizes: Transposed,
    weight: ParamId,
}

impl Conv2dTranspose {
    /// Adds a real transposed convolution with `c_out` outputs to a network; its weights, parameter `NAME.weight`, are
    /// `[c_out, kh, kw, c_in / groups]`.
    ///
    /// # Errors
    /// Where the geometry does not fit the input, adds as many rows or columns as the stride, or cuts off more than
    /// `(kernel - 1) * dilation`.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        geometry: TransposedGeometry,
        groups: usize,
    ) -> Result<Var, NetworkError> {
        let sizes = Transposed::new(builder.ty(x).shape, c_out, geometry, groups);
        let (shape, init) = sizes.weights();
        let weight = builder.param(&format!("{name}.weight"), &shape, Role::Weight, init);
        builder.add(name, Box::new(Self { sizes, weight }), &[x])
    }
}

impl Operator for Conv2dTranspose {
    fn kind(&self) -> &'static str {
        "conv2d_transpose"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        self.sizes.output(inputs)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = as_real(cx.isa, cx.buffers, inputs[0]);
        let (n, shape, weights) = (x.n, self.sizes.output_shape(), cx.params.value(self.weight));
        let mut out = cx.buffers.real(n * shape.elements());
        if cx.mode == Mode::Eval {
            self.sizes.forward_in_order(cx.isa, cx.buffers, &x, weights, &mut out);
        } else {
            let turned = self.sizes.turned(cx.buffers, weights, None);
            self.sizes.forward(cx.gemm, cx.buffers, &x, &turned, &mut out);
            cx.buffers.give(turned);
        }
        give_back(cx.buffers, x);
        Value::Real(Tensor::new(n, shape, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = as_real(cx.isa, cx.buffers, pass.input(0));
        let (n, shape) = (x.n, x.shape);
        let (weights, dw) = cx.params.value_and_grad(self.weight);
        let turned = self.sizes.turned(cx.buffers, weights, None);
        let mut dx = pass.wanted[0].then(|| cx.buffers.real(n * shape.elements()));
        let to = dx.as_deref_mut().map(|dx| (&turned[..], dx));
        self.sizes.backward(cx.ranks, cx.gemm, cx.buffers, &x, &pass.grad.data, dw, to);
        cx.buffers.give(turned);
        cx.buffers.give(pass.grad.data);
        give_back(cx.buffers, x);
        vec![dx.map(|dx| Tensor::new(n, shape, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let data = packer.params().value(self.weight).to_vec();
        let tensor = ModelTensor::F32 { shape: self.sizes.weights().0.to_vec(), data };
        let weight = packer.tensor(format!("{name}.weight"), tensor);
        let x = packer.real(name, &inputs[0]);
        let Transposed { geometry, groups, .. } = self.sizes;
        let op = Op::Conv2dTranspose { weight, bias: None, geometry, groups };
        Ok(packer.node(name, op, &[&x], ValueType::new(self.sizes.output_shape(), DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::ops::transposed::tests::{GEOMETRIES, refused};

    #[test]
    fn gradients_by_finite_differences() {
        for (geometry, groups) in GEOMETRIES {
            let build = |b: &mut NetworkBuilder, x| Conv2dTranspose::add(b, "conv", x, 8, geometry, groups);
            Check::new(11, Shape::new(3, 4, 4), build).all(0.05, 1e-3);
            let mut of_bits = Check::of_bits(3, Shape::new(3, 4, 4), build);
            of_bits.bits(1e-3);
            let weights = 16..of_bits.network.params().values().len();
            of_bits.parameters(weights, 0.05, 1e-3);
        }
    }

    #[test]
    fn what_training_does_not_take_is_refused_with_the_reason() {
        refused(|b, x, geometry, groups| Conv2dTranspose::add(b, "conv", x, 8, geometry, groups));
    }
}
