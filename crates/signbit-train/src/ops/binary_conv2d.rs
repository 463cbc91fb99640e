//! Convolution with binary weights; the forward of binary activations runs on the packed kernels.

use std::sync::Arc;

use signbit_kernels::{Conv, Padding, bits};
use signbit_model::{DType, Geometry, Op, Shape, ValueType};

use super::binary_weights::BinaryWeights;
use super::im2row::{Dx, Im2Row};
use super::shapes::{conv_of, conv_output, conv_weights, geometry_of};
use super::sign_conv::SignConv;
use super::weight_scale::WeightScale;
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::quantizer::Quantizer;
use crate::tensor::{Tensor, Value};

/// y = alpha_o * (x (*) sign(W)), over bits or over real numbers. See [`BinaryConv2d::add`].
#[derive(Debug)]
pub struct BinaryConv2d {
    conv: Conv,
    weights: BinaryWeights,
}

impl BinaryConv2d {
    /// Adds a binary convolution with `c_out` outputs to a network.
    ///
    /// # Errors
    /// Where the geometry does not fit the input, or the quantizer is none of weights.
    pub fn add(
        builder: &mut NetworkBuilder,
        name: &str,
        x: Var,
        c_out: usize,
        geometry: Geometry,
        groups: usize,
        padding: Padding,
        quantizer: Arc<dyn Quantizer>,
        scale: WeightScale,
    ) -> Result<Var, NetworkError> {
        let conv = conv_of(builder.ty(x).shape, c_out, geometry, groups, padding);
        let (shape, init) = conv_weights(&conv);
        let weights = BinaryWeights::new(builder, name, &shape, init, quantizer, scale);
        builder.add(name, Box::new(Self { conv, weights }), &[x])
    }

    fn at(&self, n: usize) -> Conv {
        Conv { n, ..self.conv }
    }

    /// The gradients by real products, with bits unpacked a few rows at a time.
    fn real_backward(&mut self, cx: &mut Context<'_>, conv: &Conv, x: &Value, dy: &[f32], dx: Option<&mut [f32]>) {
        let pad = match conv.padding {
            Padding::Zero => 0.0,
            Padding::One => 1.0,
            Padding::MinusOne => -1.0,
        };
        let im2row = Im2Row::new(*conv, pad);
        if dx.is_some() {
            self.weights.signs(cx.isa, conv.k());
        }
        let (words, isa) = (conv.w * bits::words(conv.c_in), cx.isa);
        let load = |n: usize, y: usize, to: &mut [f32]| match x {
            Value::Bits(x) => {
                bits::unpack_signs(isa, &x.words[(n * conv.h + y) * words..][..words], conv.c_in, to);
            }
            Value::Real(x) => to.copy_from_slice(im2row.real_row(&x.data, n, y)),
        };
        let to = dx.map(|out| Dx { weights: self.weights.last_signs(), scale: self.weights.alpha(), out });
        let dw = self.weights.grad(cx.params);
        im2row.backward(cx.ranks, cx.gemm, cx.buffers, load, dy, dw, to);
    }
}

