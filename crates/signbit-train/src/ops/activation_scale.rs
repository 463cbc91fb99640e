//! XNOR-Net's activation scale K (Rastegari et al. 2016, arXiv 1603.05279, section 3.2): one factor per output
//! position of a convolution, the box filter of the channel mean of |x|.

use rayon::prelude::*;
use signbit_kernels::{Conv, Padding, real};
use signbit_model::{DType, Geometry, Op, Shape, ValueType};

use super::shapes::{conv_of, conv_output, geometry_of, same_as_real};
use crate::network::{NetworkBuilder, NetworkError, Var};
use crate::op::{Context, Needs, Operator, Pass};
use crate::pack::{PackError, Packed, Packer};
use crate::tensor::{Tensor, Value};

/// `[n, h, w, c]` to `[n, out_h, out_w, 1]`. See [`ActivationScale::add`].
#[derive(Debug)]
pub struct ActivationScale {
    conv: Conv,
}

impl ActivationScale {
    /// Adds the map K of real activations `x` for a convolution of this geometry.
    ///
    /// # Errors
    /// Where the input is not real or the geometry does not fit.
    pub fn add(builder: &mut NetworkBuilder, name: &str, x: Var, geometry: Geometry) -> Result<Var, NetworkError> {
        let conv = conv_of(builder.ty(x).shape, 1, geometry, 1, Padding::Zero);
        builder.add(name, Box::new(Self { conv }), &[x])
    }

    fn output_shape(&self) -> Shape {
        Shape::new(self.conv.out_h(), self.conv.out_w(), 1)
    }
}

impl Operator for ActivationScale {
    fn kind(&self) -> &'static str {
        "activation_scale"
    }

    fn output(&self, inputs: &[ValueType]) -> Result<ValueType, String> {
        same_as_real(inputs, DType::F32)?;
        conv_output(&self.conv)
    }

    fn needs(&self) -> Needs {
        Needs::INPUTS
    }

    fn forward(&mut self, cx: &mut Context<'_>, inputs: &[&Value]) -> Value {
        let x = inputs[0].real();
        let (shape, isa) = (self.output_shape(), cx.isa);
        let mut out = cx.buffers.real(x.n * shape.elements());
        let mut means = cx.buffers.real(x.rows());
        let (sample, pixels) = (x.shape.elements(), x.shape.h * x.shape.w);
        out.par_chunks_mut(shape.elements()).zip(means.par_chunks_mut(pixels)).zip(x.data.par_chunks(sample)).for_each(
            |((out, means), x)| {
                real::channel_means(isa, self.conv.c_in, x, means);
                real::scale_map(isa, &self.conv, means, 0..shape.h, out);
            },
        );
        cx.buffers.give(means);
        Value::Real(Tensor::new(x.n, shape, out))
    }

    /// dA = the box filter's transpose of dK; d|x| = dA / c.
    fn backward(&mut self, cx: &mut Context<'_>, pass: Pass<'_>) -> Vec<Option<Tensor>> {
        let x = pass.input(0).real();
        let (geometry, c) = (geometry_of(&self.conv), x.shape.c);
        let [kh, kw] = geometry.kernel;
        let share = 1.0 / (kh * kw * c) as f32;
        let (out, sample) = (self.output_shape(), x.shape.elements());
        let mut dx = cx.buffers.real(x.data.len());
        let grads = pass.grad.data.par_chunks(out.elements());
        dx.par_chunks_mut(sample).zip(x.data.par_chunks(sample)).zip(grads).for_each(|((dx, x), dk)| {
            let mut da = vec![0.0; self.conv.h * self.conv.w];
            for (i, d) in dk.iter().enumerate() {
                for tap in 0..kh * kw {
                    let row = geometry.row(i / out.w, tap / kw, self.conv.h);
                    let column = geometry.column(i % out.w, tap % kw, self.conv.w);
                    if let (Some(row), Some(column)) = (row, column) {
                        da[row * self.conv.w + column] += d * share;
                    }
                }
            }
            for ((dx, x), da) in dx.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(da) {
                dx.iter_mut().zip(x).for_each(|(d, &x)| *d = if x >= 0.0 { da } else { -da });
            }
        });
        let n = x.n;
        cx.buffers.give(pass.grad.data);
        vec![Some(Tensor::new(n, x.shape, dx))]
    }

    fn pack(&self, name: &str, packer: &mut Packer<'_>, inputs: &[Packed]) -> Result<Packed, PackError> {
        let x = packer.settled(name, &inputs[0]);
        let op = Op::ActivationScale { geometry: geometry_of(&self.conv) };
        Ok(packer.node(name, op, &[&x], ValueType::new(self.output_shape(), DType::F32)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::gradcheck::Check;

    #[test]
    fn gradients_by_finite_differences() {
        for geometry in [Geometry::padded([3, 3], [1, 1], 1), Geometry::valid([2, 3], [2, 1], [1, 1])] {
            Check::new(2, Shape::new(4, 5, 3), |b, x| ActivationScale::add(b, "k", x, geometry)).all(5e-3, 5e-3);
        }
    }
}
