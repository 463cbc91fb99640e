//! Transposed convolution with binary weights.

use std::sync::Arc;

use signbit_model::{DType, Op, TransposedGeometry, ValueType};

use super::binary_weights::BinaryWeights;
use super::transposed::{Transposed, as_real, give_back};
use super::weight_scale::WeightScale;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Mode, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::quantizer::Quantizer;
use crate::tensor::{Tensor, Value};

/// The transpose of a convolution with sign(W), times alpha_o, over bits or over real numbers. See
/// [`BinaryConv2dTranspose::add`].
#[derive(Debug)]
pub struct BinaryConv2dTranspose {
    sizes: Transposed,
    weights: BinaryWeights,
}

impl BinaryConv2dTranspose {
    /// Adds a binary transposed convolution with `c_out` outputs to a network; its latent weights, parameter
    /// `NAME.latent`, are `[c_out, kh, kw, c_in / groups]`. What no input reaches is 0.
    ///
    /// # Errors
    /// As [`Conv2dTranspose::add`](super::Conv2dTranspose::add), or where the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        geometry: TransposedGeometry,
        groups: usize,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        let sizes = Transposed::new(builder.ty(x).shape, c_out, geometry, groups);
        let (shape, init) = sizes.weights();
        let weights = BinaryWeights::new(builder, name, &shape, init, quantizer, scale);
        builder.add(name, Box::new(Self { sizes, weights }), &[x])
    }
}

impl Operator for BinaryConv2dTranspose {
    fn kind(&self) -> &'static str {
        "binary_conv2d_transpose"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        self.weights.check()?;
        self.sizes.output(inputs)
    }

    fn set_progress(&mut self, progress: f32) {
        self.weights.set_progress(progress);
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = as_real(cx.isa, cx.buffers, inputs[0]);
        let (n, shape) = (x.n, self.sizes.output_shape());
        self.weights.refresh(cx, self.sizes.k());
        let signs = self.weights.signs(cx.isa, self.sizes.k());
        let mut out = cx.buffers.real(n * shape.elements());
        // Sums of ±1 are whole numbers, right in any order.
        if cx.mode == Mode::Eval && matches!(inputs[0], Value::Real(_)) {
            self.sizes.forward_in_order(cx.isa, cx.buffers, &x, signs, &mut out);
        } else {
            let turned = self.sizes.turned(cx.buffers, signs, None);
            self.sizes.forward(cx.gemm, cx.buffers, &x, &turned, &mut out);
            cx.buffers.give(turned);
        }
        self.weights.times_alpha(&mut out);
        give_back(cx.buffers, x);
        Value::Real(Tensor::new(n, shape, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = as_real(cx.isa, cx.buffers, pass.input(0));
        let (n, shape) = (x.n, x.shape);
        let turned = self.sizes.turned(cx.buffers, self.weights.last_signs(), self.weights.alpha());
        let mut dx = pass.wanted[0].then(|| cx.buffers.real(n * shape.elements()));
        let to = dx.as_deref_mut().map(|dx| (&turned[..], dx));
        self.sizes.backward(cx.ranks, cx.gemm, cx.buffers, &x, &pass.grad.data, self.weights.grad(cx.params), to);
        self.weights.finish_gradient(cx.params, self.sizes.k());
        cx.buffers.give(turned);
        cx.buffers.give(pass.grad.data);
        give_back(cx.buffers, x);
        vec![dx.map(|dx| Tensor::new(n, shape, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let (tensor, scale) = self.weights.to_model(packer.params(), self.sizes.weights().0.to_vec());
        let weight = packer.tensor(format!("{name}.weight"), tensor);
        let x = packer.bits_or_real(name, &inputs[0]);
        let Transposed { geometry, groups, .. } = self.sizes;
        let (op, dtype) = match x.ty.dtype {
            DType::Bits => (Op::BinaryConv2dTranspose { weight, geometry, groups }, DType::I32),
            _ => (Op::Conv2dTranspose { weight, bias: None, geometry, groups }, DType::F32),
        };
        let packed = packer.node(name, op, &[&x], ValueType::new(self.sizes.output_shape(), dtype));
        Ok(Packed { scale, bound: i32::try_from(self.sizes.k()).ok(), ..packed })
    }
}

#[cfg(test)]
mod tests {
    use signbit_model::Shape;

    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::ops::transposed::tests::{GEOMETRIES, refused};
    use crate::quantizer::SteSign;

    fn build(
        geometry: TransposedGeometry,
        groups: usize,
        scale: WeightScale,
    ) -> impl Fn(&mut NetworkBuilder, Var) -> Result<Var, NetworkError> {
        move |b, x| BinaryConv2dTranspose::add(b, "conv", x, 8, geometry, groups, Arc::new(SteSign), scale)
    }

    #[test]
    fn gradients_by_finite_differences() {
        for (geometry, groups) in GEOMETRIES {
            let mut check = Check::of_bits(3, Shape::new(3, 4, 4), build(geometry, groups, WeightScale::None));
            check.bits(1e-3);
            let latents = 16..check.network.params().values().len();
            check.signs(latents, 1e-3);
            let mut real = Check::new(3, Shape::new(3, 4, 4), build(geometry, groups, WeightScale::None));
            real.parameters(0..16, 0.05, 1e-3);
        }
    }

    /// The input's gradient with a scale factor per channel, and the latents' through it.
    #[test]
    fn gradients_with_a_scale_factor() {
        for (geometry, groups) in GEOMETRIES {
            let mut plain = Check::of_bits(2, Shape::new(3, 4, 4), build(geometry, groups, WeightScale::None));
            let mut scaled = Check::of_bits(2, Shape::new(3, 4, 4), build(geometry, groups, WeightScale::Alpha));
            scaled.bits(1e-3);
            scaled.scaled_latents(&mut plain, 16, WeightScale::Alpha, 8);
        }
    }

    #[test]
    fn what_training_does_not_take_is_refused_with_the_reason() {
        refused(|b, x, geometry, groups| build(geometry, groups, WeightScale::None)(b, x));
    }
}