impl Operator for BinaryConv2d {
    fn kind(&self) -> &'static str {
        "binary_conv2d"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        if inputs[0].dtype != DType::Bits && self.conv.padding != Padding::Zero {
            return Err("padding with +1 or -1 needs a binary input; use zero padding".into());
        }
        self.weights.check()?;
        conv_output(&self.conv)
    }

    fn set_progress(&mut self, progress: f32) {
        self.weights.set_progress(progress);
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let conv = self.at(inputs[0].n());
        let shape = Shape::new(conv.out_h(), conv.out_w(), conv.c_out);
        let mut out = cx.buffers.real(conv.n * shape.elements());
        self.weights.forward(cx, &conv, inputs[0], &mut out, |weights, cx, x, out| {
            let im2row = Im2Row::new(conv, 0.0);
            let load = |n: usize, y: usize, to: &mut [f32]| to.copy_from_slice(im2row.real_row(&x.data, n, y));
            im2row.plain_forward(cx.gemm, load, weights.signs(cx.isa, conv.k()), out);
        });
        Value::Real(Tensor::new(conv.n, shape, out))
    }

    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0);
        let conv = self.at(x.n());
        let (mut dy, wanted, len) = (pass.grad.data, pass.wanted[0], conv.n * x.shape().elements());
        let sign_conv = SignConv::new(cx.isa, conv).filter(|_| matches!(x, Value::Bits(_)));
        let in_place = sign_conv.is_some() && dy.len() == len;
        let mut dx = (wanted && !in_place).then(|| cx.buffers.real(len));
        match (x, sign_conv) {
            (Value::Bits(x), Some(sign_conv)) => {
                let to = wanted.then(|| self.weights.dx(dx.as_deref_mut()));
                let dw = self.weights.grad(cx.params);
                sign_conv.backward(cx.ranks, cx.buffers, &x.words, &mut dy, dw, to);
            }
            _ => self.real_backward(cx, &conv, x, &dy, dx.as_deref_mut()),
        }
        self.weights.finish_gradient(cx.params, conv.k());
        if wanted && in_place {
            dx = Some(dy);
        } else {
            cx.buffers.give(dy);
        }
        vec![dx.map(|dx| Tensor::new(conv.n, x.shape(), dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let conv = &self.conv;
        let (tensor, scale) = self.weights.to_model(packer.params(), conv_weights(conv).0.to_vec());
        let weight = packer.tensor(format!("{name}.weight"), tensor);
        let (geometry, groups) = (geometry_of(conv), conv.groups);
        let shape = Shape::new(conv.out_h(), conv.out_w(), conv.c_out);
        let x = packer.bits_or_real(name, &inputs[0]);
        let (op, dtype) = if x.ty.dtype == DType::Bits {
            let padding = match conv.padding {
                Padding::Zero => signbit_model::Padding::Zero,
                Padding::One => signbit_model::Padding::One,
                Padding::MinusOne => signbit_model::Padding::MinusOne,
            };
            (Op::BinaryConv2d { weight, geometry, groups, padding }, DType::I32)
        } else {
            (Op::Conv2d { weight, bias: None, geometry, groups }, DType::F32)
        };
        let packed = packer.node(name, op, &[&x], ValueType::new(shape, dtype));
        Ok(Packed { scale, bound: i32::try_from(conv.k()).ok(), ..packed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;
    use crate::quantizer::SteSign;

    #[test]
    fn gradients_by_finite_differences() {
        let geometries = [
            (Geometry::same(5, 4, [3, 3], [1, 1], [1, 1]), 1, Padding::Zero),
            (Geometry::same(5, 4, [3, 3], [1, 1], [1, 1]), 1, Padding::One),
            (Geometry { kernel: [3, 2], stride: [2, 1], dilation: [1, 2], pads: [1, 0, 2, 1] }, 1, Padding::MinusOne),
            (Geometry::padded([3, 3], [2, 2], 1), 2, Padding::Zero),
        ];
        for (geometry, groups, padding) in geometries {
            let build = |b: &mut NetworkBuilder, x| {
                BinaryConv2d::add(b, "conv", x, 8, geometry, groups, padding, Arc::new(SteSign), WeightScale::None)
            };
            let mut check = Check::of_bits(3, Shape::new(5, 4, 6), build);
            check.bits(1e-3);
            let latents = 36..check.network.params().values().len();
            check.signs(latents, 1e-3);
            if padding == Padding::Zero {
                let mut real = Check::new(3, Shape::new(5, 4, 6), build);
                real.parameters(0..36, 0.05, 1e-3);
            }
        }
    }

    /// The input's gradient with a scale factor per channel, and the latents' through it.
    #[test]
    fn gradients_with_a_scale_factor() {
        for (groups, padding) in [(1, Padding::Zero), (2, Padding::One), (2, Padding::Zero)] {
            let build = |scale| {
                move |b: &mut NetworkBuilder, x| {
                    let geometry = Geometry::padded([3, 3], [1, 1], 1);
                    BinaryConv2d::add(b, "conv", x, 8, geometry, groups, padding, Arc::new(SteSign), scale)
                }
            };
            let mut plain = Check::of_bits(2, Shape::new(4, 3, 6), build(WeightScale::None));
            let mut scaled = Check::of_bits(2, Shape::new(4, 3, 6), build(WeightScale::Alpha));
            scaled.bits(1e-3);
            scaled.scaled_latents(&mut plain, 36, WeightScale::Alpha, 8);
        }
    }
}
